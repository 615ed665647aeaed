//! Completions that need the database: user names, ids.
//!
//! Invariant: whoever presses the tab key never sees an error; what cannot be read completes to
//! nothing.

use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;

use super::Operator;
use crate::app::Cx;
use crate::config::{Config, Environment, Sources};
use crate::error::Result;

/// More candidates than this help nobody.
pub const MOST: u32 = 200;

/// The candidates of `find` that begin as what is typed. What else is on the command line being
/// typed is not known here: only the usual database is asked.
pub fn with(
    typed: &OsStr,
    find: impl FnOnce(&mut Cx<'_, '_>, &str) -> Result<Vec<CompletionCandidate>>,
) -> Vec<CompletionCandidate> {
    let ask = |typed: &str| {
        let config = Config::load(&Sources::default(), &Environment::read()?)?;
        Operator::open(config, None)?.read(|cx| find(cx, typed))
    };
    let Some(typed) = typed.to_str() else {
        return Vec::new();
    };
    let mut found = ask(typed).unwrap_or_default();
    found.retain(|candidate| {
        let value = candidate.get_value().to_str();
        value.is_some_and(|value| value.starts_with(typed))
    });
    found
}
