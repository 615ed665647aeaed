//! Making accounts: by an administrator, or by the person who wants one.
//!
//! The password is hashed between the check and the transaction, so an edge that keeps its answers
//! (`Idempotency-Key`) takes the two halves: [`prepare`] or [`prepare_registration`], then
//! [`create_prepared`]. The right to make the account is looked at in both.

use serde_json::json;

use super::find::taken;
use super::{
    Email, FullName, NewPassword, NewUser, Phone, Role, User, by_id, may_give, object, store,
};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::config::Registration;
use crate::error::{Error, Result};
use crate::id;
use crate::password::{PasswordHash, Policy};
use crate::scope::known;

/// An account that may be made, its password hashed.
#[derive(Clone, Debug)]
pub struct Prepared {
    new: NewUser,
    /// Where the password came from, for the log.
    sort: &'static str,
    hash: Option<PasswordHash>,
    right: Right,
}

#[cfg(test)]
impl Prepared {
    /// An account without a password, made by an administrator.
    pub(super) fn plain(new: NewUser) -> Self {
        Self {
            new,
            sort: "none",
            hash: None,
            right: Right::Administrator,
        }
    }
}

/// Why somebody may make an account.
#[derive(Clone, Copy, Debug)]
enum Right {
    /// They have `user:write`.
    Administrator,
    /// Everybody may make their own, which is an ordinary one.
    Registration,
    /// Somebody who may invited them, to roles of the inviter's choice.
    Invitation,
}

impl Right {
    fn check(self, actor: &Actor, open: Registration) -> Result<()> {
        match (self, open) {
            (Self::Administrator, _) => actor.require(known::USER_WRITE),
            (Self::Invitation, _) | (Self::Registration, Registration::Open) => Ok(()),
            (Self::Registration, Registration::Closed) => Err(Error::RegistrationClosed),
            (Self::Registration, Registration::Invitation) => Err(Error::InvitationNeeded),
        }
    }
}

/// Makes an account, by somebody with `user:write`.
///
/// # Errors
/// As [`prepare`] and [`create_prepared`].
pub fn create(app: &App, actor: &Actor, new: NewUser) -> Result<User> {
    let prepared = prepare(app, actor, new)?;
    app.write(actor, move |cx| create_prepared(cx, &prepared))
}

/// The first half of [`create`]: checks and hashes the password, outside of any transaction.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::Invalid`] for a password that may not be
/// chosen; [`Error::Unavailable`] when too many passwords wait to be hashed.
pub fn prepare(app: &App, actor: &Actor, new: NewUser) -> Result<Prepared> {
    ready(app, actor, new, Right::Administrator)
}

/// The same for somebody who makes an account for themselves; whatever roles it asks for, it gets
/// those of everybody.
///
/// # Errors
/// [`Error::RegistrationClosed`], [`Error::InvitationNeeded`]; else as [`prepare`].
pub fn prepare_registration(app: &App, actor: &Actor, mut new: NewUser) -> Result<Prepared> {
    new.roles.clear();
    ready(app, actor, new, Right::Registration)
}

/// The same for somebody whose invitation the caller has looked at, and takes in the transaction of
/// [`create_prepared`]: the address and the roles are those of the invitation.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_invited(app: &App, actor: &Actor, new: NewUser) -> Result<Prepared> {
    ready(app, actor, new, Right::Invitation)
}

fn ready(app: &App, actor: &Actor, mut new: NewUser, right: Right) -> Result<Prepared> {
    right.check(actor, app.config().auth.registration)?;
    let names = [
        Some(new.username.as_str()),
        new.email.as_ref().map(Email::as_str),
        new.phone.as_ref().map(Phone::as_str),
        new.name.as_ref().map(FullName::as_str),
    ];
    let (sort, hash) = (new.password.sort(), hash(app, &new.password, &names)?);
    // The password itself goes no further than this.
    new.password = NewPassword::None;
    Ok(Prepared {
        new,
        sort,
        hash,
        right,
    })
}

/// The second half of [`create`]: makes the account.
///
/// # Errors
/// [`Error::UsernameTaken`], [`Error::EmailTaken`], [`Error::PhoneTaken`]; the right may have gone
/// since, and who makes an administrator needs that of [`super::may_give`].
pub fn create_prepared(cx: &mut Cx<'_, '_>, prepared: &Prepared) -> Result<User> {
    let Prepared {
        new,
        sort,
        hash,
        right,
    } = prepared;
    right.check(cx.actor, cx.kit.config.auth.registration)?;
    match right {
        Right::Administrator => may_give(cx, &new.roles)?,
        // An ordinary one, or one of roles that somebody gave who may.
        Right::Registration | Right::Invitation => {}
    }
    insert(cx, new, sort, hash.as_ref())
}

/// The hash to store, if `password` may be chosen by whoever goes by `names`.
pub(super) fn hash(
    app: &App,
    password: &NewPassword,
    names: &[Option<&str>],
) -> Result<Option<PasswordHash>> {
    match password {
        NewPassword::None => Ok(None),
        NewPassword::Hash(hash) => Ok(Some(hash.clone())),
        NewPassword::Text(password) => {
            let names: Vec<&str> = names.iter().flatten().copied().collect();
            Policy::of(app.config()).check(password, &names)?;
            app.kit().hasher.hash(password).map(Some)
        }
    }
}

pub(super) fn insert(
    cx: &mut Cx<'_, '_>,
    new: &NewUser,
    password: &'static str,
    hash: Option<&PasswordHash>,
) -> Result<User> {
    let id = id::entity(cx.now);
    if !store::insert(cx.tx, &id, new, hash, cx.now)? {
        let (username, email) = (Some(&new.username), new.email.as_ref());
        return Err(taken(cx, &id, username, email, new.phone.as_ref()));
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
    let details = json!({ "roles": user.roles, "password": password });
    audit::record(cx, Event::new("user.created", object(&id)).with(details))?;
    Ok(user)
}
