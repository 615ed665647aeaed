//! The way back: a backup takes the place of the database (security.md, rule 80).
//!
//! Invariants: nothing that was revoked, rotated or used up since the backup is good again. So every
//! session, link and temporary token of it is dead, new keys sign, and API tokens wait for an
//! operator, all before the file gets its name. Cut off at any point, the old database or the new
//! one is whole under that name, and a second run finishes.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::since::{Changes, Since};
use super::stage::Staged;
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::config::{Config, DbUrl};
use crate::db::{Db, Role, Tidy, clock};
use crate::error::{Error, Result};
use crate::file::folder_of;
use crate::keys::Keys;
use crate::snapshots::{self, compact, word};
use crate::time::Timestamp;
use crate::tokens::{self, ApiTokens};
use crate::{factors, idempotency, migrations, outbox, sessions};

/// How a backup is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether API tokens go on to be good.
    pub api_tokens: ApiTokens,
}

/// What is not good any more after a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TakenBack {
    /// API tokens that wait for `token enable`.
    pub suspended_tokens: u64,
    /// API tokens that the old database knew to be revoked, or did not have any more: they are
    /// revoked for good.
    pub revoked_tokens: u64,
    /// Temporary tokens, links and invitations that ended.
    pub ended_tokens: u64,
    /// Accounts of which everything that was open has ended.
    pub ended_accounts: u64,
    /// Messages that waited to be sent and were dropped.
    pub dropped_mail: u64,
    /// Recovery codes that were spent: those that the old database did not know as good, or all of
    /// them.
    pub spent_codes: u64,
    /// Whether those are all of them, because there was nothing to ask.
    pub all_codes: bool,
    /// Answers to idempotency keys that were forgotten.
    pub forgotten_keys: u64,
}

/// What a restore did.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// The database.
    pub database: PathBuf,
    /// When the backup was begun, as its manifest says.
    pub created_at: Option<Timestamp>,
    /// SHA-256 of the backup.
    pub sha256: String,
    /// The schema that it had.
    pub from_schema: u32,
    /// The schema of the database now.
    pub schema: u32,
    /// What is there of the database that was in its place.
    pub kept: Vec<PathBuf>,
    /// That database as a backup, if it could be read.
    pub old: Option<Old>,
    /// What is not good any more.
    pub taken_back: TakenBack,
    /// The accounts that were made or changed since the backup.
    #[serde(flatten)]
    pub changes: Changes,
}

/// The database that has made room.
#[derive(Clone, Debug, Serialize)]
pub struct Old {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of it, as hexadecimal digits, if it could be read to its end.
    pub sha256: Option<String>,
    /// Why a restore would refuse it. If it would not, the file has a manifest: it is a backup.
    pub faults: Vec<String>,
}

/// Puts a staged backup in the place of the database.
///
/// # Errors
/// [`Error::DaemonRunning`] at once if a daemon serves it, `Unavailable` if commands hold it for
/// 5 s; [`Error::MigrationFailed`]; those of the database. In each case the database is untouched.
pub fn restore(
    staged: &Staged,
    config: &Config,
    actor: &Actor,
    options: Options,
) -> Result<Restored> {
    let live = live(config, &staged.from)?;
    let verified = &staged.verified;
    let app = open(staged, config)?;
    // A schema of long ago has no place for what has to be written down.
    migrations::up(&app, actor)?;
    let now = app.clock().now();
    let aside = free_name(live, now);
    let done = Db::replace(live, &staged.database, &aside, |old| {
        let at = verified.created_at;
        let since = match old {
            Some(old) => Since::ask(Db::open_still(old), &app, actor, at),
            None if live.exists() => Since::unknown("the database that was there is damaged"),
            None => Since::unknown("there was no database"),
        };
        let details = json!({ "sha256": verified.sha256, "created_at": at,
            "schema": verified.schema, "kept": aside, "audit": staged.audit });
        let taken_back = app.import(actor, |cx| take_back(cx, options, &since, details))?;
        // From here on it is proven that what came after the backup was not cut off, but taken back.
        audit::seal(&app, actor, &|| false)?;
        settle(app, &staged.database)?;
        Ok((taken_back, since.changes, old.is_some()))
    })?;
    let ((taken_back, changes, readable), kept) = done;
    // The restore is done. What is in the way of this is told when somebody wants to go back.
    let old = readable.then(|| {
        keep(&aside, now, &config.key_file).unwrap_or_else(|error| Old {
            path: aside.clone(),
            sha256: None,
            faults: vec![error.to_string()],
        })
    });
    Ok(Restored {
        database: live.to_owned(),
        created_at: verified.created_at,
        sha256: verified.sha256.clone(),
        from_schema: verified.schema.unwrap_or(0),
        schema: migrations::needed(),
        kept,
        old,
        taken_back,
        changes,
    })
}

