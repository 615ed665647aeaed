//! Short ways to make the errors that are made most.

use super::{Error, Source};

impl Error {
    /// There is no `noun` that `given` names. It is repeated so far as it is fit to be seen: cut,
    /// without characters that steer a terminal, and not at all if it looks like a token.
    #[must_use]
    pub fn no_such(noun: &'static str, given: &str) -> Self {
        // Somebody who pastes a token in place of an id must not find it in a log.
        let secret = given.contains(':')
            || given
                .get(..4)
                .is_some_and(|it| it.starts_with("pv") && it.ends_with('_'));
        let mut short: String = given.chars().take(64).collect();
        if short.len() < given.len() {
            short.push('…');
        }
        Self::NotFound {
            noun,
            given: if secret {
                String::new()
            } else {
                crate::escape::line(&short).into_owned()
            },
        }
    }

    /// A value that a rule refuses.
    #[must_use]
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            reason: reason.into(),
        }
    }

    /// Something that must not happen; the details are for the log only.
    #[must_use]
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }

    /// Busy or out of reach for now; the details are for the log only.
    #[must_use]
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// For `map_err` on file and socket calls: `read(&p).map_err(Error::io("read …"))`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
