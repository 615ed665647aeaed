//! The users' tables.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::find::{Among, Key};
use super::names::folded;
use super::roles::listed;
use super::{
    Changed, Email, Filter, FullName, Grant, Locale, Meta, NewUser, Phone, Role, State, User,
    Username,
};
use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::password::PasswordHash;
use crate::time::Timestamp;

/// Everything that may be shown of a user `u`, in the order in which [`shown`] reads it. Of the
/// password only whether there is one.
pub const SHOWN: &str = "u.id, u.username, u.email,
    CASE WHEN u.email_verified_at IS NULL THEN 0 ELSE 1 END AS email_verified,
    u.phone, u.name, u.locale, u.meta, u.state, u.disabled_reason, u.disabled_at, u.deleted_at,
    (SELECT STRING_AGG(r.role, ' ') FROM user_roles r WHERE r.user_id = u.id) AS roles,
    CASE WHEN u.password_hash IS NULL THEN 0 ELSE 1 END AS has_password,
    u.created_at, u.updated_at, u.security_epoch";

/// Holds if somebody other than `$1` is an enabled administrator.
const ANOTHER_ADMIN: &str = "EXISTS (
    SELECT 1 FROM user_roles r JOIN users o ON o.id = r.user_id
    WHERE r.role = 'admin' AND o.state = 'active' AND o.id <> $1)";

/// Begins a new epoch at `at`, a parameter: whatever the account opened before has ended. Every
/// statement that ends everything says it so, or a purge would not know since when.
pub(in crate::users) fn ends_everything(at: &str) -> String {
    format!("security_epoch = security_epoch + 1, ended_at = {at}, updated_at = {at}")
}

/// Adds an account without roles. Returns false, changing nothing, if a name of it is taken.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: &str,
    new: &NewUser,
    hash: Option<&PasswordHash>,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "INSERT INTO users (id, username, username_key, email, phone, name, name_key, state,
                            password_hash, password_changed_at, created_at, updated_at, locale, meta)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $10, $10, $11, $12)
         ON CONFLICT DO NOTHING",
        &[
            id.into(),
            new.username.as_str().into(),
            new.username.key().into(),
            new.email.as_ref().map(Email::as_str).into(),
            new.phone.as_ref().map(Phone::as_str).into(),
            new.name.as_ref().map(FullName::as_str).into(),
            new.name.as_ref().map(FullName::key).into(),
            hash.map(PasswordHash::expose).into(),
            hash.map(|_| now).into(),
            now.into(),
            new.locale.as_ref().map(Locale::as_str).into(),
            new.meta.as_ref().map(Meta::as_str).into(),
        ],
    )?;
    Ok(changed == 1)
}

static BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {SHOWN} FROM users u WHERE u.id = $1"));

/// One account.
pub(super) fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<User>> {
    tx.first(&BY_ID, &[id.into()])?.map(shown).transpose()
}

/// At most two of the accounts with this key: enough to know whether there is exactly one.
pub(super) fn with_key(tx: &mut Tx<'_>, key: &Key, among: Among) -> Result<Vec<User>> {
    let (condition, values): (_, Vec<Value>) = match key {
        Key::Ids(low, high) => (
            "u.id >= $1 AND u.id <= $2",
            vec![low.as_str().into(), high.as_str().into()],
        ),
        Key::Username(key) => ("u.username_key = $1", vec![key.as_str().into()]),
        Key::Email(email) => ("u.email = $1", vec![email.as_str().into()]),
        Key::Phone(phone) => ("u.phone = $1", vec![phone.as_str().into()]),
    };
    let standing = match among {
        Among::Standing => " AND u.state <> 'deleted'",
        Among::All => "",
    };
    let sql =
        format!("SELECT {SHOWN} FROM users u WHERE {condition}{standing} ORDER BY u.id LIMIT 2");
    tx.all(&sql, &values)?.into_iter().map(shown).collect()
}

/// Accounts before `before`, which is a place in the list, the newest first. Only what is asked for is in the statement,
/// so that the engine can choose the index that serves it.
pub(super) fn page(
    tx: &mut Tx<'_>,
    filter: &Filter,
    before: (Timestamp, &str),
    limit: u32,
) -> Result<Vec<User>> {
    let standing = match filter.state {
        Some(State::Deleted) => "u.erased_at IS NULL",
        Some(State::Active | State::Disabled) | None => "u.state <> 'deleted'",
    };
    let mut sql = format!("SELECT {SHOWN} FROM users u WHERE {standing}");
    let mut values = Vec::new();
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace("$N", &format!("${}", values.len())));
    };
    if let Some(role) = filter.role {
        let condition = "u.id IN (SELECT r.user_id FROM user_roles r WHERE r.role = $N)";
        and(condition, role.as_str().into());
    }
    if let Some(state) = filter.state {
        and("u.state = $N", state.as_str().into());
    }
    if let Some(part) = &filter.q {
        let part = folded(part);
        let part = part
            .replace('!', "!!")
            .replace('%', "!%")
            .replace('_', "!_");
        let condition = "(u.username_key LIKE $N ESCAPE '!' OR u.email LIKE $N ESCAPE '!'
                          OR u.name_key LIKE $N ESCAPE '!')";
        and(condition, format!("%{part}%").into());
    }
    values.extend([before.0.into(), before.1.into(), limit.into()]);
    let (at, id, limit) = (values.len() - 2, values.len() - 1, values.len());
    let _infallible = write!(
        sql,
        " AND (u.created_at, u.id) < (${at}, ${id})
         ORDER BY u.created_at DESC, u.id DESC LIMIT ${limit}"
    );
    tx.all(&sql, &values)?.into_iter().map(shown).collect()
}

