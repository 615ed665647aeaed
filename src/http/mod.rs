//! The network edge.
pub mod body;
mod connection;
mod framing;
mod gate;
pub mod listener;
mod refusal;
pub mod server;
mod wire;
