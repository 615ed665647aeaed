//! What a login reads and writes.

use crate::db::{Tx, Value};
use crate::error::Result;
use crate::password::PasswordHash;
use crate::time::Timestamp;
use crate::users::Credentials;
use crate::users::ends_everything;
use crate::users::find::Key;
use crate::users::roles::listed;

/// What a login needs of the account with this key.
pub(super) fn credentials(tx: &mut Tx<'_>, key: &Key) -> Result<Option<Credentials>> {
    let (condition, value): (_, Value) = match key {
        Key::Ids(id, _) => ("u.id = $1", id.as_str().into()),
        Key::Username(key) => ("u.username_key = $1", key.as_str().into()),
        Key::Email(email) => ("u.email = $1", email.as_str().into()),
        Key::Phone(phone) => ("u.phone = $1", phone.as_str().into()),
    };
    let sql = format!(
        "SELECT u.id, u.username, u.email, u.phone, u.name, u.state, u.password_hash,
                u.security_epoch,
                (SELECT STRING_AGG(r.role, ' ') FROM user_roles r WHERE r.user_id = u.id) AS roles
         FROM users u WHERE {condition}"
    );
    let row = tx.first(&sql, &[value])?;
    row.map(|row| {
        let names = ["email", "phone", "name"].map(|name| row.opt_text(name));
        let names: Result<Vec<Option<String>>> = names.into_iter().collect();
        Ok(Credentials {
            id: row.text("id")?,
            username: row.text("username")?,
            names: names?.into_iter().flatten().collect(),
            state: row.text("state")?.parse()?,
            hash: row.opt_text("password_hash")?.map(PasswordHash::stored),
            epoch: row.int("security_epoch")?,
            roles: listed(row.opt_text("roles")?.as_deref())?,
        })
    })
    .transpose()
}

/// Two hashes of each sort that accounts have: by their first letters, which for bcrypt tell the
/// cost. Walks through all accounts.
pub(super) fn samples(tx: &mut Tx<'_>) -> Result<Vec<PasswordHash>> {
    let rows = tx.all(
        "SELECT MIN(password_hash) AS first, MAX(password_hash) AS last FROM users
         GROUP BY SUBSTR(password_hash, 1,
                         CASE WHEN SUBSTR(password_hash, 1, 2) = '$2' THEN 7 ELSE 9 END)",
        &[],
    )?;
    let mut samples = Vec::new();
    for row in &rows {
        let (first, last) = (row.opt_text("first")?, row.opt_text("last")?);
        let last = last.filter(|last| first.as_ref() != Some(last));
        samples.extend(first.into_iter().chain(last).map(PasswordHash::stored));
    }
    Ok(samples)
}

/// Notes a login. Returns false, changing nothing, if the account is not active or not in `epoch`.
pub(super) fn logged_in(tx: &mut Tx<'_>, id: &str, epoch: i64, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "UPDATE users SET last_login_at = $3
         WHERE id = $1 AND security_epoch = $2 AND state = 'active'",
        &[id.into(), epoch.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// When the last login was.
pub(super) fn last_login(tx: &mut Tx<'_>, id: &str) -> Result<Option<Timestamp>> {
    let sql = "SELECT last_login_at FROM users WHERE id = $1";
    let row = tx.first(sql, &[id.into()])?;
    row.map_or(Ok(None), |row| row.opt_time("last_login_at"))
}

/// Puts `new` in the place of `old`. Returns false, changing nothing, if that is no longer there.
pub(super) fn replace_hash(
    tx: &mut Tx<'_>,
    id: &str,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        &[id.into(), old.expose().into(), new.expose().into()],
    )?;
    Ok(changed == 1)
}

/// Stores a password's hash and begins a new epoch, which it returns; nothing, changing nothing,
/// if the account is not active or not in `epoch`.
pub(super) fn change_password(
    tx: &mut Tx<'_>,
    id: &str,
    epoch: i64,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<Option<i64>> {
    let sql = format!(
        "UPDATE users SET password_hash = $3, password_changed_at = $4, {}
         WHERE id = $1 AND security_epoch = $2 AND state = 'active'
         RETURNING security_epoch",
        ends_everything("$4")
    );
    let values = [id.into(), epoch.into(), hash.expose().into(), now.into()];
    let row = tx.first(&sql, &values)?;
    row.map(|row| row.int("security_epoch")).transpose()
}

/// Accounts of one statement: a server ends a statement that takes longer than 5 s.
const STEP: u32 = if cfg!(test) { 3 } else { 10_000 };

/// Begins a new epoch of every account; returns of how many. Nothing that an account says of its
/// person is changed by that.
pub(super) fn end_everyone(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    let step = "SELECT MAX(batch.id) AS id
                FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) batch";
    let end = "UPDATE users SET security_epoch = security_epoch + 1, ended_at = $3
               WHERE id > $1 AND id <= $2";
    let (mut after, mut ended) = (String::new(), 0);
    loop {
        let row = tx.first(step, &[after.as_str().into(), STEP.into()])?;
        let Some(last) = row.map_or(Ok(None), |row| row.opt_text("id"))? else {
            return Ok(ended);
        };
        let values = [after.as_str().into(), last.as_str().into(), now.into()];
        ended += tx.run(end, &values)?;
        after = last;
    }
}
