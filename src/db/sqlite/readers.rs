//! The daemon's readers: connections that cannot write, kept ready.

use std::path::Path;
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use super::prepare;
use crate::error::{Error, Result};

/// Opens readers, and takes none back that met a fault (security.md, rule 59) or that a panic has
/// left in the middle of a transaction (rule 63).
#[derive(Debug)]
pub(super) struct Readers(SqliteConnectionManager);

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) fault: bool,
}

impl r2d2::ManageConnection for Readers {
    /// In a box: the pool moves it about, and a connection is half a kilobyte.
    type Connection = Box<Reader>;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Box<Reader>> {
        let connection = self.0.connect()?;
        Ok(Box::new(Reader {
            connection,
            fault: false,
        }))
    }

    fn is_valid(&self, reader: &mut Box<Reader>) -> rusqlite::Result<()> {
        self.0.is_valid(&mut reader.connection)
    }

    fn has_broken(&self, reader: &mut Box<Reader>) -> bool {
        reader.fault || !reader.connection.is_autocommit()
    }
}

/// The pool of readers of the database at `path`.
pub(super) fn open(path: &Path) -> Result<r2d2::Pool<Readers>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let manager = SqliteConnectionManager::file(path)
        .with_flags(flags)
        .with_init(prepare);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    r2d2::Pool::builder()
        .max_size(u32::try_from(cores * 4).unwrap_or(8).max(8))
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(2))
        .test_on_check_out(false)
        .error_handler(Box::new(r2d2::NopErrorHandler))
        .build(Readers(manager))
        .map_err(Error::unavailable)
}
