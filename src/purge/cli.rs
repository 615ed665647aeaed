//! `provost purge`: made for a cron line, so it never asks. What it deletes has ended already.

use std::borrow::Cow;

use clap::builder::PossibleValuesParser;
use serde::Serialize;
use serde_json::Value as Json;

use super::{Deleted, KINDS, KindPlan, Lag, Options, Plan, Report};
use crate::cli::flags::{count, value};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome, prompt};
use crate::error::{Error, Result};
use crate::time::Period;

/// Delete what has expired, was revoked or is used up
///
/// Rows go in bounded batches, so that a daemon goes on serving. Deletes without asking: none of
/// these rows can ever be good again.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost purge --dry-run
  provost purge --quiet --max-time 10m        a line for cron
  provost purge --check --max-lag 24h         status 9 if purging is behind")]
pub struct Purge {
    /// Only count, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete nothing; exit with status 9 if a row is overdue for longer than --max-lag
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// How long a row may be overdue
    #[arg(long, value_name = "D", default_value = "24h", requires = "check", value_parser = value::<Period>)]
    max_lag: Period,
    /// Only these kinds [default: all]
    #[arg(
        long,
        value_name = "KIND,…",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name))
    )]
    only: Vec<String>,
    #[arg(long, help = GRACE, value_name = "D", value_parser = value::<Period>)]
    grace: Option<Period>,
    #[arg(long, help = BATCH, value_name = "N", value_parser = count(5000))]
    batch: Option<u32>,
    #[arg(long, help = PAUSE, value_name = "D", value_parser = value::<Period>)]
    pause: Option<Period>,
    /// Stop after so long, with status 12 if something is left [default: never]
    #[arg(long, value_name = "D", value_parser = value::<Period>)]
    max_time: Option<Period>,
}

const GRACE: &str =
    "Keep rows for so long after they ended [default: purge.grace, PROVOST_PURGE_GRACE]";
const BATCH: &str = "Delete at most so many rows in one transaction, 1 to 5000 [default: purge.batch, PROVOST_PURGE_BATCH]";
const PAUSE: &str =
    "Rest for so long between two transactions [default: purge.pause, PROVOST_PURGE_PAUSE]";

impl Purge {
    /// Runs the command.
    ///
    /// # Errors
    /// Those of the database; [`Error::Cancelled`] if it was interrupted before any change.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let options = Options {
            only: self.only,
            grace: self.grace,
            batch: self.batch,
            pause: self.pause,
            max_time: self.max_time,
        };
        if self.check {
            let lag = super::lag(operator.app(), operator.actor(), &options)?;
            return check(&lag, self.max_lag, out);
        }
        if self.dry_run {
            let plan = super::plan(operator.app(), operator.actor(), &options)?;
            print_plan(&plan, out)?;
            return Ok(Outcome::Done);
        }
        purge(&options, operator, out)
    }
}

fn check(lag: &Lag, most: Period, out: &mut Output) -> Result<Outcome> {
    if out.format().json {
        out.value(lag)?;
    }
    let late = Period(std::time::Duration::from_secs(lag.seconds));
    if late <= most {
        return Ok(Outcome::Done);
    }
    let kind = lag.kind.unwrap_or("row");
    out.warn(format_args!(
        "the oldest {kind} is overdue for {late}, which is more than {most}"
    ))?;
    Ok(Outcome::Findings)
}

fn purge(options: &Options, operator: &Operator, out: &mut Output) -> Result<Outcome> {
    let interrupt = Interrupt::watch()?;
    let mut bar = prompt::progress(out, "purging", 0);
    if !bar.is_hidden() {
        let plan = super::plan(operator.app(), operator.actor(), options)?;
        bar = prompt::progress(out, "purging", plan.total);
    }
    let report = super::run(
        operator.app(),
        operator.actor(),
        options,
        &|| interrupt.seen(),
        &mut |gone| bar.set_position(gone),
    );
    bar.finish_and_clear();
    let mut report = report?;
    if !report.complete && !interrupt.seen() {
        // The time can be over just when the last row has gone: nobody has to come back for that.
        let left = super::plan(operator.app(), operator.actor(), options)?;
        report.complete = left.total == 0;
    }
    if interrupt.seen() && report.total == 0 && !report.complete {
        return Err(Error::Cancelled);
    }
    print_report(&report, out)?;
    if report.complete {
        return Ok(Outcome::Done);
    }
    let why = if interrupt.seen() {
        "interrupted"
    } else {
        "the time is over"
    };
    out.message(format_args!("{why}: run it again to go on"))?;
    Ok(Outcome::Partial)
}

/// A line of the plan's table. Members that the last line leaves empty are JSON values.
#[derive(Serialize)]
struct PlanLine {
    kind: &'static str,
    expired: Json,
    revoked: Json,
    kept: Json,
    would_delete: u64,
    oldest: String,
}

impl Record for PlanLine {
    const COLUMNS: &'static [&'static str] = &[
        "kind",
        "expired",
        "revoked",
        "kept",
        "would_delete",
        "oldest",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.kind.into()
    }
}

impl From<&KindPlan> for PlanLine {
    fn from(plan: &KindPlan) -> Self {
        Self {
            kind: plan.kind,
            expired: plan.expired.into(),
            revoked: plan.revoked.into(),
            kept: plan.kept.into(),
            would_delete: plan.would_delete,
            oldest: plan.oldest.map_or_else(|| "-".into(), |at| at.to_string()),
        }
    }
}

fn print_plan(plan: &Plan, out: &mut Output) -> Result<()> {
    if out.format().json || out.format().quiet {
        return out.value(plan);
    }
    let empty = || Json::String(String::new());
    let batches = match plan.batches {
        1 => "1 batch".to_owned(),
        several => format!("{several} batches"),
    };
    let mut lines: Vec<PlanLine> = plan.kinds.iter().map(PlanLine::from).collect();
    lines.push(PlanLine {
        kind: "total",
        expired: empty(),
        revoked: empty(),
        kept: empty(),
        would_delete: plan.total,
        oldest: format!("about {} s, {batches} of {}", plan.seconds, plan.batch),
    });
    out.table(lines)
}

impl Record for Deleted {
    const COLUMNS: &'static [&'static str] = &["kind", "deleted"];

    fn id(&self) -> Cow<'_, str> {
        self.kind.into()
    }
}

fn print_report(report: &Report, out: &mut Output) -> Result<()> {
    if out.format().json || out.format().quiet {
        return out.value(report);
    }
    out.table(report.kinds.clone())?;
    let rows = if report.total == 1 { "row" } else { "rows" };
    out.message(format_args!(
        "deleted {} {rows} in {:.1} s",
        report.total, report.seconds
    ))
}
