//! Deleting tokens that can never be good again.

mod store;

use serde::Serialize;

use super::Kind;
use crate::app::Cx;
use crate::error::Result;
use crate::time::Timestamp;

/// Tokens that have ended, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// Expired, or used as often as they may be.
    pub expired: u64,
    /// Revoked before that, or ended with everything that their owner had opened.
    pub revoked: u64,
    /// When the first of them ended.
    pub oldest: Option<Timestamp>,
}

/// How many tokens have ended by `until`; only those of `kind` if one is given.
///
/// # Errors
/// Those of the database.
pub fn gone(cx: &mut Cx<'_, '_>, kind: Option<Kind>, until: Timestamp) -> Result<Gone> {
    let [expired, used_up, revoked, ended] =
        store::ENDED.map(|way| store::count_ended(cx.tx, way, kind, until));
    let (expired, used_up, revoked, ended) = (expired?, used_up?, revoked?, ended?);
    let oldest = [expired.1, used_up.1, revoked.1, ended.1]
        .into_iter()
        .flatten()
        .min();
    Ok(Gone {
        expired: expired.0 + used_up.0,
        revoked: revoked.0 + ended.0,
        oldest,
    })
}

/// When the first of those tokens ended that have ended by `until`: a look-up, not a count.
///
/// # Errors
/// Those of the database.
pub fn oldest_gone(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let mut oldest = None;
    for ended in store::ENDED {
        let first = store::first_ended(cx.tx, ended, until)?;
        oldest = oldest.into_iter().chain(first).min();
    }
    Ok(oldest)
}

/// Deletes at most `most` of them, the longest gone first; returns how many. Less than `most`
/// means that nothing is left.
///
/// # Errors
/// Those of the database.
pub fn delete_gone(
    cx: &mut Cx<'_, '_>,
    kind: Option<Kind>,
    until: Timestamp,
    most: u32,
) -> Result<u64> {
    let mut deleted = 0;
    for ended in store::ENDED {
        let room = u64::from(most).saturating_sub(deleted);
        if room > 0 {
            deleted += store::delete_ended(cx.tx, ended, kind, until, room)?;
        }
    }
    Ok(deleted)
}

/// Deletes the tokens and links of somebody who is being erased, which are good for nothing any
/// more, and the ended invitations to the address that they had. One that is still good is about
/// whoever has the address now.
///
/// # Errors
/// Those of the database.
pub fn forget(cx: &mut Cx<'_, '_>, user: &str, email: Option<&str>) -> Result<()> {
    store::delete_of(cx.tx, user)?;
    if let Some(email) = email {
        store::delete_invitations(cx.tx, email, cx.now)?;
    }
    Ok(())
}
