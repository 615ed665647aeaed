//! The tables of second factors and recovery codes.

use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::time::Timestamp;

use super::{Code, Factor};

/// A factor's secret, as it is stored.
pub(super) struct Sealed {
    pub(super) secret: Vec<u8>,
    pub(super) confirmed: bool,
}

/// The secret of a user's factor.
pub(super) fn sealed(tx: &mut Tx<'_>, user: &str) -> Result<Option<Sealed>> {
    let row = tx.first(
        "SELECT secret, confirmed_at FROM totp_factors WHERE user_id = $1",
        &[user.into()],
    )?;
    let sealed = row.map(|row| {
        Ok::<_, Error>(Sealed {
            secret: row.bytes("secret")?.to_vec(),
            confirmed: row.opt_time("confirmed_at")?.is_some(),
        })
    });
    sealed.transpose()
}

/// Whether the user has a factor that is asked for.
pub(super) fn is_required(tx: &mut Tx<'_>, user: &str) -> Result<bool> {
    let sql = "SELECT user_id FROM totp_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL";
    Ok(tx.first(sql, &[user.into()])?.is_some())
}

/// Puts a secret in place of one that was never confirmed. Returns false, changing nothing, if one
/// was.
pub(super) fn enrol(tx: &mut Tx<'_>, user: &str, secret: &[u8], now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "INSERT INTO totp_factors (user_id, secret, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret,
           created_at = excluded.created_at, last_step = 0
           WHERE totp_factors.confirmed_at IS NULL",
        &[user.into(), Value::from(secret), now.into()],
    )?;
    Ok(changed == 1)
}

/// Confirms exactly this secret by the code of `step`. Returns false, changing nothing, if it is
/// confirmed or was replaced meanwhile.
pub(super) fn confirm(
    tx: &mut Tx<'_>,
    user: &str,
    secret: &[u8],
    step: i64,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE totp_factors SET confirmed_at = $4, last_step = $3
         WHERE user_id = $1 AND secret = $2 AND confirmed_at IS NULL AND last_step < $3",
        &[user.into(), Value::from(secret), step.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Takes the code of `step` for exactly this secret. Returns false, changing nothing, if that one
/// or a later one was taken (RFC 6238 §5.2).
pub(super) fn take_step(tx: &mut Tx<'_>, user: &str, secret: &[u8], step: i64) -> Result<bool> {
    let changed = tx.run(
        "UPDATE totp_factors SET last_step = $3
         WHERE user_id = $1 AND secret = $2 AND confirmed_at IS NOT NULL AND last_step < $3",
        &[user.into(), Value::from(secret), step.into()],
    )?;
    Ok(changed == 1)
}

/// Takes a recovery code. Returns false, changing nothing, unless it is one that was not taken yet.
pub(super) fn take_code(
    tx: &mut Tx<'_>,
    user: &str,
    digest: &[u8],
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE recovery_codes SET used_at = $3
         WHERE user_id = $1 AND digest = $2 AND used_at IS NULL
           AND EXISTS (SELECT 1 FROM totp_factors f
                       WHERE f.user_id = $1 AND f.confirmed_at IS NOT NULL)",
        &[user.into(), Value::from(digest), now.into()],
    )?;
    Ok(changed == 1)
}

/// Every recovery code that is still good.
pub(super) fn unused(tx: &mut Tx<'_>) -> Result<Vec<Code>> {
    let rows = tx.all(
        "SELECT user_id, digest FROM recovery_codes WHERE user_id > '' AND used_at IS NULL",
        &[],
    )?;
    let code = |row: &Row| {
        Ok(Code {
            user: row.text("user_id")?,
            digest: row.bytes("digest")?.to_vec(),
        })
    };
    rows.iter().map(code).collect()
}

/// Takes a code that is good no longer, whether its factor is there or not.
pub(super) fn spend_code(tx: &mut Tx<'_>, code: &Code, now: Timestamp) -> Result<u64> {
    tx.run(
        "UPDATE recovery_codes SET used_at = $3
         WHERE user_id = $1 AND digest = $2 AND used_at IS NULL",
        &[
            code.user.as_str().into(),
            Value::from(&*code.digest),
            now.into(),
        ],
    )
}

/// Takes the codes of all steps up to `step`, of every factor.
pub(super) fn skip_steps(tx: &mut Tx<'_>, step: i64) -> Result<u64> {
    tx.run(
        "UPDATE totp_factors SET last_step = $1 WHERE user_id > '' AND last_step < $1",
        &[step.into()],
    )
}

/// Removes a user's factor. Returns false, changing nothing, if there is none.
pub(super) fn delete(tx: &mut Tx<'_>, user: &str) -> Result<bool> {
    let sql = "DELETE FROM totp_factors WHERE user_id = $1";
    Ok(tx.run(sql, &[user.into()])? == 1)
}

/// Removes all of a user's recovery codes.
pub(super) fn delete_codes(tx: &mut Tx<'_>, user: &str) -> Result<u64> {
    let sql = "DELETE FROM recovery_codes WHERE user_id = $1";
    tx.run(sql, &[user.into()])
}

/// Adds a recovery code.
pub(super) fn insert_code(tx: &mut Tx<'_>, user: &str, digest: &[u8]) -> Result<u64> {
    tx.run(
        "INSERT INTO recovery_codes (user_id, digest) VALUES ($1, $2)",
        &[user.into(), Value::from(digest)],
    )
}

const COLUMNS: &str = "f.user_id, u.username, f.created_at, f.confirmed_at,
    (SELECT COUNT(*) FROM recovery_codes c WHERE c.user_id = f.user_id AND c.used_at IS NULL) AS codes";

/// What may be shown of a user's factor.
pub(super) fn of(tx: &mut Tx<'_>, user: &str) -> Result<Option<Factor>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM totp_factors f JOIN users u ON u.id = f.user_id WHERE f.user_id = $1"
    );
    tx.first(&sql, &[user.into()])?
        .as_ref()
        .map(factor)
        .transpose()
}

/// Factors of users with an id above `above`.
pub(super) fn page(tx: &mut Tx<'_>, above: &str, limit: u32) -> Result<Vec<Factor>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM totp_factors f JOIN users u ON u.id = f.user_id
         WHERE f.user_id > $1 ORDER BY f.user_id LIMIT $2"
    );
    let rows = tx.all(&sql, &[above.into(), limit.into()])?;
    rows.iter().map(factor).collect()
}

fn factor(row: &Row) -> Result<Factor> {
    Ok(Factor {
        user_id: row.text("user_id")?,
        username: row.text("username")?,
        created_at: row.time("created_at")?,
        confirmed_at: row.opt_time("confirmed_at")?,
        recovery_codes: u32::try_from(row.int("codes")?).map_err(Error::internal)?,
    })
}
