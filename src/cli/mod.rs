//! The shell edge.

pub mod flags;
mod json;
mod list;
pub mod output;
pub mod prompt;
pub mod report;
mod table;
