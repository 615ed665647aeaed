//! The plan: what would be applied, and to how many rows, without doing any of it.

use serde::Serialize;

use super::change::Change;
use super::up::reached;
use super::{Migration, Story};
use crate::db::Db;
use crate::db::script::tokens;
use crate::error::{Error, Result};

/// A migration that is pending.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// SHA-256 of its text.
    pub sha256: String,
    /// The tables that are there already and that it names.
    pub tables: Vec<Concerned>,
    /// Its text.
    pub sql: String,
}

/// A table that a migration names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Concerned {
    /// The table's name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
}

impl Migration {
    /// Whether its text names this table.
    pub(super) fn names(&self, table: &str) -> bool {
        let mut names = tokens(&self.up).filter_map(|it| it.name());
        names.any(|name| name.eq_ignore_ascii_case(table))
    }
}

impl Story {
    /// What would be applied to come to `to`, or to the newest.
    ///
    /// # Errors
    /// As [`Story::verify`]; [`Error::Invalid`] if there is no such migration.
    pub fn plan(&self, db: &Db, to: Option<u32>) -> Result<Vec<Planned>> {
        let entries = self.verify(db)?;
        let to = self.aim(&entries, to)?;
        let changes = self.changes(&entries, to);
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let there = db.rows_by_table()?;
        let planned = changes.iter().filter_map(|change| {
            let Change::Up(migration) = change else {
                return None;
            };
            let concerned = there.iter().filter(|(table, _)| migration.names(table));
            Some(Planned {
                number: migration.number,
                name: migration.name.to_string(),
                file: self.file(&migration.name),
                sha256: migration.sha256(),
                tables: concerned
                    .map(|(table, rows)| Concerned {
                        table: table.clone(),
                        rows: *rows,
                    })
                    .collect(),
                sql: migration.up.to_string(),
            })
        });
        Ok(planned.collect())
    }

    /// The schema to come to.
    pub(super) fn aim(&self, entries: &[super::Entry], to: Option<u32>) -> Result<u32> {
        let (from, newest) = (reached(entries), self.newest());
        let to = to.unwrap_or_else(|| newest.max(from));
        if to < from {
            let reason = format!("is below {from}, the schema that is there; see: migrate down");
            return Err(Error::invalid("to", reason));
        }
        if to == from || entries.iter().any(|entry| entry.number == to) {
            return Ok(to);
        }
        let reason = format!("there is no migration {to}; the newest is {newest}");
        Err(Error::invalid("to", reason))
    }
}
