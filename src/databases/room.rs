//! Room on the disk: what is free in the database, and the ballast beside it.

use std::path::Path;
use std::time::Instant;

use indicatif::DecimalBytes;
use serde::Serialize;
use serde_json::json;

use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::db::{Db, ballast};
use crate::error::{Error, Result};

/// What came of [`vacuum`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Vacuumed {
    /// The size of the data before.
    pub bytes_before: u64,
    /// The same afterwards.
    pub bytes_after: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Writes the database anew without what is free in it. Nobody else can have its file open
/// meanwhile; a server does as much of it as disturbs nobody.
///
/// # Errors
/// [`Error::DaemonRunning`]; [`Error::StorageFull`] if there is no room for the new one beside the
/// old; `Unavailable`. The database is as it was then.
pub fn vacuum(app: &App, actor: &Actor) -> Result<Vacuumed> {
    let db = app.db();
    let start = Instant::now();
    let bytes = || Ok(db.about()?.bytes);
    let (bytes_before, bytes_after) = if app.config().db.file().is_some() {
        // The daemon that serves it is told of first: no room helps against that.
        db.exclusively(|| {
            check_room(db)?;
            let before = bytes()?;
            db.vacuum()?;
            Ok((before, bytes()?))
        })?
    } else {
        let before = bytes()?;
        db.vacuum()?;
        (before, bytes()?)
    };
    let details = json!({ "bytes_before": bytes_before, "bytes_after": bytes_after });
    app.write(actor, move |cx| {
        let event = Event::new("db.vacuumed", "database");
        audit::record(cx, event.with(details.clone()))
    })?;
    Ok(Vacuumed {
        bytes_before,
        bytes_after,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The new file is written beside the others for the time being, then into the log, and then into
/// the old one's place: twice as much again as is in it, and a little more.
fn check_room(db: &Db) -> Result<()> {
    let about = db.about()?;
    let used = about.bytes.saturating_sub(about.free_bytes.unwrap_or(0));
    let needed = used.saturating_mul(2).saturating_add(used / 5);
    match about.disk_free {
        Some(free) if free < needed => Err(Error::StorageFull(
            format!(
                "{} are needed beside the database, {} are free",
                DecimalBytes(needed),
                DecimalBytes(free)
            )
            .into(),
        )),
        _ => Ok(()),
    }
}

/// Gives the ballast beside the file `database` back to the disk. Returns how many bytes that were.
///
/// # Errors
/// [`Error::Io`].
pub fn release_space(database: &Path) -> Result<u64> {
    ballast::release(database).map(Option::unwrap_or_default)
}

/// Writes down in the audit log that it was given back.
///
/// # Errors
/// Those of the database.
pub fn note_release(app: &App, actor: &Actor, bytes: u64) -> Result<()> {
    app.write(actor, move |cx| {
        let event = Event::new("db.space_released", "database");
        audit::record(cx, event.with(json!({ "bytes": bytes })))
    })
}
