//! A file that nobody writes: a backup, or a copy that was just made.
//!
//! It is opened as immutable, so that the engine neither locks it nor makes a log beside it
//! (<https://sqlite.org/uri.html>), and nothing that is done to it can change a byte.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags};

use super::session::error;
use super::{Access, SNAPSHOT_SHELL, Sqlite, prepare};
use crate::error::{Error, Result};

impl Sqlite {
    pub(in crate::db) fn open_still(path: &Path) -> Result<Self> {
        let real = path
            .canonicalize()
            .map_err(Error::io(format!("open {}", path.display())))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let mut connection =
            Connection::open_with_flags(uri(&real, "immutable=1"), flags).map_err(error)?;
        prepare(&mut connection).map_err(error)?;
        Ok(Self {
            access: Access::Direct(Mutex::new(connection)),
            snapshot: SNAPSHOT_SHELL,
            // There is no log to look after, and there are no locks.
            path: None,
            locks: None,
            faults: Arc::default(),
        })
    }
}

/// The path as a name in which no byte of it means anything, and how it is to be opened.
pub(super) fn uri(path: &Path, how: &str) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    format!("{uri}?{how}")
}

#[cfg(test)]
mod tests {
    use crate::db::{Db, Role};
    use crate::error::Error;

    #[test]
    fn a_still_file_is_read_under_any_name_and_nothing_appears_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("x.db");
        let db = Db::open_file(&made, Role::Shell).unwrap();
        db.write(|tx| tx.script("CREATE TABLE numbers (n INTEGER) STRICT"))
            .unwrap();
        drop(db);
        let apart = tempfile::tempdir().unwrap();
        let path = apart.path().join("50% of it? #1 ü.db");
        std::fs::copy(&made, &path).unwrap();
        let before = std::fs::read(&path).unwrap();
        let still = Db::open_still(&path).unwrap();
        let tables = still
            .read(|tx| {
                let tables = tx.tables()?;
                Ok(tables)
            })
            .unwrap();
        assert_eq!(tables, ["numbers"]);
        assert!(
            still
                .examine()
                .unwrap()
                .iter()
                .all(|it| it.findings.is_empty())
        );
        let written = still.write(|tx| tx.script("DROP TABLE numbers"));
        assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
        assert_eq!(std::fs::read_dir(apart.path()).unwrap().count(), 1);
        drop(still);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
