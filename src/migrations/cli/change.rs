//! `migrate up` and `migrate down`: what happens is told line by line, as it happens.

use std::time::Duration;

use super::Of;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::prompt::{Confirm, progress};
use crate::cli::{Outcome, Site};
use crate::error::{Error, Result};
use crate::migrations::{Entry, Form, Rehearsal, Report, Stage, State, Wish};

/// The flags of `up`.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Whose migrations.
    #[command(flatten)]
    of: Of,
    /// The schema to come to [default: the newest that this program knows]
    #[arg(long, value_name = "N")]
    to: Option<u32>,
    /// Only try it on a copy of the data; works beside a running daemon
    #[arg(long)]
    dry_run: bool,
}

/// The flags of `down`.
#[derive(Debug, clap::Args)]
pub struct Down {
    /// Whose migrations.
    #[command(flatten)]
    of: Of,
    /// The schema to go back to
    #[arg(long, value_name = "N")]
    to: u32,
    /// Yes, what is in the tables and columns that go away is lost
    #[arg(long)]
    destroy_data: bool,
    /// Only try it on a copy of the data; works beside a running daemon
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Up {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let operator = site.operator_any_schema(out)?;
        let story = self.of.story(operator.app().db())?;
        let wish = Wish {
            to: self.to,
            dry_run: self.dry_run,
        };
        told(out, |tell| {
            story.migrate(operator.app(), operator.actor(), wish, tell)
        })
    }
}

impl Down {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let story = self.of.what_is_kept(out)?;
        let operator = site.operator_any_schema(out)?;
        let (app, actor) = (operator.app(), operator.actor());
        let names = story.undoable(app.db(), self.to)?;
        let names: Vec<&str> = names.iter().map(|it| it.name.as_str()).collect();
        if !self.dry_run && !names.is_empty() {
            let what = format!(
                "undo {} and destroy what is in the tables that go away",
                names.join(", ")
            );
            if !self.destroy_data {
                return Err(Error::Usage(format!(
                    "this would {what}: add --destroy-data, or try it with --dry-run"
                )));
            }
            let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
            self.confirm.ask(out, &what, count)?;
        }
        told(out, |tell| {
            story.undo(app, actor, self.to, self.dry_run, tell)
        })
    }
}

