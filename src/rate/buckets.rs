//! Token buckets: of each key, so many at once and so many in a time.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;

use super::KEYS;
use super::memory::Store;
use crate::error::{Error, Result};

/// How much flows into a bucket, and how much fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// So many come in within `per`; 0 is no limit.
    pub count: u32,
    /// The time in which they come, one after the other.
    pub per: Duration,
    /// The most that wait: what may be taken all at once. At least 1.
    pub burst: u32,
}

impl Quota {
    /// `count` in a second.
    #[must_use]
    pub const fn per_second(count: u32, burst: u32) -> Self {
        let per = Duration::from_secs(1);
        Self { count, per, burst }
    }

    /// `count` in a minute.
    #[must_use]
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        let per = Duration::from_mins(1);
        Self { count, per, burst }
    }

    /// `count` in an hour, also all at once.
    #[must_use]
    pub const fn per_hour(count: u32) -> Self {
        let per = Duration::from_hours(1);
        Self {
            count,
            per,
            burst: count,
        }
    }

    fn flow(self) -> Option<governor::Quota> {
        let burst = NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN);
        let one = self.per.checked_div(self.count)?;
        Some(governor::Quota::with_period(one)?.allow_burst(burst))
    }
}

/// What clients are told of a limit: `RateLimit-Policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The limit's name.
    pub name: &'static str,
    /// How many may be taken at once.
    pub burst: u32,
    /// In how many seconds an empty bucket is full again.
    pub window: u64,
}

type Limiter<K, C> = RateLimiter<K, Store<K>, C, StateInformationMiddleware>;

/// One bucket for each key.
pub struct Buckets<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    name: &'static str,
    quota: Quota,
    limiter: Option<Limiter<K, C>>,
}

impl<K: Hash + Eq + Clone, C: Clock> fmt::Debug for Buckets<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets")
            .field("name", &self.name)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Buckets of the limit that is called `name`.
    #[must_use]
    pub fn new(name: &'static str, quota: Quota) -> Self {
        Self::by_clock(name, quota, DefaultClock::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clock> Buckets<K, C> {
    /// The same by another clock, which must be monotonic.
    #[must_use]
    pub fn by_clock(name: &'static str, quota: Quota, clock: C) -> Self {
        let limiter = |flow| Limiter::new(flow, Store::new(KEYS), clock);
        Self {
            name,
            quota,
            limiter: quota.flow().map(limiter),
        }
    }

    /// What clients are told, where there is a limit.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        self.limiter.as_ref()?;
        let Quota { count, per, burst } = self.quota;
        let full = per.saturating_mul(burst).checked_div(count)?;
        Some(Policy {
            name: self.name,
            burst,
            window: full.as_secs() + u64::from(full.subsec_nanos() > 0),
        })
    }

    /// Takes one from the bucket of `key`; how many are left, where there is a limit.
    ///
    /// # Errors
    /// [`Error::RateLimited`] with the time until there is one again.
    pub fn take(&self, key: &K) -> Result<Option<u32>> {
        let Some(limiter) = &self.limiter else {
            return Ok(None);
        };
        match limiter.check_key(key) {
            Ok(state) => Ok(Some(state.remaining_burst_capacity())),
            Err(refused) => Err(Error::RateLimited {
                retry_after: refused.wait_time_from(limiter.clock().now()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use governor::nanos::Nanos;
    use governor::state::StateStore as _;

    use super::*;

    fn buckets(quota: Quota) -> (FakeRelativeClock, Buckets<u32, FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        (clock.clone(), Buckets::by_clock("test", quota, clock))
    }

    fn refused(buckets: &Buckets<u32, FakeRelativeClock>) -> Duration {
        match buckets.take(&7) {
            Err(Error::RateLimited { retry_after }) => retry_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_after_the_other_and_says_when() {
        for (quota, one) in [
            (Quota::per_second(50, 3), 20),
            (Quota::per_minute(10, 3), 6_000),
            (
                Quota {
                    burst: 3,
                    ..Quota::per_hour(5)
                },
                720_000,
            ),
        ] {
            let one = Duration::from_millis(one);
            let (clock, buckets) = buckets(quota);
            for left in [2, 1, 0] {
                assert_eq!(buckets.take(&7).unwrap(), Some(left));
            }
            assert_eq!(refused(&buckets), one, "{quota:?}");
            let nearly = one.checked_sub(Duration::from_millis(1)).unwrap();
            clock.advance(nearly);
            assert_eq!(refused(&buckets), Duration::from_millis(1));
            clock.advance(Duration::from_millis(1));
            assert_eq!(buckets.take(&7).unwrap(), Some(0));
            assert_eq!(refused(&buckets), one);
            assert_eq!(buckets.take(&8).unwrap(), Some(2), "another key");
            clock.advance(one * 3);
            assert_eq!(buckets.take(&7).unwrap(), Some(2), "full again");
        }
    }

    #[test]
    fn a_count_of_zero_is_no_limit_and_has_no_policy() {
        let (_, buckets) = buckets(Quota::per_hour(0));
        assert!((0..1000).all(|_| buckets.take(&1).unwrap().is_none()));
        assert_eq!(buckets.policy(), None);
    }

    #[test]
    fn the_policy_says_in_how_many_seconds_a_bucket_is_full() {
        for (quota, burst, window) in [
            (Quota::per_second(50, 500), 500, 10),
            (Quota::per_second(200, 400), 400, 2),
            (Quota::per_second(3, 1), 1, 1),
            (Quota::per_minute(10, 10), 10, 60),
            (Quota::per_hour(5), 5, 3600),
        ] {
            let policy = buckets(quota).1.policy().unwrap();
            assert_eq!((policy.burst, policy.window), (burst, window), "{quota:?}");
        }
    }

    #[test]
    fn memory_is_bounded_and_who_is_refused_is_not_forgotten_for_it() {
        let store = Store::new(KEYS);
        let (clock, buckets) = buckets(Quota::per_hour(1));
        for key in 0..u32::try_from(KEYS * 4).unwrap() {
            let state = store.measure_and_replace(&key, |_| Ok::<_, ()>(((), Nanos::new(0))));
            state.unwrap();
            assert!(buckets.take(&(key + 8)).is_ok(), "a newcomer");
            assert_eq!(buckets.take(&7).is_ok(), key == 0, "{key}");
        }
        assert!(store.len() <= KEYS, "{}", store.len());
        clock.advance(Duration::from_hours(1));
        assert!(buckets.take(&7).is_ok());
    }
}
