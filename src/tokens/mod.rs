//! Tokens: opaque credentials that are issued, checked, used up, renewed, revoked and purged.
//!
//! Invariants: a secret is shown once and stored only as a keyed digest; a token that is revoked,
//! expired or used up, or older than its owner's `security_epoch`, is never good again; a check without a use limit writes nothing; a use is
//! taken by one guarded statement, so that `max_uses` holds under any concurrency.

mod check;
pub mod cli;
mod grant;
pub mod http;
mod leaks;
mod links;
mod model;
mod own;
mod purge;
mod store;
mod suspend;
mod text;

use serde_json::json;

pub use check::{
    Checked, Lookup, authenticate, check, confirm, consume, digest, introspect, lookup, note_use,
    take_use, write_uses,
};
pub use links::{Link, NewLink, end_links, issue_link, look_at_link, take_link};
pub use model::{Filter, Issued, NewToken, Reason, State, Token};
pub use own::{create_own, list_own, revoke_own};
pub use purge::{Gone, delete_gone, forget, gone, oldest_gone};
pub use suspend::{
    ApiTokens, Neglected, TakenBack, enable, enable_some, good, neglected, take_back,
};
pub use text::{
    Kind, LENGTH, PATTERN, Presented, Refusal, SECRET, TokenId, decimal, find, is_opaque, parse,
    prefixed,
};

use crate::app::{Cx, Who};
use crate::audit::{self, Event};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::scope::{Scopes, known};
use crate::secret::{Secret, random_base62};
use crate::time::{Lifetime, Period};
use crate::users;

/// The longest label, in characters, and the largest `meta`, in bytes of JSON.
const LABEL: usize = 200;
const META: usize = 4096;

/// Issues a token to an operator or to a program with `token:create`, which can give away only
/// what it has itself: its scopes, its network, the time that it has left, its owner.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::ReauthenticationNeeded`]; [`Error::Invalid`] for a value against
/// the rules; [`Error::NotFound`] for an owner who does not exist.
pub fn create(cx: &mut Cx<'_, '_>, new: &NewToken) -> Result<Issued> {
    cx.actor.require(known::TOKEN_CREATE)?;
    cx.actor.require_fresh(cx.now)?;
    issue(cx, new)
}

/// Issues a token to who may have one.
fn issue(cx: &mut Cx<'_, '_>, new: &NewToken) -> Result<Issued> {
    let scopes = Scopes::new(new.scopes.clone())?;
    grant::scopes(cx, &scopes)?;
    let owner = grant::owner(cx, new.owner.as_deref())?;
    let owner = owner.map(|user| owner_of_new(cx, &user)).transpose()?;
    let expires_at = grant::expiry(cx, new.kind, new.ttl)?;
    let cidr = grant::cidr(cx, new.cidr)?;
    check_label_and_meta(new)?;
    if new.max_uses == Some(0) {
        return Err(Error::invalid("max_uses", "must be at least 1"));
    }
    if let (Some(from), Some(to)) = (new.not_before, expires_at)
        && from >= to
    {
        return Err(Error::invalid(
            "not_before",
            "must be before the token expires",
        ));
    }
    let mut row = store::NewRow {
        owner_id: owner.as_ref().map(|owner| owner.id.clone()),
        owner_epoch: owner.as_ref().map(|owner| owner.epoch),
        label: new.label.clone(),
        scopes,
        not_before: new.not_before,
        max_uses: new.max_uses,
        cidr,
        meta: new.meta.clone(),
        ..store::NewRow::bare(new.kind, cx.now, expires_at)
    };
    let (id, secret) = insert(cx, &mut row)?;
    let details = json!({
        "kind": new.kind, "owner": row.owner_id, "scopes": row.scopes, "expires_at": expires_at, "max_uses": new.max_uses,
    });
    audit::record(cx, Event::new("token.created", object(id)).with(details))?;
    let token =
        store::by_id(cx.tx, id, cx.now)?.ok_or_else(|| Error::no_such("token", &id.to_string()))?;
    Ok(Issued { token, secret })
}

