//! `provost migrate …`: the schema at the shell.

mod change;
mod lint;
mod plan;
mod verify;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{Entry, Folder, Happened, State, Story, Whose};
use crate::cli::output::{Output, Record};
use crate::cli::{Outcome, Site};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::escape;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost migrate status --exit-code          status 9 when something is pending
  provost migrate up --dry-run                try it on a copy, beside a running daemon
  provost migrate up                          stop the daemon first
  provost migrate new add_orders              a migration of your own, in ./migrations
  provost migrate lint --dir migrations       status 9 when somebody should look at it first
  provost migrate up --dir migrations         your own tables, in the same database")]
pub enum Command {
    /// Show every migration and where it stands
    Status {
        /// Whose migrations.
        #[command(flatten)]
        of: Of,
        /// End with status 9 if something is pending, with 11 if something is not as it was applied
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
    /// Show what was applied and undone: when, by which version and by whom, and how long it took
    History {
        /// Whose migrations.
        #[command(flatten)]
        of: Of,
    },
    /// Compare the database with the migrations: their texts, and what they have made
    ///
    /// Ends with status 11 if a migration was applied with another text or its file is missing, and
    /// with status 9 if the schema is not what the migrations have made; then it is printed as a diff.
    Verify {
        /// Whose migrations.
        #[command(flatten)]
        of: Of,
    },
    /// Say what a person should look at before a migration runs; status 9 if there is something
    Lint(lint::Lint),
    /// Make a pair of files for a migration of your own
    New(lint::New),
}

/// Whose migrations a verb is about.
#[derive(Debug, clap::Args)]
pub struct Of {
    /// A folder with migrations of your own: other tables in the same database, with numbers and a
    /// history of their own [default: the migrations of this program]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

impl Of {
    /// The story, all of it: for what applies it, or holds the database against it.
    ///
    /// # Errors
    /// As [`Folder::read`] and [`Folder::whole_for`].
    fn story(&self, db: &Db) -> Result<Story> {
        match &self.dir {
            Some(dir) => Folder::read(dir)?.whole_for(db),
            None => Ok(Story::own()),
        }
    }

    /// What there is of it: for what only looks, and for what goes back by what the database keeps.
    ///
    /// # Errors
    /// As [`Folder::read`].
    fn what_is_there(&self, out: &mut Output) -> Result<Story> {
        let Some(dir) = &self.dir else {
            return Ok(Story::own());
        };
        let folder = Folder::read(dir)?;
        for it in &folder.findings {
            out.warn(format_args!("{}:{}: {}", it.file, it.line, it.reason))?;
        }
        Ok(folder.story())
    }

    /// The same where no folder is needed, because the database keeps all that is asked of it.
    ///
    /// # Errors
    /// As [`Folder::read`], but that there is none.
    fn what_is_kept(&self, out: &mut Output) -> Result<Story> {
        match (self.what_is_there(out), &self.dir) {
            (Err(Error::NotFound { .. }), Some(dir)) => {
                let dir = dir.display().to_string();
                out.warn(format_args!(
                    "there is no folder {dir}; the database is asked alone"
                ))?;
                Ok(Story::team(dir, Vec::new()))
            }
            (story, _) => story,
        }
    }

    /// The flags that lead another command to the same migrations and the same database.
    fn flags(&self, site: &Site) -> String {
        let dir = self.dir.as_ref().map(|dir| dir.display().to_string());
        let dir = dir.map_or(String::new(), |dir| {
            format!(" --dir {}", escape::word(&dir))
        });
        format!("{dir}{}", site.flags())
    }

    /// The folder, if there is one.
    pub(super) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
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
    pub fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Status { of, exit_code } => {
                let story = of.what_is_there(out)?;
                let operator = site.operator_any_schema(out)?;
                let entries = story.status(operator.app().db())?;
                let outcome = standing(&entries);
                out.table(entries)?;
                if outcome == Outcome::Schema {
                    let flags = of.flags(site);
                    out.message(format_args!(
                        "not everything is as it was applied; see: provost migrate verify{flags}"
                    ))?;
                }
                if exit_code {
                    return Ok(outcome);
                }
            }
            Self::Plan(plan) => plan.run(site, out)?,
            Self::Up(up) => return up.run(site, out),
            Self::Down(down) => return down.run(site, out),
            Self::History { of } => {
                let story = of.what_is_kept(out)?;
                let operator = site.operator_any_schema(out)?;
                let happened = operator.read(|cx| story.history(cx))?;
                out.table(happened)?;
            }
            Self::Verify { of } => {
                let operator = site.operator_any_schema(out)?;
                let story = of.story(operator.app().db())?;
                return verify::run(operator.app().db(), &story, out);
            }
            Self::Lint(lint) => return lint.run(out),
            Self::New(new) => return new.run(out),
        }
        Ok(Outcome::Done)
    }
}

/// How `status --exit-code` ends.
fn standing(entries: &[Entry]) -> Outcome {
    let any = |state| entries.iter().any(|entry| entry.state == state);
    if any(State::Edited) || any(State::Unknown) {
        Outcome::Schema
    } else if any(State::Pending) {
        Outcome::Findings
    } else {
        Outcome::Done
    }
}

/// The number of the newest migration of the story that was applied.
fn at(story: &Story, db: &Db) -> Result<u32> {
    if story.whose() == Whose::Provost {
        return Ok(db.identity()?.schema);
    }
    let entries = story.status(db)?.into_iter();
    let applied = entries.filter(|entry| entry.state != State::Pending);
    Ok(applied.map(|entry| entry.number).max().unwrap_or(0))
}
