//! Forgetting people: of an account that was deleted long enough ago only the id stays, so that
//! what it did still has a name, but not a person's.

mod store;

use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::Result;
use crate::time::Timestamp;

/// How many accounts can be erased that could not be restored any more at `until`, and since when
/// the first of them cannot.
///
/// # Errors
/// Those of the database.
pub fn erasable(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    let period = cx.kit.config.auth.restore_period.0;
    let (count, first) = store::count(cx.tx, until.minus(period))?;
    Ok((count, first.map(|at| at.plus(period))))
}

/// Since when the first of them cannot be restored: a look-up, not a count.
///
/// # Errors
/// Those of the database.
pub fn oldest_erasable(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let period = cx.kit.config.auth.restore_period.0;
    let first = store::due(cx.tx, until.minus(period), 1)?.pop();
    Ok(first.map(|(_, deleted_at)| deleted_at.plus(period)))
}

/// Erases at most `most` of them, the longest gone first: names, addresses, password and roles are
/// gone, and the names are free. Returns their ids. Fewer than `most` means that nothing is left.
///
/// # Errors
/// Those of the database.
pub fn erase_some(cx: &mut Cx<'_, '_>, until: Timestamp, most: u32) -> Result<Vec<String>> {
    let until = until.minus(cx.kit.config.auth.restore_period.0);
    let due = store::due(cx.tx, until, most)?;
    for (id, _) in &due {
        // Somebody may have restored it a moment ago.
        if store::erase(cx.tx, id, until, cx.now)? {
            store::drop_roles(cx.tx, id)?;
            audit::record(cx, Event::new("user.erased", super::object(id)))?;
        }
    }
    Ok(due.into_iter().map(|(id, _)| id).collect())
}
