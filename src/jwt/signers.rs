//! What is pure computation and may be remembered: derived keys, and signatures that were verified.
//!
//! Invariants: memory is bounded; whether a key is still accepted is not remembered, the database
//! is asked for that with every request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};

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

type Verified = HashMap<[u8; 32], Arc<Claims>>;

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

    /// What `token` says, if `key` signed it and it holds now. A signature costs 40 µs to verify,
    /// the digest of a token that was verified before a hundredth of that.
    #[must_use]
    pub fn verify(
        &self,
        token: &str,
        parsed: &Parsed<'_>,
        key: &Key,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Option<Arc<Claims>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let [first, ..] = digest;
        let part = self.verified.get(usize::from(first) % PARTS)?;
        let lock = || part.lock().unwrap_or_else(PoisonError::into_inner);
        let before = lock().get(&digest).cloned();
        if let Some(claims) = before {
            return claims.hold(expected, now).then_some(claims);
        }
        if !key.made(parsed) {
            return None;
        }
        let claims = Arc::new(parsed.claims()?);
        if !claims.hold(expected, now) {
            return None;
        }
        let mut verified = lock();
        if verified.len() >= TOKENS {
            verified.retain(|_, claims| claims.hold(expected, now));
        }
        if verified.len() >= TOKENS {
            verified.clear();
        }
        verified.insert(digest, Arc::clone(&claims));
        Some(claims)
    }
}
