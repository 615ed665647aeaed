//! A story: the migrations of one owner in their order, and the table that keeps their history.
//!
//! The program's own is part of the binary. A team's comes from a folder, has a table of its own in
//! the same database, and is run by the same code.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Entry, State, schema, store};
use crate::db::Db;
use crate::error::Result;
use crate::secret::sha256_hex;

/// A numbered pair of files.
#[derive(Clone, Debug)]
pub struct Migration {
    /// 1, 2, 3, … without a gap.
    pub number: u32,
    /// The file's name without its endings: `0001_audit`.
    pub name: Cow<'static, str>,
    pub(super) up: Cow<'static, str>,
    pub(super) down: Cow<'static, str>,
}

macro_rules! migration {
    ($number:literal, $name:literal) => {
        Migration {
            number: $number,
            name: Cow::Borrowed($name),
            up: Cow::Borrowed(include_str!(concat!("../../migrations/", $name, ".up.sql"))),
            down: Cow::Borrowed(include_str!(concat!(
                "../../migrations/",
                $name,
                ".down.sql"
            ))),
        }
    };
}

/// Every migration of `provost`, in order. A new one is a new last line; none is ever edited.
pub const ALL: &[Migration] = &[
    migration!(1, "0001_audit"),
    migration!(2, "0002_clock"),
    migration!(3, "0003_idempotency"),
    migration!(4, "0004_users"),
    migration!(5, "0005_tokens"),
    migration!(6, "0006_jobs"),
    migration!(7, "0007_keyring"),
    migration!(8, "0008_sessions"),
    migration!(9, "0009_throttle"),
    migration!(10, "0010_factors"),
    migration!(11, "0011_outbox"),
    migration!(12, "0012_audit_blocks"),
    migration!(13, "0013_suspended_tokens"),
    migration!(14, "0014_courses"),
    migration!(15, "0015_quizzes"),
    migration!(16, "0016_last_login"),
];

impl Migration {
    /// A migration from a pair of files.
    pub(super) fn of(number: u32, name: String, up: String, down: String) -> Self {
        Self {
            number,
            name: name.into(),
            up: up.into(),
            down: down.into(),
        }
    }

    /// SHA-256 of the forward text with LF line ends, as hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(lf(&self.up).as_bytes())
    }

    /// The text that undoes it, with LF line ends.
    pub(super) fn reverse(&self) -> Cow<'_, str> {
        lf(&self.down)
    }
}

/// A checkout with CRLF line ends has the same migrations.
fn lf(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whose migrations they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The program's: the database is stamped with the number of the newest.
    Provost,
    /// A team's, which has other tables in the same database.
    Team,
}

/// The migrations of one owner.
#[derive(Clone, Debug)]
pub struct Story {
    whose: Whose,
    table: &'static str,
    folder: Cow<'static, str>,
    migrations: Cow<'static, [Migration]>,
}

impl Story {
    /// What is part of this binary.
    #[must_use]
    pub const fn own() -> Self {
        Self {
            whose: Whose::Provost,
            table: "migrations",
            folder: Cow::Borrowed("migrations"),
            migrations: Cow::Borrowed(ALL),
        }
    }

    /// What a team keeps in `folder`, in order.
    #[must_use]
    pub const fn team(folder: String, migrations: Vec<Migration>) -> Self {
        Self {
            whose: Whose::Team,
            table: "team_migrations",
            folder: Cow::Owned(folder),
            migrations: Cow::Owned(migrations),
        }
    }

    /// The program's own and one more for each pair of texts: a newer version's, for tests.
    #[cfg(test)]
    pub(super) fn newer(more: &[(&str, &str)]) -> Self {
        let mut migrations = ALL.to_vec();
        for (up, down) in more {
            let number = u32::try_from(migrations.len()).unwrap() + 1;
            migrations.push(Migration {
                number,
                name: format!("{number:04}_more").into(),
                up: (*up).to_owned().into(),
                down: (*down).to_owned().into(),
            });
        }
        Self {
            migrations: Cow::Owned(migrations),
            ..Self::own()
        }
    }

    /// Whose they are.
    #[must_use]
    pub const fn whose(&self) -> Whose {
        self.whose
    }

    /// The table that keeps the history.
    #[must_use]
    pub const fn table(&self) -> &'static str {
        self.table
    }

    /// The migrations, in order.
    #[must_use]
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// The file with the forward text of the migration called `name`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}.up.sql", self.folder)
    }

    /// The folder of a team's migrations.
    pub(super) fn dir(&self) -> Option<String> {
        (self.whose == Whose::Team).then(|| self.folder.to_string())
    }

    /// The number of the newest migration.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.migrations
            .iter()
            .map(|migration| migration.number)
            .max()
            .unwrap_or(0)
    }

    /// Every migration that the story has or that the database has seen, in order.
    ///
    /// # Errors
    /// [`ForeignDatabase`](crate::error::Error::ForeignDatabase) for another program's database.
    pub fn status(&self, db: &Db) -> Result<Vec<Entry>> {
        schema(db)?;
        let history = db.read(|tx| store::history(tx, self.table))?;
        let known: BTreeSet<u32> = self.migrations.iter().map(|it| it.number).collect();
        let unknown = history.iter().filter(|it| !known.contains(&it.number));
        let unknown = unknown.map(|entry| Entry {
            state: State::Unknown,
            ..entry.clone()
        });
        let seen = |number| history.iter().find(|entry| entry.number == number);
        let known = self.migrations.iter().map(|migration| {
            let Some(applied) = seen(migration.number) else {
                return migration.pending();
            };
            let same = applied.sha256 == migration.sha256() && applied.name == migration.name;
            Entry {
                state: if same { State::Applied } else { State::Edited },
                ..applied.clone()
            }
        });
        let mut entries: Vec<Entry> = known.chain(unknown).collect();
        entries.sort_by_key(|entry| entry.number);
        Ok(entries)
    }
}

impl Migration {
    pub(super) fn pending(&self) -> Entry {
        Entry {
            number: self.number,
            name: self.name.to_string(),
            state: State::Pending,
            applied_at: None,
            duration_ms: None,
            version: None,
            sha256: self.sha256(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_gap_and_named_after_their_number() {
        for (place, migration) in ALL.iter().enumerate() {
            assert_eq!(usize::try_from(migration.number).unwrap(), place + 1);
            assert!(
                migration
                    .name
                    .starts_with(&format!("{:04}_", migration.number))
            );
        }
    }

    #[test]
    fn line_ends_do_not_change_a_check_sum() {
        let unix = Migration {
            number: 1,
            name: "0001_x".into(),
            up: "a\nb\n".into(),
            down: "".into(),
        };
        let windows = Migration {
            up: "a\r\nb\r\n".into(),
            ..unix.clone()
        };
        assert_eq!(unix.sha256(), windows.sha256());
    }
}
