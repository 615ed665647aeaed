//! Passwords: what may be one, and what is refused as too easy to guess.
//!
//! Invariants: a [`Password`] is exactly the text that was given, never trimmed, cut or changed in
//! case (ASVS 6.2.8); it is never printed and nothing serialises it; it is never longer than the
//! limits, so that hashing has a bounded cost (SP 800-63B-4 §3.1.1.2).

mod hash;
mod hasher;

use std::str::FromStr;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization as _;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::secret::{self, Secret};

pub use hash::PasswordHash;
pub use hasher::{Hasher, Limits, Verdict};

/// A password as somebody gave it: to be compared with a stored hash, or, once a [`Policy`] has
/// accepted it, to be hashed.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = Password, max_length = 256)]
pub struct Password(Secret<String>);

impl Password {
    /// The most Unicode code points a password may have.
    pub const MAX_CHARS: usize = 256;
    /// The most bytes a password may have.
    pub const MAX_BYTES: usize = 1024;
    /// How many characters [`Password::generate`] makes: 140 bits, where rule 7 asks for 128.
    const GENERATED: usize = 24;

    /// A random password that nobody mistypes: letters and digits without `0`, `O`, `1`, `I`, `l`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self> {
        let mut text = String::with_capacity(Self::GENERATED);
        while text.len() < Self::GENERATED {
            let random = secret::random_base62::<{ Self::GENERATED }>()?;
            let clear = random.expose().chars();
            let clear = clear.filter(|c| !matches!(c, '0' | 'O' | '1' | 'I' | 'l'));
            text.extend(clear.take(Self::GENERATED - text.len()));
        }
        Ok(Self(Secret::new(text)))
    }

    /// The text itself. Each call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl TryFrom<String> for Password {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let text = Secret::new(text);
        if text.expose().len() > Self::MAX_BYTES || text.expose().chars().count() > Self::MAX_CHARS
        {
            let reason = "must have at most 256 characters and 1024 bytes";
            return Err(Error::invalid("password", reason));
        }
        Ok(Self(text))
    }
}

impl FromStr for Password {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.to_owned().try_into()
    }
}

/// One entry a line, lower-case, at least 8 characters each, so every one that could be chosen of
/// the 20,000 most common. Where it comes from: `common_passwords.LICENSE`.
const COMMON: &str = include_str!("common_passwords.txt");

/// Which passwords may be chosen: a length, and not one of those that are tried first. No rules
/// about kinds of characters, no expiry (ASVS 6.2.5, 6.2.10).
#[derive(Clone, Debug)]
pub struct Policy {
    min_chars: usize,
    site: Vec<String>,
}

impl Policy {
    /// No configuration may go below this length (ASVS 6.2.1).
    pub const MIN_CHARS_FLOOR: usize = 8;
    /// The shortest password unless the configuration says otherwise.
    pub const MIN_CHARS: usize = 12;

    /// At least `min_chars` code points, and nothing made of the name or the title of this site.
    #[must_use]
    pub fn new(min_chars: usize, site_title: &str) -> Self {
        Self {
            min_chars: min_chars.max(Self::MIN_CHARS_FLOOR),
            site: words(&[env!("CARGO_PKG_NAME"), site_title]),
        }
    }

    /// The policy of this configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self::new(config.password.min_length, &config.app.title)
    }

    /// Whether `password` may be chosen by somebody who goes by these `names` (user name, e-mail
    /// address, full name).
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn check(&self, password: &Password, names: &[&str]) -> Result<()> {
        let refuse = |reason: String| Err(Error::invalid("password", reason));
        if password.expose().chars().count() < self.min_chars {
            let least = self.min_chars;
            return refuse(format!("must have at least {least} characters"));
        }
        let plain = Secret::new(canonical(password.expose()));
        if COMMON.lines().any(|common| common == plain.expose()) {
            return refuse("is one of the most common passwords".into());
        }
        if is_made_of(plain.expose(), &words(names)) {
            return refuse("must not be made of the user's own names".into());
        }
        if is_made_of(plain.expose(), &self.site) {
            return refuse("must not be made of the name of this site".into());
        }
        Ok(())
    }
}

fn canonical(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase()
}

