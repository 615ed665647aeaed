//! The one table of settings. Reading them, refusing unknown ones, `config show`, the template of
//! `config init` and the README's table all come from [`SETTINGS`].
//!
//! Invariants: a name is `key` or `section.key`; keys of a section stand together; each default
//! passes its own kind (a test loads them all).

use std::fmt::Write as _;
use std::time::Duration;

use crate::time::Period;

/// One thing that can be configured.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `key` or `section.key`, as in the file.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The value when nobody gives one; several are separated by commas.
    pub default: &'static str,
    /// One line, with the unit where there is one.
    pub help: &'static str,
    /// Another environment variable that sets it.
    pub alias: Option<Alias>,
}

/// An environment variable that another program's users already have.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The variable's name.
    pub name: &'static str,
    /// The unit of a bare number in it: `m` for minutes.
    pub unit: Option<&'static str>,
}

/// What the value of a setting looks like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A path; relative ones in the file are meant from the file's folder.
    Path,
    /// A path or URL of a database. May hold a password, so it is never repeated in an error.
    Database,
    /// One line of text.
    Text,
    /// Yes or no.
    Flag,
    /// A whole number in a range.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A length of time in a range.
    Period {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A length of time or a cron expression.
    Schedule,
    /// An address to listen on, or empty for none.
    Address,
    /// Addresses to listen on, at least one.
    Addresses,
    /// Scheme, host and port of a web site, or empty for none.
    WebOrigin,
    /// Scheme, host and port of web sites.
    WebOrigins,
    /// Networks in CIDR notation, or single addresses.
    Networks,
    /// Host names, with a port or without.
    Hosts,
    /// Where a link leads, with the place of its token, or empty for none.
    Link,
    /// A mailbox: an address, with a name or without, or empty for none.
    Mailbox,
}

/// The TOML type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A string.
    String,
    /// An array of strings; one string stands for an array of one.
    List,
}

impl Kind {
    /// How the file writes it.
    #[must_use]
    pub const fn shape(self) -> Shape {
        match self {
            Self::Flag => Shape::Boolean,
            Self::Number { .. } => Shape::Integer,
            Self::Addresses | Self::WebOrigins | Self::Networks | Self::Hosts => Shape::List,
            Self::Path
            | Self::Database
            | Self::Text
            | Self::Choice(_)
            | Self::Period { .. }
            | Self::Schedule
            | Self::Address
            | Self::WebOrigin
            | Self::Link
            | Self::Mailbox => Shape::String,
        }
    }

    /// Whether it takes several values: an array in the file, commas in a variable.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self.shape(), Shape::List)
    }

    /// What a value must be, to follow "must be".
    #[must_use]
    pub fn allowed(self) -> String {
        const ADDRESS: &str = "an address such as 127.0.0.1:8080, [::1]:8080 or unix:/path";
        const SITE: &str = "like https://example.org or http://127.0.0.1:3000, without a path";
        match self {
            Self::Path => "a path (~ is not expanded)".into(),
            Self::Database => {
                "a path, sqlite:PATH, sqlite:///RELATIVE, sqlite:////ABSOLUTE (no options after ?) or postgres://…"
                    .into()
            }
            Self::Text => "one line of at most 500 characters".into(),
            Self::Flag => "true or false".into(),
            Self::Number { min, max } => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Period { min, max } => format!(
                "a length of time such as 90s, 15m, 12h or 7d, from {} to {}",
                Period(min),
                Period(max)
            ),
            Self::Schedule => "a length of time such as 1h (at least 1s), a cron expression such as \"0 */6 * * *\", or never".into(),
            Self::Address => format!("{ADDRESS}, or empty for none"),
            Self::Addresses => ADDRESS.into(),
            Self::WebOrigin => format!("{SITE}, or empty for none"),
            Self::WebOrigins => SITE.into(),
            Self::Networks => "a network such as 10.0.0.0/8 or an IP address".into(),
            Self::Hosts => "a host name such as example.org or example.org:8443".into(),
            Self::Link => {
                "a page with {token} in it, such as https://example.org/reset#{token}, or /reset#{token} \
                 below server.public_url; empty for none"
                    .into()
            }
            Self::Mailbox => {
                "an address such as accounts@example.org or \"Accounts <accounts@example.org>\", or empty for none"
                    .into()
            }
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);
const DAYS_30: Duration = Duration::from_hours(24 * 30);
const DAYS_365: Duration = Duration::from_hours(24 * 365);
const DAYS_3650: Duration = Duration::from_hours(24 * 3650);

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        kind,
        default,
        help,
        alias: None,
    }
}

