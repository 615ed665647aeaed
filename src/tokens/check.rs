//! Looking at a presented token: is it good, and if not, why.
//!
//! Invariant: a check is a pure read; only taking a use writes, by one guarded statement.

use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use super::model::{Facts, Reason, State, Token};
use super::text::{Kind, Presented, Refusal, TokenId, parse};
use super::{object, store};
use crate::app::{Cx, Who};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::scope::{Scopes, known};
use crate::secret::same;
use crate::time::Timestamp;

/// Uses are noted at most once in this time for a token.
const NOTED: Duration = Duration::from_mins(1);

/// What is stored instead of the secret (security.md, rule 12).
#[must_use]
pub fn digest(keys: &Keys, kind: Kind, id: TokenId, secret: &str) -> [u8; 32] {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(id.0.unsigned_abs());
    let parts = [
        b"provost/v1/",
        kind.as_str().as_bytes(),
        b"\0",
        digits.as_bytes(),
        b"\0",
        secret.as_bytes(),
    ];
    keys.token.sign(&parts)
}

/// What a check learns of a good token.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its id.
    pub id: TokenId,
    /// Its kind.
    pub kind: Kind,
    /// Its owner's id.
    pub owner_id: Option<String>,
    /// Its owner's user name.
    pub owner: Option<String>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops being good; never, if there is none.
    pub expires_at: Option<Timestamp>,
    /// When it started being good, if not at once.
    pub not_before: Option<Timestamp>,
    /// What it may do.
    pub scopes: Scopes,
    /// From where it may be used.
    pub cidr: Option<IpNet>,
    /// Whether its uses are counted.
    pub counted: bool,
}

/// Looks at a presented token: a pure read.
///
/// # Errors
/// Only those of the database; a bad token is a [`Reason`].
pub fn check(
    cx: &mut Cx<'_, '_>,
    text: &str,
) -> Result<Result<Checked, (Reason, Option<TokenId>)>> {
    let presented = match parse(text) {
        Ok(presented) => presented,
        Err(Refusal::BadChecksum) => return Ok(Err(refused(cx, Reason::BadChecksum, None))),
        Err(Refusal::Malformed) => return Ok(Err(refused(cx, Reason::Unknown, None))),
    };
    let Some(row) = matching(cx, &presented)? else {
        return Ok(Err(refused(cx, Reason::Unknown, None)));
    };
    let reason = Reason::from(row.facts.state(cx.now));
    if reason != Reason::Ok {
        return Ok(Err(refused(cx, reason, Some(presented.id))));
    }
    count(cx, Reason::Ok);
    Ok(Ok(row.checked))
}

fn refused(cx: &mut Cx<'_, '_>, reason: Reason, id: Option<TokenId>) -> (Reason, Option<TokenId>) {
    count(cx, reason);
    (reason, id)
}

fn count(cx: &mut Cx<'_, '_>, reason: Reason) {
    let validated = &cx.kit.metrics.tokens_validated;
    cx.counts.seen(validated, reason.as_str());
}

/// The row that `presented` proves to know the secret of.
pub(super) fn matching(
    cx: &mut Cx<'_, '_>,
    presented: &Presented<'_>,
) -> Result<Option<store::CheckRow>> {
    let row = store::for_check(cx.tx, presented.id)?;
    // An unknown id costs the same digest as a known one (rule 13).
    let kind = row.as_ref().map_or(Kind::Temporary, |row| row.checked.kind);
    let computed = digest(&cx.kit.keys, kind, presented.id, presented.secret);
    Ok(row.filter(|row| {
        same(&row.digest, &computed) && presented.kind.is_none_or(|claimed| claimed == kind)
    }))
}

