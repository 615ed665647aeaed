//! The shell edge: the tree of commands, and `main`.
//!
//! A command parses, calls the same service functions as HTTP, and prints. Scripts depend on every
//! word and on the exit status: both are part of the public contract.

pub mod flags;
mod json;
mod list;
pub mod operator;
pub mod output;
pub mod prompt;
pub mod report;
mod table;

use std::process::ExitCode;

pub use operator::Operator;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing to do: exit status 0.
    Done,
    /// Something was found that was asked for: 9.
    Findings,
    /// The time is over; run it again to go on: 12.
    Partial,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Findings => 9,
            Outcome::Partial => 12,
        })
    }
}
