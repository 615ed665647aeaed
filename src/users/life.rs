//! What becomes of an account: disabled, enabled, deleted, restored; and what it opened ended.
//!
//! Invariants: at least one enabled administrator remains, whoever tries at the same moment;
//! whatever makes an account unusable moves its `security_epoch` in the same statement.

use serde_json::json;

use super::find::{Among, find};
use super::{State, User, by_id, hold, may_touch, object, resolve, store};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::reason;
use crate::scope::known;

/// Disables an account: whatever it opened has ended for good. Disabling one that is disabled
/// already changes nothing and is no error.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::ReauthenticationNeeded`];
/// [`Error::NotFound`]; [`Error::LastAdmin`]; [`Error::Invalid`] for a reason that is too long.
pub fn disable(cx: &mut Cx<'_, '_>, user: &str, reason: Option<&str>) -> Result<User> {
    may_end(cx, reason)?;
    hold_administrators(cx)?;
    let user = resolve(cx, user)?;
    may_touch(cx, &user)?;
    let id = user.id;
    let done = store::disable(cx.tx, &id, reason, cx.now)?;
    let user = by_id(cx, &id)?;
    match (done, user.state) {
        (true, _) => {
            let event = Event::new("user.disabled", object(&id));
            audit::record(cx, event.with(json!({ "reason": reason })))?;
        }
        (false, State::Disabled) => {}
        (false, State::Deleted) => return Err(Error::no_such("user", &id)),
        (false, State::Active) => return Err(Error::LastAdmin),
    }
    Ok(user)
}

/// Enables an account again. What it had opened stays ended.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::ReauthenticationNeeded`];
/// [`Error::NotFound`]; [`Error::Invalid`] for a deleted account.
pub fn enable(cx: &mut Cx<'_, '_>, user: &str) -> Result<User> {
    may_end(cx, None)?;
    let user = find(cx, user, Among::All)?;
    may_touch(cx, &user)?;
    if user.state == State::Deleted {
        let reason = "is deleted: what brings it back is restoring it (provost user restore)";
        return Err(Error::invalid("user", reason));
    }
    let id = user.id;
    if store::enable(cx.tx, &id, cx.now)? {
        audit::record(cx, Event::new("user.enabled", object(&id)))?;
    }
    by_id(cx, &id)
}

/// Deletes an account: whatever it opened has ended, and nobody finds it any more. For
/// `auth.restore_period` it can be restored; until then its names stay taken.
///
/// # Errors
/// As [`disable`].
pub fn delete(cx: &mut Cx<'_, '_>, user: &str, reason: Option<&str>) -> Result<User> {
    delete_if(cx, user, reason, |_| Ok(()))
}

/// As [`delete`], if `still` has nothing against the account as it is.
///
/// # Errors
/// As [`delete`], or what `still` returns.
pub fn delete_if(
    cx: &mut Cx<'_, '_>,
    user: &str,
    reason: Option<&str>,
    still: impl FnOnce(&User) -> Result<()>,
) -> Result<User> {
    may_end(cx, reason)?;
    end(cx, user, reason, |cx, user| {
        may_touch(cx, user)?;
        still(user)
    })
}

/// Deletes the account of the person who asks.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person; else as [`delete_if`].
pub fn delete_own(cx: &mut Cx<'_, '_>, still: impl FnOnce(&User) -> Result<()>) -> Result<User> {
    let id = cx.actor.person()?.to_owned();
    cx.actor.require_fresh(cx.now)?;
    end(cx, &id, None, |_, user| still(user))
}

fn end(
    cx: &mut Cx<'_, '_>,
    user: &str,
    reason: Option<&str>,
    still: impl FnOnce(&Cx<'_, '_>, &User) -> Result<()>,
) -> Result<User> {
    hold_administrators(cx)?;
    let user = hold(cx, user)?;
    still(cx, &user)?;
    if !store::delete(cx.tx, &user.id, cx.now)? {
        return Err(Error::LastAdmin);
    }
    let event = Event::new("user.deleted", object(&user.id));
    audit::record(cx, event.with(json!({ "reason": reason })))?;
    by_id(cx, &user.id)
}

/// Brings a deleted account back as it was: if it was disabled, disabled. What it had opened stays
/// ended. Restoring one that is not deleted changes nothing and is no error.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::ReauthenticationNeeded`];
/// [`Error::NotFound`]; [`Error::Invalid`] if it is too late.
pub fn restore(cx: &mut Cx<'_, '_>, user: &str) -> Result<User> {
    may_end(cx, None)?;
    let user = find(cx, user, Among::All)?;
    may_touch(cx, &user)?;
    let id = user.id;
    let period = cx.kit.config.auth.restore_period;
    let restored = store::restore(cx.tx, &id, cx.now.minus(period.0), cx.now)?;
    let user = by_id(cx, &id)?;
    if restored {
        audit::record(cx, Event::new("user.restored", object(&id)))?;
    } else if user.state == State::Deleted {
        let reason = format!("was deleted more than {period} ago and cannot be restored");
        return Err(Error::invalid("user", reason));
    }
    Ok(user)
}

/// Ends whatever the account opened: sessions, tokens, links. For other slices, whose verbs check
/// what the actor may do and write down why. What is opened later is not touched.
///
/// # Errors
/// [`Error::NotFound`].
pub fn end_everything(cx: &mut Cx<'_, '_>, id: &str) -> Result<()> {
    if store::end_everything(cx.tx, id, cx.now)? {
        Ok(())
    } else {
        Err(Error::no_such("user", id))
    }
}

/// Notes that something of the account was changed: it is among the changed ones from now on. For
/// other slices, as [`end_everything`].
///
/// # Errors
/// Those of the database.
pub fn touch(cx: &mut Cx<'_, '_>, id: &str) -> Result<()> {
    store::touch(cx.tx, id, cx.now).map(drop)
}

/// Lets pass who may decide whether an account can be used, for a reason that can be kept.
fn may_end(cx: &Cx<'_, '_>, reason: Option<&str>) -> Result<()> {
    cx.actor.require(known::USER_WRITE)?;
    cx.actor.require_fresh(cx.now)?;
    reason::check(reason)
}

/// Two who end one administrator each, at the same time, would each see the other's. Always before
/// the account itself is held, so that no two wait for each other.
pub(super) fn hold_administrators(cx: &mut Cx<'_, '_>) -> Result<()> {
    cx.tx.lock(("role", super::Role::Admin.as_str()))
}
