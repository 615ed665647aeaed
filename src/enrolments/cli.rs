//! `provost enrol …`: who takes which course.

use std::borrow::Cow;

use clap_complete::engine::ArgValueCompleter;

use super::{Enrolment, Filter, State};
use crate::cli::flags::{ListArgs, word};
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::courses::cli::CourseArg;
use crate::error::{Error, Result};
use crate::users;

/// Enrolments: who takes which course
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List who takes a course, those who came last first
    List {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Only in this state
        #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str))]
        state: Option<State>,
        /// Form and length
        #[command(flatten)]
        list: ListArgs,
    },
    /// Enrol people in a course: all of them or, if one of them cannot be, none
    #[command(after_help = "\
Examples:
  provost enrol add intro-to-sql ivan anna
  provost enrol add intro-to-sql ivan --invite")]
    Add {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Whom
        #[command(flatten)]
        people: People,
        /// Ask them first: they are in it once they enrol themselves
        #[arg(long)]
        invite: bool,
    },
    /// Take people out of a course; what they have done is kept
    Remove {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Whom
        #[command(flatten)]
        people: People,
        /// The answer
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// The people who are meant.
#[derive(Debug, clap::Args)]
pub struct People {
    /// User names, e-mail addresses, phone numbers or ids
    #[arg(required = true, value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    users: Vec<String>,
}

impl Record for Enrolment {
    const COLUMNS: &'static [&'static str] = &["username", "course", "state", "since", "by"];

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
            Self::List {
                course,
                state,
                list,
            } => {
                let (course, filter) = (course.course, Filter { state });
                out.list(&list, |cursor, limit| {
                    operator.read(|cx| super::list(cx, &course, filter, cursor, limit))
                })?;
            }
            Self::Add {
                course,
                people,
                invite,
            } => {
                let named = people.users.len();
                let done = operator.write(move |cx| {
                    let users = people.users.iter();
                    users
                        .map(|user| super::add(cx, &course.course, Some(user), invite))
                        .collect::<Result<Vec<_>>>()
                })?;
                print(named, done, out)?;
            }
            Self::Remove {
                course,
                people,
                confirm,
            } => {
                let named = people.users.len();
                // One person, typed out, is no slip, and can come back.
                if named > 1 || confirm.yes.is_some() {
                    let what = format!("take {} out", people.users.join(", "));
                    confirm.ask(out, &what, u64::try_from(named).map_err(Error::internal)?)?;
                }
                let done = operator.write(move |cx| {
                    let users = people.users.iter();
                    users
                        .map(|user| super::withdraw(cx, &course.course, Some(user)))
                        .collect::<Result<Vec<_>>>()
                })?;
                print(named, done, out)?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// One object if one was named, else a list.
fn print(named: usize, mut done: Vec<Enrolment>, out: &mut Output) -> Result<()> {
    match done.pop() {
        Some(one) if named == 1 => out.one(&one),
        last => {
            done.extend(last);
            out.table(done)
        }
    }
}
