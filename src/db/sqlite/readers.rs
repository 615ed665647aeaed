//! The daemon's readers: connections that cannot write, kept ready.
//!
//! A thread that looks things up keeps the connection with which it does: the pages that it has read
//! stay in the memory next to its processor, and no lock is shared. What takes longer, and threads
//! beyond the first few, take theirs from a pool.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use r2d2::{ManageConnection as _, Pool};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use super::prepare;
use super::session::{error, is_fault};
use crate::error::{Error, Result};

/// Threads that keep a connection: more than there are workers on most machines.
const KEPT: usize = 16;

/// The readers of one database.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Pool<Manager>,
    /// Opens those that are kept.
    manager: Manager,
    kept: Box<[Place]>,
}

/// The connection of one thread. Nobody else comes here, so its lock is always free, and in a line
/// of the processor's memory that nobody else writes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(Mutex<Option<Box<Reader>>>);

impl Readers {
    /// The readers of the database at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let pool = Pool::builder()
            .max_size(u32::try_from(cores * 4).unwrap_or(8).max(8))
            .min_idle(Some(1))
            .connection_timeout(Duration::from_secs(2))
            .test_on_check_out(false)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build(Manager::of(path));
        Ok(Self {
            pool: pool.map_err(Error::unavailable)?,
            manager: Manager::of(path),
            kept: (0..KEPT).map(|_| Place::default()).collect(),
        })
    }

    /// Runs `f` with one of the pool.
    pub(super) fn lend<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut reader = self.pool.get().map_err(Error::unavailable)?;
        let result = f(&reader.connection);
        reader.fault = result.as_ref().is_err_and(is_fault);
        result
    }

    /// Runs `f`, which takes microseconds, with the thread's own.
    pub(super) fn look<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.look_at(number(), f)
    }

    fn look_at<T>(&self, place: usize, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut place = match self.kept.get(place).map(|place| place.0.try_lock()) {
            Some(Ok(place)) => place,
            Some(Err(TryLockError::Poisoned(left))) => left.into_inner(),
            Some(Err(TryLockError::WouldBlock)) | None => return self.lend(f),
        };
        // Not in its place while it is used: a panic leaves none behind.
        let mut reader = match place.take() {
            Some(reader) => reader,
            None => self.manager.connect().map_err(error)?,
        };
        let result = f(&reader.connection);
        reader.fault = result.as_ref().is_err_and(is_fault);
        if !self.manager.has_broken(&mut reader) {
            *place = Some(reader);
        }
        result
    }
}

/// The number of this thread among all that have ever looked, from 0.
fn number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed) }
    NUMBER.with(|number| *number)
}

/// Opens readers, and takes none back that met a fault (security.md, rule 59) or that a panic has
/// left in the middle of a transaction (rule 63).
#[derive(Debug)]
struct Manager(SqliteConnectionManager);

#[derive(Debug)]
struct Reader {
    connection: Connection,
    fault: bool,
}

impl Manager {
    fn of(path: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let manager = SqliteConnectionManager::file(path)
            .with_flags(flags)
            .with_init(prepare);
        Self(manager)
    }
}

impl r2d2::ManageConnection for Manager {
    /// In a box: it is moved about, and a connection is half a kilobyte.
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

#[cfg(test)]
mod tests {
    use std::sync::PoisonError;

    use super::*;
    use crate::db::sqlite::create;

    fn readers(folder: &tempfile::TempDir) -> Readers {
        let path = folder.path().join("x.db");
        create(&path).unwrap();
        Readers::open(&path).unwrap()
    }

    /// Which connection it is that a look at this place gets.
    fn handle(readers: &Readers, place: usize) -> String {
        let handle = readers.look_at(place, |connection| Ok(format!("{connection:p}")));
        handle.unwrap()
    }

    fn kept(readers: &Readers) -> usize {
        let is_there = |place: &&Place| {
            let place = place.0.lock().unwrap_or_else(PoisonError::into_inner);
            place.is_some()
        };
        readers.kept.iter().filter(is_there).count()
    }

    #[test]
    fn a_thread_that_looks_again_has_the_connection_that_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(&folder);
        let first = handle(&readers, 0);
        assert_ne!(handle(&readers, 1), first);
        assert_eq!(handle(&readers, 0), first);
        // And one that came late has one of the pool.
        handle(&readers, KEPT);
        assert_eq!(kept(&readers), 2);
    }

    #[test]
    fn a_look_within_a_look_and_one_after_a_panic_find_a_connection() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(&folder);
        let both = readers.look_at(0, |connection| {
            Ok((format!("{connection:p}"), handle(&readers, 0)))
        });
        let (outer, inner) = both.unwrap();
        assert_ne!(outer, inner);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            readers.look_at(0, |_| -> Result<()> { panic!("in the middle of a look") })
        }));
        assert!(panicked.is_err());
        assert_eq!(kept(&readers), 0);
        handle(&readers, 0);
        assert_eq!(kept(&readers), 1);
    }

    #[test]
    fn a_connection_that_met_a_fault_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(&folder);
        handle(&readers, 0);
        assert_eq!(kept(&readers), 1);
        let fault: Result<()> = readers.look_at(0, |_| Err(Error::Corrupt("a page".into())));
        assert!(fault.is_err());
        assert_eq!(kept(&readers), 0);
    }
}
