//! `Idempotency-Key`: a request that is sent again gets the first answer again.
//!
//! Invariants: the key's row, the effect and its audit row are one transaction; what is stored is
//! sealed with the key file, because an answer can hold a secret that is shown only once; the
//! same key of another caller or for another path is another key.

mod store;

use sha2::{Digest as _, Sha256};

use crate::app::Cx;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::secret::same;
use crate::time::Timestamp;

/// The name under which an answer is kept, and what it was the answer to.
#[derive(Clone, Debug)]
pub struct Key {
    digest: [u8; 32],
    request: [u8; 32],
}

/// The longest key that is accepted, in bytes.
const LONGEST: usize = 255;

impl Key {
    /// The key that `caller` sent with `body` to `route`, which is method and path.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless it has 1 to 255 visible ASCII characters.
    pub fn new(caller: &str, route: &str, key: &str, body: &[u8]) -> Result<Self> {
        if key.is_empty() || key.len() > LONGEST || !key.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let rule = "Idempotency-Key must be 1 to 255 visible ASCII characters";
            return Err(Error::Malformed(rule.into()));
        }
        let mut digest = Sha256::new();
        for part in [caller, route, key] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        Ok(Self {
            digest: digest.finalize().into(),
            request: Sha256::digest(body).into(),
        })
    }
}

/// The first answer to this key, if there was one.
///
/// # Errors
/// [`Error::IdempotencyKeyReused`] if the key came with another body then.
pub fn find(cx: &mut Cx<'_, '_>, key: &Key) -> Result<Option<Vec<u8>>> {
    let Some(kept) = store::by_digest(cx.tx, &key.digest, cx.now)? else {
        return Ok(None);
    };
    if !same(&kept.request, &keyed(cx, key)) {
        return Err(Error::IdempotencyKeyReused);
    }
    let answer = cx.kit.keys.replay.open(&key.digest, &kept.answer)?;
    Ok(Some(answer.expose().clone()))
}

/// Keeps `answer` for those who send the same request again.
///
/// # Errors
/// Those of the database; [`Error::Unavailable`] if another daemon answered the same key just now.
pub fn keep(cx: &mut Cx<'_, '_>, key: &Key, answer: &[u8]) -> Result<()> {
    let expires = cx.now.plus(cx.kit.config.idempotency.keep.0);
    let kept = store::Kept {
        request: keyed(cx, key).to_vec(),
        answer: cx.kit.keys.replay.seal(&key.digest, answer)?,
    };
    if store::insert(cx.tx, &key.digest, &kept, cx.now, expires)? {
        // Should nobody know whether the commit was done, the second try finds this row.
        cx.tx.allow_repeat();
        Ok(())
    } else {
        Err(Error::unavailable(
            "the idempotency key was used a moment ago",
        ))
    }
}

/// What is stored of the request.
fn keyed(cx: &Cx<'_, '_>, key: &Key) -> [u8; 32] {
    cx.kit.keys.request.sign(&[&key.request])
}

/// Forgets every key; returns how many there were. For a database that was put back to where it was
/// earlier: its answers speak of what is not there any more.
///
/// # Errors
/// Those of the database.
pub fn forget_all(tx: &mut Tx<'_>) -> Result<u64> {
    store::delete_all(tx)
}

/// How many keys have expired by `until`, and when the first of them did.
///
/// # Errors
/// Those of the database.
pub fn expired(tx: &mut Tx<'_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    store::expired(tx, until)
}

/// When the first of the keys expired that have expired by `until`: a look-up, not a count.
///
/// # Errors
/// Those of the database.
pub fn oldest_expired(tx: &mut Tx<'_>, until: Timestamp) -> Result<Option<Timestamp>> {
    store::oldest_expired(tx, until)
}

/// Deletes at most `most` keys that have expired by `until`; returns how many.
///
/// # Errors
/// Those of the database.
pub fn delete_expired(tx: &mut Tx<'_>, until: Timestamp, most: u32) -> Result<u64> {
    store::delete_expired(tx, until, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Actor, App};

    fn key(caller: &str, key: &str, body: &str) -> Key {
        Key::new(caller, "POST /x", key, body.as_bytes()).unwrap()
    }

    fn find_at(app: &App, now: i64, key: Key) -> Result<Option<Vec<u8>>> {
        app.at(Timestamp(now), &Actor::anonymous(), move |cx| {
            find(cx, &key)
        })
    }

    fn kept() -> App {
        let app = App::memory();
        let first = key("a", "k", "body");
        app.at(Timestamp(0), &Actor::anonymous(), move |cx| {
            keep(cx, &first, b"answer")
        })
        .unwrap();
        app
    }

    #[test]
    fn the_same_request_gets_the_first_answer_for_a_day() {
        let app = kept();
        assert_eq!(
            find_at(&app, 1, key("a", "k", "body")).unwrap().unwrap(),
            b"answer"
        );
        assert_eq!(
            find_at(&app, 86_400_000, key("a", "k", "body")).unwrap(),
            None
        );
    }

    #[test]
    fn another_body_under_the_same_key_is_refused() {
        let error = find_at(&kept(), 1, key("a", "k", "other")).unwrap_err();
        assert!(matches!(error, Error::IdempotencyKeyReused));
    }

    #[test]
    fn another_caller_and_another_key_are_strangers() {
        let app = kept();
        assert_eq!(find_at(&app, 1, key("b", "k", "body")).unwrap(), None);
        assert_eq!(find_at(&app, 1, key("a", "l", "body")).unwrap(), None);
    }

    #[test]
    fn a_stored_answer_cannot_be_read_from_the_database() {
        let app = kept();
        let rows = app
            .db()
            .read(|tx| tx.all("SELECT answer FROM idempotency_keys LIMIT 1", &[]))
            .unwrap();
        let stored = rows[0].bytes("answer").unwrap();
        assert!(!stored.windows(6).any(|window| window == b"answer"));
    }

    #[test]
    fn refuses_an_empty_an_endless_and_an_unprintable_key() {
        for bad in ["", "a b", "a\u{e9}", &"k".repeat(256)] {
            assert!(Key::new("a", "r", bad, b"").is_err());
        }
    }

    #[test]
    fn only_what_has_expired_is_deleted() {
        let app = kept();
        let deleted = |until: i64| {
            app.db()
                .write(move |tx| delete_expired(tx, Timestamp(until), 10))
                .unwrap()
        };
        assert_eq!(deleted(86_399_999), 0);
        assert_eq!(deleted(86_400_000), 1);
    }

    #[test]
    fn a_stored_digest_of_a_body_cannot_be_guessed_without_the_key_file() {
        let app = kept();
        let rows = app
            .db()
            .read(|tx| tx.all("SELECT request FROM idempotency_keys LIMIT 1", &[]))
            .unwrap();
        let guess: [u8; 32] = Sha256::digest(b"body").into();
        assert_ne!(rows[0].bytes("request").unwrap(), guess);
    }
}
