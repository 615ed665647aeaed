//! What is told of a quiz.

use serde::Serialize;

use super::decimal::Points;
use super::gift::Fault;
use super::{OnDeadline, Percent, Question, Settings, Which};
use crate::time::{Period, Timestamp};

/// A quiz as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) course_id: String,
    pub(crate) slug: String,
    pub(crate) settings: Settings,
    pub(crate) questions: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A quiz as everybody sees it who sees its course: how it is taken, and nothing that is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Quiz {
    /// The id.
    pub id: String,
    /// The slug of its course.
    pub course: String,
    /// Its name within the course.
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// What is told before it begins, in Markdown.
    pub intro: String,
    /// The slug of the lesson to which it belongs.
    pub lesson: Option<String>,
    /// How many questions there are; where some are drawn, fewer are asked.
    pub questions: u64,
    /// From what part of all points on it is passed, in percent.
    #[schema(value_type = Option<f64>)]
    pub passing: Option<Percent>,
    /// How often somebody may try; null: without end.
    pub attempts: Option<u32>,
    /// How long an attempt may last.
    #[schema(value_type = Option<String>, example = "30m")]
    pub time_limit: Option<Period>,
    /// What becomes of an attempt at its deadline.
    pub on_deadline: OnDeadline,
    /// For how long after the deadline an answer still counts.
    #[schema(value_type = Option<String>, example = "1m")]
    pub grace: Option<Period>,
    /// Which of several attempts counts.
    pub grade: Which,
    /// Whether everybody gets questions and choices in another order.
    pub shuffle: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it, or a question of it, was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl Quiz {
    pub(super) fn of(row: Row, course: &str) -> Self {
        let settings = row.settings;
        Self {
            id: row.id,
            course: course.to_owned(),
            slug: row.slug,
            title: settings.title,
            intro: settings.intro,
            lesson: settings.lesson,
            questions: row.questions,
            passing: settings.passing,
            attempts: settings.attempts,
            time_limit: settings.time_limit,
            on_deadline: settings.on_deadline,
            grace: settings.grace,
            grade: settings.grade,
            shuffle: settings.shuffle,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A question with its place in a quiz, for who may see what is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Place {
    /// The id.
    pub id: String,
    /// From 1.
    pub position: u32,
    /// The question.
    #[serde(flatten)]
    pub question: Question,
}

impl Place {
    /// What it is worth.
    pub(crate) fn points(&self) -> Points {
        self.question.points
    }
}

/// What an import did to a quiz, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Imported {
    /// The quiz's id; none of one that would be made.
    pub id: Option<String>,
    /// The slug of its course.
    pub course: String,
    /// Its name within the course.
    pub slug: String,
    /// Whether it is a new one.
    pub created: bool,
    /// Questions that were not there.
    pub added: u64,
    /// Questions that were corrected in place: attempts keep their answers to them.
    pub corrected: u64,
    /// Questions that were there as they are.
    pub kept: u64,
    /// Questions that are asked no more; attempts in which they were asked stand.
    pub retired: u64,
    /// What was taken otherwise than it stands in the file, or left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Fault>,
}