/// The user for whom a token is issued. State and epoch come from one row: whoever disables the
/// account between this and the commit moves the epoch, and the token is born revoked.
fn owner_of_new(cx: &mut Cx<'_, '_>, user: &str) -> Result<users::User> {
    let owner = users::resolve(cx, user)?;
    if owner.state == users::State::Active {
        Ok(owner)
    } else {
        Err(Error::invalid(
            "owner",
            "is disabled: enable the account first",
        ))
    }
}

/// Issues a temporary token without authority to anybody who asks: the older token service.
/// Nothing is read back: this is the path that has to be fast.
///
/// # Errors
/// [`Error::Invalid`] for a life outside of one minute to the longest that is configured.
pub fn create_anonymous(
    cx: &mut Cx<'_, '_>,
    ttl: Option<Period>,
) -> Result<(TokenId, Secret<String>)> {
    let expires_at = grant::expiry(cx, Kind::Temporary, ttl.map(Lifetime::For))?;
    let (id, secret) = insert(
        cx,
        &mut store::NewRow::bare(Kind::Temporary, cx.now, expires_at),
    )?;
    audit::record(cx, Event::new("token.created", object(id)))?;
    Ok((id, secret))
}

fn insert(cx: &mut Cx<'_, '_>, row: &mut store::NewRow) -> Result<(TokenId, Secret<String>)> {
    let secret = random_base62::<SECRET>()?;
    row.hint = secret.expose().chars().skip(SECRET - 4).collect();
    loop {
        row.id = TokenId(cx.kit.serials.next(cx.now)?);
        row.digest = digest(&cx.kit.keys, row.kind, row.id, secret.expose());
        // Another process can have taken the same id in the same millisecond.
        if store::insert(cx.tx, row)? {
            break;
        }
    }
    let issued = &cx.kit.metrics.tokens_issued;
    cx.counts.done(issued, row.kind.as_str());
    Ok((row.id, secret))
}

fn object(id: TokenId) -> String {
    format!("token:{id}")
}

fn check_label_and_meta(new: &NewToken) -> Result<()> {
    if let Some(label) = &new.label {
        let good =
            (1..=LABEL).contains(&label.chars().count()) && !label.chars().any(char::is_control);
        if !good {
            return Err(Error::invalid(
                "label",
                format!("must have 1 to {LABEL} printable characters"),
            ));
        }
    }
    let size = new.meta.as_ref().map_or(Ok(0), |meta| {
        serde_json::to_vec(meta).map(|json| json.len())
    });
    if size.map_err(Error::internal)? > META {
        return Err(Error::invalid(
            "meta",
            format!("must be at most {META} bytes of JSON"),
        ));
    }
    Ok(())
}

/// One token by its public id, or by the first characters of it.
///
/// # Errors
/// [`Error::Forbidden`] without `token:read`, [`Error::NotFound`], [`Error::Ambiguous`].
pub fn get(cx: &mut Cx<'_, '_>, id: &str) -> Result<Token> {
    cx.actor.require(known::TOKEN_READ)?;
    find_one(cx, id)
}

fn find_one(cx: &mut Cx<'_, '_>, id: &str) -> Result<Token> {
    let Ok((low, high)) = TokenId::starting_with(id) else {
        return Err(Error::no_such("token", id));
    };
    let mut found = store::between(cx.tx, low, high, cx.now)?;
    match (found.pop(), found.is_empty()) {
        (Some(token), true) => Ok(token),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "token",
            prefix: id.to_owned(),
        }),
        (None, _) => Err(Error::no_such("token", id)),
    }
}

/// The token as it stays until the end of the transaction: of two who have seen the same version,
/// one may change it.
fn hold_one(cx: &mut Cx<'_, '_>, id: &str) -> Result<Token> {
    let id = find_one(cx, id)?.id.to_string();
    cx.tx.lock(("token", &id))?;
    find_one(cx, &id)
}

