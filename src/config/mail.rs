//! The settings of mail and of the links in it.

use std::net::IpAddr;
use std::path::PathBuf;

use super::sources::Layers;
use super::values;
use crate::error::{Error, Result};
use crate::time::Period;

/// The mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// The account there, and the file with its password.
    pub login: Option<(String, PathBuf)>,
    /// From whom mail comes: a mailbox.
    pub from: String,
    /// How long one answer may take.
    pub timeout: Period,
}

/// How a connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// It begins in clear text and must go over to TLS (RFC 3207).
    Starttls,
    /// From the first byte on (RFC 8314).
    Tls,
    /// Not at all: on this machine only.
    None,
}

/// Where links lead, and how long they are good.
#[derive(Clone, Debug)]
pub struct Links {
    /// Where a new password is chosen.
    pub reset: Option<String>,
    /// Where an address is confirmed.
    pub verify: Option<String>,
    /// Where an invited person makes an account.
    pub invitation: Option<String>,
    /// Where a login link becomes a session.
    pub login: Option<String>,
    /// Life of the links that reset a password or confirm an address.
    pub ttl: Period,
    /// Life of a login link that asks for none.
    pub login_ttl: Period,
    /// Life of an invitation that asks for none.
    pub invitation_ttl: Period,
}

impl Smtp {
    /// The mail server, if there is one.
    pub(super) fn load(layers: &Layers) -> Result<Option<Self>> {
        let (_, given) = layers.given("smtp.host")?;
        let refuse = |reason: &str| Err(Error::Config(format!("{}: {reason}", given.origin)));
        let username = layers.optional("smtp.username", values::line)?;
        let password_file = layers.path("smtp.password_file")?;
        let from = layers.optional("smtp.from", values::mailbox)?;
        let tls = layers.one("smtp.tls", SmtpTls::parse)?;
        let port = layers.number("smtp.port")?;
        let timeout = layers.period("smtp.timeout")?;
        let Some(host) = layers.optional("smtp.host", values::host)? else {
            return Ok(None);
        };
        if host.contains(':') {
            return refuse("smtp.host is a name without a port; smtp.port has the port");
        }
        let Some(from) = from else {
            return refuse("smtp.host needs smtp.from, the address from which mail comes");
        };
        let login = match (username, password_file) {
            (Some(username), Some(file)) => Some((username, file)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return refuse("smtp.username and smtp.password_file go together");
            }
        };
        if tls == SmtpTls::None && !is_here(&host) {
            return refuse("smtp.tls = none is for a mail server on this machine only");
        }
        Ok(Some(Self {
            host,
            port: if port == 0 { tls.port() } else { port },
            tls,
            login,
            from,
            timeout,
        }))
    }
}

/// Nothing leaves this machine in clear text (security.md, rule 76).
fn is_here(host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

impl SmtpTls {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "starttls" => Some(Self::Starttls),
            "tls" => Some(Self::Tls),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

impl Links {
    /// Each link, whole: what is only a path is put behind `public_url`.
    pub(super) fn load(layers: &Layers, public_url: Option<&str>) -> Result<Self> {
        let link = |name: &'static str| -> Result<Option<String>> {
            let Some(link) = layers.optional(name, values::link)? else {
                return Ok(None);
            };
            if !link.starts_with('/') {
                return Ok(Some(link));
            }
            match public_url {
                Some(url) => Ok(Some(format!("{url}{link}"))),
                None => Err(Error::Config(format!(
                    "{}: {name} is a path, and server.public_url does not say of which site",
                    layers.given(name)?.1.origin
                ))),
            }
        };
        Ok(Self {
            reset: link("auth.reset_url")?,
            verify: link("auth.verify_url")?,
            invitation: link("auth.invitation_url")?,
            login: link("auth.login_url")?,
            ttl: layers.period("auth.link_ttl")?,
            login_ttl: layers.period("auth.login_link_ttl")?,
            invitation_ttl: layers.period("auth.invitation_ttl")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Environment, Sources};

    fn load(variables: &[(&str, &str)]) -> Result<Config> {
        let bare = Environment::bare(Path::new("/nonexistent"));
        let environment = variables.iter().fold(bare, |all, (name, value)| {
            all.with(&format!("PROVOST_{name}"), value)
        });
        Config::load(&Sources::default(), &environment)
    }

    #[test]
    fn without_a_host_there_is_no_mail() {
        assert!(load(&[]).unwrap().smtp.is_none());
    }

    #[test]
    fn a_mail_server_has_the_port_of_its_kind_and_its_password_in_a_file() {
        let common = [
            ("SMTP_HOST", "mail.example.org"),
            ("SMTP_FROM", "a@example.org"),
        ];
        let smtp = load(&common).unwrap().smtp.unwrap();
        assert_eq!((smtp.port, smtp.tls), (587, SmtpTls::Starttls));
        let with = |more: &[(&str, &str)]| load(&[&common[..], more].concat());
        assert_eq!(
            with(&[("SMTP_TLS", "tls")]).unwrap().smtp.unwrap().port,
            465
        );
        let login = [
            ("SMTP_USERNAME", "maria"),
            ("SMTP_PASSWORD_FILE", "/run/secrets/smtp"),
        ];
        let smtp = with(&login).unwrap().smtp.unwrap();
        assert_eq!(smtp.login.unwrap().1, Path::new("/run/secrets/smtp"));
        for bad in [
            &login[..1],
            &login[1..],
            &[("SMTP_TLS", "none")],
            &[("SMTP_FROM", "a b")],
        ] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
        assert!(load(&common[..1]).is_err(), "from nobody");
        let here = [("SMTP_HOST", "127.0.0.1"), ("SMTP_TLS", "none"), common[1]];
        assert_eq!(load(&here).unwrap().smtp.unwrap().port, 25);
    }

    #[test]
    fn a_link_has_one_place_for_its_token_and_a_path_needs_a_site() {
        let site = ("SERVER_PUBLIC_URL", "https://auth.example.org");
        let links = load(&[site, ("AUTH_RESET_URL", "/reset#{token}")])
            .unwrap()
            .links;
        assert_eq!(
            links.reset.unwrap(),
            "https://auth.example.org/reset#{token}"
        );
        let own = "https://example.org/?x=1#t={token}";
        assert_eq!(
            load(&[("AUTH_VERIFY_URL", own)])
                .unwrap()
                .links
                .verify
                .unwrap(),
            own
        );
        for bad in [
            "/reset#{token}",
            "https://example.org/reset",
            "https://example.org/{token}/{token}",
            "javascript://example.org/{token}",
            "//example.org/{token}",
            "reset/{token}",
            "https://example.org/a b{token}",
        ] {
            assert!(load(&[("AUTH_RESET_URL", bad)]).is_err(), "{bad}");
        }
        assert!(load(&[site, ("AUTH_RESET_URL", "//evil.example/{token}")]).is_err());
    }

    #[test]
    fn no_link_lives_longer_than_an_hour_and_no_invitation_longer_than_thirty_days() {
        for (name, value) in [
            ("AUTH_LINK_TTL", "61m"),
            ("AUTH_LOGIN_LINK_TTL", "61m"),
            ("AUTH_INVITATION_TTL", "31d"),
        ] {
            assert!(load(&[(name, value)]).is_err(), "{name}");
        }
    }
}
