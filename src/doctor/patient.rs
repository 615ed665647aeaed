//! The installation as it was found: whatever of it could be read, and why the rest could not.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Needs, Seen};
use crate::app::{Actor, App};
use crate::config::Config;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::file::folder_of;
use crate::keys::Keys;
use crate::migrations;
use crate::snapshots;
use crate::time::{Timestamp, wall};

/// What the edge has read before anything is opened.
#[derive(Debug)]
pub struct Found {
    /// The settings, or what they are without their file.
    pub config: Option<Config>,
    /// Why they cannot be used as they are.
    pub trouble: Option<Error>,
    /// What is wrong with the certificate, if one is named and nothing else is.
    pub certificate: Option<Result<Option<String>>>,
    /// The flags that lead another command to the same place.
    pub flags: String,
    /// Who looks.
    pub actor: Actor,
}

/// The installation that is looked at.
#[derive(Debug)]
pub struct Patient {
    pub(super) found: Found,
    pub(super) now: Timestamp,
    /// The key file's fingerprint.
    pub(super) key: Option<Result<String>>,
    app: Option<Result<App>>,
    schema: Option<Result<u32>>,
    stamp: Option<[Stamp; 2]>,
}

/// What changes when somebody writes a file: its size, and when that was.
type Stamp = Option<(u64, i64, i64)>;

impl Patient {
    /// Opens what can be opened, and writes nothing.
    #[must_use]
    pub fn open(found: Found) -> Self {
        let keys = found
            .config
            .as_ref()
            .map(|config| Keys::load(&config.key_file));
        let (key, keys) = match keys {
            Some(Ok(keys)) => (Some(Ok(keys.fingerprint.clone())), Some(keys)),
            Some(Err(error)) => (Some(Err(error)), None),
            None => (None, None),
        };
        let stamp = found.config.as_ref().and_then(stamp);
        let app = found.config.as_ref().map(|config| {
            let db = database(config)?;
            // What is read here needs no key.
            let keys = keys.map_or_else(Keys::ephemeral, Ok)?;
            Ok(App::new(config.clone(), keys, db))
        });
        let opened = app.as_ref().and_then(|app| app.as_ref().ok());
        let schema = opened.map(|app| migrations::schema(app.db()));
        Self {
            found,
            now: wall(),
            key,
            app,
            schema,
            stamp,
        }
    }

    /// Looks at it anew.
    #[must_use]
    pub fn reopened(self) -> Self {
        Self::open(self.found)
    }

    /// Whether somebody wrote the database while it was looked at: what was read may be of two
    /// minds then.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.stamp != self.found.config.as_ref().and_then(stamp)
    }

    /// A command of ours that leads to the same place.
    pub(super) fn run(&self, command: &str) -> String {
        format!("provost{} {command}", self.found.flags)
    }

    pub(super) fn config(&self) -> Result<&Config> {
        let config = self.found.config.as_ref();
        config.ok_or_else(|| Error::internal("a check without its settings"))
    }

    pub(super) fn app(&self) -> Result<&App> {
        let app = self.app.as_ref().and_then(|app| app.as_ref().ok());
        app.ok_or_else(|| Error::internal("a check without its database"))
    }

    /// Why the database cannot be opened.
    pub(super) fn closed(&self) -> Option<&Error> {
        self.app.as_ref().and_then(|app| app.as_ref().err())
    }

    pub(super) fn schema(&self) -> Option<&Result<u32>> {
        self.schema.as_ref()
    }

    /// The database's file.
    pub(super) fn file(&self) -> Option<&Path> {
        self.found.config.as_ref()?.db.file()
    }

    /// The folder with the data: that of the database, where it is a file.
    pub(super) fn folder(&self) -> Result<PathBuf> {
        let config = self.config()?;
        let beside = config.db.file().map(folder_of);
        Ok(beside.unwrap_or(&config.data_dir).to_owned())
    }

    /// What is said in the place of a check that lacks what it needs.
    pub(super) fn lacks(&self, needs: Needs) -> Option<Seen> {
        if needs == Needs::Nothing {
            return None;
        }
        let Some(config) = &self.found.config else {
            return Some(Seen::skip("the settings cannot be read"));
        };
        if needs == Needs::File && config.db.file().is_none() {
            return Some(Seen::skip(
                "the database is on a server, which looks after its own files and disk",
            ));
        }
        let reads = needs == Needs::Database || needs == Needs::Schema;
        if reads && !matches!(self.app, Some(Ok(_))) {
            return Some(Seen::skip("the database cannot be opened"));
        }
        let fits = matches!(&self.schema, Some(Ok(schema)) if *schema == migrations::needed());
        (needs == Needs::Schema && !fits)
            .then(|| Seen::skip("the database's schema is not the one of this program"))
    }
}

/// The database, which is not made.
fn database(config: &Config) -> Result<Db> {
    snapshots::require(config)?;
    Db::inspect(&config.db)
}

/// When the database and its log were written last. Only `stat`: see security.md, rule 61.
fn stamp(config: &Config) -> Option<[Stamp; 2]> {
    let database = config.db.file()?;
    Some(["", "-wal"].map(|ending| {
        let mut name = database.as_os_str().to_owned();
        name.push(ending);
        let about = std::fs::metadata(name).ok()?;
        Some((about.len(), about.mtime(), about.mtime_nsec()))
    }))
}
