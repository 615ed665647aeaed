//! Links: tokens that open one door once, made and taken by the code behind that door alone.
//!
//! Invariants: a link is good once, under any concurrency, because taking it is one guarded
//! statement; it is good for its own kind only (security.md, rule 18), and no longer once its owner
//! was disabled or ended everything that was open.

mod store;

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::check::matching;
use super::model::State;
use super::text::{Kind, TokenId, parse, prefixed};
use super::{insert, object};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::Result;
use crate::secret::Secret;
use crate::users::User;

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// For which door.
    pub kind: Kind,
    /// The user with whom it ends: for whom it opens or, for an invitation, who invites. As they
    /// were when it was seen that they may have it: whatever ends all that they have open between
    /// that and the commit moves the epoch, and the link is born ended.
    pub owner: Option<&'a User>,
    /// How long it is good.
    pub ttl: Duration,
    /// A name for people.
    pub label: Option<String>,
    /// What the code behind the door wants to find again.
    pub meta: Option<Map<String, Json>>,
    /// False for one that never opens anything: it costs as much as one that does, so that nobody
    /// sees a difference.
    pub good: bool,
}

/// A link that was presented and is good.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its public id.
    pub id: TokenId,
    /// The id of the user with whom it ends.
    pub owner: Option<String>,
    /// As in [`NewLink`].
    pub label: Option<String>,
    /// As in [`NewLink`].
    pub meta: Map<String, Json>,
}

impl Link {
    /// A text that was put into its `meta`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.meta.get(name).and_then(Json::as_str)
    }
}

/// Makes a link; returns its id and its whole text, which is shown once. Whether the actor may is
/// for the caller to know.
///
/// # Errors
/// Those of the database.
pub fn issue_link(cx: &mut Cx<'_, '_>, new: &NewLink<'_>) -> Result<(TokenId, Secret<String>)> {
    let expires_at = cx.now.plus(new.ttl);
    let mut row = super::store::NewRow {
        owner_id: new.owner.map(|owner| owner.id.clone()),
        owner_epoch: new.owner.map(|owner| owner.epoch),
        label: new.label.clone(),
        max_uses: Some(1),
        meta: new.meta.clone(),
        ..super::store::NewRow::bare(new.kind, cx.now, Some(expires_at))
    };
    let (id, secret) = insert(cx, &mut row)?;
    if !new.good {
        super::store::set_revoked(cx.tx, id, cx.now)?;
    }
    let details = json!({ "kind": new.kind, "expires_at": expires_at });
    audit::record(cx, Event::new("token.created", object(id)).with(details))?;
    Ok((id, prefixed(new.kind, id, &secret)))
}

/// The link of `kind` that `text` is, without using it up; nothing if it is not good.
///
/// # Errors
/// Those of the database.
pub fn look_at_link(cx: &mut Cx<'_, '_>, text: &str, kind: Kind) -> Result<Option<Link>> {
    let Ok(presented) = parse(text) else {
        return Ok(None);
    };
    let row = matching(cx, &presented)?;
    let good = row.filter(|row| {
        row.checked.kind == kind
            && presented.kind == Some(kind)
            && row.facts.state(cx.now) == State::Active
    });
    let Some(row) = good else {
        return Ok(None);
    };
    let token = super::store::by_id(cx.tx, row.checked.id, cx.now)?;
    Ok(token.map(|token| Link {
        id: token.id,
        owner: row.checked.owner_id,
        label: token.label,
        meta: token.meta.unwrap_or_default(),
    }))
}

/// Takes the one use of the link of `kind` that `text` is; nothing, changing nothing, if it is not
/// good. Belongs into the transaction of what it opens.
///
/// # Errors
/// Those of the database.
pub fn take_link(cx: &mut Cx<'_, '_>, text: &str, kind: Kind) -> Result<Option<Link>> {
    let Some(link) = look_at_link(cx, text, kind)? else {
        return Ok(None);
    };
    if !store::take_link(cx.tx, link.id, cx.now)? {
        return Ok(None);
    }
    audit::record(cx, Event::new("token.consumed", object(link.id)))?;
    Ok(Some(link))
}

/// Ends the links of these kinds that open for `owner`; returns how many there were.
///
/// # Errors
/// Those of the database.
pub fn end_links(cx: &mut Cx<'_, '_>, owner: &str, kinds: &[Kind]) -> Result<u64> {
    let mut ended = 0;
    for kind in kinds {
        ended += store::revoke_of(cx.tx, owner, *kind, cx.now)?;
    }
    Ok(ended)
}
