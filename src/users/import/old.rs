//! The tables of accounts in the databases of the programs that this one replaces (mission.md).

use std::collections::VecDeque;
use std::fmt;

use super::fields::{Field, Given};
use super::{Found, Record, Source};
use crate::config::DbUrl;
use crate::db::Row;
use crate::db::foreign::Foreign;
use crate::error::{Error, Result};

/// A program before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The learning application.
    S1,
    /// The authorisation of the freelance platform.
    S2,
    /// The session service.
    S3,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::S1, Self::S2, Self::S3];

    /// The word, as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S1 => "s1",
            Self::S2 => "s2",
            Self::S3 => "s3",
        }
    }

    /// Without these it is another program's table.
    const fn needed(self) -> &'static [&'static str] {
        match self {
            Self::S1 | Self::S2 => &["id", "username", "hashed_password"],
            Self::S3 => &["id", "username"],
        }
    }
}

/// What is read, where it is there.
const COLUMNS: [&str; 9] = [
    "id",
    "username",
    "email",
    "phone",
    "hashed_password",
    "fio",
    "created_at",
    "is_superuser",
    "is_verified",
];

/// Where they all keep their accounts.
const TABLE: &str = "users";

/// The accounts of a program before this one. Lines are numbered as if it were a file, in the order
/// of the ids.
pub struct OldUsers {
    kind: Kind,
    table: Foreign,
    columns: Vec<(&'static str, Field)>,
    /// Columns that are left where they are.
    pub left_out: Vec<String>,
    page: VecDeque<Row>,
    line: u64,
}

impl fmt::Debug for OldUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OldUsers").field(&self.kind).finish()
    }
}

impl OldUsers {
    /// Finds the table. From now on what its program changes is not seen.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such table; [`Error::Usage`] if it is another program's;
    /// as [`Foreign::open`].
    pub fn open(kind: Kind, url: &DbUrl) -> Result<Self> {
        let mut table = Foreign::open(url, TABLE)?;
        let there = table.columns();
        for needed in kind.needed() {
            if !there.contains(needed) {
                return Err(Error::Usage(format!(
                    "the table {TABLE} there has no column {needed}; a table of {} has {}",
                    kind.as_str(),
                    kind.needed().join(", ")
                )));
            }
        }
        let known = |name: &&'static str| there.contains(name);
        let names: Vec<&'static str> = COLUMNS.into_iter().filter(|name| known(name)).collect();
        let others = there.iter().filter(|name| !names.contains(name));
        let left_out = others.map(|name| (*name).to_owned()).collect();
        table.select(&names, "id")?;
        let field = |name: &'static str| {
            let field = Field::named(name).map_err(Error::internal)?;
            Ok((name, field))
        };
        Ok(Self {
            kind,
            table,
            columns: names.into_iter().map(field).collect::<Result<_>>()?,
            left_out,
            page: VecDeque::new(),
            line: 0,
        })
    }

    /// How many accounts there are.
    ///
    /// # Errors
    /// Those of the database.
    pub fn count(&mut self) -> Result<u64> {
        self.table.count()
    }
}

impl Source for OldUsers {
    fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    fn next(&mut self) -> Result<Option<Record>> {
        if self.page.is_empty() {
            self.page = self.table.page()?.into();
        }
        let Some(row) = self.page.pop_front() else {
            return Ok(None);
        };
        self.line += 1;
        let mut members = Vec::with_capacity(self.columns.len());
        for (name, field) in &self.columns {
            if let Some(text) = row.opt_text(name)? {
                members.push((*field, Given::Text(text)));
            }
        }
        let line = self.line;
        let found = Found::Members(members);
        Ok(Some(Record { line, found }))
    }
}
