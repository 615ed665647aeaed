//! Tokens that a restored backup brings back: what of them was ended, used up or renewed since is
//! not known any more. So all that proves one thing for a while is dead, and API tokens wait until
//! an operator enables them (security.md, rule 80).

mod store;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::store::ENDLESS;
use super::{Filter, Kind, State, Token, TokenId, find_one, hold_one, object};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::scope::known;

/// Whether API tokens go on to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiTokens {
    /// They are refused until an operator enables them.
    Suspend,
    /// They are as good as they were when the backup was made.
    Keep,
}

/// What [`take_back`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TakenBack {
    /// API tokens that wait for an operator.
    pub suspended: u64,
    /// Temporary tokens, links and invitations that ended.
    pub ended: u64,
    /// API tokens that were revoked since, and are again.
    pub revoked: u64,
}

/// API tokens that somebody should look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Neglected {
    /// They wait for an operator since a backup was restored.
    pub suspended: u64,
    /// They are good, and never expire.
    pub endless: u64,
}

/// Counts the API tokens that somebody should look after.
///
/// # Errors
/// [`Error::Forbidden`] without `token:read`; those of the database.
pub fn neglected(cx: &mut Cx<'_, '_>) -> Result<Neglected> {
    cx.actor.require(known::TOKEN_READ)?;
    let mut count = |state, and| {
        let filter = Filter {
            kind: Some(Kind::Api),
            state: Some(state),
            ..Filter::default()
        };
        super::store::count(cx.tx, &filter, None, and, cx.now)
    };
    Ok(Neglected {
        suspended: count(State::Suspended, "")?,
        endless: count(State::Active, ENDLESS)?,
    })
}

/// The API tokens that nobody has revoked, for [`take_back`].
///
/// # Errors
/// Those of the database.
pub fn good(cx: &mut Cx<'_, '_>) -> Result<Vec<TokenId>> {
    store::good(cx.tx)
}

/// Ends or suspends every token; API tokens that are not in `good` are revoked, if anybody knows
/// which are. To be called before all accounts begin a new epoch: API tokens go along with their
/// owner's.
///
/// # Errors
/// [`Error::Forbidden`] without `token:revoke`; those of the database.
pub fn take_back(
    cx: &mut Cx<'_, '_>,
    api: ApiTokens,
    good: Option<&[TokenId]>,
) -> Result<TakenBack> {
    cx.actor.require(known::TOKEN_REVOKE)?;
    let mut revoked = 0;
    if let Some(good) = good {
        let good: BTreeSet<i64> = good.iter().map(|id| id.0).collect();
        for id in store::good(cx.tx)? {
            if !good.contains(&id.0) {
                revoked += store::end_api(cx.tx, id, cx.now)?;
            }
        }
    }
    let suspended = match api {
        ApiTokens::Suspend => store::suspend_all(cx.tx, cx.now)?,
        ApiTokens::Keep => 0,
    };
    store::follow_owners(cx.tx)?;
    Ok(TakenBack {
        revoked,
        ended: store::end_all_but_api(cx.tx, cx.now)?,
        suspended,
    })
}

/// Lets a suspended token be used again. One that is not suspended stays as it is.
///
/// # Errors
/// [`Error::Forbidden`] without `token:create`; [`Error::ReauthenticationNeeded`];
/// [`Error::NotFound`]; [`Error::Invalid`] for a token that has ended meanwhile.
pub fn enable(cx: &mut Cx<'_, '_>, id: &str) -> Result<Token> {
    cx.actor.require(known::TOKEN_CREATE)?;
    cx.actor.require_fresh(cx.now)?;
    let token = hold_one(cx, id)?;
    if token.suspended_at.is_none() {
        return Ok(token);
    }
    if token.state != State::Suspended {
        let reason = format!(
            "is {} and cannot be enabled; issue another",
            token.state.as_str()
        );
        return Err(Error::invalid("token", reason));
    }
    resume(cx, token.id)?;
    find_one(cx, &token.id.to_string())
}

/// Enables up to `most` of the suspended tokens with ids above `above`; returns their ids in order.
/// Call it with the last of them until it returns none.
///
/// # Errors
/// [`Error::Forbidden`] without `token:create`; [`Error::ReauthenticationNeeded`].
pub fn enable_some(cx: &mut Cx<'_, '_>, above: TokenId, most: u32) -> Result<Vec<TokenId>> {
    cx.actor.require(known::TOKEN_CREATE)?;
    cx.actor.require_fresh(cx.now)?;
    let ids = store::suspended(cx.tx, above, most, cx.now)?;
    for id in &ids {
        resume(cx, *id)?;
    }
    Ok(ids)
}

fn resume(cx: &mut Cx<'_, '_>, id: TokenId) -> Result<()> {
    if store::resume(cx.tx, id)? {
        audit::record(
            cx,
            Event::new("token.enabled", object(id)).with(json!({ "was": "suspended" })),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
