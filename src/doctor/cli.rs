//! `provost doctor`: what is wrong with this installation, and what to do about it.

use serde_json::json;

use super::fix::{self, Change};
use super::{Found, Level, Line, Patient, database};
use crate::cli::operator;
use crate::cli::output::Output;
use crate::cli::prompt::Confirm;
use crate::cli::{Outcome, Site};
use crate::db::clock;
use crate::error::{Error, Result};
use crate::http::tls::Pair;
use crate::time::wall;

/// Look at the installation from all sides: what is wrong with it, and what to do about it
///
/// Looking changes nothing, and works with the daemon up or down, however much is broken.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
#[command(after_help = "\
Each line is a check: [ok], [warn] for what somebody should look after, [fail] for what does not work
or is not safe, [skip] for what could not be looked at; and, where something is to be done, the next
command.

Exit status: 0 if nothing fails, 9 if something does (under --strict also for a warning), 13 if stored
data is damaged.

Examples:
  provost doctor
  provost doctor --quick --strict --quiet     for a cron line: prints the checks that are not ok,
                                              each behind its level
  provost doctor --fix                        mends what needs no decision")]
pub struct Doctor {
    /// End with status 9 also for warnings
    #[arg(long)]
    strict: bool,
    /// Leave out what reads the whole database, which takes about a second for each GiB or two
    #[arg(long)]
    quick: bool,
    /// Mend what needs no decision, after a backup: tighten modes, make folders and indexes that are
    /// missing, move aside files that work left behind when it was cut off, and rows that point to
    /// nothing; nothing is deleted
    #[arg(long)]
    fix: bool,
    /// Believe the machine's clock although it leapt ahead: from now on what has expired by it has
    /// expired
    #[arg(long, conflicts_with = "fix")]
    accept_clock: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Doctor {
    /// Runs the command.
    ///
    /// # Errors
    /// Of what was asked to be changed; looking has none but those of standard output.
    pub fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        if self.accept_clock {
            return accept_clock(site, &self.confirm, out);
        }
        if self.confirm.yes.is_some() && !self.fix {
            return Err(Error::Usage(
                "--yes belongs to --fix or --accept-clock: looking asks nothing".into(),
            ));
        }
        let mut patient = Patient::open(found(site));
        let mut mended = Mended::default();
        if self.fix {
            mended = mend(&patient, site, &self.confirm, out);
            if let Some(error) = mended.stopped.take_if(|_| out.format().json) {
                return Err(error);
            }
            patient = patient.reopened();
        }
        let mut lines = super::examine(&patient, self.quick);
        if database::is_damaged(&lines) && patient.has_moved() {
            // Somebody was writing just then: only what is found twice is damage.
            patient = patient.reopened();
            lines = super::examine(&patient, self.quick);
        }
        let outcome = self.outcome(&lines);
        print(&lines, &mended.changes, outcome, out)?;
        mended.stopped.map_or(Ok(outcome), Err)
    }

    fn outcome(&self, lines: &[Line]) -> Outcome {
        let worst = lines.iter().map(|line| line.level).max();
        if database::is_damaged(lines) {
            return Outcome::Corrupt;
        }
        match worst {
            Some(Level::Fail) => Outcome::Findings,
            Some(Level::Warn) if self.strict => Outcome::Findings,
            Some(Level::Ok | Level::Skip | Level::Warn) | None => Outcome::Done,
        }
    }
}

/// What the edge can read of the installation.
fn found(site: &Site) -> Found {
    let (config, trouble) = site.settings();
    let tls = config.as_ref().and_then(|config| config.tls.as_ref());
    let certificate = tls.map(|files| Ok(Pair::load(files)?.warning(wall())));
    Found {
        config,
        trouble,
        certificate,
        flags: site.flags(),
        actor: operator::actor(site.on_behalf_of()),
    }
}

/// What came of `--fix`.
#[derive(Debug, Default)]
struct Mended {
    changes: Vec<Change>,
    /// Why it was not even begun, or not finished. The report is printed all the same.
    stopped: Option<Error>,
}

fn mend(patient: &Patient, site: &Site, confirm: &Confirm, out: &mut Output) -> Mended {
    let mut mended = Mended::default();
    let done = try_mend(patient, site, confirm, out, &mut mended.changes);
    mended.stopped = done.err();
    mended
}

