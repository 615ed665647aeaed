//! Where the server is and how it is reached: the URL, TLS, and what every connection is told
//! first (security.md, rule 81).

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::Failure;
use super::health::Health;
use super::hosts::{Hosts, name};
use crate::error::{Error, Result};

/// How long one address may take to accept a connection, at most.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a connection may take in all, over every host, each of which has its part of it.
const REACH: Duration = Duration::from_secs(4);

/// What a connection is for, which decides what it may do and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Answering requests: reads only.
    Read,
    /// Answering requests: writes.
    Write,
    /// A command, which may walk a whole table.
    Shell,
    /// A command that reads or fills everything, one statement waiting for another's database.
    Whole,
    /// A command that reads another program's database.
    Foreign,
}

impl Purpose {
    /// How long the server works on a statement before it gives up (rule 81); zero is for ever.
    fn statement_timeout(self) -> Duration {
        match self {
            Self::Read | Self::Write => Duration::from_secs(5),
            Self::Shell => Duration::from_secs(30),
            Self::Whole | Self::Foreign => Duration::ZERO,
        }
    }

    /// How long an answer is waited for. A server that was stopped never gives one; who waits for
    /// the daemon is told so within five seconds.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Read | Self::Write => Duration::from_millis(4500),
            Self::Shell => Duration::from_secs(32),
            Self::Whole | Self::Foreign => Duration::from_hours(1),
        }
    }

    /// How long a transaction may wait for its next statement; zero is for ever.
    fn idle_timeout(self) -> Duration {
        match self {
            Self::Read | Self::Write | Self::Shell => Duration::from_secs(10),
            Self::Whole | Self::Foreign => Duration::ZERO,
        }
    }
}

/// A server, or several of which one can be written to.
#[derive(Clone)]
pub(super) struct Server {
    hosts: Arc<Hosts>,
    tls: Option<MakeRustlsConnect>,
    health: Arc<Health>,
}

impl fmt::Debug for Server {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.hosts.names()).finish()
    }
}

impl Server {
    /// Reads a URL: `postgres://user@host1,host2/db?target_session_attrs=read-write`.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (url, options) = split(url)?;
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            // The text itself may hold a password.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Error::Config(format!(
                "db is not a PostgreSQL URL: {}",
                cause.unwrap_or_default()
            ))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        let near = config.get_hosts().iter().all(is_near)
            && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let encrypted = match (options.sslmode.as_deref(), near) {
            (None, near) => !near,
            (Some("disable"), true) => false,
            (Some("disable"), false) => {
                return Err(Error::Config(
                    "sslmode=disable is only for a server on this machine; use verify-full".into(),
                ));
            }
            // Whoever asks for less than a proof of the server's name gets the proof.
            (Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full"), _) => true,
            (Some(other), _) => {
                return Err(Error::Config(format!(
                    "sslmode={} is none of disable, verify-full",
                    crate::escape::line(other)
                )));
            }
        };
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
        config
            .application_name(format!("provost pid {}", std::process::id()))
            .connect_timeout(CONNECT.min(share(hosts)))
            .tcp_user_timeout(REACH)
            .keepalives_idle(Duration::from_secs(10))
            // What is written on the one and read on the other would be a revoked token that is
            // still good: reads for security never come from a replica.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .ssl_mode(if encrypted {
                SslMode::Require
            } else {
                SslMode::Disable
            });
        let tls = encrypted
            .then(|| tls(options.sslrootcert.as_deref()))
            .transpose()?;
        Ok(Self {
            hosts: Arc::new(Hosts::of(&config)?),
            tls,
            health: Arc::default(),
        })
    }

    /// The same for another program's database, where a standby that is not written to does as
    /// well.
    pub(super) fn of_another(self) -> Self {
        Self {
            hosts: Arc::new(self.hosts.of_another()),
            ..self
        }
    }

    /// Opens a connection that `runtime` drives, and tells it what it is for.
    pub(super) fn connect(&self, runtime: &Runtime, purpose: Purpose) -> Result<Client> {
        let opened = runtime.block_on(self.open(purpose));
        opened.map(|(client, _)| client)
    }

    /// Opens a connection that the runtime of the caller drives. The handle cuts it off. Outside of
    /// a transaction that says so it writes nothing: a `BEGIN` is not waited for, and should it fail
    /// alone, what follows must not stand by itself.
    pub(super) async fn open(&self, purpose: Purpose) -> Result<(Client, AbortHandle)> {
        let share = share(self.hosts.len());
        let (mut refusals, mut crowded) = (Vec::new(), false);
        for (place, host) in self.hosts.in_turn() {
            // Each has a deadline of its own, to its first answers: one that takes connections and
            // says nothing must not be in the way of the others.
            let opened = timeout(share, self.open_at(host, purpose)).await;
            let error = match opened {
                Ok(Ok(opened)) => {
                    self.hosts.prefer(place);
                    self.health.opened();
                    return Ok(opened);
                }
                Ok(Err(error)) => {
                    crowded |= error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS);
                    refused(&name(host), purpose, error)
                }
                Err(_elapsed) => {
                    let place = name(host);
                    Error::unavailable(format!("PostgreSQL at {place}: it does not answer"))
                }
            };
            refusals.push(error);
        }
        let error = all(refusals);
        if crowded {
            self.health.crowded(&error);
        } else {
            self.health.lost(&error);
        }
        Err(error)
    }

    /// Has the server give up what it does on this connection, if it can be told so soon.
    pub(super) async fn cancel(&self, client: &Client) {
        let token = client.cancel_token();
        let told = async {
            match &self.tls {
                Some(tls) => token.cancel_query(tls.clone()).await,
                None => token.cancel_query(NoTls).await,
            }
        };
        let _untold = timeout(CONNECT, told).await;
    }

    async fn open_at(
        &self,
        host: &Config,
        purpose: Purpose,
    ) -> Result<(Client, AbortHandle), tokio_postgres::Error> {
        let (client, driver) = if let Some(tls) = &self.tls {
            dial(host, tls.clone()).await?
        } else {
            dial(host, NoTls).await?
        };
        client.batch_execute(&greeting(purpose)).await?;
        Ok((client, driver))
    }
}

