//! `provost progress …`: how far people have come.

use std::borrow::Cow;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::courses::cli::CourseArg;
use crate::error::Result;
use crate::lessons::{Mark, Progress, progress, reset};
use crate::users;

/// Progress: how far people have come
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show how far somebody has come with a course
    Show {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Whose
        #[command(flatten)]
        user: UserArg,
    },
    /// Forget how far somebody has come with a course
    Reset {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Whose
        #[command(flatten)]
        user: UserArg,
        /// The answer
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// The person who is meant.
#[derive(Debug, clap::Args)]
pub struct UserArg {
    /// User name, e-mail address, phone number or id
    #[arg(value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    user: String,
}

/// What `reset` did.
#[derive(Debug, Serialize)]
struct Forgotten {
    lessons: u64,
}

impl Record for Mark {
    const COLUMNS: &'static [&'static str] = &["lesson", "title", "state", "at"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Show { course, user } => {
                let found = operator.read(|cx| progress(cx, &course.course, Some(&user.user)))?;
                show(found, out)?;
            }
            Self::Reset {
                course,
                user,
                confirm,
            } => {
                let what = format!(
                    "forget how far {} has come with {}",
                    user.user, course.course
                );
                confirm.ask(out, &what, 1)?;
                let lessons = operator.write(move |cx| reset(cx, &course.course, &user.user))?;
                out.value(&Forgotten { lessons })?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// The whole as one document for programs, lesson by lesson for people.
fn show(found: Progress, out: &mut Output) -> Result<()> {
    if out.format().json {
        return out.value(&found);
    }
    let (done, all, percent) = (found.completed, found.lessons, found.percent);
    out.message(format_args!(
        "{done} of {all} lessons completed: {percent} %"
    ))?;
    out.table(found.marks)
}
