//! `provost migrate …`: the schema at the shell.

mod change;
mod plan;

use std::borrow::Cow;

use super::{Entry, Happened, State, Story};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::Result;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost migrate status --exit-code          status 9 when something is pending
  provost migrate up --dry-run                try it on a copy, beside a running daemon
  provost migrate up                          stop the daemon first")]
pub enum Command {
    /// Show every migration and where it stands
    Status {
        /// End with status 9 if the schema is not the one of this program
        #[arg(long)]
        exit_code: bool,
    },
    /// Show what would be applied
    Plan(plan::Plan),
    /// Apply what is pending: first to a copy of the data, then, with a verified snapshot kept, to
    /// the data; refused while a daemon serves the database
    Up(change::Up),
    /// Undo what was applied, and destroy what is in its tables: first on a copy of the data, then,
    /// with a verified snapshot kept, in the data; refused while a daemon serves the database
    Down(change::Down),
    /// Compare the database's history with the migrations of this program
    Verify,
    /// Show what was applied and undone: when, by which version and by whom, and how long it took
    History,
}

impl Record for Entry {
    const COLUMNS: &'static [&'static str] =
        &["name", "state", "applied_at", "duration_ms", "version"];

    fn id(&self) -> Cow<'_, str> {
        self.name.as_str().into()
    }
}

impl Record for Happened {
    const COLUMNS: &'static [&'static str] =
        &["at", "what", "name", "duration_ms", "version", "by"];

    fn id(&self) -> Cow<'_, str> {
        self.name.as_str().into()
    }
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let db = operator.app().db();
        let story = Story::own();
        match self {
            Self::Status { exit_code } => {
                let entries = story.status(db)?;
                let odd = entries.iter().any(|entry| entry.state != State::Applied);
                out.table(entries)?;
                if exit_code && odd {
                    return Ok(Outcome::Findings);
                }
            }
            Self::Plan(plan) => plan.run(&story, operator, out)?,
            Self::Up(up) => return up.run(&story, operator, out),
            Self::Down(down) => return down.run(&story, operator, out),
            Self::Verify => {
                let entries = story.verify(db)?;
                if out.format().json || out.format().quiet {
                    out.table(entries)?;
                } else {
                    let schema = db.identity()?.schema;
                    out.message(format_args!("the history is good: schema {schema}"))?;
                }
            }
            Self::History => {
                let happened = operator.read(|cx| story.history(cx))?;
                out.table(happened)?;
            }
        }
        Ok(Outcome::Done)
    }
}
