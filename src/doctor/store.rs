//! What no slice asks for: things to look after, whose tables are.

use crate::db::Tx;
use crate::error::{Error, Result};

/// Enabled administrators.
pub(super) fn administrators(tx: &mut Tx<'_>) -> Result<u64> {
    count(
        tx,
        "SELECT COUNT(*) AS n FROM user_roles r JOIN users u ON u.id = r.user_id
         WHERE r.role = 'admin' AND u.state = 'active'",
    )
}

/// Enabled administrators whose password is enough to log in, some of them by name.
pub(super) fn without_factor(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let rows = tx.all(
        "SELECT u.username AS username FROM user_roles r JOIN users u ON u.id = r.user_id
         WHERE r.role = 'admin' AND u.state = 'active'
           AND NOT EXISTS (SELECT 1 FROM totp_factors f
                           WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
         ORDER BY u.username LIMIT 1000",
        &[],
    )?;
    rows.iter().map(|row| row.text("username")).collect()
}

/// What is remembered of accounts that are not there, and no foreign key says so: each table, and
/// which of its rows.
pub(super) const ORPHANS: &[(&str, &str)] = &[
    (
        "login_failures",
        "o.account LIKE 'user:%'
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = SUBSTR(o.account, 6))",
    ),
    (
        "known_networks",
        "o.account LIKE 'user:%'
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = SUBSTR(o.account, 6))",
    ),
];

/// How many of [`ORPHANS`] there are, by table.
pub(super) fn orphans(tx: &mut Tx<'_>) -> Result<Vec<(&'static str, u64)>> {
    let counted = ORPHANS.iter().map(|(table, condition)| {
        let sql = format!("SELECT COUNT(*) AS n FROM {table} o WHERE {condition}");
        Ok((*table, count(tx, &sql)?))
    });
    let mut counted: Vec<_> = counted.collect::<Result<_>>()?;
    counted.retain(|(_, rows)| *rows > 0);
    Ok(counted)
}

fn count(tx: &mut Tx<'_>, sql: &str) -> Result<u64> {
    let row = tx.first(sql, &[])?;
    let n = row.map_or(Ok(0), |row| row.int("n"))?;
    u64::try_from(n).map_err(Error::internal)
}
