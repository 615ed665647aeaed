//! The text forms of opaque tokens.
//!
//! Prefixed: `pva_` + id (11) + secret (30) + check (6), 51 characters, all base62 after the prefix.
//! The older form `<id in decimal>:<secret>` names the same tokens. Parsing is strict, over bytes,
//! the whole string (security.md, rule 14); a wrong check is found without the database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base62::{CHECK, checksum, digits, number};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Characters of an id in base62.
const ID: usize = 11;
/// Characters of a secret: 178 bits.
pub const SECRET: usize = 30;
/// Characters of the prefixed form.
pub const LENGTH: usize = 4 + ID + SECRET + CHECK;

/// What a token is for; each kind is good for its own routes only (rule 18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Proves one thing for a while: a confirmation, a code, a guest pass.
    Temporary,
    /// Authenticates a program at the API.
    #[default]
    Api,
    /// Lets somebody make an account.
    Invitation,
    /// Lets somebody choose a new password.
    PasswordReset,
    /// Opens a session for whoever was handed it.
    LoginLink,
    /// Proves that an e-mail address is somebody's own.
    Email,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Temporary,
        Self::Api,
        Self::Invitation,
        Self::PasswordReset,
        Self::LoginLink,
        Self::Email,
    ];

    /// Those that are made, renewed, looked into and used up by who has the scopes for it. Each of
    /// the others is made and taken by routes of its own only (rule 18).
    pub const OPEN: [Self; 2] = [Self::Temporary, Self::Api];

    /// Whether it is one of [`Kind::OPEN`].
    #[must_use]
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }

    /// As stored and as written in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Api => "api",
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
            Self::LoginLink => "login_link",
            Self::Email => "email",
        }
    }

    /// How its prefixed form begins.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Temporary => "pvt_",
            Self::Api => "pva_",
            Self::Invitation => "pvi_",
            Self::PasswordReset => "pvp_",
            Self::LoginLink => "pvl_",
            Self::Email => "pve_",
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            Error::invalid("kind", format!("must be one of {words}"))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token's public id: 63 bits that grow with time, written as 11 base62 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

impl TokenId {
    fn digits(self) -> [u8; ID] {
        digits(self.0.unsigned_abs())
    }

    /// The ids whose text starts with `prefix`, from and to, both included.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it has 6 to 11 base62 characters and some id can start so.
    pub fn starting_with(prefix: &str) -> Result<(Self, Self)> {
        let refuse = || {
            Error::invalid(
                "id",
                "must be 11 base62 characters, or at least the first 6",
            )
        };
        if !(6..=ID).contains(&prefix.len()) {
            return Err(refuse());
        }
        let filled = |fill: char| {
            let text: String = prefix
                .chars()
                .chain(std::iter::repeat(fill))
                .take(ID)
                .collect();
            number(text.as_bytes()).and_then(|number| i64::try_from(number).ok())
        };
        let low = filled('0').ok_or_else(refuse)?;
        // The highest ids of the range may not fit 63 bits; the lowest must.
        Ok((Self(low), Self(filled('z').unwrap_or(i64::MAX))))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl Serialize for TokenId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for TokenId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (low, high) = Self::starting_with(text)?;
        if low == high {
            Ok(low)
        } else {
            Err(Error::invalid("id", "must be 11 base62 characters"))
        }
    }
}

/// A token as somebody presents it.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The kind that the prefix claims; the older form claims none.
    pub kind: Option<Kind>,
    /// The public id.
    pub id: TokenId,
    /// The secret.
    pub secret: &'a str,
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({} [redacted])", self.id)
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has the form, but its check does not fit: a typo, or a changed prefix.
    BadChecksum,
    /// It has neither form.
    Malformed,
}

/// Whether `text` can only be meant for an opaque token: no access token has such a beginning.
#[must_use]
pub fn is_opaque(text: &str) -> bool {
    text.starts_with("pv") || text.contains(':')
}

