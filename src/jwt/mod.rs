//! Access tokens: JSON Web Tokens of one profile (RFC 9068), signed by our own keys only.
//!
//! Invariants: the algorithm comes from our record of the key, never from the token (RFC 8725
//! §3.1); a header has exactly `alg`, `typ` and `kid`; what is checked comes in the order length,
//! signature, claims; no claim is about a person beyond its id. A good token proves only who it was
//! issued to: whether that still holds is asked of the database each time.

mod parse;
mod signers;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::secret::Secret;
use crate::time::Timestamp;

pub use parse::Parsed;
pub use signers::{Signers, Token};

/// Clocks may differ by so much.
const LEEWAY: Duration = Duration::from_secs(5);

/// The media type of an access token (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";

/// What an access token says (RFC 7519 §4.1, RFC 9068 §2.2). Times are seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom.
    #[serde(deserialize_with = "parse::audience")]
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// The session's id.
    pub sid: String,
    /// Its own id.
    pub jti: String,
    /// When it was issued.
    pub iat: i64,
    /// Since when it is good.
    pub nbf: i64,
    /// Until when it is good.
    pub exp: i64,
}

/// What a token must say to be one of ours.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The audience.
    pub audience: &'a str,
    /// The longest life.
    pub ttl: Duration,
}

impl Claims {
    /// Whether they are as `expected` at `now` (security.md, rule 21).
    #[must_use]
    pub fn hold(&self, expected: &Expected<'_>, now: Timestamp) -> bool {
        let now = now.0.div_euclid(1000);
        let leeway = seconds(LEEWAY);
        let life = self.exp.checked_sub(self.iat);
        self.iss == expected.issuer
            && self.aud == expected.audience
            && life.is_some_and(|life| (1..=seconds(expected.ttl)).contains(&life))
            && self.iat <= now.saturating_add(leeway)
            && self.nbf <= now.saturating_add(leeway)
            && now < self.exp.saturating_add(leeway)
            && uuid::Uuid::try_parse(&self.sid).is_ok_and(|id| {
                let mut text = uuid::Uuid::encode_buffer();
                *id.hyphenated().encode_lower(&mut text) == *self.sid
            })
    }
}

fn seconds(period: Duration) -> i64 {
    i64::try_from(period.as_secs()).unwrap_or(i64::MAX)
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037): others verify with the public key.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// HMAC-SHA-256 with a secret that verifier and signer share (RFC 7518 §3.2).
    #[serde(rename = "HS256")]
    Hs256,
}

impl Algorithm {
    /// As in the header of a JWT.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    const fn inner(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

impl std::str::FromStr for Algorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::EdDsa, Self::Hs256];
        let found = all.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| Error::internal(format!("algorithm {text}")))
    }
}

/// A key that signs access tokens.
pub struct Key {
    id: String,
    algorithm: Algorithm,
    /// The first part of its tokens.
    header: String,
    signs: Signs,
    verifies: DecodingKey,
    public: Option<Public>,
}

/// What makes the last part of a token. A pair of keys is computed from its seed once: it takes as
/// long as a signature.
enum Signs {
    Ed25519(Ed25519KeyPair),
    Shared(EncodingKey),
}

/// A public key as clients find it (RFC 7517, RFC 8037 §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Public {
    /// The key's type: `OKP`.
    pub kty: &'static str,
    /// The curve: `Ed25519`.
    pub crv: &'static str,
    /// The algorithm: `EdDSA`.
    pub alg: &'static str,
    /// What it is for: `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// Its id.
    pub kid: String,
    /// The key itself, base64url.
    pub x: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id).finish()
    }
}

impl Key {
    /// The Ed25519 key of this id, derived from the key file.
    ///
    /// # Errors
    /// [`Error::Internal`] if the library refuses it.
    pub fn ed25519(keys: &Keys, id: &str) -> Result<Self> {
        let seed = keys.signing(id)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(Error::internal)?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let algorithm = Algorithm::EdDsa;
        Ok(Self {
            id: id.to_owned(),
            algorithm,
            header: parse::header(algorithm.as_str(), id),
            verifies: DecodingKey::from_ed_components(&x).map_err(Error::internal)?,
            public: Some(Public {
                kty: "OKP",
                crv: "Ed25519",
                alg: algorithm.as_str(),
                usage: "sig",
                kid: id.to_owned(),
                x,
            }),
            signs: Signs::Ed25519(pair),
        })
    }

    /// The HMAC key of this id, from a secret that other programs share.
    #[must_use]
    pub fn hs256(secret: &Secret<String>, id: &str) -> Self {
        let algorithm = Algorithm::Hs256;
        Self {
            id: id.to_owned(),
            algorithm,
            header: parse::header(algorithm.as_str(), id),
            signs: Signs::Shared(EncodingKey::from_secret(secret.expose().as_bytes())),
            verifies: DecodingKey::from_secret(secret.expose().as_bytes()),
            public: None,
        }
    }

    /// Its public half, where it has one.
    #[must_use]
    pub fn public(&self) -> Option<&Public> {
        self.public.as_ref()
    }

    /// A token that says `claims`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the library refuses.
    pub fn sign(&self, claims: &Claims) -> Result<Secret<String>> {
        let claims = serde_json::to_vec(claims).map_err(Error::internal)?;
        let mut token = String::with_capacity(512);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signature(&token)?;
        token.push('.');
        token.push_str(&signature);
        Ok(Secret::new(token))
    }

    /// The last part of a token that begins with `message`.
    fn signature(&self, message: &str) -> Result<String> {
        let message = message.as_bytes();
        match &self.signs {
            Signs::Ed25519(pair) => {
                let signature = pair.try_sign(message).map_err(Error::internal)?;
                Ok(URL_SAFE_NO_PAD.encode(signature))
            }
            Signs::Shared(key) => {
                let signed = jsonwebtoken::crypto::sign(message, key, self.algorithm.inner());
                signed.map_err(Error::internal)
            }
        }
    }

    /// Whether the key made the token's signature.
    fn made(&self, parsed: &Parsed<'_>) -> bool {
        let verified = jsonwebtoken::crypto::verify(
            parsed.signature,
            parsed.message.as_bytes(),
            &self.verifies,
            self.algorithm.inner(),
        );
        self.id == parsed.kid()
            && parsed.algorithm() == self.algorithm.as_str()
            && verified.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
