//! The doctor: looks at an installation from all sides and says what is wrong with it, and what to
//! do about it.
//!
//! Invariants: looking writes nothing, neither files nor rows, whatever state the installation is
//! in; no check ends the others; [`fix`] only adds and moves, and deletes nothing. It reads the
//! tables of every slice, because nobody else looks at all of them together, and writes none.

mod accounts;
pub mod cli;
mod database;
mod files;
pub mod fix;
mod leftovers;
mod machine;
mod patient;
mod settings;
mod store;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

pub use patient::{Found, Patient};

use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::db::clock;
use crate::error::{Error, Result};
use crate::snapshots;
use crate::time::Timestamp;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be looked at, or there is nothing to look at.
    Skip,
    /// It works, and somebody should look after it.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

impl Level {
    /// As it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What a check has seen.
#[derive(Clone, Debug)]
struct Seen {
    level: Level,
    about: String,
    next: Option<String>,
    damage: bool,
}

impl Seen {
    fn ok(about: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            about: about.into(),
            next: None,
            damage: false,
        }
    }

    fn odd(level: Level, about: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            level,
            about: about.into(),
            next: Some(next.into()),
            damage: false,
        }
    }

    fn skip(about: impl Into<String>) -> Self {
        Self {
            level: Level::Skip,
            ..Self::ok(about)
        }
    }

    fn warn(about: impl Into<String>, next: impl Into<String>) -> Self {
        Self::odd(Level::Warn, about, next)
    }

    fn fail(about: impl Into<String>, next: impl Into<String>) -> Self {
        Self::odd(Level::Fail, about, next)
    }

    /// Stored data cannot be right.
    fn damage(about: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            damage: true,
            ..Self::fail(about, next)
        }
    }

    /// What stood in the way of a check.
    fn of(error: &Error, patient: &Patient) -> Self {
        let causes = error.causes();
        let about = if causes.is_empty() {
            error.to_string()
        } else {
            format!("{error}: {causes}")
        };
        let next = error.next_at(&patient.found.flags);
        let next = next.unwrap_or_else(|| patient.run("db info"));
        Self {
            damage: matches!(error, Error::Corrupt(_)),
            ..Self::fail(about, next)
        }
    }
}

/// So many of something, as people write it.
fn several(n: u64, one: &str) -> String {
    match (n, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (n, Some(stem)) => format!("{n} {stem}ies"),
        (n, None) => format!("{n} {one}s"),
    }
}

/// A path as a word of a command.
fn shown(path: &Path) -> String {
    snapshots::word(&path.display().to_string()).into_owned()
}

/// A line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The check's stable name.
    pub check: &'static str,
    /// How it came out.
    pub level: Level,
    /// What was seen, in one sentence.
    pub about: String,
    /// What to do now; none if all is well.
    pub next: Option<String>,
    /// Whether stored data cannot be right.
    #[serde(skip)]
    pub damage: bool,
}

/// What a check needs to be there; without it, it is left out and says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    Settings,
    /// The database in a file of this machine.
    File,
    /// A database that can be read.
    Database,
    /// One with the schema of this program.
    Schema,
}

struct Check {
    name: &'static str,
    needs: Needs,
    look: fn(&Patient) -> Result<Seen>,
}

const fn check(name: &'static str, needs: Needs, look: fn(&Patient) -> Result<Seen>) -> Check {
    Check { name, needs, look }
}

