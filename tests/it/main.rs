//! The integration tests, in one binary: what is asserted here is seen from outside of the
//! program, through a socket, a process or a file.
//! Edge tests, in one binary: everything that needs a socket, a process or a file, seen from
//! outside of the program.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with a backtrace"
)]

#[cfg(test)]
mod architecture;
mod cli;
mod http;
mod install;
mod server;
mod support;
