//! Whether the server is there, for the log: many meet an outage at once, and it is told once, and
//! once that it is over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::escape;

/// How often it is told that the server has no connection left: some come through meanwhile, so
/// that nobody can say when it began and when it was over.
const CROWDED: Duration = Duration::from_mins(1);

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the server is there; nobody knows before the first connection.
    there: Option<bool>,
    crowded: Option<Instant>,
}

impl Health {
    /// A connection was opened.
    pub(super) fn opened(&self) {
        if self.turn(true) {
            tracing::info!("database back");
        }
    }

    /// No connection could be opened.
    pub(super) fn lost(&self, why: &Error) {
        if self.turn(false) {
            let why = why.causes();
            let why = escape::line(&why);
            tracing::error!(%why, "database lost");
        }
    }

    /// The server is there and has no connection left.
    pub(super) fn crowded(&self, why: &Error) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.crowded.is_none_or(|told| told.elapsed() >= CROWDED) {
            state.crowded = Some(Instant::now());
            let why = why.causes();
            let why = escape::line(&why);
            tracing::error!(%why, "the database has too few connections");
        }
    }

    /// Notes whether it is there, and returns whether that is news.
    fn turn(&self, there: bool) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match state.there {
            // Who cannot even start says so by itself.
            None if !there => return false,
            before => before,
        };
        state.there = Some(there);
        before == Some(!there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news() {
        let health = Health::default();
        let turns = [false, true, true, false, false, true].map(|there| health.turn(there));
        assert_eq!(turns, [false, false, false, true, false, true]);
    }
}
