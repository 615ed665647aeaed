//! Deleted rows of the users' tables, and what is taken out of them.

use super::Erased;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Deleted by `$1`, and not erased yet.
const DUE: &str = "deleted_at IS NOT NULL AND erased_at IS NULL AND deleted_at <= $1";

/// How many were deleted by `until` and are not erased, and when the first of them was deleted.
pub(super) fn count(tx: &mut Tx<'_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    let sql = format!("SELECT COUNT(*) AS n, MIN(deleted_at) AS oldest FROM users WHERE {DUE}");
    let row = tx.first(&sql, &[until.into()])?;
    let row = row.ok_or_else(|| Error::internal("a count without a row"))?;
    let count = u64::try_from(row.int("n")?).map_err(Error::internal)?;
    Ok((count, row.opt_time("oldest")?))
}

/// An account that may be erased, and when it was deleted.
pub(super) struct Due {
    pub(super) user: Erased,
    pub(super) deleted_at: Timestamp,
}

/// At most `most` of them, the longest gone first.
pub(super) fn due(tx: &mut Tx<'_>, until: Timestamp, most: u32) -> Result<Vec<Due>> {
    let sql =
        format!("SELECT id, email, deleted_at FROM users WHERE {DUE} ORDER BY deleted_at LIMIT $2");
    let rows = tx.all(&sql, &[until.into(), most.into()])?;
    rows.iter()
        .map(|row| {
            Ok(Due {
                user: Erased {
                    id: row.text("id")?,
                    email: row.opt_text("email")?,
                },
                deleted_at: row.time("deleted_at")?,
            })
        })
        .collect()
}

/// Takes everything about a person out of an account. Returns false, changing nothing, if it is
/// not due any more. The new key holds a colon, which no user name may: it can be nobody's.
pub(super) fn erase(tx: &mut Tx<'_>, id: &str, until: Timestamp, now: Timestamp) -> Result<bool> {
    let sql = format!(
        "UPDATE users SET username = 'deleted-' || SUBSTR(id, 1, 8), username_key = 'deleted:' || id,
                email = NULL, email_verified_at = NULL, phone = NULL, name = NULL, name_key = NULL,
                locale = NULL, meta = NULL, disabled_reason = NULL, password_hash = NULL,
                password_changed_at = NULL, last_login_at = NULL, erased_at = $3, updated_at = $3
         WHERE id = $2 AND {DUE}"
    );
    let changed = tx.run(&sql, &[until.into(), id.into(), now.into()])?;
    Ok(changed == 1)
}

/// Takes all roles away.
pub(super) fn drop_roles(tx: &mut Tx<'_>, id: &str) -> Result<u64> {
    tx.run("DELETE FROM user_roles WHERE user_id = $1", &[id.into()])
}
