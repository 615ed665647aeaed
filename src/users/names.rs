//! The names an account goes by. Parsing is the only way to make one, so argv and JSON obey the
//! same rule.
//!
//! Invariants: two spellings that a person would call the same have the same canonical form; none
//! holds a control, bidirectional or invisible character, so what a terminal shows is what there
//! is; a user name can be mistaken for neither an e-mail address, a phone number nor an id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick, is_nfkc_quick};

use crate::error::{Error, Result};

/// Everything about these types that is the same for all.
macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

/// What a user signs in with: 1–64 letters and digits of any script, `.`, `_` and `-`.
///
/// The spelling is kept; whether two are the same is decided by [`Username::key`].
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "maria")]
pub struct Username(String);

text!(Username);

impl Username {
    /// The most characters a user name may have.
    pub const MAX_CHARS: usize = 64;

    /// The canonical form, by which user names are compared and found.
    #[must_use]
    pub fn key(&self) -> String {
        folded(&self.0)
    }
}

impl FromStr for Username {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::invalid("username", reason));
        // Normalising can make a text 18 times as long; nothing that long gets that far.
        if text.len() > 4 * Self::MAX_CHARS {
            return refuse("must have at most 64 characters");
        }
        let name = nfkc(text);
        if name.chars().count() > Self::MAX_CHARS {
            return refuse("must have at most 64 characters");
        }
        if !name.starts_with(char::is_alphanumeric) {
            return refuse("must start with a letter or a digit");
        }
        let fits = |c: char| {
            (c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '.' | '_' | '-'))
                && !is_hidden(c)
        };
        if !name.chars().all(fits) {
            return refuse("may hold only letters, digits, '.', '_' and '-'");
        }
        // What it is found by must be a name, too: lower-casing can lengthen it (İ).
        if folded(&name).chars().count() > Self::MAX_CHARS {
            return refuse("must have at most 64 characters in small letters");
        }
        if looks_like_a_phone_number(&name) {
            return refuse("must not look like a phone number");
        }
        if looks_like_an_id(&name) {
            return refuse("must not look like an id");
        }
        Ok(Self(name))
    }
}

fn looks_like_a_phone_number(name: &str) -> bool {
    let digits = name.chars().filter(|c| c.is_numeric()).count();
    let rest = name.chars().filter(|c| !c.is_numeric());
    Phone::DIGITS.contains(&digits) && rest.into_iter().all(|c| matches!(c, '.' | '-' | '_'))
}

/// Ids are `UUIDv7`, which begin with `0` until the year 2527, and six characters of one name it.
/// Such a user name could make an operator hit another account than the one that was meant.
fn looks_like_an_id(name: &str) -> bool {
    let hex = name.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    (hex && name.starts_with('0') && name.len() >= 6) || uuid::Uuid::try_parse(name).is_ok()
}

/// An e-mail address (RFC 5321, RFC 6531) in canonical form, lower-case and NFKC; at most 254 bytes.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = Email, max_length = 254, example = "maria@example.org")]
pub struct Email(String);

text!(Email);

impl Email {
    /// The most bytes an address may have (RFC 5321 §4.5.3.1.3, less the angle brackets).
    pub const MAX_BYTES: usize = 254;

    /// The part before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl FromStr for Email {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::invalid("email", reason);
        if text.len() > Self::MAX_BYTES {
            return Err(refuse("must have at most 254 bytes"));
        }
        let address = folded(text);
        if address.len() > Self::MAX_BYTES {
            return Err(refuse("must have at most 254 bytes"));
        }
        // Quoted local parts may hold spaces and a second @, which nobody has and scripts trip over.
        let odd = |c: char| is_hidden(c) || c.is_whitespace() || matches!(c, '"' | '(' | ')');
        let options = email_address::Options::default()
            .without_display_text()
            .without_domain_literal();
        let parsed = email_address::EmailAddress::parse_with_options(&address, options);
        if parsed.is_err() || address.contains(odd) {
            return Err(refuse("must be an address like name@example.org"));
        }
        Ok(Self(address))
    }
}

