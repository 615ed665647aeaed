//! Getting in without the password: forgotten ones, addresses to be confirmed, invitations, login
//! links, and the rescue of a service that nobody can administer.
//!
//! Invariants: whoever asks learns nothing about who has an account: the answer, the time and the
//! rows written are the same for a name that nobody has; a new password is offered only to an address
//! that somebody has shown to be theirs, so that one which was mistyped hands no account over; a link
//! is good once and for its own purpose only, for the address that it was sent to, and dies with
//! whatever ends everything that its owner has open; using one is one transaction with what it opens;
//! its text is shown or sent once and stored as a keyed digest.

mod addresses;
pub mod cli;
pub mod http;
mod invitations;
mod logins;
mod rescue;
mod ways;

use serde_json::{Map, Value as Json, json};

pub use addresses::{ask_again, create, create_prepared, update, update_own, verify_email};
pub use invitations::{Invitation, Invited, invite, prepare_invited, register_invited};
pub use logins::{Arrival, LoginLink, Order, enter, login_link};
pub use rescue::{Plan, Rescued, With, plan_rescue, rescue};

use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::outbox::{self, Letter, Mail};
use crate::password::{Password, PasswordHash};
use crate::scope::known;
use crate::secret::{Secret, hex};
use crate::sessions::{self, Attempt, Turn};
use crate::throttle::{self, Account};
use crate::time::Period;
use crate::tokens::{self, Kind, Link, NewLink};
use crate::users::{self, State, User};

/// How long somebody is told that the password was changed.
const NEWS: Period = Period(std::time::Duration::from_hours(24));

/// Sends a link to choose a new password to whoever goes by `login`, if there is such a person with
/// a confirmed address: one that nobody has confirmed may be a stranger's. Nobody is told whether
/// there is.
///
/// # Errors
/// Those of the database, and those of the limits.
pub fn forgot(app: &App, actor: &Actor, login: &str) -> Result<()> {
    let rates = &app.kit().rates;
    // By what was asked, so that a refusal says nothing about who goes by it.
    rates.take_address(&users::spelling(login))?;
    if !outbox::is_on(app.config()) {
        return Ok(());
    }
    // Who has several names gets no more mail for that. Nobody is told, and it is counted apart: a
    // refusal would say that two names are one person's.
    let found = app.read(actor, |cx| users::named(cx, login))?;
    let address = found.and_then(|user| proved(&user).map(str::to_owned));
    let enough = address.is_some_and(|to| rates.take_address(&format!("to {to}")).is_err());
    let login = login.to_owned();
    app.write(actor, move |cx| {
        let user = users::named(cx, &login)?;
        let user = user.filter(|user| user.state == State::Active && !enough);
        let target = user.as_ref().and_then(|user| Some((user, proved(user)?)));
        let ttl = cx.kit.config.links.ttl;
        // The same for nobody: a link that opens nothing, and mail that goes nowhere (rule 9).
        let (_, token) = tokens::issue_link(
            cx,
            &NewLink {
                kind: Kind::PasswordReset,
                owner: target.map(|(user, _)| user),
                ttl: ttl.0,
                label: None,
                meta: Some(bound(cx, target.map_or("", |(_, email)| email))),
                good: target.is_some(),
            },
        )?;
        let way = ways::to(&cx.kit.config, Kind::PasswordReset, &token);
        let mail = Mail {
            to: target.map(|(_, email)| email),
            letter: Letter::PasswordReset,
            way: Some(&way),
            ttl: ttl.0,
        };
        outbox::queue(cx, &mail)?;
        let object = target.map_or("user:-".to_owned(), |(user, _)| object(&user.id));
        audit::record(cx, Event::new("user.password_forgotten", object))
    })
}

/// The address that somebody has shown to be theirs.
fn proved(user: &User) -> Option<&str> {
    user.email.as_deref().filter(|_| user.email_verified)
}

/// Ties a link to the address that it is sent to, without showing that.
fn bound(cx: &Cx<'_, '_>, email: &str) -> Map<String, Json> {
    Map::from_iter([("address".to_owned(), Json::String(address(cx, email)))])
}

