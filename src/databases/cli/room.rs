//! `provost db vacuum` and `provost db release-space`: room on the disk.

use indicatif::DecimalBytes;
use serde_json::json;

use crate::cli::output::Output;
use crate::cli::{Operator, Outcome, Site};
use crate::databases;
use crate::error::{Error, Result};

/// Writes the database anew.
pub(super) fn vacuum(operator: &Operator, out: &mut Output) -> Result<Outcome> {
    let done = databases::vacuum(operator.app(), operator.actor())?;
    if out.format().json {
        out.value(&done)?;
        return Ok(Outcome::Done);
    }
    let (before, after) = (
        DecimalBytes(done.bytes_before),
        DecimalBytes(done.bytes_after),
    );
    out.message(format_args!(
        "vacuumed: {before} before, {after} now, {:.1} s",
        done.seconds
    ))?;
    if operator.app().config().db.file().is_none() {
        out.message(
            "a server does this by itself, by autovacuum; what is free now it uses again and seldom gives back",
        )?;
    }
    Ok(Outcome::Done)
}

/// Gives the ballast back, whatever else is wrong: nothing is opened before it is gone.
pub(super) fn release(site: &Site, out: &mut Output) -> Result<Outcome> {
    let config = site.config(out)?;
    let Some(file) = config.db.file().map(ToOwned::to_owned) else {
        return Err(Error::Usage(
            "the database is on a server, which looks after its own disk".into(),
        ));
    };
    let released = databases::release_space(&file)?;
    if released > 0 {
        // A database that cannot be written yet must not keep the room from being given back.
        let noted = site.operator(out).and_then(|operator| {
            databases::note_release(operator.app(), operator.actor(), released)
        });
        if let Err(error) = noted {
            out.warn(format_args!("this is not in the audit log: {error}"))?;
        }
    }
    if out.format().json {
        out.value(&json!({ "released_bytes": released }))?;
    } else if released == 0 {
        out.message("nothing to do: there is no ballast")?;
    } else {
        let released = DecimalBytes(released);
        out.message(format_args!(
            "gave {released} back to the disk; the daemon takes them again when there is room"
        ))?;
    }
    Ok(Outcome::Done)
}
