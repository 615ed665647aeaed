//! The audit log: who did what to which object.
//!
//! Invariants: the row of a change is written in the transaction of the change; no row, no change
//! (security.md, rule 66). Details are an allow-list, chosen by whoever records: never a secret. No
//! row is added at or below the ceiling under which rows are sealed.

mod block;
pub mod cli;
mod expire;
mod export;
pub mod http;
mod restores;
mod seal;
mod start;
mod store;
mod verify;

use std::sync::atomic::Ordering;

use serde::Serialize;
use serde_json::Value as Json;

pub use block::Head;
pub use expire::{delete_old, old, oldest_old};
pub use export::{Exported, export};
pub use restores::{Restore, restores};
pub use seal::{Sealed, seal};
pub use start::note_start;
pub use verify::{Fault, Finding, Options, Trust, Verified, verify};

use crate::app::{Cx, Denial, Who};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::scope::known;
use crate::time::Timestamp;

/// Something that happened, before it is written.
#[derive(Clone, Debug)]
pub struct Event {
    action: &'static str,
    object: String,
    result: Outcome,
    details: Option<Json>,
    user: Option<String>,
}

impl Event {
    /// `action` was done to `object`: `token.created`, `token:0Lq3…`.
    #[must_use]
    pub fn new(action: &'static str, object: impl Into<String>) -> Self {
        Self {
            action,
            object: object.into(),
            result: Outcome::Ok,
            details: None,
            user: None,
        }
    }

    /// Done by this user, of whom the request has just proved to come: until then it was
    /// anonymous.
    #[must_use]
    pub fn by(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// A refused request.
    #[must_use]
    pub fn denied(denial: &Denial) -> Self {
        Self::new("request.denied", format!("route:{}", denial.route()))
            .with(denial.details())
            .ended(Outcome::Denied)
    }

    /// `action` was tried on `object` by somebody who may not.
    #[must_use]
    pub fn refused(action: &'static str, object: impl Into<String>) -> Self {
        Self::new(action, object).ended(Outcome::Denied)
    }

    /// With details, which must not hold a secret.
    #[must_use]
    pub fn with(mut self, details: Json) -> Self {
        self.details = Some(details);
        self
    }

    /// With another outcome than [`Outcome::Ok`].
    #[must_use]
    pub fn ended(mut self, result: Outcome) -> Self {
        self.result = result;
        self
    }
}

/// How it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was not allowed.
    Denied,
    /// It was tried and failed.
    Failed,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "ok" => Ok(Self::Ok),
            "denied" => Ok(Self::Denied),
            "failed" => Ok(Self::Failed),
            other => Err(Error::internal(format!("audit result {other}"))),
        }
    }
}

/// A row of the log.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// Grows with time. It is text in JSON, because not every reader has integers so large
    /// (RFC 8259 §6).
    #[serde(serialize_with = "crate::id::as_text")]
    #[schema(value_type = String, example = "3764759491320198700")]
    pub id: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who: `os:1000/maria@host`, `token:0Lq3…`, `job:purge`, `anonymous`.
    pub actor: String,
    /// What: `token.created`.
    pub action: String,
    /// To which object: `token:0Lq3…`.
    pub object: String,
    /// How it came out.
    pub result: Outcome,
    /// From which address.
    pub ip: Option<String>,
    /// Under which HTTP request.
    pub request_id: Option<String>,
    /// More, by action.
    #[schema(value_type = Option<Object>)]
    pub details: Option<Json>,
}

/// Which rows to show; what is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Exactly this actor, or, ending in `*`, those that begin so.
    pub actor: Option<String>,
    /// Exactly this action, or, ending in `*`, those that begin so.
    pub action: Option<String>,
    /// Exactly this object, or, ending in `*`, those that begin so.
    pub object: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Writes `event` into the log, in the transaction of `cx`.
///
/// # Errors
/// Those of the database: then the change must not happen either.
pub fn record(cx: &mut Cx<'_, '_>, event: Event) -> Result<()> {
    write(cx, event, true)
}

/// [`record`] in a database of any schema, for whoever changes it: an older one has no seals.
///
/// # Errors
/// As [`record`].
pub fn record_in_any_schema(cx: &mut Cx<'_, '_>, event: Event) -> Result<()> {
    let sealed = store::blocks::has_blocks(cx.tx)?;
    write(cx, event, sealed)
}

fn write(cx: &mut Cx<'_, '_>, event: Event, sealed: bool) -> Result<()> {
    cx.kit.recorded.store(true, Ordering::Relaxed);
    let mut entry = Entry {
        id: cx.kit.serials.next(cx.now)?,
        at: cx.now,
        actor: match event.user {
            Some(user) if matches!(cx.actor.who, Who::Anonymous) => format!("user:{user}"),
            Some(_) | None => cx.actor.to_string(),
        },
        action: event.action.to_owned(),
        object: event.object,
        result: event.result,
        ip: cx.actor.ip.map(|ip| ip.to_string()),
        request_id: cx.actor.request.clone(),
        details: event.details,
    };
    let insert = if sealed {
        store::insert
    } else {
        store::insert_unguarded
    };
    // Another process can have taken the same id in the same millisecond, or, with a clock that is
    // ahead, sealed what lies beyond it.
    while !insert(cx.tx, &entry).map_err(refuse)? {
        let ceiling = if sealed {
            store::blocks::ceiling(cx.tx)?
        } else {
            0
        };
        entry.id = cx.kit.serials.next_above(cx.now, ceiling)?;
    }
    Ok(())
}

