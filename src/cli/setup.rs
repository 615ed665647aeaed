//! Setting up: the data folder, the database with its schema, the key file.
//!
//! Invariants: everything may be repeated and may have been cut off at any point before; a key
//! file is never made for a database that holds what an earlier one has keyed, and a database is
//! never made for a key file that has lost its own. The database comes first, the key file last:
//! a key file without a database is then always a loss and never an unfinished start.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::Site;
use crate::app::{Actor, App};
use crate::config::Config;
use crate::db::{Db, Role};
use crate::error::{Error, Result};
use crate::file::give_to_owner_of_folder;
use crate::keys::{self, Keys};
use crate::users::{self, Filter, User};
use crate::{migrations, tokens};

/// What was found and what was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// The key file was made.
    pub(super) new_key: bool,
    /// The database was made.
    pub(super) new_database: bool,
}

/// Makes whatever is missing. A finished database keeps its schema.
///
/// # Errors
/// [`Error::DatabaseMissing`] if there is only the key file, [`Error::KeyFile`] if there is only a
/// database in use, [`Error::ForeignDatabase`] if it is another program's, or if something cannot
/// be made.
pub(super) fn prepare(config: &Config, actor: &Actor) -> Result<Setup> {
    let database = config.db.sqlite()?;
    let mut setup = Setup {
        new_key: !exists(&config.key_file)?,
        new_database: !exists(database)?,
    };
    if setup.new_database && !setup.new_key {
        return Err(Error::DatabaseMissing {
            path: database.to_owned(),
        });
    }
    if setup.new_key {
        for file in [database, &config.key_file] {
            folder(file.parent().unwrap_or(&config.data_dir))?;
        }
        folder(&config.data_dir)?;
        if !setup.new_database {
            unfinished(config, database)?;
        }
        create_database(config, database, actor)?;
        setup.new_key = create_key(config, database)?;
    }
    Ok(setup)
}

/// What to tell while nobody administers: the one command that changes it.
///
/// # Errors
/// Those of the database.
pub(super) fn no_administrator(app: &App, actor: &Actor, site: &Site) -> Result<Option<String>> {
    let none = administrators(app, actor)?.is_empty();
    Ok(none.then(|| {
        let flags = site.flags();
        format!("there is no administrator yet; make one: provost{flags} user create NAME --admin")
    }))
}

/// The first of the enabled administrators.
///
/// # Errors
/// Those of the database.
pub(super) fn administrators(app: &App, actor: &Actor) -> Result<Vec<User>> {
    let filter = Filter {
        role: Some(users::Role::Admin),
        state: Some(users::State::Active),
        ..Filter::default()
    };
    app.read(actor, |cx| Ok(users::list(cx, &filter, None, 10)?.items))
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists()
        .map_err(Error::io(format!("look at {}", path.display())))
}

fn folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io(format!("make the folder {}", path.display())))
}

/// Whether a database without a key file is one whose making was cut off, or goes on in another
/// process: it is ours, and nothing in it has been keyed.
fn unfinished(config: &Config, database: &Path) -> Result<()> {
    let db = Db::open(database, Role::Shell)?;
    // A key file without a database of its own would stand in the way of the right one.
    if let Err(foreign @ Error::ForeignDatabase) = migrations::check(&db) {
        return Err(foreign);
    }
    let used = db.read(|tx| {
        let made = tx.tables()?.iter().any(|table| table == "tokens");
        Ok(made && tokens::any(tx)?)
    })?;
    if used {
        return Err(Error::KeyFile {
            path: config.key_file.clone(),
            reason: keys::MISSING.into(),
        });
    }
    Ok(())
}

/// Makes the database, and brings it to the schema of this program. Another process may be doing
/// the same.
fn create_database(config: &Config, database: &Path, actor: &Actor) -> Result<()> {
    let making = || Error::io(format!("make the database {}", database.display()));
    // SQLite gives its other files to whom the database belongs: give that away before they exist.
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(database);
    match made {
        Ok(file) => give_to_owner_of_folder(&file, database)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(making()(error)),
    }
    // Migrations key nothing.
    let db = Db::open(database, Role::Shell)?;
    migrations::up(&App::new(config.clone(), Keys::ephemeral()?, db), actor)?;
    Ok(())
}

/// Makes the key file. False if another process was faster.
fn create_key(config: &Config, database: &Path) -> Result<bool> {
    match Keys::create(&config.key_file) {
        Ok(_) => {}
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let opening = Error::io(format!("open {}", config.key_file.display()));
    let file = fs::File::open(&config.key_file).map_err(opening)?;
    give_to_owner_of_folder(&file, database)?;
    Ok(true)
}
