//! `provost lesson …`: the lessons of a course at the shell.

pub mod progress;

use std::borrow::Cow;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use super::{Changes, Lesson, NewLesson, Place, Reading, Source};
use crate::cli::flags::{ListArgs, value};
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::courses::cli::CourseArg;
use crate::courses::{Slug, Title};
use crate::error::{Error, Result};

/// Lessons: what a course consists of
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the lessons of a course in their order
    List {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Form and length
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one lesson with its text
    Show {
        /// Which
        #[command(flatten)]
        lesson: LessonArg,
        /// Print its text alone, in Markdown
        #[arg(long)]
        source: bool,
    },
    /// Add a lesson to a course
    #[command(after_help = "\
Examples:
  provost lesson create intro-to-sql select --title \"SELECT\" --file select.md
  provost lesson create intro-to-sql joins --title Joins --module advanced --file - < joins.md")]
    Create {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Its name in addresses: lower-case letters a-z, digits and dashes
        #[arg(value_name = "SLUG", value_parser = value::<Slug>)]
        slug: Slug,
        /// What it is called
        #[arg(long, value_name = "TEXT", value_parser = value::<Title>)]
        title: Title,
        /// File with its text in Markdown; - reads standard input [default: no text yet]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Where it stands
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Change a lesson
    Update {
        /// Which
        #[command(flatten)]
        lesson: LessonArg,
        /// What to change
        #[command(flatten)]
        changes: ChangeArgs,
    },
    /// Bring a lesson to another place of its course
    Move {
        /// Which
        #[command(flatten)]
        lesson: LessonArg,
        /// Where to
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Delete a lesson and what people have done with it
    Delete {
        /// Which
        #[command(flatten)]
        lesson: LessonArg,
        /// The answer
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// The lesson that is meant.
#[derive(Debug, clap::Args)]
pub struct LessonArg {
    /// COURSE/LESSON by their slugs, or the id, or its first 6 characters or more
    #[arg(value_name = "LESSON")]
    lesson: String,
}

/// Where a lesson stands.
#[derive(Debug, clap::Args)]
pub struct PlaceArgs {
    /// The slug of its module, which is made if it is not there [default: a new lesson's is the last]
    #[arg(long, value_name = "SLUG", value_parser = value::<Slug>)]
    module: Option<Slug>,
    /// What a module is called that is made [default: its slug]
    #[arg(long, value_name = "TEXT", requires = "module", value_parser = value::<Title>)]
    module_title: Option<Title>,
    /// Its place in the module, from 1 [default: the last]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    position: Option<u32>,
}

impl PlaceArgs {
    fn read(self) -> Place {
        Place {
            module: self.module,
            module_title: self.module_title,
            position: self.position,
        }
    }
}

/// What to change about a lesson.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct ChangeArgs {
    /// Another name in addresses
    #[arg(long, value_name = "SLUG", value_parser = value::<Slug>)]
    slug: Option<Slug>,
    /// Another title
    #[arg(long, value_name = "TEXT", value_parser = value::<Title>)]
    title: Option<Title>,
    /// File with another text in Markdown; - reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

fn source(file: &PathBuf) -> Result<Source> {
    let most = u64::try_from(Source::MAX).map_err(Error::internal)?;
    let mut text = String::new();
    let read = |from: &mut dyn std::io::Read, text: &mut String| {
        from.take(most.saturating_add(1)).read_to_string(text)
    };
    let done = if file.as_os_str() == "-" {
        read(&mut std::io::stdin(), &mut text)
    } else {
        fs::File::open(file).and_then(|mut file| read(&mut file, &mut text))
    };
    done.map_err(Error::io(format!("read {}", file.display())))?;
    text.parse()
}

impl Record for Lesson {
    const COLUMNS: &'static [&'static str] = &["module", "position", "slug", "title", "updated_at"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }
}

impl Record for Reading {
    const COLUMNS: &'static [&'static str] = Lesson::COLUMNS;

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.lesson.id)
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List { course, list } => {
                out.list(&list, |cursor, limit| {
                    operator.read(|cx| super::list(cx, &course.course, cursor, limit))
                })?;
            }
            Self::Show {
                lesson,
                source: false,
            } => show(&operator.read(|cx| super::get(cx, &lesson.lesson))?, out)?,
            Self::Show { lesson, .. } => {
                let reading = operator.read(|cx| super::get(cx, &lesson.lesson))?;
                out.line(reading.source.trim_end_matches('\n'))?;
            }
            Self::Create {
                course,
                slug,
                title,
                file,
                place,
            } => {
                let new = NewLesson {
                    slug,
                    title,
                    source: file.as_ref().map(source).transpose()?.unwrap_or_default(),
                    place: place.read(),
                };
                out.one(&operator.write(move |cx| super::create(cx, &course.course, &new))?)?;
            }
            Self::Update { lesson, changes } => {
                let changes = Changes {
                    slug: changes.slug,
                    title: changes.title,
                    source: changes.file.as_ref().map(source).transpose()?,
                };
                out.one(&operator.write(move |cx| {
                    super::update_if(cx, &lesson.lesson, &changes, |_| Ok(()))
                })?)?;
            }
            Self::Move { lesson, place } => {
                let place = place.read();
                out.one(&operator.write(move |cx| super::move_to(cx, &lesson.lesson, &place))?)?;
            }
            Self::Delete { lesson, confirm } => {
                let (found, _) = operator.read(|cx| super::find(cx, &lesson.lesson))?;
                let what = format!("delete {}/{}", found.course, found.slug);
                confirm.ask(out, &what, 1)?;
                let gone = operator.write(move |cx| super::delete_if(cx, &found.id, |_| Ok(())))?;
                out.message(format_args!("deleted {}/{}", gone.course, gone.slug))?;
                out.one(&gone)?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// The whole as one document for programs; for people what it is, and below that what it says.
fn show(reading: &Reading, out: &mut Output) -> Result<()> {
    if out.format().json || out.format().quiet {
        return out.one(reading);
    }
    out.one(&reading.lesson)?;
    out.line("")?;
    out.line(reading.source.trim_end_matches('\n'))
}
