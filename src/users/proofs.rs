//! What a person proves by holding a link: that an address is theirs, or that they may choose a new
//! password.

mod store;

use super::create::hash;
use super::find::{Among, Key};
use super::{Email, NewPassword, User};
use crate::app::{App, Cx};
use crate::error::{Error, Result};
use crate::password::{Password, PasswordHash};

/// The user that somebody calls by a user name, an e-mail address or a phone number; not by an id,
/// which is nothing that a person types.
///
/// # Errors
/// Those of the database.
pub fn named(cx: &mut Cx<'_, '_>, login: &str) -> Result<Option<User>> {
    match Key::read(login) {
        None | Some(Key::Ids(..)) => Ok(None),
        Some(key) => Ok(super::store::with_key(cx.tx, &key, Among::Standing)?.pop()),
    }
}

/// The hash of a password that `user` chose, if it may be chosen. Outside of any transaction: it
/// takes its time.
///
/// # Errors
/// [`Error::Invalid`] for a password that may not be chosen; [`Error::Unavailable`] when too many
/// wait to be hashed.
pub fn hash_own_password(app: &App, user: &User, password: Password) -> Result<PasswordHash> {
    let names = [
        Some(user.username.as_str()),
        user.email.as_deref(),
        user.phone.as_deref(),
        user.name.as_deref(),
    ];
    hash(app, &NewPassword::Text(password), &names)?
        .ok_or_else(|| Error::internal("a password without a hash"))
}

/// Stores the hash of a new password, or that there is none, and ends everything that the user had
/// open, in one statement. Whether the actor may is for the caller to know.
///
/// # Errors
/// [`Error::NotFound`] unless the account can be used.
pub fn replace_password(cx: &mut Cx<'_, '_>, id: &str, hash: Option<&PasswordHash>) -> Result<()> {
    if store::replace_password(cx.tx, id, hash, cx.now)? {
        Ok(())
    } else {
        Err(Error::no_such("user", id))
    }
}

/// Notes that the address has been shown to be the user's own. False, changing nothing, if the user
/// has another by now.
///
/// # Errors
/// Those of the database.
pub fn email_proved(cx: &mut Cx<'_, '_>, id: &str, email: &Email) -> Result<bool> {
    store::email_proved(cx.tx, id, email, cx.now)
}
