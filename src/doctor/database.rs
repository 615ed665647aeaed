//! Checks of the database: whether it can be read, is the right one, holds together, and is looked
//! after.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::DecimalBytes;

use super::{APART, LEAP, Line, Patient, Seen, fix, has_leapt, several, shown, store};
use crate::audit::{self, Filter};
use crate::db::{READING, clock as marks, keyring};
use crate::error::{Error, Result};
use crate::migrations::{self, Story};
use crate::time::{Period, Timestamp, relative};
use crate::{backup, databases, keys, purge as purges, snapshots};

/// A log beyond this is worth a look, and beyond that checkpoints do not get through (rule 58).
const LOG: u64 = 64 * 1024 * 1024;
const LARGEST_LOG: u64 = 256 * 1024 * 1024;

/// What should happen every day.
const DAY: Duration = Duration::from_hours(25);

/// Backups that the log tells of and that are looked for.
const NOTED: u32 = 100;

/// Before this program was written no clock can be right.
const EARLIEST: Timestamp = Timestamp(1_767_225_600_000);

/// Whether it can be opened.
pub(super) fn database(patient: &Patient) -> Result<Seen> {
    let place = patient.config()?.db.place();
    Ok(match patient.closed() {
        None => {
            let engine = patient.app()?.db().facts().engine;
            Seen::ok(format!("{place}, {engine}"))
        }
        Some(error) => {
            let lost = matches!(error, Error::DatabaseMissing { .. });
            match way_back(patient)?.filter(|_| lost) {
                Some(restore) => Seen::fail(Seen::of(error, patient).about, restore),
                None => Seen::of(error, patient),
            }
        }
    })
}

/// The command that restores the newest of what is kept beside the database.
fn way_back(patient: &Patient) -> Result<Option<String>> {
    let mut kept = backup::there(patient.config()?)?.into_iter();
    let newest = kept.find(|it| it.state == backup::State::Complete);
    Ok(newest.map(|it| patient.run(&format!("restore {}", shown(&it.path)))))
}

/// Whether the key file is the one of the database.
pub(super) fn fits(patient: &Patient, fingerprint: &str) -> Result<Option<Seen>> {
    let Ok(app) = patient.app() else {
        return Ok(None);
    };
    let made = app.db().read(|tx| {
        let there = tx.tables()?.iter().any(|table| table == "keyring");
        if there {
            keyring::fingerprint(tx)
        } else {
            Ok(None)
        }
    });
    let foreign = made?.is_some_and(|made| made != fingerprint);
    let path = &patient.config()?.key_file;
    Ok(foreign.then(|| {
        Seen::fail(
            format!("{} {}", path.display(), keys::FOREIGN),
            format!("cp COPY {}", shown(path)),
        )
    }))
}

/// Who serves it.
pub(super) fn daemon(patient: &Patient) -> Result<Seen> {
    let db = patient.app()?.db();
    let daemons = db.daemons()?;
    let names = daemons.join(", ");
    Ok(if daemons.is_empty() {
        Seen::skip("no daemon serves it now")
    } else if daemons.iter().all(|name| name.ends_with(READING)) {
        let about = format!("served by {names}: nothing can be changed over HTTP");
        let pid = names
            .strip_prefix("pid ")
            .and_then(|it| it.split(',').next());
        let next = pid.map_or_else(|| patient.run("db info"), |pid| format!("kill {pid}"));
        Seen::warn(about, next)
    } else {
        Seen::ok(format!("served by {names}"))
    })
}

/// Whether its write-ahead log is emptied.
pub(super) fn log(patient: &Patient) -> Result<Seen> {
    let bytes = patient.app()?.db().facts().log_bytes;
    Ok(log_of(patient, bytes))
}

pub(super) fn log_of(patient: &Patient, bytes: u64) -> Seen {
    let about = format!("{} wait in the write-ahead log", DecimalBytes(bytes));
    let next = || patient.run("db info");
    match bytes {
        0..=LOG => Seen::ok(about),
        LARGEST_LOG.. => Seen::fail(
            format!("{about}: some reader keeps it from being emptied"),
            next(),
        ),
        _ => Seen::warn(about, next()),
    }
}

/// Whether the schema is the one of this program (rule 78).
pub(super) fn schema(patient: &Patient) -> Result<Seen> {
    let schema = match patient.schema() {
        Some(Ok(schema)) => *schema,
        Some(Err(error)) => return Ok(Seen::of(error, patient)),
        None => return Err(Error::internal("a database without a schema")),
    };
    let needed = migrations::needed();
    Ok(match schema.cmp(&needed) {
        _ if schema == 0 => Seen::fail(
            format!("nothing is in the database, and this program needs schema {needed}"),
            way_back(patient)?.unwrap_or_else(|| patient.run("migrate up")),
        ),
        std::cmp::Ordering::Equal => Seen::ok(format!("{schema}, as this program needs it")),
        std::cmp::Ordering::Less => Seen::fail(
            format!("{schema}, and this program needs {needed}"),
            patient.run("migrate up"),
        ),
        std::cmp::Ordering::Greater => Seen::fail(
            format!("{schema}, and this program knows {needed}: a newer provost was here"),
            patient.run("--version"),
        ),
    })
}

