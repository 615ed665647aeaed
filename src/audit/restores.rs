//! Restores of the database, as far as they are sealed: what was written after the backup is not in
//! the log any more, and nobody has cut it off.

use super::store::blocks as store;
use crate::db::Tx;
use crate::error::Result;
use crate::time::Timestamp;

/// A restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// When.
    pub at: Timestamp,
    /// When the backup was made, where that is known.
    pub from: Option<Timestamp>,
}

impl Restore {
    /// Whether what was noted of the log then went with it.
    #[must_use]
    pub fn undid(&self, noted: Timestamp) -> bool {
        noted < self.at && self.from.is_none_or(|from| noted > from)
    }
}

/// Every restore of which the row is sealed, the newest first. Others anybody could have added.
///
/// # Errors
/// Those of the database.
pub fn restores(tx: &mut Tx<'_>) -> Result<Vec<Restore>> {
    if !store::has_blocks(tx)? {
        return Ok(Vec::new());
    }
    let sealed = store::state(tx)?.map_or(0, |state| state.last_id);
    store::restores(tx, sealed)
}
