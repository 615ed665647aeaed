//! The tables of the blocks, and the rows as they are sealed.

use serde_json::Value as Json;

use crate::audit::Restore;
use crate::audit::block::{Block, Line, START, State};
use crate::db::{Row, Tx, Value};
use crate::error::Result;
use crate::time::Timestamp;

/// Whether the database is of a schema that has blocks at all.
pub(in crate::audit) fn has_blocks(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(tx.tables()?.iter().any(|table| table == "audit_head"))
}

/// Where the chain ends, if there is one.
pub(in crate::audit) fn state(tx: &mut Tx<'_>) -> Result<Option<State>> {
    let row = tx.first(
        "SELECT ceiling, number, last_id, hash, dropped, sealed_by, signature
         FROM audit_head WHERE id = 1",
        &[],
    )?;
    let state = |row: Row| {
        Ok(State {
            ceiling: row.int("ceiling")?,
            number: row.int("number")?,
            last_id: row.int("last_id")?,
            hash: row.bytes("hash")?.to_vec(),
            dropped: row.int("dropped")?,
            sealed_by: row.text("sealed_by")?,
            signature: row.bytes("signature")?.to_vec(),
        })
    };
    row.map(state).transpose()
}

/// Up to which id no row is added any more.
pub(in crate::audit) fn ceiling(tx: &mut Tx<'_>) -> Result<i64> {
    let row = tx.first("SELECT ceiling FROM audit_head WHERE id = 1", &[])?;
    row.map_or(Ok(0), |row| row.int("ceiling"))
}

/// Writes down where the chain ends.
pub(in crate::audit) fn set_state(tx: &mut Tx<'_>, state: &State) -> Result<()> {
    tx.run(
        "INSERT INTO audit_head
           (id, ceiling, number, last_id, hash, dropped, sealed_by, signature)
         VALUES (1, $1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET ceiling = excluded.ceiling, number = excluded.number,
           last_id = excluded.last_id, hash = excluded.hash, dropped = excluded.dropped,
           sealed_by = excluded.sealed_by, signature = excluded.signature",
        &[
            state.ceiling.into(),
            state.number.into(),
            state.last_id.into(),
            state.hash.as_slice().into(),
            state.dropped.into(),
            state.sealed_by.as_str().into(),
            state.signature.as_slice().into(),
        ],
    )?;
    Ok(())
}

/// Keeps rows from being added while the ceiling rises. False if somebody else holds the table:
/// then it must not rise.
pub(in crate::audit) fn quiet(tx: &mut Tx<'_>) -> Result<bool> {
    tx.quiet("audit_events")
}

/// The id of the newest row.
pub(in crate::audit) fn newest(tx: &mut Tx<'_>) -> Result<Option<i64>> {
    let row = tx.first("SELECT MAX(id) AS id FROM audit_events", &[])?;
    row.map_or(Ok(None), |row| row.opt_int("id"))
}

/// The restores of the database with an id up to `until`, the newest first.
pub(in crate::audit) fn restores(tx: &mut Tx<'_>, until: i64) -> Result<Vec<Restore>> {
    let rows = tx.all(
        "SELECT at, details FROM audit_events
         WHERE object = 'database' AND action = 'database.restored' AND id <= $1
         ORDER BY id DESC",
        &[until.into()],
    )?;
    let restore = |row: &Row| {
        let details = row.opt_text("details")?.unwrap_or_default();
        let details: Json = serde_json::from_str(&details).unwrap_or_default();
        let from = details.get("created_at").cloned().unwrap_or_default();
        Ok(Restore {
            at: row.time("at")?,
            from: serde_json::from_value(from).ok(),
        })
    };
    rows.iter().map(restore).collect()
}

/// How many rows come after this id.
pub(in crate::audit) fn count_after(tx: &mut Tx<'_>, after: i64) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS n FROM audit_events WHERE id > $1";
    let n = tx
        .first(sql, &[after.into()])?
        .map_or(Ok(0), |row| row.int("n"))?;
    Ok(u64::try_from(n).unwrap_or(0))
}

/// When the oldest row after this id was written.
pub(in crate::audit) fn oldest_after(tx: &mut Tx<'_>, after: i64) -> Result<Option<Timestamp>> {
    let sql = "SELECT at FROM audit_events WHERE id > $1 ORDER BY id LIMIT 1";
    let row = tx.first(sql, &[after.into()])?;
    row.map(|row| row.time("at")).transpose()
}

/// The first id above `after` and up to `until`.
pub(in crate::audit) fn first_between(
    tx: &mut Tx<'_>,
    after: i64,
    until: i64,
) -> Result<Option<i64>> {
    let row = tx.first(
        "SELECT id FROM audit_events WHERE id > $1 AND id <= $2 ORDER BY id LIMIT 1",
        &[after.into(), until.into()],
    )?;
    row.map(|row| row.int("id")).transpose()
}

/// The first id up to `until`.
pub(in crate::audit) fn first_until(tx: &mut Tx<'_>, until: i64) -> Result<Option<i64>> {
    let sql = "SELECT id FROM audit_events WHERE id <= $1 ORDER BY id LIMIT 1";
    let row = tx.first(sql, &[until.into()])?;
    row.map(|row| row.int("id")).transpose()
}

/// Rows with ids above `after` and up to `until`, in order.
pub(in crate::audit) fn lines(
    tx: &mut Tx<'_>,
    after: i64,
    until: i64,
    most: u32,
) -> Result<Vec<Line>> {
    let rows = tx.all(
        "SELECT id, at, actor, ip, request_id, action, object, result, details
         FROM audit_events WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3",
        &[after.into(), until.into(), most.into()],
    )?;
    rows.iter().map(line).collect()
}

/// Every column, in the order of the table.
fn line(row: &Row) -> Result<Line> {
    let id = row.int("id")?;
    let values: [Value; 9] = [
        id.into(),
        row.int("at")?.into(),
        row.str("actor")?.into(),
        row.opt_text("ip")?.into(),
        row.opt_text("request_id")?.into(),
        row.str("action")?.into(),
        row.str("object")?.into(),
        row.str("result")?.into(),
        row.opt_text("details")?.into(),
    ];
    Ok(Line::new(id, &values))
}

/// Adds a block. Returns false, changing nothing, if there is one of that number.
pub(in crate::audit) fn insert(tx: &mut Tx<'_>, block: &Block) -> Result<bool> {
    let added = tx.run(
        "INSERT INTO audit_blocks (number, first_id, last_id, entries, rows_sha256, marks,
                                   sealed_at, previous, hash, sealed_by, signature)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (number) DO NOTHING",
        &[
            block.number.into(),
            block.first_id.into(),
            block.last_id.into(),
            block.entries.into(),
            block.rows_sha256.as_slice().into(),
            block.marks.as_deref().into(),
            block.sealed_at.into(),
            block.previous.as_slice().into(),
            block.hash.as_slice().into(),
            block.sealed_by.as_str().into(),
            block.signature.as_slice().into(),
        ],
    )?;
    Ok(added == 1)
}

