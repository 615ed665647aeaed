//! The audit log's table.

use super::{Entry, Filter, Outcome};
use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};

const COLUMNS: &str = "id, at, actor, ip, request_id, action, object, result, details";

/// `$2` to `$6`, each of which may be null. A text ending in `*` is a prefix.
const WANTED: &str = "(CAST($2 AS TEXT) IS NULL OR actor LIKE $2 ESCAPE '!')
   AND (CAST($3 AS TEXT) IS NULL OR action LIKE $3 ESCAPE '!')
   AND (CAST($4 AS TEXT) IS NULL OR object LIKE $4 ESCAPE '!')
   AND (CAST($5 AS BIGINT) IS NULL OR at >= $5)
   AND (CAST($6 AS BIGINT) IS NULL OR at < $6)";

/// Adds a row. Returns false, changing nothing, if the id is taken.
pub(super) fn insert(tx: &mut Tx<'_>, entry: &Entry) -> Result<bool> {
    let changed = tx.run(
        "INSERT INTO audit_events (id, at, actor, ip, request_id, action, object, result, details)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO NOTHING",
        &[
            entry.id.into(),
            entry.at.into(),
            entry.actor.as_str().into(),
            entry.ip.as_deref().into(),
            entry.request_id.as_deref().into(),
            entry.action.as_str().into(),
            entry.object.as_str().into(),
            entry.result.as_str().into(),
            entry.details.as_ref().map(ToString::to_string).into(),
        ],
    )?;
    Ok(changed == 1)
}

/// Rows with an id below `below`, newest first.
pub(super) fn page(tx: &mut Tx<'_>, filter: &Filter, below: i64, limit: u32) -> Result<Vec<Entry>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_events WHERE id < $1 AND {WANTED} ORDER BY id DESC LIMIT $7"
    );
    select(tx, &sql, filter, below, limit)
}

/// Rows with an id above `above`, oldest first.
pub(super) fn after(
    tx: &mut Tx<'_>,
    filter: &Filter,
    above: i64,
    limit: u32,
) -> Result<Vec<Entry>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_events WHERE id > $1 AND {WANTED} ORDER BY id LIMIT $7"
    );
    select(tx, &sql, filter, above, limit)
}

fn select(
    tx: &mut Tx<'_>,
    sql: &str,
    filter: &Filter,
    bound: i64,
    limit: u32,
) -> Result<Vec<Entry>> {
    let rows = tx.all(
        sql,
        &[
            bound.into(),
            pattern(filter.actor.as_deref()),
            pattern(filter.action.as_deref()),
            pattern(filter.object.as_deref()),
            filter.since.into(),
            filter.until.into(),
            limit.into(),
        ],
    )?;
    rows.iter().map(entry).collect()
}

/// A `LIKE` pattern in which only a final `*` is special.
fn pattern(text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let (stem, end) = match text.strip_suffix('*') {
        Some(stem) => (stem, "%"),
        None => (text, ""),
    };
    let escaped = stem
        .replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_");
    Value::Text(escaped + end)
}

fn entry(row: &Row) -> Result<Entry> {
    let details = row.opt_text("details")?;
    Ok(Entry {
        id: row.int("id")?,
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        object: row.text("object")?,
        result: Outcome::parse(&row.text("result")?)?,
        ip: row.opt_text("ip")?,
        request_id: row.opt_text("request_id")?,
        details: details
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(Error::internal)?,
    })
}
