//! Accounts: who may sign in, under which names, with which password and role.
//!
//! Invariants: a user name, an e-mail address and a phone number each belong to at most one
//! account, compared without regard to case; at least one enabled administrator always remains;
//! a password is hashed outside any transaction.

pub mod hashes;
pub mod hashing;
pub mod names;
pub mod password;
pub mod roles;
