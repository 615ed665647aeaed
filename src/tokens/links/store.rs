//! The tokens' table, as far as it is about links.

use crate::db::Tx;
use crate::error::Result;
use crate::time::Timestamp;
use crate::tokens::{Kind, TokenId};

/// Takes the one use of a link, whose owner must be as it was made for. Returns false, changing
/// nothing, if it is not good (security.md, rule 16).
pub(super) fn take_link(tx: &mut Tx<'_>, id: TokenId, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "UPDATE tokens SET used = used + 1, last_used_at = $2
         WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2 AND used < max_uses
           AND (owner_id IS NULL OR EXISTS (
             SELECT 1 FROM users u WHERE u.id = tokens.owner_id AND u.state = 'active'
               AND (tokens.owner_epoch IS NULL OR tokens.owner_epoch = u.security_epoch)))",
        &[id.0.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Ends all of one kind that a user has and that are still good.
pub(super) fn revoke_of(tx: &mut Tx<'_>, owner: &str, kind: Kind, now: Timestamp) -> Result<u64> {
    tx.run(
        "UPDATE tokens SET revoked_at = $3
         WHERE owner_id = $1 AND kind = $2 AND revoked_at IS NULL AND expires_at > $3
           AND used < max_uses",
        &[owner.into(), kind.as_str().into(), now.into()],
    )
}
