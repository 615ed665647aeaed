//! Access: the verbs that take it from an account, telling what they ended; and the question who
//! may do what.
//!
//! Invariant: what is told to have ended was counted in the transaction that ended it.

mod can;
pub mod cli;

use std::fmt;

use serde::{Serialize, Serializer};

pub use can::{Question, Step, Verdict, can};

use crate::app::{Actor, App, Cx};
use crate::error::Result;
use crate::scope::known;
use crate::tokens::{self, Kind};
use crate::users::{self, NewPassword, Role, User};
use crate::{recovery, sessions};

/// What a change ended: what could have been used the moment before, and never can be again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Ended {
    /// Sessions.
    pub sessions: u64,
    /// Tokens, kind by kind.
    #[serde(serialize_with = "by_kind")]
    #[schema(value_type = Object, example = json!({ "api": 3, "temporary": 1 }))]
    pub tokens: Vec<(Kind, u64)>,
}

fn by_kind<S: Serializer>(tokens: &[(Kind, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(tokens.iter().map(|(kind, count)| (kind.as_str(), count)))
}

impl Ended {
    /// Whether there was nothing to end.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.sessions == 0 && self.tokens.is_empty()
    }
}

impl fmt::Display for Ended {
    /// `2 sessions, 3 API tokens, 1 temporary token`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = |kind: Kind| match kind {
            Kind::Api => "API token",
            Kind::Temporary => "temporary token",
            Kind::Invitation => "invitation",
            Kind::PasswordReset => "password reset link",
            Kind::LoginLink => "login link",
            Kind::Email => "address link",
        };
        let tokens = self.tokens.iter();
        let tokens = tokens.map(|(kind, count)| (*count, noun(*kind)));
        let mut comma = "";
        for (count, noun) in [(self.sessions, "session")].into_iter().chain(tokens) {
            if count > 0 {
                let plural = if count == 1 { "" } else { "s" };
                write!(f, "{comma}{count} {noun}{plural}")?;
                comma = ", ";
            }
        }
        Ok(())
    }
}

/// An account after a change, and what the change ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Changed {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// What ended.
    pub ended: Ended,
}

/// What an account has open. For who is about to end it.
///
/// # Errors
/// Those of the database.
fn open(cx: &mut Cx<'_, '_>, id: &str) -> Result<Ended> {
    Ok(Ended {
        sessions: sessions::live(cx, id)?,
        tokens: tokens::live_of(cx, id)?,
    })
}

/// Runs `verb`, which may end what `user` has open.
fn ending(
    cx: &mut Cx<'_, '_>,
    user: &str,
    verb: impl FnOnce(&mut Cx<'_, '_>, &str) -> Result<User>,
) -> Result<Changed> {
    let before = users::resolve(cx, user)?;
    let open = open(cx, &before.id)?;
    let user = verb(cx, &before.id)?;
    let ended = if user.epoch == before.epoch {
        Ended::default()
    } else {
        open
    };
    Ok(Changed { user, ended })
}

/// As [`users::disable`].
///
/// # Errors
/// As there.
pub fn disable(cx: &mut Cx<'_, '_>, user: &str, reason: Option<&str>) -> Result<Changed> {
    cx.actor.require(known::USER_WRITE)?;
    ending(cx, user, |cx, id| users::disable(cx, id, reason))
}

/// As [`users::delete_if`].
///
/// # Errors
/// As there.
pub fn delete_if(
    cx: &mut Cx<'_, '_>,
    user: &str,
    reason: Option<&str>,
    still: impl FnOnce(&User) -> Result<()>,
) -> Result<Changed> {
    cx.actor.require(known::USER_WRITE)?;
    ending(cx, user, |cx, id| users::delete_if(cx, id, reason, still))
}

/// As [`users::delete_own`].
///
/// # Errors
/// As there.
pub fn delete_own(cx: &mut Cx<'_, '_>, still: impl FnOnce(&User) -> Result<()>) -> Result<Changed> {
    let id = cx.actor.person()?.to_owned();
    ending(cx, &id, |cx, _| users::delete_own(cx, still))
}

/// As [`users::grant`].
///
/// # Errors
/// As there.
pub fn promote(cx: &mut Cx<'_, '_>, user: &str, role: Role) -> Result<Changed> {
    cx.actor.require(known::USER_WRITE)?;
    ending(cx, user, |cx, id| users::grant(cx, id, role))
}

/// As [`users::revoke`].
///
/// # Errors
/// As there.
pub fn demote(cx: &mut Cx<'_, '_>, user: &str, role: Role) -> Result<Changed> {
    cx.actor.require(known::USER_WRITE)?;
    ending(cx, user, |cx, id| users::revoke(cx, id, role))
}

/// As [`users::set_password`]; the account's person is told by mail.
///
/// # Errors
/// As there.
pub fn set_password(
    app: &App,
    actor: &Actor,
    user: &str,
    password: NewPassword,
) -> Result<Changed> {
    let hashed = users::hash_password(app, actor, user, password)?;
    app.write(actor, move |cx| {
        cx.actor.require(known::USER_WRITE)?;
        ending(cx, hashed.user(), |cx, id| {
            let before = users::resolve(cx, id)?.epoch;
            let user = users::put_password(cx, &hashed)?;
            if user.epoch != before {
                recovery::tell_of_password(cx, &user)?;
            }
            Ok(user)
        })
    })
}

#[cfg(test)]
mod tests;
