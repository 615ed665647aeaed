//! `provost can`: whether somebody may do something.

use std::borrow::Cow;
use std::net::IpAddr;

use clap_complete::engine::ArgValueCompleter;

use super::{Question, Step};
use crate::cli::flags::value;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::scope::Scope;
use crate::users;

/// Say whether a user or a token may do something, and why
///
/// Prints yes or no; the exit status is 0 for yes and 3 for no.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost can maria user:write
  provost can ivan user:write ivan --why
  provost can 4U6eOs8cVB4 course:read --from 10.1.2.3 --why
  provost can ci-bot token:create --quiet && ./deploy")]
pub struct Can {
    /// A user by any name, or a token by its id; user: or token: before it says which
    #[arg(add = ArgValueCompleter::new(users::cli::complete))]
    subject: String,
    /// What it wants to do: a scope such as user:write
    #[arg(value_parser = value::<Scope>)]
    action: Scope,
    /// To which account, for user:read and user:write
    #[arg(add = ArgValueCompleter::new(users::cli::complete))]
    object: Option<String>,
    /// From which address, for a token that is bound to a network
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// Tell each step of the way to the answer
    #[arg(long)]
    why: bool,
}

impl Record for Step {
    const COLUMNS: &'static [&'static str] = &["rule", "passed", "found"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.rule)
    }
}

impl Can {
    /// Does it.
    ///
    /// # Errors
    /// As [`super::can()`]; those of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let Self {
            subject,
            action,
            object,
            from,
            why,
        } = self;
        let question = Question {
            subject,
            action,
            object,
            from,
        };
        let verdict = operator.read(|cx| super::can(cx, &question))?;
        if out.format().json {
            out.value(&verdict)?;
        } else if !out.format().quiet {
            out.line(if verdict.allowed { "yes" } else { "no" })?;
            if why {
                out.table(verdict.steps)?;
            }
        }
        Ok(if verdict.allowed {
            Outcome::Done
        } else {
            Outcome::Denied
        })
    }
}
