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
use crate::db::{Db, Role, ballast, keyring};
use crate::error::{Error, Result};
use crate::file::give_to_owner_of_folder;
use crate::keys::{self, Keys};
use crate::users::{self, Filter, User};
use crate::{migrations, snapshots, tokens};

/// What was found and what was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Setup {
    /// The key file was made.
    pub(super) new_key: bool,
    /// The database was made.
    pub(super) new_database: bool,
}

/// Makes whatever is missing. A finished database keeps its schema.
///
/// # Errors
/// [`Error::DatabaseMissing`] if there is only the key file, or only backups, [`Error::KeyFile`] if there is only a
/// database in use, [`Error::ForeignDatabase`] if it is another program's, or if something cannot
/// be made.
pub(super) fn prepare(config: &Config, actor: &Actor) -> Result<Setup> {
    let setup = make(config, actor)?;
    // Without it everything works, until the disk is full.
    if let Some(Err(error)) = config.db.file().map(ballast::make) {
        tracing::warn!(%error, "nothing is kept in reserve for a full disk");
    }
    Ok(setup)
}

fn make(config: &Config, actor: &Actor) -> Result<Setup> {
    let new_key = !exists(&config.key_file)?;
    let new_database = match config.db.file() {
        Some(path) => !exists(path)?,
        // A server's database is there, or nobody can connect.
        None => false,
    };
    let mut setup = Setup {
        new_key,
        new_database,
    };
    match snapshots::require(config) {
        Err(Error::NotSetUp { .. }) => {}
        required => required?,
    }
    if !new_key {
        return Ok(setup);
    }
    for file in config.db.file().into_iter().chain([&*config.key_file]) {
        folder(file.parent().unwrap_or(&config.data_dir))?;
    }
    folder(&config.data_dir)?;
    if !new_database {
        setup.new_database = unfinished(config)?;
    }
    create_database(config, actor)?;
    setup.new_key = create_key(config)? && is_first(config)?;
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

/// Whether a database without a key file is empty. It may also be one whose making was cut off, or
/// goes on in another process: it is ours, and nothing in it has been keyed.
fn unfinished(config: &Config) -> Result<bool> {
    let db = Db::open(&config.db, Role::Shell)?;
    // A key file without a database of its own would stand in the way of the right one.
    if let Err(foreign @ Error::ForeignDatabase) = migrations::check(&db) {
        return Err(foreign);
    }
    let (empty, used) = db.read(|tx| {
        let tables = tx.tables()?;
        let made = |name: &str| tables.iter().any(|table| table == name);
        let keyed = made("keyring") && keyring::fingerprint(tx)?.is_some();
        Ok((
            tables.is_empty(),
            keyed || (made("tokens") && tokens::any(tx)?),
        ))
    })?;
    // Another process may have finished, and used what it made, since the key file was missed.
    if used && !exists(&config.key_file)? {
        return Err(Error::KeyFile {
            path: config.key_file.clone(),
            reason: keys::MISSING.into(),
        });
    }
    Ok(empty)
}

/// Makes the database, and brings it to the schema of this program. Another process may be doing
/// the same.
///
/// # Errors
/// If it cannot be made, or as [`migrations::up`].
pub(crate) fn create_database(config: &Config, actor: &Actor) -> Result<()> {
    if let Some(path) = config.db.file() {
        create_file(path)?;
    }
    // Migrations key nothing.
    let db = Db::open(&config.db, Role::Shell)?;
    migrations::up(&App::new(config.clone(), Keys::ephemeral()?, db), actor)?;
    Ok(())
}

fn create_file(database: &Path) -> Result<()> {
    let making = || Error::io(format!("make the database {}", database.display()));
    // SQLite gives its other files to whom the database belongs: give that away before they exist.
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(database);
    match made {
        Ok(file) => give_to_owner_of_folder(&file, database),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(making()(error)),
    }
}

/// Whether the key file that was just made is the one of the database. When somebody else has set up
/// the same server meanwhile it is not, and must not stay.
fn is_first(config: &Config) -> Result<bool> {
    let db = Db::open(&config.db, Role::Shell)?;
    let keys = Keys::load(&config.key_file)?;
    if keyring::fits(&db, &keys, crate::time::wall())? {
        return Ok(true);
    }
    let path = config.key_file.clone();
    fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
    let reason = keys::MISSING.into();
    Err(Error::KeyFile { path, reason })
}

/// Makes the key file. False if another process was faster.
fn create_key(config: &Config) -> Result<bool> {
    match Keys::create(&config.key_file) {
        Ok(_) => {}
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let opening = Error::io(format!("open {}", config.key_file.display()));
    let file = fs::File::open(&config.key_file).map_err(opening)?;
    // It belongs to whom the database belongs, so that the daemon's account can read it.
    let beside = config.db.file().unwrap_or(&config.key_file);
    give_to_owner_of_folder(&file, beside)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup;
    use crate::config::{Environment, Sources};

    #[test]
    fn nothing_is_begun_where_only_backups_are_left() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let environment = Environment::bare(home.path())
            .with("PROVOST_DB", at("data/provost.db").to_str().unwrap())
            .with("PROVOST_KEY_FILE", at("data/provost.key").to_str().unwrap());
        let config = Config::load(&Sources::default(), &environment).unwrap();
        let actor = Actor::operator();
        assert!(prepare(&config, &actor).unwrap().new_key);
        let keys = Keys::load(&config.key_file).unwrap();
        let db = Db::open(&config.db, Role::Shell).unwrap();
        let app = App::new(config.clone(), keys, db);
        backup::create(&app, &actor, None, &mut |_, _| Ok(())).unwrap();
        drop(app);
        let empty = |name: &str| fs::write(at(name), "").unwrap();
        let remove = |name: &str| drop(fs::remove_file(at(name)));
        for name in [
            "data/provost.key",
            "data/provost.db",
            "data/provost.db.lock",
        ] {
            remove(name);
        }
        for emptied in [false, true] {
            if emptied {
                empty("data/provost.db");
            }
            let refused = prepare(&config, &actor).unwrap_err();
            assert_eq!(refused.spec().code, "database_missing", "{refused}");
            let told = refused.to_string();
            assert!(told.contains("there are backups"), "{told}");
            assert!(told.contains("provost.key"), "{told}");
            assert!(!config.key_file.exists());
        }
        fs::rename(at("data/backups"), at("backups")).unwrap();
        assert!(prepare(&config, &actor).unwrap().new_key);
    }
}
