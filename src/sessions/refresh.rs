//! Refresh tokens: one is good at a time, and it is computed, not stored.
//!
//! Invariant: the guarded statement that changes a session asks once more for all that was seen.
//!
//! `pvr_` + session (22) + generation (6) + MAC (30) + check (6). Rotation is one guarded statement
//! ordered by generation, never by time (Keycloak CVE-2026-1035).

use serde_json::json;

use super::ending::note_end;
use super::model::{Limits, State, Turn};
use super::{object, signing, store};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::base62::{CHECK, checksum, digits, number};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::secret::{Secret, same};
use crate::users::User;

const PREFIX: &str = "pvr_";
const SESSION: usize = 22;
const GENERATION: usize = 6;
const MAC: usize = 30;
const LENGTH: usize = PREFIX.len() + SESSION + GENERATION + MAC + CHECK;

/// The refresh token of this session and generation; always the same.
///
/// # Errors
/// [`Error::Internal`] for what is no session's id, or for a negative generation.
pub fn refresh_token(keys: &Keys, session_id: &str, generation: i64) -> Result<Secret<String>> {
    let id = uuid::Uuid::try_parse(session_id).map_err(Error::internal)?;
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    let (high, low) = id.as_u64_pair();
    text.extend(digits::<11>(high).map(char::from));
    text.extend(digits::<11>(low).map(char::from));
    let generation = u64::try_from(generation).map_err(Error::internal)?;
    text.extend(digits::<GENERATION>(generation).map(char::from));
    let mac = mac(keys, &text);
    text.extend(mac.map(char::from));
    text.extend(checksum(text.as_bytes()).map(char::from));
    Ok(Secret::new(text))
}

/// 168 bits of HMAC-SHA-256 over what stands before it, as base62 digits.
fn mac(keys: &Keys, before: &str) -> [u8; MAC] {
    let signed = keys
        .refresh
        .sign(&[b"provost/v1/refresh\0", before.as_bytes()]);
    let (first, rest) = signed.split_at(8);
    let (second, rest) = rest.split_at(8);
    let (third, _) = rest.split_at(5);
    let word = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    let all = digits::<11>(word(first))
        .into_iter()
        .chain(digits::<11>(word(second)))
        .chain(digits::<8>(word(third)));
    let mut mac = [0; MAC];
    for (place, digit) in mac.iter_mut().zip(all) {
        *place = digit;
    }
    mac
}

/// A refresh token that we made; whether it is still good the database says.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The session that it names.
    pub session_id: String,
    generation: i64,
}

impl Presented {
    /// The generation that it is good for.
    fn next(&self) -> i64 {
        self.generation.saturating_add(1)
    }
}

/// Reads a token; nothing for any that we did not make, without asking the database.
#[must_use]
pub fn presented(keys: &Keys, text: &str) -> Option<Presented> {
    if text.len() != LENGTH || !text.is_ascii() {
        return None;
    }
    let (body, check) = text.split_at(LENGTH - CHECK);
    let (before, given) = body.split_at(LENGTH - CHECK - MAC);
    let good =
        checksum(body.as_bytes()) == check.as_bytes() && same(given.as_bytes(), &mac(keys, before));
    let rest = before.strip_prefix(PREFIX).filter(|_| good)?;
    let (id, generation) = rest.split_at(SESSION);
    let (high, low) = id.split_at(SESSION / 2);
    let id = uuid::Uuid::from_u64_pair(number(high.as_bytes())?, number(low.as_bytes())?);
    Some(Presented {
        session_id: id.to_string(),
        generation: i64::try_from(number(generation.as_bytes())?).ok()?,
    })
}

/// The session that a refresh token names, if we made it; whether it is still good the database
/// says.
#[must_use]
pub fn session_of(keys: &Keys, token: &str) -> Option<String> {
    presented(keys, token).map(|presented| presented.session_id)
}

/// What came of presenting a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// The next tokens, and the account that they are for.
    Next(Turn, Box<User>),
    /// It was used before: the session was ended, and that must be committed before the refusal
    /// is sent.
    Reused,
    /// It is not good, or no longer.
    Refused,
}

