//! The types that settings are read into. Parsing is the only way to make one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::time::Period;

/// Where the data lives.
#[derive(Clone, Debug)]
pub enum DbUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server: the whole URL, which may hold a password.
    Postgres(Secret<String>),
}

impl DbUrl {
    /// Reads a path, `sqlite:PATH`, the `sqlite:///RELATIVE`, `sqlite:////ABSOLUTE` and
    /// `sqlite+driver:` forms of `SQLAlchemy`, or a PostgreSQL URL.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return path(text).map(Self::Sqlite);
        };
        let engine = scheme.split_once('+').map_or(scheme, |(engine, _)| engine);
        match engine {
            "sqlite" => {
                // SQLAlchemy's rule, which the URLs of the older token service follow: after an
                // empty host one more slash ends the authority, the rest is the path as it stands.
                let file = match rest.strip_prefix("//") {
                    Some(authority) => authority.strip_prefix('/')?,
                    None => rest,
                };
                if file.contains('?') {
                    return None;
                }
                path(file).map(Self::Sqlite)
            }
            "postgres" | "postgresql" => rest
                .starts_with("//")
                .then(|| Self::Postgres(Secret::new(text.to_owned()))),
            // `mysql://…` is a mistake; `odd:name.db` and `/a:b` are files.
            _ if rest.starts_with("//") || text.starts_with(':') => None,
            _ => path(text).map(Self::Sqlite),
        }
    }

    /// The SQLite file, if that is what it is.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// Where it is, for people: the path, or the URL without its password.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(_) => self.to_string(),
        }
    }

    /// A server's URL as its own tools read it, options included but without a password, and
    /// without what is ours alone: `options`, and the driver in the scheme.
    #[must_use]
    pub fn for_tools(&self) -> Option<String> {
        let Self::Postgres(url) = self else {
            return None;
        };
        let url = url.expose();
        let (before, _, rest) = user_info(url).unwrap_or((url, "", ""));
        let whole = format!("{}{rest}", before.strip_suffix(':').unwrap_or(before));
        let (_, rest) = whole.split_once("://")?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let ours = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            !["", "password", "options"].contains(&name.to_ascii_lowercase().as_str())
        };
        let query: Vec<&str> = query.split('&').filter(ours).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        // A quote would end the word on the shell's line that this goes into.
        let tools = format!("postgresql://{address}{mark}{}", query.join("&"));
        Some(tools.replace('\'', "%27"))
    }

    /// Whether the URL holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => {
                let url = url.expose();
                user_info(url).is_some_and(|(_, password, _)| !password.is_empty())
                    || url.to_ascii_lowercase().contains("password=")
            }
        }
    }
}

impl FromStr for DbUrl {
    type Err = Error;

    /// As the setting `db` is read, but for what a relative path is relative to: the current folder.
    fn from_str(text: &str) -> Result<Self> {
        // The text is not repeated: it may hold a password.
        let url = Self::parse(text).ok_or_else(|| {
            Error::Usage("a database is a path, sqlite:PATH or postgres://USER@HOST/NAME".into())
        })?;
        Ok(match url {
            Self::Sqlite(path) => {
                let path = std::path::absolute(path);
                Self::Sqlite(path.map_err(Error::io("find the current folder"))?)
            }
            Self::Postgres(_) => url,
        })
    }
}

/// A URL cut into what comes before the password, the password, and the rest from `@` on.
fn user_info(url: &str) -> Option<(&str, &str, &str)> {
    let start = url.find("//")? + 2;
    let authority = url.get(start..)?;
    // The last @ of the whole text: a password with an unescaped slash, question mark or @ in it
    // would otherwise be shown in part.
    let at = authority.rfind('@')?;
    let colon = authority.get(..at)?.find(':')?;
    Some((
        url.get(..=start + colon)?,
        authority.get(colon + 1..at)?,
        authority.get(at..)?,
    ))
}

/// The URL without its password: `postgres://app:***@host/db`. Options are left out, too.
impl fmt::Display for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let url = url.expose();
                let (before, stars, rest) = match user_info(url) {
                    Some((before, _, rest)) => (before, "***", rest),
                    None => ("", "", url.as_str()),
                };
                let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
                write!(f, "{before}{stars}{rest}")
            }
        }
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl ListenAddr {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().ok()?;
            return Some(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse().ok().map(Self::Tcp)
    }

    /// Whether another machine could connect to it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// When something is done again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// So long after the last time.
    Every(Period),
    /// At the instants of a cron expression that is known to be one, in UTC.
    Cron(String),
    /// Only when somebody asks for it.
    Never,
}

impl Schedule {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(period) = text.parse::<Period>() {
            return (period.0.as_secs() > 0).then_some(Self::Every(period));
        }
        if text == "never" {
            return Some(Self::Never);
        }
        let cron = text.parse::<croner::Cron>();
        cron.is_ok().then(|| Self::Cron(text.to_owned()))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(period) => write!(f, "{period}"),
            Self::Cron(text) => f.write_str(text),
            Self::Never => f.write_str("never"),
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// A path that does not count on a shell to expand it.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    let refused = text.is_empty()
        || text == ":memory:"
        || text == "~"
        || text.starts_with("~/")
        || text.contains('\0');
    (!refused).then(|| text.into())
}

pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn line(text: &str) -> Option<String> {
    let fits = text.chars().count() <= 500 && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| {
        let address: IpAddr = text.parse().ok()?;
        Some(address.into())
    })
}

