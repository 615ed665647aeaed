//! Scopes: what a credential may do, in the words of OAuth 2.0 (RFC 6749 §3.3).
//!
//! A scope is `noun:verb`; `noun:*` reaches every verb of the noun. `provost` defines those in
//! [`known`]; a team may use others for its own services, which ask by introspection.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The scopes that routes of `provost` itself ask for.
pub mod known {
    /// List and show tokens.
    pub const TOKEN_READ: &str = "token:read";
    /// Issue tokens, with no more scopes than one's own.
    pub const TOKEN_CREATE: &str = "token:create";
    /// Renew tokens.
    pub const TOKEN_RENEW: &str = "token:renew";
    /// Revoke tokens.
    pub const TOKEN_REVOKE: &str = "token:revoke";
    /// Ask whether a token is good (RFC 7662).
    pub const TOKEN_INTROSPECT: &str = "token:introspect";
    /// Use a token up.
    pub const TOKEN_CONSUME: &str = "token:consume";
    /// Read user accounts.
    pub const USER_READ: &str = "user:read";
    /// Change user accounts.
    pub const USER_WRITE: &str = "user:write";
    /// See who is logged in.
    pub const SESSION_READ: &str = "session:read";
    /// End sessions.
    pub const SESSION_REVOKE: &str = "session:revoke";
    /// See the keys that sign access tokens.
    pub const KEY_READ: &str = "key:read";
    /// Rotate the keys that sign access tokens.
    pub const KEY_ROTATE: &str = "key:rotate";
    /// Delete what has expired.
    pub const PURGE_RUN: &str = "purge:run";
    /// Read the audit log.
    pub const AUDIT_READ: &str = "audit:read";
    /// See the jobs and their history.
    pub const JOB_READ: &str = "job:read";
    /// Run a job now.
    pub const JOB_RUN: &str = "job:run";
    /// See whose logins are delayed, and which networks are banned.
    pub const LIMIT_READ: &str = "limit:read";
    /// End such delays, ban networks and end that.
    pub const LIMIT_WRITE: &str = "limit:write";
    /// Read every course, drafts too, and who is enrolled.
    pub const COURSE_READ: &str = "course:read";
    /// Change every course, its lessons and enrolments.
    pub const COURSE_WRITE: &str = "course:write";
    /// See the schema's version.
    pub const SCHEMA_READ: &str = "schema:read";
}

/// One scope.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "course:read")]
pub struct Scope(String);

impl Scope {
    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether whoever has this scope may do `wanted`.
    #[must_use]
    pub fn permits(&self, wanted: &str) -> bool {
        match self.0.strip_suffix(":*") {
            Some(noun) => wanted
                .strip_prefix(noun)
                .is_some_and(|rest| rest.starts_with(':')),
            None => self.0 == wanted,
        }
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        };
        let good = match text.split_once(':') {
            Some((noun, verb)) => part(noun) && (verb == "*" || verb.split(':').all(part)),
            None => false,
        };
        if good && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid(
                "scope",
                "must be like course:read or course:*, at most 64 characters",
            ))
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Several scopes, sorted, each once. As text they are separated by spaces (RFC 6749 §3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// At most 32 scopes, sorted, each once.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are more.
    pub fn new(mut scopes: Vec<Scope>) -> Result<Self> {
        scopes.sort();
        scopes.dedup();
        if scopes.len() > 32 {
            return Err(Error::invalid("scopes", "must be at most 32"));
        }
        Ok(Self(scopes))
    }

    /// Whether one of them permits `wanted`.
    #[must_use]
    pub fn permit(&self, wanted: &str) -> bool {
        self.0.iter().any(|scope| scope.permits(wanted))
    }

    /// The scopes themselves.
    #[must_use]
    pub fn as_slice(&self) -> &[Scope] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&scope.0)?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(
            text.split_ascii_whitespace()
                .map(str::parse)
                .collect::<Result<_>>()?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_reaches_every_verb_of_its_noun_and_no_other_noun() {
        let all: Scope = "course:*".parse().unwrap();
        assert!(all.permits("course:read"));
        assert!(!all.permits("courses:read"));
        assert!(!all.permits("course"));
        let one: Scope = "course:read".parse().unwrap();
        assert!(one.permits("course:read"));
        assert!(!one.permits("course:*"));
    }

    #[test]
    fn refuses_what_is_not_noun_and_verb() {
        for text in [
            "",
            "course",
            ":",
            "course:",
            ":read",
            "*",
            "*:read",
            "Course:read",
            "a b:c",
            "a:\"b",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn scopes_read_back_as_they_are_written() {
        let scopes: Scopes = "b:x  a:y b:x".parse().unwrap();
        assert_eq!(scopes.to_string(), "a:y b:x");
    }
}