const fn number(
    name: &'static str,
    [min, max]: [u64; 2],
    default: &'static str,
    help: &'static str,
) -> Setting {
    setting(name, Kind::Number { min, max }, default, help)
}

const fn period(
    name: &'static str,
    [min, max]: [Duration; 2],
    default: &'static str,
    help: &'static str,
) -> Setting {
    setting(name, Kind::Period { min, max }, default, help)
}

/// Every setting, in the order of the file.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("data_dir", Kind::Path, "", "Folder of the database and the key file; empty: the usual one of this user"),
    setting("db", Kind::Database, "", "Database: a path, sqlite:PATH or postgres://USER@HOST/NAME; empty: provost.db in data_dir").alias("DATABASE_URL", None),
    setting("key_file", Kind::Path, "", "Key file; empty: beside a database outside of data_dir, else provost.key in data_dir"),

    setting("server.listen", Kind::Addresses, "127.0.0.1:8080", "Addresses to listen on; unix:/path for a socket"),
    setting("server.public_url", Kind::WebOrigin, "", "Where clients reach this daemon, for the URLs that it builds"),
    setting("server.behind_proxy", Kind::Flag, "false", "A proxy with TLS stands in front; needed to listen beyond this machine"),
    setting("server.trusted_proxies", Kind::Networks, "", "Networks whose X-Forwarded-For is believed"),
    setting("server.allowed_hosts", Kind::Hosts, "", "Host headers to answer; empty: all"),
    setting("server.cors_origins", Kind::WebOrigins, "", "Web sites whose scripts may call the API"),
    setting("server.metrics_listen", Kind::Address, "", "Own address for /metrics; empty: the same as everything else"),
    setting("server.docs", Kind::Flag, "true", "Serve /docs, /redoc and /openapi.json"),
    number("server.max_connections", [1, 65_536], "2048", "Open connections"),
    number("server.max_connections_per_ip", [1, 65_536], "128", "Open connections of one client address"),
    number("server.max_in_flight", [1, 65_536], "256", "Requests worked on at the same time"),
    period("server.stop_timeout", [Duration::ZERO, Duration::from_mins(5)], "10s", "How long a stop waits for open requests"),

    setting("tls.cert_file", Kind::Path, "", "Certificate chain in PEM, the server's own first; with it every TCP port speaks HTTPS; empty: HTTP"),
    setting("tls.key_file", Kind::Path, "", "Its private key in PEM, a file that only its owner reads; both files are read again on SIGHUP"),

    setting("log.format", Kind::Choice(&["json", "text"]), "json", "How log lines are written"),
    setting("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), "info", "The least important level that is logged"),
    setting("log.access", Kind::Flag, "true", "One log line for each request"),

    setting("app.title", Kind::Text, "provost", "Title of the API's documentation").alias("APP_TITLE", None),
    setting("app.description", Kind::Text, "Temporary tokens: issue, check, expire", "Description of the API's documentation").alias("APP_DESCRIPTION", None),

    period("tokens.temporary_ttl", [SECOND, DAYS_30], "60m", "Life of a temporary token that asks for none").alias("TOKEN_TTL_MINUTES", Some("m")),
    period("tokens.temporary_max", [SECOND, DAYS_30], "30d", "Longest life of a temporary token"),
    period("tokens.api_ttl", [SECOND, DAYS_365], "90d", "Life of an API token that asks for none"),
    period("tokens.api_max", [SECOND, DAYS_365], "365d", "Longest life of an API token, unless it is made to last for ever"),

    setting("auth.registration", Kind::Choice(&["open", "closed", "invitation"]), "open", "Who may make an account: everybody, nobody, or who was invited"),
    period("auth.restore_period", [Duration::ZERO, DAYS_365], "7d", "How long a deleted account can be restored; then what it says of a person is erased"),
    setting("auth.issuer", Kind::Text, "", "Who access tokens say issued them; empty: server.public_url, or provost"),
    setting("auth.audience", Kind::Text, "provost", "Whom access tokens are for"),
    period("auth.access_ttl", [MINUTE, DAY], "30m", "Life of an access token"),
    period("auth.idle", [MINUTE, DAYS_365], "7d", "How long a session lasts without being used"),
    period("auth.admin_idle", [MINUTE, DAYS_365], "12h", "The same for administrators"),
    period("auth.absolute", [MINUTE, DAYS_365], "30d", "How long a session lasts, used or not"),
    period("auth.admin_absolute", [MINUTE, DAYS_365], "7d", "The same for administrators"),
    number("auth.max_sessions", [1, 1000], "20", "Sessions that one user may have; one more ends the oldest"),
    period("auth.refresh_grace", [Duration::ZERO, MINUTE], "10s", "For how long a refresh token that was just used gets the same successor again; 0s: never"),
    setting("auth.reset_url", Kind::Link, "", "Page where somebody chooses a new password; without one, mail holds the token alone"),
    setting("auth.verify_url", Kind::Link, "", "The same, where an e-mail address is confirmed"),
    setting("auth.invitation_url", Kind::Link, "", "The same, where an invited person makes an account"),
    setting("auth.login_url", Kind::Link, "", "The same, where a login link becomes a session"),
    period("auth.link_ttl", [MINUTE, HOUR], "1h", "Life of the links that reset a password or confirm an address"),
    period("auth.login_link_ttl", [MINUTE, HOUR], "15m", "Life of a login link that asks for none"),
    period("auth.invitation_ttl", [MINUTE, DAYS_30], "7d", "Life of an invitation that asks for none"),

    setting("cookies.insecure", Kind::Flag, "false", "Cookies without Secure, for development on this machine"),

    number("password.min_length", [8, 256], "12", "Shortest password, in characters; 8 is the floor (SP 800-63B-4)"),
    number("password.hash_slots", [0, 256], "0", "Passwords hashed at the same time; 0: the number of cores"),

    setting("smtp.host", Kind::Text, "", "Mail server; without one no mail is sent, and links are printed for the operator"),
    number("smtp.port", [0, 65_535], "0", "Its port; 0: 587 for starttls, 465 for tls, 25 for none"),
    setting("smtp.tls", Kind::Choice(&["starttls", "tls", "none"]), "starttls", "How the connection is encrypted; none only for a server on this machine"),
    setting("smtp.username", Kind::Text, "", "Account at the mail server; empty: none is needed"),
    setting("smtp.password_file", Kind::Path, "", "File that holds its password"),
    setting("smtp.from", Kind::Mailbox, "", "From whom mail comes"),
    period("smtp.timeout", [SECOND, MINUTE], "15s", "How long the mail server may take for one answer"),

    setting("compat.token_manager", Kind::Flag, "true", "Serve the routes /app/token, /app/valid and /app/clear"),

    number("courses.attachment_max", [1024, 104_857_600], "10485760", "The largest file of a course, in bytes"),

    number("throttle.issue_per_second", [0, 1_000_000], "50", "Tokens that one client address may have issued in a second without signing in; 0: no limit"),
    number("throttle.issue_burst", [1, 1_000_000], "500", "The same, all at once"),
    number("throttle.api_per_second", [0, 1_000_000], "200", "Requests that one credential may make in a second; 0: no limit"),
    number("throttle.api_burst", [1, 1_000_000], "400", "The same, all at once"),
    number("throttle.login_per_minute", [0, 1_000_000], "10", "Attempts to log in that one client address may make in a minute; 0: no limit"),
    number("throttle.login_burst", [1, 1_000_000], "10", "The same, all at once"),
    number("throttle.register_per_hour", [0, 1_000_000], "20", "Registrations from one client address in an hour; 0: no limit"),
    number("throttle.reset_per_hour", [0, 1_000_000], "20", "Requests for a new password from one client address in an hour; 0: no limit"),
    number("throttle.address_per_hour", [0, 1_000_000], "5", "Messages that strangers may have sent to one e-mail address in an hour; 0: no limit"),
    number("throttle.refresh_per_minute", [0, 1_000_000], "30", "Refreshes of one session in a minute; 0: no limit"),
    number("throttle.spray_names", [0, 1000], "15", "A client address from which logins fail under more names than this is blocked; 0: no limit"),
    period("throttle.spray_window", [SECOND, DAYS_30], "3h", "The time in which they fail"),
    period("throttle.spray_block", [SECOND, DAYS_30], "1h", "How long the address is blocked"),

    setting("purge.schedule", Kind::Schedule, "1h", "When the daemon purges: every so long, or a cron expression (UTC)"),
    period("purge.grace", [Duration::ZERO, DAYS_365], "0s", "How long what has expired is kept"),
    number("purge.batch", [1, 5000], "1000", "Rows deleted in one transaction"),
    period("purge.pause", [Duration::ZERO, MINUTE], "0s", "Rest between two batches"),

    period("audit.retention", [Duration::ZERO, DAYS_3650], "0s", "How long entries of the audit log are kept after they were sealed; 0s: for ever"),

    setting("backup.schedule", Kind::Schedule, "1h", "When the daemon makes a backup of an SQLite database: every so long, a cron expression (UTC), or never"),
    number("backup.keep_hourly", [1, 10_000], "24", "Of its own backups, it keeps the newest of so many hours"),
    number("backup.keep_daily", [0, 10_000], "7", "And the newest of so many days (UTC)"),
    number("backup.keep_weekly", [0, 10_000], "4", "And the newest of so many weeks"),

    setting("jobs.enabled", Kind::Flag, "true", "Run the scheduled jobs in this daemon"),

    period("idempotency.keep", [MINUTE, DAYS_30], "24h", "How long an Idempotency-Key is remembered"),
];