/// Reads either text form.
///
/// # Errors
/// [`Refusal`], without having looked anything up.
pub fn parse(text: &str) -> Result<Presented<'_>, Refusal> {
    match Kind::ALL
        .into_iter()
        .find(|kind| text.starts_with(kind.prefix()))
    {
        Some(kind) => parse_prefixed(text, kind),
        None => parse_decimal(text).ok_or(Refusal::Malformed),
    }
}

fn parse_prefixed(text: &str, kind: Kind) -> Result<Presented<'_>, Refusal> {
    let after = text.get(4..).unwrap_or_default();
    if text.len() != LENGTH || !after.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Refusal::Malformed);
    }
    let (body, check) = text.split_at(LENGTH - CHECK);
    if checksum(body.as_bytes()) != check.as_bytes() {
        return Err(Refusal::BadChecksum);
    }
    let (id, secret) = after.split_at(ID);
    let secret = secret.get(..SECRET).ok_or(Refusal::Malformed)?;
    let id = number(id.as_bytes())
        .and_then(|id| i64::try_from(id).ok())
        .ok_or(Refusal::Malformed)?;
    Ok(Presented {
        kind: Some(kind),
        id: TokenId(id),
        secret,
    })
}

fn parse_decimal(text: &str) -> Option<Presented<'_>> {
    let (digits, secret) = text.split_once(':')?;
    // No sign, no leading zero, ASCII only: `str::parse` alone would take `+5` and `05`.
    let good = !digits.is_empty()
        && digits.len() <= 19
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && secret.len() == SECRET
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let id = digits.parse().ok().filter(|_| good)?;
    Some(Presented {
        kind: None,
        id: TokenId(id),
        secret,
    })
}

/// The prefixed form.
#[must_use]
pub fn prefixed(kind: Kind, id: TokenId, secret: &Secret<String>) -> Secret<String> {
    let mut text = String::with_capacity(LENGTH);
    text.push_str(kind.prefix());
    text.extend(id.digits().map(char::from));
    text.push_str(secret.expose());
    let check = checksum(text.as_bytes());
    text.extend(check.map(char::from));
    Secret::new(text)
}

/// The older form.
#[must_use]
pub fn decimal(id: TokenId, secret: &Secret<String>) -> Secret<String> {
    Secret::new(format!("{}:{}", id.0, secret.expose()))
}

/// The pattern for programs that look for leaked tokens.
pub const PATTERN: &str = r"\bpv[atiple]_[0-9A-Za-z]{47}\b";

