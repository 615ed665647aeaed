//! Deleting what the throttle need not remember any longer.

use std::time::Duration;

use super::{RESET, curve, store};
use crate::db::Tx;
use crate::error::Result;
use crate::time::Timestamp;

/// Sorts of rows that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Failures whose count would begin anew; never those by which an account is off.
    Failures,
    /// Networks from which nobody logged in for long.
    Networks,
    /// Bans that expired.
    Bans,
}

impl Ended {
    /// How long after the instant in its row it has ended.
    const fn keep(self) -> Duration {
        match self {
            Self::Failures => RESET,
            Self::Networks => curve::KNOWN,
            Self::Bans => Duration::ZERO,
        }
    }
}

/// How many have ended by `until`, and when the first of them did.
///
/// # Errors
/// Those of the database.
pub fn count_ended(
    tx: &mut Tx<'_>,
    sort: Ended,
    until: Timestamp,
) -> Result<(u64, Option<Timestamp>)> {
    let (count, first) = store::count_ended(tx, sort, until.minus(sort.keep()))?;
    Ok((count, first.map(|at| at.plus(sort.keep()))))
}

/// When the first of those ended that have ended by `until`: a look-up, not a count.
///
/// # Errors
/// Those of the database.
pub fn oldest_ended(tx: &mut Tx<'_>, sort: Ended, until: Timestamp) -> Result<Option<Timestamp>> {
    let first = store::first_ended(tx, sort, until.minus(sort.keep()))?;
    Ok(first.map(|at| at.plus(sort.keep())))
}

/// Deletes at most `most` of them, the longest gone first; returns how many.
///
/// # Errors
/// Those of the database.
pub fn delete_ended(tx: &mut Tx<'_>, sort: Ended, until: Timestamp, most: u32) -> Result<u64> {
    store::delete_ended(tx, sort, until.minus(sort.keep()), most)
}
