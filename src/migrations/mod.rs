//! Migrations: the schema's one story, from an empty file to what this binary needs.
//!
//! Invariants: each migration and its history row are one transaction; what was applied keeps the
//! text it had (SHA-256 of it with LF line ends), and its reverse travels with the database; a
//! database from the future is refused untouched. `application_id` and `user_version` always agree
//! with the history (security.md, rules 77 and 78).

pub mod cli;
mod store;

use std::borrow::Cow;
use std::time::Instant;

use serde::Serialize;

use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::db::{APPLICATION, Db};
use crate::error::{Error, Result};
use crate::secret::sha256_hex;
use crate::time::Timestamp;

/// A numbered pair of files.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1, 2, 3, … without a gap.
    pub number: u32,
    /// The file's name without its endings: `0001_audit`.
    pub name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($number:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            up: include_str!(concat!("../../migrations/", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/", $name, ".down.sql")),
        }
    };
}

/// Every migration, in order. A new one is a new last line; none is ever edited.
pub const ALL: &[Migration] = &[
    migration!(1, "0001_audit"),
    migration!(2, "0002_clock"),
    migration!(3, "0003_idempotency"),
    migration!(4, "0004_users"),
    migration!(5, "0005_tokens"),
    migration!(6, "0006_jobs"),
    migration!(7, "0007_keyring"),
    migration!(8, "0008_sessions"),
    migration!(9, "0009_throttle"),
    migration!(10, "0010_factors"),
    migration!(11, "0011_outbox"),
    migration!(12, "0012_audit_blocks"),
];

impl Migration {
    /// SHA-256 of the forward text with LF line ends, as hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(lf(self.up).as_bytes())
    }
}

/// A checkout with CRLF line ends has the same migrations.
fn lf(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

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

/// Every migration that this binary has or that the database has seen, in order.
///
/// # Errors
/// [`Error::ForeignDatabase`] for another program's database.
pub fn status(db: &Db) -> Result<Vec<Entry>> {
    schema(db)?;
    let history = db.read(store::history)?;
    let known = ALL.iter().map(|migration| {
        match history
            .iter()
            .find(|entry| entry.number == migration.number)
        {
            Some(applied) => {
                let same = applied.sha256 == migration.sha256() && applied.name == migration.name;
                Entry {
                    state: if same { State::Applied } else { State::Edited },
                    ..applied.clone()
                }
            }
            None => Entry {
                number: migration.number,
                name: migration.name.to_owned(),
                state: State::Pending,
                applied_at: None,
                duration_ms: None,
                version: None,
                sha256: migration.sha256(),
            },
        }
    });
    let unknown = history.iter().filter(|entry| entry.number > needed());
    Ok(known
        .chain(unknown.map(|e| Entry {
            state: State::Unknown,
            ..e.clone()
        }))
        .collect())
}

/// Compares history, embedded texts and the database's own stamp.
///
/// # Errors
/// [`Error::MigrationEdited`], [`Error::SchemaNewer`], or [`Error::Corrupt`] if the stamp and the
/// history disagree.
pub fn verify(db: &Db) -> Result<Vec<Entry>> {
    let stamp = schema(db)?;
    // First of all: nobody knows what the future's history looks like.
    if stamp > needed() {
        return Err(Error::SchemaNewer {
            database: stamp,
            binary: needed(),
        });
    }
    let entries = status(db)?;
    if let Some(edited) = entries.iter().find(|entry| entry.state == State::Edited) {
        return Err(Error::MigrationEdited {
            name: edited.name.clone(),
        });
    }
    let applied = entries.iter().filter(|entry| entry.state != State::Pending);
    let newest = applied.map(|entry| entry.number).max().unwrap_or(0);
    if stamp != newest {
        let reason = format!("it is stamped with schema {stamp}, its history ends at {newest}");
        return Err(Error::Corrupt(reason));
    }
    Ok(entries)
}

/// Applies what is pending, each in a transaction of its own, while nobody else has the database
/// open. Returns what was applied.
///
/// # Errors
/// As [`verify`]; [`Error::MigrationFailed`], after which the database is at the last version that
/// succeeded; [`Error::DaemonRunning`].
pub fn up(app: &App, actor: &Actor) -> Result<Vec<Entry>> {
    let pending = || -> Result<Vec<u32>> {
        let entries = verify(app.db())?.into_iter();
        let pending = entries.filter(|entry| entry.state == State::Pending);
        Ok(pending.map(|entry| entry.number).collect())
    };
    // Looked at under the lock: of five that start at once, four find nothing left to do.
    let done = app.db().exclusively_if(
        || Ok(!pending()?.is_empty()),
        || {
            let pending = pending()?;
            let todo = ALL
                .iter()
                .filter(|migration| pending.contains(&migration.number));
            todo.map(|migration| apply(app, actor, migration)).collect()
        },
    )?;
    Ok(done.unwrap_or_default())
}

fn apply(app: &App, actor: &Actor, migration: &'static Migration) -> Result<Entry> {
    app.write(actor, move |cx| apply_in(cx, migration))
        .map_err(|source| Error::MigrationFailed {
            name: migration.name.to_owned(),
            source: Box::new(source),
        })
}

fn apply_in(cx: &mut Cx<'_, '_>, migration: &Migration) -> Result<Entry> {
    let start = Instant::now();
    cx.tx.script(migration.up)?;
    let entry = Entry {
        number: migration.number,
        name: migration.name.to_owned(),
        state: State::Applied,
        applied_at: Some(cx.now),
        duration_ms: i64::try_from(start.elapsed().as_millis()).ok(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        sha256: migration.sha256(),
    };
    store::insert(cx.tx, &entry, &lf(migration.down))?;
    cx.tx.stamp(migration.number)?;
    let event = Event::new("migration.applied", format!("migration:{}", migration.name));
    audit::record_at(cx, event, migration.number)?;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_gap_and_named_after_their_number() {
        for (place, migration) in ALL.iter().enumerate() {
            assert_eq!(usize::try_from(migration.number).unwrap(), place + 1);
            assert!(
                migration
                    .name
                    .starts_with(&format!("{:04}_", migration.number))
            );
        }
    }

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
        assert!(matches!(status(&db), Err(Error::ForeignDatabase)));
    }

    #[test]
    fn line_ends_do_not_change_a_check_sum() {
        let unix = Migration {
            number: 1,
            name: "0001_x",
            up: "a\nb\n",
            down: "",
        };
        let windows = Migration {
            up: "a\r\nb\r\n",
            ..unix
        };
        assert_eq!(unix.sha256(), windows.sha256());
    }

    #[test]
    fn the_reverse_of_every_migration_undoes_it() {
        let app = App::memory();
        app.db()
            .write(|tx| {
                for migration in ALL.iter().rev() {
                    tx.script(migration.down)?;
                }
                tx.script("DROP TABLE migrations")
            })
            .unwrap();
        assert!(is_blank(app.db()).unwrap());
    }
}
