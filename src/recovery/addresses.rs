//! E-mail addresses: whoever gets another one is asked to confirm it, by whichever door it came.
//!
//! Invariant: an edge that makes or changes an account does it here, so that no address comes in
//! without its letter; an import says itself which addresses are confirmed, and sends nothing.

use super::{bad, bound, holder, object, proved, tell, ways};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::outbox::{self, Letter, Mail};
use crate::tokens::{self, Kind, NewLink};
use crate::users::{self, Changes, NewUser, Prepared, User};

/// Makes an account as [`users::create`], and asks its person to confirm the address.
///
/// # Errors
/// As there.
pub fn create(app: &App, actor: &Actor, new: NewUser) -> Result<User> {
    let prepared = users::prepare(app, actor, new)?;
    app.write(actor, move |cx| create_prepared(cx, &prepared))
}

/// The same of an account that was prepared.
///
/// # Errors
/// As [`users::create_prepared`].
pub fn create_prepared(cx: &mut Cx<'_, '_>, prepared: &Prepared) -> Result<User> {
    let user = users::create_prepared(cx, prepared)?;
    changed(cx, None, &user)?;
    Ok(user)
}

/// Changes what an account says of its person, as [`users::update_if`], and tells both addresses if
/// there is another one.
///
/// # Errors
/// As there.
pub fn update(
    cx: &mut Cx<'_, '_>,
    user: &str,
    changes: &Changes,
    still: impl FnOnce(&User) -> Result<()>,
) -> Result<User> {
    let mut before = None;
    let user = users::update_if(cx, user, changes, |user| {
        before = Some(user.clone());
        still(user)
    })?;
    changed(cx, before.as_ref(), &user)?;
    Ok(user)
}

/// The same by the person whose account it is, as [`users::update_own`].
///
/// # Errors
/// As there.
pub fn update_own(
    cx: &mut Cx<'_, '_>,
    changes: &Changes,
    still: impl FnOnce(&User) -> Result<()>,
) -> Result<User> {
    let mut before = None;
    let user = users::update_own(cx, changes, |user| {
        before = Some(user.clone());
        still(user)
    })?;
    changed(cx, before.as_ref(), &user)?;
    Ok(user)
}

/// Notes that the address to which the link was sent is its owner's.
///
/// # Errors
/// [`Error::Invalid`] for a link that is not good.
pub fn verify_email(cx: &mut Cx<'_, '_>, token: &str) -> Result<()> {
    let link = tokens::take_link(cx, token, Kind::Email)?.ok_or_else(bad)?;
    let user = holder(cx, &link)?;
    let email = user.email.as_deref().ok_or_else(bad)?.parse()?;
    if !users::email_proved(cx, &user.id, &email)? {
        return Err(bad());
    }
    audit::record(cx, Event::new("user.email_verified", object(&user.id)))
}

/// Sends whoever asks another link to confirm their address. How often is for the edge to limit.
///
/// # Errors
/// [`Error::Unauthenticated`], [`Error::Forbidden`] unless it is a person; [`Error::Invalid`] if
/// there is no address, it is confirmed, or no mail can be sent.
pub fn ask_again(cx: &mut Cx<'_, '_>) -> Result<()> {
    let id = cx.actor.person()?.to_owned();
    let user = users::resolve(cx, &id)?;
    let refuse = |reason: &str| Err(Error::invalid("email", reason));
    let Some(email) = &user.email else {
        return refuse("is not set");
    };
    if user.email_verified {
        return refuse("is confirmed already");
    }
    if !outbox::is_on(&cx.kit.config) {
        return refuse("cannot be confirmed: no mail is sent here");
    }
    ask(cx, &user, email)
}

/// Sends somebody who has another address than `before`, or is new, a link to confirm it, and tells
/// the address of before if it was theirs: who took the account over has to do without silence.
/// Belongs into the transaction of the change; does nothing where no mail can be sent.
///
/// # Errors
/// Those of the database.
fn changed(cx: &mut Cx<'_, '_>, before: Option<&User>, user: &User) -> Result<()> {
    let old = before.and_then(|before| before.email.as_deref());
    let new = user.email.as_deref();
    if old == new || !outbox::is_on(&cx.kit.config) {
        return Ok(());
    }
    if let Some(old) = before.and_then(proved) {
        tell(cx, old, Letter::AddressChanged)?;
    }
    match new {
        Some(new) if !user.email_verified => ask(cx, user, new),
        Some(_) | None => Ok(()),
    }
}

fn ask(cx: &mut Cx<'_, '_>, user: &User, email: &str) -> Result<()> {
    let ttl = cx.kit.config.links.ttl;
    tokens::end_links(cx, &user.id, &[Kind::Email])?;
    let (_, token) = tokens::issue_link(
        cx,
        &NewLink {
            kind: Kind::Email,
            owner: Some(user),
            ttl: ttl.0,
            label: None,
            meta: Some(bound(cx, email)),
            good: true,
        },
    )?;
    let way = ways::to(&cx.kit.config, Kind::Email, &token);
    let mail = Mail {
        to: Some(email),
        letter: Letter::EmailVerification,
        way: Some(&way),
        ttl: ttl.0,
    };
    outbox::queue(cx, &mail)?;
    let event = Event::new("user.email_verification_sent", object(&user.id));
    audit::record(cx, event)
}