/// A host as the `Host` header gives it, in lower case (RFC 9110 §7.2).
pub(super) fn host(text: &str) -> Option<String> {
    let authority: http::uri::Authority = text.parse().ok()?;
    let name = authority.host();
    let port = text.strip_prefix(name)?;
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.parse::<u16>().is_ok() && !digits.starts_with('+'));
    let plain = !name.is_empty() && !text.contains(['@', '*']) && port_fits;
    plain.then(|| text.to_ascii_lowercase())
}

/// An origin as browsers write it: lower case, no default port, no path (RFC 6454 §6.2).
pub(super) fn web_origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let host = host(rest.strip_suffix('/').unwrap_or(rest))?;
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    Some(format!("{scheme}://{host}"))
}

/// A link: a page, and in it the place of the token. A path alone is meant below the public URL.
pub(super) fn link(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\');
    let (before, after) = text.split_once("{token}")?;
    let rest = match before.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme) => rest,
        Some(_) => return None,
        None => before.strip_prefix('/')?,
    };
    let fits = text.len() <= 500
        && !rest.is_empty()
        && !rest.starts_with('/')
        && before.chars().chain(after.chars()).all(plain)
        && !after.contains("{token}");
    fits.then(|| text.to_owned())
}

/// A mailbox (RFC 5322 §3.4).
pub(super) fn mailbox(text: &str) -> Option<String> {
    let fits = line(text).is_some() && text.parse::<lettre::message::Mailbox>().is_ok();
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db(text: &str) -> Option<String> {
        DbUrl::parse(text).map(|url| url.to_string())
    }

    #[test]
    fn a_database_may_be_written_as_a_path_or_as_the_urls_that_people_have() {
        for (text, read) in [
            ("tokens.db", "sqlite:tokens.db"),
            ("/var/tokens.db", "sqlite:/var/tokens.db"),
            ("sqlite:tokens.db", "sqlite:tokens.db"),
            ("sqlite:/var/tokens.db", "sqlite:/var/tokens.db"),
            ("sqlite:///./tokens.db", "sqlite:./tokens.db"),
            ("sqlite:////var/tokens.db", "sqlite:/var/tokens.db"),
            ("sqlite+aiosqlite:///data/t.db", "sqlite:data/t.db"),
        ] {
            assert_eq!(db(text).as_deref(), Some(read), "{text}");
        }
        for text in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite:///",
            "sqlite://host/x.db",
            "sqlite:///:memory:",
            ":memory:",
            "sqlite:///x.db?mode=ro",
            "mysql://u@h/d",
            "postgres:x",
            "~/x.db",
        ] {
            assert_eq!(db(text), None, "{text}");
        }
    }

    #[test]
    fn a_database_password_is_never_shown() {
        for url in [
            "postgres://app:hunter2@db:5432/provost",
            "postgresql+asyncpg://app:hunter2@db/provost?sslmode=require",
            "postgres://app:hunter2/hunter2@db/provost",
            "postgres://app:hunter2?hunter2#@db/provost",
            "postgres://app:hunter2@hunter2@db/provost",
            "postgres://app:hunter2@hunter2/hunter2@db/provost",
            "postgres://db/provost?user=app&password=hunter2",
        ] {
            let parsed = DbUrl::parse(url).unwrap();
            assert!(parsed.has_password(), "{url}");
            let shown = format!("{parsed} {parsed:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("db"), "{shown}");
            assert!(parsed.file().is_none());
        }
        assert!(!DbUrl::parse("postgres://app@db/p").unwrap().has_password());
    }

    #[test]
    fn the_servers_own_tools_get_a_url_that_they_understand_and_no_password() {
        for (url, tools) in [
            ("postgres://app@db/p", "postgresql://app@db/p"),
            (
                "postgresql+asyncpg://app:hunter2@a:1,b/p?sslmode=require&options=-csearch_path%3Dx",
                "postgresql://app@a:1,b/p?sslmode=require",
            ),
            (
                "postgres://db/o'p?Password=hunter2",
                "postgresql://db/o%27p",
            ),
        ] {
            assert_eq!(DbUrl::parse(url).unwrap().for_tools().unwrap(), tools);
        }
        assert_eq!(DbUrl::parse("x.db").unwrap().for_tools(), None);
    }

    #[test]
    fn only_loopback_addresses_and_sockets_are_private() {
        for (text, public) in [
            ("127.0.0.1:80", false),
            ("localhost:80", false),
            ("[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", false),
            ("unix:/run/provost.sock", false),
            ("0.0.0.0:80", true),
            ("[::]:80", true),
            ("10.1.2.3:80", true),
        ] {
            assert_eq!(
                ListenAddr::parse(text).unwrap().is_public(),
                public,
                "{text}"
            );
        }
        for text in [
            "8080",
            ":8080",
            "example.org:80",
            "unix:relative",
            "127.0.0.1",
        ] {
            assert_eq!(ListenAddr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_origin_is_kept_as_browsers_send_it() {
        for (text, read) in [
            ("https://Example.ORG/", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(web_origin(text).as_deref(), Some(read), "{text}");
        }
        for text in [
            "*",
            "null",
            "example.org",
            "ftp://example.org",
            "https://*.example.org",
            "https://example.org/app",
            "https://user@example.org",
            "https://",
            "https://example.org:x",
            "https://example.org:99999",
        ] {
            assert_eq!(web_origin(text), None, "{text}");
        }
    }

    #[test]
    fn a_schedule_is_a_period_or_a_cron_expression() {
        assert!(matches!(Schedule::parse("1h"), Some(Schedule::Every(_))));
        assert!(matches!(
            Schedule::parse("0 */6 * * *"),
            Some(Schedule::Cron(_))
        ));
        for text in ["", "0s", "10ms", "often", "61 * * * *"] {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
