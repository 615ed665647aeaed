//! Looking at a database without leaving a trace: for who must not make anything worse.
//!
//! Invariant: no byte of the database or of its log is written, and no file is made beside it. A
//! usual connection makes a log, and empties it into the database when it closes.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::lock::{Locks, running_daemon};
use super::session::error;
use super::still::uri;
use super::{Access, SNAPSHOT_SHELL, Sqlite, prepare, resolve};
use crate::error::Result;

/// How a file can be read that must stay as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nobody has it open: without locks, without a log.
    Still,
    /// Others have it open, and its log and marks are there.
    Beside,
    /// Its log waits since a crash; the marks beside it stay as they are.
    Left,
    /// Its log waits, and there are no marks: they are made in memory, and nobody else gets in.
    Alone,
}

impl Sqlite {
    pub(in crate::db) fn inspect(path: &Path) -> Result<Self> {
        let path = resolve(path)?;
        let locks = Locks::visit(&path)?;
        let connection = match (way(&path), open(&path, way(&path))) {
            // Some command is at work, and its marks change under our eyes.
            (Way::Left, Err(failure)) if is_about_marks(&failure) => open(&path, Way::Beside),
            (_, opened) => opened,
        };
        Ok(Self {
            access: Access::Direct(Mutex::new(connection.map_err(error)?)),
            snapshot: SNAPSHOT_SHELL,
            path: Some(path),
            locks,
            faults: Arc::default(),
        })
    }
}

fn way(path: &Path) -> Way {
    // Only `stat`: opening the files with normal calls would drop SQLite's locks (rule 61).
    let size = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::fs::metadata(name).ok().map(|file| file.len())
    };
    if running_daemon(path).is_some() {
        return Way::Beside;
    }
    match (size("-wal"), size("-shm")) {
        (Some(1..), None) => Way::Alone,
        (Some(_), Some(_)) => Way::Left,
        (None, _) | (Some(0), None) => Way::Still,
    }
}

fn is_about_marks(failure: &rusqlite::Error) -> bool {
    matches!(
        failure.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
    )
}

fn open(path: &Path, way: Way) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let read_only = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let mut connection = match way {
        Way::Still => Connection::open_with_flags(uri(path, "immutable=1"), read_only),
        Way::Left => Connection::open_with_flags(uri(path, "readonly_shm=1"), read_only),
        Way::Beside => Connection::open_with_flags(uri(path, "mode=ro"), read_only),
        Way::Alone => Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE),
    }?;
    if way == Way::Alone {
        // Before anything is read: only then it needs no file for its marks.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    prepare(&mut connection)?;
    // What stands in the way of reading shows here, and not in the middle of something else.
    connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::db::{Db, Role};
    use crate::error::Error;

    /// Every file of a folder with what is in it.
    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    fn fill(path: &Path, rows: i64) -> Db {
        let db = Db::open_file(path, Role::Shell).unwrap();
        db.write(move |tx| {
            tx.script("CREATE TABLE IF NOT EXISTS numbers (n INTEGER) STRICT")?;
            for n in 0..rows {
                tx.run("INSERT INTO numbers VALUES ($1)", &[n.into()])?;
            }
            Ok(())
        })
        .unwrap();
        db
    }

    fn seen(path: &Path) -> usize {
        let db = Db::inspect_file(path).unwrap();
        assert!(
            db.examine()
                .unwrap()
                .iter()
                .all(|check| check.findings.is_empty())
        );
        db.read(|tx| tx.all("SELECT n FROM numbers", &[]))
            .unwrap()
            .len()
    }

    #[test]
    fn a_database_at_rest_is_read_and_no_file_is_made_or_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd name?#%.db");
        drop(fill(&path, 3));
        let before = files(folder.path());
        assert_eq!(seen(&path), 3);
        assert_eq!(files(folder.path()), before);
    }

    #[test]
    fn what_a_crash_left_in_the_log_is_read_and_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        drop(fill(&path, 3));
        let db = fill(&path, 4);
        // As a crash would leave them: with the marks, and, moved by somebody, without.
        for endings in [&["", "-wal", "-shm"][..], &["", "-wal"]] {
            let left = tempfile::tempdir().unwrap();
            for ending in endings {
                let name = format!("x.db{ending}");
                fs::copy(folder.path().join(&name), left.path().join(&name)).unwrap();
            }
            let before = files(left.path());
            assert_eq!(seen(&left.path().join("x.db")), 7, "{endings:?}");
            assert_eq!(files(left.path()), before, "{endings:?}");
        }
        // And beside the command that is still at work.
        assert_eq!(seen(&path), 7);
        drop(db);
    }

    #[test]
    fn it_can_be_looked_at_beside_a_daemon_and_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        drop(fill(&path, 3));
        let daemon = Db::open_file(&path, Role::Daemon).unwrap();
        daemon
            .write(|tx| tx.run("INSERT INTO numbers VALUES (9)", &[]))
            .unwrap();
        assert_eq!(seen(&path), 4);
        let db = Db::inspect_file(&path).unwrap();
        assert!(db.write(|tx| tx.run("DELETE FROM numbers", &[])).is_err());
        assert_eq!(
            db.daemons().unwrap(),
            [format!("pid {}", std::process::id())]
        );
    }

    #[test]
    fn what_is_no_database_is_called_damaged_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        fs::write(&path, [0x5a; 8192]).unwrap();
        let before = files(folder.path());
        assert!(matches!(Db::inspect_file(&path), Err(Error::Corrupt(_))));
        assert_eq!(files(folder.path()), before);
    }
}