/// Mends, and leaves in `done` what was tried.
fn try_mend(
    patient: &Patient,
    site: &Site,
    confirm: &Confirm,
    out: &mut Output,
    done: &mut Vec<Change>,
) -> Result<()> {
    if let Some(trouble) = &patient.found.trouble {
        // Whose modes would be changed nobody knows.
        return Err(Error::Config(format!("mend the settings first: {trouble}")));
    }
    let mut changes = fix::plan(patient)?;
    if changes.is_empty() {
        return out.message("nothing to mend without a decision");
    }
    for change in &changes {
        out.message(change.told())?;
    }
    let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
    let what = format!("mend {}", super::several(count, "thing"));
    confirm.ask(out, &what, count)?;
    back_up(patient, &changes, out)?;
    // What cannot be mended keeps nothing else from being mended.
    for change in changes.iter_mut().filter(|change| !change.is_inside()) {
        note(fix::apply(patient, change), change, out)?;
    }
    // A database that cannot be written is no reason to leave the rest as it was.
    let opened = site.operator(out);
    if let Err(error) = &opened {
        for change in changes.iter_mut().filter(|change| change.is_inside()) {
            out.warn(format_args!("not done: {}: {error}", change.told()))?;
            change.failed = Some(error.to_string());
        }
    }
    let written = opened.and_then(|operator| {
        let (app, actor) = (operator.app(), operator.actor());
        for change in changes.iter_mut().filter(|change| change.is_inside()) {
            note(fix::apply_inside(app, actor, change), change, out)?;
        }
        fix::record(app, actor, &changes)
    });
    *done = changes;
    if let Err(error) = written {
        out.warn(format_args!("this is not in the audit log: {error}"))?;
    }
    Ok(())
}

/// Tells of what could not be mended.
fn note(mended: Result<()>, change: &mut Change, out: &mut Output) -> Result<()> {
    let Err(error) = mended else {
        return Ok(());
    };
    let causes = error.causes();
    let why = if causes.is_empty() {
        error.to_string()
    } else {
        format!("{error}: {causes}")
    };
    out.warn(format_args!("not done: {}: {why}", change.told()))?;
    change.failed = Some(why);
    Ok(())
}

/// Before anything is changed. Where the database is damaged or cannot be opened there is nothing to
/// go back to; and it is not touched, unless rows are moved: then it is copied as it is.
fn back_up(patient: &Patient, changes: &[Change], out: &mut Output) -> Result<()> {
    match fix::back_up(patient) {
        Ok(Some((path, faults))) => {
            for fault in faults {
                out.warn(format_args!(
                    "provost restore will refuse this backup: {fault}"
                ))?;
            }
            out.message(format_args!("backup: {}", path.display()))
        }
        Ok(None) => Ok(()),
        Err(error @ Error::Corrupt(_)) if changes.iter().any(Change::is_inside) => {
            let path = fix::copy(patient)?;
            out.warn(format_args!("no backup stands its check: {error}"))?;
            out.message(format_args!("copy as it is: {}", path.display()))
        }
        Err(error @ Error::Corrupt(_)) => out.warn(format_args!("no backup can be made: {error}")),
        Err(error) => Err(error),
    }
}

/// Raises the clock's mark to what the machine's clock says (security.md, rule 65).
fn accept_clock(site: &Site, confirm: &Confirm, out: &mut Output) -> Result<Outcome> {
    let operator = site.operator(out)?;
    let now = wall();
    let db = operator.app().db();
    let mark = db.read(clock::mark)?;
    let before = mark.since(now) <= super::APART;
    if before && !super::has_leapt(now, mark, !db.daemons()?.is_empty()) {
        if out.format().json {
            out.value(&json!({ "accepted": false, "before": mark, "now": mark }))?;
        } else {
            out.message(format_args!(
                "nothing to accept: the clock says {now}, and that is believed"
            ))?;
        }
        return Ok(Outcome::Done);
    }
    if mark >= now {
        return Err(Error::invalid(
            "clock",
            format!("says {now}, and {mark} was seen before: it cannot be set back"),
        ));
    }
    let what = format!("believe that it is {now}, and end for good what has expired by then");
    confirm.ask(out, &what, 1)?;
    super::accept_clock(operator.app(), operator.actor(), now)?;
    if out.format().json {
        out.value(&json!({ "accepted": true, "before": mark, "now": now }))?;
    } else {
        out.message(format_args!(
            "the mark is {now} now (before: {mark}); a daemon believes it within 10 seconds"
        ))?;
    }
    Ok(Outcome::Done)
}

fn print(lines: &[Line], fixed: &[Change], outcome: Outcome, out: &mut Output) -> Result<()> {
    let count = |level| lines.iter().filter(|line| line.level == level).count();
    let [ok, warn, fail, skip] = [Level::Ok, Level::Warn, Level::Fail, Level::Skip].map(count);
    if out.format().json {
        let summary = json!({ "ok": ok, "warn": warn, "fail": fail, "skip": skip });
        return out.value(&json!({
            "ok": outcome == Outcome::Done,
            "summary": summary,
            "checks": lines,
            "fixed": fixed,
        }));
    }
    let width = lines.iter().map(|line| line.check.len()).max().unwrap_or(0);
    for line in lines {
        if out.format().quiet {
            if line.level >= Level::Warn {
                out.line(format!("{} {}", line.level.as_str(), line.check))?;
            }
            continue;
        }
        let mark = format!("[{}]", line.level.as_str());
        out.line(format!("{mark:6}  {:width$}  {}", line.check, line.about))?;
        if let Some(next) = &line.next {
            out.line(format!("{:6}  {:width$}  next: {next}", "", ""))?;
        }
    }
    let plural =
        |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    out.message(format_args!(
        "{ok} ok, {}, {}, {skip} skipped",
        plural(warn, "warning", "warnings"),
        plural(fail, "failure", "failures")
    ))
}
