//! What an account is, and what may be asked of it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use super::{Email, FullName, Locale, Meta, Phone, Role, State, Username};
use crate::password::{Password, PasswordHash};
use crate::time::Timestamp;

/// An account as administrators may see it: everything but the password's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct User {
    /// The id.
    pub id: String,
    /// The user name as it was typed.
    #[schema(example = "maria")]
    pub username: String,
    /// The e-mail address, in lower case.
    pub email: Option<String>,
    /// Whether somebody has shown that the address is theirs.
    pub email_verified: bool,
    /// The phone number: `+` and digits.
    pub phone: Option<String>,
    /// The name shown to other people.
    pub name: Option<String>,
    /// The language that its person reads (BCP 47).
    #[schema(example = "be-BY")]
    pub locale: Option<String>,
    /// What the account's person or its programs want to remember with it.
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Map<String, Json>>,
    /// Whether the account can be used.
    pub state: State,
    /// Why it was disabled.
    pub disabled_reason: Option<String>,
    /// Since when it is disabled.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled_at: Option<Timestamp>,
    /// Since when it is deleted.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// What it may do.
    pub roles: Vec<Role>,
    /// Whether it has a password to sign in with.
    pub has_password: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When anything of this was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Grows when all that the account opened must end: what was opened keeps the number that it
    /// had then, and is refused once it has another.
    #[serde(skip)]
    #[schema(ignore)]
    pub epoch: i64,
}

/// A role that an account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub granted_at: Timestamp,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The user name.
    pub username: Username,
    /// The e-mail address.
    pub email: Option<Email>,
    /// The phone number.
    pub phone: Option<Phone>,
    /// The name shown to other people.
    pub name: Option<FullName>,
    /// The language that its person reads.
    pub locale: Option<Locale>,
    /// What is to be remembered with it.
    pub meta: Option<Meta>,
    /// What it may do; with none given it is an ordinary [`Role::User`].
    pub roles: Vec<Role>,
    /// The password.
    pub password: NewPassword,
}

impl NewUser {
    /// An ordinary account with nothing but a user name.
    #[must_use]
    pub fn named(username: Username) -> Self {
        Self {
            username,
            email: None,
            phone: None,
            name: None,
            locale: None,
            meta: None,
            roles: Vec::new(),
            password: NewPassword::None,
        }
    }
}

/// A password to be set.
#[derive(Clone, Debug, Default)]
pub enum NewPassword {
    /// None: nobody can sign in with a password.
    #[default]
    None,
    /// As somebody chose it: the policy decides, then it is hashed.
    Text(Password),
    /// The hash of one that was chosen elsewhere.
    Hash(PasswordHash),
}

impl NewPassword {
    /// As the audit log names it.
    pub(super) const fn sort(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Text(_) => "text",
            Self::Hash(_) => "hash",
        }
    }
}

/// What happens to a member that need not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes away.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    /// A member that is there: `null` clears, anything else sets. One that is not there keeps, by
    /// its default.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Option::deserialize(from)?;
        Ok(value.map_or(Self::Clear, Self::Set))
    }
}

impl<T> Change<T> {
    /// What `write` makes of the new value, unless that is the `old` one.
    pub(super) fn written<'a, U>(
        &'a self,
        old: Option<&str>,
        text: impl FnOnce(&T) -> &str,
        write: impl FnOnce(Option<&'a T>) -> U,
    ) -> Option<U> {
        match self {
            Self::Keep => None,
            Self::Clear => old.map(|_| write(None)),
            Self::Set(new) if old == Some(text(new)) => None,
            Self::Set(new) => Some(write(Some(new))),
        }
    }

    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(new) => Some(new),
        }
    }
}

/// Changes to an account.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The e-mail address.
    pub email: Change<Email>,
    /// The phone number.
    pub phone: Change<Phone>,
    /// The name shown to other people.
    pub name: Change<FullName>,
    /// The language that its person reads.
    pub locale: Change<Locale>,
    /// What is remembered with it, all of it.
    pub meta: Change<Meta>,
}

/// Which accounts to list; what is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With this role.
    pub role: Option<Role>,
    /// In this state; deleted ones only if they are asked for.
    pub state: Option<State>,
    /// With this in the user name, the e-mail address or the name, in any case.
    pub q: Option<String>,
}
