//! Accounts: who may sign in, under which names, with which password and role.
//!
//! Invariants: a user name, an e-mail address and a phone number each belong to at most one
//! account, compared without regard to case; at least one enabled administrator always remains;
//! who may touch an administrator is decided in `authority`; a password is hashed outside any transaction, and its hash is never shown; a change after which
//! nothing that is open may stay so moves `security_epoch` in the same transaction; a deleted
//! account is found by nobody but who wants to look at it or bring it back.

mod authority;
pub mod cli;
mod create;
mod credentials;
mod erase;
pub mod export;
mod find;
pub(crate) mod formulas;
mod grants;
pub mod http;
pub mod import;
mod life;
mod locale;
mod model;
mod names;
mod password;
mod proofs;
mod roles;
mod since;
mod store;

use serde_json::json;

pub use authority::{may_give, may_touch};
pub use create::{
    Prepared, create, create_prepared, prepare, prepare_invited, prepare_registration,
};
pub use credentials::{
    Credentials, change_password, credentials, credentials_of, end_everyone, last_login,
    learn_pace, logged_in, set_hash,
};
pub use erase::{Erased, erasable, erase_some, oldest_erasable};
pub use find::{active, id_of, name_of, resolve, spelling};
pub use grants::{grant, grants, revoke};
pub use life::{delete, delete_if, delete_own, disable, enable, end_everything, restore, touch};
pub use locale::{Locale, Meta};
pub use model::{Change, Changes, Filter, Grant, NewPassword, NewUser, User};
pub use names::{Email, FullName, Phone, Username};
pub use password::{Hashed, hash_password, put_password, set_password};
pub use proofs::{email_proved, hash_own_password, named, replace_password};
pub use roles::{Role, State};
pub use since::{Changed, changed_since};
pub use store::{SHOWN, shown};

use find::{Among, find, taken};
use store::ends_everything;

use crate::app::{Cx, Who};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::page::{self, Page};
use crate::scope::known;
use crate::time::Timestamp;

fn object(id: &str) -> String {
    format!("user:{id}")
}

/// The account with this id, a deleted one too. For other slices, whose verbs check what the actor
/// may do.
///
/// # Errors
/// [`Error::NotFound`].
pub fn by_id(cx: &mut Cx<'_, '_>, id: &str) -> Result<User> {
    store::by_id(cx.tx, id)?.ok_or_else(|| Error::no_such("user", id))
}

/// The account as it stays until the end of the transaction: of two who have seen the same
/// version, one may change it.
fn hold(cx: &mut Cx<'_, '_>, user: &str) -> Result<User> {
    let id = resolve(cx, user)?.id;
    cx.tx.lock(("user", &id))?;
    resolve(cx, &id)
}

/// One account, by any of its names; a deleted one, too.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`, [`Error::NotFound`], [`Error::Ambiguous`].
pub fn get(cx: &mut Cx<'_, '_>, user: &str) -> Result<User> {
    cx.actor.require(known::USER_READ)?;
    find(cx, user, Among::All)
}

/// The account of whoever asks: of the person, or of the owner of a token with `user:read`.
///
/// # Errors
/// [`Error::Forbidden`] for who is neither; [`Error::Unauthenticated`] if the account is gone.
pub fn own(cx: &mut Cx<'_, '_>) -> Result<User> {
    let id = match &cx.actor.who {
        Who::Token {
            owner: Some(owner),
            scopes,
            ..
        } if scopes.permit(known::USER_READ) => owner,
        Who::Token { .. }
        | Who::Session { .. }
        | Who::Operator { .. }
        | Who::Job(_)
        | Who::Anonymous => cx.actor.person()?,
    };
    let user = store::by_id(cx.tx, id)?;
    user.filter(|user| user.state == State::Active)
        .ok_or(Error::Unauthenticated)
}

/// Accounts, the newest first. Deleted ones only if they are asked for, and until they are erased.
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
        Some(cursor) => page::place(cursor, '.')?,
        None => (Timestamp(i64::MAX), ""),
    };
    let users = store::page(cx.tx, filter, before, limit.saturating_add(1))?;
    Ok(Page::cut(users, limit, |user| {
        format!("{}.{}", user.created_at.0, user.id)
    }))
}

