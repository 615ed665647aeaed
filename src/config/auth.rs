//! Settings about people who log in.

use super::sources::Layers;
use super::{Origin, values};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::time::Period;

/// Accounts, logins and sessions.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Who may make an account.
    pub registration: Registration,
    /// How long a deleted account can be restored.
    pub restore_period: Period,
    /// Who access tokens say issued them.
    pub issuer: String,
    /// Whom access tokens are for.
    pub audience: String,
    /// Life of an access token.
    pub access_ttl: Period,
    /// The secret that other programs share, to sign access tokens with HS256.
    pub shared_secret: Option<Secret<String>>,
    /// How long a session lasts without being used.
    pub idle: Period,
    /// The same for administrators.
    pub admin_idle: Period,
    /// How long a session lasts, used or not.
    pub absolute: Period,
    /// The same for administrators.
    pub admin_absolute: Period,
    /// Sessions that one user may have at a time.
    pub max_sessions: u32,
    /// For how long a refresh token that was just used gets the same successor again.
    pub refresh_grace: Period,
    /// Cookies without `Secure`, for development on this machine.
    pub insecure_cookies: bool,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    Open,
    /// Nobody but administrators.
    Closed,
    /// Who has an invitation.
    Invitation,
}

impl Registration {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "closed" => Some(Self::Closed),
            "invitation" => Some(Self::Invitation),
            _ => None,
        }
    }
}

/// Shorter secrets could be guessed from a token (RFC 7518 §3.2).
const SHARED: usize = 32;

impl Auth {
    pub(super) fn load(layers: &mut Layers, public_url: Option<&str>) -> Result<Self> {
        let issuer = layers.optional("auth.issuer", values::line)?;
        let issuer = issuer.as_deref().or(public_url).unwrap_or("provost");
        Ok(Self {
            registration: layers.one("auth.registration", Registration::parse)?,
            restore_period: layers.period("auth.restore_period")?,
            issuer: issuer.to_owned(),
            audience: layers.one("auth.audience", values::line)?,
            access_ttl: layers.period("auth.access_ttl")?,
            shared_secret: shared_secret(layers),
            idle: layers.period("auth.idle")?,
            admin_idle: layers.period("auth.admin_idle")?,
            absolute: layers.period("auth.absolute")?,
            admin_absolute: layers.period("auth.admin_absolute")?,
            max_sessions: layers.number("auth.max_sessions")?,
            refresh_grace: layers.period("auth.refresh_grace")?,
            insecure_cookies: layers.one("cookies.insecure", values::flag)?,
        })
    }

    /// Cookies without `Secure` never leave this machine (security.md, rule 34).
    pub(super) fn check(&self, layers: &Layers, reachable: bool) -> Result<()> {
        if self.insecure_cookies && reachable {
            let (_, given) = layers.given("cookies.insecure")?;
            return Err(Error::Config(format!(
                "{}: cookies.insecure is for development on this machine: listen on 127.0.0.1 \
                 only, without server.behind_proxy",
                given.origin
            )));
        }
        Ok(())
    }
}

/// `SECRET_KEY`, if it is fit to sign with.
fn shared_secret(layers: &mut Layers) -> Option<Secret<String>> {
    let (secret, origin) = layers.secret_key.take()?;
    if secret.expose().len() < SHARED {
        layers.warnings.push(format!(
            "{origin} is too short to sign with ({SHARED} characters are needed) and not used: \
             access tokens are signed with EdDSA"
        ));
        return None;
    }
    if let Origin::Variable(name) = &origin {
        layers.warnings.push(format!(
            "{name} signs access tokens (HS256) and other processes may see it; use {name}_FILE"
        ));
    }
    Some(secret)
}
