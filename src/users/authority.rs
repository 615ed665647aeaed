//! Who may touch an administrator, and who may make one: the shell, the program itself, and another
//! administrator who has just logged in. Never a token: with `user:write` it could otherwise make
//! itself everything that an administrator is (security.md, rule 18).

use super::{Role, User};
use crate::app::{Cx, Who};
use crate::error::{Error, Result};

/// Lets the actor decide who gets into the account of `user`: under which names, with what proof,
/// and whether at all. For every verb that does, besides the scope that it asks for.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::ReauthenticationNeeded`], both only for an administrator's account.
pub fn may_touch(cx: &Cx<'_, '_>, user: &User) -> Result<()> {
    may_give(cx, &user.roles)
}

/// Lets the actor give these roles away, or take them.
///
/// # Errors
/// As [`may_touch`], both only if an administrator is made or unmade.
pub fn may_give(cx: &Cx<'_, '_>, roles: &[Role]) -> Result<()> {
    if !roles.contains(&Role::Admin) {
        return Ok(());
    }
    match &cx.actor.who {
        Who::Operator { .. } | Who::Job(_) | Who::Session { admin: true, .. } => {
            cx.actor.require_fresh(cx.now)
        }
        Who::Token { .. } | Who::Session { .. } => Err(Error::Forbidden {
            needs: "role:admin".into(),
        }),
        Who::Anonymous => Err(Error::Unauthenticated),
    }
}