/// Changes what an account says of its person: addresses, name, language, `meta`.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::EmailTaken`],
/// [`Error::PhoneTaken`]; [`Error::ReauthenticationNeeded`] for another e-mail address.
pub fn update(cx: &mut Cx<'_, '_>, user: &str, changes: &Changes) -> Result<User> {
    update_if(cx, user, changes, |_| Ok(()))
}

/// As [`update`], if `still` has nothing against the account as it is.
///
/// # Errors
/// As [`update`], or what `still` returns.
pub fn update_if(
    cx: &mut Cx<'_, '_>,
    user: &str,
    changes: &Changes,
    still: impl FnOnce(&User) -> Result<()>,
) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let user = hold(cx, user)?;
    // By their names people log in and get letters.
    if !matches!(
        (&changes.email, &changes.phone),
        (Change::Keep, Change::Keep)
    ) {
        may_touch(cx, &user)?;
    }
    still(&user)?;
    apply(cx, user, changes)
}

/// The same by the person whose account it is.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person; else as [`update_if`].
pub fn update_own(
    cx: &mut Cx<'_, '_>,
    changes: &Changes,
    still: impl FnOnce(&User) -> Result<()>,
) -> Result<User> {
    let id = cx.actor.person()?.to_owned();
    let user = hold(cx, &id)?;
    still(&user)?;
    apply(cx, user, changes)
}

fn apply(cx: &mut Cx<'_, '_>, user: User, changes: &Changes) -> Result<User> {
    use store::Field;
    let meta = user.meta.as_ref().map(serde_json::to_string).transpose();
    let meta = meta.map_err(Error::internal)?;
    let email = changes
        .email
        .written(user.email.as_deref(), Email::as_str, |to| to);
    let written = [
        changes
            .phone
            .written(user.phone.as_deref(), Phone::as_str, |to| {
                ("phone", Field::Phone(to))
            }),
        changes
            .name
            .written(user.name.as_deref(), FullName::as_str, |to| {
                ("name", Field::Name(to))
            }),
        changes
            .locale
            .written(user.locale.as_deref(), Locale::as_str, |to| {
                ("locale", Field::Locale(to))
            }),
        changes.meta.written(meta.as_deref(), Meta::as_str, |to| {
            ("meta", Field::Meta(to))
        }),
    ];
    let (mut members, fields): (Vec<_>, Vec<_>) = written.into_iter().flatten().unzip();
    if let Some(email) = email {
        members.insert(0, "email");
        set_email(cx, &user.id, email)?;
    }
    if members.is_empty() {
        return Ok(user);
    }
    if !fields.is_empty() && !store::set(cx.tx, &user.id, &fields, cx.now)? {
        return Err(taken(cx, &user.id, None, None, changes.phone.value()));
    }
    // Which, but not from what to what: the log keeps for ever what may have to be forgotten.
    let details = json!({ "changed": members });
    audit::record(
        cx,
        Event::new("user.updated", object(&user.id)).with(details),
    )?;
    by_id(cx, &user.id)
}

/// Gives the account with this id another e-mail address, which nobody has shown yet to be theirs,
/// or none. The one way in which an address changes; for verbs that check what the actor may do
/// and write it down.
///
/// # Errors
/// [`Error::ReauthenticationNeeded`] (security.md, rule 32); [`Error::EmailTaken`];
/// [`Error::NotFound`].
pub fn set_email(cx: &mut Cx<'_, '_>, id: &str, to: Option<&Email>) -> Result<()> {
    cx.actor.require_fresh(cx.now)?;
    if store::set(cx.tx, id, &[store::Field::Email(to)], cx.now)? {
        Ok(())
    } else {
        Err(taken(cx, id, None, to, None))
    }
}

/// Gives an account another user name.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::UsernameTaken`].
pub fn rename(cx: &mut Cx<'_, '_>, user: &str, to: &Username) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    let user = hold(cx, user)?;
    if user.username == to.as_str() {
        return Ok(user);
    }
    may_touch(cx, &user)?;
    if !store::set(cx.tx, &user.id, &[store::Field::Username(to)], cx.now)? {
        return Err(taken(cx, &user.id, Some(to), None, None));
    }
    let details = json!({ "changed": ["username"] });
    audit::record(
        cx,
        Event::new("user.updated", object(&user.id)).with(details),
    )?;
    by_id(cx, &user.id)
}

#[cfg(test)]
mod authority_tests;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod tests;
