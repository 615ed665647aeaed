//! Looking at the mail on its way, having it tried at once, and taking it away. What it says is never
//! shown: it holds links that are as good as passwords.

use serde::Serialize;
use serde_json::json;

use super::{object, store::listed as store};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::page::Page;
use crate::scope::known;
use crate::time::Timestamp;

/// A message as the operator may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Grows with time; text in JSON, because not every reader has integers so large.
    #[serde(serialize_with = "crate::id::as_text")]
    pub id: i64,
    /// Its address.
    pub recipient: String,
    /// What it is about: `password_reset`.
    pub template: String,
    /// What has become of it.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether somebody is sending it now.
    pub sending: bool,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it is tried next; nothing for what is done with.
    pub next_at: Option<Timestamp>,
    /// When it is given up.
    pub expires_at: Timestamp,
    /// When it was sent or given up.
    pub done_at: Option<Timestamp>,
    /// What the server said, or why it could not be reached.
    pub last_error: Option<String>,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is to be sent.
    Waiting,
    /// The server took it.
    Sent,
    /// It was given up.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Sent, Self::Failed];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// Messages, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] without `job:read`; [`Error::Invalid`] for a cursor that is none.
pub fn list(
    cx: &mut Cx<'_, '_>,
    state: Option<State>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Listed>> {
    cx.actor.require(known::JOB_READ)?;
    let below = match cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::invalid("cursor", "is not one of this list"))?,
        None => i64::MAX,
    };
    let rows = store::page(cx.tx, state, below, limit.saturating_add(1), cx.now)?;
    Ok(Page::cut(rows, limit, |message| message.id.to_string()))
}

/// One message.
///
/// # Errors
/// [`Error::Forbidden`] without `job:read`; [`Error::NotFound`].
pub fn get(cx: &mut Cx<'_, '_>, id: &str) -> Result<Listed> {
    cx.actor.require(known::JOB_READ)?;
    find(cx, id)
}

fn find(cx: &mut Cx<'_, '_>, id: &str) -> Result<Listed> {
    let found = match id.parse() {
        Ok(number) => store::by_id(cx.tx, number, cx.now)?,
        Err(_) => None,
    };
    found.ok_or_else(|| Error::no_such("message", id))
}

/// Has messages that wait be sent as soon as possible: all of them or, if one cannot be, none.
///
/// # Errors
/// [`Error::Forbidden`] without `job:run`; [`Error::NotFound`]; [`Error::Invalid`] for what is done
/// with, or is being sent.
pub fn retry(cx: &mut Cx<'_, '_>, ids: &[String]) -> Result<Vec<Listed>> {
    cx.actor.require(known::JOB_RUN)?;
    let mut retried = Vec::new();
    for id in ids {
        let message = find(cx, id)?;
        let now = cx.now;
        if !store::hasten(cx.tx, message.id, now)? {
            return Err(Error::invalid("message", cannot(&message)));
        }
        audit::record(cx, Event::new("mail.retried", object(message.id)))?;
        retried.push(find(cx, id)?);
    }
    Ok(retried)
}

fn cannot(message: &Listed) -> String {
    let Listed { id, state, .. } = message;
    match state {
        State::Waiting => format!("{id} is being sent now"),
        State::Sent => format!("{id} was sent already"),
        State::Failed => format!(
            "{id} was given up, and what it said is forgotten: what it was about has to be asked for again"
        ),
    }
}

/// Takes messages away, whether they wait or are done with: all of them or, if one cannot be, none. A
/// link in one that waits stays good until its time is over.
///
/// # Errors
/// [`Error::Forbidden`] without `job:run`; [`Error::NotFound`]; [`Error::Invalid`] for what is being
/// sent.
pub fn delete(cx: &mut Cx<'_, '_>, ids: &[String]) -> Result<Vec<Listed>> {
    cx.actor.require(known::JOB_RUN)?;
    let mut deleted = Vec::new();
    for id in ids {
        let message = find(cx, id)?;
        if !store::delete(cx.tx, message.id, cx.now)? {
            return Err(Error::invalid("message", cannot(&message)));
        }
        let details = json!({ "template": message.template, "state": message.state });
        let event = Event::new("mail.deleted", object(message.id));
        audit::record(cx, event.with(details))?;
        deleted.push(message);
    }
    Ok(deleted)
}
