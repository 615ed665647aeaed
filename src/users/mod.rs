//! Accounts: who may sign in, under which names, with which password and role.
//!
//! Invariants: a user name, an e-mail address and a phone number each belong to at most one
//! account, compared without regard to case; at least one enabled administrator always remains;
//! a password is hashed outside any transaction.

mod names;
mod roles;
mod store;

pub use names::{Email, FullName, Phone, Username};
pub use roles::{Role, State};

use crate::app::Cx;
use crate::error::{Error, Result};

/// An account, as far as other slices name one.
#[derive(Clone, Debug)]
pub struct User {
    /// The id.
    pub id: String,
    /// The user name.
    pub username: String,
}

/// The user that `text` names: an id or the first characters of one, a user name, an e-mail
/// address or a phone number.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Ambiguous`].
pub fn resolve(cx: &mut Cx<'_, '_>, text: &str) -> Result<User> {
    store::by_name(cx.tx, text)?.ok_or(Error::NotFound("user"))
}
