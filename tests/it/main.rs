//! The integration tests, in one binary: what is asserted here is seen from outside of the program.

// `cfg(test)` always holds here; it tells clippy that helper functions are test code, too.
#[cfg(test)]
mod install;
//! Edge tests: everything that needs a socket, a process or a file.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with a backtrace"
)]

mod server;
