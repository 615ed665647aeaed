//! Finding the account that a text names.

use super::{Email, Phone, State, User, Username, store};
use crate::app::Cx;
use crate::error::{Error, Result};
use crate::{id, rate};

/// What names an account. The forms exclude one another, see [`Username`].
pub(super) enum Key {
    /// From the one to the other, both included.
    Ids(String, String),
    /// [`Username::key`].
    Username(String),
    Email(Email),
    Phone(Phone),
}

impl Key {
    /// Whatever a person would call the same spelling is the same key.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::of(&rate::canonical(text))
    }

    fn of(text: &str) -> Option<Self> {
        if let Ok(name) = text.parse::<Username>() {
            return Some(Self::Username(name.key()));
        }
        if let Ok(email) = text.parse() {
            return Some(Self::Email(email));
        }
        if let Ok(phone) = text.parse() {
            return Some(Self::Phone(phone));
        }
        id::range(text).map(|(low, high)| Self::Ids(low, high))
    }
}

/// The one text for all spellings of a name, whether anybody has it or not: by the same rules it is
/// found here and counted elsewhere, so that no two spellings of a name are counted apart where
/// nobody has it and together where somebody does (security.md, rule 50).
#[must_use]
pub fn spelling(text: &str) -> String {
    let text = rate::canonical(text);
    match Key::of(&text) {
        Some(Key::Username(name)) => name,
        Some(Key::Email(email)) => email.to_string(),
        Some(Key::Phone(phone)) => phone.to_string(),
        Some(Key::Ids(..)) | None => text,
    }
}

/// The user that `text` names: an id or the first characters of one, a user name, an e-mail
/// address or a phone number. Not one that is deleted. For other slices, whose verbs check what the actor may do.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Ambiguous`].
pub fn resolve(cx: &mut Cx<'_, '_>, text: &str) -> Result<User> {
    find(cx, text, Among::Standing)
}

/// As [`resolve`], for what a disabled account is not to be given.
///
/// # Errors
/// As [`resolve`]; [`Error::Invalid`] for an account that is disabled.
pub fn active(cx: &mut Cx<'_, '_>, text: &str) -> Result<User> {
    let user = resolve(cx, text)?;
    if user.state == State::Active {
        Ok(user)
    } else {
        let rule = "is disabled: enable the account first";
        Err(Error::invalid("user", rule))
    }
}

/// Which accounts can be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// Those that are not deleted.
    Standing,
    /// Deleted ones, too.
    All,
}

/// The user among those that `text` names.
pub(super) fn find(cx: &mut Cx<'_, '_>, text: &str, among: Among) -> Result<User> {
    let key = Key::read(text).ok_or_else(|| Error::no_such("user", text))?;
    let mut found = store::with_key(cx.tx, &key, among)?;
    match (found.pop(), found.is_empty()) {
        (Some(user), true) => Ok(user),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "user",
            prefix: text.to_owned(),
        }),
        (None, _) => Err(Error::no_such("user", text)),
    }
}

/// The id of the user that `text` names, if it names one. For other slices, as [`resolve`].
///
/// # Errors
/// [`Error::Ambiguous`].
pub fn id_of(cx: &mut Cx<'_, '_>, text: &str) -> Result<Option<String>> {
    Ok(maybe(resolve(cx, text))?.map(|user| user.id))
}

/// The name of the user with this id, if there is one. For other slices, as [`resolve`].
///
/// # Errors
/// Those of the database.
pub fn name_of(cx: &mut Cx<'_, '_>, id: &str) -> Result<Option<String>> {
    Ok(maybe(resolve(cx, id))?.map(|user| user.username))
}

fn maybe(found: Result<User>) -> Result<Option<User>> {
    match found {
        Err(Error::NotFound { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// Which of these belongs to somebody other than `own`, as an error.
pub(super) fn taken(
    cx: &mut Cx<'_, '_>,
    own: &str,
    username: Option<&Username>,
    email: Option<&Email>,
    phone: Option<&Phone>,
) -> Error {
    let keys = [
        (
            username.map(|name| Key::Username(name.key())),
            Error::UsernameTaken,
        ),
        (email.cloned().map(Key::Email), Error::EmailTaken),
        (phone.cloned().map(Key::Phone), Error::PhoneTaken),
    ];
    for (key, error) in keys {
        let found = key.map_or(Ok(Vec::new()), |key| {
            store::with_key(cx.tx, &key, Among::All)
        });
        match found {
            Ok(found) if found.iter().any(|user| user.id != own) => return error,
            Ok(_) => {}
            Err(error) => return error,
        }
    }
    Error::no_such("user", own)
}

#[cfg(test)]
mod tests;
