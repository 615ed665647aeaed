//! Purge: deleting what can never be good again, of every noun that has such rows.
//!
//! Invariants: never a live row, because each noun decides in its own statement what has ended;
//! never a long stall, because rows go in bounded batches, a transaction each, whose size follows
//! the time for which they hold the writer; how many rows a batch deleted is in the audit log,
//! written by its own transaction (security.md, rule 66).

mod batches;
pub mod cli;
mod forget;
pub mod http;
mod kinds;

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::metrics::KindLabel;
use crate::scope::known;
use crate::time::{Period, Timestamp};
use crate::tokens::Gone;

use batches::{Pace, Size};
pub use kinds::KINDS;

/// A sort of rows that end. A new noun brings a new line in [`KINDS`].
#[derive(Debug)]
pub struct Kind {
    /// As in `--only` and in metrics.
    pub name: &'static str,
    count: fn(&mut Cx<'_, '_>, Timestamp) -> Result<Gone>,
    oldest: fn(&mut Cx<'_, '_>, Timestamp) -> Result<Option<Timestamp>>,
    delete: fn(&mut Cx<'_, '_>, Timestamp, u32) -> Result<u64>,
}

/// What to purge and how; what is `None` comes from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only kinds of these names; empty for all.
    pub only: Vec<String>,
    /// How long rows are kept after they ended.
    pub grace: Option<Period>,
    /// Rows in one transaction, at most: 1 to 5000.
    pub batch: Option<u32>,
    /// Rest between two batches.
    pub pause: Option<Period>,
    /// Stop after so long; `None` for when all is done.
    pub max_time: Option<Period>,
}

/// [`Options`] that were checked.
struct Rules {
    kinds: Vec<&'static Kind>,
    grace: Duration,
    batch: u32,
    pause: Duration,
    max_time: Option<Duration>,
}

impl Rules {
    fn of(app: &App, options: &Options) -> Result<Self> {
        let settings = &app.config().purge;
        let batch = options.batch.unwrap_or(settings.batch);
        if !(1..=5000).contains(&batch) {
            return Err(Error::invalid("batch", "must be from 1 to 5000"));
        }
        Ok(Self {
            kinds: kinds(&options.only)?,
            grace: options.grace.unwrap_or(settings.grace).0,
            batch,
            pause: options.pause.unwrap_or(settings.pause).0,
            max_time: options.max_time.map(|period| period.0),
        })
    }
}

/// The kinds of these names, all for none, each once.
fn kinds(only: &[String]) -> Result<Vec<&'static Kind>> {
    const TABLE: &[Kind] = &KINDS;
    let known = |name: &&String| TABLE.iter().any(|kind| kind.name == **name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = TABLE.iter().map(|kind| kind.name).collect();
        let unknown: String = unknown.chars().take(16).collect();
        return Err(Error::invalid(
            "only",
            format!(
                "has no kind {unknown:?}; the kinds are {}",
                names.join(", ")
            ),
        ));
    }
    let asked = |kind: &&Kind| only.is_empty() || only.iter().any(|name| name == kind.name);
    Ok(TABLE.iter().filter(asked).collect())
}

/// What a purge would do.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Plan {
    /// Each kind.
    pub kinds: Vec<KindPlan>,
    /// Rows that would be deleted.
    pub total: u64,
    /// Rows in one transaction, at most.
    pub batch: u32,
    /// Transactions, if none has to be smaller.
    pub batches: u64,
    /// About how long it would take.
    pub seconds: f64,
}

/// What a purge would do to one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct KindPlan {
    /// Which.
    pub kind: &'static str,
    /// Rows that have expired, or are used up.
    pub expired: u64,
    /// Rows that were revoked.
    pub revoked: u64,
    /// How many of both are still within the time of grace.
    pub kept: u64,
    /// How many would be deleted.
    pub would_delete: u64,
    /// When the first of them ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Timestamp>,
}

/// About what a row and a commit cost, for [`Plan::seconds`] only: measured on a common disk.
const ROW: Duration = Duration::from_micros(2);
const TRANSACTION: Duration = Duration::from_millis(5);

