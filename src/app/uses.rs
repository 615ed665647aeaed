//! What was used when: gathered, and written later.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::time::Timestamp;

/// When things were last used, gathered until a job writes it: that costs no write on the request
/// path. Losing it loses nothing but a display value, and some seconds of a session's rest.
#[derive(Debug)]
pub struct Uses<K>(Mutex<HashMap<K, Timestamp>>);

impl<K> Default for Uses<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Uses<K> {
    /// More things than this between two writes are not remembered.
    const MOST: usize = 100_000;

    /// Notes that `thing` was used.
    pub fn note(&self, thing: K, at: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < Self::MOST || uses.contains_key(&thing) {
            // What could not be written comes back here, and may be older by then.
            let noted = uses.entry(thing).or_insert(at);
            *noted = at.max(*noted);
        }
    }

    /// Takes what was noted.
    #[must_use]
    pub fn take(&self) -> Vec<(K, Timestamp)> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.drain().collect()
    }
}
