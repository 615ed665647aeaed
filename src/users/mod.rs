//! Accounts: who may sign in, under which names, with which password and role.
//!
//! Invariants: a user name, an e-mail address and a phone number each belong to at most one
//! account, compared without regard to case; at least one enabled administrator always remains;
//! a password is hashed outside any transaction, and its hash is never shown.

pub mod cli;
pub mod export;
mod find;
pub mod import;
mod model;
mod names;
mod roles;
mod store;

use serde_json::json;

pub use find::resolve;
pub use model::{Change, Changes, Filter, Grant, NewPassword, NewUser, User};
pub use names::{Email, FullName, Phone, Username};
pub use roles::{Role, State};

use find::taken;

use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::id;
use crate::page::Page;
use crate::password::{PasswordHash, Policy};
use crate::scope::known;
use crate::time::Timestamp;

/// The longest reason for disabling an account, in characters.
const REASON: usize = 200;

/// Makes an account, by somebody with `user:write`.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::Invalid`] for a password that may not be chosen;
/// [`Error::UsernameTaken`], [`Error::EmailTaken`], [`Error::PhoneTaken`]; [`Error::Unavailable`]
/// when too many passwords wait to be hashed.
pub fn create(app: &App, actor: &Actor, mut new: NewUser) -> Result<User> {
    actor.require(known::USER_WRITE)?;
    let names = [
        Some(new.username.as_str()),
        new.email.as_ref().map(Email::as_str),
        new.phone.as_ref().map(Phone::as_str),
        new.name.as_ref().map(FullName::as_str),
    ];
    let (sort, hash) = (new.password.sort(), hash(app, &new.password, &names)?);
    // The password itself goes no further than this.
    new.password = NewPassword::None;
    app.write(actor, move |cx| insert(cx, &new, sort, hash.as_ref()))
}

/// The hash to store, if `password` may be chosen by whoever goes by `names`.
fn hash(app: &App, password: &NewPassword, names: &[Option<&str>]) -> Result<Option<PasswordHash>> {
    match password {
        NewPassword::None => Ok(None),
        NewPassword::Hash(hash) => Ok(Some(hash.clone())),
        NewPassword::Text(password) => {
            let names: Vec<&str> = names.iter().flatten().copied().collect();
            let config = app.config();
            Policy::new(config.password.min_length, &config.app.title).check(password, &names)?;
            app.kit().hasher.hash(password).map(Some)
        }
    }
}

fn insert(
    cx: &mut Cx<'_, '_>,
    new: &NewUser,
    password: &'static str,
    hash: Option<&PasswordHash>,
) -> Result<User> {
    let id = id::entity(cx.now);
    if !store::insert(cx.tx, &id, new, hash, cx.now)? {
        let username = Some(&new.username);
        return Err(taken(
            cx,
            &id,
            username,
            new.email.as_ref(),
            new.phone.as_ref(),
        ));
    }
    let default = [Role::User];
    let roles = match new.roles.as_slice() {
        [] => &default,
        roles => roles,
    };
    for role in roles {
        store::grant(cx.tx, &id, *role, cx.now)?;
    }
    let user = by_id(cx, &id)?;
    let details = json!({ "username": user.username, "roles": user.roles, "password": password });
    audit::record(cx, Event::new("user.created", object(&id)).with(details))?;
    Ok(user)
}

fn object(id: &str) -> String {
    format!("user:{id}")
}

fn by_id(cx: &mut Cx<'_, '_>, id: &str) -> Result<User> {
    store::by_id(cx.tx, id)?.ok_or_else(|| Error::no_such("user", id))
}

/// One account, by any of its names.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`, [`Error::NotFound`], [`Error::Ambiguous`].
pub fn get(cx: &mut Cx<'_, '_>, user: &str) -> Result<User> {
    cx.actor.require(known::USER_READ)?;
    resolve(cx, user)
}

/// Accounts, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`; [`Error::Invalid`] for a cursor that is none.
pub fn list(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<User>> {
    cx.actor.require(known::USER_READ)?;
    let before = match cursor {
        Some(cursor) => cursor
            .split_once('.')
            .and_then(|(at, id)| Some((Timestamp(at.parse().ok()?), id)))
            .ok_or_else(|| Error::invalid("cursor", "is not one of this list"))?,
        None => (Timestamp(i64::MAX), ""),
    };
    let users = store::page(cx.tx, filter, before, limit.saturating_add(1))?;
    Ok(Page::cut(users, limit, |user| {
        format!("{}.{}", user.created_at.0, user.id)
    }))
}

/// Changes an account's e-mail address, phone number or name.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::EmailTaken`],
/// [`Error::PhoneTaken`].
pub fn update(cx: &mut Cx<'_, '_>, user: &str, changes: &Changes) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let user = resolve(cx, user)?;
    let written = [
        changes
            .email
            .written(user.email.as_deref(), Email::as_str, |to| {
                ("email", store::Field::Email(to))
            }),
        changes
            .phone
            .written(user.phone.as_deref(), Phone::as_str, |to| {
                ("phone", store::Field::Phone(to))
            }),
        changes
            .name
            .written(user.name.as_deref(), FullName::as_str, |to| {
                ("name", store::Field::Name(to))
            }),
    ];
    let (members, fields): (Vec<_>, Vec<_>) = written.into_iter().flatten().unzip();
    if fields.is_empty() {
        return Ok(user);
    }
    if !store::set(cx.tx, &user.id, &fields, cx.now)? {
        let (email, phone) = (changes.email.value(), changes.phone.value());
        return Err(taken(cx, &user.id, None, email, phone));
    }
    // Which, but not from what to what: the log keeps for ever what may have to be forgotten.
    let details = json!({ "changed": members });
    audit::record(
        cx,
        Event::new("user.updated", object(&user.id)).with(details),
    )?;
    by_id(cx, &user.id)
}

