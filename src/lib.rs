//! The map.
pub mod error;
pub mod id;
pub mod secret;
pub mod time;
pub mod users;