/// Checks an API token that authenticates a request from `cx.actor.ip`: a pure read. If its uses are
/// counted, as [`Checked::counted`] tells, [`take_use`] has to take one before anything is done.
///
/// # Errors
/// [`Error::Unauthenticated`] for any token that is not good here and now.
pub fn authenticate(cx: &mut Cx<'_, '_>, text: &str) -> Result<Checked> {
    let checked = check(cx, text)?.map_err(|_| Error::Unauthenticated)?;
    let near = match (checked.cidr, cx.actor.ip) {
        (Some(network), Some(ip)) => network.contains(&ip.to_canonical()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    if checked.kind != Kind::Api || !near {
        return Err(Error::Unauthenticated);
    }
    Ok(checked)
}

/// Looks once more at the token that authenticated the request, in the transaction of what it is
/// to change: it may have been revoked while the rest of the request was still coming
/// (security.md, rule 39). Its uses are not looked at: this one's is taken already.
///
/// # Errors
/// [`Error::Unauthenticated`] if it is no longer good.
pub fn confirm(cx: &mut Cx<'_, '_>) -> Result<()> {
    let Who::Token { id, .. } = &cx.actor.who else {
        return Ok(());
    };
    let row = store::for_check(cx.tx, id.parse()?)?.ok_or(Error::Unauthenticated)?;
    let facts = Facts {
        max_uses: None,
        ..row.facts
    };
    if facts.state(cx.now) == State::Active {
        Ok(())
    } else {
        Err(Error::Unauthenticated)
    }
}

/// Takes one use of an authenticated token, before the action that it pays for.
///
/// # Errors
/// [`Error::Unauthenticated`] if somebody else took the last one.
pub fn take_use(cx: &mut Cx<'_, '_>, id: TokenId) -> Result<()> {
    if store::consume(cx.tx, id, cx.now)? {
        audit::record(cx, Event::new("token.used", object(id)))
    } else {
        Err(Error::Unauthenticated)
    }
}

/// Notes the use of an API token for `last_used_at`, which a job writes later.
pub fn note_use(cx: &Cx<'_, '_>, id: TokenId) {
    cx.kit.uses.note(id.0, cx.now);
}

/// Writes the uses that were noted, in one batch; returns how many tokens had one.
///
/// # Errors
/// Those of the database.
pub fn write_uses(cx: &mut Cx<'_, '_>, uses: &[(i64, Timestamp)]) -> Result<u64> {
    let mut written = 0;
    for (id, at) in uses {
        written += store::set_last_used(cx.tx, TokenId(*id), *at, at.minus(NOTED))?;
    }
    Ok(written)
}

/// A presented token, its state and everything about it.
#[derive(Clone, Debug, Serialize)]
pub struct Lookup {
    /// Why it is good or not.
    pub reason: Reason,
    /// The token itself, if the text proves to know its secret.
    #[serde(flatten)]
    pub token: Option<Token>,
}

/// Tells everything about a presented token. Does not count as a use.
///
/// # Errors
/// [`Error::Forbidden`] without `token:introspect`.
pub fn lookup(cx: &mut Cx<'_, '_>, text: &str) -> Result<Lookup> {
    cx.actor.require(known::TOKEN_INTROSPECT)?;
    let (reason, id) = match check(cx, text)? {
        Ok(checked) => (Reason::Ok, Some(checked.id)),
        Err((reason, id)) => (reason, id),
    };
    let token = match id {
        Some(id) => store::by_id(cx.tx, id, cx.now)?,
        None => None,
    };
    Ok(Lookup { reason, token })
}

/// A good token, or nothing: what another service may learn (RFC 7662). Counts
/// as a use for `last_used_at`.
///
/// # Errors
/// [`Error::Forbidden`] without `token:introspect`.
pub fn introspect(cx: &mut Cx<'_, '_>, text: &str) -> Result<Option<Checked>> {
    cx.actor.require(known::TOKEN_INTROSPECT)?;
    let Ok(checked) = check(cx, text)? else {
        return Ok(None);
    };
    if !checked.kind.is_open() {
        return Ok(None);
    }
    if checked.kind == Kind::Api {
        note_use(cx, checked.id);
    }
    Ok(Some(checked))
}

/// Takes one use of a presented token, atomically: of many at once, `max_uses` succeed.
///
/// # Errors
/// [`Error::Forbidden`] without `token:consume`.
pub fn consume(cx: &mut Cx<'_, '_>, text: &str) -> Result<Lookup> {
    cx.actor.require(known::TOKEN_CONSUME)?;
    let (reason, id) = match check(cx, text)? {
        // A link is used up where it leads, and by nobody else (rule 18).
        Ok(checked) if !checked.kind.is_open() => (Reason::Unknown, None),
        Ok(checked) if store::consume(cx.tx, checked.id, cx.now)? => (Reason::Ok, Some(checked.id)),
        Ok(checked) => (Reason::UsedUp, Some(checked.id)),
        Err((reason, id)) => (reason, id),
    };
    let Some(id) = id else {
        return Ok(Lookup {
            reason,
            token: None,
        });
    };
    if reason == Reason::Ok {
        audit::record(cx, Event::new("token.consumed", object(id)))?;
    }
    Ok(Lookup {
        reason,
        token: store::by_id(cx.tx, id, cx.now)?,
    })
}
