//! Refused requests in the log: the first of a minute one by one, a flood as its number.
//!
//! Invariant: whoever asks, however often, adds at most `FIRST` rows and a count for each of at most
//! `KEYS` keys in a minute: a flood can fill neither the table nor the memory (security.md,
//! rule 67). No row holds what was presented as a credential.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Actor, Who};
use crate::error::Error;
use crate::rate::network;
use crate::time::Timestamp;

/// Rows that are written one by one for a key in a window.
const FIRST: u64 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// Keys that are told apart in a window.
const KEYS: usize = if cfg!(test) { 20 } else { 1000 };

/// A row to be written as [`Denial::actor`].
#[derive(Clone, Debug)]
pub struct Denial {
    /// Who was refused.
    pub actor: Actor,
    route: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// This one.
    One {
        code: &'static str,
        needs: Option<String>,
    },
    /// So many more.
    More(u64),
}

impl Denial {
    /// Where it was refused: `GET /api/v1/tokens`.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// What there is to say of it.
    #[must_use]
    pub fn details(&self) -> Json {
        match &self.what {
            What::One { code, needs } => json!({ "code": code, "needs": needs }),
            What::More(count) => json!({ "more": count }),
        }
    }
}

/// Refusals of the last minute, by who was refused from where on which route.
#[derive(Debug, Default)]
pub struct Denials(Mutex<HashMap<Key, Tally>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    actor: String,
    ip: Option<IpAddr>,
    route: String,
}

#[derive(Debug)]
struct Tally {
    since: Timestamp,
    seen: u64,
    actor: Actor,
}

impl Tally {
    const fn starting(since: Timestamp, actor: Actor) -> Self {
        Self {
            since,
            seen: 0,
            actor,
        }
    }

    fn over(&self, now: Timestamp) -> bool {
        now.since(self.since) >= WINDOW
    }

    /// What was not written one by one.
    fn rest(self, key: Key) -> Option<Denial> {
        let more = self.seen.saturating_sub(FIRST);
        (more > 0).then_some(Denial {
            actor: self.actor,
            route: key.route,
            what: What::More(more),
        })
    }
}

impl Denials {
    /// Notes that `actor` was refused on `route`; returns the rows that are to be written for it.
    pub fn note(&self, actor: &Actor, route: &str, error: &Error, now: Timestamp) -> Vec<Denial> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::new();
        let mut key = Key {
            actor: actor.to_string(),
            ip: actor.ip.map(network),
            route: route.to_owned(),
        };
        if tallies.get(&key).is_some_and(|tally| tally.over(now)) {
            // The job that counts may be late, or not run here at all.
            rows.extend(
                tallies
                    .remove(&key)
                    .and_then(|tally| tally.rest(key.clone())),
            );
        }
        let mut stranger = Tally::starting(now, counted(actor));
        if tallies.len() >= KEYS && !tallies.contains_key(&key) {
            // One for all others, which are only counted.
            key = Key {
                actor: String::new(),
                ip: None,
                route: "*".into(),
            };
            stranger = Tally::starting(
                now,
                Actor {
                    who: Who::Anonymous,
                    ip: None,
                    request: None,
                },
            );
            stranger.seen = FIRST;
        }
        let tally = tallies.entry(key).or_insert(stranger);
        tally.seen += 1;
        if tally.seen <= FIRST {
            let needs = if let Error::Forbidden { needs } = error {
                Some(needs.clone())
            } else {
                None
            };
            rows.push(Denial {
                actor: actor.clone(),
                route: route.to_owned(),
                what: What::One {
                    code: error.spec().code,
                    needs,
                },
            });
        }
        rows
    }

    /// Takes the counts of the windows that are over, or of all.
    #[must_use]
    pub fn take(&self, now: Timestamp, all: bool) -> Vec<Denial> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = tallies.extract_if(|_, tally| all || tally.over(now));
        over.filter_map(|(key, tally)| tally.rest(key)).collect()
    }

    /// Takes back counts that could not be written.
    pub fn give_back(&self, counts: impl IntoIterator<Item = Denial>, now: Timestamp) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for denial in counts {
            let What::More(more) = denial.what else {
                continue;
            };
            let key = Key {
                actor: denial.actor.to_string(),
                ip: denial.actor.ip.map(network),
                route: denial.route,
            };
            let tally = tallies
                .entry(key)
                .or_insert_with(|| Tally::starting(now, denial.actor));
            tally.seen = tally.seen.max(FIRST) + more;
        }
    }
}

/// A count belongs to no single request.
fn counted(actor: &Actor) -> Actor {
    Actor {
        request: None,
        ..actor.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn from(ip: &str) -> Actor {
        Actor {
            ip: Some(ip.parse().unwrap()),
            ..Actor::anonymous()
        }
    }

    /// How many rows so many refusals are worth.
    fn refuse(denials: &Denials, actor: &Actor, times: u32, now: Timestamp) -> usize {
        let one = |_| denials.note(actor, "GET /x", &Error::Unauthenticated, now);
        (0..times).map(one).map(|rows| rows.len()).sum()
    }

    fn counts(rows: &[Denial]) -> Vec<u64> {
        let count = |row: &Denial| row.details()["more"].as_u64();
        rows.iter().filter_map(count).collect()
    }

    #[test]
    fn the_first_ten_of_a_minute_are_rows_and_the_others_one_number() {
        let (denials, actor) = (Denials::default(), from("192.0.2.1"));
        assert_eq!(refuse(&denials, &actor, 1000, NOW), 10);
        assert_eq!(refuse(&denials, &from("192.0.2.2"), 3, NOW), 3);
        assert!(denials.take(NOW, false).is_empty());
        assert_eq!(counts(&denials.take(NOW.plus(WINDOW), false)), [990]);
        assert_eq!(refuse(&denials, &actor, 11, NOW.plus(WINDOW)), 10);
        assert_eq!(counts(&denials.take(NOW.plus(WINDOW), true)), [1]);
    }

    #[test]
    fn a_window_that_nobody_counted_ends_with_the_next_refusal() {
        let (denials, actor) = (Denials::default(), from("192.0.2.1"));
        refuse(&denials, &actor, 15, NOW);
        let later = NOW.plus(WINDOW);
        let rows = denials.note(&actor, "GET /x", &Error::Unauthenticated, later);
        assert_eq!((rows.len(), counts(&rows)), (2, vec![5]));
    }

    #[test]
    fn a_count_that_could_not_be_written_is_not_lost() {
        let (denials, actor) = (Denials::default(), from("192.0.2.1"));
        refuse(&denials, &actor, 15, NOW);
        denials.give_back(denials.take(NOW, true), NOW);
        assert_eq!(refuse(&denials, &actor, 1, NOW), 0);
        assert_eq!(counts(&denials.take(NOW, true)), [6]);
    }

    #[test]
    fn a_flood_from_everywhere_is_one_number_too() {
        let denials = Denials::default();
        let rows: usize = (0..1000)
            .map(|n| refuse(&denials, &from(&format!("2001:db8:0:{n:x}::1")), 1, NOW))
            .sum();
        assert_eq!(rows, KEYS);
        assert_eq!(counts(&denials.take(NOW, true)), [980]);
    }
}
