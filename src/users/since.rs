//! Which accounts were changed of late: what a restored backup takes back.

use serde::Serialize;

use super::{State, store};
use crate::app::Cx;
use crate::error::Result;
use crate::scope::known;
use crate::time::Timestamp;

/// An account that was made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its id.
    pub id: String,
    /// Its user name.
    pub username: String,
    /// Its state.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// The accounts that were made or changed at or after `at`, in the order of their ids: at most `most`
/// of those whose id is above `above`.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] without `user:read`; those of the database.
pub fn changed_since(
    cx: &mut Cx<'_, '_>,
    at: Timestamp,
    above: &str,
    most: u32,
) -> Result<Vec<Changed>> {
    cx.actor.require(known::USER_READ)?;
    store::changed_since(cx.tx, at, above, most)
}