/// A phone number in the international form of E.164: `+` and 7 to 15 digits.
/// Spaces, dashes and parentheses are accepted and dropped.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String")]
#[schema(value_type = String, example = "+375291234567")]
pub struct Phone(String);

text!(Phone);

impl Phone {
    /// How many digits there may be (E.164 §6.2.1 gives the upper bound).
    const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
}

impl FromStr for Phone {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let filling = |c: &char| !matches!(c, ' ' | '-' | '(' | ')');
        let number: String = text.chars().filter(filling).collect();
        let digits = number.strip_prefix('+').unwrap_or("");
        let good = Self::DIGITS.contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            // No country code begins with 0: that is a national number with a + before it.
            && !digits.starts_with('0');
        if good {
            Ok(Self(number))
        } else {
            let reason = "must be + and 7 to 15 digits, like +375291234567";
            Err(Error::invalid("phone", reason))
        }
    }
}

/// The name shown to other people: 1–200 characters of any kind that can be seen.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200, example = "Maria Petrova")]
pub struct FullName(String);

text!(FullName);

impl FullName {
    /// The form in which full names are searched.
    #[must_use]
    pub fn key(&self) -> String {
        folded(&self.0)
    }
}

impl FromStr for FullName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let name: String = match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => text.to_owned(),
            IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
        };
        if name.is_empty() || name.chars().count() > 200 {
            return Err(Error::invalid("name", "must have 1 to 200 characters"));
        }
        // Joiners are invisible, but Persian, Hindi and emoji cannot be written without them.
        if name.contains(|c| is_hidden(c) && !matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0f}')) {
            let reason = "must not hold control or invisible characters";
            return Err(Error::invalid("name", reason));
        }
        Ok(Self(name))
    }
}

/// `text` as it is compared: without regard to case and to ways of writing the same letter.
pub(super) fn folded(text: &str) -> String {
    // Lower-casing can undo the normalisation (İ becomes i and a combining dot): once more.
    nfkc(&nfkc(text).to_lowercase())
}

/// NFKC (UAX #15). Nearly every name is in it already, and seeing that costs a tenth of doing it.
fn nfkc(text: &str) -> String {
    match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => text.to_owned(),
        IsNormalized::No | IsNormalized::Maybe => text.nfkc().collect(),
    }
}