impl Setting {
    const fn alias(mut self, name: &'static str, unit: Option<&'static str>) -> Self {
        self.alias = Some(Alias { name, unit });
        self
    }

    /// The environment variable: `server.listen` is `PROVOST_SERVER_LISTEN`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("PROVOST_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The section (empty at the top of the file) and the key in it.
    #[must_use]
    pub fn split(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// The default as the file would write it.
    #[must_use]
    pub fn default_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self.kind.shape() {
            Shape::Boolean | Shape::Integer => self.default.to_owned(),
            Shape::String => quoted(self.default),
            Shape::List => {
                let items: Vec<String> = items(self.default).map(quoted).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

/// The items of a list written in one text: by commas or lines.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n'])
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// The setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// What was probably meant by `name`, if anything of the kind is known.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &str| {
        let whole = strsim::damerau_levenshtein(name, candidate);
        // A key put outside of its section is as near as its own name is.
        match candidate.split_once('.') {
            Some((_, key)) if !name.contains('.') => {
                whole.min(strsim::damerau_levenshtein(name, key))
            }
            _ => whole,
        }
    };
    let (distance, candidate) = known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    // What all names share says nothing about this one.
    let own = name.strip_prefix("PROVOST_").unwrap_or(name);
    let own = own.split_once('.').map_or(own, |(_, key)| key);
    (distance <= (own.len() / 3).max(1)).then_some(candidate)
}

/// A `provost.toml` that changes nothing: each key in a comment, with its default and its meaning.
#[must_use]
pub fn template() -> String {
    let mut text = String::from(
        "# provost.toml: the settings of provost.\n\
         # Each line shows a default; remove its # and change the value. A flag or an environment\n\
         # variable (named in brackets) wins over this file. Look at the outcome with:\n\
         #   provost config show --origin\n",
    );
    let mut current = "";
    for setting in SETTINGS {
        let (section, key) = setting.split();
        if section != current {
            current = section;
            let _infallible = write!(text, "\n[{section}]");
        }
        let _infallible = write!(
            text,
            "\n# {} [{}]\n#{key} = {}\n",
            setting.help,
            setting.variable(),
            setting.default_toml()
        );
    }
    text
}

/// The table of settings in Markdown, for the README.
#[must_use]
pub fn markdown() -> String {
    let mut text =
        String::from("| key | default | environment | meaning |\n| --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let alias = setting
            .alias
            .map_or(String::new(), |alias| format!(", `{}`", alias.name));
        let _infallible = writeln!(
            text,
            "| `{}` | `{}` | `{}`{alias} | {} |",
            setting.name,
            setting.default_toml(),
            setting.variable(),
            setting.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|setting| setting.name)
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("server.listn", names()), Some("server.listen"));
        assert_eq!(nearest("servr.listen", names()), Some("server.listen"));
        assert_eq!(nearest("listen", names()), Some("server.listen"));
        assert_eq!(nearest("databse", names()), None);
        assert_eq!(nearest("server.deep", names()), None);
        assert_eq!(nearest("PROVOST_FOO", ["PROVOST_DB"]), None);
    }

    #[test]
    fn names_are_unique_and_sections_stand_together() {
        let mut seen: Vec<&str> = Vec::new();
        for setting in SETTINGS {
            let (section, _) = setting.split();
            if seen.last() != Some(&section) {
                assert!(!seen.contains(&section), "{section} is torn apart");
                seen.push(section);
            }
        }
        let mut sorted: Vec<&str> = names().collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), SETTINGS.len());
    }

    #[test]
    fn the_markdown_table_has_a_row_for_each_setting() {
        let text = markdown();
        assert_eq!(text.lines().count(), SETTINGS.len() + 2);
        assert!(
            text.contains("| `tokens.temporary_ttl` | `\"60m\"` | `PROVOST_TOKENS_TEMPORARY_TTL`, `TOKEN_TTL_MINUTES` |"),
            "{text}"
        );
    }
}
