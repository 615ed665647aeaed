//! How a quiz is taken.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decimal::Percent;
use crate::time::Period;

/// A quiz may last so long, and wait so long for what is late.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// What holds for a whole quiz.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What it is called.
    pub title: String,
    /// What is told before it begins, in Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub intro: String,
    /// The slug of the lesson to which it belongs, if to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson: Option<String>,
    /// From what part of all points on it is passed, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub passing: Option<Percent>,
    /// How often somebody may try; without end, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// How long an attempt may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "30m")]
    pub time_limit: Option<Period>,
    /// What becomes of an attempt at its deadline.
    #[serde(default, skip_serializing_if = "OnDeadline::is_usual")]
    pub on_deadline: OnDeadline,
    /// For how long after the deadline an answer still counts, if the quiz gives grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1m")]
    pub grace: Option<Period>,
    /// Which of several attempts counts.
    #[serde(default, skip_serializing_if = "Which::is_usual")]
    pub grade: Which,
    /// Whether everybody gets questions and choices in another order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shuffle: bool,
    /// From which pools how many questions are drawn. Of a pool that is not named here, and of
    /// those without one, all questions are asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub draw: BTreeMap<String, u32>,
}

/// What becomes of an attempt at its deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// What was answered is graded.
    #[default]
    Submit,
    /// Answers still count for a while; then what was answered is graded.
    Grace,
    /// It counts for nothing.
    Abandon,
}

impl OnDeadline {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Which of several attempts counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The best.
    #[default]
    Highest,
    /// All of them, in the mean.
    Average,
    /// The first.
    First,
    /// The last.
    Last,
}

impl Which {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Settings {
    /// A quiz with this title and nothing else said.
    #[must_use]
    pub fn titled(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            intro: String::new(),
            lesson: None,
            passing: None,
            attempts: None,
            time_limit: None,
            on_deadline: OnDeadline::default(),
            grace: None,
            grade: Which::default(),
            shuffle: false,
            draw: BTreeMap::new(),
        }
    }

    /// How long after its deadline an attempt still takes answers.
    #[must_use]
    pub fn grace(&self) -> Duration {
        match (self.on_deadline, self.grace) {
            (OnDeadline::Grace, Some(grace)) => grace.0,
            (OnDeadline::Grace | OnDeadline::Submit | OnDeadline::Abandon, _) => Duration::ZERO,
        }
    }

    /// Tells everything that is wrong with the settings.
    pub(super) fn check(&self, mut wrong: impl FnMut(String)) {
        let length = self.title.chars().count();
        if self.title.trim().is_empty() || length > 200 || self.title.chars().any(char::is_control)
        {
            wrong("title: must be one line of 1 to 200 characters".into());
        }
        if self.intro.len() > 64 * 1024 {
            wrong("intro: is longer than 65536 bytes".into());
        }
        let percents = Percent::default()..=Percent::whole(100);
        if self.passing.is_some_and(|it| !percents.contains(&it)) {
            wrong("passing: must be 0 to 100 percent".into());
        }
        if self.attempts.is_some_and(|it| !(1..=1000).contains(&it)) {
            wrong("attempts: must be 1 to 1000".into());
        }
        for (what, period) in [("time_limit", self.time_limit), ("grace", self.grace)] {
            if period.is_some_and(|it| it.0.is_zero() || it.0 > LONGEST) {
                wrong(format!("{what}: must be above 0 and at most a year"));
            }
        }
        match (self.on_deadline, self.grace) {
            (OnDeadline::Grace, None) => {
                wrong("grace: must be given with on_deadline = \"grace\"".into());
            }
            (OnDeadline::Submit | OnDeadline::Abandon, Some(_)) => {
                wrong("grace: has a meaning only with on_deadline = \"grace\"".into());
            }
            (OnDeadline::Grace, Some(_)) | (OnDeadline::Submit | OnDeadline::Abandon, None) => {}
        }
        if self.draw.values().any(|count| *count == 0) {
            wrong("draw: at least one question must be drawn from a pool".into());
        }
    }
}