/// The newest block, for whoever keeps a note of it; none before the first.
///
/// # Errors
/// Those of the database.
pub fn head(tx: &mut Tx<'_>) -> Result<Option<Head>> {
    Ok(store::blocks::state(tx)?.and_then(|state| state.head()))
}

/// No row, no change, whatever keeps the row from being written (security.md, rule 66): a refusal
/// that may pass, not a bug in the request's own code.
fn refuse(error: Error) -> Error {
    if let Error::Internal(source) = error {
        Error::Unavailable(source)
    } else {
        error
    }
}

/// The newest entries first.
///
/// # Errors
/// [`Error::Forbidden`] without `audit:read`; [`Error::Invalid`] for a cursor that is none.
pub fn list(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Entry>> {
    cx.actor.require(known::AUDIT_READ)?;
    let below = match cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::invalid("cursor", "is not one of this list"))?,
        None => i64::MAX,
    };
    let entries = store::page(cx.tx, filter, below, limit.saturating_add(1))?;
    Ok(Page::cut(entries, limit, |entry| entry.id.to_string()))
}

/// Entries after `id`, oldest first, at most `limit`.
///
/// # Errors
/// [`Error::Forbidden`] without `audit:read`.
pub fn after(cx: &mut Cx<'_, '_>, filter: &Filter, id: i64, limit: u32) -> Result<Vec<Entry>> {
    cx.actor.require(known::AUDIT_READ)?;
    store::after(cx.tx, filter, id, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Actor, App};

    fn entries(app: &App, filter: Filter) -> Vec<Entry> {
        app.at(Timestamp(0), &Actor::operator(), move |cx| {
            list(cx, &filter, None, 100)
        })
        .unwrap()
        .items
    }

    fn at(app: &App, now: i64, action: &'static str, object: &'static str) {
        app.at(Timestamp(now), &Actor::operator(), move |cx| {
            record(cx, Event::new(action, object))
        })
        .unwrap();
    }

    #[test]
    fn entries_are_found_by_object_action_and_time() {
        let app = App::memory();
        at(&app, 1000, "x.made", "x:1");
        at(&app, 2000, "x.changed", "x:1");
        at(&app, 3000, "y.made", "y:1");
        let filter = |object: Option<&str>, action: Option<&str>| Filter {
            object: object.map(str::to_owned),
            action: action.map(str::to_owned),
            until: Some(Timestamp(10_000)),
            ..Filter::default()
        };
        assert_eq!(entries(&app, filter(Some("x:1"), None)).len(), 2);
        assert_eq!(entries(&app, filter(Some("x:*"), Some("x.c*"))).len(), 1);
        assert_eq!(entries(&app, filter(None, Some("y.made"))).len(), 1);
        let since = Filter {
            since: Some(Timestamp(2000)),
            ..filter(None, None)
        };
        assert_eq!(entries(&app, since).len(), 2);
    }

    #[test]
    fn a_star_in_the_middle_and_a_percent_sign_are_only_themselves() {
        let app = App::memory();
        at(&app, 1000, "x.made", "x:1");
        let filter = Filter {
            object: Some("%:1".into()),
            ..Filter::default()
        };
        assert!(entries(&app, filter).is_empty());
    }

    #[test]
    fn pages_join_without_a_gap() {
        let app = App::memory();
        for n in 0..7 {
            at(&app, 1000 + n, "x.made", "x:1");
        }
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let from = cursor.clone();
            let filter = Filter {
                object: Some("x:1".into()),
                ..Filter::default()
            };
            let page = app
                .at(Timestamp(0), &Actor::operator(), move |cx| {
                    list(cx, &filter, from.as_deref(), 3)
                })
                .unwrap();
            seen.extend(page.items.iter().map(|entry| entry.at.0));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [1006, 1005, 1004, 1003, 1002, 1001, 1000]);
    }

    #[test]
    fn reading_needs_the_scope() {
        let app = App::memory();
        let try_as = |actor: Actor| {
            app.at(Timestamp(0), &actor, |cx| {
                list(cx, &Filter::default(), None, 1)
            })
            .map(|_| ())
        };
        assert!(matches!(
            try_as(Actor::anonymous()),
            Err(Error::Unauthenticated)
        ));
        assert!(matches!(
            try_as(Actor::token("token:read")),
            Err(Error::Forbidden { .. })
        ));
        try_as(Actor::token("audit:read")).unwrap();
    }

    #[test]
    fn ids_that_differ_only_in_case_are_different_objects() {
        let app = App::memory();
        at(&app, 1000, "x.made", "token:0Lq3aB");
        at(&app, 2000, "x.made", "token:0lQ3Ab");
        for object in ["token:0Lq3aB", "token:0Lq*"] {
            let filter = Filter {
                object: Some(object.into()),
                ..Filter::default()
            };
            let found = entries(&app, filter);
            let found: Vec<_> = found.iter().map(|entry| entry.object.as_str()).collect();
            assert_eq!(found, ["token:0Lq3aB"], "{object}");
        }
    }
}
