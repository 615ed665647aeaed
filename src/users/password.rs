//! Setting somebody's password. The hash is made before the transaction that stores it.

use serde_json::json;

use super::create::hash;
use super::{NewPassword, State, User, by_id, may_touch, object, resolve, store};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::password::PasswordHash;
use crate::scope::known;

/// A password that may be set, hashed.
#[derive(Clone, Debug)]
pub struct Hashed {
    user: String,
    /// Where it came from, for the log.
    sort: &'static str,
    hash: Option<PasswordHash>,
}

impl Hashed {
    /// The id of the account whose it becomes.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// Sets an account's password, by an administrator who need not know the old one. What was
/// opened with the old one has ended.
///
/// # Errors
/// As [`hash_password`] and [`put_password`].
pub fn set_password(app: &App, actor: &Actor, user: &str, password: NewPassword) -> Result<User> {
    let hashed = hash_password(app, actor, user, password)?;
    app.write(actor, move |cx| put_password(cx, &hashed))
}

/// The first half of [`set_password`]: checks and hashes, outside of any transaction.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`]; [`Error::Invalid`] for a
/// password that may not be chosen; [`Error::Unavailable`] when too many wait to be hashed.
pub fn hash_password(
    app: &App,
    actor: &Actor,
    user: &str,
    password: NewPassword,
) -> Result<Hashed> {
    actor.require(known::USER_WRITE)?;
    let user = app.read(actor, |cx| {
        let user = resolve(cx, user)?;
        may_touch(cx, &user)?;
        Ok(user)
    })?;
    let names = [
        Some(user.username.as_str()),
        user.email.as_deref(),
        user.phone.as_deref(),
        user.name.as_deref(),
    ];
    let (sort, hash) = (password.sort(), hash(app, &password, &names)?);
    drop(password);
    Ok(Hashed {
        user: user.id,
        sort,
        hash,
    })
}

/// The second half of [`set_password`]: stores it. Taking away a password that there is not
/// changes nothing.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::ReauthenticationNeeded`], [`Error::NotFound`].
pub fn put_password(cx: &mut Cx<'_, '_>, hashed: &Hashed) -> Result<User> {
    cx.actor.require(known::USER_WRITE)?;
    cx.actor.require_fresh(cx.now)?;
    // It may have become an administrator while the password was hashed.
    let user = by_id(cx, &hashed.user)?;
    may_touch(cx, &user)?;
    if store::set_password(cx.tx, &hashed.user, hashed.hash.as_ref(), cx.now)? {
        let event = Event::new("user.password_set", object(&hashed.user));
        audit::record(cx, event.with(json!({ "password": hashed.sort })))?;
    }
    let user = store::by_id(cx.tx, &hashed.user)?;
    user.filter(|user| user.state != State::Deleted)
        .ok_or_else(|| Error::no_such("user", &hashed.user))
}
