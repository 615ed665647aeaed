//! The order in which things are shown: the same for the same seed, in every version, for ever.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014) and the shuffle of Fisher and Yates. What comes out is
//! stored nowhere but in the seed, so the algorithm must never change; a test holds it to values.

use sha2::{Digest as _, Sha256};

/// A source of numbers that look random.
#[derive(Clone, Debug)]
pub(crate) struct Shuffle(u64);

impl Shuffle {
    /// The source for one purpose under a seed.
    pub(crate) fn new(seed: i64, purpose: &str) -> Self {
        let digest = Sha256::digest(format!("{seed}/{purpose}"));
        let first = digest.iter().take(8);
        Self(first.fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, each as likely as any other.
    fn below(&mut self, end: u64) -> u64 {
        let end = end.max(1);
        let surplus = (u64::MAX % end + 1) % end;
        loop {
            let number = self.next();
            if number <= u64::MAX - surplus {
                return number % end;
            }
        }
    }

    /// Puts `things` into another order.
    pub(crate) fn mix<T>(mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let end = u64::try_from(last).unwrap_or(0) + 1;
            let other = usize::try_from(self.below(end)).unwrap_or(last);
            things.swap(last, other);
        }
    }

    /// For each place that is shown, which thing stands there.
    pub(crate) fn order(self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        self.mix(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_the_same_in_every_version() {
        assert_eq!(Shuffle::new(1, "a").order(8), FIRST);
        assert_eq!(Shuffle::new(2, "a").order(8), SECOND);
        assert_eq!(Shuffle::new(1, "b").order(0), [0; 0]);
    }

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut seen = std::collections::HashMap::new();
        for seed in 0..6000 {
            *seen.entry(Shuffle::new(seed, "").order(3)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(
            seen.values().all(|count| (900..1100).contains(count)),
            "{seen:?}"
        );
    }

    const FIRST: [usize; 8] = [7, 1, 2, 0, 5, 4, 3, 6];
    const SECOND: [usize; 8] = [7, 1, 2, 3, 6, 0, 4, 5];
}
