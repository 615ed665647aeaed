//! Putting another file in the place of a database (security.md, rules 61, 62 and 80).
//!
//! Invariant: wherever it is cut off, a whole database is under the name, the old one or the new.
//! First what the old one's log holds is moved into its main file; then that gets a second name;
//! then the new file takes the first one. Only of a database that is too damaged for that, the log
//! is moved aside as it is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::lock::{Locks, running_daemon};
use super::session::error;
use super::{Sqlite, connect, resolve};
use crate::error::{Error, Result};
use crate::file::folder_of;

/// The files that `SQLite` keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

impl Sqlite {
    /// Refuses a database that a daemon serves, without opening it.
    pub(in crate::db) fn refuse_daemon(path: &Path) -> Result<()> {
        running_daemon(&resolve(path)?).map_or(Ok(()), |pid| Err(Error::DaemonRunning { pid }))
    }

    pub(in crate::db) fn replace<T>(
        path: &Path,
        new: &Path,
        aside: &Path,
        before: impl FnOnce(Option<&Path>) -> Result<T>,
    ) -> Result<(T, Vec<PathBuf>)> {
        Self::refuse_daemon(path)?;
        let path = resolve(path)?;
        let locks = Locks::take(&path, false)?;
        locks.exclusively(|| {
            let old = exists(&path)?;
            let whole = old && !is_empty(&path)? && settle(&path)?;
            let done = before(whole.then_some(path.as_path()))?;
            // Also where the database is gone: its log would be played into the new one.
            let kept = keep(&path, aside, old)?;
            sync(folder_of(&path))?;
            let putting = Error::io(format!("put a file in the place of {}", path.display()));
            fs::rename(new, &path).map_err(putting)?;
            sync(folder_of(&path))?;
            Ok((done, kept))
        })
    }
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists()
        .map_err(Error::io(format!("look at {}", path.display())))
}

/// Whether there is no byte in the file. `SQLite` would take it for a new database, and throw away
/// the log that is left beside it.
fn is_empty(path: &Path) -> Result<bool> {
    let about = fs::metadata(path);
    let about = about.map_err(Error::io(format!("look at {}", path.display())))?;
    Ok(about.len() == 0)
}

/// Moves what was committed into the main file. False for a file that is too damaged for it.
fn settle(path: &Path) -> Result<bool> {
    let connection = match connect(path) {
        Err(Error::Corrupt(_)) => return Ok(false),
        opened => opened?,
    };
    match emptied(&connection) {
        Err(Error::Corrupt(_)) => return Ok(false),
        Ok(true) => {}
        Ok(false) => return Err(Error::unavailable("another program uses the database")),
        Err(other) => return Err(other),
    }
    // The last one to close a database removes its log.
    connection.close().map_err(|(_, source)| error(source))?;
    Ok(true)
}

fn emptied(connection: &Connection) -> Result<bool> {
    let busy = super::Session::new(connection).number("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(busy == 0)
}

/// Gives the old database a second name, and moves what else belongs to it. Returns what is there
/// now.
fn keep(path: &Path, aside: &Path, old: bool) -> Result<Vec<PathBuf>> {
    let failed = || Error::io(format!("move {} to {}", path.display(), aside.display()));
    let mut kept = Vec::new();
    if old {
        forget_second_names(path)?;
        match fs::hard_link(path, aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::Exists { path: aside.into() });
            }
            // A file system without second names: then there is an instant without the first.
            Err(_) => fs::rename(path, aside).map_err(failed())?,
        }
        kept.push(aside.to_owned());
    }
    for ending in BESIDE {
        let (from, to) = (with(path, ending), with(aside, ending));
        match fs::rename(&from, &to) {
            Ok(()) => kept.push(to),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed()(error)),
        }
    }
    Ok(kept)
}

