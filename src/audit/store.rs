//! The audit log's table.

pub(super) mod blocks;

use super::{Entry, Filter, Outcome};
use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};

const COLUMNS: &str = "id, at, actor, ip, request_id, action, object, result, details";

/// Adds a row. Returns false, changing nothing, if the id is taken or lies in what is sealed.
pub(super) fn insert(tx: &mut Tx<'_>, entry: &Entry) -> Result<bool> {
    tx.add(
        "INSERT INTO audit_events (id, at, actor, ip, request_id, action, object, result, details)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
         WHERE $1 > COALESCE((SELECT ceiling FROM audit_head WHERE id = 1), 0)
         ON CONFLICT (id) DO NOTHING",
        &values(entry),
    )
}

/// [`insert`] in a log that has no seals yet.
pub(super) fn insert_unguarded(tx: &mut Tx<'_>, entry: &Entry) -> Result<bool> {
    tx.add(
        "INSERT INTO audit_events (id, at, actor, ip, request_id, action, object, result, details)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO NOTHING",
        &values(entry),
    )
}

fn values(entry: &Entry) -> [Value; 9] {
    [
        entry.id.into(),
        entry.at.into(),
        entry.actor.as_str().into(),
        entry.ip.as_deref().into(),
        entry.request_id.as_deref().into(),
        entry.action.as_str().into(),
        entry.object.as_str().into(),
        entry.result.as_str().into(),
        entry.details.as_ref().map(ToString::to_string).into(),
    ]
}

/// Rows with an id below `below`, newest first.
pub(super) fn page(tx: &mut Tx<'_>, filter: &Filter, below: i64, limit: u32) -> Result<Vec<Entry>> {
    select(tx, filter, ("id < $N", below), "id DESC", limit)
}

/// Rows with an id above `above`, oldest first.
pub(super) fn after(
    tx: &mut Tx<'_>,
    filter: &Filter,
    above: i64,
    limit: u32,
) -> Result<Vec<Entry>> {
    select(tx, filter, ("id > $N", above), "id", limit)
}

/// Only what is asked for is in the statement, so that the engine can choose the index that
/// serves it.
fn select(
    tx: &mut Tx<'_>,
    filter: &Filter,
    (side, bound): (&str, i64),
    order: &str,
    limit: u32,
) -> Result<Vec<Entry>> {
    let mut sql = format!("SELECT {COLUMNS} FROM audit_events WHERE 1 = 1");
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace("$N", &format!("${}", values.len())));
    };
    and(side, bound.into());
    for (column, wanted) in [
        ("actor", &filter.actor),
        ("action", &filter.action),
        ("object", &filter.object),
    ] {
        let Some(text) = wanted else { continue };
        match text.strip_suffix('*') {
            // Not LIKE, which takes no account of case on one engine: ids of tokens differ by it.
            Some(stem) => {
                let begins = format!("SUBSTR({column}, 1, LENGTH(CAST($N AS TEXT))) = $N");
                and(&begins, stem.into());
            }
            None => and(&format!("{column} = $N"), text.as_str().into()),
        }
    }
    if let Some(since) = filter.since {
        and("at >= $N", since.into());
    }
    if let Some(until) = filter.until {
        and("at < $N", until.into());
    }
    values.push(limit.into());
    let sql = format!("{sql} ORDER BY {order} LIMIT ${}", values.len());
    tx.all(&sql, &values)?.iter().map(entry).collect()
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
