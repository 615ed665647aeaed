//! Down: the SQL that undoes a migration is in the database itself, so that an older binary can go
//! back from what a newer one has applied. It destroys data, and is tried and copied away as `up` is.

use super::change::Change;
use super::up::{Report, Tell, reached};
use super::{Entry, State, Story, Whose, schema, store};
use crate::app::{Actor, App};
use crate::db::Db;
use crate::error::{Error, Result};

impl Story {
    /// What would be undone to come to `to`, the newest first.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the schema is not above `to`, or if there would be none;
    /// [`Error::MigrationRefused`] if a reverse is not the one that was put there;
    /// [`Error::MigrationEdited`]; [`Error::Corrupt`] if the stamp and the history disagree.
    pub fn undoable(&self, db: &Db, to: u32) -> Result<Vec<Entry>> {
        let (_, changes) = self.reverses(db, to)?;
        Ok(changes.iter().map(Change::entry).collect())
    }

    fn reverses(&self, db: &Db, to: u32) -> Result<(u32, Vec<Change>)> {
        let stamp = schema(db)?;
        let entries = self.status(db)?;
        // Not `verify`: an older binary undoes what a newer one has applied.
        self.unedited(&entries)?;
        let entries: Vec<Entry> = entries
            .into_iter()
            .filter(|it| it.state != State::Pending)
            .collect();
        let from = reached(&entries);
        if self.whose() == Whose::Provost && stamp != from {
            let reason = format!("it is stamped with schema {stamp}, its history ends at {from}");
            return Err(Error::Corrupt(reason));
        }
        if to > from {
            let reason = format!("is above {from}, the schema that is there; see: migrate up");
            return Err(Error::invalid("to", reason));
        }
        // Without its first migration a database has no audit log, and is no database of ours.
        if to == 0 && self.whose() == Whose::Provost {
            let reason = "must be at least 1; a database without a schema is a new one";
            return Err(Error::invalid("to", reason));
        }
        let mut kept = if from == 0 {
            Vec::new()
        } else {
            db.read(|tx| store::reverses(tx, self.table()))?
        };
        kept.retain(|(number, _)| *number > to);
        let change = |(number, reverse): &(u32, String)| {
            let entry = entries.iter().find(|it| it.number == *number);
            let entry = entry.ok_or_else(|| Error::internal("a reverse of nothing"))?;
            self.unseal(entry, reverse)?;
            Ok(Change::Down(entry.clone(), reverse.clone()))
        };
        let changes = kept.iter().rev().map(change).collect::<Result<_>>()?;
        Ok((from, changes))
    }

    /// Undoes what was applied after `to`, and destroys what is in its tables, while nobody else
    /// has the database open.
    ///
    /// # Errors
    /// As [`Story::undoable`] and [`Story::migrate`].
    pub fn undo(
        &self,
        app: &App,
        actor: &Actor,
        to: u32,
        dry_run: bool,
        tell: &mut Tell<'_>,
    ) -> Result<Report> {
        self.alone(app, actor, dry_run, tell, &|| self.reverses(app.db(), to))
    }
}