/// Makes a backup of the database that has made room, so that it can be restored as one.
fn keep(path: &Path, at: Timestamp, key_file: &Path) -> Result<Old> {
    let keys = Keys::load(key_file)?;
    let manifest = snapshots::describe(path, at, &keys)?;
    let faults = migrations::faults(path, &manifest, &keys)?;
    if faults.is_empty() {
        snapshots::attach(path, &manifest)?;
    }
    Ok(Old {
        path: path.to_owned(),
        sha256: Some(manifest.sha256),
        faults,
    })
}

/// The same for a database into which another tool has put a backup: it stays where it is.
///
/// # Errors
/// [`Error::DaemonRunning`], [`Error::DaemonsServing`]; [`Error::Corrupt`] if a trigger of others stands
/// on a table of this program; those of the database.
pub fn in_place(app: &App, actor: &Actor, options: Options) -> Result<TakenBack> {
    app.db().exclusively(|| {
        let details = json!({ "in_place": true });
        app.import(actor, |cx| {
            let triggers = migrations::triggers(cx.tx)?;
            if !triggers.is_empty() {
                let told = triggers.join(", ");
                return Err(Error::Corrupt(format!(
                    "{told} is foreign, and could undo what a restore does: drop it first"
                )));
            }
            take_back(cx, options, &Since::default(), details)
        })
    })
}

/// Ends everything that may have been ended since the backup was made.
pub(super) fn take_back(
    cx: &mut Cx<'_, '_>,
    options: Options,
    since: &Since,
    mut details: serde_json::Value,
) -> Result<TakenBack> {
    // Before the accounts' new epoch, into which API tokens follow.
    let taken = tokens::take_back(cx, options.api_tokens, since.tokens.as_deref())?;
    let ended_accounts = if cx.kit.signers.shared().is_some() {
        sessions::distrust(cx)?
    } else {
        // A key that was found compromised since must not sign again, either.
        sessions::rotate(cx, true)?.ended_accounts
    };
    let codes = since.codes.as_deref();
    let done = TakenBack {
        suspended_tokens: taken.suspended,
        revoked_tokens: taken.revoked,
        ended_tokens: taken.ended,
        ended_accounts,
        dropped_mail: outbox::drop_waiting(cx)?,
        spent_codes: factors::still_taken(cx, codes)?,
        all_codes: codes.is_none(),
        forgotten_keys: idempotency::forget_all(cx.tx)?,
    };
    if let Some(details) = details.as_object_mut() {
        let kept = options.api_tokens == ApiTokens::Keep;
        details.insert("kept_tokens".to_owned(), kept.into());
        let done = serde_json::to_value(&done).map_err(Error::internal)?;
        details.insert("taken_back".to_owned(), done);
    }
    audit::record(
        cx,
        Event::new("database.restored", "database").with(details),
    )?;
    Ok(done)
}

/// The database's file, in the place of which the backup `from` is to be put.
///
/// # Errors
/// [`Error::Usage`] with what to do where the server has its own tool.
pub fn live<'c>(config: &'c Config, from: &Path) -> Result<&'c Path> {
    config.db.file().ok_or_else(|| {
        let url = config.db.for_tools().unwrap_or_default();
        // Without a name it reads standard input.
        let from = match from.display().to_string() {
            piped if piped == "-" => String::new(),
            from => format!(" {}", word(&from)),
        };
        Error::Usage(format!(
            "a PostgreSQL database is restored by its own tool: stop the daemons, run: \
             pg_restore --clean --if-exists --single-transaction --dbname='{url}'{from}, and then, \
             before anything else: provost restore --in-place"
        ))
    })
}

/// The staged database, as the program sees it.
pub(super) fn open(staged: &Staged, config: &Config) -> Result<App> {
    let db = DbUrl::Sqlite(staged.database.clone());
    let opened = Db::open(&db, Role::Shell)?;
    // A team's triggers are restored, and undo nothing of what is done here.
    opened.disarm()?;
    let mut config = config.clone();
    config.db = db;
    let keys = Keys::load(&config.key_file)?;
    let mark = opened.read(clock::mark)?;
    let app = App::new(config, keys, opened);
    app.clock().raise(mark);
    Ok(app)
}

/// Everything in one file, and that on the disk.
fn settle(app: App, database: &Path) -> Result<()> {
    app.db().tidy(Tidy::Full)?;
    // The last one to close a database removes its log.
    drop(app);
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(Error::unavailable("the staged database keeps a log"));
    }
    for path in [database, folder_of(database)] {
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(Error::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// A name beside the database that nothing has.
pub(super) fn free_name(live: &Path, now: Timestamp) -> PathBuf {
    let stem = live.file_stem().unwrap_or_default().to_string_lossy();
    let at = compact(now);
    let name = |n: u32| {
        let more = if n == 1 {
            String::new()
        } else {
            format!("-{n}")
        };
        live.with_file_name(format!("{stem}.before-restore-{at}{more}.db"))
    };
    let mut n = 1;
    while name(n).symlink_metadata().is_ok() && n < 1000 {
        n += 1;
    }
    name(n)
}
