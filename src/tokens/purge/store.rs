//! What of the tokens' table has ended, and deleting it.

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::tokens::Kind;

/// A way in which a token ends for good. The ways exclude one another; each is served by an index
/// of its own.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    /// What is read: `tokens t`, and what else decides.
    from: &'static str,
    /// What makes it so, of the token alone.
    condition: &'static str,
    /// What else makes it so; it can never be undone.
    and: &'static str,
    /// When it happened.
    at: &'static str,
}

/// Expired, used up, revoked, ended with all that its owner had opened. `$1` is the instant until
/// which it happened.
pub(super) const ENDED: [Ended; 4] = [
    Ended {
        from: "tokens t",
        condition: "t.revoked_at IS NULL AND t.expires_at <= $1",
        and: "",
        at: "t.expires_at",
    },
    Ended {
        from: "tokens t",
        condition: "t.used >= t.max_uses AND t.last_used_at <= $1 AND t.revoked_at IS NULL
                    AND (t.expires_at IS NULL OR t.expires_at > $1)",
        and: "",
        at: "t.last_used_at",
    },
    Ended {
        from: "tokens t",
        condition: "t.revoked_at <= $1",
        and: "",
        at: "t.revoked_at",
    },
    Ended {
        // In this order on every engine: those who ended something are few, tokens are many.
        from: "users u CROSS JOIN tokens t",
        condition: "t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $1)
                    AND (t.max_uses IS NULL OR t.used < t.max_uses OR t.last_used_at > $1)",
        and: " AND u.ended_at <= $1 AND t.owner_id = u.id AND t.owner_epoch <> u.security_epoch",
        at: "u.ended_at",
    },
];

/// How many ended that way by `until`, and when the first did.
pub(super) fn count_ended(
    tx: &mut Tx<'_>,
    ended: Ended,
    kind: Option<Kind>,
    until: Timestamp,
) -> Result<(u64, Option<Timestamp>)> {
    let Ended {
        from,
        condition,
        and,
        at,
    } = ended;
    let row = tx.first(
        &format!(
            "SELECT COUNT(*) AS n, MIN({at}) AS oldest FROM {from}
             WHERE {condition}{and} AND (CAST($2 AS TEXT) IS NULL OR t.kind = $2)"
        ),
        &[until.into(), kind.map(Kind::as_str).into()],
    )?;
    let row = row.ok_or_else(|| Error::internal("a count without a row"))?;
    Ok((
        u64::try_from(row.int("n")?).map_err(Error::internal)?,
        row.opt_time("oldest")?,
    ))
}

/// When the first of them ended.
pub(super) fn first_ended(
    tx: &mut Tx<'_>,
    ended: Ended,
    until: Timestamp,
) -> Result<Option<Timestamp>> {
    let Ended {
        from,
        condition,
        and,
        at,
    } = ended;
    let row = tx.first(
        &format!("SELECT {at} AS at FROM {from} WHERE {condition}{and} ORDER BY {at} LIMIT 1"),
        &[until.into()],
    )?;
    row.map(|row| row.time("at")).transpose()
}

/// Deletes at most `most` of them, the longest gone first. The condition stands there twice: the
/// inner one finds rows, the outer one is looked at again when a row has been changed meanwhile,
/// so that what somebody has just renewed stays.
pub(super) fn delete_ended(
    tx: &mut Tx<'_>,
    ended: Ended,
    kind: Option<Kind>,
    until: Timestamp,
    most: u64,
) -> Result<u64> {
    let Ended {
        from,
        condition,
        and,
        at,
    } = ended;
    tx.run(
        &format!(
            "DELETE FROM tokens AS t WHERE {condition} AND t.id IN (
               SELECT t.id FROM {from}
               WHERE {condition}{and} AND (CAST($2 AS TEXT) IS NULL OR t.kind = $2)
               ORDER BY {at} LIMIT $3)"
        ),
        &[
            until.into(),
            kind.map(Kind::as_str).into(),
            i64::try_from(most).unwrap_or(i64::MAX).into(),
        ],
    )
}

/// Deletes all that belong to a user.
pub(super) fn delete_of(tx: &mut Tx<'_>, owner: &str) -> Result<u64> {
    tx.run("DELETE FROM tokens WHERE owner_id = $1", &[owner.into()])
}

/// Deletes the invitations to an address that are good no longer.
pub(super) fn delete_invitations(tx: &mut Tx<'_>, email: &str, now: Timestamp) -> Result<u64> {
    tx.run(
        "DELETE FROM tokens WHERE label = $1 AND kind = $2
           AND (revoked_at IS NOT NULL OR used >= max_uses OR expires_at <= $3)",
        &[email.into(), Kind::Invitation.as_str().into(), now.into()],
    )
}