/// Takes away the second names that a run left which was cut off before the new file was in place:
/// to open a database under two names is to damage it.
fn forget_second_names(path: &Path) -> Result<()> {
    let looking = || Error::io(format!("look at {}", path.display()));
    let own = fs::metadata(path).map_err(looking())?;
    if own.nlink() < 2 {
        return Ok(());
    }
    for entry in fs::read_dir(folder_of(path)).map_err(looking())? {
        let other = entry.map_err(looking())?.path();
        let same = fs::symlink_metadata(&other)
            .is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino()));
        if same && other != path {
            fs::remove_file(&other).map_err(looking())?;
        }
    }
    Ok(())
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn sync(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(Error::io(format!("write {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Db, Role};

    fn made(path: &Path, number: i64) {
        let db = Db::open_file(path, Role::Shell).unwrap();
        db.write(move |tx| {
            tx.script("CREATE TABLE numbers (n INTEGER) STRICT")?;
            tx.run("INSERT INTO numbers VALUES ($1)", &[number.into()])
        })
        .unwrap();
        db.write(|tx| tx.stamp(1)).unwrap();
    }

    fn number(path: &Path) -> i64 {
        let db = Db::open_still(path).unwrap();
        let row = db.read(|tx| tx.first("SELECT n FROM numbers", &[]));
        row.unwrap().unwrap().int("n").unwrap()
    }

    #[test]
    fn the_log_of_a_database_that_is_gone_is_not_played_into_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        made(&at("new.db"), 2);
        fs::write(at("x.db-wal"), "of another database").unwrap();
        let ((), kept) =
            Sqlite::replace(&at("x.db"), &at("new.db"), &at("old.db"), |_| Ok(())).unwrap();
        assert_eq!(kept, [at("old.db-wal")]);
        assert!(!at("x.db-wal").exists());
        assert_eq!(number(&at("x.db")), 2);
    }

    #[test]
    fn the_log_beside_an_emptied_database_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        made(&at("new.db"), 2);
        fs::write(at("x.db"), "").unwrap();
        fs::write(at("x.db-wal"), "all that is left").unwrap();
        let (old, kept) = Sqlite::replace(&at("x.db"), &at("new.db"), &at("old.db"), |old| {
            Ok(old.is_some())
        })
        .unwrap();
        assert!(!old);
        assert_eq!(kept, [at("old.db"), at("old.db-wal")]);
        assert_eq!(fs::read(at("old.db-wal")).unwrap(), b"all that is left");
        assert_eq!(number(&at("x.db")), 2);
    }

    #[test]
    fn the_new_file_takes_the_name_and_the_old_database_is_kept_whole_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        made(&at("x.db"), 1);
        made(&at("new.db"), 2);
        // A log that a killed process has left.
        let killed = rusqlite::Connection::open(at("x.db")).unwrap();
        killed
            .execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE numbers SET n = 3")
            .unwrap();
        for ending in ["-wal", "-shm"] {
            fs::copy(with(&at("x.db"), ending), with(&at("copy"), ending)).unwrap();
        }
        drop(killed);
        made(&at("y.db"), 1);
        let seen = |old: Option<&Path>| Ok(old.map(number));
        let (old, kept) = Sqlite::replace(&at("x.db"), &at("new.db"), &at("old.db"), seen).unwrap();
        assert_eq!(old, Some(3));
        assert_eq!(kept, [at("old.db")]);
        assert_eq!((number(&at("x.db")), number(&at("old.db"))), (2, 3));
        assert!(!at("new.db").exists() && !at("x.db-wal").exists());
        assert_eq!(fs::metadata(at("old.db")).unwrap().nlink(), 1);
    }

    #[test]
    fn a_second_name_that_was_left_over_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        made(&at("x.db"), 1);
        made(&at("new.db"), 2);
        fs::hard_link(at("x.db"), at("left-over.db")).unwrap();
        Sqlite::replace(&at("x.db"), &at("new.db"), &at("old.db"), |_| Ok(())).unwrap();
        assert!(!at("left-over.db").exists());
        assert_eq!((number(&at("x.db")), number(&at("old.db"))), (2, 1));
    }

    #[test]
    fn a_damaged_database_is_moved_aside_with_its_log_and_a_missing_one_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("x.db"), [0x5a; 8192]).unwrap();
        fs::write(at("x.db-wal"), "log").unwrap();
        made(&at("new.db"), 2);
        let (old, kept) = Sqlite::replace(&at("x.db"), &at("new.db"), &at("old.db"), |old| {
            Ok(old.is_some())
        })
        .unwrap();
        assert!(!old);
        // Of a log in which nothing is, nothing need be kept.
        assert_eq!(kept[0], at("old.db"));
        assert_eq!(fs::read(&kept[0]).unwrap(), [0x5a; 8192]);
        assert_eq!(number(&at("x.db")), 2);
        made(&at("newer.db"), 3);
        fs::remove_file(at("x.db")).unwrap();
        let ((), kept) =
            Sqlite::replace(&at("x.db"), &at("newer.db"), &at("old2.db"), |_| Ok(())).unwrap();
        assert!(kept.is_empty());
        assert_eq!(number(&at("x.db")), 3);
    }

    #[test]
    fn what_fails_before_leaves_everything_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        made(&at("x.db"), 1);
        made(&at("new.db"), 2);
        let failed = |_: Option<&Path>| -> Result<()> { Err(Error::Cancelled) };
        let replaced = Sqlite::replace(&at("x.db"), &at("new.db"), &at("old.db"), failed);
        assert!(matches!(replaced, Err(Error::Cancelled)));
        let taken = Sqlite::replace(&at("x.db"), &at("new.db"), &at("new.db"), |_| Ok(()));
        assert!(matches!(taken, Err(Error::Exists { .. })));
        let daemon = Db::open_file(&at("x.db"), Role::Daemon).unwrap();
        let served = Sqlite::replace(&at("x.db"), &at("new.db"), &at("old.db"), |_| Ok(()));
        assert!(matches!(served, Err(Error::DaemonRunning { .. })));
        drop(daemon);
        assert_eq!((number(&at("x.db")), number(&at("new.db"))), (1, 2));
    }
}