/// What a guesser would take from `names`: each as a whole and word by word. Of an e-mail address
/// only the part before the `@` counts as a name.
fn words(names: &[&str]) -> Vec<String> {
    let mut words = Vec::new();
    for name in names {
        let name = canonical(name);
        let local = name
            .rsplit_once('@')
            .map_or(name.as_str(), |(local, _)| local);
        words.extend(
            local
                .split(|c: char| !c.is_alphanumeric())
                .map(str::to_owned),
        );
        words.push(local.to_owned());
        words.push(name);
    }
    // Below three letters a word is in everything. Longest first, so that none hides a longer one.
    words.retain(|word| word.chars().count() >= 3);
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words
}

/// Whether nothing but digits and punctuation is left of `password` without the `words`.
fn is_made_of(password: &str, words: &[String]) -> bool {
    let mut rest = Secret::new(password.to_owned());
    for word in words {
        // A space, so that what stood before and after does not grow together into a word.
        rest = Secret::new(rest.expose().replace(word.as_str(), " "));
    }
    rest.expose() != password && !rest.expose().contains(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<()> {
        let names = ["maria", "m.petrova@example.org", "Maria Petrova"];
        Policy::new(12, "Chess Club").check(&text.parse().unwrap(), &names)
    }

    #[test]
    fn accepts_long_passwords_of_any_kind_of_character() {
        for text in [
            "correct horse battery staple",
            "            ",
            "пароль про слона",
            "739184620517",
            "maria likes tea",
        ] {
            check(text).unwrap();
        }
    }

    #[test]
    fn counts_code_points_not_bytes() {
        assert!(check("слон и кит").is_err(), "10 characters in 18 bytes");
        assert!(check(&"я".repeat(256)).is_ok());
        assert!("я".repeat(257).parse::<Password>().is_err());
        assert!("😀".repeat(256).parse::<Password>().is_ok(), "1024 bytes");
        assert!("😀".repeat(257).parse::<Password>().is_err());
    }

    #[test]
    fn no_setting_allows_fewer_than_eight_characters() {
        let policy = Policy::new(1, "");
        assert!(policy.check(&"zk4$vq".parse().unwrap(), &[]).is_err());
        assert!(policy.check(&"zk4$vq1m".parse().unwrap(), &[]).is_ok());
    }

    #[test]
    fn refuses_the_most_common_passwords_in_any_case() {
        let policy = Policy::new(8, "");
        for text in [
            "password",
            "Password1",
            "QWERTYUIOP",
            "1234567890",
            "iloveyou",
            "ｐassword",
        ] {
            let error = policy.check(&text.parse().unwrap(), &[]).unwrap_err();
            assert_eq!(
                error.to_string(),
                "password: is one of the most common passwords"
            );
        }
        assert!(check("qwerty123456").is_err());
    }

    #[test]
    fn the_list_of_common_passwords_is_whole_and_canonical() {
        assert_eq!(COMMON.lines().count(), 8346);
        for entry in COMMON.lines() {
            assert!(entry.chars().count() >= Policy::MIN_CHARS_FLOOR, "{entry}");
            assert_eq!(canonical(entry), entry);
        }
    }

    #[test]
    fn refuses_passwords_made_of_names() {
        for text in [
            "Maria1234567",
            "maria-petrova",
            "petrova.maria!",
            "m.petrova@example.org",
            "MARIAMARIA12",
            "maria 1990 12",
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                "password: must not be made of the user's own names",
                "{text}"
            );
        }
        for text in ["provost-2026", "chessclub2026", "Chess Club 26"] {
            let error = check(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                "password: must not be made of the name of this site",
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_is_trimmed_and_nothing_is_shown() {
        let password: Password = " Sesame open! ".parse().unwrap();
        assert_eq!(password.expose(), " Sesame open! ");
        assert_eq!(format!("{password:?}"), "Password([redacted])");
        let password: Password = serde_json::from_str("\" Sesame open! \"").unwrap();
        assert_eq!(password.expose(), " Sesame open! ");
    }

    #[test]
    fn a_generated_password_passes_the_strictest_policy() {
        let password = Password::generate().unwrap();
        assert_eq!(password.expose().len(), 24);
        assert!(!password.expose().contains(['0', 'O', '1', 'I', 'l']));
        assert_ne!(password.expose(), Password::generate().unwrap().expose());
        Policy::new(15, "x").check(&password, &["maria"]).unwrap();
    }
}
