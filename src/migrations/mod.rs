//! Migrations: the schema's one story, from an empty file to what this binary needs.
//!
//! Invariants: each migration and its history row are one transaction; what was applied keeps the
//! text it had (SHA-256 of it with LF line ends), and its reverse travels with the database; a
//! database from the future is refused untouched. `application_id` and `user_version` always agree
//! with the history (security.md, rules 77 and 78).

mod change;
pub mod cli;
mod down;
mod drift;
mod folder;
mod history;
pub mod http;
mod intact;
pub mod lint;
mod made;
mod new;
mod plan;
mod rehearse;
mod restorable;
mod store;
mod story;
mod untouched;
mod up;

use serde::Serialize;

use crate::app::{Actor, App};
use crate::db::{APPLICATION, Db};
use crate::error::{Error, Result};
use crate::time::Timestamp;

use change::Change;
pub use drift::{Drift, drift};
pub use folder::{Folder, read_file};
pub use history::Happened;
pub use made::made;
pub use new::create;
pub use plan::{Concerned, Planned};
pub use rehearse::{Form, Rehearsal, Timed};
pub use restorable::{faults, misfits, triggers};
pub use story::{ALL, Migration, Story, Whose};
pub use up::{Kept, Report, Stage, Tell, Wish};

/// The schema version that this binary needs.
#[must_use]
pub fn needed() -> u32 {
    ALL.last().map_or(0, |migration| migration.number)
}

/// What is known about one migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Migration)]
pub struct Entry {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// When it was applied.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub applied_at: Option<Timestamp>,
    /// How long that took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// The version of `provost` that applied it.
    pub version: Option<String>,
    /// SHA-256 of its text: as applied, or, while pending, as this binary has it.
    pub sha256: String,
}

/// Where a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MigrationState)]
pub enum State {
    /// Applied, with the text that this binary has.
    Applied,
    /// Not applied yet.
    Pending,
    /// Applied with another text.
    Edited,
    /// Applied by a newer `provost`, or from a file that is not there any more.
    Unknown,
    /// Undone.
    Undone,
}

/// Whether this binary may work on the database. Two pragmas: cheap enough for every command.
///
/// # Errors
/// [`Error::SchemaNewer`], [`Error::SchemaBehind`], or [`Error::ForeignDatabase`] if another
/// program's data is in it.
pub fn check(db: &Db) -> Result<()> {
    let database = schema(db)?;
    let binary = needed();
    match database.cmp(&binary) {
        std::cmp::Ordering::Greater => Err(Error::SchemaNewer { database, binary }),
        std::cmp::Ordering::Less => Err(Error::SchemaBehind { database, binary }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// The database's schema version, if it is ours or empty.
///
/// # Errors
/// [`Error::ForeignDatabase`] if another program's data is in it.
pub fn schema(db: &Db) -> Result<u32> {
    let identity = db.identity()?;
    let blank = identity.application == 0 && identity.schema == 0 && is_blank(db)?;
    if identity.application == APPLICATION || blank {
        Ok(identity.schema)
    } else {
        Err(Error::ForeignDatabase)
    }
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method's path is not general enough over the transaction's life"
)]
fn is_blank(db: &Db) -> Result<bool> {
    Ok(db.read(|tx| tx.tables())?.is_empty())
}

/// [`Story::verify`] of `provost`'s own.
///
/// # Errors
/// As there.
pub fn verify(db: &Db) -> Result<Vec<Entry>> {
    Story::own().verify(db)
}

/// Applies what is pending of `provost`'s own to a database that nobody has used yet: nothing is in
/// it that could be lost. Returns what was applied.
///
/// # Errors
/// As [`Story::verify`]; [`Error::MigrationFailed`], [`Error::DaemonRunning`].
pub fn up(app: &App, actor: &Actor) -> Result<Vec<Entry>> {
    let story = Story::own();
    let pending = || {
        let entries = story.verify(app.db())?;
        Ok(story.changes(&entries, story.newest()))
    };
    // Looked at under the lock: of five that start at once, four find nothing left to do.
    let done = app.db().exclusively_if(
        || Ok(!pending()?.is_empty()),
        || {
            let apply = |change: &Change| {
                let done = story.change(app, actor, change)?;
                Ok(done.entry)
            };
            pending()?.iter().map(apply).collect()
        },
    )?;
    Ok(done.unwrap_or_default())
}

#[cfg(test)]
mod tests;
