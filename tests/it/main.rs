//! Edge tests, in one binary: everything that needs a socket, a process or a file, seen from
//! outside of the program.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with a backtrace"
)]
#![expect(
    clippy::print_stderr,
    reason = "figures that a person may want to see, with --nocapture"
)]

mod architecture;
mod audit;
mod backup;
mod cli;
mod clients;
mod contention;
mod courses;
mod crash;
mod databases;
mod deploy;
mod doctor;
mod fixtures;
mod generated;
mod http;
mod import;
mod install;
mod jobs;
mod migrations;
mod outbox;
mod postgres;
mod purge;
mod quizzes;
mod readme;
mod recovery;
mod refusals;
mod server;
mod sessions;
mod support;
mod team;
mod throttle;
mod tls;
mod tokens;
mod users;