/// Whether `c` changes what is read without being seen: control characters, line and paragraph
/// separators, and those that Unicode says to ignore when drawing (`Default_Ignorable_Code_Point`),
/// the bidirectional controls among them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn username(text: &str) -> Result<Username> {
        text.parse()
    }

    proptest! {
        #[test]
        fn a_name_that_needs_no_normalising_is_one_that_normalising_leaves_alone(text in "\\PC*") {
            let slow: String = text.nfkc().collect();
            prop_assert_eq!(nfkc(&text), slow.clone());
            let slow: String = slow.to_lowercase().nfkc().collect();
            prop_assert_eq!(folded(&text), slow);
        }
    }

    #[test]
    fn accepts_user_names_of_any_script_and_keeps_their_spelling() {
        for name in [
            "maria",
            "Иван",
            "ci-bot",
            "j.doe_2",
            "李雷",
            "राजन्",
            "7up",
            "a",
            "x123456",
        ] {
            assert_eq!(username(name).unwrap().as_str(), name);
        }
        assert_eq!(username(&"é".repeat(64)).unwrap().as_str(), "é".repeat(64));
    }

    #[test]
    fn user_names_that_read_the_same_have_the_same_key() {
        for (left, right) in [
            ("Maria", "mARIA"),
            ("ﬁona", "Fiona"),
            ("e\u{301}a", "ÉA"),
            ("Ｍa", "ma"),
            ("ИВАН", "иван"),
        ] {
            assert_eq!(
                username(left).unwrap().key(),
                username(right).unwrap().key()
            );
        }
        assert_ne!(
            username("maria").unwrap().key(),
            username("mario").unwrap().key()
        );
    }

    #[test]
    fn refuses_user_names_that_cannot_be_told_apart_from_something_else() {
        for name in [
            "",
            " ",
            ".",
            "-x",
            "_x",
            "a b",
            "a@b",
            "maria@example.org",
            "+375291234567",
            "375291234567",
            "029-123-45-67",
            "١٢٣٤٥٦٧",
            "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77",
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "0198f3",
            "F81D4FAE7DEC11D0A76500A0C91E6BF6",
            "a\u{202e}b",
            "a\u{200d}b",
            "a\0",
            "a\n",
            "\u{3164}",
            "a\u{fe0f}",
            "\u{301}a",
        ] {
            let error = username(name).unwrap_err();
            assert!(
                error.to_string().starts_with("username: "),
                "{name:?}: {error}"
            );
        }
        assert!(username(&"a".repeat(65)).is_err());
        assert!(
            username(&"ﷺ".repeat(64)).is_err(),
            "18 characters once normalised"
        );
        assert!(
            username(&"İ".repeat(33)).is_err(),
            "two characters once lower-case"
        );
    }

    #[test]
    fn an_address_is_one_and_the_same_in_any_case() {
        let email: Email = "Maria.P@Example.ORG".parse().unwrap();
        assert_eq!(email.as_str(), "maria.p@example.org");
        assert_eq!(email.local_part(), "maria.p");
        assert!("a@localhost".parse::<Email>().is_ok());
        let wide: Email = "ＭＡＲＩＡ.p@example.org".parse().unwrap();
        assert_eq!(wide, email);
        assert!("иван@пример.бел".parse::<Email>().is_ok());
    }

    #[test]
    fn refuses_what_is_no_address() {
        let long = format!("{}@{}.org", "a".repeat(64), "b.".repeat(100));
        for text in [
            "",
            "maria",
            "@example.org",
            "maria@",
            "a b@example.org",
            "<a@example.org>",
            "Maria <maria@example.org>",
            "\"a b\"@example.org",
            "a@[127.0.0.1]",
            "a@b@c.org",
            "a@b..org",
            "a@example.org\n",
            "a\u{200b}@example.org",
            "a\u{202e}@example.org",
            "a(x)@example.org",
            &long,
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_phone_number_is_kept_without_its_filling() {
        let phone: Phone = "+375 (29) 123-45-67".parse().unwrap();
        assert_eq!(phone.as_str(), "+375291234567");
        for text in [
            "",
            "+",
            "375291234567",
            "+37529",
            "+3752912345678901",
            "+0291234567",
            "++375291234567",
            "+37529123456a",
            "+٣٧٥٢٩١٢٣٤٥٦٧",
            "+375291234567\n",
            "+375.29.123",
        ] {
            assert!(text.parse::<Phone>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_full_name_may_be_anything_that_can_be_seen() {
        assert_eq!(
            "  Maria  Petrova ".parse::<FullName>().unwrap().as_str(),
            "Maria  Petrova"
        );
        assert!("علی\u{200c}رضا".parse::<FullName>().is_ok());
        for text in [
            "",
            "  ",
            "a\u{202e}b",
            "a\u{1b}[31m",
            "a\nb",
            &"a".repeat(201),
        ] {
            assert!(text.parse::<FullName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn json_obeys_the_same_rule_as_the_parser() {
        assert_eq!(
            serde_json::from_str::<Email>("\"A@B.org\"")
                .unwrap()
                .as_str(),
            "a@b.org"
        );
        assert!(serde_json::from_str::<Username>("\"a b\"").is_err());
        assert!(serde_json::from_str::<Phone>("\"12\"").is_err());
        assert_eq!(
            serde_json::to_string(&username("Maria").unwrap()).unwrap(),
            "\"Maria\""
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic_and_what_they_make_parses_again(text in "\\PC{0,70}|[a-zA-Zİß._-]{1,64}|.*") {
            if let Ok(name) = text.parse::<Username>() {
                prop_assert_eq!(&name.as_str().parse::<Username>().unwrap(), &name);
                prop_assert_eq!(name.key().parse::<Username>().unwrap().key(), name.key());
            }
            if let Ok(email) = text.parse::<Email>() {
                prop_assert_eq!(email.as_str().parse::<Email>().unwrap(), email);
            }
            let _ = text.parse::<Phone>();
            let _ = text.parse::<FullName>();
        }
    }
}
