//! Errors in words: what lies under one, and what of a text that names nothing may be repeated.

use std::error::Error as StdError;

use super::Error;

impl Error {
    /// All that lies under it, for the operator's log: the sources down to the last.
    #[must_use]
    pub fn causes(&self) -> String {
        let first = StdError::source(self);
        let chain = std::iter::successors(first, |&cause| cause.source());
        let chain: Vec<String> = chain.map(ToString::to_string).collect();
        chain.join(": ")
    }

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

    /// The same refusal, where the member `from` is called `to`.
    #[must_use]
    pub fn called(mut self, from: &str, to: &'static str) -> Self {
        if let Self::Invalid { field, .. } = &mut self
            && *field == from
        {
            *field = to;
        }
        self
    }
}
