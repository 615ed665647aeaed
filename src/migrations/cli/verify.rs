//! `provost migrate verify`.

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::output::Output;
use crate::db::Db;
use crate::error::Result;
use crate::migrations::{Story, drift};

/// Compares texts first, which end it by an error, then what they have made.
pub(super) fn run(db: &Db, story: &Story, out: &mut Output) -> Result<Outcome> {
    let entries = story.verify(db)?;
    let drifts = drift(db, story)?;
    let outcome = if drifts.is_empty() {
        Outcome::Done
    } else {
        Outcome::Findings
    };
    if out.format().json {
        out.value(&json!({ "items": entries, "drift": drifts }))?;
        return Ok(outcome);
    }
    if out.format().quiet {
        for it in &drifts {
            out.line(&it.name)?;
        }
        return Ok(outcome);
    }
    for it in &drifts {
        out.line(format!("{} {}", it.sort, it.name))?;
        out.line(&it.diff)?;
    }
    let newest = super::at(story, db)?;
    match drifts.len() {
        0 => out.message(format_args!(
            "the history is good, the schema is what it has made: schema {newest}"
        ))?,
        1 => out.message("the history is good, but one part of the schema was changed by hand")?,
        n => out.message(format_args!(
            "the history is good, but {n} parts of the schema were changed by hand"
        ))?,
    }
    Ok(outcome)
}
