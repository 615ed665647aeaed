//! The clock's edge: jobs that the daemon runs by itself, and anybody may run at the shell.
//!
//! Invariants: a job of [`Reach::Alone`] runs in one process at a time, however many there are; a
//! dead process holds it no longer than a minute; no job, not even one that panics, ends the
//! daemon or another job.

mod chores;
pub mod cli;
pub mod http;
mod runner;
mod schedule;
mod store;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

pub use runner::{run, run_now};
pub use schedule::due;

use crate::app::{Actor, App, Cx};
use crate::config::{Config, Schedule};
use crate::error::{Error, Result};
use crate::page::Page;
use crate::scope::known;
use crate::time::{Period, Timestamp};

/// Something that is done again and again.
#[derive(Debug)]
pub struct Job {
    /// As in `job run NAME`.
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    /// Where and when it runs.
    pub reach: Reach,
    /// Whether a daemon runs it once more when it stops.
    at_stop: bool,
    /// Whether it is about the file of a database: a server looks after its own.
    of_file: bool,
    /// Whether it writes nothing, unless it fails: then a daemon that answers reads alone runs it.
    reads_only: bool,
    work: Work,
}

/// What a job does: it works as the actor, and stops early if the closure says so.
type Work = fn(&App, &Actor, &dyn Fn() -> bool) -> Result<Done>;

/// Where and when a job runs.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    /// In every daemon, about its own memory and files, so long after the last time. Only what
    /// fails leaves a row.
    Each(Duration),
    /// In every daemon whose jobs are switched on, so long after the last time; what they share the
    /// work itself gives to one of them. Only what fails leaves a row.
    Shared(Duration),
    /// In one process at a time. Every run leaves a row.
    Alone(fn(&Config) -> &Schedule),
}

/// How a job ended that did not fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Whether all is done.
    complete: bool,
    /// What was done, as a JSON object.
    details: Json,
}

/// THE TABLE: every job.
pub const JOBS: &[Job] = &[
    Job {
        name: "purge",
        about: "delete what has expired",
        reach: Reach::Alone(|config| &config.purge.schedule),
        at_stop: false,
        of_file: false,
        reads_only: false,
        work: chores::purge,
    },
    Job {
        name: "purge.lag",
        about: "measure for how long expired rows are overdue",
        reach: Reach::Each(Duration::from_mins(1)),
        at_stop: false,
        of_file: false,
        reads_only: true,
        work: chores::purge_lag,
    },
    Job {
        name: "tokens.last_used",
        about: "write down when tokens were used",
        reach: Reach::Each(Duration::from_secs(15)),
        at_stop: true,
        of_file: false,
        reads_only: false,
        work: chores::last_used,
    },
    Job {
        name: "sessions.last_seen",
        about: "write down when sessions were used",
        reach: Reach::Each(Duration::from_secs(15)),
        at_stop: true,
        of_file: false,
        reads_only: false,
        work: chores::last_seen,
    },
    Job {
        name: "keys.rotate",
        about: "put a new key in the place of one that has signed access tokens for 90 days",
        reach: Reach::Each(Duration::from_hours(1)),
        at_stop: false,
        of_file: false,
        reads_only: false,
        work: chores::rotate_keys,
    },
    Job {
        name: "logins.pace",
        about: "learn how long the slowest imported password hash takes, so that wrong passwords are answered alike",
        reach: Reach::Each(Duration::from_hours(1)),
        at_stop: false,
        of_file: false,
        reads_only: false,
        work: chores::pace_logins,
    },
    Job {
        name: "bans.read",
        about: "learn which networks are banned",
        reach: Reach::Each(Duration::from_secs(1)),
        at_stop: false,
        of_file: false,
        reads_only: true,
        work: chores::read_bans,
    },
    Job {
        name: "outbox.deliver",
        about: "send the mail that waits",
        reach: Reach::Shared(Duration::from_secs(5)),
        at_stop: false,
        of_file: false,
        reads_only: false,
        work: chores::deliver,
    },
    Job {
        name: "attempts.close",
        about: "end attempts at quizzes whose time is over",
        reach: Reach::Shared(Duration::from_secs(5)),
        at_stop: false,
        of_file: false,
        reads_only: false,
        work: chores::close_attempts,
    },
    Job {
        name: "backup",
        about: "make a backup, and delete those that are not kept any longer",
        reach: Reach::Alone(|config| &config.backup.schedule),
        at_stop: false,
        of_file: true,
        reads_only: false,
        work: chores::back_up,
    },
    Job {
        name: "audit.seal",
        about: "seal what is new in the audit log",
        reach: Reach::Shared(Duration::from_secs(10)),
        at_stop: true,
        of_file: false,
        reads_only: false,
        work: chores::seal_audit,
    },
    Job {
        name: "clock.mark",
        about: "keep the latest instant, so that a clock set back revives nothing",
        reach: Reach::Each(Duration::from_secs(10)),
        at_stop: false,
        of_file: false,
        reads_only: false,
        work: chores::clock_mark,
    },
    Job {
        name: "db.checkpoint",
        about: "move what was committed from the log into the database's main file",
        reach: Reach::Each(Duration::from_secs(30)),
        at_stop: false,
        of_file: true,
        reads_only: false,
        work: chores::checkpoint,
    },
    Job {
        name: "db.ballast",
        about: "keep 34 MB in reserve for a full disk",
        reach: Reach::Each(Duration::from_mins(1)),
        at_stop: false,
        of_file: true,
        reads_only: false,
        work: chores::keep_ballast,
    },
];

