//! Edge tests: everything that needs a socket, a process or a file.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with a backtrace"
)]

mod server;
