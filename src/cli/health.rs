//! `provost health`: asks a running daemon whether it can do its work. For container health
//! checks, which know only 0 and 1; so every failure but a mistake in the command line is 1.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use super::output::Output;
use super::{Outcome, Site, trust};
use crate::config::{Config, ListenAddr};
use crate::error::{Error, Result};

/// How long to wait for each step of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST: u64 = 64 * 1024;

/// Ask a running daemon whether it is ready; ends with 0 if it is, with 1 if not
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    #[arg(long, value_name = "URL", help = URL)]
    url: Option<String>,
    #[arg(long, value_name = "FILE", help = CA_FILE)]
    ca_file: Option<PathBuf>,
}

const URL: &str = "Where it listens: http://HOST:PORT, https://HOST:PORT or unix:/path [default: the \
    first address of the setting server.listen, env: PROVOST_SERVER_LISTEN]";
const CA_FILE: &str = "Authorities to believe, in PEM, besides the certificate of tls.cert_file \
    [default: those of this machine]";

/// Where to ask, and under which name.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    place: Place,
    host: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Tcp(String),
    Tls(String),
    Unix(PathBuf),
}

impl Health {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let (target, own) = self.target(site, out)?;
        let (status, body) = target.ask(own.as_deref(), self.ca_file.as_deref())?;
        let told: Value = serde_json::from_str(&body).unwrap_or_default();
        if status != 200 {
            return Err(Error::NotReady(reasons(status, &told)));
        }
        if out.format().json {
            out.value(&told)?;
        } else {
            out.message("ready")?;
            for warning in strings(&told, "warnings") {
                out.warn(warning)?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Where to ask, and the certificate that is believed as it is.
    fn target(&self, site: &Site, out: &mut Output) -> Result<(Target, Option<PathBuf>)> {
        let Some(url) = &self.url else {
            let config = site.config(out)?;
            let target = Target::of(&config)?;
            return Ok((target, config.tls.map(|tls| tls.cert_file)));
        };
        let target = Target::of_url(url)?;
        // Whoever names a place and its authorities need not have the daemon's settings.
        let wants = matches!(target.place, Place::Tls(_)) && self.ca_file.is_none();
        let config = wants.then(|| site.config(out)).transpose()?;
        let tls = config.and_then(|config| config.tls);
        Ok((target, tls.map(|tls| tls.cert_file)))
    }
}

fn reasons(status: u16, told: &Value) -> String {
    let reasons = strings(told, "reasons");
    if reasons.is_empty() {
        format!("the answer is {status}")
    } else {
        reasons.join("; ")
    }
}

/// A member of the answer that is a list of sentences.
fn strings<'t>(told: &'t Value, name: &str) -> Vec<&'t str> {
    let all = told.get(name).and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

impl Target {
    fn of_url(url: &str) -> Result<Self> {
        let usage = || {
            Error::Usage("--url must be http://HOST:PORT, https://HOST:PORT or unix:/path".into())
        };
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Self {
                place: Place::Unix(path.into()),
                host: "localhost".into(),
            });
        }
        let (scheme, authority) = url.split_once("://").ok_or_else(usage)?;
        let authority = authority.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '@', ' ']) {
            return Err(usage());
        }
        let ported = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let at = |port: u16| {
            if ported {
                authority.to_owned()
            } else {
                format!("{authority}:{port}")
            }
        };
        let place = match scheme {
            "http" => Place::Tcp(at(80)),
            "https" => Place::Tls(at(443)),
            _ => return Err(usage()),
        };
        Ok(Self {
            place,
            host: authority.to_owned(),
        })
    }

    /// The daemon of this configuration.
    fn of(config: &Config) -> Result<Self> {
        let addresses = &config.server.listen;
        let first = addresses
            .first()
            .ok_or_else(|| Error::internal("no address"))?;
        let (place, usual) = match first {
            ListenAddr::Unix(path) => (Place::Unix(path.clone()), "localhost".to_owned()),
            ListenAddr::Tcp(address) if address.port() == 0 => {
                return Err(Error::Usage(
                    "the port is chosen at each start; say where to ask with --url".into(),
                ));
            }
            ListenAddr::Tcp(address) => {
                let near = near(*address).to_string();
                if config.tls.is_some() {
                    (Place::Tls(near.clone()), near)
                } else {
                    (Place::Tcp(near.clone()), near)
                }
            }
        };
        // A daemon that answers for certain hosts only turns away everybody else.
        let host = config.server.allowed_hosts.first().map(String::as_str);
        // What the certificate is for, should the file hold another one than the daemon has read.
        let public = config.server.public_url.as_deref();
        let public = public.and_then(|url| url.strip_prefix("https://"));
        let host = host.or(public.filter(|_| matches!(place, Place::Tls(_))));
        let host = host.map_or(usual, str::to_owned);
        Ok(Self { place, host })
    }

    fn ask(&self, own: Option<&Path>, ca_file: Option<&Path>) -> Result<(u16, String)> {
        let reaching = || match &self.place {
            Place::Tcp(authority) => Error::io(format!("reach the daemon at http://{authority}")),
            Place::Tls(authority) => Error::io(format!("reach the daemon at https://{authority}")),
            Place::Unix(path) => Error::io(format!("reach the daemon at unix:{}", path.display())),
        };
        let answer = match &self.place {
            Place::Tcp(authority) => connect(authority).and_then(|stream| self.exchange(stream)),
            Place::Tls(authority) => {
                let trust = trust::client(own, ca_file)?;
                connect(authority).and_then(|stream| self.exchange(self.secure(trust, stream)?))
            }
            Place::Unix(path) => UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                self.exchange(stream)
            }),
        };
        let answer = answer.map_err(reaching())?;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        match (status, answer.split_once("\r\n\r\n")) {
            (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
            _ => Err(Error::NotReady("the answer is not HTTP".into())),
        }
    }

    /// The handshake comes with the first byte that is sent.
    fn secure(
        &self,
        trust: ClientConfig,
        stream: TcpStream,
    ) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = match self.host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            Some(_) | None => &self.host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(trust), name);
        let connection = connection.map_err(std::io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    fn exchange(&self, mut stream: impl Read + Write) -> std::io::Result<String> {
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.host
        )?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn connect(authority: &str) -> std::io::Result<TcpStream> {
    let mut last = None;
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))
}