/// Whether the machine's clock fits what was seen before (rule 65).
pub(super) fn clock(patient: &Patient) -> Result<Seen> {
    let db = patient.app()?.db();
    let mark = db.read(marks::mark)?;
    let served = !db.daemons()?.is_empty();
    Ok(clock_at(patient, patient.now, mark, served))
}

pub(super) fn clock_at(patient: &Patient, now: Timestamp, mark: Timestamp, served: bool) -> Seen {
    let shown = |at: Timestamp| at.to_string();
    if now < EARLIEST || mark.since(now) > APART {
        let about = format!(
            "the machine's clock says {}, and {} was seen before: what has expired stays expired",
            shown(now),
            shown(mark)
        );
        return Seen::fail(about, "timedatectl");
    }
    if has_leapt(now, mark, served) {
        let about = format!(
            "the machine's clock says {}, and the daemon does not believe it: it last saw {}",
            shown(now),
            shown(mark)
        );
        return Seen::fail(about, patient.run("doctor --accept-clock"));
    }
    Seen::ok(format!("{}, not before what was seen last", shown(now)))
}

/// Rows that belong to nobody.
pub(super) fn orphans(patient: &Patient) -> Result<Seen> {
    let orphans = patient.app()?.db().export(store::orphans)?;
    let told: Vec<String> = orphans
        .iter()
        .map(|(table, rows)| format!("{rows} in {table}"))
        .collect();
    Ok(if told.is_empty() {
        Seen::ok("everything belongs to somebody who is there")
    } else {
        let about = format!("rows of accounts that are not there: {}", told.join(", "));
        let mend = match patient.file() {
            Some(_) => "doctor --fix",
            None => "purge --only login_failure,known_network",
        };
        Seen::warn(about, patient.run(mend))
    })
}

/// Whether what has ended is deleted.
pub(super) fn purge(patient: &Patient) -> Result<Seen> {
    let lag = purges::lag(
        patient.app()?,
        &patient.found.actor,
        &purges::Options::default(),
    )?;
    let late = Duration::from_secs(lag.seconds);
    Ok(if late > DAY {
        let (kind, late) = (lag.kind.unwrap_or("row"), Period(late));
        let about = format!("the oldest {kind} is overdue for {late}: nobody purges");
        Seen::warn(about, patient.run("purge --dry-run"))
    } else {
        Seen::ok("nothing is overdue for more than a day")
    })
}

/// Whether there is something to go back to: what was made and is there still.
pub(super) fn backup(patient: &Patient) -> Result<Seen> {
    if patient.file().is_none() {
        return Ok(Seen::skip(
            "the server's own tool makes them, and nobody is told of it here",
        ));
    }
    let mut kept = backup::there(patient.config()?)?;
    kept.retain(|it| !snapshots::is_before_migration(&it.path));
    if let Some((newest, reason)) = kept.first().and_then(|it| Some((it, it.reason.as_ref()?))) {
        let path = shown(&newest.path);
        return Ok(Seen::warn(
            format!("provost restore refuses the newest, {path}: {reason}"),
            patient.run(&format!("backup verify {path}")),
        ));
    }
    let filter = Filter {
        action: Some("backup.created".into()),
        ..Filter::default()
    };
    let app = patient.app()?;
    let noted = app.read(&patient.found.actor, |cx| {
        Ok(audit::list(cx, &filter, None, NOTED)?.items)
    })?;
    let sound = |entry: &&audit::Entry| {
        let faults = entry.details.as_ref().and_then(|it| it.get("faults"));
        may_be_there(&entry.object) && faults.is_none()
    };
    let elsewhere = noted.iter().find(sound);
    let here = kept.first().and_then(|it| it.created_at);
    let last = here.max(elsewhere.map(|entry| entry.at));
    let next = || patient.run("backup create");
    let made = |at| relative(at, patient.now);
    Ok(match (last, noted.first()) {
        (Some(at), _) if patient.now.since(at) > DAY => {
            let about = format!("the last that is there was made {}", made(at));
            Seen::warn(about, next())
        }
        (Some(at), _) => Seen::ok(format!("the last was made {}", made(at))),
        (None, Some(gone)) => {
            let about = format!("the last was made {}, and it is gone", made(gone.at));
            Seen::warn(about, next())
        }
        (None, None) => Seen::warn("none was ever made", next()),
    })
}

/// Whether a backup can still be where the log says it was put. Nobody knows that of standard
/// output, nor of a path that began in some folder.
fn may_be_there(object: &str) -> bool {
    let path = object.strip_prefix("backup:").unwrap_or(object);
    let path = Path::new(path);
    path.is_relative() || path.is_file()
}

