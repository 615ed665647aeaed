//! `provost job …`: what runs by itself, when it ran, and running it now.

use std::borrow::Cow;

use clap::builder::PossibleValuesParser;

use super::{Finish, JOBS, Run, Status, Trigger};
use crate::cli::flags::ListArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::Result;

/// The verbs.
#[derive(Clone, Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost job list
  provost job run purge
  provost job history --job purge --limit 10")]
pub enum Command {
    /// List the jobs: schedule, last run and its result, next run
    List,
    /// Run a job now and wait for its end, with a daemon or without one
    Run {
        /// The job's name
        #[arg(value_parser = names())]
        name: String,
    },
    /// List the runs, the newest first
    History(History),
}

/// The flags of `history`.
#[derive(Clone, Debug, clap::Args)]
pub struct History {
    /// Only of this job [default: all]
    #[arg(long, value_name = "NAME", value_parser = names())]
    job: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(JOBS.iter().map(|job| job.name))
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Those of the database; [`crate::error::Error::JobRunning`] if the job runs elsewhere.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List => {
                let jobs = operator.read(super::list)?;
                out.table(jobs)?;
                Ok(Outcome::Done)
            }
            Self::Run { name } => {
                let interrupt = Interrupt::watch()?;
                let stop = || interrupt.seen();
                let (app, actor) = (operator.app(), operator.actor());
                let run = super::run_now(app, actor, &name, Trigger::Shell, &stop)?;
                out.one(&run)?;
                Ok(match run.result {
                    Some(Finish::Partial) => Outcome::Partial,
                    Some(Finish::Ok | Finish::Failed) | None => Outcome::Done,
                })
            }
            Self::History(History { job, list }) => {
                out.list(&list, |cursor, limit| {
                    operator.read(|cx| super::history(cx, job.as_deref(), cursor, limit))
                })?;
                Ok(Outcome::Done)
            }
        }
    }
}

impl Record for Status {
    const COLUMNS: &'static [&'static str] =
        &["name", "schedule", "last_at", "last_result", "next_at"];

    fn id(&self) -> Cow<'_, str> {
        self.name.into()
    }
}

impl Record for Run {
    const COLUMNS: &'static [&'static str] = &["job", "started_at", "result", "trigger", "details"];

    fn id(&self) -> Cow<'_, str> {
        self.id.to_string().into()
    }
}