impl Job {
    /// The job of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn named(name: &str) -> Result<&'static Self> {
        let job = JOBS.iter().find(|job| job.name == name);
        job.ok_or_else(|| Error::no_such("job", name))
    }

    /// Whether there is anything to do for it on the database of the settings.
    fn is_for(&self, config: &Config) -> bool {
        !self.of_file || config.db.file().is_some()
    }
}

/// Who or what let a job run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Its schedule.
    Schedule,
    /// Somebody at the shell.
    Shell,
    /// A request.
    Api,
}

impl Trigger {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Shell => "shell",
            Self::Api => "api",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "schedule" => Ok(Self::Schedule),
            "shell" => Ok(Self::Shell),
            "api" => Ok(Self::Api),
            other => Err(Error::internal(format!("job trigger {other}"))),
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// All was done.
    Ok,
    /// Some of it was done.
    Partial,
    /// It failed.
    Failed,
}

impl Finish {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "ok" => Ok(Self::Ok),
            "partial" => Ok(Self::Partial),
            "failed" => Ok(Self::Failed),
            other => Err(Error::internal(format!("job result {other}"))),
        }
    }
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Run {
    /// Grows with time. It is text in JSON, because not every reader has integers so large
    /// (RFC 8259 §6).
    #[serde(serialize_with = "crate::id::as_text")]
    #[schema(value_type = String, example = "3764759491320198700")]
    pub id: i64,
    /// The job's name.
    pub job: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended; null while it runs.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How it ended; null while it runs.
    pub result: Option<Finish>,
    /// What let it run.
    pub trigger: Trigger,
    /// What was done, or why it failed.
    #[schema(value_type = Option<Object>)]
    pub details: Option<Json>,
}

/// What is known about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// A period, or a cron expression in UTC.
    pub schedule: String,
    /// When it began last, as far as that is written down.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
    /// How that ended.
    pub last_result: Option<Finish>,
    /// When it is due; null for a job that every daemon runs for itself, and while jobs are
    /// switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// Who runs it now.
    pub running: Option<String>,
}

/// Every job that there is for this database, in the order of the table.
///
/// # Errors
/// [`Error::Forbidden`] without `job:read`.
pub fn list(cx: &mut Cx<'_, '_>) -> Result<Vec<Status>> {
    cx.actor.require(known::JOB_READ)?;
    let jobs = JOBS.iter().filter(|job| job.is_for(&cx.kit.config));
    jobs.map(|job| status(cx, job)).collect()
}

fn status(cx: &mut Cx<'_, '_>, job: &Job) -> Result<Status> {
    let last = store::page(cx.tx, Some(job.name), i64::MAX, 1)?.pop();
    let state = store::state(cx.tx, job.name)?;
    let (schedule, next_at) = match job.reach {
        Reach::Each(period) | Reach::Shared(period) => (Period(period).to_string(), None),
        Reach::Alone(schedule) => {
            let schedule = schedule(&cx.kit.config);
            let next_at = due(schedule, state.last_at, cx.now, 0);
            let enabled = cx.kit.config.jobs.enabled;
            (schedule.to_string(), next_at.filter(|_| enabled))
        }
    };
    let held = state.held_until.is_some_and(|until| until > cx.now);
    Ok(Status {
        name: job.name,
        about: job.about,
        schedule,
        last_at: last.as_ref().map(|run| run.started_at),
        last_result: last.and_then(|run| run.result),
        next_at,
        running: state.holder.filter(|_| held),
    })
}

/// Runs, the newest first; of one job or of all.
///
/// # Errors
/// [`Error::Forbidden`] without `job:read`; [`Error::NotFound`] for a job that does not exist;
/// [`Error::Invalid`] for a cursor that is none.
pub fn history(
    cx: &mut Cx<'_, '_>,
    job: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Run>> {
    cx.actor.require(known::JOB_READ)?;
    let job = job.map(Job::named).transpose()?.map(|job| job.name);
    let below = match cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::invalid("cursor", "is not one of this list"))?,
        None => i64::MAX,
    };
    let runs = store::page(cx.tx, job, below, limit.saturating_add(1))?;
    Ok(Page::cut(runs, limit, |run| run.id.to_string()))
}

#[cfg(test)]
mod tests;