/// Tokens, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] without `token:read`; [`Error::Invalid`] for a cursor that is none;
/// [`Error::NotFound`] for an owner who does not exist.
pub fn list(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Token>> {
    cx.actor.require(known::TOKEN_READ)?;
    page(cx, filter, cursor, limit)
}

fn page(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Token>> {
    let below = match cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::invalid("cursor", "is not one of this list"))?,
        None => TokenId(i64::MAX),
    };
    let owner = owner_id(cx, filter)?;
    let tokens = store::page(
        cx.tx,
        filter,
        owner.as_deref(),
        below,
        limit.saturating_add(1),
        cx.now,
    )?;
    Ok(Page::cut(tokens, limit, |token| token.id.to_string()))
}

/// How many tokens `filter` finds.
///
/// # Errors
/// As [`list`].
pub fn count_matching(cx: &mut Cx<'_, '_>, filter: &Filter) -> Result<u64> {
    cx.actor.require(known::TOKEN_READ)?;
    let owner = owner_id(cx, filter)?;
    store::count(cx.tx, filter, owner.as_deref(), "", cx.now)
}

/// How many tokens of the user with this id could still be used, now or later, kind by kind. For
/// other slices, whose verbs check what the actor may do.
///
/// # Errors
/// Those of the database.
pub fn live_of(cx: &mut Cx<'_, '_>, user_id: &str) -> Result<Vec<(Kind, u64)>> {
    store::live_of(cx.tx, user_id, cx.now)
}

/// Whether the token with this id ended with everything that its owner had opened.
///
/// # Errors
/// [`Error::NotFound`]; those of the database.
pub fn ended_with_owner(cx: &mut Cx<'_, '_>, id: TokenId) -> Result<bool> {
    let row = store::for_check(cx.tx, id)?;
    let row = row.ok_or_else(|| Error::no_such("token", &id.to_string()))?;
    Ok(row.facts.ended)
}

/// The id of the user whose tokens `filter` asks for.
fn owner_id(cx: &mut Cx<'_, '_>, filter: &Filter) -> Result<Option<String>> {
    let user = filter.owner.as_deref();
    let owner = user.map(|user| users::resolve(cx, user)).transpose()?;
    Ok(owner.map(|owner| owner.id))
}

/// How many tokens [`revoke_some`] would end if it were called until none is left.
///
/// # Errors
/// As [`list`].
pub fn count_revocable(cx: &mut Cx<'_, '_>, filter: &Filter) -> Result<u64> {
    cx.actor.require(known::TOKEN_READ)?;
    let owner = owner_id(cx, filter)?;
    store::count(cx.tx, filter, owner.as_deref(), store::LIVE, cx.now)
}

/// Whether any token is stored: then the key file that keyed it must not be replaced.
///
/// # Errors
/// Those of the database.
pub fn any(tx: &mut Tx<'_>) -> Result<bool> {
    store::any(tx)
}

/// Gives a token that is still good more time: `ttl` from now, and to a program no more than it
/// could have given when it issued the token.
///
/// # Errors
/// [`Error::Forbidden`] without `token:renew` and every scope of the token;
/// [`Error::ReauthenticationNeeded`]; [`Error::NotFound`]; [`Error::Invalid`] for a token that is
/// expired, revoked or used up, or for a life that is too long.
pub fn renew(cx: &mut Cx<'_, '_>, id: &str, ttl: Option<Lifetime>) -> Result<Token> {
    renew_if(cx, id, ttl, |_| Ok(()))
}

/// As [`renew`], if `still` has nothing against the token as it is.
///
/// # Errors
/// As [`renew`], or what `still` returns.
pub fn renew_if(
    cx: &mut Cx<'_, '_>,
    id: &str,
    ttl: Option<Lifetime>,
    still: impl FnOnce(&Token) -> Result<()>,
) -> Result<Token> {
    cx.actor.require(known::TOKEN_RENEW)?;
    cx.actor.require_fresh(cx.now)?;
    let token = hold_one(cx, id)?;
    still(&token)?;
    let expires_at = grant::renewal(cx, &token, ttl)?;
    if token
        .not_before
        .is_some_and(|from| expires_at.is_some_and(|to| from >= to))
    {
        return Err(Error::invalid(
            "ttl",
            "ends before the token starts being good",
        ));
    }
    if !store::set_expiry(cx.tx, token.id, expires_at, cx.now)? {
        let reason = format!(
            "is {} and cannot be renewed; issue another",
            token.state.as_str()
        );
        return Err(Error::invalid("token", reason));
    }
    let details = json!({ "from": token.expires_at, "to": expires_at });
    audit::record(
        cx,
        Event::new("token.renewed", object(token.id)).with(details),
    )?;
    find_one(cx, &token.id.to_string())
}

