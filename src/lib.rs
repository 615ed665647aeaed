//! The map.
pub mod config;
pub mod error;
pub mod id;
pub mod secret;
pub mod time;
