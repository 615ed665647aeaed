//! Migrations: the schema's one story, from an empty file to what this binary needs.
//!
//! Invariants: each migration and its history row are one transaction; what was applied keeps the
//! text it had (SHA-256 of it with LF line ends), and its reverse travels with the database; a
//! database from the future is refused untouched. `application_id` and `user_version` always agree
//! with the history (security.md, rules 77 and 78).

pub mod cli;
mod drift;
mod folder;
pub mod lint;
mod new;
mod sample;
mod store;
mod story;

use std::time::Instant;

use serde::Serialize;

use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::db::{APPLICATION, Db};
use crate::error::{Error, Result};
use crate::time::Timestamp;

pub use drift::{Drift, drift};
pub use folder::{Folder, read_file};
pub use new::create;
pub use sample::sample;
pub use story::{ALL, Migration, Story, Whose};

/// The schema version that this binary needs.
#[must_use]
pub fn needed() -> u32 {
    ALL.last().map_or(0, |migration| migration.number)
}

/// What is known about one migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
    /// How long that took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// The version of `provost` that applied it.
    pub version: Option<String>,
    /// SHA-256 of its text: as applied, or, while pending, as this binary has it.
    pub sha256: String,
}

/// Where a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Applied, with the text that this binary has.
    Applied,
    /// Not applied yet.
    Pending,
    /// Applied with another text.
    Edited,
    /// Applied by a newer `provost`.
    Unknown,
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

/// [`Story::up`] of `provost`'s own.
///
/// # Errors
/// As there.
pub fn up(app: &App, actor: &Actor) -> Result<Vec<Entry>> {
    Story::own().up(app, actor)
}

impl Story {
    /// Applies what is pending, each in a transaction of its own, while nobody else has the
    /// database open. Returns what was applied.
    ///
    /// # Errors
    /// As [`Story::verify`]; [`Error::MigrationFailed`], after which the database is at the last
    /// version that succeeded; [`Error::DaemonRunning`].
    pub fn up(&self, app: &App, actor: &Actor) -> Result<Vec<Entry>> {
        let pending = || -> Result<Vec<u32>> {
            let entries = self.verify(app.db())?.into_iter();
            let pending = entries.filter(|entry| entry.state == State::Pending);
            Ok(pending.map(|entry| entry.number).collect())
        };
        // Looked at under the lock: of five that start at once, four find nothing left to do.
        let done = app.db().exclusively_if(
            || Ok(!pending()?.is_empty()),
            || {
                let pending = pending()?;
                let todo = self
                    .migrations()
                    .iter()
                    .filter(|migration| pending.contains(&migration.number));
                todo.map(|migration| self.apply(app, actor, migration))
                    .collect()
            },
        )?;
        Ok(done.unwrap_or_default())
    }

    fn apply(&self, app: &App, actor: &Actor, migration: &Migration) -> Result<Entry> {
        let (story, todo) = (self.clone(), migration.clone());
        app.write(actor, move |cx| story.apply_in(cx, &todo))
            .map_err(|source| Error::MigrationFailed {
                name: migration.name.to_string(),
                source: Box::new(source),
            })
    }

    fn apply_in(&self, cx: &mut Cx<'_, '_>, migration: &Migration) -> Result<Entry> {
        let start = Instant::now();
        cx.tx.script(&migration.up)?;
        let entry = Entry {
            number: migration.number,
            name: migration.name.to_string(),
            state: State::Applied,
            applied_at: Some(cx.now),
            duration_ms: i64::try_from(start.elapsed().as_millis()).ok(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            sha256: migration.sha256(),
        };
        store::insert(cx.tx, self.table(), &entry, &migration.reverse())?;
        if self.whose() == Whose::Provost {
            cx.tx.stamp(migration.number)?;
        }
        let event = Event::new("migration.applied", format!("migration:{}", migration.name));
        audit::record_in_any_schema(cx, event)?;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applying_everything_leaves_nothing_pending_and_the_stamps_agree() {
        let app = App::memory();
        assert!(
            verify(app.db())
                .unwrap()
                .iter()
                .all(|entry| entry.state == State::Applied)
        );
        check(app.db()).unwrap();
        assert!(up(&app, &Actor::operator()).unwrap().is_empty());
    }

    #[test]
    fn a_database_from_the_future_is_refused() {
        let app = App::memory();
        app.db().write(|tx| tx.stamp(needed() + 1)).unwrap();
        assert!(matches!(check(app.db()), Err(Error::SchemaNewer { .. })));
    }

    #[test]
    fn an_edited_migration_is_named() {
        let app = App::memory();
        app.db()
            .write(|tx| store::set_sha256(tx, 2, "0".repeat(64)))
            .unwrap();
        let error = verify(app.db()).unwrap_err();
        assert!(matches!(error, Error::MigrationEdited { name } if name == "0002_clock"));
        assert!(up(&app, &Actor::operator()).is_err());
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let db = Db::fresh();
        db.write(|tx| tx.script("CREATE TABLE theirs (n INTEGER)"))
            .unwrap();
        assert!(matches!(check(&db), Err(Error::ForeignDatabase)));
        assert!(matches!(
            Story::own().status(&db),
            Err(Error::ForeignDatabase)
        ));
    }

    #[test]
    fn the_reverse_of_every_migration_undoes_it() {
        let app = App::memory();
        app.db()
            .write(|tx| {
                for migration in ALL.iter().rev() {
                    tx.script(&migration.down)?;
                }
                tx.script("DROP TABLE migrations")
            })
            .unwrap();
        assert!(is_blank(app.db()).unwrap());
    }
}
