//! `provost migrate …`: the schema at the shell.

use std::borrow::Cow;

use super::{Entry, State, Story};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::Result;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost migrate status --exit-code          status 9 when something is pending
  provost migrate up                          stop the daemon first")]
pub enum Command {
    /// Show every migration and where it stands
    Status {
        /// End with status 9 if the schema is not the one of this program
        #[arg(long)]
        exit_code: bool,
    },
    /// Apply what is pending; refused while a daemon serves the database
    Up,
    /// Compare the database's history with the migrations of this program
    Verify,
}

impl Record for Entry {
    const COLUMNS: &'static [&'static str] =
        &["name", "state", "applied_at", "duration_ms", "version"];

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
            Self::Up => {
                let before = db.identity()?.schema;
                let applied = story.up(operator.app(), operator.actor())?;
                let nothing = applied.is_empty();
                if !nothing || out.format().json {
                    out.table(applied)?;
                }
                if nothing {
                    out.message(format_args!("nothing to do: schema {before}"))?;
                } else {
                    out.message(format_args!("schema {before} → {}", story.newest()))?;
                }
            }
            Self::Verify => {
                let entries = story.verify(db)?;
                if out.format().json || out.format().quiet {
                    out.table(entries)?;
                } else {
                    let schema = db.identity()?.schema;
                    out.message(format_args!("the history is good: schema {schema}"))?;
                }
            }
        }
        Ok(Outcome::Done)
    }
}