/// THE TABLE: every check, in the order of the report. What reads the whole database comes after.
const CHECKS: &[Check] = &[
    check("config", Needs::Nothing, settings::config),
    check("listen", Needs::Settings, settings::listen),
    check("certificate", Needs::Settings, settings::certificate),
    check(
        "trusted_proxies",
        Needs::Settings,
        settings::trusted_proxies,
    ),
    check("sqlite", Needs::Nothing, |p| Ok(machine::sqlite(p))),
    check("core_dumps", Needs::Nothing, |_| Ok(machine::core_dumps())),
    check("open_files", Needs::Settings, machine::open_files),
    check("argon2", Needs::Settings, machine::argon2),
    check("disk", Needs::File, machine::disk),
    check("ballast", Needs::File, |p| Ok(machine::ballast(p))),
    check("data_folder", Needs::Settings, files::data_folder),
    check("parents", Needs::Settings, files::parents),
    check("key_file", Needs::Settings, files::key_file),
    check("database_files", Needs::File, |p| {
        Ok(files::database_files(p))
    }),
    check("backup_files", Needs::File, |p| Ok(files::backup_files(p))),
    check("leftovers", Needs::File, leftovers::leftovers),
    check("database", Needs::Settings, database::database),
    check("daemon", Needs::Database, database::daemon),
    check("log", Needs::Database, database::log),
    check("schema", Needs::Database, database::schema),
    check("clock", Needs::Schema, database::clock),
    check("orphans", Needs::Schema, database::orphans),
    check("purge", Needs::Schema, database::purge),
    check("backup", Needs::Schema, database::backup),
    check("administrators", Needs::Schema, accounts::administrators),
    check("second_factors", Needs::Schema, accounts::second_factors),
    check(
        "suspended_tokens",
        Needs::Schema,
        accounts::suspended_tokens,
    ),
    check("endless_tokens", Needs::Schema, accounts::endless_tokens),
];

/// The names of what reads the whole database, where `quick` leaves it out.
const THOROUGH: [&str; 5] = ["integrity", "foreign_keys", "history", "drift", "audit"];

/// Looks at everything; `quick` leaves out what reads the whole database.
#[must_use]
pub fn examine(patient: &Patient, quick: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = CHECKS
        .iter()
        .map(|check| line(check.name, seen(patient, check)))
        .collect();
    if quick {
        let left_out = || Seen::skip("not looked at: --quick leaves out what reads everything");
        lines.extend(THOROUGH.map(|name| line(name, left_out())));
        return lines;
    }
    if let Some(missing) = patient.lacks(Needs::Database) {
        lines.extend(THOROUGH.map(|name| line(name, missing.clone())));
        return lines;
    }
    match database::thoroughly(patient) {
        Ok(all) => lines.extend(all.into_iter().map(|(name, seen)| line(name, seen))),
        Err(error) => lines.push(line("integrity", Seen::of(&error, patient))),
    }
    let more = [
        check("drift", Needs::Schema, database::drift),
        check("audit", Needs::Schema, database::audit),
    ];
    lines.extend(
        more.iter()
            .map(|check| line(check.name, seen(patient, check))),
    );
    lines
}

fn seen(patient: &Patient, check: &Check) -> Seen {
    if let Some(missing) = patient.lacks(check.needs) {
        return missing;
    }
    (check.look)(patient).unwrap_or_else(|error| Seen::of(&error, patient))
}

fn line(check: &'static str, seen: Seen) -> Line {
    Line {
        check,
        level: seen.level,
        // An engine may tell of damage in several lines.
        about: seen.about.replace('\n', " "),
        next: seen.next,
        damage: seen.damage,
    }
}

/// How far clocks of several machines may be apart.
const APART: Duration = Duration::from_mins(1);

/// How far ahead a clock may be of what was seen last, while a daemon looks every ten seconds
/// (rule 65).
const LEAP: Duration = Duration::from_hours(1);

/// Whether a daemon that serves does not believe the clock any more.
fn has_leapt(now: Timestamp, mark: Timestamp, served: bool) -> bool {
    served && mark > Timestamp(0) && now.since(mark) > LEAP
}

/// Believes that it is `now`: the mark below which nothing revives is raised to it, by whoever knows
/// that a clock that leapt ahead is right (security.md, rule 65).
///
/// # Errors
/// Those of the database.
pub fn accept_clock(app: &App, actor: &Actor, now: Timestamp) -> Result<()> {
    app.write(actor, move |cx| {
        let before = clock::mark(cx.tx)?;
        clock::raise(cx.tx, now)?;
        let details = json!({ "before": before, "now": now });
        audit::record(cx, Event::new("clock.accepted", "clock").with(details))
    })
}

#[cfg(test)]
mod tests;