/// Gives an account another user name.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::UsernameTaken`].
pub fn rename(cx: &mut Cx<'_, '_>, user: &str, to: &Username) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let user = resolve(cx, user)?;
    if user.username == to.as_str() {
        return Ok(user);
    }
    if !store::set(cx.tx, &user.id, &[store::Field::Username(to)], cx.now)? {
        return Err(taken(cx, &user.id, Some(to), None, None));
    }
    let details = json!({ "changed": ["username"], "from": user.username, "to": to });
    audit::record(
        cx,
        Event::new("user.updated", object(&user.id)).with(details),
    )?;
    by_id(cx, &user.id)
}

/// Disables an account: whatever it opened is refused from now on. Disabling one that is disabled
/// already changes nothing and is no error.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::LastAdmin`];
/// [`Error::Invalid`] for a reason that is too long.
pub fn disable(cx: &mut Cx<'_, '_>, user: &str, reason: Option<&str>) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let good = |reason: &str| {
        (1..=REASON).contains(&reason.chars().count()) && !reason.chars().any(char::is_control)
    };
    if !reason.is_none_or(good) {
        let rule = format!("must have 1 to {REASON} printable characters");
        return Err(Error::invalid("reason", rule));
    }
    let id = resolve(cx, user)?.id;
    hold_administrators(cx)?;
    let done = store::disable(cx.tx, &id, reason, cx.now)?;
    let user = by_id(cx, &id)?;
    match (done, user.state) {
        (true, _) => {
            let event = Event::new("user.disabled", object(&id));
            audit::record(cx, event.with(json!({ "reason": reason })))?;
        }
        (false, State::Disabled) => {}
        (false, State::Active) => return Err(Error::LastAdmin),
    }
    Ok(user)
}

/// Enables an account again.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`].
pub fn enable(cx: &mut Cx<'_, '_>, user: &str) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let id = resolve(cx, user)?.id;
    if store::enable(cx.tx, &id, cx.now)? {
        audit::record(cx, Event::new("user.enabled", object(&id)))?;
    }
    by_id(cx, &id)
}

/// Sets an account's password, by an administrator who need not know the old one.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::Invalid`] for a
/// password that may not be chosen; [`Error::Unavailable`] when too many wait to be hashed.
pub fn set_password(app: &App, actor: &Actor, user: &str, password: NewPassword) -> Result<User> {
    actor.require(known::USER_WRITE)?;
    let user = app.read(actor, |cx| resolve(cx, user))?;
    let names = [
        Some(user.username.as_str()),
        user.email.as_deref(),
        user.phone.as_deref(),
        user.name.as_deref(),
    ];
    let (sort, hash) = (password.sort(), hash(app, &password, &names)?);
    drop(password);
    let id = user.id;
    app.write(actor, move |cx| {
        if store::set_password(cx.tx, &id, hash.as_ref(), cx.now)? {
            let event = Event::new("user.password_set", object(&id));
            audit::record(cx, event.with(json!({ "password": sort })))?;
        }
        by_id(cx, &id)
    })
}

/// The roles of an account, and since when it has them.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`; [`Error::NotFound`].
pub fn grants(cx: &mut Cx<'_, '_>, user: &str) -> Result<Vec<Grant>> {
    let id = get(cx, user)?.id;
    store::grants(cx.tx, &id)
}

/// Gives an account a role.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`].
pub fn grant(cx: &mut Cx<'_, '_>, user: &str, role: Role) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let id = resolve(cx, user)?.id;
    if store::grant(cx.tx, &id, role, cx.now)? {
        note_role(cx, "user.role_granted", &id, role)?;
    }
    by_id(cx, &id)
}

/// Takes a role away.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::LastAdmin`].
pub fn revoke(cx: &mut Cx<'_, '_>, user: &str, role: Role) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let id = resolve(cx, user)?.id;
    hold_administrators(cx)?;
    if store::revoke(cx.tx, &id, role)? {
        note_role(cx, "user.role_revoked", &id, role)?;
    } else if by_id(cx, &id)?.roles.contains(&role) {
        return Err(Error::LastAdmin);
    }
    by_id(cx, &id)
}

/// Two who end one administrator each, at the same time, would each see the other's.
fn hold_administrators(cx: &mut Cx<'_, '_>) -> Result<()> {
    cx.tx.lock(("role", Role::Admin.as_str()))
}

fn note_role(cx: &mut Cx<'_, '_>, action: &'static str, id: &str, role: Role) -> Result<()> {
    store::touch(cx.tx, id, cx.now)?;
    let event = Event::new(action, object(id));
    audit::record(cx, event.with(json!({ "role": role })))
}

#[cfg(test)]
mod tests;
