//! Forgetting people: with an account goes what the other slices know of its person.
//!
//! Invariant: it goes in the transaction that erases the account, so that nothing is left behind of
//! somebody who is not there any more.

use crate::app::Cx;
use crate::error::{Error, Result};
use crate::throttle::Account;
use crate::time::Timestamp;
use crate::{factors, outbox, sessions, throttle, tokens, users};

/// Erases at most `most` accounts that could not be restored any more at `until`, and what belongs
/// to them: sessions with their addresses, second factors, tokens and links, failures and networks,
/// mail. Returns how many accounts these were.
///
/// # Errors
/// Those of the database.
pub(super) fn people(cx: &mut Cx<'_, '_>, until: Timestamp, most: u32) -> Result<u64> {
    let erased = users::erase_some(cx, until, most)?;
    for user in &erased {
        sessions::forget(cx, &user.id)?;
        factors::forget(cx, &user.id)?;
        throttle::forget(cx, &Account::user(&user.id))?;
        tokens::forget(cx, &user.id, user.email.as_deref())?;
        if let Some(email) = &user.email {
            outbox::forget(cx, email)?;
        }
    }
    u64::try_from(erased.len()).map_err(Error::internal)
}
