//! The table of kept answers.

use crate::db::{Tx, Value};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// A row.
pub(super) struct Kept {
    /// Digest of the body that was answered.
    pub(super) request: Vec<u8>,
    /// Nonce and sealed answer.
    pub(super) answer: Vec<u8>,
}

/// The row of `digest`, unless it has expired.
pub(super) fn by_digest(tx: &mut Tx<'_>, digest: &[u8], now: Timestamp) -> Result<Option<Kept>> {
    let row = tx.first(
        "SELECT request, answer FROM idempotency_keys WHERE digest = $1 AND expires_at > $2",
        &[digest.into(), now.into()],
    )?;
    let kept = row.map(|row| {
        Ok::<_, Error>(Kept {
            request: row.bytes("request")?.to_vec(),
            answer: row.bytes("answer")?.to_vec(),
        })
    });
    kept.transpose()
}

/// Adds a row, in place of an expired one. Returns false, changing nothing, if a live one is there.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    digest: &[u8],
    kept: &Kept,
    now: Timestamp,
    expires: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "INSERT INTO idempotency_keys (digest, request, answer, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (digest) DO UPDATE SET request = excluded.request, answer = excluded.answer,
           created_at = excluded.created_at, expires_at = excluded.expires_at
           WHERE idempotency_keys.expires_at <= excluded.created_at",
        &[
            digest.into(),
            Value::from(&*kept.request),
            Value::from(&*kept.answer),
            now.into(),
            expires.into(),
        ],
    )?;
    Ok(changed == 1)
}

/// Count and first expiry of those that have expired by `until`.
pub(super) fn expired(tx: &mut Tx<'_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    let row = tx.first(
        "SELECT COUNT(*) AS n, MIN(expires_at) AS oldest FROM idempotency_keys WHERE expires_at <= $1",
        &[until.into()],
    )?;
    let row = row.ok_or_else(|| Error::internal("a count without a row"))?;
    Ok((
        u64::try_from(row.int("n")?).map_err(Error::internal)?,
        row.opt_time("oldest")?,
    ))
}

/// The first expiry among those that have expired by `until`.
pub(super) fn oldest_expired(tx: &mut Tx<'_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let row = tx.first(
        "SELECT expires_at FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1",
        &[until.into()],
    )?;
    row.map(|row| row.time("expires_at")).transpose()
}

/// Deletes at most `most` of those that have expired by `until`, oldest first. Both times the
/// condition: the outer one is looked at again when an expired row has just been replaced by the
/// answer to a new request, which must stay.
pub(super) fn delete_expired(tx: &mut Tx<'_>, until: Timestamp, most: u32) -> Result<u64> {
    tx.run(
        "DELETE FROM idempotency_keys WHERE expires_at <= $1 AND digest IN (
           SELECT digest FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        &[until.into(), most.into()],
    )
}

/// Deletes every key.
pub(super) fn delete_all(tx: &mut Tx<'_>) -> Result<u64> {
    tx.run("DELETE FROM idempotency_keys", &[])
}
