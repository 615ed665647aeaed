//! Taking a token apart, strictly (security.md, rules 20 and 22).

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Claims, TYPE};

/// The longest token, in bytes.
pub(super) const LONGEST: usize = 4096;
/// The longest id of a key, in characters.
const KID: usize = 32;

/// The first part of a token: exactly what [`ParsedHeader`] reads.
pub(super) fn header(algorithm: &str, kid: &str) -> String {
    let header = serde_json::json!({ "typ": TYPE, "alg": algorithm, "kid": kid });
    URL_SAFE_NO_PAD.encode(header.to_string())
}

/// A token taken apart, of which nothing is believed yet.
#[derive(Debug)]
pub struct Parsed<'a> {
    pub(super) header: ParsedHeader,
    pub(super) message: &'a str,
    pub(super) claims: &'a str,
    pub(super) signature: &'a str,
}

/// Exactly these members: `jwk`, `jku`, `x5u`, `crit`, `zip` and whatever else there is could only
/// steer us (RFC 8725 §3.10).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParsedHeader {
    typ: String,
    alg: String,
    kid: String,
}

impl<'a> Parsed<'a> {
    /// Takes `token` apart; nothing for what cannot be one of ours.
    #[must_use]
    pub fn of(token: &'a str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        let header: ParsedHeader = serde_json::from_slice(&decode(header)?).ok()?;
        let good_kid = (1..=KID).contains(&header.kid.len())
            && header
                .kid
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if header.typ != TYPE || !good_kid {
            return None;
        }
        // The library decodes the signature less strictly than we want.
        decode(signature)?;
        Some(Self {
            header,
            message,
            claims,
            signature,
        })
    }

    /// The id of the key that signed it, as it says.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.header.kid
    }

    pub(super) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// What it says; nothing unless every claim is there, once, with its type.
    pub(super) fn claims(&self) -> Option<Claims> {
        let json = decode(self.claims)?;
        serde_json::from_slice::<EachOnce>(&json).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

/// Strict base64url: no padding, no blanks, no bits left over.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// An object none of whose members is there twice: two readers could each believe another one.
struct EachOnce;

impl<'de> Deserialize<'de> for EachOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = EachOnce;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EachOnce, A::Error> {
                let mut seen: Vec<Cow<'de, str>> = Vec::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if seen.contains(&name) {
                        return Err(de::Error::custom("a member is there twice"));
                    }
                    seen.push(name);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(EachOnce)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// One audience: as text, or as an array of one (RFC 7519 §4.1.3).
pub(super) fn audience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct One;

    impl<'de> Visitor<'de> for One {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one audience")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<String, A::Error> {
            let one = seq.next_element()?;
            let one = one.ok_or_else(|| de::Error::custom("no audience"))?;
            if seq.next_element::<IgnoredAny>()?.is_some() {
                return Err(de::Error::custom("more than one audience"));
            }
            Ok(one)
        }
    }

    deserializer.deserialize_any(One)
}
