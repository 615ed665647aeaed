//! Databases as a whole: what is in one, whether it is sound, and moving everything from one to
//! another, whichever engines they are on.
//!
//! Invariants: a copy is there as a whole and equal to its source, or not at all; nothing is ever
//! copied into a database that holds data; the source is only read. The history of migrations is
//! not copied: it tells how the target's own tables were made.

pub mod cli;
mod copy;
mod digest;
mod room;

use serde::Serialize;

pub use copy::{Compared, Phase, Plan, Report, Target, Tell, copy, plan, target, verify};
pub use digest::Digest;
pub use room::{Vacuumed, note_release, release_space, vacuum};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::migrations;

/// What there is to know of a database.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The engine and its version.
    pub engine: String,
    /// The engine's settings.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The schema that it has.
    pub schema: u32,
    /// The schema that this program needs.
    pub needs: u32,
    /// Its size in bytes, and how much of that is free to be used again.
    pub bytes: u64,
    /// Of these, free to be used again, where that is known.
    pub free_bytes: Option<u64>,
    /// The size of its write-ahead log, where it has one of its own.
    pub log_bytes: Option<u64>,
    /// What is left on its disk, where that is known.
    pub disk_free: Option<u64>,
    /// What is kept in reserve for a full disk, where that is ours to keep; see
    /// [`crate::db::ballast`].
    pub ballast_bytes: Option<u64>,
    /// The daemons that serve it.
    pub daemons: Vec<String>,
    /// Rows in all tables.
    pub rows: u64,
    /// Its tables.
    pub tables: Vec<Count>,
}

/// A table and its rows.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// The table's name.
    pub table: String,
    /// How many.
    pub rows: u64,
}

/// Looks at a database and counts what is in it.
///
/// # Errors
/// [`Error::ForeignDatabase`], or those of the database.
pub fn info(db: &Db) -> Result<Info> {
    let schema = migrations::schema(db)?;
    let about = db.about()?;
    let tables = db.rows_by_table()?.into_iter();
    let tables: Vec<Count> = tables.map(|(table, rows)| Count { table, rows }).collect();
    let settings = about.settings.into_iter();
    Ok(Info {
        engine: about.engine,
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
        schema,
        needs: migrations::needed(),
        bytes: about.bytes,
        free_bytes: about.free_bytes,
        log_bytes: about.log_bytes,
        disk_free: about.disk_free,
        ballast_bytes: about.ballast_bytes,
        daemons: db.daemons()?,
        rows: tables.iter().map(|count| count.rows).sum(),
        tables,
    })
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name: `integrity`, `foreign_keys`, `history`.
    pub name: &'static str,
    /// What was looked at, or why it was not.
    pub about: String,
    /// Nothing was looked at: here it cannot be.
    pub skipped: bool,
    /// What cannot be right; nothing, if all is well.
    pub findings: Vec<Finding>,
}

/// Something that cannot be right.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// By which check.
    pub check: &'static str,
    /// The table, index or migration at fault, or `database`.
    pub object: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Looks for damage everywhere, which takes a while: it reads everything.
///
/// # Errors
/// [`Error::ForeignDatabase`], [`Error::SchemaNewer`], or `Unavailable`; damage is a finding.
pub fn check(db: &Db) -> Result<Vec<Check>> {
    let history = history(db)?;
    let examined = db.examine()?.into_iter().map(|check| Check {
        name: check.name,
        about: check.about,
        skipped: check.skipped,
        findings: check
            .findings
            .into_iter()
            .map(|finding| Finding {
                check: check.name,
                object: finding.object,
                detail: finding.detail,
            })
            .collect(),
    });
    Ok(examined.chain([history]).collect())
}

/// Looks at the history of migrations alone.
///
/// # Errors
/// As [`check`].
pub fn history(db: &Db) -> Result<Check> {
    const NAME: &str = "history";
    let finding = |object: &str, detail: String| Finding {
        check: NAME,
        object: object.to_owned(),
        detail,
    };
    let (about, findings) = match migrations::verify(db) {
        Ok(entries) => {
            let applied = |entry: &&migrations::Entry| entry.applied_at.is_some();
            let n = entries.iter().filter(applied).count();
            (
                format!("{n} migrations, each with the text it had"),
                Vec::new(),
            )
        }
        Err(Error::Corrupt(reason)) => (String::new(), vec![finding("migrations", reason)]),
        Err(ref edited @ Error::MigrationEdited { ref name, .. }) => {
            (String::new(), vec![finding(name, edited.to_string())])
        }
        Err(error) => return Err(error),
    };
    Ok(Check {
        name: NAME,
        about,
        skipped: false,
        findings,
    })
}

#[cfg(test)]
mod tests;
