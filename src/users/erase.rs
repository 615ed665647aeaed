//! Forgetting people: of an account that was deleted long enough ago only the id stays, so that
//! what it did still has a name, but not a person's. What other slices know of them is forgotten by
//! the purge, in the same transaction.

mod store;

use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::Result;
use crate::time::Timestamp;

/// An account that was erased, for who has to forget what belongs to it.
#[derive(Clone, Debug)]
pub struct Erased {
    /// Its id.
    pub id: String,
    /// The address that it had.
    pub email: Option<String>,
}

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
    Ok(first.map(|due| due.deleted_at.plus(period)))
}

/// Erases at most `most` of them, the longest gone first: names, addresses, password and roles are
/// gone, and the names are free. Returns whom. Fewer than `most` means that nothing is left, or that
/// somebody was restored a moment ago.
///
/// # Errors
/// Those of the database.
pub fn erase_some(cx: &mut Cx<'_, '_>, until: Timestamp, most: u32) -> Result<Vec<Erased>> {
    let until = until.minus(cx.kit.config.auth.restore_period.0);
    let mut erased = Vec::new();
    for due in store::due(cx.tx, until, most)? {
        let user = due.user;
        // Somebody may have restored it a moment ago.
        if store::erase(cx.tx, &user.id, until, cx.now)? {
            store::drop_roles(cx.tx, &user.id)?;
            audit::record(cx, Event::new("user.erased", super::object(&user.id)))?;
            erased.push(user);
        }
    }
    Ok(erased)
}
