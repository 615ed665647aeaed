//! Questions: what is asked, and what is right.
//!
//! Invariants: a question that [`Question::check`] let pass can be graded; what is right is in
//! [`Body`] alone, which a person who answers never gets to see: they get a a sheet without it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::decimal::{Number, Percent, Points};
use super::pattern::Pattern;

/// A text may have so many bytes.
const LONGEST: usize = 64 * 1024;

/// The name of a question may have so many characters.
pub(super) const LONGEST_NAME: usize = 200;

/// A question may have so many choices, pairs, items or accepted answers.
const MOST_PARTS: usize = 200;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Question {
    /// By which it is known within its quiz: an import finds it by its name and corrects it.
    pub name: String,
    /// What is asked.
    pub text: String,
    /// How the text, and every other text of the question, is written.
    #[serde(default, skip_serializing_if = "Form::is_usual")]
    pub format: Form,
    /// What it is worth.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schema(value_type = f64)]
    pub points: Points,
    /// The pool from which it is drawn, if the quiz draws from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// What is shown to everybody when the attempt is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// What is right.
    #[serde(flatten)]
    pub body: Body,
}

const fn one() -> Points {
    Points::whole(1)
}

fn is_one(points: &Points) -> bool {
    *points == one()
}

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Markdown.
    #[default]
    Markdown,
    /// As it stands.
    Plain,
    /// HTML.
    Html,
}

impl Form {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What sort of question it is, and what is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// One of several choices.
    Single {
        /// In the author's order, which nobody sees if the quiz is shuffled.
        choices: Vec<Choice>,
    },
    /// Any number of several choices.
    Multiple {
        /// As of `single`.
        choices: Vec<Choice>,
    },
    /// True or false.
    TrueFalse {
        /// Which of them.
        correct: bool,
        /// Shown to who said true.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_true: Option<String>,
        /// Shown to who said false.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_false: Option<String>,
    },
    /// A number.
    Numeric {
        /// What is accepted.
        answers: Vec<NumericAnswer>,
        /// Shown to whom none of them fits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<String>,
    },
    /// A word or some.
    Short {
        /// What is accepted.
        answers: Vec<ShortAnswer>,
        /// Whether capital letters must be where they are.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        case: bool,
    },
    /// What belongs to what.
    Matching {
        /// What belongs together.
        pairs: Vec<Pair>,
        /// More to choose from, which belongs to nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        extra: Vec<String>,
    },
    /// What comes after what.
    Ordering {
        /// In the right order.
        items: Vec<String>,
    },
    /// A text that a person grades.
    Essay {},
    /// Nothing is asked: a text between questions.
    Description {},
}

/// One of several choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What it says.
    pub text: String,
    /// What part of the points it gives or, below zero, takes.
    #[serde(default, skip_serializing_if = "is_nothing")]
    #[schema(value_type = f64)]
    pub credit: Percent,
    /// Shown to who chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
}

/// A number that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumericAnswer {
    /// The number.
    #[schema(value_type = f64)]
    pub value: Number,
    /// How far from it still counts, both ends included.
    #[serde(default, skip_serializing_if = "is_exact")]
    #[schema(value_type = f64)]
    pub tolerance: Number,
    /// What part of the points it gives.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    #[schema(value_type = f64)]
    pub credit: Percent,
    /// Shown to who answered so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
}

/// Words that are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShortAnswer {
    /// The words, or a pattern for all of them.
    #[serde(flatten)]
    pub pattern: Pattern,
    /// What part of the points they give.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    #[schema(value_type = f64)]
    pub credit: Percent,
    /// Shown to who answered so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
}

/// Two that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// What is given.
    pub prompt: String,
    /// What is chosen for it.
    pub answer: String,
}

/// All of the points.
pub(super) const fn all() -> Percent {
    Percent::whole(100)
}

fn is_all(credit: &Percent) -> bool {
    *credit == all()
}

fn is_nothing(credit: &Percent) -> bool {
    *credit == Percent::default()
}

fn is_exact(tolerance: &Number) -> bool {
    *tolerance == Number::default()
}

