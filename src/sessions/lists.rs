//! Looking through sessions.

use super::model::{Filter, Limits, Session, State};
use super::store;
use crate::app::Cx;
use crate::error::{Error, Result};
use crate::id;
use crate::page::{self, Page};
use crate::scope::known;
use crate::time::Timestamp;
use crate::users;

/// Sessions of everybody, or of one user, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] without `session:read`; [`Error::NotFound`] for an unknown user; [`Error::Invalid`] for a cursor
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
        Some(cursor) => page::place(cursor, '.')?,
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

pub(super) fn find(cx: &mut Cx<'_, '_>, id: &str) -> Result<Session> {
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

/// How many sessions of this account are good now.
///
/// # Errors
/// Those of the database.
pub fn live(cx: &mut Cx<'_, '_>, user_id: &str) -> Result<u64> {
    let limits = [Limits::of(cx.kit, false), Limits::of(cx.kit, true)];
    store::count_live(cx.tx, user_id, &limits, cx.now)
}
