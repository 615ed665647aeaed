//! The keys that sign access tokens: which of them signs, which are still accepted.
//!
//! Invariants: a new key is published for a while before it signs, so that whoever keeps a copy of
//! the published ones has it in time; an old one is accepted until the last token that it signed has
//! ended. The row of a key is read with every request that presents a token of it; the key itself
//! is derived from the key file (security.md, rule 25).

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::store::keys;
use crate::app::{Cx, Kit};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::jwt::{Algorithm, Key, Public};
use crate::scope::known;
use crate::secret::random_base62;
use crate::time::Timestamp;
use crate::users;

/// A new key is published for so long before it signs.
const PUBLISHED: Duration = Duration::from_mins(10);
/// An old key is accepted for so long after the last of its tokens has ended.
const AFTER: Duration = Duration::from_mins(5);
/// A key signs no longer than that.
const LIFE: Duration = Duration::from_hours(24 * 90);

/// A key as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SigningKey {
    /// Its id, the `kid` of a token.
    pub id: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// What it is good for now.
    pub state: KeyState,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Since when it signs.
    #[schema(value_type = String, format = DateTime)]
    pub signs_from: Timestamp,
    /// Until when its tokens are accepted; null while it has no successor.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub accepted_until: Option<Timestamp>,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, and will sign soon.
    Next,
    /// It signs.
    Active,
    /// It signs no more; its tokens are accepted.
    Retiring,
    /// Its tokens are refused.
    Retired,
}

/// What came of a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Rotation {
    /// The new key.
    pub id: String,
    /// From when on it signs.
    #[schema(value_type = String, format = DateTime)]
    pub signs_from: Timestamp,
    /// Until when tokens of the keys before it are accepted.
    #[schema(value_type = String, format = DateTime)]
    pub accepted_until: Timestamp,
    /// For how many accounts everything was ended that they had opened.
    pub ended_accounts: u64,
}

/// How tokens are signed here, and the one key that may do it, where that is a shared one.
pub(super) fn wanted(kit: &Kit) -> (Algorithm, Option<&str>) {
    match kit.signers.shared() {
        Some(id) => (Algorithm::Hs256, Some(id)),
        None => (Algorithm::EdDsa, None),
    }
}

/// The key that signs now; the first is made when it is needed.
pub(super) fn active(cx: &mut Cx<'_, '_>) -> Result<(String, Algorithm)> {
    let (algorithm, shared) = wanted(cx.kit);
    let shared = shared.map(str::to_owned);
    if let Some(id) = keys::active(cx.tx, algorithm, shared.as_deref(), cx.now)? {
        return Ok((id, algorithm));
    }
    cx.tx.lock(("signing", "keys"))?;
    // Whoever has made it meanwhile may have begun a moment later than this.
    let soon = cx.now.plus(PUBLISHED);
    if let Some(id) = keys::active(cx.tx, algorithm, shared.as_deref(), soon)? {
        return Ok((id, algorithm));
    }
    let id = match shared {
        Some(id) => id,
        None => fresh()?,
    };
    if !keys::insert(cx.tx, &id, algorithm, cx.now, cx.now)? {
        return Err(Error::Config(
            "SECRET_KEY was retired as compromised: set another one".into(),
        ));
    }
    let event = Event::new("key.created", object(&id));
    audit::record(cx, event.with(json!({ "algorithm": algorithm })))?;
    Ok((id, algorithm))
}

fn fresh() -> Result<String> {
    random_base62::<16>().map(|id| id.expose().clone())
}

fn object(id: &str) -> String {
    format!("key:{id}")
}

/// The key of this id, if tokens of it may be good: for who meets it for the first time.
///
/// # Errors
/// [`Error::Unauthenticated`] if there is none; those of the database.
pub fn learn_key(cx: &mut Cx<'_, '_>, id: &str) -> Result<Arc<Key>> {
    let known = keys::algorithm(cx.tx, id)?;
    let accepted = known.filter(|(_, until)| until.is_none_or(|until| until > cx.now));
    let (algorithm, _) = accepted.ok_or(Error::Unauthenticated)?;
    let key = cx.kit.signers.key(&cx.kit.keys, id, algorithm)?;
    key.ok_or(Error::Unauthenticated)
}

/// Every key, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] without `key:read`.
pub fn list_keys(cx: &mut Cx<'_, '_>) -> Result<Vec<SigningKey>> {
    cx.actor.require(known::KEY_READ)?;
    let shared = cx.kit.signers.shared().map(str::to_owned);
    let (mut signs, now) = (shared.is_none(), cx.now);
    let rows = keys::all(cx.tx)?.into_iter();
    let listed = rows.map(|row| {
        let ours = match row.algorithm {
            Algorithm::EdDsa => shared.is_none(),
            Algorithm::Hs256 => shared.as_deref() == Some(row.id.as_str()),
        };
        let state = if row.accepted_until.is_some_and(|until| until <= now) {
            KeyState::Retired
        } else if row.signs_from > now {
            KeyState::Next
        } else if ours && (signs || row.algorithm == Algorithm::Hs256) {
            // The newest that may sign does.
            signs = false;
            KeyState::Active
        } else {
            KeyState::Retiring
        };
        SigningKey {
            id: row.id,
            algorithm: row.algorithm,
            state,
            created_at: row.created_at,
            signs_from: row.signs_from,
            accepted_until: row.accepted_until,
        }
    });
    Ok(listed.collect())
}

