//! A table in another program's database, which is only ever read: the door for those who move
//! here.
//!
//! Invariants: nothing can be written through it, the server sees to that; all of it is one
//! snapshot, and never in memory as a whole; its password is in no error.

use super::{Row, postgres};
use crate::config::DbUrl;
use crate::error::{Error, Result};

/// A table that is being read.
#[derive(Debug)]
pub struct Foreign(postgres::Foreign);

impl Foreign {
    /// Finds `table` where the `search_path` of `url` leads.
    ///
    /// # Errors
    /// [`Error::Usage`] for a database of another sort; [`Error::NotFound`] for the table; as
    /// [`Db::open`](super::Db::open) for the server.
    pub fn open(url: &DbUrl, table: &str) -> Result<Self> {
        match url {
            DbUrl::Postgres(url) => postgres::Foreign::open(url.expose(), table).map(Self),
            DbUrl::Sqlite(_) => Err(Error::Usage(
                "the old database is one of PostgreSQL: postgres://USER@HOST/NAME".into(),
            )),
        }
    }

    /// The names of its columns.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        self.0.columns()
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// Those of the database.
    pub fn count(&mut self) -> Result<u64> {
        self.0.count()
    }

    /// Begins to read these columns in the order of `key`. Every value comes as text: instants in
    /// RFC 3339, flags as `true` and `false`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a column that is not there, or those of the database.
    pub fn select(&mut self, columns: &[&str], key: &str) -> Result<()> {
        self.0.select(columns, key)
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// Those of the database.
    pub fn page(&mut self) -> Result<Vec<Row>> {
        self.0.page()
    }
}