/// Every text in `bytes` that has the prefixed form and whose check fits, with its place.
pub fn find(bytes: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'p');
    starts.filter_map(|(start, _)| {
        let end = start.checked_add(LENGTH)?;
        let text = std::str::from_utf8(bytes.get(start..end)?).ok()?;
        let word =
            |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let alone = !word(start.checked_sub(1).and_then(|before| bytes.get(before)))
            && !word(bytes.get(end));
        (alone && text.starts_with("pv") && parse(text).is_ok()).then_some((start, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET_TEXT: &str = "abcdefghijklmnopqrstuvwxyzABCD";

    fn secret() -> Secret<String> {
        Secret::new(SECRET_TEXT.to_owned())
    }

    /// Worked out with another implementation (Python's `binascii.crc32`).
    const VECTORS: [(Kind, i64, &str); 4] = [
        (
            Kind::Temporary,
            1,
            "pvt_00000000001abcdefghijklmnopqrstuvwxyzABCD0eJWfE",
        ),
        (
            Kind::Api,
            1,
            "pva_00000000001abcdefghijklmnopqrstuvwxyzABCD0B1UOK",
        ),
        (
            Kind::Temporary,
            754_321,
            "pvt_00000003AETabcdefghijklmnopqrstuvwxyzABCD4Wc67V",
        ),
        (
            Kind::Api,
            i64::MAX,
            "pva_AzL8n0Y58m7abcdefghijklmnopqrstuvwxyzABCD0bhuOC",
        ),
    ];

    #[test]
    fn the_prefixed_form_agrees_with_the_test_vectors() {
        for (kind, id, text) in VECTORS {
            assert_eq!(prefixed(kind, TokenId(id), &secret()).expose(), text);
            let presented = parse(text).unwrap();
            assert_eq!(
                (presented.kind, presented.id.0, presented.secret),
                (Some(kind), id, SECRET_TEXT)
            );
        }
    }

    #[test]
    fn both_forms_name_the_same_token() {
        let id = TokenId(754_321);
        let text = decimal(id, &secret());
        assert_eq!(text.expose(), &format!("754321:{SECRET_TEXT}"));
        let presented = parse(text.expose()).unwrap();
        assert_eq!(
            (presented.kind, presented.id, presented.secret),
            (None, id, SECRET_TEXT)
        );
    }

    #[test]
    fn every_single_changed_character_is_noticed() {
        let text = prefixed(Kind::Api, TokenId(1 << 60), &secret());
        for place in 4..LENGTH {
            let mut changed: Vec<u8> = text.expose().bytes().collect();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                parse(&changed).unwrap_err(),
                Refusal::BadChecksum,
                "{place}"
            );
        }
    }

    #[test]
    fn one_kind_cannot_be_relabelled_as_another() {
        let text = prefixed(Kind::Temporary, TokenId(5), &secret());
        let relabelled = text.expose().replace("pvt_", "pva_");
        assert_eq!(parse(&relabelled).unwrap_err(), Refusal::BadChecksum);
    }

    #[test]
    fn parsing_is_strict() {
        let good = format!("5:{SECRET_TEXT}");
        assert!(parse(&good).is_ok());
        for bad in [
            String::new(),
            ":".into(),
            "5:".into(),
            format!("+{good}"),
            format!("0{good}"),
            format!("-{good}"),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}\n"),
            format!("{good}x"),
            format!("5%3A{SECRET_TEXT}"),
            format!("٥:{SECRET_TEXT}"),
            format!("99999999999999999999:{SECRET_TEXT}"),
            format!("9223372036854775808:{SECRET_TEXT}"),
            format!("5:{}é", &SECRET_TEXT[..28]),
            format!("5:{SECRET_TEXT}").replace('a', "-"),
            "pva_".into(),
            format!("pvx_{}", "0".repeat(47)),
        ] {
            assert_eq!(parse(&bad).unwrap_err(), Refusal::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn an_id_reads_back_and_its_prefix_bounds_it() {
        for id in [0, 1, 61, 62, 754_321, i64::MAX] {
            let id = TokenId(id);
            assert_eq!(id.to_string().parse::<TokenId>().unwrap(), id);
            let text = id.to_string();
            let (low, high) = TokenId::starting_with(&text[..6]).unwrap();
            assert!(low <= id && id <= high);
        }
        assert!(TokenId::starting_with("abcde").is_err());
        assert!(TokenId::starting_with("zzzzzz").is_err());
        assert!(TokenId::starting_with("abc-ef").is_err());
    }

    #[test]
    fn leaked_tokens_are_found_in_a_line_and_lookalikes_are_not() {
        let token = prefixed(Kind::Api, TokenId(77), &secret());
        let token = token.expose();
        let line = format!("export KEY=\"{token}\" # x{token} {token}y pva_short");
        let found: Vec<&str> = find(line.as_bytes()).map(|(_, text)| text).collect();
        assert_eq!(found, [token]);
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics_and_accepts_only_what_it_would_write(text in "\\PC{0,60}|pv[atiple]_[0-9A-Za-z]{47}|[0-9]{1,20}:[0-9A-Za-z]{30}") {
            if let Ok(presented) = parse(&text) {
                let secret = Secret::new(presented.secret.to_owned());
                let written = match presented.kind {
                    Some(kind) => prefixed(kind, presented.id, &secret),
                    None => decimal(presented.id, &secret),
                };
                proptest::prop_assert_eq!(written.expose(), &text);
            }
        }
    }
}
