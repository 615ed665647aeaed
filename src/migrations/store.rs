//! The history table, which stands outside the numbered migrations.

use super::{Entry, State};
use crate::db::{Row, Tx};
use crate::error::{Error, Result};

/// What was applied, in order; nothing in a new database.
pub(super) fn history(tx: &mut Tx<'_>, table: &str) -> Result<Vec<Entry>> {
    if !tx.tables()?.iter().any(|it| it == table) {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT number, name, sha256, applied_at, duration_ms, version FROM {table} ORDER BY number"
    );
    let rows = tx.all(&sql, &[])?;
    rows.iter().map(entry).collect()
}

/// Makes the history's table, if it is not there.
pub(super) fn prepare(tx: &mut Tx<'_>, table: &str) -> Result<()> {
    tx.script(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (
           number INTEGER PRIMARY KEY,
           name TEXT NOT NULL,
           sha256 TEXT NOT NULL,
           applied_at INTEGER NOT NULL,
           duration_ms INTEGER NOT NULL,
           version TEXT NOT NULL,
           reverse TEXT NOT NULL
         ) STRICT;"
    ))
}

/// Adds a row with the SQL that undoes the migration, so that an older binary can go down what a
/// newer one applied.
pub(super) fn insert(tx: &mut Tx<'_>, table: &str, entry: &Entry, reverse: &str) -> Result<()> {
    prepare(tx, table)?;
    let sql = format!(
        "INSERT INTO {table} (number, name, sha256, applied_at, duration_ms, version, reverse)
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    );
    tx.run(
        &sql,
        &[
            entry.number.into(),
            entry.name.as_str().into(),
            entry.sha256.as_str().into(),
            entry.applied_at.into(),
            entry.duration_ms.into(),
            entry.version.clone().into(),
            reverse.into(),
        ],
    )?;
    Ok(())
}

/// The SQL that undoes what was applied, by number, in order.
pub(super) fn reverses(tx: &mut Tx<'_>, table: &str) -> Result<Vec<(u32, String)>> {
    let sql = format!("SELECT number, reverse FROM {table} ORDER BY number");
    let rows = tx.all(&sql, &[])?;
    let reverse = |row: &Row| Ok((number(row)?, row.text("reverse")?));
    rows.iter().map(reverse).collect()
}

/// Removes the row of what was undone.
pub(super) fn remove(tx: &mut Tx<'_>, table: &str, number: u32) -> Result<()> {
    let sql = format!("DELETE FROM {table} WHERE number = $1");
    tx.run(&sql, &[number.into()]).map(|_one| ())
}

fn number(row: &Row) -> Result<u32> {
    u32::try_from(row.int("number")?).map_err(Error::internal)
}

fn entry(row: &Row) -> Result<Entry> {
    Ok(Entry {
        number: number(row)?,
        name: row.text("name")?,
        state: State::Applied,
        applied_at: row.opt_time("applied_at")?,
        duration_ms: row.opt_int("duration_ms")?,
        version: row.opt_text("version")?,
        sha256: row.text("sha256")?,
    })
}

#[cfg(test)]
pub(super) fn set_reverse(tx: &mut Tx<'_>, number: u32, reverse: String) -> Result<u64> {
    tx.run(
        "UPDATE migrations SET reverse = $2 WHERE number = $1",
        &[number.into(), reverse.into()],
    )
}

#[cfg(test)]
pub(super) fn set_sha256(tx: &mut Tx<'_>, number: u32, sha256: String) -> Result<u64> {
    tx.run(
        "UPDATE migrations SET sha256 = $2 WHERE number = $1",
        &[number.into(), sha256.into()],
    )
}
