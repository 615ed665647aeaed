//! Sessions that have ended for good.

use std::time::Duration;

use crate::db::Tx;
use crate::error::Result;
use crate::time::Timestamp;

/// A way in which a session ends for good: the condition, and the column that says when. Each is
/// served by an index of its own; the conditions exclude one another.
pub(in crate::sessions) struct Ended {
    condition: String,
    at: &'static str,
}

/// Expired, not used for `idle`, revoked. `$1` is the instant until which it happened.
pub(in crate::sessions) fn ways(idle: Duration) -> [Ended; 3] {
    let idle = idle.as_millis();
    [
        Ended {
            condition: "revoked_at IS NULL AND expires_at <= $1".into(),
            at: "expires_at",
        },
        Ended {
            condition: format!(
                "revoked_at IS NULL AND expires_at > $1
                 AND last_seen_at <= CAST($1 AS BIGINT) - {idle}"
            ),
            at: "last_seen_at",
        },
        Ended {
            condition: "revoked_at <= $1".into(),
            at: "revoked_at",
        },
    ]
}

/// How many sessions ended so, and when the first of them did.
pub(in crate::sessions) fn count(
    tx: &mut Tx<'_>,
    way: &Ended,
    until: Timestamp,
) -> Result<(u64, Option<Timestamp>)> {
    let Ended { condition, at } = way;
    let sql = format!(
        "SELECT CAST(COUNT(*) AS BIGINT) AS n, MIN({at}) AS oldest FROM sessions WHERE {condition}"
    );
    let row = tx.first(&sql, &[until.into()])?;
    row.map_or(Ok((0, None)), |row| {
        let n = u64::try_from(row.int("n")?).unwrap_or(0);
        Ok((n, row.opt_time("oldest")?))
    })
}

/// When the first of the sessions ended that ended so: a look-up, not a count.
pub(in crate::sessions) fn first(
    tx: &mut Tx<'_>,
    way: &Ended,
    until: Timestamp,
) -> Result<Option<Timestamp>> {
    let Ended { condition, at } = way;
    let sql =
        format!("SELECT {at} AS oldest FROM sessions WHERE {condition} ORDER BY {at} LIMIT 1");
    let row = tx.first(&sql, &[until.into()])?;
    row.map(|row| row.time("oldest")).transpose()
}

/// Deletes at most `most` of the sessions that ended so, the longest gone first. Both times the
/// condition: what was seen again meanwhile stays.
pub(in crate::sessions) fn delete(
    tx: &mut Tx<'_>,
    way: &Ended,
    until: Timestamp,
    most: u64,
) -> Result<u64> {
    let Ended { condition, at } = way;
    let sql = format!(
        "DELETE FROM sessions WHERE {condition} AND id IN (
           SELECT id FROM sessions WHERE {condition} ORDER BY {at} LIMIT $2)"
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.run(&sql, &[until.into(), most.into()])
}

/// Deletes all of a user.
pub(in crate::sessions) fn delete_of(tx: &mut Tx<'_>, user: &str) -> Result<u64> {
    tx.run("DELETE FROM sessions WHERE user_id = $1", &[user.into()])
}
