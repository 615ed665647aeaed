//! Names that only one account may have, met twice in one source.
//!
//! A source can be long: of each name only 96 bits of its digest are kept, and the line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sha2::{Digest as _, Sha256};

use super::fields::Ready;
use crate::error::Refusal;

/// A member that is unique among all accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    Username,
    Email,
    Phone,
    Id,
}

pub(super) const UNIQUE: [Unique; 4] = [Unique::Username, Unique::Email, Unique::Phone, Unique::Id];

impl Unique {
    /// As refusals name it.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Id => "id",
        }
    }

    /// Its canonical form, by which it is unique.
    pub(super) fn of(self, row: &Ready) -> Option<&str> {
        match self {
            Self::Username => Some(row.key.as_str()).filter(|key| !key.is_empty()),
            Self::Email => row.email.as_deref(),
            Self::Phone => row.phone.as_deref(),
            Self::Id => row.id.as_deref(),
        }
    }

    /// What is the same about two that are.
    const fn sameness(self) -> &'static str {
        match self {
            Self::Username => "the same user name, but perhaps for case,",
            Self::Email => "the same address, but perhaps for case,",
            Self::Phone => "the same number",
            Self::Id => "the same id",
        }
    }
}

/// The names that were met so far, and where.
#[derive(Debug, Default)]
pub(super) struct Seen([HashMap<[u8; 12], u32>; UNIQUE.len()]);

impl Seen {
    /// Notes the names of `row`; returns those that another row before it has.
    pub(super) fn meet(&mut self, row: &Ready) -> Vec<Refusal> {
        let mut faults = Vec::new();
        for (unique, seen) in UNIQUE.into_iter().zip(&mut self.0) {
            let Some(name) = unique.of(row) else { continue };
            let digest = Sha256::digest(name.as_bytes());
            let mut short = [0; 12];
            for (to, from) in short.iter_mut().zip(digest) {
                *to = from;
            }
            match seen.entry(short) {
                Entry::Occupied(first) => faults.push(Refusal {
                    line: row.line,
                    field: unique.field(),
                    reason: format!("{} is on line {}", unique.sameness(), first.get()),
                }),
                Entry::Vacant(place) => {
                    place.insert(u32::try_from(row.line).unwrap_or(u32::MAX));
                }
            }
        }
        faults
    }
}
