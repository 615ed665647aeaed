//! Words of a course that obey a rule: parsing is the only way to make one, so argv, JSON and files
//! are held to the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, Result};

/// The name of a course, a module or a lesson in addresses and files: `intro-to-sql`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "operating-provost")]
pub struct Slug(String);

impl Slug {
    /// The longest, in characters.
    pub const MAX: usize = 64;

    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug that `title` suggests: its letters and digits of ASCII, in lower case. None if it
    /// has too few of them to tell one thing from another.
    #[must_use]
    pub fn suggested(title: &str) -> Option<Self> {
        let plain = title
            .nfkd()
            .filter(|c| !('\u{300}'..='\u{36f}').contains(c));
        let mut slug = String::new();
        for c in plain {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.ends_with('-') && !slug.is_empty() {
                slug.push('-');
            }
        }
        slug.truncate(Self::MAX);
        slug.trim_end_matches('-').parse().ok()
    }
}

impl FromStr for Slug {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let part = |part: &str| {
            let mut bytes = part.bytes();
            !part.is_empty() && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let id = uuid::Uuid::try_parse(text).is_ok();
        if text.len() <= Self::MAX && text.split('-').all(part) && !id {
            Ok(Self(text.to_owned()))
        } else {
            let rule = format!(
                "must be lower-case letters a-z, digits and single dashes between them, at most {} characters, and no id",
                Self::MAX
            );
            Err(Error::invalid("slug", rule))
        }
    }
}

impl TryFrom<String> for Slug {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A word under which courses are found, in lower case: letters and digits of any script, and
/// single dashes between them.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 32, example = "databases")]
pub struct Tag(String);

impl Tag {
    const MAX: usize = 32;

    /// More tags than this on one course help nobody.
    pub const MOST: usize = 20;

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let tag = folded(text);
        let part = |part: &str| !part.is_empty() && part.chars().all(char::is_alphanumeric);
        if tag.chars().count() <= Self::MAX && tag.split('-').all(part) {
            Ok(Self(tag))
        } else {
            let rule = format!(
                "must be letters, digits and single dashes between them, at most {} characters",
                Self::MAX
            );
            Err(Error::invalid("tag", rule))
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a course, a module or a lesson is called: one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200, example = "Operating provost")]
pub struct Title(String);

impl Title {
    const MAX: usize = 200;

    /// The title as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Title {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let good = (1..=Self::MAX).contains(&text.chars().count())
            && !text.chars().any(char::is_control)
            && text.trim() == text;
        if good {
            Ok(Self(text.to_owned()))
        } else {
            let rule = format!(
                "must be one line of 1 to {} characters without blanks around it",
                Self::MAX
            );
            Err(Error::invalid("title", rule))
        }
    }
}

impl TryFrom<String> for Title {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// What a course is about: a short paragraph, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 2000)]
pub struct Summary(String);

impl Summary {
    const MAX: usize = 2000;

    /// The summary as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Summary {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let control = |c: char| c.is_control() && c != '\n';
        if text.chars().count() <= Self::MAX && !text.chars().any(control) {
            Ok(Self(text.to_owned()))
        } else {
            let rule = format!(
                "must be at most {} characters, none of them a control character but line ends",
                Self::MAX
            );
            Err(Error::invalid("summary", rule))
        }
    }
}

impl TryFrom<String> for Summary {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// The one text for all ways to type the same (NFKC, lower case).
pub(super) fn folded(text: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    lower.nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_lower_case_ascii_with_single_dashes_and_no_id() {
        for good in ["a", "7", "intro-to-sql", "0198f3c2", &"x".repeat(64)] {
            assert_eq!(good.parse::<Slug>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "A",
            "a--b",
            "-a",
            "a-",
            "a_b",
            "a/b",
            "é",
            "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_title_suggests_a_slug_where_it_has_letters_for_one() {
        let slug = |title| Slug::suggested(title).map(|slug| slug.0);
        assert_eq!(
            slug("Crème brûlée, part 2!").unwrap(),
            "creme-brulee-part-2"
        );
        assert_eq!(slug("Уводзіны"), None);
        assert!(slug(&"long ".repeat(40)).unwrap().len() <= Slug::MAX);
    }

    #[test]
    fn a_tag_is_folded_and_may_be_of_any_script() {
        assert_eq!("Базы-ДАНЫХ".parse::<Tag>().unwrap().as_str(), "базы-даных");
        for bad in ["", "a b", "a,b", "-a", &"x".repeat(33)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_title_is_one_line_and_a_summary_may_be_several() {
        assert!("One\ntwo".parse::<Title>().is_err());
        assert!(" One".parse::<Title>().is_err());
        assert!("".parse::<Title>().is_err());
        assert!("One\ntwo".parse::<Summary>().is_ok());
        assert!("One\u{7}".parse::<Summary>().is_err());
    }
}
