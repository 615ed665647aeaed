//! Maps that never grow beyond a bound: when one is full, what was not asked for of late goes.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

/// A map of at most `most` weighted entries. They are kept in two halves: what is asked for moves
/// into the young one, and when that is full it becomes the old one, whose entries are forgotten.
/// Evicting costs nothing then, and who fills the memory pushes out the oldest, never the newcomer.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    most: usize,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            most,
        }
    }

    /// The value of `key`, which counts as new from now on.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.put(key, value);
        }
        self.young.get_mut(key)
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= (self.most / 2).max(1) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// So many parts, each under a lock of its own: requests on several threads seldom meet.
const PARTS: usize = 16;

/// Where governor keeps when each bucket is full again.
pub(super) struct Store<K> {
    parts: [Mutex<Recent<K, Nanos>>; PARTS],
    hasher: RandomState,
}

impl<K: Hash + Eq + Clone> Store<K> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::new(Recent::new(most / PARTS))),
            hasher: RandomState::new(),
        }
    }

    fn part(&self, key: &K) -> MutexGuard<'_, Recent<K, Nanos>> {
        let place = usize::try_from(self.hasher.hash_one(key) % 16).unwrap_or(0);
        let [first, ..] = &self.parts;
        let part = self.parts.get(place).unwrap_or(first);
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let parts = self.parts.iter();
        parts.map(|part| part.lock().unwrap().len()).sum()
    }
}

impl<K> fmt::Debug for Store<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> StateStore for Store<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut part = self.part(key);
        if let Some(full) = part.get(key) {
            let (outcome, after) = f(Some(*full))?;
            *full = after;
            Ok(outcome)
        } else {
            let (outcome, after) = f(None)?;
            part.put(key.clone(), after);
            Ok(outcome)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes_when_there_is_no_more_room() {
        let mut recent = Recent::new(8);
        for key in 0..1000 {
            recent.put(key, key);
            assert!(recent.get(&0).is_some(), "after {key}");
            assert!(recent.len() <= 8);
        }
        assert_eq!(recent.get(&500), None);
        assert_eq!(recent.get(&999), Some(&mut 999));
    }

    #[test]
    fn a_key_is_in_one_half_only() {
        let mut recent = Recent::new(4);
        for key in [1, 2, 3, 1] {
            recent.put(key, key);
        }
        recent.remove(&1);
        assert_eq!(recent.get(&1), None);
    }
}
