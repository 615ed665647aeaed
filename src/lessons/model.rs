//! What a lesson is, and what may be asked of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::courses::{Slug, Title};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// A lesson without its text: a row of a table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Lesson {
    /// The id.
    pub id: String,
    /// The slug of its course.
    pub course: String,
    /// The slug of the module in which it stands.
    pub module: String,
    /// What that module is called.
    pub module_title: String,
    /// Its name in addresses and files; there is one of it in a course.
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// Its place in the module, from 1.
    #[schema(minimum = 1)]
    pub position: i64,
    /// Grows with every change.
    #[schema(minimum = 1)]
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When anything of it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The place of its module in the course.
    #[serde(skip)]
    #[schema(ignore)]
    pub module_position: i64,
}

impl Lesson {
    /// Which version of which lesson this is, for an `ETag`. When that was made is part of that, for
    /// after a restore the same number may be another one; and where it stands: other lessons, its
    /// module and its course are changed without it, and it is shown with them.
    #[must_use]
    pub fn stamp(&self) -> String {
        let mut around = crc32fast::Hasher::new();
        for part in [&self.course, &self.module, &self.module_title] {
            around.update(part.as_bytes());
            around.update(&[0]);
        }
        let (position, around) = (self.position, around.finalize());
        let (version, made) = (self.version, self.updated_at.0);
        format!("{}.{version}.{made}.{position}-{around:08x}", self.id)
    }
}

/// A lesson with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reading {
    /// What it is.
    #[serde(flatten)]
    pub lesson: Lesson,
    /// The text as it was written, in Markdown.
    pub source: String,
    /// The text as a page shows it: HTML without anything that runs.
    pub html: String,
}

/// The text of a lesson in Markdown, with LF line ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, example = "# Hello\n\nRead *this*.\n")]
pub struct Source(String);

impl Source {
    /// The longest, in bytes.
    pub const MAX: usize = 256 * 1024;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.replace("\r\n", "\n");
        let control = |c: char| c.is_control() && c != '\n' && c != '\t';
        if text.len() > Self::MAX {
            let rule = format!("must be at most {} bytes", Self::MAX);
            return Err(Error::invalid("source", rule));
        }
        if text.contains(control) {
            let rule = "must hold no control character but line ends and tabs";
            return Err(Error::invalid("source", rule));
        }
        Ok(Self(text))
    }
}

impl TryFrom<String> for Source {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// A lesson to be made.
#[derive(Clone, Debug)]
pub struct NewLesson {
    /// Its name in addresses and files.
    pub slug: Slug,
    /// What it is called.
    pub title: Title,
    /// The text.
    pub source: Source,
    /// Where it stands.
    pub place: Place,
}

/// Where in its course a lesson stands.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// In which module, which is made if it is not there; with none, in the last one.
    pub module: Option<Slug>,
    /// What a module is to be called that is made.
    pub module_title: Option<Title>,
    /// At which place in it, from 1; with none, at its end.
    pub position: Option<u32>,
}

/// Changes to a lesson; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Its name in addresses and files.
    pub slug: Option<Slug>,
    /// What it is called.
    pub title: Option<Title>,
    /// The text.
    pub source: Option<Source>,
}

/// How far somebody has come with a lesson.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Not opened, or begun anew.
    NotStarted,
    /// Begun.
    InProgress,
    /// Done.
    Completed,
}

impl Step {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 3] = [Self::NotStarted, Self::InProgress, Self::Completed];

    /// The word, as stored and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }

    pub(super) fn read(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|step| step.as_str() == text);
        found.ok_or_else(|| Error::internal(format!("progress {text}")))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far somebody has come with one lesson of a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = LessonMark)]
pub struct Mark {
    /// The id of the lesson.
    pub id: String,
    /// The slug of the lesson.
    pub lesson: String,
    /// What it is called.
    pub title: String,
    /// How far.
    pub state: Step,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

/// How far somebody has come with a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Progress {
    /// The slug of the course.
    pub course: String,
    /// The id of the user.
    pub user: String,
    /// How many lessons there are.
    pub lessons: usize,
    /// How many of them are done.
    pub completed: usize,
    /// How much of the course is done, rounded down; nothing of a course without lessons.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: usize,
    /// Lesson by lesson, in their order.
    pub marks: Vec<Mark>,
}

impl Progress {
    pub(super) fn of(course: String, user: String, marks: Vec<Mark>) -> Self {
        let done = |mark: &&Mark| mark.state == Step::Completed;
        let (lessons, completed) = (marks.len(), marks.iter().filter(done).count());
        let percent = completed.saturating_mul(100).checked_div(lessons);
        Self {
            course,
            user,
            lessons,
            completed,
            percent: percent.unwrap_or(0),
            marks,
        }
    }
}
