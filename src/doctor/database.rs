//! Checks of the database: whether it can be read, is the right one, holds together, and is looked
//! after.

use std::time::{Duration, Instant};

use super::{Line, Patient, Seen, store};
use crate::audit::{self, Filter};
use crate::db::{clock as marks, keyring};
use crate::error::{Error, Result};
use crate::migrations::{self, Story};
use crate::time::{Period, Timestamp, relative};
use crate::{databases, keys, purge as purges};

/// A log beyond this is worth a look, and beyond that checkpoints do not get through (rule 58).
const LOG: u64 = 64 * 1024 * 1024;
const LARGEST_LOG: u64 = 256 * 1024 * 1024;

/// How far clocks of several machines may be apart.
const APART: Duration = Duration::from_mins(1);

/// How far ahead a clock may be of what was seen last, while a daemon looks every ten seconds
/// (rule 65).
const LEAP: Duration = Duration::from_hours(1);

/// What should happen every day.
const DAY: Duration = Duration::from_hours(25);

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
        Some(error) => Seen::of(error, patient),
    })
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
    let path = patient.config()?.key_file.display().to_string();
    Ok(foreign.then(|| {
        Seen::fail(
            format!("{path} {}", keys::FOREIGN),
            patient.run("config show --origin"),
        )
    }))
}

/// Who serves it.
pub(super) fn daemon(patient: &Patient) -> Result<Seen> {
    let daemons = patient.app()?.db().daemons()?;
    Ok(if daemons.is_empty() {
        Seen::skip("no daemon serves it now", patient.run("serve"))
    } else {
        Seen::ok(format!("served by {}", daemons.join(", ")))
    })
}

/// Whether its write-ahead log is emptied.
pub(super) fn log(patient: &Patient) -> Result<Seen> {
    let bytes = patient.app()?.db().facts().log_bytes;
    Ok(log_of(patient, bytes))
}

pub(super) fn log_of(patient: &Patient, bytes: u64) -> Seen {
    let about = format!("{} KiB wait in the write-ahead log", bytes.div_ceil(1024));
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
    if served && mark > Timestamp(0) && now.since(mark) > LEAP {
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
        Seen::warn(
            about,
            patient.run("purge --only login_failure,known_network"),
        )
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

/// Whether there is something to go back to.
pub(super) fn backup(patient: &Patient) -> Result<Seen> {
    let app = patient.app()?;
    let filter = Filter {
        action: Some("backup.created".into()),
        ..Filter::default()
    };
    let last = app.read(&patient.found.actor, |cx| {
        Ok(audit::list(cx, &filter, None, 1)?.items.pop())
    })?;
    let next = || {
        if app.config().db.file().is_some() {
            patient.run("backup create")
        } else {
            "pg_dump --format=custom …".to_owned()
        }
    };
    Ok(match last {
        None if app.config().db.file().is_none() => Seen::skip(
            "the server's own tool makes them, and nobody is told of it here",
            next(),
        ),
        None => Seen::warn("none was ever made", next()),
        Some(last) => {
            let about = format!("the last was made {}", relative(last.at, patient.now));
            if patient.now.since(last.at) > DAY {
                Seen::warn(about, next())
            } else {
                Seen::ok(about)
            }
        }
    })
}

/// Everything that reads the whole database.
pub(super) fn thoroughly(patient: &Patient) -> Result<Vec<(&'static str, Seen)>> {
    let start = Instant::now();
    let checks = databases::check(patient.app()?.db())?;
    let took = start.elapsed().as_secs_f64();
    let seen = checks.into_iter().map(|check| {
        let seen = match check.findings.split_first() {
            None if check.skipped => Seen::skip(check.about, patient.run("db check")),
            None if check.name == "integrity" => Seen::ok(format!("{} ({took:.1} s)", check.about)),
            None => Seen::ok(check.about),
            Some((first, others)) => {
                let more = match others.len() {
                    0 => String::new(),
                    n => format!(" (and {n} more)"),
                };
                let about = format!("{}: {}{more}", first.object, first.detail);
                Seen::damage(about, patient.run("db check"))
            }
        };
        (check.name, seen)
    });
    Ok(seen.collect())
}

/// Whether the database is made as its history says.
pub(super) fn drift(patient: &Patient) -> Result<Seen> {
    let next = || patient.run("migrate verify");
    let drifted = match migrations::drift(patient.app()?.db(), &Story::own()) {
        // A server's role need not be able to make the schema that is compared with.
        Err(Error::Config(reason)) => return Ok(Seen::skip(reason, next())),
        drifted => drifted?,
    };
    let Some((first, others)) = drifted.split_first() else {
        return Ok(Seen::ok(
            "tables, indexes and triggers are as the migrations made them",
        ));
    };
    let more = match others.len() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let about = format!(
        "the {} {}{more} is not as the migrations made it",
        first.sort, first.name
    );
    Ok(Seen::fail(about, next()))
}

/// Whether the audit log is as it was sealed (rule 66).
pub(super) fn audit(patient: &Patient) -> Result<Seen> {
    let app = patient.app()?;
    let keys = matches!(patient.key, Some(Ok(_))).then(|| &app.kit().keys);
    let options = audit::Options {
        keys,
        ..audit::Options::default()
    };
    let told = audit::verify(app.db(), &options, &mut |_, _| Ok(()))?;
    if let Some((first, others)) = told.findings.split_first() {
        let more = match others.len() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let about = format!("{}{more}", first.detail);
        return Ok(Seen::damage(about, patient.run("audit verify")));
    }
    let waiting = told.unsealed_since.map(|since| patient.now.since(since));
    if waiting.is_some_and(|waiting| waiting > LEAP) {
        let unsealed = told.unsealed;
        let about = if told.blocks == 0 {
            format!(
                "{unsealed} entries, none sealed, for more than an hour: seals may have been taken off"
            )
        } else {
            format!("{unsealed} entries wait to be sealed for more than an hour")
        };
        return Ok(Seen::warn(about, patient.run("job run audit.seal")));
    }
    let about = format!(
        "{} blocks with {} entries are as they were sealed",
        told.blocks, told.rows
    );
    Ok(match told.signatures {
        audit::Trust::Proven => Seen::ok(about),
        audit::Trust::Unproven => {
            let about = format!("{about}; without the key file nobody knows by whom");
            Seen::warn(about, patient.run("audit verify"))
        }
    })
}

/// Whether stored data was found to be wrong.
pub(super) fn is_damaged(lines: &[Line]) -> bool {
    lines.iter().any(|line| line.damage)
}
