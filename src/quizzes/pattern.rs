//! What a short answer is held against.

use regex::RegexBuilder;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// A regular expression may be so long, and take so many bytes when it is compiled: with that, and
/// because `regex` takes time that grows no faster than the text, none can hold up a grading.
const LONGEST: usize = 1000;
const LARGEST: usize = 256 * 1024;

/// So much of an answer is looked at.
pub(super) const LONGEST_ANSWER: usize = 4 * 1024;

/// Words, or a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// These words; white space at the ends does not count, and any of it between words counts as
    /// one space.
    Text(String),
    /// The same, where `*` stands for anything, or for nothing.
    Wildcard(String),
    /// A regular expression that the whole answer must fit.
    Regex(String),
}

/// One space between words, and accents composed: two texts that look the same are the same.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").nfc().collect()
}

impl Pattern {
    /// As the author wrote it.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Wildcard(text) | Self::Regex(text) => text,
        }
    }

    /// The expression behind it, for those that have one.
    fn expression(&self) -> Option<String> {
        match self {
            Self::Text(_) => None,
            Self::Wildcard(text) => {
                let plain = plain(text);
                let parts: Vec<String> = plain.split('*').map(regex::escape).collect();
                Some(parts.join(".*"))
            }
            Self::Regex(text) => Some(text.clone()),
        }
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Text(text) | Self::Wildcard(text) | Self::Regex(text)
                if text.trim().is_empty() || text.len() > LONGEST =>
            {
                Err(format!("an answer must have 1 to {LONGEST} bytes"))
            }
            Self::Text(_) | Self::Wildcard(_) | Self::Regex(_) => match self.expression() {
                Some(expression) => compiled(&expression, true).map(|_| ()),
                None => Ok(()),
            },
        }
    }

    /// Whether the answer is such.
    pub(super) fn fits(&self, answer: &str, case: bool) -> bool {
        if answer.len() > LONGEST_ANSWER {
            return false;
        }
        let answer = plain(answer);
        match (self, self.expression()) {
            (_, Some(expression)) => {
                compiled(&expression, case).is_ok_and(|regex| regex.is_match(&answer))
            }
            (Self::Text(text) | Self::Wildcard(text) | Self::Regex(text), None) => {
                let text = plain(text);
                text == answer || (!case && folded(&text) == folded(&answer))
            }
        }
    }
}

/// Without regard to case. Capital letters first: that makes ß and SS the same, and both sigmas.
fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase().nfc().collect()
}

fn compiled(expression: &str, case: bool) -> Result<regex::Regex, String> {
    RegexBuilder::new(&format!(r"\A(?:{expression})\z"))
        .case_insensitive(!case)
        .size_limit(LARGEST)
        .nest_limit(50)
        .build()
        .map_err(|error| {
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default();
            format!("{expression:?} is no regular expression that can be used: {last}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Pattern {
        Pattern::Text(text.into())
    }

    #[test]
    fn words_are_compared_without_regard_to_spaces_case_and_how_accents_are_typed() {
        for answer in ["Ulysses Grant", " ulysses\t GRANT\n"] {
            assert!(text("Ulysses  Grant").fits(answer, false), "{answer}");
        }
        assert!(!text("Grant").fits("grant", true));
        assert!(!text("Grant").fits("Grants", false));
        assert!(text("caf\u{e9}").fits("CAFE\u{301}", false));
        assert!(text("Straße").fits("STRASSE", false));
        assert!(text("a.c").fits("a.c", false) && !text("a.c").fits("abc", false));
    }

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_has_a_meaning() {
        let pattern = Pattern::Wildcard("*(maybe) Grant*".into());
        assert!(pattern.fits("General (maybe) grant, sir", false));
        assert!(!pattern.fits("maybe Grant", false));
    }

    #[test]
    fn an_expression_must_fit_the_whole_answer_and_be_small() {
        let pattern = Pattern::Regex("colou?r|hue".into());
        assert!(pattern.fits("Color", false) && pattern.fits("hue", true));
        assert!(!pattern.fits("colors", false));
        for bad in ["(", "", "(?:a{1000}){1000}"] {
            assert!(Pattern::Regex(bad.into()).check().is_err(), "{bad}");
        }
        // Would take exponential time if it went back on its steps.
        let pattern = Pattern::Regex("(a*)*b".into());
        assert!(!pattern.fits(&"a".repeat(LONGEST_ANSWER), true));
    }
}