/// Exchanges a refresh token for the next turn of its session. One look and one change: the look is
/// the writer's own, whose pages are at hand. A reader would have to fetch all of them again, since
/// somebody has always just written.
///
/// # Errors
/// Those of the database; a token that is no longer good is no error, because ending the session that
/// it was stolen from has to be committed.
pub fn refresh(cx: &mut Cx<'_, '_>, presented: &Presented) -> Result<Refreshed> {
    let (id, wanted) = (&presented.session_id, signing::wanted(cx.kit));
    // What stands in the way may change between the look and the statement, once: then the second
    // look sees what it was.
    for _ in 0..2 {
        let Some(row) = store::for_refresh(cx.tx, id, wanted, cx.now)? else {
            return Ok(Refreshed::Refused);
        };
        let limits = Limits::of(cx.kit, row.facts.admin);
        if row.facts.state(cx.now, &limits) != State::Active {
            return Ok(Refreshed::Refused);
        }
        let next = presented.next();
        if row.generation == presented.generation {
            if rotate(cx, presented, &row.user.id, limits)? {
                return turn(cx, presented, row);
            }
            continue;
        }
        // Two tabs of one browser, or an answer that got lost: the same successor, not a second
        // lineage (RFC 9700 §4.14.2).
        let grace = cx.kit.config.auth.refresh_grace.0;
        if row.generation == next && cx.now.since(row.refreshed_at) < grace {
            return turn(cx, presented, row);
        }
        if row.generation < presented.generation {
            // A database that was put back: what it knows no more is not good any more.
            return Ok(Refreshed::Refused);
        }
        let reason = "an old refresh token was used";
        // Others may present it at the same moment: one event for one theft.
        if !store::set_revoked(cx.tx, id, Some(reason), cx.now)? {
            return Ok(Refreshed::Refused);
        }
        let event = Event::refused("session.refresh_reused", object(id));
        let details = json!({ "generation": presented.generation, "current": row.generation });
        audit::record(cx, event.with(details))?;
        note_end(cx, id, Some(reason))?;
        return Ok(Refreshed::Reused);
    }
    Err(Error::unavailable("the session changes too fast"))
}

/// Begins the next generation and writes that down. False, and nothing is changed, if it is not what
/// was seen any more.
fn rotate(
    cx: &mut Cx<'_, '_>,
    presented: &Presented,
    user_id: &str,
    limits: Limits,
) -> Result<bool> {
    let id = &presented.session_id;
    if !store::rotate(cx.tx, id, presented.generation, limits, cx.now)? {
        return Ok(false);
    }
    let event = Event::new("session.refreshed", object(id)).by(user_id);
    audit::record(cx, event.with(json!({ "generation": presented.next() })))?;
    Ok(true)
}

/// The turn of the generation after the presented one.
fn turn(cx: &mut Cx<'_, '_>, presented: &Presented, row: store::RefreshRow) -> Result<Refreshed> {
    let key = match row.key {
        Some(id) => (id, signing::wanted(cx.kit).0),
        None => signing::active(cx)?,
    };
    let turn = Turn {
        session_id: presented.session_id.clone(),
        user_id: row.user.id.clone(),
        generation: presented.next(),
        at: cx.now,
        expires_at: row.facts.expires_at,
        key,
    };
    Ok(Refreshed::Next(turn, Box::new(row.user)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77";

    #[test]
    fn a_refresh_token_names_its_session_and_generation() {
        let keys = Keys::ephemeral().unwrap();
        let token = refresh_token(&keys, ID, 7).unwrap();
        assert_eq!(token.expose().len(), 68);
        assert!(token.expose().starts_with("pvr_"));
        let presented = presented(&keys, token.expose()).unwrap();
        assert_eq!(
            (presented.session_id.as_str(), presented.generation),
            (ID, 7)
        );
        assert_eq!(
            token.expose(),
            refresh_token(&keys, ID, 7).unwrap().expose()
        );
    }

    #[test]
    fn no_changed_refresh_token_is_ours() {
        let keys = Keys::ephemeral().unwrap();
        let token = refresh_token(&keys, ID, 7).unwrap();
        for place in 0..LENGTH {
            let mut bytes = token.expose().clone().into_bytes();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            // As an attacker would, with a check that fits.
            let check = checksum(&bytes[..LENGTH - CHECK]);
            if place < LENGTH - CHECK {
                bytes[LENGTH - CHECK..].copy_from_slice(&check);
            }
            assert!(
                presented(&keys, std::str::from_utf8(&bytes).unwrap()).is_none(),
                "{place}"
            );
        }
        assert!(presented(&Keys::ephemeral().unwrap(), token.expose()).is_none());
        for bad in ["", "pvr_", &"é".repeat(34)] {
            assert!(presented(&keys, bad).is_none());
        }
    }
}
