//! `provost` in one page: where everything is, and what always holds.
//!
//! Three **edges** wake the program: the network (`http`), the shell (`cli`), the clock (`jobs`).
//! Each calls **service functions** of **slices**, one folder for each noun, which hold that noun's
//! rules, SQL, routes and commands. Slices stand on a small **kernel**. Data flows one way:
//! edge → slice `mod.rs` (rule) → slice `store.rs` (SQL) → `db` → engine, and the answer comes back
//! the same way. Nothing calls upward.
//!
//! | you look for | it is in |
//! | --- | --- |
//! | a rule: what a token may do, who may disable whom | `<noun>/mod.rs` |
//! | a statement, a table | `<noun>/store.rs`, `migrations/NNNN_noun.up.sql` |
//! | how an engine does it | `db/sqlite/`, `db/postgres/`, behind the door in `db/mod.rs` |
//! | a route, a command | `<noun>/http.rs`, `<noun>/cli.rs` |
//! | an error's code, HTTP status, exit status | the one table in [`error`] |
//! | a setting, its default, its variable | the one table in [`config`] |
//! | a job and its schedule | the one table in [`jobs`] |
//! | what every request passes through | `http/layers.rs` |
//!
//! # Order
//!
//! What stands later may use what stands earlier, never the other way round; a slice uses only the
//! service functions of another, never its `store`.
//!
//! - kernel: `escape` `error` `file` `time` `secret` `base62` `id` `scope` `reason` `page` `problem` `config` `keys` `jwt` `db` `log`
//!   `metrics` `rate` `password` `app`
//! - slices: `audit` `snapshots` `migrations` `databases` `idempotency` `throttle` `users` `factors`
//!   `sessions` `tokens` `outbox` `recovery` `access` `courses` `enrolments` `lessons` `quizzes`
//!   `attempts` `purge` `backup` `doctor`
//! - edges: `http` `jobs` `cli`
//!
//! # Invariants
//!
//! - Nothing is acknowledged before its commit returned; every change has its audit row in the same
//!   transaction.
//! - A service function sees one transaction, one instant, one actor ([`app::Cx`]) and checks the
//!   actor's permission itself. Slow work (hashing) happens between transactions.
//! - No row of the database is cached: the shell is a second process on the same file, and what it
//!   revokes is refused at the daemon's very next request. One exception: the banned networks,
//!   which every request is held against, are read again once a second (`rate::Bans`).
//! - A secret is a [`secret::Secret`]: never printed, logged or serialised; at rest only its digest.
//! - Only [`config`] reads the environment, only [`time`] the wall clock, only [`db`] knows an engine.
//!
//! # What is deliberately absent
//!
//! No repository traits and no mocks: the fake in tests is `SQLite` in memory. No async below the
//! edges. No `tracing` on the request path: it costs half of a request. No ORM, no query builder: SQL
//! is written once, in the words that both engines share.
//!
//! `tests/it/architecture.rs` reads these sources and holds them to this page.

pub mod access;
pub mod app;
pub mod attempts;
pub mod audit;
pub mod backup;
pub mod base62;
pub mod cli;
pub mod config;
pub mod courses;
pub mod databases;
pub mod db;
pub mod doctor;
pub mod enrolments;
pub mod error;
pub mod escape;
pub mod factors;
pub mod file;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod jobs;
pub mod jwt;
pub mod keys;
pub mod lessons;
pub mod log;
pub mod metrics;
pub mod migrations;
pub mod outbox;
pub mod page;
pub mod password;
pub mod problem;
pub mod purge;
pub mod quizzes;
pub mod rate;
pub mod reason;
pub mod recovery;
pub mod scope;
pub mod secret;
pub mod sessions;
pub mod snapshots;
pub mod throttle;
pub mod time;
pub mod tokens;
pub mod users;

#[cfg(test)]
mod testing;
