//! The users' tables.

use super::User;
use crate::db::Tx;
use crate::error::{Error, Result};

/// The user with this id, name, e-mail address or phone number.
pub(super) fn by_name(tx: &mut Tx<'_>, text: &str) -> Result<Option<User>> {
    let row = tx.first(
        "SELECT id, username FROM users
         WHERE id = $1 OR username_key = $1 OR email = $1 OR phone = $1",
        &[text.into()],
    )?;
    let user = row.map(|row| {
        Ok::<_, Error>(User {
            id: row.text("id")?,
            username: row.text("username")?,
        })
    });
    user.transpose()
}
