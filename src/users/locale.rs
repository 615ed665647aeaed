//! What an account remembers of its person's wishes: a language, and whatever else they want.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};

/// The language that a person reads: a tag of BCP 47 such as `be-BY`, in canonical case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 35, example = "be-BY")]
pub struct Locale(String);

impl Locale {
    /// RFC 5646 §4.4.1: room for 35 characters is enough for every tag that anybody uses.
    const MAX: usize = 35;

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Locale {
    type Err = Error;

    /// RFC 5646 §2.1: subtags of letters and digits; the case by §2.1.1.
    fn from_str(text: &str) -> Result<Self> {
        let mut tag = String::with_capacity(text.len());
        let mut good = text.len() <= Self::MAX;
        // What follows a single character is an extension, whose subtags have no case of their own.
        let mut extended = false;
        for (place, part) in text.split('-').enumerate() {
            let letters = part.bytes().all(|b| b.is_ascii_alphabetic());
            good &= part.bytes().all(|b| b.is_ascii_alphanumeric())
                && (1..=8).contains(&part.len())
                && (place > 0 || (letters && part.len() > 1));
            if place > 0 {
                tag.push('-');
            }
            let lower = part.to_ascii_lowercase();
            match part.len() {
                2 if place > 0 && !extended => tag.push_str(&part.to_ascii_uppercase()),
                4 if place > 0 && !extended && letters => {
                    let (head, tail) = lower.split_at_checked(1).unwrap_or_default();
                    tag.push_str(&head.to_ascii_uppercase());
                    tag.push_str(tail);
                }
                _ => tag.push_str(&lower),
            }
            extended |= part.len() == 1;
        }
        if good {
            Ok(Self(tag))
        } else {
            Err(Error::invalid(
                "locale",
                "must be a language such as be or en-GB",
            ))
        }
    }
}

impl TryFrom<String> for Locale {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A JSON object of at most 4096 bytes, for whatever an account's person or its programs want to
/// remember with it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "Map<String, Json>")]
#[schema(value_type = Object)]
pub struct Meta(String);

impl Meta {
    /// The most bytes, as JSON without blanks.
    const MAX: usize = 4096;

    /// The object as JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Map<String, Json>> for Meta {
    type Error = Error;

    fn try_from(map: Map<String, Json>) -> Result<Self> {
        let json = serde_json::to_string(&map).map_err(Error::internal)?;
        if json.len() > Self::MAX {
            let reason = format!("must be at most {} bytes of JSON", Self::MAX);
            return Err(Error::invalid("meta", reason));
        }
        Ok(Self(json))
    }
}

impl FromStr for Meta {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let map: Map<String, Json> = serde_json::from_str(text).map_err(|_| {
            Error::invalid("meta", "must be a JSON object such as {\"team\":\"a\"}")
        })?;
        map.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_kept_in_its_canonical_case() {
        for (given, kept) in [
            ("be", "be"),
            ("EN-gb", "en-GB"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-1996", "de-1996"),
            ("ca-valencia", "ca-valencia"),
            ("en-u-ca-Buddhist", "en-u-ca-buddhist"),
        ] {
            assert_eq!(given.parse::<Locale>().unwrap().as_str(), kept);
        }
    }

    #[test]
    fn refuses_what_is_no_language() {
        for text in [
            "",
            "e",
            "-",
            "en-",
            "en_GB",
            "en--GB",
            "12",
            "en GB",
            "bé",
            "123456789",
        ] {
            assert!(text.parse::<Locale>().is_err(), "{text}");
        }
        assert!(
            "en-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa"
                .parse::<Locale>()
                .is_err()
        );
    }

    #[test]
    fn meta_is_an_object_of_bounded_size() {
        assert_eq!(
            "{ \"a\": [1] }".parse::<Meta>().unwrap().as_str(),
            "{\"a\":[1]}"
        );
        for text in ["", "1", "[]", "null", "{\"a\":1", "{\"a\":1} x"] {
            assert!(text.parse::<Meta>().is_err(), "{text}");
        }
        let of = |size: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(size)).parse::<Meta>();
        assert!(of(4096 - 8).is_ok());
        assert!(of(4096 - 7).is_err());
    }
}
