//! What can go wrong, and how each of it looks from outside.
//!
//! `Display` is what the user may read; `source()` is what only the operator may read, so nothing
//! internal can leak by formatting. A variant exists only where a client would act differently;
//! everything else is [`Error::Invalid`] with a sentence. [`Error::spec`] is the one table from
//! variant to stable code, HTTP status (RFC 9110) and exit status.

mod faults;
mod hint;
mod schema;
mod words;

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::Duration;

pub use faults::{Fault, Flaw, Refusal};
use faults::{and_others, refused_files, refused_rows};
pub(crate) use hint::OPEN;
pub use schema::{Edited, Spot};
use schema::{behind, differs, linted, lost, missing};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// Everything that a user of `provost` can be told went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // what was asked
    /// The command line does not say enough, or says too much.
    #[error("{0}")]
    Usage(String),
    /// A request that cannot be read: broken JSON, a header that makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// A body with a member that the route does not know.
    #[error("unknown field {field:?}{}{known}", if known.is_empty() { "" } else { "; known: " })]
    UnknownField {
        /// The member's name, cut to 64 characters.
        field: String,
        /// The names of those that are, with commas between.
        known: String,
    },
    /// A value that a rule refuses.
    #[error("{field}: {reason}{}", and_others(others))]
    Invalid {
        /// The argument or JSON member at fault.
        field: &'static str,
        /// Why, as a sentence without its subject.
        reason: String,
        /// What else is wrong.
        others: Vec<Flaw>,
    },
    /// No such object, or one that the caller may not see.
    #[error("no such {noun}{}{given}", if given.is_empty() { "" } else { ": " })]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// What it was looked for by, as [`Error::no_such`] leaves it.
        given: String,
    },
    /// An id prefix that fits more than one object.
    #[error("more than one {noun} starts with {prefix:?}")]
    Ambiguous {
        /// What was looked for.
        noun: &'static str,
        /// The prefix as given.
        prefix: String,
    },
    /// No credential, or one that is not (or no longer) good.
    #[error("a valid credential is needed")]
    Unauthenticated,
    /// The name and the password do not belong together, whichever of them is at fault.
    #[error("the name or the password is wrong")]
    InvalidCredentials {
        /// When the next attempt will be looked at, if there were too many.
        retry_after: Option<Duration>,
    },
    /// The password is right, and the account has a second factor.
    #[error("a one-time password is asked for")]
    OtpRequired,
    /// A request with cookies that may come from another site's page.
    #[error("the request could come from another site: {reason}")]
    CrossSite {
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// A good credential that does not reach this far.
    #[error("not permitted: this needs the scope {needs}")]
    Forbidden {
        /// The scope that would have been enough.
        needs: String,
    },
    /// A good credential of a person who has to prove once more who it is.
    #[error("log in again: this needs an authentication not older than 10 minutes")]
    ReauthenticationNeeded,

    /// The request comes from a network that an operator banned.
    #[error("not permitted")]
    Banned,

    // users
    /// Nobody can make an account for themselves.
    #[error("nobody can register here: ask an administrator for an account")]
    RegistrationClosed,
    /// Who wants to make an account needs an invitation.
    #[error("an invitation is needed to register here")]
    InvitationNeeded,
    /// The user name belongs to somebody else.
    #[error("that user name is already in use")]
    UsernameTaken,
    /// The e-mail address belongs to somebody else.
    #[error("that email address is already in use")]
    EmailTaken,
    /// The phone number belongs to somebody else.
    #[error("that phone number is already in use")]
    PhoneTaken,
    /// Rows that were to be imported cannot be.
    #[error("{}; nothing was changed", refused_rows(*refused, *rows))]
    RowsRefused {
        /// How many rows there are.
        rows: u64,
        /// How many of them were refused.
        refused: u64,
        /// Why, where nobody was told yet.
        errors: Vec<Refusal>,
    },
    /// The change would leave nobody who can administer.
    #[error("at least one enabled administrator must remain")]
    LastAdmin,

    // courses
    /// The slug belongs to another course, module or lesson.
    #[error("that slug is already in use")]
    SlugTaken,

    /// The files of a course are wrong.
    #[error("{}; nothing was changed", refused_files(faults))]
    FilesRefused {
        /// All that is wrong.
        faults: Vec<Fault>,
    },

    // quizzes
    /// The attempt was handed in, or its time is over.
    #[error("the attempt is over: nothing can be answered any more")]
    AttemptOver,

    // how it was asked
    /// `--yes=N` named another number of objects than the command would hit.
    #[error("{found} would be hit, not {expected}; nothing was changed")]
    CountDiffers {
        /// The number in `--yes=N`.
        expected: u64,
        /// The number that would be hit.
        found: u64,
    },
    /// `If-Match` names another version than the stored one (RFC 9110 §13.1.1).
    #[error("the object has changed since it was read")]
    PreconditionFailed,
    /// The same `Idempotency-Key` with another body.
    #[error("that idempotency key was used with another request")]
    IdempotencyKeyReused,
    /// A file that was to be made is there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The database that is to be filled holds data already.
    #[error("{place} is not empty: there are rows in {table}")]
    NotEmpty {
        /// The database, without its password.
        place: String,
        /// A table that holds something.
        table: String,
    },
    /// The person at the terminal said no.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// Too many requests (RFC 6585 §4).
    #[error("too many requests, try again in {} s", retry_after.as_secs().max(1))]
    RateLimited {
        /// When the next attempt can succeed.
        retry_after: Duration,
    },

    // the HTTP edge
    /// No route has this path.
    #[error("no such route")]
    NoRoute,
    /// The route exists, but not for this method.
    #[error("the method is not allowed here")]
    MethodNotAllowed,
    /// The body is larger than the route takes.
    #[error("the body is larger than {limit} bytes")]
    PayloadTooLarge {
        /// The route's limit in bytes.
        limit: usize,
    },
    /// The body is not of the type that the route takes.
    #[error("the body must be {expected}")]
    UnsupportedMediaType {
        /// The media type that the route takes.
        expected: &'static str,
    },
    /// The request line is longer than 4 KiB.
    #[error("the request target is longer than {limit} bytes")]
    UriTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Too many headers, or too long ones (RFC 6585 §5).
    #[error("the request's headers are too large")]
    HeadersTooLarge,
    /// The body did not arrive in time.
    #[error("the request did not arrive in time")]
    RequestTimeout,
    /// The `Host` is not one that this daemon answers for (RFC 9110 §15.5.20).
    #[error("this host is not served here")]
    Misdirected,

    // the machine underneath
    /// Busy, overloaded or out of reach for now; safe to try again.
    #[error("temporarily unavailable, try again")]
    Unavailable(#[source] Source),
    /// The daemon was started to answer reads alone.
    #[error("this daemon answers reads alone for now, and changes nothing")]
    ReadOnly,
    /// The disk is full; reads go on.
    #[error("the disk is full")]
    StorageFull(#[source] Source),
    /// Another daemon serves this database.
    #[error("a daemon (pid {pid}) is serving this database")]
    DaemonRunning {
        /// The other daemon's process id.
        pid: u32,
    },
    /// Daemons serve this database of a server.
    #[error("daemons are serving this database: {names}")]
    DaemonsServing {
        /// Where they are and what they call themselves.
        names: String,
    },
    /// Another process, or another thread of this one, runs the job.
    #[error("the job {job} is running ({holder})")]
    JobRunning {
        /// The job's name.
        job: &'static str,
        /// Who runs it: host and process.
        holder: String,
    },
    /// There is no data folder yet.
    #[error("nothing is set up at {}", path.display())]
    NotSetUp {
        /// The file that was expected.
        path: PathBuf,
    },
    /// There is a key file, or a backup, but not the database it belongs to.
    #[error("{}", lost(path, key_file.as_deref()))]
    DatabaseMissing {
        /// Where the database should be.
        path: PathBuf,
        /// Where the key file should be, if that is gone as well.
        key_file: Option<PathBuf>,
    },
    /// The key file cannot be used.
    #[error("key file {}: {reason}", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration cannot be used.
    #[error("configuration: {0}")]
    Config(String),
    /// The database is newer than this binary.
    #[error("the database has schema {database}, this binary knows {binary}")]
    SchemaNewer {
        /// The database's schema version.
        database: u32,
        /// The newest version that this binary knows.
        binary: u32,
    },
    /// The database is older than this binary.
    #[error("{}", behind(*database, *binary))]
    SchemaBehind {
        /// The database's schema version.
        database: u32,
        /// The version that this binary needs.
        binary: u32,
    },
    /// One of two databases has another schema than this binary.
    #[error("{place} has schema {schema}, this binary needs {binary}")]
    SchemaDiffers {
        /// The database, without its password.
        place: String,
        /// Its schema version.
        schema: u32,
        /// The version that this binary needs.
        binary: u32,
    },
    /// The file belongs to another program.
    #[error("the database belongs to another program")]
    ForeignDatabase,
    /// The history of the database is not the history of this binary.
    #[error("migration {name} was applied {}", differs(name, found))]
    MigrationEdited {
        /// The migration's name, as it was applied.
        name: String,
        /// Both texts.
        found: Box<Edited>,
    },
    /// What was applied has no file any more.
    #[error("{}", missing(files))]
    MigrationMissing {
        /// The files that should be there.
        files: Vec<String>,
        /// The folder; none for the migrations of the program itself.
        dir: Option<String>,
        /// The schema before the first of them.
        before: u32,
    },
    /// A migration failed and was rolled back.
    #[error("migration {name} failed {place}; {kept}")]
    MigrationFailed {
        /// The migration's name.
        name: String,
        /// Where.
        place: Box<Spot>,
        /// What is there now: `the database is unchanged at version 7`.
        kept: String,
        /// The engine's message.
        #[source]
        source: Box<Error>,
    },
    /// Somebody should look at a migration first, and has not accepted what it does.
    #[error("the schema was not changed: {}", linted(faults))]
    LintRefused {
        /// What there is to look at, the worst first.
        faults: Vec<Fault>,
    },
    /// What a change of the schema would do is not right, or there is no room to try it.
    #[error("the schema was not changed: {0}")]
    MigrationRefused(String),
    /// The daemon that was asked cannot do its work.
    #[error("not ready: {0}")]
    NotReady(String),
    /// Stored data that cannot be right.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// A backup that is not what it should be.
    #[error("the backup {} is not good: {reason}", path.display())]
    BackupDamaged {
        /// The backup's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing a file or a socket failed.
    #[error("cannot {doing}")]
    Io {
        /// What was being done, with the path: "read /etc/provost/provost.toml".
        doing: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A bug, or something that nobody thought of.
    #[error("internal error")]
    Internal(#[source] Source),
}

/// How an error looks from outside: part of the public contract, never changed once released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The stable code, in `snake_case`.
    pub code: &'static str,
    /// The HTTP status (RFC 9110 §15).
    pub status: u16,
    /// The exit status of the process.
    pub exit: u8,
}

const fn row(code: &'static str, status: u16, exit: u8) -> Spec {
    Spec { code, status, exit }
}

impl Error {
    /// The one table: variant → code, HTTP status, exit status.
    #[must_use]
    pub const fn spec(&self) -> Spec {
        match self {
            Self::Usage(_) => row("usage", 400, 2),
            Self::Malformed(_) => row("malformed", 400, 2),
            Self::UnknownField { .. } => row("unknown_field", 400, 2),
            Self::Invalid { .. } => row("invalid", 422, 7),
            Self::NotFound { .. } => row("not_found", 404, 5),
            Self::Ambiguous { .. } => row("ambiguous", 409, 6),
            Self::Unauthenticated => row("unauthenticated", 401, 3),
            Self::InvalidCredentials { .. } => row("invalid_credentials", 401, 3),
            Self::OtpRequired => row("otp_required", 401, 3),
            Self::CrossSite { .. } => row("cross_site", 403, 3),
            Self::Forbidden { .. } => row("forbidden", 403, 3),
            Self::ReauthenticationNeeded => row("reauthentication_needed", 403, 3),
            Self::RegistrationClosed => row("registration_closed", 403, 3),
            Self::InvitationNeeded => row("invitation_needed", 403, 3),
            Self::Banned => row("banned", 403, 3),
            Self::UsernameTaken => row("username_taken", 409, 6),
            Self::EmailTaken => row("email_taken", 409, 6),
            Self::PhoneTaken => row("phone_taken", 409, 6),
            Self::AttemptOver => row("attempt_over", 409, 6),
            Self::RowsRefused { .. } => row("rows_refused", 422, 7),
            Self::FilesRefused { .. } => row("files_refused", 422, 7),
            Self::SlugTaken => row("slug_taken", 409, 6),
            Self::LastAdmin => row("last_admin", 422, 7),
            Self::CountDiffers { .. } => row("count_differs", 409, 6),
            Self::PreconditionFailed => row("precondition_failed", 412, 6),
            Self::IdempotencyKeyReused => row("idempotency_key_reused", 422, 7),
            Self::Exists { .. } => row("exists", 409, 6),
            Self::NotEmpty { .. } => row("not_empty", 409, 6),
            Self::Cancelled => row("cancelled", 400, 4),
            Self::RateLimited { .. } => row("rate_limited", 429, 8),
            Self::NoRoute => row("no_route", 404, 5),
            Self::MethodNotAllowed => row("method_not_allowed", 405, 2),
            Self::PayloadTooLarge { .. } => row("payload_too_large", 413, 7),
            Self::UnsupportedMediaType { .. } => row("unsupported_media_type", 415, 2),
            Self::UriTooLong { .. } => row("uri_too_long", 414, 2),
            Self::HeadersTooLarge => row("headers_too_large", 431, 2),
            Self::RequestTimeout => row("request_timeout", 408, 10),
            Self::Misdirected => row("misdirected", 421, 2),
            Self::Unavailable(_) => row("unavailable", 503, 10),
            Self::ReadOnly => row("read_only", 503, 10),
            Self::StorageFull(_) => row("storage_full", 507, 10),
            Self::DaemonRunning { .. } => row("daemon_running", 503, 10),
            Self::DaemonsServing { .. } => row("daemons_serving", 503, 10),
            Self::JobRunning { .. } => row("job_running", 503, 10),
            Self::NotSetUp { .. } => row("not_set_up", 503, 5),
            Self::DatabaseMissing { .. } => row("database_missing", 503, 5),
            Self::KeyFile { .. } => row("key_file", 500, 7),
            Self::Config(_) => row("config", 500, 2),
            Self::SchemaNewer { .. } => row("schema_newer", 503, 11),
            Self::SchemaBehind { .. } => row("schema_behind", 503, 11),
            Self::SchemaDiffers { .. } => row("schema_differs", 503, 11),
            Self::ForeignDatabase => row("foreign_database", 503, 11),
            Self::MigrationEdited { .. } => row("migration_edited", 503, 11),
            Self::MigrationMissing { .. } => row("migration_missing", 503, 11),
            Self::MigrationFailed { .. } => row("migration_failed", 422, 7),
            Self::LintRefused { .. } => row("lint_refused", 422, 7),
            Self::MigrationRefused(_) => row("migration_refused", 422, 7),
            Self::NotReady(_) => row("not_ready", 503, 1),
            Self::Corrupt(_) => row("corrupt", 500, 13),
            Self::BackupDamaged { .. } => row("backup_damaged", 500, 13),
            Self::Io { .. } => row("io", 500, 1),
            Self::Internal(_) => row("internal", 500, 1),
        }
    }

    /// A value that a rule refuses.
    #[must_use]
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            reason: reason.into(),
            others: Vec::new(),
        }
    }

    /// Something that must not happen; the details are for the log only.
    #[must_use]
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }

    /// Busy or out of reach for now; the details are for the log only.
    #[must_use]
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// For `map_err` on file and socket calls: `read(&p).map_err(Error::io("read …"))`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

#[cfg(test)]
mod tests;
