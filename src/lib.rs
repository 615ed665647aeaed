//! The map.
pub mod error;
pub mod http;
pub mod id;
pub mod secret;
pub mod time;
