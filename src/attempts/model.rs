//! What is told of attempts: one sort of answer for who takes a quiz, another when it is over.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::quizzes::{Form, Percent, Points};
use crate::time::{Period, Timestamp};

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AttemptState)]
pub enum State {
    /// Answers are taken.
    InProgress,
    /// Its deadline has passed, and nobody has closed it yet: answers count for what grace is left.
    Overdue,
    /// It was handed in, by its person or by its deadline, and is graded.
    Submitted,
    /// Its deadline passed, and it counts for nothing.
    Abandoned,
}

impl State {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 4] = [
        Self::InProgress,
        Self::Overdue,
        Self::Submitted,
        Self::Abandoned,
    ];

    /// The word, as told and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Overdue => "overdue",
            Self::Submitted => "submitted",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether nothing can be answered any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Submitted | Self::Abandoned)
    }

    pub(super) fn stored(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| Error::internal(format!("attempt state {text}")))
    }
}

/// An attempt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) quiz_id: String,
    pub(super) user_id: String,
    pub(super) username: String,
    pub(super) number: u32,
    pub(super) seed: i64,
    pub(super) shuffled: bool,
    pub(super) state: State,
    pub(super) started_at: Timestamp,
    pub(super) deadline: Option<Timestamp>,
    pub(super) closes_at: Option<Timestamp>,
    pub(super) abandons: bool,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) timed_out: bool,
    pub(super) points: Option<Points>,
    pub(super) most: Points,
}

/// An attempt in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Attempt {
    /// The id.
    pub id: String,
    /// The quiz's id.
    pub quiz: String,
    /// The user name of whose it is.
    pub user: String,
    /// Which one of theirs, from 1.
    pub number: u32,
    /// How far it has come.
    pub state: State,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// Until when answers are taken, by the server's clock; null without a limit of time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Whether the deadline ended it.
    pub timed_out: bool,
    /// Whether it was handed in and waits for a person to grade what no rule can.
    pub waiting: bool,
    /// What was earned; null until all of it is graded.
    #[schema(value_type = Option<f64>)]
    pub points: Option<Points>,
    /// What could be earned.
    #[schema(value_type = f64)]
    pub most: Points,
}

/// Which attempts to list; what is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this user, by any name.
    pub user: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Only those that wait for a person to grade them.
    pub waiting: bool,
}

impl Row {
    pub(super) fn told(self, now: Timestamp) -> Attempt {
        let late = self.deadline.is_some_and(|deadline| deadline < now);
        let state = match self.state {
            State::InProgress if late => State::Overdue,
            State::InProgress | State::Overdue | State::Submitted | State::Abandoned => self.state,
        };
        Attempt {
            id: self.id,
            quiz: self.quiz_id,
            user: self.username,
            number: self.number,
            state,
            started_at: self.started_at,
            deadline: self.deadline,
            ended_at: self.ended_at,
            timed_out: self.timed_out,
            waiting: state == State::Submitted && self.points.is_none(),
            points: self.points,
            most: self.most,
        }
    }
}

/// An attempt with what is asked in it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Sheet {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The server's clock, to count down by.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// What is asked, in the order in which it is shown.
    pub questions: Vec<Asked>,
    /// For each question what came of it; only when the attempt is over, and for who grades it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Vec<Reviewed>>,
}

/// A question as who answers it sees it. Nothing of what is right is in it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Asked {
    /// The question's id.
    pub id: String,
    /// What sort of question it is: `single`, `multiple`, `true_false`, `numeric`, `short`,
    /// `matching`, `ordering`, `essay`, `description`.
    pub kind: &'static str,
    /// What is asked.
    pub text: String,
    /// How its texts are written.
    pub format: Form,
    /// What it is worth.
    #[schema(value_type = f64)]
    pub points: Points,
    /// What can be chosen, or put in order; an answer names them by their numbers, from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// For what something is to be chosen, of a question of the sort `matching`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// What was answered, as it is stored.
    #[serde(flatten)]
    pub saved: Saved,
}

/// What is stored of an answer. Only after it came back something may be shown as saved.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Saved {
    /// The number that the client gave it; 0: nothing came yet.
    pub seq: i64,
    /// What was answered; null if nothing was.
    #[schema(value_type = Option<Object>)]
    pub answer: Json,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub saved_at: Option<Timestamp>,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Reviewed {
    /// The question's id.
    pub id: String,
    /// What was earned; null until a person has graded it.
    #[schema(value_type = Option<f64>)]
    pub earned: Option<Points>,
    /// An answer that is right, if there is one.
    #[schema(value_type = Option<Object>)]
    pub right: Json,
    /// What the author says to the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<String>,
    /// What the author says to everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// What the person who graded it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// More time and more attempts for one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// How much longer each attempt may last.
    #[schema(value_type = String, example = "15m")]
    pub extra_time: Period,
    /// How many attempts more.
    pub extra_attempts: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            extra_time: Period(std::time::Duration::ZERO),
            extra_attempts: 0,
        }
    }
}

/// What somebody has got for a quiz.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Grade {
    /// The user name.
    pub user: String,
    /// The slug of the quiz.
    pub quiz: String,
    /// How many attempts there are.
    pub attempts: u64,
    /// How many of them are over and wait for a person to grade them.
    pub ungraded: u64,
    /// What counts, by the rule of the quiz; null while nothing does.
    #[schema(value_type = Option<f64>)]
    pub points: Option<Points>,
    /// What could be earned.
    #[schema(value_type = f64)]
    pub most: Points,
    /// The part of it.
    #[schema(value_type = Option<f64>)]
    pub percent: Option<Percent>,
    /// Whether it is passed; null where nothing is to be passed, or nothing counts yet.
    pub passed: Option<bool>,
}

impl Grade {
    /// The names of its members, in their order.
    pub(super) const MEMBERS: [&'static str; 8] = [
        "user", "quiz", "attempts", "ungraded", "points", "most", "percent", "passed",
    ];
}
