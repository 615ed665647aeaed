//! The users' table, as far as it is about proofs.

use crate::db::Tx;
use crate::error::Result;
use crate::password::PasswordHash;
use crate::time::Timestamp;
use crate::users::Email;
use crate::users::ends_everything;

/// Stores a password's hash, or none, and raises the epoch. Returns false, changing nothing, unless the
/// account can be used.
pub(super) fn replace_password(
    tx: &mut Tx<'_>,
    id: &str,
    hash: Option<&PasswordHash>,
    now: Timestamp,
) -> Result<bool> {
    let sql = format!(
        "UPDATE users SET password_hash = $2, password_changed_at = $3, {}
         WHERE id = $1 AND state = 'active'",
        ends_everything("$3")
    );
    let hash = hash.map(PasswordHash::expose);
    Ok(tx.run(&sql, &[id.into(), hash.into(), now.into()])? == 1)
}

/// Notes the proof. Returns false, changing nothing, if the user has another address.
pub(super) fn email_proved(
    tx: &mut Tx<'_>,
    id: &str,
    email: &Email,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE users SET email_verified_at = $3, updated_at = $3 WHERE id = $1 AND email = $2",
        &[id.into(), email.as_str().into(), now.into()],
    )?;
    Ok(changed == 1)
}
