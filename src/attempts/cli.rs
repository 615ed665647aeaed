//! `provost attempt …` and `provost grade …`: what people did with quizzes, at the shell.

use std::borrow::Cow;
use std::path::PathBuf;

use super::{Attempt, Grade, Regraded};
use crate::cli::flags::{ListArgs, value, word};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::quizzes::Points;
use crate::quizzes::cli::new_file;
use crate::time::Period;
use crate::users::formulas::guarded;

/// Attempts graded in one transaction, between which the daemon writes.
const STEP: u32 = 50;

/// The verbs of `attempt`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the attempts at a quiz, the newest first
    List(List),
    /// Show an attempt: what was asked, what was answered, what is right
    Show(Show),
    /// Give an answer its points by hand: an essay, or what a rule got wrong
    Mark(Mark),
    /// Open an attempt that is over once more
    Reopen(Reopen),
    /// Grade the attempts at a quiz anew, after a question was corrected
    Regrade(Regrade),
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
            Self::Mark(command) => command.run(operator, out),
            Self::Reopen(command) => command.run(operator, out),
            Self::Regrade(command) => command.run(operator, out),
        }
    }
}

impl Record for Attempt {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user",
        "number",
        "state",
        "started_at",
        "deadline",
        "ended_at",
        "points",
        "most",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

/// The flags of `attempt list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// Only those of this user: id, user name, e-mail or phone
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    form: ListArgs,
}

impl List {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        out.list(&self.form, |cursor, limit| {
            operator.read(|cx| super::list(cx, &self.quiz, self.user.as_deref(), cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// The argument of `attempt show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The attempt's id, or the first 6 characters of it or more
    #[arg(value_name = "ID")]
    id: String,
}

impl Show {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let sheet = operator.read(|cx| super::get(cx, &self.id))?;
        if out.format().quiet && !out.format().json {
            out.line(&sheet.attempt.id)?;
        } else {
            out.value(&sheet)?;
        }
        Ok(Outcome::Done)
    }
}

/// The flags of `attempt mark`.
#[derive(Debug, clap::Args)]
pub struct Mark {
    /// The attempt's id, or the first 6 characters of it or more
    #[arg(value_name = "ID")]
    id: String,
    /// The question's id, as attempt show has it
    #[arg(value_name = "QUESTION")]
    question: String,
    /// How many points, with at most two decimals
    #[arg(value_name = "POINTS", value_parser = value::<Points>)]
    points: Points,
    /// Why, for the person whose answer it is
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl Mark {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let Self {
            id,
            question,
            points,
            comment,
        } = self;
        let attempt = operator
            .write(move |cx| super::mark(cx, &id, &question, points, comment.as_deref()))?;
        out.one(&attempt).map(|()| Outcome::Done)
    }
}

/// The flags of `attempt reopen`.
#[derive(Debug, clap::Args)]
pub struct Reopen {
    /// The attempt's id, or the first 6 characters of it or more
    #[arg(value_name = "ID")]
    id: String,
    /// For how long from now [default: without an end]
    #[arg(long, value_name = "TIME", value_parser = value::<Period>)]
    time: Option<Period>,
}

impl Reopen {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let attempt = operator.write(move |cx| super::reopen(cx, &self.id, self.time))?;
        out.one(&attempt).map(|()| Outcome::Done)
    }
}

/// The argument of `attempt regrade`.
#[derive(Debug, clap::Args)]
pub struct Regrade {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
}

impl Regrade {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let mut all = Regraded::default();
        let mut after: Option<String> = None;
        loop {
            let (quiz, last) = (self.quiz.clone(), after.clone());
            let done =
                operator.write(move |cx| super::regrade(cx, &quiz, last.as_deref(), STEP))?;
            all.attempts += done.attempts;
            all.changed += done.changed;
            after = done.last;
            if after.is_none() {
                break;
            }
        }
        out.value(&all).map(|()| Outcome::Done)
    }
}

/// The verbs of `grade`.
#[derive(Debug, clap::Subcommand)]
pub enum GradeCommand {
    /// List what everybody has got for each quiz of a course
    List(Grades),
    /// Write them as CSV
    Export(Export),
}

impl GradeCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List(command) => command.run(operator, out),
            Self::Export(command) => command.run(operator, out),
        }
    }
}

impl Record for Grade {
    const COLUMNS: &'static [&'static str] = &[
        "user", "quiz", "attempts", "ungraded", "points", "most", "percent", "passed",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.user.as_str().into()
    }
}

/// The flags of `grade list`.
#[derive(Debug, clap::Args)]
pub struct Grades {
    /// The course: its slug or id
    #[arg(value_name = "COURSE")]
    course: String,
    #[command(flatten)]
    form: ListArgs,
}

impl Grades {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        out.list(&self.form, |cursor, limit| {
            operator.read(|cx| super::grades(cx, &self.course, cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// In which form grades are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
}

impl Form {
    const ALL: [Self; 1] = [Self::Csv];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
        }
    }
}

/// The flags of `grade export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A name that a spreadsheet would take for a formula is written with a ' before it.

Examples:
  provost grade export operating-provost -o grades.csv")]
pub struct Export {
    /// The course: its slug or id
    #[arg(value_name = "COURSE")]
    course: String,
    /// In which form
    #[arg(long, value_parser = word(Form::ALL, Form::as_str), default_value = "csv")]
    format: Form,
    /// The new file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let path = self.out.as_deref().filter(|path| path.as_os_str() != "-");
        if path.is_none() && out.format().json {
            return Err(Error::Usage(
                "--json and CSV cannot both go to standard output; for JSON use grade list".into(),
            ));
        }
        let Form::Csv = self.format;
        let mut table = csv::Writer::from_writer(Vec::new());
        table
            .write_record(Grade::COLUMNS)
            .map_err(Error::internal)?;
        let mut cursor: Option<String> = None;
        loop {
            let page =
                operator.read(|cx| super::grades(cx, &self.course, cursor.as_deref(), 500))?;
            for grade in &page.items {
                table.write_record(row(grade)).map_err(Error::internal)?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let bytes = table
            .into_inner()
            .map_err(|error| Error::internal(error.into_error()))?;
        match path {
            Some(path) => new_file(path, &bytes)?,
            None => out.document(bytes)?,
        }
        Ok(Outcome::Done)
    }
}

fn row(grade: &Grade) -> [String; 8] {
    let shown = |value: Option<String>| value.unwrap_or_default();
    [
        guarded(&grade.user).into_owned(),
        guarded(&grade.quiz).into_owned(),
        grade.attempts.to_string(),
        grade.ungraded.to_string(),
        shown(grade.points.map(|it| it.to_string())),
        grade.most.to_string(),
        shown(grade.percent.map(|it| it.to_string())),
        shown(grade.passed.map(|it| it.to_string())),
    ]
}