/// What several hosts have said, the last of which decides what it means.
fn all(mut refusals: Vec<Error>) -> Error {
    match refusals.pop() {
        Some(Error::Unavailable(last)) if !refusals.is_empty() => {
            let others = refusals.iter().map(|error| {
                if let Error::Config(text) = error {
                    text.clone()
                } else {
                    error.causes()
                }
            });
            let told: Vec<String> = others.chain([last.to_string()]).collect();
            Error::unavailable(told.join("; "))
        }
        Some(error) => error,
        None => Error::internal("a server without a host"),
    }
}

async fn dial<T>(config: &Config, tls: T) -> Result<(Client, AbortHandle), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, connection) = config.connect(tls).await?;
    // How it ends is told to whoever asks it next.
    let driver = tokio::spawn(connection).abort_handle();
    Ok((client, driver))
}

/// How long one of so many hosts may take: the last one has its turn, too.
fn share(hosts: usize) -> Duration {
    REACH / u32::try_from(hosts).unwrap_or(u32::MAX).max(1)
}

/// What a connection is told first.
fn greeting(purpose: Purpose) -> String {
    let statement = purpose.statement_timeout().as_millis();
    let idle = purpose.idle_timeout().as_millis();
    format!(
        "SET statement_timeout = {statement};
         SET lock_timeout = 2000;
         SET idle_in_transaction_session_timeout = {idle};
         SET default_transaction_isolation = 'read committed';
         SET default_transaction_read_only = on;
         SET client_min_messages = warning;
         SELECT set_config('synchronous_commit', 'on', false)
           WHERE current_setting('synchronous_commit') IN ('off', 'local');"
    )
}

/// Why a connection to `place` could not be opened: what the operator must change, or what will
/// pass.
fn refused(place: &str, purpose: Purpose, error: tokio_postgres::Error) -> Error {
    let Some(told) = error.as_db_error() else {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        let advice = if cause.ends_with("password missing") && purpose == Purpose::Foreign {
            "; put the URL with it into a file that only you can read, and name that by --dsn-file"
        } else if cause.ends_with("password missing") {
            "; put the URL with it into a file that only you can read, and its path into PROVOST_DB_FILE"
        } else if cause.ends_with("server does not support TLS") {
            "; use its Unix socket, or a tunnel to this machine"
        } else if cause.starts_with("invalid configuration") {
            ""
        } else {
            return Error::unavailable(format!("PostgreSQL at {place}: {cause}"));
        };
        return Error::Config(format!("PostgreSQL at {place}: {cause}{advice}"));
    };
    let message = told.message();
    match told.code().code().get(..2) {
        Some("3D") if purpose != Purpose::Foreign => Error::Config(format!(
            "PostgreSQL at {place}: {message}; {}",
            super::CREATE
        )),
        // Wrong password, no such role, not allowed to connect.
        Some("28" | "3D" | "42") => Error::Config(format!("PostgreSQL at {place}: {message}")),
        Some("53" | "57") => Error::unavailable(format!("PostgreSQL at {place}: {message}")),
        _ => Failure::of(&error).error(error),
    }
}

