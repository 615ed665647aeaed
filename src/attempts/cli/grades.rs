//! `provost grade …`: what people have got for quizzes, at the shell.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::attempts::{self, Grade, workbook};
use crate::cli::flags::ListArgs;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::quizzes::cli::new_file;
use crate::users::formulas::guarded;

/// Grades looked up at once.
const PART: u32 = 500;

/// The verbs of `grade`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what everybody has got for each quiz of a course
    List(Grades),
    /// Write them as CSV, or as a workbook of a spreadsheet
    Export(Export),
}

impl Command {
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
    const COLUMNS: &'static [&'static str] = &Grade::MEMBERS;

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
            operator.read(|cx| attempts::grades(cx, &self.course, cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// The flags of `grade export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A name that a spreadsheet would take for a formula is written with a ' before it in CSV, and as text in
a workbook. Numbers are numbers.

Examples:
  provost grade export operating-provost -o grades.csv
  provost grade export operating-provost -o grades.xlsx")]
pub struct Export {
    /// The course: its slug or id
    #[arg(value_name = "COURSE")]
    course: String,
    /// As CSV [default: unless the name of the new file ends in .xlsx]
    #[arg(long, conflicts_with = "xlsx")]
    csv: bool,
    /// As a workbook, which spreadsheets open
    #[arg(long)]
    xlsx: bool,
    /// The new file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let path = self.out.as_deref().filter(|path| path.as_os_str() != "-");
        let workbook = self.xlsx || !self.csv && path.is_some_and(is_workbook);
        let usage = |text: &str| Err(Error::Usage(text.into()));
        if path.is_none() && out.format().json {
            return usage(
                "--json and the file cannot both go to standard output; for JSON use grade list",
            );
        }
        if path.is_none() && workbook && out.terminal().stdout {
            return usage("a workbook is nothing for a terminal: redirect it, or use -o FILE");
        }
        // Before grades are read, and again when they are written.
        if let Some(path) = path.filter(|path| path.symlink_metadata().is_ok()) {
            return Err(Error::Exists { path: path.into() });
        }
        let grades = all(operator, &self.course)?;
        let bytes = if workbook {
            workbook::of(&grades, operator.now())?
        } else {
            csv(&grades)?
        };
        match path {
            Some(path) => {
                new_file(path, &bytes)?;
                let (count, path) = (grades.len(), path.display());
                let noun = if count == 1 { "grade" } else { "grades" };
                out.message(format_args!("{count} {noun} in {path}"))?;
            }
            None => out.document(bytes)?,
        }
        Ok(Outcome::Done)
    }
}

fn is_workbook(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str) == Some("xlsx")
}

fn all(operator: &Operator, course: &str) -> Result<Vec<Grade>> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = operator.read(|cx| attempts::grades(cx, course, cursor.as_deref(), PART))?;
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

fn csv(grades: &[Grade]) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table
        .write_record(Grade::MEMBERS)
        .map_err(Error::internal)?;
    for grade in grades {
        table.write_record(row(grade)).map_err(Error::internal)?;
    }
    table
        .into_inner()
        .map_err(|error| Error::internal(error.into_error()))
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
