//! Sessions: who is logged in, from where, and until when.
//!
//! Invariants: a login always opens a new session, and one that was ended never comes back; a
//! session lives only as long as its account is active and in the same epoch; exactly one refresh
//! token of a session is good at a time, and whoever presents an older one ends the session
//! (RFC 9700 §4.14); nothing secret is stored.

pub mod cli;
mod client;
mod csrf;
pub mod http;
mod login;
mod model;
mod purge;
mod refresh;
mod signing;
mod store;

use serde_json::json;

pub use client::client;
pub use csrf::{csrf_token, is_csrf_token};
pub use login::{Attempt, Login, begin, begin_change, change_password, finish, refuse_change};
pub use model::{Authenticated, Entry, Filter, Opened, Session, State, Turn};
pub use purge::{delete_gone, gone, oldest_gone};
pub use refresh::{Refreshed, refresh, refresh_token, session_of};
pub use signing::{
    KeyState, Rotation, SigningKey, jwks, learn_key, list_keys, rotate, rotate_if_due,
};

use model::Limits;

use crate::app::{Cx, Kit, Who};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::id;
use crate::jwt::{Claims, Expected};
use crate::page::Page;
use crate::scope::known;
use crate::secret::random_bytes;
use crate::time::{Period, Timestamp};
use crate::users;

/// A session's sign of life is written at most once in this time.
const SEEN: Period = Period(std::time::Duration::from_mins(1));

/// The longest reason for ending a session, in characters.
const REASON: usize = 200;

/// Opens a session of an account that has proved who it is.
///
/// # Errors
/// [`Error::Unauthenticated`] if the account is not active, or was changed since `entry` was read.
pub fn open(cx: &mut Cx<'_, '_>, entry: &Entry) -> Result<Turn> {
    let id = id::entity(cx.now);
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
    let details = json!({ "user": entry.username, "methods": entry.methods });
    audit::record(cx, Event::new("session.opened", object(&id)).with(details))?;
    for old in store::beyond(cx.tx, &entry.user_id, most, cx.now)? {
        end(cx, &old, Some("too many sessions"))?;
    }
    let expires_at = row.expires_at;
    Ok(Turn {
        session_id: id,
        user_id: entry.user_id.clone(),
        generation: 1,
        expires_at,
        key,
    })
}

/// The tokens of a session whose turn was committed: slow work, for outside of a transaction.
///
/// # Errors
/// [`Error::Internal`] if the operating system gives no random bytes.
pub fn mint(kit: &Kit, turn: &Turn, now: Timestamp) -> Result<Opened> {
    let auth = &kit.config.auth;
    let key = kit.signers.key(&kit.keys, &turn.key.0, turn.key.1)?;
    let key = key.ok_or_else(|| Error::internal("the signing key is not one of this program"))?;
    let seconds = |at: Timestamp| at.0.div_euclid(1000);
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
        csrf_token: csrf_token(&kit.keys, &turn.session_id)?,
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
    let row = store::for_check(cx.tx, &claims.sid, kid)?.ok_or(Error::Unauthenticated)?;
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

/// Sessions, the newest first: of everybody for who has `session:read`, else only one's own.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for an unknown user; [`Error::Invalid`] for a cursor
/// that is none.
pub fn list(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Session>> {
    cx.actor.require(known::SESSION_READ)?;
    let user = filter.user.as_deref();
    let user = user.map(|user| users::resolve(cx, user)).transpose()?;
    page(
        cx,
        filter,
        user.as_ref().map(|user| user.id.as_str()),
        cursor,
        limit,
    )
}

/// The sessions of the person who asks, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person; [`Error::Invalid`] for a cursor that is none.
pub fn list_own(cx: &mut Cx<'_, '_>, cursor: Option<&str>, limit: u32) -> Result<Page<Session>> {
    let user = cx.actor.person()?.to_owned();
    let filter = Filter {
        state: Some(State::Active),
        ..Filter::default()
    };
    page(cx, &filter, Some(&user), cursor, limit)
}

fn page(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    user: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Session>> {
    let before = match cursor {
        Some(cursor) => cursor
            .split_once('.')
            .and_then(|(at, id)| Some((Timestamp(at.parse().ok()?), id)))
            .ok_or_else(|| Error::invalid("cursor", "is not one of this list"))?,
        None => (Timestamp(i64::MAX), ""),
    };
    let search = store::Search {
        filter,
        user,
        limits: [Limits::of(cx.kit, false), Limits::of(cx.kit, true)],
        now: cx.now,
    };
    let sessions = store::page(cx.tx, &search, before, limit.saturating_add(1))?;
    Ok(Page::cut(sessions, limit, |session| {
        format!("{}.{}", session.created_at.0, session.id)
    }))
}

/// One session, by its id or the first characters of it.
///
/// # Errors
/// [`Error::Forbidden`] without `session:read`; [`Error::NotFound`]; [`Error::Ambiguous`].
pub fn get(cx: &mut Cx<'_, '_>, id: &str) -> Result<Session> {
    cx.actor.require(known::SESSION_READ)?;
    find(cx, id)
}

fn find(cx: &mut Cx<'_, '_>, id: &str) -> Result<Session> {
    let none = || Error::no_such("session", id);
    let (low, high) = id::range(id).ok_or_else(none)?;
    let limits = [Limits::of(cx.kit, false), Limits::of(cx.kit, true)];
    let mut found = store::between(cx.tx, (&low, &high), &limits, cx.now)?;
    match (found.pop(), found.is_empty()) {
        (Some(session), true) => Ok(session),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "session",
            prefix: id.to_owned(),
        }),
        (None, _) => Err(none()),
    }
}

/// Ends a session: whatever was opened with it is refused from now on. Ending one that has ended
/// changes nothing and is no error.
///
/// # Errors
/// [`Error::Forbidden`] without `session:revoke`; [`Error::NotFound`]; [`Error::Ambiguous`];
/// [`Error::Invalid`] for a reason that is too long.
pub fn revoke(cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<Session> {
    cx.actor.require(known::SESSION_REVOKE)?;
    check_reason(reason)?;
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
    if store::owner(cx.tx, id)?.as_deref() != Some(user.as_str()) {
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
        _ => None,
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
    check_reason(reason)?;
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
    check_reason(reason)?;
    let mut ended = Vec::new();
    for id in ids {
        if end(cx, id, reason)? {
            ended.push(id.clone());
        }
    }
    Ok(ended)
}

/// How many sessions of this account are good now.
///
/// # Errors
/// Those of the database.
pub fn live(cx: &mut Cx<'_, '_>, user_id: &str) -> Result<u64> {
    let limits = [Limits::of(cx.kit, false), Limits::of(cx.kit, true)];
    store::count_live(cx.tx, user_id, &limits, cx.now)
}

fn end(cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<bool> {
    let ended = store::set_revoked(cx.tx, id, reason, cx.now)?;
    if ended {
        let event = Event::new("session.revoked", object(id));
        audit::record(cx, event.with(json!({ "reason": reason })))?;
    }
    Ok(ended)
}

fn check_reason(reason: Option<&str>) -> Result<()> {
    let good = |reason: &str| {
        (1..=REASON).contains(&reason.chars().count()) && !reason.chars().any(char::is_control)
    };
    if reason.is_none_or(good) {
        Ok(())
    } else {
        let rule = format!("must have 1 to {REASON} printable characters");
        Err(Error::invalid("reason", rule))
    }
}

fn object(id: &str) -> String {
    format!("session:{id}")
}

#[cfg(test)]
mod tests;
