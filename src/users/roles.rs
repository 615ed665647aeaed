//! What an account may do, and whether it can be used: two short lists of words, the same in SQL,
//! JSON and on the command line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What an account may do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May administer everything.
    Admin,
    /// May write courses, and manage their own.
    Author,
    /// May use what is meant for everyone.
    User,
}

impl Role {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Author, Self::User];

    /// The word, as stored and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Author => "author",
            Self::User => "user",
        }
    }
}

/// The roles in a text that separates them by blanks, or in none; in their order, which the text
/// need not have.
pub(super) fn listed(text: Option<&str>) -> Result<Vec<Role>> {
    let words = text.unwrap_or_default().split_ascii_whitespace();
    let mut roles = words.map(str::parse).collect::<Result<Vec<_>>>()?;
    roles.sort_unstable();
    Ok(roles)
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| Error::invalid("role", "must be admin, author or user"))
    }
}

/// Whether an account can be used.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = UserState)]
pub enum State {
    /// It can be used.
    Active,
    /// Whatever it opened has ended, and it opens nothing until it is enabled again.
    Disabled,
    /// It is gone for everybody, and can be brought back for a while.
    Deleted,
}

impl State {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Disabled, Self::Deleted];

    /// The word, as stored and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| Error::invalid("state", "must be active, disabled or deleted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_roles_and_states_are_the_same_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!("Admin".parse::<Role>().is_err());
        assert!("".parse::<State>().is_err());
    }
}
