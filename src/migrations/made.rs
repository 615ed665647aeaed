//! What migrations make: they are run on an empty database that nobody keeps.

use super::{Story, store};
use crate::db::shape::Part;
use crate::db::{Db, Tx};
use crate::error::Result;

impl Story {
    /// Runs the migrations whose numbers are wanted, and makes the table of their history. What is
    /// in that is nobody's business here.
    pub(super) fn make(&self, tx: &mut Tx<'_>, wanted: impl Fn(u32) -> bool) -> Result<()> {
        let all = self.migrations().iter();
        let mut some = all.filter(|it| wanted(it.number)).peekable();
        if some.peek().is_some() {
            store::prepare(tx, self.table())?;
        }
        some.try_for_each(|migration| tx.script(&migration.up))
    }
}

/// What an `SQLite` file of this schema is made of.
///
/// # Errors
/// Those of the engine.
pub fn made(schema: u32) -> Result<Vec<Part>> {
    Db::memory()?.import(|tx| {
        Story::own().make(tx, |number| number <= schema)?;
        tx.shape()
    })
}
