//! Who tries one password on many names: an address from which logins fail under too many distinct
//! names is to be blocked for a while (security.md, rule 51). Here they are counted; the block is
//! written down by `throttle`, where an operator can see it and end it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::KEYS;
use super::memory::Recent;

/// What is too much, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// More distinct names than this; 0 is no limit.
    pub names: usize,
    /// Within this time.
    pub window: Duration,
    /// How long the address is blocked then.
    pub block: Duration,
}

/// A name, as its hash, and when it failed last: the time since the start.
type Failure = (u64, Duration);

/// The addresses from which logins failed.
#[derive(Debug)]
pub(super) struct Spray {
    rule: Rule,
    start: Instant,
    failures: Mutex<Recent<IpAddr, Vec<Failure>>>,
}

/// An address that is to be blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sprayed {
    /// Under how many names logins failed.
    pub names: usize,
    /// For how long.
    pub block: Duration,
}

impl Spray {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            start: Instant::now(),
            // A name of an address is what counts as one thing to remember.
            failures: Mutex::new(Recent::new(KEYS / (rule.names + 1))),
        }
    }

    /// Notes a failure; says whether it was one too many.
    pub(super) fn note(&self, ip: IpAddr, name: u64) -> Option<Sprayed> {
        self.note_at(ip, name, self.start.elapsed())
    }

    fn note_at(&self, ip: IpAddr, name: u64, now: Duration) -> Option<Sprayed> {
        let Rule {
            names,
            window,
            block,
        } = self.rule;
        if names == 0 {
            return None;
        }
        let mut addresses = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures = addresses.get(&ip).map(std::mem::take).unwrap_or_default();
        failures.retain(|(other, at)| *other != name && at.saturating_add(window) > now);
        failures.push((name, now));
        let failed = failures.len();
        if failed <= names {
            addresses.put(ip, failures);
            return None;
        }
        // It begins anew when the block is over.
        addresses.remove(&ip);
        Some(Sprayed {
            names: failed,
            block,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    fn spray() -> Spray {
        Spray::new(Rule {
            names: 15,
            window: HOUR * 3,
            block: HOUR,
        })
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_sixteenth_name_within_three_hours_blocks_the_address_for_one() {
        let spray = spray();
        for name in 0..15 {
            for _ in 0..2 {
                assert_eq!(spray.note_at(ip(1), name, MINUTE), None, "{name}");
            }
        }
        assert_eq!(spray.note_at(ip(2), 15, MINUTE * 2), None);
        let sprayed = spray.note_at(ip(1), 15, MINUTE * 2);
        let wanted = Sprayed {
            names: 16,
            block: HOUR,
        };
        assert_eq!(sprayed, Some(wanted));
        assert_eq!(spray.note_at(ip(1), 16, MINUTE * 63), None, "begins anew");
    }

    #[test]
    fn names_that_failed_longer_ago_do_not_count() {
        let spray = spray();
        for name in 0..100 {
            let at = MINUTE * u32::try_from(name).unwrap() * 12;
            assert_eq!(spray.note_at(ip(1), name, at), None, "{name}");
        }
    }

    #[test]
    fn who_knows_many_addresses_fills_no_memory() {
        let spray = spray();
        for n in 0..u32::try_from(KEYS * 4).unwrap() {
            spray.note_at(IpAddr::from(n.to_be_bytes()), 1, MINUTE);
        }
        assert!(spray.failures.lock().unwrap().len() <= KEYS / 16);
    }

    #[test]
    fn zero_names_is_no_limit() {
        let spray = Spray::new(Rule {
            names: 0,
            window: HOUR,
            block: HOUR,
        });
        for name in 0..100 {
            assert_eq!(spray.note_at(ip(1), name, MINUTE), None);
        }
    }
}