/// Counts what a purge would delete, and deletes nothing.
///
/// # Errors
/// [`Error::Forbidden`] without `purge:run`; [`Error::Invalid`] for a kind that does not exist.
pub fn plan(app: &App, actor: &Actor, options: &Options) -> Result<Plan> {
    let rules = Rules::of(app, options)?;
    let mut plans = Vec::with_capacity(rules.kinds.len());
    for kind in &rules.kinds {
        // A snapshot for each kind: none of them may grow old.
        plans.push(app.read(actor, |cx| {
            cx.actor.require(known::PURGE_RUN)?;
            let until = cx.now.minus(rules.grace);
            let ended = (kind.count)(cx, cx.now)?;
            let due = if until == cx.now {
                ended
            } else {
                (kind.count)(cx, until)?
            };
            let would_delete = due.expired + due.revoked;
            Ok(KindPlan {
                kind: kind.name,
                expired: ended.expired,
                revoked: ended.revoked,
                kept: (ended.expired + ended.revoked).saturating_sub(would_delete),
                would_delete,
                oldest: due.oldest,
            })
        })?);
    }
    let total = plans.iter().map(|plan| plan.would_delete).sum();
    let batch = u64::from(rules.batch);
    let batches = plans
        .iter()
        .map(|plan| plan.would_delete.div_ceil(batch))
        .sum();
    Ok(Plan {
        kinds: plans,
        total,
        batch: rules.batch,
        batches,
        seconds: estimate(total, batches, rules.pause),
    })
}

fn estimate(rows: u64, batches: u64, pause: Duration) -> f64 {
    let times = |one: Duration, count: u64| {
        one.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
            .as_secs_f64()
    };
    let rests = times(pause, batches.saturating_sub(1));
    let seconds = times(ROW, rows) + times(TRANSACTION, batches) + rests;
    // More digits would promise more than is known.
    round(seconds, 10.0)
}

fn round(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

/// By how much purging is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Lag {
    /// For how many seconds the row that should have been deleted first is overdue.
    pub seconds: u64,
    /// When that row ended; null if none is overdue.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Timestamp>,
    /// Of which kind it is.
    pub kind: Option<&'static str>,
}

/// Looks for the row that is overdue for the longest time, and notes it in the metrics.
///
/// # Errors
/// As [`plan`].
pub fn lag(app: &App, actor: &Actor, options: &Options) -> Result<Lag> {
    let rules = Rules::of(app, options)?;
    let lag = app.read(actor, |cx| {
        cx.actor.require(known::PURGE_RUN)?;
        let until = cx.now.minus(rules.grace);
        let mut first: Option<(Timestamp, &'static str)> = None;
        for kind in &rules.kinds {
            if let Some(at) = (kind.oldest)(cx, until)? {
                first = Some(first.map_or((at, kind.name), |first| first.min((at, kind.name))));
            }
        }
        Ok(Lag {
            seconds: first.map_or(0, |(at, _)| until.since(at).as_secs()),
            oldest: first.map(|(at, _)| at),
            kind: first.map(|(_, kind)| kind),
        })
    })?;
    if options.only.is_empty() {
        let seconds = i64::try_from(lag.seconds).unwrap_or(i64::MAX);
        app.kit().metrics.purge_lag.set(seconds);
    }
    Ok(lag)
}

/// What a purge did.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// Each kind.
    pub kinds: Vec<Deleted>,
    /// Rows deleted.
    pub total: u64,
    /// Transactions.
    pub batches: u64,
    /// How long all of it took.
    pub seconds: f64,
    /// For how many milliseconds the longest transaction held the writer, before its commit.
    pub longest_ms: f64,
    /// Whether nothing was left: false when the time was over, or somebody stopped it.
    pub complete: bool,
}

/// What a purge did to one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Deleted {
    /// Which.
    pub kind: &'static str,
    /// Rows deleted.
    pub deleted: u64,
}

