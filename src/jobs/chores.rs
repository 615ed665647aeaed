//! What the jobs do: calls of service functions, and the daemon's care for itself.

use std::hash::Hash;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Done;
use crate::app::{Actor, App, Uses};
use crate::db::{Tidy, ballast, clock};
use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::{attempts, audit, backup, outbox, purge, sessions, throttle, tokens, users};

/// How long a daemon that stops goes on sealing.
const AT_STOP: Duration = Duration::from_secs(1);

/// Uses written in one transaction.
const USES: usize = 500;

pub(super) fn purge(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Done> {
    // What a clock that leapt ahead calls expired may be alive, and deleting is for good (rule 65).
    if app.clock().look().is_none() {
        return Ok(leapt());
    }
    let options = purge::Options::default();
    let report = purge::run(app, actor, &options, stop, &mut |_| {})?;
    purge::lag(app, actor, &options)?;
    Ok(Done {
        complete: report.complete,
        details: serde_json::to_value(report).map_err(Error::internal)?,
    })
}

pub(super) fn purge_lag(app: &App, actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    let lag = purge::lag(app, actor, &purge::Options::default())?;
    Ok(Done {
        complete: true,
        details: serde_json::to_value(lag).map_err(Error::internal)?,
    })
}

pub(super) fn last_used(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Done> {
    // A daemon that stops must not take what it counted with it.
    let (now, denials) = (app.clock().now(), &app.kit().denials);
    let mut counts = denials.take(now, stop());
    while let Some(denial) = counts.pop() {
        let event = audit::Event::denied(&denial);
        let written = app.write(&denial.actor, move |cx| audit::record(cx, event.clone()));
        if let Err(error) = written {
            counts.push(denial);
            denials.give_back(counts, now);
            return Err(error);
        }
    }
    write_noted(&app.kit().uses, |batch| {
        app.write(actor, move |cx| tokens::write_uses(cx, &batch))
    })
}

pub(super) fn last_seen(app: &App, actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    write_noted(&app.kit().seen, |batch| {
        app.write(actor, move |cx| sessions::write_seen(cx, &batch))
    })
}

/// Writes what was noted in `uses`, some at a time; what could not be written is noted again.
fn write_noted<K: Clone + Eq + Hash>(
    uses: &Uses<K>,
    write: impl Fn(Vec<(K, Timestamp)>) -> Result<u64>,
) -> Result<Done> {
    let noted = uses.take();
    let mut written = 0;
    for (place, some) in noted.chunks(USES).enumerate() {
        match write(some.to_vec()) {
            Ok(count) => written += count,
            Err(error) => {
                for (used, at) in noted.into_iter().skip(place * USES) {
                    uses.note(used, at);
                }
                return Err(error);
            }
        }
    }
    Ok(Done {
        complete: true,
        details: json!({ "written": written }),
    })
}

/// Attempts ended in one transaction.
const ATTEMPTS: u32 = 50;

pub(super) fn close_attempts(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Done> {
    // A clock that leapt ahead would take people's time from them.
    if app.clock().look().is_none() {
        return Ok(leapt());
    }
    let mut closed = 0;
    loop {
        let some = app.write(actor, |cx| attempts::close_due(cx, ATTEMPTS))?;
        closed += some;
        if some < u64::from(ATTEMPTS) || stop() {
            return Ok(Done {
                complete: some < u64::from(ATTEMPTS),
                details: json!({ "closed": closed }),
            });
        }
    }
}

pub(super) fn rotate_keys(app: &App, actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    let rotated = app.write(actor, sessions::rotate_if_due)?;
    Ok(Done {
        complete: true,
        details: json!({ "rotated": rotated }),
    })
}

pub(super) fn pace_logins(app: &App, actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    let sorts = users::learn_pace(app, actor)?;
    Ok(Done {
        complete: true,
        details: json!({ "imported": sorts }),
    })
}

pub(super) fn read_bans(app: &App, actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    let bans = throttle::read_bans(app, actor)?;
    Ok(Done {
        complete: true,
        details: json!({ "bans": bans }),
    })
}

pub(super) fn deliver(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Done> {
    let delivered = outbox::deliver(app, actor, stop)?;
    Ok(Done {
        complete: delivered.postponed == 0,
        details: serde_json::to_value(delivered).map_err(Error::internal)?,
    })
}

pub(super) fn seal_audit(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Done> {
    // A daemon that stops seals what is new, but not the log of a whole year.
    let start = Instant::now();
    let sealed = audit::seal(app, actor, &|| stop() && start.elapsed() > AT_STOP)?;
    Ok(Done {
        complete: sealed.complete,
        details: json!({ "rows": sealed.rows, "blocks": sealed.blocks }),
    })
}

pub(super) fn clock_mark(app: &App, actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    let known = app.clock().jumped();
    let Some(now) = app.clock().look().or_else(|| accepted(app)) else {
        if !known {
            tracing::warn!(
                "the machine's clock leapt ahead by more than an hour; if it is right, run: provost doctor --accept-clock"
            );
        }
        return Ok(leapt());
    };
    // Also up to what other daemons have seen: what has expired for one of them has for all.
    let mark = app.write(actor, move |cx| {
        clock::raise(cx.tx, now)?;
        clock::mark(cx.tx)
    })?;
    app.clock().raise(mark);
    Ok(Done {
        complete: true,
        details: json!({ "mark": mark }),
    })
}

/// What the clock says, if an operator has said since that it is right.
fn accepted(app: &App) -> Option<Timestamp> {
    let mark = app.db().read(clock::mark).ok()?;
    let accepted = app.clock().accept(mark);
    if accepted {
        tracing::info!("the machine's clock is believed again: an operator said so");
    }
    accepted.then(|| app.clock().look()).flatten()
}

/// How a job ends that does not trust the clock.
fn leapt() -> Done {
    Done {
        complete: false,
        details: json!({ "jumped": true }),
    }
}

pub(super) fn back_up(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Done> {
    let mut tell = |_, _| {
        if stop() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    };
    let made = match backup::create(app, actor, None, &mut tell) {
        // A daemon that stops must not wait for gigabytes; the next one begins anew.
        Err(Error::Cancelled) => {
            return Ok(Done {
                complete: false,
                details: json!({ "stopped": true }),
            });
        }
        made => made?,
    };
    if let Some(fault) = made.faults.first() {
        tracing::warn!("provost restore would refuse the new backup: {fault}");
    }
    if let Some(finding) = made.audit.first() {
        tracing::warn!("the audit log is not as it was sealed: {finding}");
    }
    let removed = backup::prune(app, actor, &backup::Keep::of(app.config()))?;
    Ok(Done {
        complete: true,
        details: json!({ "path": made.path, "bytes": made.bytes, "sha256": made.sha256,
            "faults": made.faults, "audit": made.audit, "removed": removed.len() }),
    })
}

pub(super) fn checkpoint(app: &App, _actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    app.db().tidy(Tidy::Light)?;
    Ok(Done {
        complete: true,
        details: json!({ "log_bytes": app.db().facts().log_bytes }),
    })
}

/// Takes back what `db release-space` gave to a full disk, once there is room again (rule 60).
pub(super) fn keep_ballast(app: &App, _actor: &Actor, _stop: &dyn Fn() -> bool) -> Result<Done> {
    let made = app.config().db.file().map_or(Ok(false), ballast::make)?;
    Ok(Done {
        complete: true,
        details: json!({ "made": made }),
    })
}