/// The public halves of the keys whose tokens are accepted, also of the one that will sign soon.
///
/// # Errors
/// Those of the database.
pub fn jwks(cx: &mut Cx<'_, '_>) -> Result<Vec<Public>> {
    let mut published = Vec::new();
    for row in keys::all(cx.tx)? {
        let accepted = row.accepted_until.is_none_or(|until| until > cx.now);
        if accepted && row.algorithm == Algorithm::EdDsa {
            let key = cx.kit.signers.key(&cx.kit.keys, &row.id, row.algorithm)?;
            published.extend(key.and_then(|key| key.public().cloned()));
        }
    }
    Ok(published)
}

/// Puts a new key in the place of the one that signs. Of a compromised one nothing is accepted any
/// more, at once, and everything that any account has opened is ended.
///
/// # Errors
/// [`Error::Forbidden`] without `key:rotate`; [`Error::Invalid`] while access tokens are signed
/// with `SECRET_KEY`, or a new key is on its way already.
pub fn rotate(cx: &mut Cx<'_, '_>, compromised: bool) -> Result<Rotation> {
    cx.actor.require(known::KEY_ROTATE)?;
    if cx.kit.signers.shared().is_some() {
        return Err(Error::invalid(
            "key",
            "cannot be rotated here: SECRET_KEY signs access tokens; set another one and restart the daemon",
        ));
    }
    cx.tx.lock(("signing", "keys"))?;
    if !compromised {
        let rows = keys::all(cx.tx)?;
        if let Some(next) = rows.iter().find(|row| {
            let accepted = row.accepted_until.is_none_or(|until| until > cx.now);
            row.signs_from > cx.now && accepted
        }) {
            let reason = format!(
                "{} is on its way and signs from {}",
                next.id, next.signs_from
            );
            return Err(Error::invalid("key", reason));
        }
    }
    put_new(cx, compromised)
}

/// Accepts nothing any more that any key of the database has signed, and ends everything that any
/// account has opened; returns for how many. For a database with `SECRET_KEY`, whose keys sign
/// again once that is taken away.
///
/// # Errors
/// [`Error::Forbidden`] without `key:rotate`.
pub fn distrust(cx: &mut Cx<'_, '_>) -> Result<u64> {
    cx.actor.require(known::KEY_ROTATE)?;
    cx.tx.lock(("signing", "keys"))?;
    keys::retire(cx.tx, Algorithm::EdDsa, "", cx.now)?;
    users::end_everyone(cx)
}

/// Rotates if the key that signs has done so for long enough; returns whether it did.
///
/// # Errors
/// [`Error::Forbidden`] without `key:rotate`.
pub fn rotate_if_due(cx: &mut Cx<'_, '_>) -> Result<bool> {
    cx.actor.require(known::KEY_ROTATE)?;
    if cx.kit.signers.shared().is_some() {
        return Ok(false);
    }
    cx.tx.lock(("signing", "keys"))?;
    let rows = keys::all(cx.tx)?;
    let newest = rows.iter().find(|row| row.algorithm == Algorithm::EdDsa);
    if newest.is_none_or(|row| cx.now.since(row.signs_from) < LIFE) {
        return Ok(false);
    }
    put_new(cx, false).map(|_| true)
}

fn put_new(cx: &mut Cx<'_, '_>, compromised: bool) -> Result<Rotation> {
    let id = fresh()?;
    let signs_from = if compromised {
        cx.now
    } else {
        cx.now.plus(PUBLISHED)
    };
    let accepted_until = if compromised {
        cx.now
    } else {
        signs_from.plus(cx.kit.config.auth.access_ttl.0).plus(AFTER)
    };
    if !keys::insert(cx.tx, &id, Algorithm::EdDsa, signs_from, cx.now)? {
        return Err(Error::internal("a fresh id was taken"));
    }
    keys::retire(cx.tx, Algorithm::EdDsa, &id, accepted_until)?;
    let ended_accounts = if compromised {
        users::end_everyone(cx)?
    } else {
        0
    };
    let details = json!({ "compromised": compromised, "signs_from": signs_from,
        "accepted_until": accepted_until, "ended_accounts": ended_accounts });
    audit::record(cx, Event::new("key.rotated", object(&id)).with(details))?;
    Ok(Rotation {
        id,
        signs_from,
        accepted_until,
        ended_accounts,
    })
}
