//! Accounts by the hundred: one statement for all of them.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::fields::Ready;
use super::names::Unique;
use crate::db::{Tx, Value};
use crate::error::Result;
use crate::time::Timestamp;

/// `($1, $2), ($3, $4)`: places for `rows` rows of `columns` values.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places = (1..=columns).map(|column| format!("${}", row * columns + column));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// Rows of a statement. A server is asked less often with more of them; but `SQLite` finds the name
/// of a parameter by walking through all that come before.
const TOGETHER: usize = 5;

/// The places of a statement that is full, which nearly all are.
static OF_USERS: LazyLock<String> = LazyLock::new(|| places(TOGETHER, USER));
static OF_ROLES: LazyLock<String> = LazyLock::new(|| places(TOGETHER, ROLE));

/// Columns that are written.
const USER: usize = 17;
const ROLE: usize = 3;

/// As [`places`], or what is known of that already.
fn known(full: &'static str, rows: usize, columns: usize) -> Cow<'static, str> {
    if rows == TOGETHER {
        full.into()
    } else {
        places(rows, columns).into()
    }
}

/// Adds accounts without roles. Returns the ids of those whose names were free.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    ids: &[String],
    rows: &[Ready],
    now: Timestamp,
) -> Result<Vec<String>> {
    let mut made = Vec::with_capacity(rows.len());
    for (ids, rows) in ids.chunks(TOGETHER).zip(rows.chunks(TOGETHER)) {
        made.extend(insert_together(tx, ids, rows, now)?);
    }
    Ok(made)
}

fn insert_together(
    tx: &mut Tx<'_>,
    ids: &[String],
    rows: &[Ready],
    now: Timestamp,
) -> Result<Vec<String>> {
    let sql = format!(
        "INSERT INTO users (id, username, username_key, email, email_verified_at, phone, name,
                            name_key, locale, meta, state, disabled_at, disabled_reason,
                            password_hash, password_changed_at, created_at, updated_at)
         VALUES {} ON CONFLICT DO NOTHING RETURNING id",
        known(&OF_USERS, rows.len(), USER)
    );
    let mut values: Vec<Value> = Vec::with_capacity(rows.len() * USER);
    for (id, row) in ids.iter().zip(rows) {
        let verified = row.verified && row.email.is_some();
        let state = if row.disabled { "disabled" } else { "active" };
        values.extend([
            id.as_str().into(),
            row.username.as_str().into(),
            row.key.as_str().into(),
            row.email.as_deref().into(),
            verified.then_some(now).into(),
            row.phone.as_deref().into(),
            row.name.as_deref().into(),
            row.name_key.as_deref().into(),
            row.locale.as_deref().into(),
            row.meta.as_deref().into(),
            state.into(),
            row.disabled.then_some(now).into(),
            row.disabled_reason.as_deref().into(),
            row.hash.as_deref().into(),
            row.hash.as_ref().map(|_| now).into(),
            row.created_at.map_or(now, Timestamp).into(),
            now.into(),
        ]);
    }
    let made = tx.all(&sql, &values)?;
    made.iter().map(|row| row.text("id")).collect()
}

/// Gives these accounts their roles, of which they have none yet.
pub(super) fn grant(tx: &mut Tx<'_>, made: &[(&str, &Ready)], now: Timestamp) -> Result<()> {
    for made in made.chunks(TOGETHER) {
        let mut values: Vec<Value> = Vec::with_capacity(made.len() * ROLE);
        for (id, row) in made {
            for role in &row.roles {
                values.extend([(*id).into(), role.as_str().into(), now.into()]);
            }
        }
        let sql = format!(
            "INSERT INTO user_roles (user_id, role, granted_at) VALUES {} ON CONFLICT DO NOTHING",
            known(&OF_ROLES, values.len() / ROLE, ROLE)
        );
        tx.run(&sql, &values)?;
    }
    Ok(())
}

/// Which of these names somebody has, and whose id that is.
pub(super) fn owners(
    tx: &mut Tx<'_>,
    unique: Unique,
    names: &[String],
) -> Result<Vec<(String, String)>> {
    let column = match unique {
        Unique::Username => "username_key",
        Unique::Email => "email",
        Unique::Phone => "phone",
        Unique::Id => "id",
    };
    let sql = format!(
        "SELECT {column} AS name, id AS owner FROM users WHERE {column} IN {}",
        places(1, names.len())
    );
    let values: Vec<Value> = names.iter().map(|name| name.as_str().into()).collect();
    let found = tx.all(&sql, &values)?;
    found
        .iter()
        .map(|row| Ok((row.text("name")?, row.text("owner")?)))
        .collect()
}