const COLUMNS: &str = "number, first_id, last_id, entries, rows_sha256, marks, sealed_at, \
    previous, hash, sealed_by, signature";

/// Blocks with a number above `after`, in order.
pub(in crate::audit) fn page(tx: &mut Tx<'_>, after: i64, most: u32) -> Result<Vec<Block>> {
    let sql =
        format!("SELECT {COLUMNS} FROM audit_blocks WHERE number > $1 ORDER BY number LIMIT $2");
    let rows = tx.all(&sql, &[after.into(), most.into()])?;
    rows.iter().map(block).collect()
}

/// The id with which the block of this number ends; for none, the one before every row's.
pub(in crate::audit) fn end_of(tx: &mut Tx<'_>, number: i64) -> Result<i64> {
    let row = tx.first(
        "SELECT last_id FROM audit_blocks WHERE number = $1",
        &[number.into()],
    )?;
    row.map_or(Ok(START), |row| row.int("last_id"))
}

/// What a row's block is told by.
pub(in crate::audit) struct Seal {
    pub(in crate::audit) number: i64,
    pub(in crate::audit) last_id: i64,
    pub(in crate::audit) hash: Vec<u8>,
}

/// The blocks that hold the rows from `first` to `last`, in order.
pub(in crate::audit) fn over(tx: &mut Tx<'_>, first: i64, last: i64) -> Result<Vec<Seal>> {
    let rows = tx.all(
        "SELECT number, last_id, hash FROM audit_blocks
         WHERE last_id >= $1 AND last_id <= COALESCE(
           (SELECT b.last_id FROM audit_blocks b WHERE b.last_id >= $2
            ORDER BY b.last_id LIMIT 1), 9223372036854775807)
         ORDER BY last_id",
        &[first.into(), last.into()],
    )?;
    let seals = rows.iter().map(|row| {
        Ok(Seal {
            number: row.int("number")?,
            last_id: row.int("last_id")?,
            hash: row.bytes("hash")?.to_vec(),
        })
    });
    seals.collect()
}

/// How many rows the blocks hold that were sealed by `until`, and when the first of these was.
pub(in crate::audit) fn kept(
    tx: &mut Tx<'_>,
    until: Timestamp,
) -> Result<(u64, Option<Timestamp>)> {
    let row = tx.first(
        "SELECT CAST(COALESCE(SUM(entries), 0) AS BIGINT) AS n, MIN(sealed_at) AS oldest
         FROM audit_blocks WHERE marks IS NOT NULL AND sealed_at <= $1",
        &[until.into()],
    )?;
    row.map_or(Ok((0, None)), |row| {
        let n = u64::try_from(row.int("n")?).unwrap_or(0);
        Ok((n, row.opt_time("oldest")?))
    })
}

/// When the first of the blocks was sealed that hold rows and were sealed by `until`.
pub(in crate::audit) fn oldest_kept(
    tx: &mut Tx<'_>,
    until: Timestamp,
) -> Result<Option<Timestamp>> {
    let row = tx.first(
        "SELECT MIN(sealed_at) AS oldest FROM audit_blocks
         WHERE marks IS NOT NULL AND sealed_at <= $1",
        &[until.into()],
    )?;
    row.map_or(Ok(None), |row| row.opt_time("oldest"))
}

/// Deletes the rows of a block, all that come after the block before.
pub(in crate::audit) fn drop_rows(tx: &mut Tx<'_>, after: i64, block: &Block) -> Result<u64> {
    let deleted = tx.run(
        "DELETE FROM audit_events WHERE id > $1 AND id <= $2",
        &[after.into(), block.last_id.into()],
    )?;
    tx.run(
        "UPDATE audit_blocks SET marks = NULL WHERE number = $1",
        &[block.number.into()],
    )?;
    Ok(deleted)
}

fn block(row: &Row) -> Result<Block> {
    Ok(Block {
        number: row.int("number")?,
        first_id: row.int("first_id")?,
        last_id: row.int("last_id")?,
        entries: row.int("entries")?,
        rows_sha256: row.bytes("rows_sha256")?.to_vec(),
        marks: row.opt_bytes("marks")?.map(<[u8]>::to_vec),
        sealed_at: row.time("sealed_at")?,
        previous: row.bytes("previous")?.to_vec(),
        hash: row.bytes("hash")?.to_vec(),
        sealed_by: row.text("sealed_by")?,
        signature: row.bytes("signature")?.to_vec(),
    })
}