/// An address that reaches a daemon of this machine which listens on all of them.
fn near(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_on_all_addresses_is_asked_on_this_machine() {
        let near = |text: &str| near(text.parse().unwrap()).to_string();
        assert_eq!(near("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(near("[::]:80"), "[::1]:80");
        assert_eq!(near("10.0.0.1:80"), "10.0.0.1:80");
    }

    #[test]
    fn a_url_names_a_place_and_a_host_and_nothing_else() {
        let target = Target::of_url("http://localhost/").unwrap();
        assert_eq!(target.place, Place::Tcp("localhost:80".into()));
        assert_eq!(target.host, "localhost");
        let target = Target::of_url("http://[::1]:8080").unwrap();
        assert_eq!(target.place, Place::Tcp("[::1]:8080".into()));
        let target = Target::of_url("https://[::1]").unwrap();
        assert_eq!(target.place, Place::Tls("[::1]:443".into()));
        for bad in [
            "ftp://x",
            "https://",
            "http://",
            "http://a/b",
            "http://u@h",
            "localhost:80",
        ] {
            assert!(Target::of_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_reasons_of_the_daemon_are_passed_on() {
        let told = serde_json::json!({"status": "unready", "reasons": ["a", "b"]});
        assert_eq!(reasons(503, &told), "a; b");
        assert_eq!(reasons(404, &Value::Null), "the answer is 404");
    }
}
