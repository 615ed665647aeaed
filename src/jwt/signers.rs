//! What is pure computation and may be remembered: derived keys, and signatures that were verified.
//!
//! Invariants: memory is bounded; whether a key is still accepted is not remembered, the database
//! is asked for that with every request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};

use super::parse::LONGEST;
use super::{Algorithm, Claims, Expected, Key, Parsed};
use crate::error::Result;
use crate::keys::Keys;
use crate::secret::{Secret, sha256_hex};
use crate::time::Timestamp;

/// Derived keys that are remembered: two are in use at a time, a few more after rotations.
const KEYS: usize = 16;
/// Verified tokens that are remembered, in each part.
const TOKENS: usize = 1024;
/// Parts of the memory, each with a lock of its own.
const PARTS: usize = 16;

type Verified = HashMap<[u8; 32], Arc<Token>>;

/// A token whose signature was verified.
#[derive(Debug)]
pub struct Token {
    /// What it says.
    pub claims: Claims,
    /// The id of the key that signed it.
    pub kid: String,
}

/// The keys that sign, and what they were seen to have signed.
#[derive(Default)]
pub struct Signers {
    shared: Option<Arc<Key>>,
    derived: RwLock<HashMap<String, Arc<Key>>>,
    verified: [Mutex<Verified>; PARTS],
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signers")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl Signers {
    /// With a secret that other programs share tokens are signed with that, else with keys of our
    /// own.
    #[must_use]
    pub fn new(shared: Option<&Secret<String>>) -> Self {
        let key = |secret: &Secret<String>| {
            let digest = sha256_hex(format!("provost/v1/kid/{}", secret.expose()).as_bytes());
            let id: String = digest.chars().take(16).collect();
            Arc::new(Key::hs256(secret, &format!("hs-{id}")))
        };
        Self {
            shared: shared.map(key),
            ..Self::default()
        }
    }

    /// The id of the shared key, where tokens are signed with it.
    #[must_use]
    pub fn shared(&self) -> Option<&str> {
        self.shared.as_deref().map(|key| key.id.as_str())
    }

    /// The key of this id that the database knows under this algorithm; nothing if it is a shared
    /// one that this program was not told.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) if the library refuses it.
    pub fn key(&self, keys: &Keys, id: &str, algorithm: Algorithm) -> Result<Option<Arc<Key>>> {
        if let Some(known) = self.known(id) {
            return Ok(Some(known).filter(|key| key.algorithm == algorithm));
        }
        if algorithm == Algorithm::Hs256 {
            return Ok(None);
        }
        let key = Arc::new(Key::ed25519(keys, id)?);
        let mut derived = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        if derived.len() >= KEYS {
            derived.clear();
        }
        derived.insert(id.to_owned(), Arc::clone(&key));
        Ok(Some(key))
    }

    /// The key of this id, if it was needed before.
    #[must_use]
    pub fn known(&self, id: &str) -> Option<Arc<Key>> {
        let shared = self.shared.iter().find(|key| key.id == id);
        let derived = || {
            let derived = self.derived.read().unwrap_or_else(PoisonError::into_inner);
            derived.get(id).cloned()
        };
        shared.cloned().or_else(derived)
    }

    /// `token`, if it was verified before and holds now: neither its signature nor its parts are
    /// looked at again. A signature costs 40 µs to verify, the digest a hundredth of that.
    #[must_use]
    pub fn remembered(
        &self,
        token: &str,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Option<Arc<Token>> {
        if token.len() > LONGEST {
            return None;
        }
        let digest = digest(token);
        let known = self.part(&digest)?.get(&digest).cloned();
        known.filter(|known| known.claims.hold(expected, now))
    }

    /// `token`, if `key` signed it and it holds now.
    #[must_use]
    pub fn verify(
        &self,
        token: &str,
        parsed: &Parsed<'_>,
        key: &Key,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Option<Arc<Token>> {
        let digest = digest(token);
        let known = self.part(&digest)?.get(&digest).cloned();
        if let Some(known) = known {
            return known.claims.hold(expected, now).then_some(known);
        }
        if !key.made(parsed) {
            return None;
        }
        let fresh = Arc::new(Token {
            claims: parsed.claims()?,
            kid: parsed.kid().to_owned(),
        });
        if !fresh.claims.hold(expected, now) {
            return None;
        }
        let mut verified = self.part(&digest)?;
        if verified.len() >= TOKENS {
            verified.retain(|_, known| known.claims.hold(expected, now));
        }
        if verified.len() >= TOKENS {
            verified.clear();
        }
        verified.insert(digest, Arc::clone(&fresh));
        Some(fresh)
    }

    /// The part of the memory in which this digest is, if it is anywhere.
    fn part(&self, digest: &[u8; 32]) -> Option<MutexGuard<'_, Verified>> {
        let [first, ..] = *digest;
        let part = self.verified.get(usize::from(first) % PARTS)?;
        Some(part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
