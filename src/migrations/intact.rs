//! Whether a story is still the one that was applied: every text that the database has seen is there,
//! and is as it was.

use std::path::Path;

use super::{Entry, Folder, State, Story, Whose, schema};
use crate::db::Db;
use crate::error::{Edited, Error, Result};

impl Story {
    /// Compares history, texts and the database's own stamp.
    ///
    /// # Errors
    /// [`Error::MigrationEdited`], [`Error::MigrationMissing`], [`Error::SchemaNewer`], or
    /// [`Error::Corrupt`] if the stamp and the history disagree.
    pub fn verify(&self, db: &Db) -> Result<Vec<Entry>> {
        let (stamp, newest) = (schema(db)?, self.newest());
        let own = self.whose() == Whose::Provost;
        // First of all: nobody knows what the future's history looks like.
        if own && stamp > newest {
            return Err(Error::SchemaNewer {
                database: stamp,
                binary: newest,
            });
        }
        let entries = self.status(db)?;
        self.unedited(&entries)?;
        let applied = entries.iter().filter(|entry| entry.state != State::Pending);
        let last = applied.map(|entry| entry.number).max().unwrap_or(0);
        if own && stamp != last {
            let reason = format!("it is stamped with schema {stamp}, its history ends at {last}");
            return Err(Error::Corrupt(reason));
        }
        self.complete(&self.gone(&entries))?;
        Ok(entries)
    }

    /// Refuses a history in which a text is not the one that was applied.
    pub(super) fn unedited(&self, entries: &[Entry]) -> Result<()> {
        let edited = entries.iter().find(|entry| entry.state == State::Edited);
        let Some(entry) = edited else {
            return Ok(());
        };
        let mut now = self.migrations().iter();
        let now = now.find(|it| it.number == entry.number);
        let now = now.ok_or_else(|| Error::internal("a text of nothing was edited"))?;
        let found = Edited {
            file: self.file(&now.name),
            applied: entry.sha256.clone(),
            found: now.sha256(),
            version: entry.version.clone(),
            dir: self.dir(),
        };
        Err(Error::MigrationEdited {
            name: entry.name.clone(),
            found: Box::new(found),
        })
    }

    /// What was applied and is not in the story: its number, and the file that it had.
    fn gone(&self, entries: &[Entry]) -> Vec<(u32, String)> {
        let unknown = entries.iter().filter(|it| it.state == State::Unknown);
        unknown.map(|it| (it.number, self.file(&it.name))).collect()
    }

    /// Refuses a story of which something is gone.
    fn complete(&self, gone: &[(u32, String)]) -> Result<()> {
        let Some((first, _)) = gone.first() else {
            return Ok(());
        };
        Err(Error::MigrationMissing {
            files: gone.iter().map(|(_, file)| file.clone()).collect(),
            dir: self.dir(),
            before: first.saturating_sub(1),
        })
    }
}

impl Folder {
    /// [`Folder::whole`] for a database: where a file that it has seen is missing, that is what is
    /// told, and not the gap that it leaves.
    ///
    /// # Errors
    /// As [`Folder::whole`]; [`Error::MigrationMissing`]; those of the database.
    pub fn whole_for(&self, db: &Db) -> Result<Story> {
        self.whole().or_else(|refused| {
            let story = self.story();
            let mut gone = story.gone(&story.status(db)?);
            gone.retain(|(_, file)| !Path::new(file).exists());
            story.complete(&gone)?;
            Err(refused)
        })
    }
}