/// Does the work, and tells what comes of it.
fn told(
    out: &mut Output,
    work: impl FnOnce(&mut dyn FnMut(Stage<'_>) -> Result<()>) -> Result<Report>,
) -> Result<Outcome> {
    let interrupt = Interrupt::watch()?;
    let bar = progress(out, "copying", 0);
    bar.finish_and_clear();
    // Under `--json` there is one document at the end, under `--quiet` the names.
    let silent = out.format().json || out.format().quiet;
    let report = work(&mut |stage| {
        if interrupt.seen() {
            return Err(Error::Cancelled);
        }
        if let Stage::Copying(left, all) = stage {
            // What comes after the copy has no length.
            if bar.is_finished() {
                bar.reset();
            }
            let caption = if left == 0 {
                "trying it on the copy"
            } else {
                "copying"
            };
            bar.set_message(caption);
            bar.set_length(all);
            bar.set_position(all.saturating_sub(left));
            return Ok(());
        }
        // The line that says what came of it takes its place.
        bar.finish_and_clear();
        if silent {
            return Ok(());
        }
        tell(stage, out)
    });
    bar.finish_and_clear();
    if let Err(Error::LintRefused { faults }) = &report {
        for fault in faults {
            out.finding(fault)?;
        }
    }
    let report = report?;
    if out.format().json {
        out.value(&report)?;
    } else if out.format().quiet {
        for entry in &report.done {
            out.line(&entry.name)?;
        }
    } else {
        conclude(&report, out)?;
    }
    Ok(if report.stopped {
        Outcome::Partial
    } else {
        Outcome::Done
    })
}

fn tell(stage: Stage<'_>, out: &mut Output) -> Result<()> {
    match stage {
        Stage::Pending(entries) => {
            let names: Vec<&str> = entries.iter().map(|it| it.name.as_str()).collect();
            let word = if entries.iter().any(|it| it.state == State::Pending) {
                "pending"
            } else {
                "to undo"
            };
            line(out, word, &format!("{}     checksums ok", names.join(", ")))
        }
        Stage::Copying(..) => Ok(()),
        Stage::Linted(numbers) => {
            let clean = numbers.iter().map(|number| format!("{number:04} ok"));
            line(out, "lint", &clean.collect::<Vec<_>>().join(", "))
        }
        Stage::Rehearsed(rehearsal) => {
            line(out, "rehearse", &rehearsed(rehearsal))?;
            for gone in &rehearsal.dropped {
                let (table, rows) = (&gone.table, rows(gone.rows));
                line(
                    out,
                    "",
                    &format!("the table {table} goes away, with {rows}"),
                )?;
            }
            Ok(())
        }
        Stage::Unrehearsed(why) => line(out, "rehearse", &format!("skipped: {why}")),
        Stage::Kept(kept) => {
            let (path, sum) = (kept.path.display(), &kept.sha256);
            line(out, "snapshot", &format!("{path}     sha256 {sum}"))?;
            kept.faults.iter().try_for_each(|fault| {
                out.warn(format_args!(
                    "provost restore will refuse this snapshot: {fault}"
                ))
            })
        }
        Stage::Unkept(why) => line(out, "snapshot", &format!("skipped: {why}")),
        Stage::Changing(_) => out.flush(),
    }
}

fn line(out: &mut Output, word: &str, text: &str) -> Result<()> {
    out.line(format!("{word:<10} {text}"))?;
    // Whoever waits sees each line when it is true.
    out.flush()
}

fn rehearsed(rehearsal: &Rehearsal) -> String {
    let form = match (rehearsal.form, rehearsal.bytes) {
        (Form::Copy, Some(bytes)) => format!("copy {}", size(bytes)),
        (Form::Copy, None) => "copy".to_owned(),
        (Form::Transaction, _) => "in a transaction that was rolled back".to_owned(),
    };
    let checks = rehearsal.checks.iter();
    let mut found: Vec<String> = checks
        .map(|check| format!("{} ok", check.replace('_', " ")))
        .collect();
    let lost = rehearsal.rows_lost;
    let tables: Vec<&str> = rehearsal.lost.iter().map(|it| it.table.as_str()).collect();
    let from = match &*tables {
        [] if !rehearsal.dropped.is_empty() => " from tables that stay".to_owned(),
        [] => String::new(),
        some => format!(" in {}", some.join(", ")),
    };
    found.push(format!("{} lost{from}", rows(lost)));
    format!(
        "{form}, applied {} in {:.2} s; {}",
        rehearsal.migrations.len(),
        rehearsal.seconds,
        found.join(", ")
    )
}

/// `1 row`, `2 rows`.
pub(super) fn rows(n: u64) -> String {
    let word = if n == 1 { "row" } else { "rows" };
    format!("{n} {word}")
}

fn conclude(report: &Report, out: &mut Output) -> Result<()> {
    let (from, to) = (report.from, report.to);
    if report.pending.is_empty() {
        return out.message(format_args!("nothing to do: schema {from}"));
    }
    let took = |entry: &Entry| {
        let took = Duration::from_millis(
            entry
                .duration_ms
                .and_then(|it| it.try_into().ok())
                .unwrap_or(0),
        );
        format!("{} {} ms", entry.name, took.as_millis())
    };
    if !report.done.is_empty() {
        let done: Vec<String> = report.done.iter().map(took).collect();
        let word = if to < from { "undo" } else { "apply" };
        line(out, word, &done.join(", "))?;
    }
    if report.dry_run {
        line(
            out,
            "schema",
            &format!("{from} → {to} (only tried: nothing was changed)"),
        )?;
        return Ok(());
    }
    line(out, "schema", &format!("{from} → {to}"))?;
    if report.stopped {
        let left = report.pending.len().saturating_sub(report.done.len());
        out.message(format_args!(
            "stopped; {left} are left, run it again to go on"
        ))?;
    }
    Ok(())
}

/// `41.2 MB`.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000_000 => (1000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    // In tenths, rounded up: a copy of nothing is not shown.
    let tenths = bytes.saturating_mul(10).div_ceil(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_three_digits_or_so() {
        let told = [0, 1, 4096, 999_999, 41_200_000, 1_073_741_824].map(size);
        assert_eq!(
            told,
            [
                "0.0 kB",
                "0.1 kB",
                "4.1 kB",
                "1000.0 kB",
                "41.2 MB",
                "1.1 GB"
            ]
        );
    }
}
