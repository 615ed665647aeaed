//! What a database of a schema looks like: one in memory, with every migration up to it.

use super::{ALL, Entry, State, store};
use crate::db::Db;
use crate::error::Result;
use crate::time::Timestamp;

/// A database of `schema` with nothing in it, to hold others against: an `SQLite` one in memory.
///
/// # Errors
/// Those of the engine.
pub fn sample(schema: u32) -> Result<Db> {
    let db = Db::memory()?;
    for migration in ALL.iter().filter(|it| it.number <= schema) {
        db.write(move |tx| {
            tx.script(&migration.up)?;
            let entry = Entry {
                number: migration.number,
                name: migration.name.to_string(),
                state: State::Applied,
                applied_at: Some(Timestamp(0)),
                duration_ms: Some(0),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                sha256: migration.sha256(),
            };
            store::insert(tx, "migrations", &entry, &migration.reverse())?;
            tx.stamp(migration.number)
        })?;
    }
    Ok(db)
}
