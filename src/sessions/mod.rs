//! Sessions: who is logged in, from where, and until when.
//!
//! Invariants: a login always opens a new session, and one that was ended never comes back; a
//! session lives only as long as its account is active and in the same epoch; exactly one refresh
//! token of a session is good at a time, and whoever presents an older one ends the session
//! (RFC 9700 §4.14); nothing secret is stored.

pub mod cli;
mod client;
mod csrf;
mod ending;
pub mod http;
mod lists;
mod login;
mod model;
mod purge;
mod refresh;
mod signing;
mod store;

use serde_json::json;

pub use client::client;
pub use csrf::{csrf_token, is_csrf_token};
pub use ending::{logout, revoke, revoke_all, revoke_all_own, revoke_own, revoke_these};
pub use lists::{get, list, list_own, live};
pub use login::{Attempt, Login, begin, begin_change, change_password, finish, refuse_change};
pub use model::{Authenticated, Entry, Filter, Opened, Session, State, Turn};
pub use purge::{delete_gone, forget, gone, oldest_gone};
pub use refresh::{Presented, Refreshed, presented, refresh, refresh_token, session_of};
pub use signing::{
    KeyState, Rotation, SigningKey, distrust, jwks, learn_key, list_keys, rotate, rotate_if_due,
};

use ending::end;
use model::Limits;

use crate::app::{Cx, Kit, Who};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::id;
use crate::jwt::{Claims, Expected};
use crate::secret::{Secret, random_bytes};
use crate::time::{Period, Timestamp};
use crate::users::{self, User};

/// A session's sign of life is written at most once in this time.
const SEEN: Period = Period(std::time::Duration::from_mins(1));

/// Opens a session of an account that has proved who it is.
///
/// # Errors
/// [`Error::Unauthenticated`] if the account is not active, or was changed since `entry` was read.
pub fn open(cx: &mut Cx<'_, '_>, entry: &Entry) -> Result<Turn> {
    let id = id::entity(cx.now);
    // The account's row before anything else: two at once would each count without the other, and
    // everybody takes it before those of sessions.
    if !users::logged_in(cx, &entry.user_id, entry.epoch)? {
        return Err(Error::Unauthenticated);
    }
    let key = signing::active(cx)?;
    let auth = &cx.kit.config.auth;
    let life = if entry.admin {
        auth.admin_absolute
    } else {
        auth.absolute
    };
    let most = auth.max_sessions;
    let row = store::NewRow {
        id: &id,
        entry,
        expires_at: cx.now.plus(life.0),
    };
    if !store::insert(cx.tx, &row, cx.now)? {
        return Err(Error::Unauthenticated);
    }
    let details = json!({ "user": entry.user_id, "methods": entry.methods });
    let event = Event::new("session.opened", object(&id)).by(&entry.user_id);
    audit::record(cx, event.with(details))?;
    let limits = Limits::of(cx.kit, entry.admin);
    for old in store::beyond(cx.tx, entry, most, limits, cx.now)? {
        end(cx, &old, Some("too many sessions"))?;
    }
    let expires_at = row.expires_at;
    Ok(Turn {
        session_id: id,
        user_id: entry.user_id.clone(),
        generation: 1,
        at: cx.now,
        expires_at,
        key,
    })
}

/// The tokens of a session whose turn was committed: slow work, for outside of a transaction.
///
/// # Errors
/// [`Error::Internal`] if the operating system gives no random bytes.
pub fn mint(kit: &Kit, turn: &Turn) -> Result<Opened> {
    let auth = &kit.config.auth;
    let key = kit.signers.key(&kit.keys, &turn.key.0, turn.key.1)?;
    let key = key.ok_or_else(|| Error::internal("the signing key is not one of this program"))?;
    let seconds = |at: Timestamp| at.0.div_euclid(1000);
    let now = turn.at;
    let ends = now.plus(auth.access_ttl.0).min(turn.expires_at);
    let jti = random_bytes::<16>()?;
    let claims = Claims {
        iss: auth.issuer.clone(),
        aud: auth.audience.clone(),
        sub: turn.user_id.clone(),
        sid: turn.session_id.clone(),
        jti: crate::secret::hex(&jti),
        iat: seconds(now),
        nbf: seconds(now),
        exp: seconds(ends).max(seconds(now).saturating_add(1)),
    };
    Ok(Opened {
        access_token: key.sign(&claims)?,
        refresh_token: refresh_token(&kit.keys, &turn.session_id, turn.generation)?,
        csrf_token: Secret::new(csrf_token(&kit.keys, &turn.session_id)?),
        expires_in: claims.exp.saturating_sub(claims.iat),
        refresh_expires_in: seconds(turn.expires_at).saturating_sub(claims.iat),
        session_id: turn.session_id.clone(),
        user_id: turn.user_id.clone(),
    })
}