fn address(cx: &Cx<'_, '_>, email: &str) -> String {
    let parts = [b"provost/v1/address\0", email.as_bytes()];
    hex(&cx.kit.keys.token.sign(&parts))
}

/// What is said of every link that is not good, whyever.
fn bad() -> Error {
    Error::invalid("token", "is not good, or no longer; ask for another")
}

/// The user for whom a link opens, if the address is still the one that it was sent to.
fn holder(cx: &mut Cx<'_, '_>, link: &Link) -> Result<User> {
    let owner = link.owner.as_deref().ok_or_else(bad)?;
    let user = users::resolve(cx, owner)?;
    let same = |sent: &str| address(cx, user.email.as_deref().unwrap_or_default()) == sent;
    if user.state == State::Active && link.text("address").is_none_or(same) {
        Ok(user)
    } else {
        Err(bad())
    }
}

/// Sets the password of whoever holds the link, and ends everything that was open.
///
/// # Errors
/// [`Error::Invalid`] for a link that is not good, or a password that may not be chosen;
/// [`Error::Unavailable`] when too many wait to be hashed.
pub fn reset(app: &App, actor: &Actor, token: &Secret<String>, password: Password) -> Result<()> {
    let kind = Kind::PasswordReset;
    // First a look: nobody hashes for a link that is not good.
    let user = app.read(actor, |cx| {
        let link = tokens::look_at_link(cx, token.expose(), kind)?.ok_or_else(bad)?;
        holder(cx, &link)
    })?;
    let hash = users::hash_own_password(app, &user, password)?;
    let token = token.clone();
    app.write(actor, move |cx| {
        let link = tokens::take_link(cx, token.expose(), kind)?.ok_or_else(bad)?;
        let user = holder(cx, &link)?;
        users::replace_password(cx, &user.id, Some(&hash))?;
        let others = [Kind::PasswordReset, Kind::LoginLink];
        let ended = tokens::end_links(cx, &user.id, &others)?;
        throttle::clear(cx, &Account::user(&user.id))?;
        let details = json!({ "links_ended": ended });
        let event = Event::new("user.password_reset", object(&user.id));
        audit::record(cx, event.with(details))?;
        tell_of_password(cx, &user)
    })
}

/// Changes the password of the person who asks, as [`sessions::change_password`], and tells them.
///
/// # Errors
/// As there.
pub fn change_password(
    cx: &mut Cx<'_, '_>,
    attempt: &Attempt,
    new: &PasswordHash,
) -> Result<Result<Turn>> {
    let changed = sessions::change_password(cx, attempt, new)?;
    if let Ok(turn) = &changed {
        let user = users::resolve(cx, &turn.user_id)?;
        tell_of_password(cx, &user)?;
    }
    Ok(changed)
}

/// Tells somebody that their password was changed, if mail can be sent.
///
/// # Errors
/// Those of the database.
pub fn tell_of_password(cx: &mut Cx<'_, '_>, user: &User) -> Result<()> {
    match user.email.as_deref() {
        Some(email) => tell(cx, email, Letter::PasswordChanged),
        None => Ok(()),
    }
}

fn tell(cx: &mut Cx<'_, '_>, email: &str, letter: Letter) -> Result<()> {
    let mail = Mail {
        to: Some(email),
        letter,
        way: None,
        ttl: NEWS.0,
    };
    outbox::queue(cx, &mail).map(|_| ())
}

/// Lets a user log in again after too many failures.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::NotFound`].
pub fn unlock(cx: &mut Cx<'_, '_>, user: &str) -> Result<(User, bool)> {
    cx.actor.require(known::USER_WRITE)?;
    let user = users::resolve(cx, user)?;
    let cleared = throttle::clear(cx, &Account::user(&user.id))?;
    if cleared {
        audit::record(cx, Event::new("user.unlocked", object(&user.id)))?;
    }
    Ok((user, cleared))
}

fn object(user: &str) -> String {
    format!("user:{user}")
}

#[cfg(test)]
mod invitation_tests;
#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod tests;
