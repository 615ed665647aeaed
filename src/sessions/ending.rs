//! Ending sessions: one's own, and anybody's. Whatever was opened with them is refused at the next
//! request.

use serde_json::json;

use super::lists::find;
use super::model::Session;
use super::{object, store};
use crate::app::{Cx, Who};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::id;
use crate::reason;
use crate::scope::known;
use crate::users;

/// Ends a session: whatever was opened with it is refused from now on. Ending one that has ended
/// changes nothing and is no error.
///
/// # Errors
/// [`Error::Forbidden`] without `session:revoke`; [`Error::NotFound`]; [`Error::Ambiguous`];
/// [`Error::Invalid`] for a reason that is too long.
pub fn revoke(cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<Session> {
    cx.actor.require(known::SESSION_REVOKE)?;
    reason::check(reason)?;
    let id = find(cx, id)?.id;
    end(cx, &id, reason)?;
    find(cx, &id)
}

/// Ends one of the sessions of the person who asks.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person; [`Error::NotFound`], also for somebody else's.
pub fn revoke_own(cx: &mut Cx<'_, '_>, id: &str) -> Result<()> {
    let user = cx.actor.person()?.to_owned();
    // What is no id at all is not asked for: one of the engines has words of its own for it.
    let owner = id::range(id).map(|_| store::owner(cx.tx, id)).transpose()?;
    if owner.flatten().as_deref() != Some(user.as_str()) {
        return Err(Error::no_such("session", id));
    }
    end(cx, id, None).map(|_| ())
}

/// Ends the sessions of the person who asks, all or all but the one that asks; returns how many.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person.
pub fn revoke_all_own(cx: &mut Cx<'_, '_>, except_current: bool) -> Result<u64> {
    let user = cx.actor.person()?.to_owned();
    let except = match &cx.actor.who {
        Who::Session { id, .. } if except_current => Some(id.clone()),
        Who::Session { .. }
        | Who::Token { .. }
        | Who::Operator { .. }
        | Who::Job(_)
        | Who::Anonymous => None,
    };
    revoke_all_of(cx, &user, except.as_deref(), None)
}

/// Ends the session that makes the request.
///
/// # Errors
/// Those of the database.
pub fn logout(cx: &mut Cx<'_, '_>, id: &str) -> Result<()> {
    if store::set_revoked(cx.tx, id, Some("logout"), cx.now)? {
        audit::record(cx, Event::new("session.closed", object(id)))?;
    }
    Ok(())
}

/// Ends the sessions of a user, all but `except`; returns how many.
///
/// # Errors
/// [`Error::Forbidden`] without `session:revoke`; [`Error::NotFound`] for an unknown user;
/// [`Error::Invalid`] for a reason that is too long.
pub fn revoke_all(
    cx: &mut Cx<'_, '_>,
    user: &str,
    except: Option<&str>,
    reason: Option<&str>,
) -> Result<u64> {
    cx.actor.require(known::SESSION_REVOKE)?;
    reason::check(reason)?;
    let user = users::resolve(cx, user)?.id;
    let except = except.map(|id| find(cx, id)).transpose()?;
    revoke_all_of(
        cx,
        &user,
        except.as_ref().map(|session| session.id.as_str()),
        reason,
    )
}

fn revoke_all_of(
    cx: &mut Cx<'_, '_>,
    user: &str,
    except: Option<&str>,
    reason: Option<&str>,
) -> Result<u64> {
    let mut ended = 0;
    for id in store::open_ids(cx.tx, user, except, cx.now)? {
        ended += u64::from(end(cx, &id, reason)?);
    }
    Ok(ended)
}

/// Ends those of the sessions `ids` that are open; returns their ids. For lists that a person has
/// looked at: call it with some hundred at a time.
///
/// # Errors
/// [`Error::Forbidden`] without `session:revoke`; [`Error::Invalid`] for a reason that is too long.
pub fn revoke_these(
    cx: &mut Cx<'_, '_>,
    ids: &[String],
    reason: Option<&str>,
) -> Result<Vec<String>> {
    cx.actor.require(known::SESSION_REVOKE)?;
    reason::check(reason)?;
    let mut ended = Vec::new();
    for id in ids {
        if end(cx, id, reason)? {
            ended.push(id.clone());
        }
    }
    Ok(ended)
}

pub(super) fn end(cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<bool> {
    let ended = store::set_revoked(cx.tx, id, reason, cx.now)?;
    if ended {
        note_end(cx, id, reason)?;
    }
    Ok(ended)
}

/// Writes down that a session was ended.
pub(super) fn note_end(cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<()> {
    let event = Event::new("session.revoked", object(id));
    audit::record(cx, event.with(json!({ "reason": reason })))
}