/// What the URL says that the library does not understand.
#[derive(Debug, Default)]
struct Options {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
}

/// Takes our own options out of the URL, and what `SQLAlchemy` adds to the scheme.
fn split(url: &str) -> Result<(String, Options)> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| Error::Config("db is not a PostgreSQL URL".into()))?;
    let scheme = scheme.split_once('+').map_or(scheme, |(engine, _)| engine);
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut options = Options::default();
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let mut decoded = form_urlencoded::parse(pair.as_bytes());
        match decoded.next() {
            Some((name, value)) if name == "sslmode" => options.sslmode = Some(value.into_owned()),
            Some((name, value)) if name == "sslrootcert" => {
                options.sslrootcert = Some(value.into_owned());
            }
            Some(_) | None => kept.push(pair),
        }
    }
    let query = kept.join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    Ok((format!("{scheme}://{address}{mark}{query}"), options))
}

/// Whether what is sent there does not leave this machine.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    }
}

/// TLS that proves the server's name: by the machine's authorities, or by those in `file`.
fn tls(file: Option<&str>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let text = fs::read(file).map_err(Error::io(format!("read {file}")))?;
            let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
            roots.add_parsable_certificates(found);
            if roots.is_empty() {
                return Err(Error::Config(format!("{file} holds no certificate")));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Server::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_and_the_server_proves_its_name() {
        for (url, encrypted) in [
            ("postgres://app@localhost/db", false),
            ("postgres://app@127.0.0.1:5433/db", false),
            ("postgres://app@%2Fvar%2Frun%2Fpostgresql/db", false),
            ("postgres://app@localhost/db?sslmode=verify-full", true),
            ("postgres://app@db.example.org/db", true),
            ("postgres://app@127.0.0.1,db.example.org/db", true),
            (
                "postgresql+asyncpg://app@db.example.org/db?sslmode=prefer",
                true,
            ),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!(server.tls.is_some(), encrypted, "{url}");
            for (_, host) in server.hosts.in_turn() {
                assert_eq!(host.get_ssl_mode() == SslMode::Require, encrypted, "{url}");
            }
        }
        let plain = refusal("postgres://app@db.example.org/db?sslmode=disable");
        assert!(
            plain.contains("only for a server on this machine"),
            "{plain}"
        );
        let odd = refusal("postgres://app@localhost/db?sslmode=maybe");
        assert!(odd.contains("sslmode=maybe"), "{odd}");
    }

    #[test]
    fn a_url_that_makes_no_sense_is_refused_without_repeating_it() {
        for url in [
            "postgres://app:hunter2@localhost:port/db",
            "postgres://app:hunter2@localhost/db?colour=hunter2",
            "postgres://app:hunter2@localhost/db?sslrootcert=/nonexistent&sslmode=require",
        ] {
            assert!(!refusal(url).contains("hunter2"), "{}", refusal(url));
            let debug = format!("{:?}", Server::parse(url));
            assert!(!debug.contains("hunter2"), "{debug}");
        }
    }

    #[test]
    fn of_many_hosts_that_do_not_answer_the_last_is_tried_in_time() {
        for many in 1..9 {
            let hosts = vec!["h"; many].join(",");
            let server = Server::parse(&format!("postgres://app@{hosts}/db")).unwrap();
            assert!(share(many) * u32::try_from(many).unwrap() <= REACH);
            for (_, host) in server.hosts.in_turn() {
                let connect = *host.get_connect_timeout().unwrap();
                assert_eq!(connect, CONNECT.min(share(many)));
            }
        }
    }

    #[test]
    fn of_several_hosts_all_refusals_are_told_and_the_last_decides() {
        let away = || Error::unavailable("a: gone");
        let wrong = || Error::Config("b: no such role".into());
        let told = all(vec![wrong(), away()]);
        assert!(matches!(told, Error::Unavailable(_)), "{told:?}");
        assert_eq!(told.causes(), "b: no such role; a: gone");
        assert!(matches!(all(vec![away(), wrong()]), Error::Config(_)));
    }

    #[test]
    fn several_hosts_may_be_named_and_the_one_that_takes_writes_is_used() {
        let server =
            Server::parse("postgres://app@127.0.0.1:1,[::1]:2/db?target_session_attrs=any");
        let server = server.unwrap();
        assert_eq!(server.hosts.len(), 2);
        for (_, host) in server.hosts.in_turn() {
            let wanted = TargetSessionAttrs::ReadWrite;
            assert_eq!(host.get_target_session_attrs(), wanted);
        }
    }
}