/// What access tokens must say here.
#[must_use]
pub fn expected(kit: &Kit) -> Expected<'_> {
    let auth = &kit.config.auth;
    Expected {
        issuer: &auth.issuer,
        audience: &auth.audience,
        ttl: auth.access_ttl.0,
    }
}

/// The session that a verified access token names, signed by the key `kid`: one point read.
///
/// # Errors
/// [`Error::Unauthenticated`] unless the session, its account and the key are good now.
pub fn authenticate(cx: &mut Cx<'_, '_>, claims: &Claims, kid: &str) -> Result<Authenticated> {
    let row = store::for_check(cx.tx, &claims.sid, kid)?;
    admit(cx, claims, row.ok_or(Error::Unauthenticated)?)
}

/// The same, with the account of its person: still one point read.
///
/// # Errors
/// As [`authenticate`].
pub fn authenticate_own(
    cx: &mut Cx<'_, '_>,
    claims: &Claims,
    kid: &str,
) -> Result<(Authenticated, User)> {
    let found = store::for_own(cx.tx, &claims.sid, kid)?;
    let (row, user) = found.ok_or(Error::Unauthenticated)?;
    Ok((admit(cx, claims, row)?, user))
}

fn admit(cx: &Cx<'_, '_>, claims: &Claims, row: store::CheckRow) -> Result<Authenticated> {
    let good_key = row.key_accepted_until.is_some_and(|until| until > cx.now);
    let good = row
        .facts
        .state(cx.now, &Limits::of(cx.kit, row.facts.admin))
        == State::Active;
    if !good || !good_key || row.user_id != claims.sub {
        return Err(Error::Unauthenticated);
    }
    if cx.now.since(row.facts.last_seen_at) >= SEEN.0 {
        cx.kit.seen.note(claims.sid.clone(), cx.now);
    }
    Ok(Authenticated {
        session_id: claims.sid.clone(),
        user_id: row.user_id,
        username: row.username,
        roles: row.roles,
        admin: row.facts.admin,
        authenticated_at: row.facts.authenticated_at,
    })
}

/// Looks once more at the session that made the request, in the transaction of what it is to
/// change: it may have been ended while the rest of the request was still coming (security.md,
/// rule 39).
///
/// # Errors
/// [`Error::Unauthenticated`] if it is no longer good, or its person is no longer an administrator.
pub fn confirm(cx: &mut Cx<'_, '_>) -> Result<()> {
    let Who::Session { id, admin, .. } = &cx.actor.who else {
        return Ok(());
    };
    let (id, admin) = (id.clone(), *admin);
    let row = store::for_check(cx.tx, &id, "")?.ok_or(Error::Unauthenticated)?;
    let state = row
        .facts
        .state(cx.now, &Limits::of(cx.kit, row.facts.admin));
    if state == State::Active && row.facts.admin == admin {
        Ok(())
    } else {
        Err(Error::Unauthenticated)
    }
}

/// Writes when sessions were seen, in one batch; returns how many there were.
///
/// # Errors
/// Those of the database.
pub fn write_seen(cx: &mut Cx<'_, '_>, seen: &[(String, Timestamp)]) -> Result<u64> {
    let mut written = 0;
    for (id, at) in seen {
        written += store::set_last_seen(cx.tx, id, *at)?;
    }
    Ok(written)
}

fn object(id: &str) -> String {
    format!("session:{id}")
}

#[cfg(test)]
mod tests;
