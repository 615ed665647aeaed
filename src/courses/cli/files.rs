//! `provost course import` and `export`: courses as folders of text.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::CourseArg;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::lessons::folder::{self, Files, Imported};
use crate::quizzes;

/// Where a course comes from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder holds course.toml, 01-module/01-lesson.md, assets/NAME, and quiz/NAME.toml or
quiz/NAME.gift. What is wrong is told completely, as file:line: message, and nothing is changed.
Lessons and quizzes are known by their slugs: one that is there is changed in its place, and nothing
is deleted; what people have done stays.

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

/// What an import did, or would do.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    course: Imported,
    #[serde(flatten)]
    quizzes: quizzes::folder::Imported,
}

impl Record for Told {
    const COLUMNS: &'static [&'static str] = &[
        "course",
        "created",
        "lessons_created",
        "lessons_updated",
        "lessons_unchanged",
        "quizzes_created",
        "quizzes_updated",
        "quizzes_unchanged",
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.course.course)
    }
}

impl Import {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let largest = operator.app().config().courses.attachment_max;
        let (draft, quizzes) = match read(&self.from, largest) {
            Err(Error::FilesRefused { faults }) => {
                for fault in &faults {
                    out.finding(fault)?;
                }
                return Err(Error::FilesRefused { faults });
            }
            read => read?,
        };
        let told = if self.dry_run {
            operator.read(|cx| {
                let course = folder::plan(cx, &draft)?;
                let slug = (!course.created).then_some(course.course.as_str());
                let quizzes = quizzes::folder::apply(cx, slug, &quizzes, true)?;
                Ok(Told { course, quizzes })
            })?
        } else {
            operator.write(move |cx| {
                let course = folder::apply(cx, &draft)?;
                let quizzes = quizzes::folder::apply(cx, Some(&course.course), &quizzes, false)?;
                Ok(Told { course, quizzes })
            })?
        };
        out.one(&told)?;
        Ok(Outcome::Done)
    }
}

/// Reads a course with its quizzes, or tells everything that is wrong with both.
fn read(from: &Path, largest: usize) -> Result<(folder::Draft, Vec<quizzes::folder::Draft>)> {
    let files = Files::open(from)?;
    match (folder::read(&files, largest), quizzes::folder::read(&files)) {
        (Ok(draft), Ok(quizzes)) => Ok((draft, quizzes)),
        (Err(Error::FilesRefused { mut faults }), Err(Error::FilesRefused { faults: others })) => {
            faults.extend(others);
            Err(Error::FilesRefused { faults })
        }
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}

impl Export {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let files = operator.read(|cx| {
            let mut files = folder::write(cx, &self.course.course)?;
            quizzes::folder::write(cx, &self.course.course, &mut files)?;
            Ok(files)
        })?;
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
