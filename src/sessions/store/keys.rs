//! The table of the keys that sign access tokens.

use std::sync::LazyLock;

use crate::db::Tx;
use crate::error::Result;
use crate::jwt::Algorithm;
use crate::time::Timestamp;

/// A key as it is stored.
pub(in crate::sessions) struct KeyRow {
    pub(in crate::sessions) id: String,
    pub(in crate::sessions) algorithm: Algorithm,
    pub(in crate::sessions) created_at: Timestamp,
    pub(in crate::sessions) signs_from: Timestamp,
    pub(in crate::sessions) accepted_until: Option<Timestamp>,
}

/// The statement that finds the key that signs, which is the newest that may; by the parameters for
/// the algorithm, for the instant, and for the key's id, which may be null. Not by ORDER BY: for a
/// list of two, `SQLite` would build a table with every refresh.
pub(super) fn active_of(algorithm: &str, now: &str, id: &str) -> String {
    let may = format!(
        "algorithm = {algorithm} AND signs_from <= {now}
         AND (accepted_until IS NULL OR accepted_until > {now})
         AND (CAST({id} AS TEXT) IS NULL OR id = {id})"
    );
    format!(
        "SELECT MAX(id) AS id FROM signing_keys WHERE {may}
         AND signs_from = (SELECT MAX(signs_from) FROM signing_keys WHERE {may})"
    )
}

static ACTIVE: LazyLock<String> = LazyLock::new(|| active_of("$1", "$2", "$3"));

/// The key that signs at `now`: of this algorithm, and of this id if one is given.
pub(in crate::sessions) fn active(
    tx: &mut Tx<'_>,
    algorithm: Algorithm,
    id: Option<&str>,
    now: Timestamp,
) -> Result<Option<String>> {
    let row = tx.first(&ACTIVE, &[algorithm.as_str().into(), now.into(), id.into()])?;
    row.map_or(Ok(None), |row| row.opt_text("id"))
}

/// Adds a key. Returns false, changing nothing, if there is one of this id.
pub(in crate::sessions) fn insert(
    tx: &mut Tx<'_>,
    id: &str,
    algorithm: Algorithm,
    signs_from: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "INSERT INTO signing_keys (id, algorithm, created_at, signs_from) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO NOTHING",
        &[
            id.into(),
            algorithm.as_str().into(),
            now.into(),
            signs_from.into(),
        ],
    )?;
    Ok(changed == 1)
}

/// Every key, the newest first: a few.
pub(in crate::sessions) fn all(tx: &mut Tx<'_>) -> Result<Vec<KeyRow>> {
    let rows = tx.all(
        "SELECT id, algorithm, created_at, signs_from, accepted_until FROM signing_keys
         ORDER BY signs_from DESC, id DESC",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            Ok(KeyRow {
                id: row.text("id")?,
                algorithm: row.str("algorithm")?.parse()?,
                created_at: row.time("created_at")?,
                signs_from: row.time("signs_from")?,
                accepted_until: row.opt_time("accepted_until")?,
            })
        })
        .collect()
}

/// The algorithm of a key, if there is one of this id that is accepted.
pub(in crate::sessions) fn algorithm(
    tx: &mut Tx<'_>,
    id: &str,
) -> Result<Option<(Algorithm, Option<Timestamp>)>> {
    let row = tx.first(
        "SELECT algorithm, accepted_until FROM signing_keys WHERE id = $1",
        &[id.into()],
    )?;
    row.map(|row| {
        Ok((
            row.str("algorithm")?.parse()?,
            row.opt_time("accepted_until")?,
        ))
    })
    .transpose()
}

/// Has all keys of that kind but `id` accepted no longer than until then. Not those that come from
/// `SECRET_KEY`: none of ours takes the place of such a one, which may be set again.
pub(in crate::sessions) fn retire(
    tx: &mut Tx<'_>,
    algorithm: Algorithm,
    but: &str,
    until: Timestamp,
) -> Result<u64> {
    tx.run(
        "UPDATE signing_keys SET accepted_until = $3
         WHERE algorithm = $1 AND id <> $2
           AND (accepted_until IS NULL OR accepted_until > $3)",
        &[algorithm.as_str().into(), but.into(), until.into()],
    )
}