/// A column to be written.
pub(super) enum Field<'a> {
    Username(&'a Username),
    Email(Option<&'a Email>),
    Phone(Option<&'a Phone>),
    Name(Option<&'a FullName>),
    Locale(Option<&'a Locale>),
    Meta(Option<&'a Meta>),
}

/// Writes `fields`. Returns false, changing nothing, if one of them belongs to somebody else, or
/// there is no such account.
pub(super) fn set(tx: &mut Tx<'_>, id: &str, fields: &[Field<'_>], now: Timestamp) -> Result<bool> {
    let mut sets = String::from("updated_at = $2");
    let mut taken = String::new();
    let mut values: Vec<Value> = vec![id.into(), now.into()];
    let mut write = |column: &str, value: Value, unique: bool| {
        values.push(value);
        let number = values.len();
        let _infallible = write!(sets, ", {column} = ${number}");
        if unique {
            // One condition for each: with OR between them the engine would walk the table.
            let _infallible = write!(
                taken,
                " AND NOT EXISTS (SELECT 1 FROM users o WHERE o.{column} = ${number} AND o.id <> $1)"
            );
        }
    };
    for field in fields {
        match field {
            Field::Username(name) => {
                write("username", name.as_str().into(), false);
                write("username_key", name.key().into(), true);
            }
            Field::Email(email) => {
                write("email", email.map(Email::as_str).into(), true);
                // The old one was verified.
                write("email_verified_at", Value::Null, false);
            }
            Field::Phone(phone) => write("phone", phone.map(Phone::as_str).into(), true),
            Field::Name(name) => {
                write("name", name.map(FullName::as_str).into(), false);
                write("name_key", name.map(FullName::key).into(), false);
            }
            Field::Locale(locale) => {
                write("locale", locale.map(Locale::as_str).into(), false);
            }
            Field::Meta(meta) => write("meta", meta.map(Meta::as_str).into(), false),
        }
    }
    let sql = format!("UPDATE users SET {sets} WHERE id = $1 AND state <> 'deleted'{taken}");
    Ok(tx.run(&sql, &values)? == 1)
}

/// Disables an account. Returns false, changing nothing, if it is disabled already, or is the last
/// enabled administrator (security.md, rule 42): the rule and the change are one statement.
pub(super) fn disable(
    tx: &mut Tx<'_>,
    id: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let sql = format!(
        "UPDATE users SET state = 'disabled', disabled_reason = $2, disabled_at = $3, {}
         WHERE id = $1 AND state = 'active'
           AND (NOT EXISTS (SELECT 1 FROM user_roles WHERE user_id = $1 AND role = 'admin')
                OR {ANOTHER_ADMIN})",
        ends_everything("$3")
    );
    Ok(tx.run(&sql, &[id.into(), reason.into(), now.into()])? == 1)
}

/// Enables an account. Returns false, changing nothing, if it is enabled already.
pub(super) fn enable(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "UPDATE users SET state = 'active', disabled_reason = NULL, disabled_at = NULL, updated_at = $2
         WHERE id = $1 AND state = 'disabled'",
        &[id.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Deletes an account. Returns false, changing nothing, if it is deleted already, or is the last
/// enabled administrator.
pub(super) fn delete(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<bool> {
    let sql = format!(
        "UPDATE users SET state = 'deleted', deleted_at = $2, {}
         WHERE id = $1 AND state <> 'deleted'
           AND (state = 'disabled' OR {ANOTHER_ADMIN}
                OR NOT EXISTS (SELECT 1 FROM user_roles WHERE user_id = $1 AND role = 'admin'))",
        ends_everything("$2")
    );
    Ok(tx.run(&sql, &[id.into(), now.into()])? == 1)
}

/// Makes an account what it was before it was deleted. Returns false, changing nothing, if it is
/// not deleted, or was before `since`.
pub(super) fn restore(tx: &mut Tx<'_>, id: &str, since: Timestamp, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "UPDATE users SET state = CASE WHEN disabled_at IS NULL THEN 'active' ELSE 'disabled' END,
                          deleted_at = NULL, updated_at = $3
         WHERE id = $1 AND state = 'deleted' AND erased_at IS NULL AND deleted_at > $2",
        &[id.into(), since.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Stores a password's hash, or none, and ends what was opened with the old one. Returns false,
/// changing nothing, if there was none before, or the account is deleted.
pub(super) fn set_password(
    tx: &mut Tx<'_>,
    id: &str,
    hash: Option<&PasswordHash>,
    now: Timestamp,
) -> Result<bool> {
    let sql = format!(
        "UPDATE users SET password_hash = $2, password_changed_at = $3, {}
         WHERE id = $1 AND state <> 'deleted'
           AND (CAST($2 AS TEXT) IS NOT NULL OR password_hash IS NOT NULL)",
        ends_everything("$3")
    );
    let hash = hash.map(PasswordHash::expose);
    Ok(tx.run(&sql, &[id.into(), hash.into(), now.into()])? == 1)
}

/// Gives a role. Returns false, changing nothing, if the account has it.
pub(super) fn grant(tx: &mut Tx<'_>, id: &str, role: Role, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        &[id.into(), role.as_str().into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Takes a role away. Returns false, changing nothing, if the account does not have it, or is the
/// last enabled administrator and the role is that.
pub(super) fn revoke(tx: &mut Tx<'_>, id: &str, role: Role) -> Result<bool> {
    let sql = format!(
        "DELETE FROM user_roles WHERE user_id = $1 AND role = $2
         AND (role <> 'admin' OR {ANOTHER_ADMIN})"
    );
    Ok(tx.run(&sql, &[id.into(), role.as_str().into()])? == 1)
}

/// Ends what an account opened. Returns false, changing nothing, if there is no such account.
pub(super) fn end_everything(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<bool> {
    let sql = format!("UPDATE users SET {} WHERE id = $1", ends_everything("$2"));
    Ok(tx.run(&sql, &[id.into(), now.into()])? == 1)
}

/// The roles of an account, and since when.
pub(super) fn grants(tx: &mut Tx<'_>, id: &str) -> Result<Vec<Grant>> {
    let rows = tx.all(
        "SELECT role, granted_at FROM user_roles WHERE user_id = $1 ORDER BY role",
        &[id.into()],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Grant {
                role: row.text("role")?.parse()?,
                granted_at: row.time("granted_at")?,
            })
        })
        .collect()
}

/// Notes that an account's e-mail address was shown to be its person's.
#[cfg(test)]
pub(super) fn verify_email(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<u64> {
    tx.run(
        "UPDATE users SET email_verified_at = $2 WHERE id = $1",
        &[id.into(), now.into()],
    )
}

/// The stored hash of an account's password.
#[cfg(test)]
pub(super) fn password_hash(tx: &mut Tx<'_>, id: &str) -> Result<Option<PasswordHash>> {
    let sql = "SELECT password_hash FROM users WHERE id = $1";
    let hash = tx
        .first(sql, &[id.into()])?
        .map(|row| row.opt_text("password_hash"));
    Ok(hash.transpose()?.flatten().map(PasswordHash::stored))
}

/// Notes that something of an account was changed.
pub(super) fn touch(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE users SET updated_at = $2 WHERE id = $1";
    tx.run(sql, &[id.into(), now.into()])
}

/// At most `most` of the accounts above `above` that were made or changed at or after `at`.
pub(super) fn changed_since(
    tx: &mut Tx<'_>,
    at: Timestamp,
    above: &str,
    most: u32,
) -> Result<Vec<Changed>> {
    let rows = tx.all(
        "SELECT u.id, u.username, u.state, u.created_at, u.updated_at FROM users u
         WHERE u.id > $3 AND u.updated_at >= $1 ORDER BY u.id LIMIT $2",
        &[at.into(), most.into(), above.into()],
    )?;
    let changed = |row: &Row| {
        Ok(Changed {
            id: row.text("id")?,
            username: row.text("username")?,
            state: row.text("state")?.parse()?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    };
    rows.iter().map(changed).collect()
}

/// The user of a row with the columns of [`SHOWN`].
///
/// # Errors
/// [`Error::Internal`] for a row without them.
pub fn shown(mut row: Row) -> Result<User> {
    Ok(User {
        id: row.take_text("id")?,
        username: row.take_text("username")?,
        email: row.take_opt_text("email")?,
        email_verified: row.flag("email_verified")?,
        phone: row.take_opt_text("phone")?,
        name: row.take_opt_text("name")?,
        locale: row.take_opt_text("locale")?,
        meta: row
            .take_opt_text("meta")?
            .map(|meta| serde_json::from_str(&meta))
            .transpose()
            .map_err(Error::internal)?,
        state: row.str("state")?.parse()?,
        disabled_reason: row.take_opt_text("disabled_reason")?,
        disabled_at: row.opt_time("disabled_at")?,
        deleted_at: row.opt_time("deleted_at")?,
        roles: listed(row.take_opt_text("roles")?.as_deref())?,
        has_password: row.flag("has_password")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        epoch: row.int("security_epoch")?,
    })
}
