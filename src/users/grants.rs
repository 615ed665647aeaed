//! Giving and taking roles.

use serde_json::json;

use super::life::{end_everything, hold_administrators};
use super::{Grant, Role, User, by_id, get, may_give, may_touch, object, resolve, store};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::scope::known;

/// The roles of an account, and since when it has them.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`; [`Error::NotFound`].
pub fn grants(cx: &mut Cx<'_, '_>, user: &str) -> Result<Vec<Grant>> {
    let id = get(cx, user)?.id;
    store::grants(cx.tx, &id)
}

/// Gives an account a role. What it opened before has ended: nothing that is open gains a role
/// (security.md, rule 27).
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::ReauthenticationNeeded`];
/// [`Error::NotFound`].
pub fn grant(cx: &mut Cx<'_, '_>, user: &str, role: Role) -> Result<User> {
    may_change(cx)?;
    let id = to_change(cx, user, role)?;
    if store::grant(cx.tx, &id, role, cx.now)? {
        note(cx, "user.role_granted", &id, role)?;
    }
    by_id(cx, &id)
}

/// Takes a role away. What the account opened with it has ended.
///
/// # Errors
/// As [`grant`]; [`Error::LastAdmin`].
pub fn revoke(cx: &mut Cx<'_, '_>, user: &str, role: Role) -> Result<User> {
    may_change(cx)?;
    hold_administrators(cx)?;
    let id = to_change(cx, user, role)?;
    if store::revoke(cx.tx, &id, role)? {
        note(cx, "user.role_revoked", &id, role)?;
    } else if by_id(cx, &id)?.roles.contains(&role) {
        return Err(Error::LastAdmin);
    }
    by_id(cx, &id)
}

fn may_change(cx: &Cx<'_, '_>) -> Result<()> {
    cx.actor.require(known::USER_WRITE)?;
    cx.actor.require_fresh(cx.now)
}

/// The id of the user whose `role` the actor may give or take.
fn to_change(cx: &mut Cx<'_, '_>, user: &str, role: Role) -> Result<String> {
    may_give(cx, &[role])?;
    let user = resolve(cx, user)?;
    may_touch(cx, &user)?;
    Ok(user.id)
}

fn note(cx: &mut Cx<'_, '_>, action: &'static str, id: &str, role: Role) -> Result<()> {
    end_everything(cx, id)?;
    let event = Event::new(action, object(id));
    audit::record(cx, event.with(json!({ "role": role })))
}
