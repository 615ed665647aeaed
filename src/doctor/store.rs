//! What no slice asks for: things to look after, whose tables are.

use crate::db::Tx;
use crate::error::{Error, Result};

/// API tokens that are good and never expire.
pub(super) fn endless_tokens(tx: &mut Tx<'_>) -> Result<u64> {
    count(
        tx,
        "SELECT COUNT(*) AS n FROM tokens
         WHERE kind = 'api' AND expires_at IS NULL AND revoked_at IS NULL",
    )
}

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

/// What is remembered of accounts that are not there, and no foreign key says so: table and rows.
pub(super) fn orphans(tx: &mut Tx<'_>) -> Result<Vec<(&'static str, u64)>> {
    let all = [
        (
            "login_failures",
            "SELECT COUNT(*) AS n FROM login_failures o WHERE o.account LIKE 'user:%'
               AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = SUBSTR(o.account, 6))",
        ),
        (
            "known_networks",
            "SELECT COUNT(*) AS n FROM known_networks o WHERE o.account LIKE 'user:%'
               AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = SUBSTR(o.account, 6))",
        ),
    ];
    let counted = all
        .into_iter()
        .map(|(table, sql)| Ok((table, count(tx, sql)?)));
    let mut counted: Vec<_> = counted.collect::<Result<_>>()?;
    counted.retain(|(_, rows)| *rows > 0);
    Ok(counted)
}

fn count(tx: &mut Tx<'_>, sql: &str) -> Result<u64> {
    let row = tx.first(sql, &[])?;
    let n = row.map_or(Ok(0), |row| row.int("n"))?;
    u64::try_from(n).map_err(Error::internal)
}
