//! Deleting sessions that can never be good again.

use super::store::ended::{self, Ended};
use crate::app::Cx;
use crate::error::Result;
use crate::time::Timestamp;

/// An unused session is over after the longer of the two rests: none is deleted that could still be
/// good.
fn ways(cx: &Cx<'_, '_>) -> [Ended; 3] {
    let auth = &cx.kit.config.auth;
    ended::ways(auth.idle.0.max(auth.admin_idle.0))
}

/// How many sessions have expired and how many were revoked by `until`, and when the first of them
/// ended.
///
/// # Errors
/// Those of the database.
pub fn gone(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<(u64, u64, Option<Timestamp>)> {
    let [expired, unused, revoked] = ways(cx).map(|way| ended::count(cx.tx, &way, until));
    let (expired, unused, revoked) = (expired?, unused?, revoked?);
    let oldest = [expired.1, unused.1, revoked.1].into_iter().flatten().min();
    Ok((expired.0 + unused.0, revoked.0, oldest))
}

/// When the first of those sessions ended: a look-up, not a count.
///
/// # Errors
/// Those of the database.
pub fn oldest_gone(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let mut oldest = None;
    for way in ways(cx) {
        let first = ended::first(cx.tx, &way, until)?;
        oldest = oldest.into_iter().chain(first).min();
    }
    Ok(oldest)
}

/// Deletes at most `most` of them, the longest gone first; returns how many. Less than `most`
/// means that nothing is left.
///
/// # Errors
/// Those of the database.
pub fn delete_gone(cx: &mut Cx<'_, '_>, until: Timestamp, most: u32) -> Result<u64> {
    let mut deleted = 0;
    for way in ways(cx) {
        let room = u64::from(most).saturating_sub(deleted);
        if room > 0 {
            deleted += ended::delete(cx.tx, &way, until, room)?;
        }
    }
    Ok(deleted)
}

/// Deletes all sessions of somebody who is being erased: they say from where and with what.
///
/// # Errors
/// Those of the database.
pub fn forget(cx: &mut Cx<'_, '_>, user: &str) -> Result<u64> {
    ended::delete_of(cx.tx, user)
}
