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
  provost doctor --quick --strict --quiet     for a cron line: prints the checks that are not ok
  provost doctor --fix                        mends what needs no decision")]
pub struct Doctor {
    /// End with status 9 also for warnings
    #[arg(long)]
    strict: bool,
    /// Leave out what reads the whole database, which takes about a second for each GiB or two
    #[arg(long)]
    quick: bool,
    /// Tighten modes, make what is missing, move aside what work that was cut off has left behind;
    /// nothing is deleted
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
        let mut fixed = Vec::new();
        if self.fix {
            fixed = mend(&patient, site, &self.confirm, out)?;
            patient = patient.reopened();
        }
        let mut lines = super::examine(&patient, self.quick);
        if database::is_damaged(&lines) && patient.has_moved() {
            // Somebody was writing just then: only what is found twice is damage.
            patient = patient.reopened();
            lines = super::examine(&patient, self.quick);
        }
        print(&lines, &fixed, out)?;
        Ok(self.outcome(&lines))
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

fn mend(
    patient: &Patient,
    site: &Site,
    confirm: &Confirm,
    out: &mut Output,
) -> Result<Vec<Change>> {
    if let Some(trouble) = &patient.found.trouble {
        // Whose modes would be changed nobody knows.
        return Err(Error::Config(format!("mend the settings first: {trouble}")));
    }
    let changes = fix::plan(patient)?;
    if changes.is_empty() {
        out.message("nothing to mend without a decision")?;
        return Ok(changes);
    }
    for change in &changes {
        out.message(change.told())?;
    }
    let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
    let what = match count {
        1 => "do this".to_owned(),
        n => format!("do these {n} things"),
    };
    confirm.ask(out, &what, count)?;
    back_up(patient, out)?;
    for change in &changes {
        fix::apply(patient, change)?;
    }
    // A database that cannot be written is no reason to leave the rest as it was.
    let noted = site
        .operator(out)
        .and_then(|operator| fix::record(operator.app(), operator.actor(), &changes));
    if let Err(error) = noted {
        out.warn(format_args!("this is not in the audit log: {error}"))?;
    }
    Ok(changes)
}

/// Before anything is changed. Where the database is damaged or cannot be opened there is nothing to
/// go back to; and it is not touched.
fn back_up(patient: &Patient, out: &mut Output) -> Result<()> {
    match fix::back_up(patient) {
        Ok(Some(snapshot)) => out.message(format_args!("backup: {}", snapshot.path.display())),
        Ok(None) => Ok(()),
        Err(error @ Error::Corrupt(_)) => out.warn(format_args!("no backup can be made: {error}")),
        Err(error) => Err(error),
    }
}

/// Raises the clock's mark to what the machine's clock says (security.md, rule 65).
fn accept_clock(site: &Site, confirm: &Confirm, out: &mut Output) -> Result<Outcome> {
    let operator = site.operator(out)?;
    let now = wall();
    let mark = operator.app().db().read(clock::mark)?;
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
        out.value(&json!({ "before": mark, "now": now }))?;
    } else {
        out.message(format_args!(
            "the mark is {now} now (before: {mark}); a daemon believes it within 10 seconds"
        ))?;
    }
    Ok(Outcome::Done)
}

fn print(lines: &[Line], fixed: &[Change], out: &mut Output) -> Result<()> {
    let count = |level| lines.iter().filter(|line| line.level == level).count();
    let [ok, warn, fail, skip] = [Level::Ok, Level::Warn, Level::Fail, Level::Skip].map(count);
    if out.format().json {
        let summary = json!({ "ok": ok, "warn": warn, "fail": fail, "skip": skip });
        return out.value(&json!({
            "ok": fail == 0,
            "summary": summary,
            "checks": lines,
            "fixed": fixed,
        }));
    }
    let width = lines.iter().map(|line| line.check.len()).max().unwrap_or(0);
    for line in lines {
        if out.format().quiet {
            if line.level >= Level::Warn {
                out.line(line.check)?;
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
