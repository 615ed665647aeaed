//! The clock's mark: the latest instant that a daemon has seen (security.md, rule 65). A clock
//! that is set back cannot revive what has expired, not even over a restart.

use super::Tx;
use crate::error::Result;
use crate::time::Timestamp;

/// The mark; the epoch in a new database.
///
/// # Errors
/// Those of the database.
pub fn mark(tx: &mut Tx<'_>) -> Result<Timestamp> {
    let row = tx.first("SELECT high_water FROM clock WHERE id = 1", &[])?;
    row.map_or(Ok(Timestamp(0)), |row| row.time("high_water"))
}

/// Moves the mark up to `at`; it never moves down.
///
/// # Errors
/// Those of the database.
pub fn raise(tx: &mut Tx<'_>, at: Timestamp) -> Result<()> {
    tx.run(
        "UPDATE clock SET high_water = $1 WHERE id = 1 AND high_water < $1",
        &[at.into()],
    )?;
    Ok(())
}