/// Everything that reads the whole database.
pub(super) fn thoroughly(patient: &Patient) -> Result<Vec<(&'static str, Seen)>> {
    let start = Instant::now();
    let checks = databases::check(patient.app()?.db())?;
    let took = start.elapsed().as_secs_f64();
    let mendable = || -> Result<bool> {
        let strays = patient.app()?.db().export(|tx| tx.strays(&[], 1))?;
        Ok(!strays.is_empty())
    };
    let whole = patient.file().is_some()
        && patient.lacks(super::Needs::Schema).is_none()
        && is_whole(&checks)
        && mendable()?;
    let seen = checks.into_iter().map(|check| {
        let seen = match check.findings.split_first() {
            None if check.skipped => Seen::skip(check.about),
            None if check.name == "integrity" => Seen::ok(format!("{} ({took:.1} s)", check.about)),
            None => Seen::ok(check.about),
            Some((first, others)) => {
                let more = match others.len() {
                    0 => String::new(),
                    n => format!(" (and {n} more)"),
                };
                let about = format!("{}: {}{more}", first.object, first.detail);
                let mends = whole && check.name == "foreign_keys";
                let next = if mends { "doctor --fix" } else { "db check" };
                Seen::damage(about, patient.run(next))
            }
        };
        (check.name, seen)
    });
    Ok(seen.collect())
}

/// Whether no page is damaged: then what is wrong with rows can be mended.
fn is_whole(checks: &[databases::Check]) -> bool {
    let damaged = |it: &databases::Check| it.name == "integrity" && !it.findings.is_empty();
    !checks.iter().any(damaged)
}

/// Whether the database is made as its history says.
pub(super) fn drift(patient: &Patient) -> Result<Seen> {
    let next = || patient.run("migrate verify");
    let db = patient.app()?.db();
    let drifted = match migrations::drift(db, &Story::own()) {
        // A server's role need not be able to make the schema that is compared with.
        Err(Error::Config(reason)) => return Ok(Seen::skip(reason)),
        drifted => drifted?,
    };
    let Some((first, others)) = drifted.split_first() else {
        let of_team = !Story::team(String::new(), Vec::new())
            .status(db)?
            .is_empty();
        let team = if of_team {
            "; of a team's own this is told by migrate verify --dir DIR"
        } else {
            ""
        };
        return Ok(Seen::ok(format!(
            "tables, indexes and triggers are as the migrations made them{team}"
        )));
    };
    let more = match others.len() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let about = format!(
        "the {} {}{more} is not as the migrations made it",
        first.sort, first.name
    );
    let mendable = drifted.iter().all(fix::is_missing_index);
    let mend = || patient.run("doctor --fix");
    Ok(Seen::fail(about, if mendable { mend() } else { next() }))
}

/// Whether the audit log is as it was sealed (rule 66).
pub(super) fn audit(patient: &Patient) -> Result<Seen> {
    let app = patient.app()?;
    // What another key file says of the signatures is told by the check of the key file.
    let own = match &patient.key {
        Some(Ok(fingerprint)) => fits(patient, fingerprint)?.is_none(),
        Some(Err(_)) | None => false,
    };
    let keys = own.then(|| &app.kit().keys);
    let head = match (keys, patient.file()) {
        (Some(keys), Some(file)) => {
            let restores = app.db().read(audit::restores)?;
            let folder = file.with_file_name("backups");
            snapshots::noted(&folder, keys, patient.now, &restores)
        }
        _ => None,
    };
    let verify = match &head {
        Some(head) => format!("audit verify --head {head}"),
        None => "audit verify".to_owned(),
    };
    let options = audit::Options { keys, head };
    let told = audit::verify(app.db(), &options, &mut |_, _| Ok(()))?;
    if let Some((first, others)) = told.findings.split_first() {
        let more = match others.len() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let (about, next) = if first.fault == audit::Fault::Head {
            (
                format!("{}{more}; a backup tells of it", first.detail),
                &*verify,
            )
        } else {
            (format!("{}{more}", first.detail), "audit verify")
        };
        return Ok(Seen::damage(about, patient.run(next)));
    }
    let waiting = told.unsealed_since.map(|since| patient.now.since(since));
    if waiting.is_some_and(|waiting| waiting > LEAP) {
        let unsealed = several(told.unsealed, "entry");
        let about = if told.blocks == 0 {
            format!("{unsealed}, none sealed, for more than an hour: seals may have been taken off")
        } else {
            format!("{unsealed} not sealed for more than an hour")
        };
        return Ok(Seen::warn(about, patient.run("job run audit.seal")));
    }
    let (blocks, rows) = (several(told.blocks, "block"), several(told.rows, "entry"));
    let about = format!("{blocks} with {rows}, all as sealed");
    Ok(match told.signatures {
        audit::Trust::Proven => Seen::ok(about),
        audit::Trust::Unproven => {
            // What to do about that is told by the check of the key file.
            Seen::skip(format!(
                "{about}; without its key file nobody knows by whom"
            ))
        }
    })
}

/// Whether stored data was found to be wrong.
pub(super) fn is_damaged(lines: &[Line]) -> bool {
    lines.iter().any(|line| line.damage)
}
