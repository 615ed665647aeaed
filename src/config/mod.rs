//! The configuration: defaults < `provost.toml` < environment < flags, read once into one struct.
//!
//! Invariants: a [`Config`] that exists is valid, each value by itself and all of them together;
//! it remembers where each value came from; no error or row of it shows a password.

mod audit;
mod auth;
mod backups;
mod file;
mod mail;
mod read;
pub mod settings;
mod sources;
mod throttle;
mod tls;
mod values;

use std::path::{Component, Path, PathBuf};

use ipnet::IpNet;

pub use self::audit::Audit;
pub use self::auth::{Auth, Registration};
pub use self::backups::Backups;
pub use self::mail::{Links, Smtp, SmtpTls};
pub use self::settings::{SETTINGS, Setting};
#[cfg(test)]
pub(crate) use self::sources::test_server;
pub use self::sources::{Environment, Origin, Sources, arguments};
pub use self::throttle::Throttle;
pub use self::tls::Tls;
pub use self::values::{DbUrl, ListenAddr, LogFormat, Schedule};

use self::sources::Layers;
use crate::error::{Error, Result};
use crate::time::Period;

/// All settings. What each means, its unit and its limits: [`SETTINGS`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read, if there is one.
    pub config_file: Option<PathBuf>,
    /// Folder of the database and the key file; absolute.
    pub data_dir: PathBuf,
    /// The database; an SQLite path is absolute.
    pub db: DbUrl,
    /// The key file; absolute.
    pub key_file: PathBuf,
    /// `[server]`
    pub server: Server,
    /// `[tls]`, if both of its files are named.
    pub tls: Option<Tls>,
    /// `[log]`
    pub log: Log,
    /// `[app]`
    pub app: Labels,
    /// `[auth]` and `[cookies]`
    pub auth: Auth,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[password]`
    pub password: Passwords,
    /// The links of `[auth]`
    pub links: Links,
    /// `[smtp]`, if there is a mail server
    pub smtp: Option<Smtp>,
    /// `[compat]`
    pub compat: Compat,
    /// `[courses]`
    pub courses: Courses,
    /// `[throttle]`
    pub throttle: Throttle,
    /// `[purge]`
    pub purge: Purge,
    /// `[audit]`
    pub audit: Audit,
    /// `[backup]`
    pub backup: Backups,
    /// `[jobs]`
    pub jobs: Jobs,
    /// `[idempotency]`
    pub idempotency: Idempotency,
    /// What the operator should know, though it does not stop the program.
    pub warnings: Vec<String>,
    rows: Vec<SettingRow>,
}

/// The HTTP daemon.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where to listen; never empty.
    pub listen: Vec<ListenAddr>,
    /// Scheme, host and port by which clients reach the daemon, without a slash at the end.
    pub public_url: Option<String>,
    /// A proxy with TLS stands in front.
    pub behind_proxy: bool,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `Host` values to answer, in lower case; empty for all.
    pub allowed_hosts: Vec<String>,
    /// Origins that may call from a browser, exactly as browsers send them.
    pub cors_origins: Vec<String>,
    /// An address for `/metrics` alone.
    pub metrics_listen: Option<ListenAddr>,
    /// Whether to serve the documentation.
    pub docs: bool,
    /// Open connections.
    pub max_connections: usize,
    /// Open connections of one client address.
    pub max_connections_per_ip: usize,
    /// Requests worked on at the same time.
    pub max_in_flight: usize,
    /// How long a stop waits for open requests.
    pub stop_timeout: Period,
}

/// The operational log.
#[derive(Clone, Debug)]
pub struct Log {
    /// JSON or text.
    pub format: LogFormat,
    /// The least important level that is logged.
    pub level: tracing::Level,
    /// One line for each request.
    pub access: bool,
}

/// How the API calls itself.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Title of the documentation.
    pub title: String,
    /// Description in the documentation.
    pub description: String,
}

/// Lives of tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// A temporary token that asks for none.
    pub temporary_ttl: Period,
    /// The longest for a temporary token.
    pub temporary_max: Period,
    /// An API token that asks for none.
    pub api_ttl: Period,
    /// The longest for an API token, other than `never`.
    pub api_max: Period,
}

/// Rules for passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Shortest password, in Unicode code points.
    pub min_length: usize,
    /// Passwords hashed at the same time; `None` for the number of cores.
    pub hash_slots: Option<usize>,
}

/// Routes of the programs that came before.
#[derive(Clone, Debug)]
pub struct Compat {
    /// Serve the temporary-token manager's routes.
    pub token_manager: bool,
}

/// What there is to learn.
#[derive(Clone, Debug)]
pub struct Courses {
    /// The largest file of a course, in bytes.
    pub attachment_max: usize,
}

/// Removal of what has expired.
#[derive(Clone, Debug)]
pub struct Purge {
    /// When the daemon does it.
    pub schedule: Schedule,
    /// How long what has expired is kept.
    pub grace: Period,
    /// Rows in one transaction: 1 to 5000.
    pub batch: u32,
    /// Rest between two batches.
    pub pause: Period,
}

/// Scheduled jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// Whether this daemon runs them.
    pub enabled: bool,
}

/// `Idempotency-Key`.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// How long a key is remembered.
    pub keep: Period,
}

/// A line of `config show`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SettingRow {
    /// The setting's name.
    pub name: &'static str,
    /// Its value; items of a list are separated by commas, a password is `***`.
    pub value: String,
    /// `default`, `FILE:LINE`, a variable's or a flag's name.
    pub origin: String,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file and line, the variable or the flag at fault;
    /// [`Error::Io`] if a file that is there cannot be read.
    pub fn load(sources: &Sources, environment: &Environment) -> Result<Self> {
        let mut layers = Layers::gather(sources, environment)?;
        let data_dir = match (layers.path("data_dir")?, &environment.data_dir) {
            (Some(path), _) => path,
            (None, Some(usual)) => absolute(usual.clone())?,
            (None, None) => {
                return Err(Error::Config(
                    "this user has no home folder; say where the data is with --data-dir".into(),
                ));
            }
        };
        let db = match layers.optional("db", DbUrl::parse)? {
            Some(DbUrl::Sqlite(path)) => DbUrl::Sqlite(layers.place("db", path)?),
            Some(url @ DbUrl::Postgres(_)) => url,
            None => DbUrl::Sqlite(data_dir.join("provost.db")),
        };
        let key_file = layers
            .path("key_file")?
            .or_else(|| beside(&db, &data_dir))
            .unwrap_or_else(|| data_dir.join("provost.key"));
        let server = Server::load(&layers)?;
        let auth = Auth::load(&mut layers, server.public_url.as_deref())?;
        let links = Links::load(&layers, server.public_url.as_deref())?;
        let mut config = Self {
            rows: Vec::new(),
            warnings: layers.warnings.clone(),
            config_file: layers.config_file.clone(),
            data_dir,
            db,
            key_file,
            server,
            tls: Tls::load(&layers)?,
            log: Log {
                format: layers.one("log.format", LogFormat::parse)?,
                level: layers.one("log.level", level)?,
                access: layers.one("log.access", values::flag)?,
            },
            app: Labels {
                title: layers.one("app.title", values::line)?,
                description: layers.one("app.description", values::line)?,
            },
            auth,
            tokens: Tokens {
                temporary_ttl: layers.period("tokens.temporary_ttl")?,
                temporary_max: layers.period("tokens.temporary_max")?,
                api_ttl: layers.period("tokens.api_ttl")?,
                api_max: layers.period("tokens.api_max")?,
            },
            password: Passwords {
                min_length: layers.number("password.min_length")?,
                hash_slots: Some(layers.number("password.hash_slots")?).filter(|slots| *slots > 0),
            },
            links,
            smtp: Smtp::load(&layers)?,
            compat: Compat {
                token_manager: layers.one("compat.token_manager", values::flag)?,
            },
            courses: Courses {
                attachment_max: layers.number("courses.attachment_max")?,
            },
            throttle: Throttle {
                issue_per_second: layers.number("throttle.issue_per_second")?,
                issue_burst: layers.number("throttle.issue_burst")?,
                api_per_second: layers.number("throttle.api_per_second")?,
                api_burst: layers.number("throttle.api_burst")?,
                login_per_minute: layers.number("throttle.login_per_minute")?,
                login_burst: layers.number("throttle.login_burst")?,
                register_per_hour: layers.number("throttle.register_per_hour")?,
                reset_per_hour: layers.number("throttle.reset_per_hour")?,
                address_per_hour: layers.number("throttle.address_per_hour")?,
                refresh_per_minute: layers.number("throttle.refresh_per_minute")?,
                spray_names: layers.number("throttle.spray_names")?,
                spray_window: layers.period("throttle.spray_window")?,
                spray_block: layers.period("throttle.spray_block")?,
            },
            purge: Purge {
                schedule: layers.one("purge.schedule", Schedule::parse)?,
                grace: layers.period("purge.grace")?,
                batch: layers.number("purge.batch")?,
                pause: layers.period("purge.pause")?,
            },
            audit: Audit::load(&layers)?,
            backup: Backups::load(&layers)?,
            jobs: Jobs {
                enabled: layers.one("jobs.enabled", values::flag)?,
            },
            idempotency: Idempotency {
                keep: layers.period("idempotency.keep")?,
            },
        };
        config.check(&layers)?;
        config.rows = config.describe(&layers)?;
        Ok(config)
    }

    /// Each setting with its value and where that came from, in the order of [`SETTINGS`].
    #[must_use]
    pub fn rows(&self) -> &[SettingRow] {
        &self.rows
    }

    /// The text of a `provost.toml` that changes nothing, for `config init`.
    #[must_use]
    pub fn template() -> String {
        settings::template()
    }

    fn describe(&self, layers: &Layers) -> Result<Vec<SettingRow>> {
        let row = |setting: &'static Setting| {
            let (_, given) = layers.given(setting.name)?;
            Ok(SettingRow {
                name: setting.name,
                value: match setting.name {
                    "data_dir" => self.data_dir.display().to_string(),
                    "db" => self.db.to_string(),
                    "key_file" => self.key_file.display().to_string(),
                    _ => given.values.join(", "),
                },
                origin: given.origin.to_string(),
            })
        };
        SETTINGS.iter().map(row).collect()
    }

    /// The rules between settings.
    fn check(&mut self, layers: &Layers) -> Result<()> {
        let tokens = &self.tokens;
        for (ttl, max, ttl_name, max_name) in [
            (
                tokens.temporary_ttl,
                tokens.temporary_max,
                "tokens.temporary_ttl",
                "tokens.temporary_max",
            ),
            (
                tokens.api_ttl,
                tokens.api_max,
                "tokens.api_ttl",
                "tokens.api_max",
            ),
        ] {
            if ttl > max {
                return Err(Error::Config(format!(
                    "{}: {ttl_name} ({ttl}) must not be longer than {max_name} ({max})",
                    layers.blame(&[ttl_name, max_name])?
                )));
            }
        }
        self.check_exposure(layers)?;
        let reachable =
            self.server.behind_proxy || self.server.listen.iter().any(ListenAddr::is_public);
        self.auth.check(layers, reachable)?;
        if self.server.behind_proxy && self.server.trusted_proxies.is_empty() {
            self.warnings.push(
                "server.behind_proxy is set without server.trusted_proxies: \
                 all clients of the proxy count as one address"
                    .into(),
            );
        }
        self.check_password(layers)
    }

    /// Nothing leaves this machine in clear text (security.md, rule 76).
    fn check_exposure(&self, layers: &Layers) -> Result<()> {
        if self.server.behind_proxy || self.tls.is_some() {
            return Ok(());
        }
        let metrics = self.server.metrics_listen.iter();
        let addresses = self
            .server
            .listen
            .iter()
            .map(|address| ("server.listen", address))
            .chain(metrics.map(|address| ("server.metrics_listen", address)));
        for (name, address) in addresses {
            if address.is_public() {
                let (_, given) = layers.given(name)?;
                return Err(Error::Config(format!(
                    "{}: {name} {address} can be reached from other machines without TLS; listen on \
                     127.0.0.1, name a certificate with tls.cert_file and tls.key_file, or put a \
                     proxy with TLS in front and set server.behind_proxy = true \
                     (PROVOST_SERVER_BEHIND_PROXY=true)",
                    given.origin
                )));
            }
        }
        Ok(())
    }

    /// A database password comes from a file that only its owner reads (security.md, rule 72).
    fn check_password(&mut self, layers: &Layers) -> Result<()> {
        if !self.db.has_password() {
            return Ok(());
        }
        let (_, given) = layers.given("db")?;
        match &given.origin {
            Origin::File { path, .. } if layers.readable_by_others => {
                let path = path.display();
                return Err(Error::Config(format!(
                    "{}: db holds a password and other users may read it; run: chmod 600 {path}",
                    given.origin
                )));
            }
            // Everybody on the machine reads a command line.
            Origin::Flag(_) => {
                return Err(Error::Config(format!(
                    "{} must not hold a password; put the URL into a file that only you can read, \
                     and its path into PROVOST_DB_FILE",
                    given.origin
                )));
            }
            Origin::Variable(_) => self.warnings.push(format!(
                "{} holds a password that other processes may see; use PROVOST_DB_FILE",
                given.origin
            )),
            Origin::Default | Origin::File { .. } | Origin::VariableFile(..) => {}
        }
        Ok(())
    }
}

impl Server {
    fn load(layers: &Layers) -> Result<Self> {
        Ok(Self {
            listen: layers.list("server.listen", ListenAddr::parse)?,
            public_url: layers.optional("server.public_url", values::web_origin)?,
            behind_proxy: layers.one("server.behind_proxy", values::flag)?,
            trusted_proxies: layers.list("server.trusted_proxies", values::network)?,
            allowed_hosts: layers.list("server.allowed_hosts", values::host)?,
            cors_origins: layers.list("server.cors_origins", values::web_origin)?,
            metrics_listen: layers.optional("server.metrics_listen", ListenAddr::parse)?,
            docs: layers.one("server.docs", values::flag)?,
            max_connections: layers.number("server.max_connections")?,
            max_connections_per_ip: layers.number("server.max_connections_per_ip")?,
            max_in_flight: layers.number("server.max_in_flight")?,
            stop_timeout: layers.period("server.stop_timeout")?,
        })
    }
}

fn level(text: &str) -> Option<tracing::Level> {
    // tracing's own parser takes numbers and capitals, too.
    let lower = text.chars().all(|letter| letter.is_ascii_lowercase());
    lower.then(|| text.parse().ok())?
}

/// The key file of a database that was put outside of the data folder: whoever moves the one or
/// points at it finds the other.
fn beside(db: &DbUrl, data_dir: &Path) -> Option<PathBuf> {
    let DbUrl::Sqlite(path) = db else {
        return None;
    };
    let inside = path
        .strip_prefix(data_dir)
        .is_ok_and(|rest| !rest.components().any(|part| part == Component::ParentDir));
    let key_file = path.with_extension("key");
    (!inside && key_file != *path).then_some(key_file)
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io("find the current folder"))
}

#[cfg(test)]
mod tests;
