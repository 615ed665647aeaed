//! How many rows one transaction deletes: as many as fit in the time for which the writer may be
//! held, and never more than is configured.

use std::time::Duration;

/// A batch that takes longer is followed by a smaller one; the bound is 20 ms at p99.
const LONG: Duration = Duration::from_millis(15);

/// What a smaller batch aims at.
const AIM: Duration = Duration::from_millis(8);

/// A batch that takes less is followed by a larger one.
const SHORT: Duration = Duration::from_millis(4);

/// Where to start: nobody knows yet how fast this disk is.
const FIRST: u32 = 250;

/// Below this the commit costs more than the rows.
const LEAST: u32 = 20;

/// The size of the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    rows: u32,
    most: u32,
}

impl Size {
    /// Batches of at most `most` rows.
    pub(super) fn up_to(most: u32) -> Self {
        Self {
            rows: most.min(FIRST),
            most,
        }
    }

    /// Rows of the next batch.
    pub(super) fn rows(self) -> u32 {
        self.rows
    }

    /// The size after a batch that held the writer for `took`.
    pub(super) fn after(self, took: Duration) -> Self {
        let rows = if took > LONG {
            let fits = u128::from(self.rows) * AIM.as_micros() / took.as_micros();
            u32::try_from(fits)
                .unwrap_or(self.rows)
                .max(LEAST.min(self.most))
        } else if took < SHORT {
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
        let mut size = Size::up_to(1000);
        let mut rows = vec![size.rows()];
        for _ in 0..3 {
            size = size.after(millis(1));
            rows.push(size.rows());
        }
        assert_eq!(rows, [250, 500, 1000, 1000]);
    }

    #[test]
    fn a_batch_that_held_the_writer_for_long_is_followed_by_one_that_fits() {
        let size = Size::up_to(1000).after(millis(1)).after(millis(1));
        assert_eq!(size.after(millis(80)).rows(), 100);
        assert_eq!(size.after(millis(8)), size);
    }

    #[test]
    fn a_batch_never_shrinks_to_nothing_and_never_passes_what_is_configured() {
        assert_eq!(Size::up_to(1000).after(millis(60_000)).rows(), LEAST);
        for slow in [1, 60_000] {
            assert_eq!(Size::up_to(1).after(millis(slow)).rows(), 1);
        }
    }
}
