//! `provost quiz …`: quizzes at the shell.

mod import;

use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use super::{Points, Quiz, form};
use crate::attempts;
use crate::cli::flags::{ListArgs, value};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::file;
use crate::time::Period;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the quizzes of a course
    List(List),
    /// Show a quiz, and with --questions what it asks and what is right
    Show(Show),
    /// Make a quiz, or correct the one that is there, from a file of GIFT, Moodle XML or TOML
    Import(import::Import),
    /// Write a quiz as TOML, to be corrected and taken in again
    Export(Export),
    /// Give one person more time, or more attempts
    Allow(Allow),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List(command) => command.run(operator, out),
            Self::Show(command) => command.run(operator, out),
            Self::Import(command) => command.run(operator, out),
            Self::Export(command) => command.run(operator, out),
            Self::Allow(command) => command.run(operator, out),
        }
    }
}

impl Record for Quiz {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "slug",
        "title",
        "questions",
        "attempts",
        "time_limit",
        "passing",
        "updated_at",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

/// The flags of `list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The course: its slug or id
    #[arg(value_name = "COURSE")]
    course: String,
    #[command(flatten)]
    form: ListArgs,
}

impl List {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        out.list(&self.form, |cursor, limit| {
            operator.read(|cx| super::list(cx, &self.course, cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// The flags of `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// Show what it asks instead, each question with its id
    #[arg(long)]
    questions: bool,
}

/// A question in a table.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    position: u32,
    kind: &'static str,
    points: Points,
    pool: Option<String>,
    name: String,
}

impl Record for Line {
    const COLUMNS: &'static [&'static str] = &["id", "position", "kind", "points", "pool", "name"];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

impl Show {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        if !self.questions {
            let quiz = operator.read(|cx| super::get(cx, &self.quiz))?;
            return out.one(&quiz).map(|()| Outcome::Done);
        }
        let places = operator.read(|cx| super::questions(cx, &self.quiz))?;
        if out.format().json {
            return out.value(&places).map(|()| Outcome::Done);
        }
        let line = |place: super::Place| Line {
            id: place.id,
            position: place.position,
            kind: place.question.body.kind(),
            points: place.question.points,
            pool: place.question.pool,
            name: place.question.name,
        };
        out.table(places.into_iter().map(line).collect())?;
        Ok(Outcome::Done)
    }
}

/// The flags of `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// The new file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let (settings, questions) = operator.read(|cx| super::export(cx, &self.quiz))?;
        let text = form::write(&settings, questions.iter())?;
        match self.out.as_deref().filter(|path| path.as_os_str() != "-") {
            Some(path) => new_file(path, text.as_bytes())?,
            None => out.document(text)?,
        }
        Ok(Outcome::Done)
    }
}

/// Writes a file that was not there, whole or not at all.
pub(crate) fn new_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.into() });
    }
    let writing = || Error::io(format!("write {}", path.display()));
    let folder = file::folder_of(path);
    let mut temporary = NamedTempFile::with_prefix_in(".export-", folder).map_err(writing())?;
    temporary.write_all(bytes).map_err(writing())?;
    file::keep(temporary, path)
}

/// The flags of `allow`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is not said stays as it is; 0s and 0 take it back.

Examples:
  provost quiz allow operating-provost/check-yourself maria --extra-time 15m
  provost quiz allow operating-provost/check-yourself maria --extra-attempts 1")]
pub struct Allow {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// The user: id, user name, e-mail or phone
    #[arg(value_name = "USER")]
    user: String,
    /// How much longer each attempt may last, also one that is under way: 15m [default: as it is]
    #[arg(long, value_name = "TIME", value_parser = value::<Period>)]
    extra_time: Option<Period>,
    /// How many attempts more [default: as it is]
    #[arg(long, value_name = "N")]
    extra_attempts: Option<u32>,
}

impl Allow {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        if (self.extra_time, self.extra_attempts) == (None, None) {
            let usage = "say --extra-time, --extra-attempts, or both";
            return Err(Error::Usage(usage.into()));
        }
        let allowed = operator.write(move |cx| {
            let mut allowance = attempts::allowance(cx, &self.quiz, &self.user)?;
            allowance.extra_time = self.extra_time.unwrap_or(allowance.extra_time);
            allowance.extra_attempts = self.extra_attempts.unwrap_or(allowance.extra_attempts);
            attempts::allow(cx, &self.quiz, &self.user, &allowance)
        })?;
        out.value(&allowed).map(|()| Outcome::Done)
    }
}
