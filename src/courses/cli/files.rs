//! `provost course import` and `export`: courses as folders of text.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use super::CourseArg;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Fault, Result};
use crate::lessons::folder::{self, Files, Imported};

/// Where a course comes from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder holds course.toml, 01-module/01-lesson.md and assets/NAME. What is wrong is told
completely, as file:line: message, and nothing is changed. Lessons are known by their slugs: one that
is there is changed in its place, and nothing is deleted; what people have done stays.

Examples:
  provost course import ./intro-to-sql --dry-run
  provost course import intro-to-sql.zip")]
pub struct Import {
    /// The folder, or a ZIP archive of it
    #[arg(value_name = "DIR|ZIP")]
    from: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Where a course goes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost course export intro-to-sql ./intro-to-sql")]
pub struct Export {
    #[command(flatten)]
    course: CourseArg,
    /// The folder, which must not exist yet or be empty
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

impl Record for Imported {
    const COLUMNS: &'static [&'static str] = &[
        "course",
        "created",
        "lessons_created",
        "lessons_updated",
        "lessons_unchanged",
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.course)
    }
}

impl Import {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let largest = operator.app().config().courses.attachment_max;
        let draft = Files::open(&self.from)
            .and_then(|files| folder::read(&files, largest))
            .and_then(without_quizzes);
        let draft = match draft {
            Err(Error::FilesRefused { faults }) => {
                for fault in &faults {
                    out.finding(fault)?;
                }
                return Err(Error::FilesRefused { faults });
            }
            draft => draft?,
        };
        let told = if self.dry_run {
            operator.read(|cx| folder::plan(cx, &draft))?
        } else {
            operator.write(move |cx| folder::apply(cx, &draft))?
        };
        out.one(&told)?;
        Ok(Outcome::Done)
    }
}

/// Refuses what nobody reads, rather than leaving it out in silence.
fn without_quizzes(draft: folder::Draft) -> Result<folder::Draft> {
    if draft.quiz.is_empty() {
        return Ok(draft);
    }
    let faults = draft.quiz.keys();
    let faults = faults.map(|name| Fault::new(name, 0, "quizzes cannot be imported with a course"));
    Err(Error::FilesRefused {
        faults: faults.collect(),
    })
}

impl Export {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let files = operator.read(|cx| folder::write(cx, &self.course.course))?;
        let writing = |path: &Path| Error::io(format!("write {}", path.display()));
        fs::create_dir_all(&self.to).map_err(writing(&self.to))?;
        let mut there = fs::read_dir(&self.to).map_err(writing(&self.to))?;
        if there.next().is_some() {
            return Err(Error::Exists { path: self.to });
        }
        for (name, bytes) in &files.0 {
            let path = self.to.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(writing(folder))?;
            }
            fs::write(&path, bytes).map_err(writing(&path))?;
        }
        let (count, to) = (files.0.len(), self.to.display());
        out.message(format_args!("wrote {count} files into {to}"))?;
        Ok(Outcome::Done)
    }
}
