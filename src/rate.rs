//! Token buckets by key, for limits that hold in this process and may be forgotten at a restart.
//!
//! Invariants: the clock is monotonic, memory is bounded, a refusal says honestly when to come back
//! (security.md, rule 53; RFC 6585 §4).

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::error::{Error, Result};

/// More keys than this are not remembered.
const KEYS: usize = if cfg!(test) { 1_000 } else { 100_000 };

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// One bucket for each key: `per_second` flow in, at most `burst` wait.
pub struct Buckets<K: Hash + Eq + Clone> {
    limiter: Option<Limiter<K>>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets")
            .field("limited", &self.limiter.is_some())
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// `per_second` of 0 is no limit.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        let quota = NonZeroU32::new(per_second).map(|rate| {
            Quota::per_second(rate).allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
        });
        Self {
            limiter: quota.map(|quota| RateLimiter::dashmap(quota).with_middleware()),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one from the bucket of `key`; how many are left, where there is a limit.
    ///
    /// # Errors
    /// [`Error::RateLimited`] with the time until there is one again, or when there are more keys
    /// than memory should hold.
    pub fn take(&self, key: &K) -> Result<Option<u32>> {
        let Some(limiter) = &self.limiter else {
            return Ok(None);
        };
        if limiter.len() > KEYS && self.tidy() > KEYS {
            return Err(Error::RateLimited {
                retry_after: Duration::from_secs(1),
            });
        }
        match limiter.check_key(key) {
            Ok(state) => Ok(Some(state.remaining_burst_capacity())),
            Err(refused) => Err(Error::RateLimited {
                retry_after: refused.wait_time_from(self.clock.now()),
            }),
        }
    }

    /// Forgets the buckets that are full again. Returns how many are left.
    fn tidy(&self) -> usize {
        let Some(limiter) = &self.limiter else {
            return 0;
        };
        limiter.retain_recent();
        limiter.shrink_to_fit();
        limiter.len()
    }
}

/// An address as limits see it: one IPv4 address, or the /64 that one IPv6 customer has.
#[must_use]
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The buckets of the daemon.
#[derive(Debug)]
pub struct Rates {
    /// Tokens issued without a credential, by address.
    pub issue: Buckets<IpAddr>,
    /// Requests with an API token, by its id.
    pub api: Buckets<i64>,
}

impl Rates {
    /// The buckets that the settings ask for.
    #[must_use]
    pub fn new(settings: &crate::config::Throttle) -> Self {
        Self {
            issue: Buckets::new(settings.issue_per_second, settings.issue_burst),
            api: Buckets::new(settings.api_per_second, settings.api_burst),
        }
    }

    /// Takes one token's issue from the bucket of `ip`; those who come by a Unix socket share one.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub fn take_issue(&self, ip: Option<IpAddr>) -> Result<Option<u32>> {
        self.issue
            .take(&ip.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_says_when_to_come_back() {
        let buckets = Buckets::new(1, 3);
        assert_eq!((0..3).filter(|_| buckets.take(&7).is_ok()).count(), 3);
        let refused = buckets.take(&7).unwrap_err();
        assert!(
            matches!(refused, Error::RateLimited { retry_after } if retry_after <= Duration::from_secs(1))
        );
        assert!(buckets.take(&8).is_ok());
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let buckets = Buckets::new(0, 1);
        assert!((0..1000).all(|_| buckets.take(&1).is_ok()));
    }

    #[test]
    fn an_ipv6_customer_has_one_bucket_and_mapped_ipv4_is_ipv4() {
        let one: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let two: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        assert_eq!(network(one), network(two));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn more_keys_than_memory_should_hold_are_refused_until_some_are_forgotten() {
        let buckets = Buckets::new(1, 3);
        let most = i64::try_from(KEYS).unwrap();
        for key in 0..=most {
            buckets.take(&key).unwrap();
        }
        assert!(matches!(buckets.take(&-1), Err(Error::RateLimited { .. })));
    }
}