/// Deletes what has ended, batch by batch, until nothing is left, the time is over or `stop` says
/// so. `progress` hears after each batch how many rows are gone by now.
///
/// # Errors
/// [`Error::Forbidden`] without `purge:run`; [`Error::Invalid`] for options that make no sense; or
/// those of the database, and then what was deleted before stays deleted.
pub fn run(
    app: &App,
    actor: &Actor,
    options: &Options,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Report> {
    let rules = Rules::of(app, options)?;
    let start = Instant::now();
    // Fixed now: what ends while this runs is for the next time, or it might never come to an end.
    let until = app.read(actor, |cx| {
        cx.actor.require(known::PURGE_RUN)?;
        Ok(cx.now.minus(rules.grace))
    })?;
    let mut report = Report::empty(&rules.kinds);
    let mut sweep = Sweep {
        app,
        actor,
        until,
        over: &|| rules.max_time.is_some_and(|most| start.elapsed() >= most),
        stop,
        rest: if app.db().is_guest() {
            rules.pause.max(BREATH)
        } else {
            rules.pause
        },
        pace: if app.db().serves() {
            Pace::AMONG_OTHERS
        } else {
            Pace::ALONE
        },
        progress,
        report: &mut report,
    };
    let swept = sweep.run(&rules);
    report.seconds = round(start.elapsed().as_secs_f64(), 1000.0);
    report.longest_ms = round(report.longest_ms, 100.0);
    swept.map(|()| report)
}

impl Report {
    fn empty(kinds: &[&'static Kind]) -> Self {
        let kinds = kinds.iter().map(|kind| Deleted {
            kind: kind.name,
            deleted: 0,
        });
        Self {
            kinds: kinds.collect(),
            total: 0,
            batches: 0,
            seconds: 0.0,
            longest_ms: 0.0,
            complete: false,
        }
    }
}

/// How long a command leaves the database alone between two of its batches while a daemon serves
/// it: longer than the daemon's nap between two tries to write.
const BREATH: Duration = Duration::from_millis(2);

/// So many batches in a row may find rows and delete none, because others are at the same ones.
const IN_VAIN: u32 = 10;

/// How soon somebody who wants a rest to stop is heard.
const STEP: Duration = Duration::from_millis(100);

/// One run under way.
struct Sweep<'a> {
    app: &'a App,
    actor: &'a Actor,
    until: Timestamp,
    over: &'a dyn Fn() -> bool,
    stop: &'a dyn Fn() -> bool,
    rest: Duration,
    pace: Pace,
    progress: &'a mut dyn FnMut(u64),
    report: &'a mut Report,
}

impl Sweep<'_> {
    fn run(&mut self, rules: &Rules) -> Result<()> {
        for (place, kind) in rules.kinds.iter().enumerate() {
            let mut size = Size::up_to(rules.batch, self.pace);
            let mut in_vain = 0;
            loop {
                if !self.may_go_on() {
                    return Ok(());
                }
                let (deleted, left, took) = self.batch(kind, size.rows())?;
                if let Some(kind) = self.report.kinds.get_mut(place) {
                    kind.deleted += deleted;
                }
                if !left && deleted < u64::from(size.rows()) {
                    break;
                }
                in_vain = if deleted == 0 { in_vain + 1 } else { 0 };
                if in_vain == IN_VAIN {
                    return Ok(());
                }
                size = size.after(took);
            }
        }
        self.report.complete = true;
        Ok(())
    }

    /// Deletes one batch; returns how many rows that were, whether there may be more although they
    /// were fewer than asked for, and for how long it held the writer.
    fn batch(&mut self, kind: &Kind, rows: u32) -> Result<(u64, bool, Duration)> {
        let (delete, name, until) = (kind.delete, kind.name, self.until);
        let (oldest, crowded) = (kind.oldest, self.app.db().has_many_writers());
        let (deleted, left, took) = self.app.write(self.actor, move |cx| {
            let start = Instant::now();
            let deleted = delete(cx, until, rows)?;
            // Somebody else may have deleted the same rows meanwhile, but not those behind them.
            let few = deleted < u64::from(rows);
            let left = crowded && few && oldest(cx, until)?.is_some();
            if deleted > 0 {
                let details = json!({ "deleted": { name: deleted }, "until": until });
                audit::record(cx, Event::new("purge.run", "purge").with(details))?;
            }
            Ok((deleted, left, start.elapsed()))
        })?;
        let purged = &self.app.kit().metrics.purged;
        purged
            .get_or_create(&KindLabel { kind: kind.name })
            .inc_by(deleted);
        self.report.total += deleted;
        self.report.batches += 1;
        self.report.longest_ms = self.report.longest_ms.max(took.as_secs_f64() * 1000.0);
        (self.progress)(self.report.total);
        Ok((deleted, left, took))
    }

    /// Rests between two batches, and tells whether there may be another.
    fn may_go_on(&self) -> bool {
        // A time box is looked at after a batch: a run in a tiny one still gets on.
        if self.report.batches > 0 {
            let mut left = self.rest;
            while left > Duration::ZERO && !(self.over)() && !(self.stop)() {
                let step = left.min(STEP);
                std::thread::sleep(step);
                left -= step;
            }
            if (self.over)() {
                return false;
            }
        }
        !(self.stop)()
    }
}

#[cfg(test)]
mod tests;