impl Body {
    /// The word for its sort.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Single { .. } => "single",
            Self::Multiple { .. } => "multiple",
            Self::TrueFalse { .. } => "true_false",
            Self::Numeric { .. } => "numeric",
            Self::Short { .. } => "short",
            Self::Matching { .. } => "matching",
            Self::Ordering { .. } => "ordering",
            Self::Essay {} => "essay",
            Self::Description {} => "description",
        }
    }

    /// The texts to which a stored answer refers by their places, in the author's order.
    fn places(&self) -> Vec<&str> {
        match self {
            Self::Single { choices } | Self::Multiple { choices } => {
                choices.iter().map(|choice| choice.text.as_str()).collect()
            }
            Self::Matching { pairs, extra } => {
                let prompts = pairs.iter().map(|pair| pair.prompt.as_str());
                prompts.chain(options(pairs, extra)).collect()
            }
            Self::Ordering { items } => items.iter().map(String::as_str).collect(),
            Self::TrueFalse { .. }
            | Self::Numeric { .. }
            | Self::Short { .. }
            | Self::Essay {}
            | Self::Description {} => Vec::new(),
        }
    }

    /// Whether answers to `self` mean the same under `other`: texts may be corrected where they
    /// are, but none may stand in the place of another.
    #[must_use]
    pub(super) fn keeps_places(&self, other: &Self) -> bool {
        let (old, new) = (self.places(), other.places());
        let moved =
            |(place, text): (usize, &&str)| old.get(place) != Some(text) && old.contains(text);
        self.kind() == other.kind() && old.len() == new.len() && !new.iter().enumerate().any(moved)
    }

    fn check(&self, wrong: &mut impl FnMut(String)) {
        match self {
            Self::Single { choices } => {
                texts(
                    "choices",
                    choices.iter().map(|it| it.text.as_str()),
                    2,
                    wrong,
                );
                if !choices.iter().any(|choice| choice.credit == all()) {
                    wrong("no choice gives all of the points".into());
                }
            }
            Self::Multiple { choices } => {
                texts(
                    "choices",
                    choices.iter().map(|it| it.text.as_str()),
                    1,
                    wrong,
                );
                let right = choices.iter().map(|choice| choice.credit.0.max(0));
                if right.sum::<i128>() < all().0 - 100 {
                    wrong("the right choices together do not give all of the points".into());
                }
            }
            Self::Matching { pairs, extra } => {
                texts("pairs", pairs.iter().map(|it| it.prompt.as_str()), 2, wrong);
                count("extra answers", extra.len(), 0, wrong);
            }
            Self::Ordering { items } => texts("items", items.iter().map(String::as_str), 2, wrong),
            Self::Numeric { answers, .. } => {
                count("answers", answers.len(), 1, wrong);
                if answers
                    .iter()
                    .any(|answer| answer.tolerance < Number::default())
                {
                    wrong("a tolerance is below zero".into());
                }
                best(answers.iter().map(|answer| answer.credit), wrong);
            }
            Self::Short { answers, .. } => {
                count("answers", answers.len(), 1, wrong);
                for answer in answers {
                    if let Err(reason) = answer.pattern.check() {
                        wrong(reason);
                    }
                }
                best(answers.iter().map(|answer| answer.credit), wrong);
            }
            Self::TrueFalse { .. } | Self::Essay {} | Self::Description {} => {}
        }
        let credits: Vec<Percent> = match self {
            Self::Single { choices } | Self::Multiple { choices } => {
                choices.iter().map(|choice| choice.credit).collect()
            }
            Self::Numeric { answers, .. } => answers.iter().map(|it| it.credit).collect(),
            Self::Short { answers, .. } => answers.iter().map(|it| it.credit).collect(),
            Self::TrueFalse { .. }
            | Self::Matching { .. }
            | Self::Ordering { .. }
            | Self::Essay {}
            | Self::Description {} => Vec::new(),
        };
        if credits.iter().any(|credit| credit.0.abs() > all().0) {
            wrong("a credit must be -100 to 100 percent".into());
        }
    }
}

/// What can be chosen in a matching question, each text once.
pub(super) fn options<'q>(pairs: &'q [Pair], extra: &'q [String]) -> Vec<&'q str> {
    let mut seen = HashSet::new();
    let all = pairs.iter().map(|pair| pair.answer.as_str());
    all.chain(extra.iter().map(String::as_str))
        .filter(|text| seen.insert(*text))
        .collect()
}

fn best(mut credits: impl Iterator<Item = Percent>, wrong: &mut impl FnMut(String)) {
    if !credits.any(|credit| credit == all()) {
        wrong("no answer gives all of the points".into());
    }
}

fn count(what: &str, found: usize, least: usize, wrong: &mut impl FnMut(String)) {
    if found < least {
        wrong(format!("there must be at least {least} {what}"));
    }
    if found > MOST_PARTS {
        wrong(format!("there are more than {MOST_PARTS} {what}"));
    }
}

fn texts<'t>(
    what: &str,
    texts: impl Iterator<Item = &'t str>,
    least: usize,
    wrong: &mut impl FnMut(String),
) {
    let mut seen = HashSet::new();
    let mut found = 0;
    for text in texts {
        found += 1;
        if !seen.insert(text) {
            wrong(format!("{what}: {text:?} is there twice"));
        }
        if text.trim().is_empty() {
            wrong(format!("{what}: one of them is empty"));
        }
    }
    count(what, found, least, wrong);
}

impl Question {
    /// Tells everything that is wrong with the question.
    pub(super) fn check(&self, mut wrong: impl FnMut(String)) {
        let length = self.name.chars().count();
        if self.name.trim().is_empty() || length > LONGEST_NAME {
            wrong(format!("the name must have 1 to {LONGEST_NAME} characters"));
        }
        if self.name.chars().any(char::is_control) {
            wrong("the name must be one line".into());
        }
        if self.text.trim().is_empty() {
            wrong("there is no text".into());
        }
        if self.text.len() > LONGEST {
            wrong(format!("the text is longer than {LONGEST} bytes"));
        }
        if self.points < Points::default() || self.points > Points::whole(1000) {
            wrong("the points must be 0 to 1000".into());
        }
        self.body.check(&mut wrong);
    }
}
