//! How many rows one transaction deletes: as many as fit in the time for which the writer may be
//! held, and never more than is configured.

use std::time::Duration;

/// For how long a batch should hold the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// A batch that takes longer is followed by a smaller one.
    long: Duration,
    /// What a smaller batch aims at.
    aim: Duration,
    /// A batch that takes less is followed by a larger one.
    short: Duration,
}

impl Pace {
    /// In the daemon, where others wait in the same queue: what they wait for should be about as
    /// long as the commit that they wait for anyway.
    pub(super) const AMONG_OTHERS: Self = Self {
        long: Duration::from_micros(700),
        aim: Duration::from_micros(400),
        short: Duration::from_micros(150),
    };

    /// In a command, which pays for a transaction and a rest with each batch; the bound is 20 ms
    /// at p99.
    pub(super) const ALONE: Self = Self {
        long: Duration::from_millis(15),
        aim: Duration::from_millis(8),
        short: Duration::from_millis(4),
    };
}

/// Where to start: nobody knows yet how fast this disk is.
const FIRST: u32 = 250;

/// Below this the commit costs more than the rows.
const LEAST: u32 = 20;

/// The size of the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    rows: u32,
    most: u32,
    pace: Pace,
}

impl Size {
    /// Batches of at most `most` rows.
    pub(super) fn up_to(most: u32, pace: Pace) -> Self {
        Self {
            rows: most.min(FIRST),
            most,
            pace,
        }
    }

    /// Rows of the next batch.
    pub(super) fn rows(self) -> u32 {
        self.rows
    }

    /// The size after a batch that held the writer for `took`.
    pub(super) fn after(self, took: Duration) -> Self {
        let rows = if took > self.pace.long {
            let fits = u128::from(self.rows) * self.pace.aim.as_micros() / took.as_micros();
            u32::try_from(fits)
                .unwrap_or(self.rows)
                .max(LEAST.min(self.most))
        } else if took < self.pace.short {
            self.rows.saturating_mul(2).min(self.most)
        } else {
            self.rows
        };
        Self { rows, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_batch_grows_while_it_is_quick_up_to_what_is_configured() {
        let mut size = Size::up_to(1000, Pace::ALONE);
        let mut rows = vec![size.rows()];
        for _ in 0..3 {
            size = size.after(millis(1));
            rows.push(size.rows());
        }
        assert_eq!(rows, [250, 500, 1000, 1000]);
    }

    #[test]
    fn a_batch_that_held_the_writer_for_long_is_followed_by_one_that_fits() {
        let size = Size::up_to(1000, Pace::ALONE)
            .after(millis(1))
            .after(millis(1));
        assert_eq!(size.after(millis(80)).rows(), 100);
        assert_eq!(size.after(millis(8)), size);
    }

    #[test]
    fn a_batch_that_others_wait_for_is_kept_shorter() {
        let size = Size::up_to(1000, Pace::AMONG_OTHERS);
        assert_eq!(size.after(millis(4)).rows(), 25);
        assert_eq!(size.after(Duration::from_micros(300)), size);
    }

    #[test]
    fn a_batch_never_shrinks_to_nothing_and_never_passes_what_is_configured() {
        assert_eq!(
            Size::up_to(1000, Pace::ALONE).after(millis(60_000)).rows(),
            LEAST
        );
        for slow in [1, 60_000] {
            assert_eq!(Size::up_to(1, Pace::ALONE).after(millis(slow)).rows(), 1);
        }
    }
}
