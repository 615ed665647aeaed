//! The tokens' table, as far as it is about what a backup brought back.

use crate::db::Tx;
use crate::error::Result;
use crate::time::Timestamp;
use crate::tokens::TokenId;

/// Moves the API tokens whose owners have ended nothing since into the owners' next epoch.
pub(super) fn follow_owners(tx: &mut Tx<'_>) -> Result<u64> {
    tx.run(
        "UPDATE tokens SET owner_epoch = owner_epoch + 1
         WHERE id > 0 AND kind = 'api'
           AND owner_epoch = (SELECT u.security_epoch FROM users u WHERE u.id = owner_id)",
        &[],
    )
}

/// The API tokens that neither were revoked nor ended with all that their owner had.
pub(super) fn good(tx: &mut Tx<'_>) -> Result<Vec<TokenId>> {
    let rows = tx.all(
        "SELECT t.id FROM tokens t LEFT JOIN users u ON u.id = t.owner_id
         WHERE t.id > 0 AND t.kind = 'api' AND t.revoked_at IS NULL
           AND (t.owner_epoch IS NULL OR t.owner_epoch = u.security_epoch)",
        &[],
    )?;
    rows.iter().map(|row| row.int("id").map(TokenId)).collect()
}

/// Revokes one, whatever else it is.
pub(super) fn end_api(tx: &mut Tx<'_>, id: TokenId, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    tx.run(sql, &[id.0.into(), now.into()])
}

/// Ends everything that is no API token.
pub(super) fn end_all_but_api(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    tx.run(
        "UPDATE tokens SET revoked_at = $1 WHERE id > 0 AND kind <> 'api' AND revoked_at IS NULL",
        &[now.into()],
    )
}

/// Suspends the API tokens that could still be used.
pub(super) fn suspend_all(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    tx.run(
        "UPDATE tokens SET suspended_at = $1
         WHERE id > 0 AND kind = 'api' AND revoked_at IS NULL AND suspended_at IS NULL
           AND (expires_at IS NULL OR expires_at > $1) AND (max_uses IS NULL OR used < max_uses)
           AND (owner_epoch IS NULL
                OR owner_epoch = (SELECT u.security_epoch FROM users u WHERE u.id = owner_id))",
        &[now.into()],
    )
}

/// Ids above `above` of at most `most` of those that only wait to be enabled.
pub(super) fn suspended(
    tx: &mut Tx<'_>,
    above: TokenId,
    most: u32,
    now: Timestamp,
) -> Result<Vec<TokenId>> {
    let rows = tx.all(
        "SELECT t.id FROM tokens t LEFT JOIN users u ON u.id = t.owner_id
         WHERE t.suspended_at IS NOT NULL AND t.id > $1 AND t.revoked_at IS NULL
           AND (t.owner_epoch IS NULL OR t.owner_epoch = u.security_epoch)
           AND (t.expires_at IS NULL OR t.expires_at > $2)
           AND (t.max_uses IS NULL OR t.used < t.max_uses)
         ORDER BY t.id LIMIT $3",
        &[above.0.into(), now.into(), most.into()],
    )?;
    rows.iter().map(|row| row.int("id").map(TokenId)).collect()
}

/// Lets one be used again. Returns false, changing nothing, if it was not suspended.
pub(super) fn resume(tx: &mut Tx<'_>, id: TokenId) -> Result<bool> {
    let changed = tx.run(
        "UPDATE tokens SET suspended_at = NULL WHERE id = $1 AND suspended_at IS NOT NULL",
        &[id.0.into()],
    )?;
    Ok(changed == 1)
}
