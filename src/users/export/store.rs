//! Accounts by the page, the oldest first.

use super::Handed;
use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// The next accounts, after the one that was made then and has this id.
pub(super) fn page(
    tx: &mut Tx<'_>,
    after: Option<&(Timestamp, String)>,
    hashes: bool,
    limit: u32,
) -> Result<Vec<Handed>> {
    let hash = if hashes { ", u.password_hash" } else { "" };
    let sql = format!(
        "SELECT u.id, u.username, u.email, u.email_verified_at, u.phone, u.name, u.state,
           u.disabled_reason, u.locale, u.meta, u.created_at{hash},
           (SELECT STRING_AGG(r.role, ' ' ORDER BY r.role) FROM user_roles r
             WHERE r.user_id = u.id) AS roles
         FROM users u
         WHERE (u.created_at, u.id) > ($1, $2) AND u.state <> 'deleted'
         ORDER BY u.created_at, u.id LIMIT $3"
    );
    let (at, id) = match after {
        Some((at, id)) => (*at, id.as_str()),
        None => (Timestamp(i64::MIN), ""),
    };
    let values: [Value; 3] = [at.into(), id.into(), limit.into()];
    let rows = tx.all(&sql, &values)?;
    rows.iter().map(|row| handed(row, hashes)).collect()
}

/// How many there are.
pub(super) fn count(tx: &mut Tx<'_>) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS n FROM users WHERE state <> 'deleted'";
    counted(tx, sql)
}

/// How many are deleted and not erased.
pub(super) fn count_deleted(tx: &mut Tx<'_>) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS n FROM users WHERE deleted_at IS NOT NULL AND erased_at IS NULL";
    counted(tx, sql)
}

fn counted(tx: &mut Tx<'_>, sql: &str) -> Result<u64> {
    let n = tx.first(sql, &[])?.map_or(Ok(0), |row| row.int("n"))?;
    u64::try_from(n).map_err(Error::internal)
}

fn handed(row: &Row, hashes: bool) -> Result<Handed> {
    let meta = row.opt_text("meta")?;
    let roles = row.opt_text("roles")?.unwrap_or_default();
    Ok(Handed {
        id: row.text("id")?,
        username: row.text("username")?,
        email: row.opt_text("email")?,
        email_verified: row.opt_time("email_verified_at")?.is_some(),
        phone: row.opt_text("phone")?,
        name: row.opt_text("name")?,
        roles: roles.split_ascii_whitespace().map(str::to_owned).collect(),
        state: row.text("state")?,
        disabled_reason: row.opt_text("disabled_reason")?,
        locale: row.opt_text("locale")?,
        meta: meta
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(Error::internal)?,
        created_at: row.time("created_at")?,
        password_hash: if hashes {
            row.opt_text("password_hash")?
        } else {
            None
        },
    })
}