/// Ends a token. Ending one that has ended already changes nothing and is no error.
///
/// # Errors
/// [`Error::Forbidden`] without `token:revoke`; [`Error::NotFound`].
pub fn revoke(cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<Token> {
    revoke_if(cx, id, reason, |_| Ok(()))
}

/// As [`revoke`], if `still` has nothing against the token as it is.
///
/// # Errors
/// As [`revoke`], or what `still` returns.
pub fn revoke_if(
    cx: &mut Cx<'_, '_>,
    id: &str,
    reason: Option<&str>,
    still: impl FnOnce(&Token) -> Result<()>,
) -> Result<Token> {
    cx.actor.require(known::TOKEN_REVOKE)?;
    let token = hold_one(cx, id)?;
    still(&token)?;
    end(cx, token.id, reason)?;
    find_one(cx, &token.id.to_string())
}

fn end(cx: &mut Cx<'_, '_>, id: TokenId, reason: Option<&str>) -> Result<bool> {
    let ended = store::set_revoked(cx.tx, id, cx.now)?;
    if ended {
        audit::record(
            cx,
            Event::new("token.revoked", object(id)).with(json!({ "reason": reason })),
        )?;
    }
    Ok(ended)
}

/// Ends the token that is presented (RFC 7009 §2): an unknown one is no error. Whoever has
/// `token:revoke` may end any, everybody else only the one with which the request is made.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn revoke_presented(cx: &mut Cx<'_, '_>, text: &str) -> Result<()> {
    let row = match parse(text) {
        Ok(presented) => check::matching(cx, &presented)?,
        Err(_) => None,
    };
    let own = match (&cx.actor.who, &row) {
        (Who::Token { id, .. }, Some(row)) => *id == row.checked.id.to_string(),
        _ => false,
    };
    if !own {
        cx.actor.require(known::TOKEN_REVOKE)?;
    }
    match row {
        Some(row) => end(cx, row.checked.id, None).map(|_| ()),
        None => Ok(()),
    }
}

/// Ends up to `most` of the live tokens that `filter` finds with ids above `above`; returns their
/// ids in order. Call it with the last of them until it returns none: each call is one short
/// transaction, which does not look again at what the ones before it ended.
///
/// # Errors
/// [`Error::Forbidden`] without `token:revoke`.
pub fn revoke_some(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    reason: Option<&str>,
    above: TokenId,
    most: u32,
) -> Result<Vec<TokenId>> {
    cx.actor.require(known::TOKEN_REVOKE)?;
    let owner = owner_id(cx, filter)?;
    let ids = store::live_ids(cx.tx, filter, owner.as_deref(), (above, most), cx.now)?;
    for id in &ids {
        end(cx, *id, reason)?;
    }
    Ok(ids)
}

/// Removes the row of a temporary token that was found expired: the older service's clients
/// expect it to be gone.
///
/// # Errors
/// Those of the database.
pub fn remove_expired(cx: &mut Cx<'_, '_>, id: TokenId) -> Result<()> {
    if store::delete_expired_one(cx.tx, id, cx.now)? {
        audit::record(cx, Event::new("token.removed", object(id)))?;
    }
    Ok(())
}

/// Rows that [`clear_some`] deletes in one transaction.
const CLEARED: u32 = 1000;

/// Deletes some of the temporary tokens that have expired; whether there may be more.
///
/// # Errors
/// Those of the database.
pub fn clear_some(cx: &mut Cx<'_, '_>) -> Result<bool> {
    let deleted = store::delete_expired(cx.tx, Kind::Temporary, cx.now, CLEARED)?;
    if deleted > 0 {
        audit::record(
            cx,
            Event::new("token.cleared", "token:*").with(json!({ "deleted": deleted })),
        )?;
    }
    Ok(deleted == u64::from(CLEARED))
}

#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod owner_tests;
#[cfg(test)]
mod tests;
