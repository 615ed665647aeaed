//! The `SQLite` engine: read-only connections for readers, one writer, and statements whose
//! parameters are bound by the number in their name.

mod anchor;
mod backup;
mod checkpoint;
mod deadline;
mod examine;
mod inspect;
mod lock;
mod long;
#[cfg(test)]
mod plans;
mod readers;
mod replace;
mod schema;
mod session;
mod shape;
mod steps;
mod still;
mod stray;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use deadline::{Deadline, nap};
use lock::Locks;
use readers::Readers;
pub(in crate::db) use session::Session;
use session::error;
use writer::LOG;

use super::facts::Engine;
use super::queue::Queue;
use super::{APPLICATION, Facts, Identity, Role, Tidy, Tx, TxEngine};
use crate::error::{Error, Result};
use crate::file::{disk, folder_of};

/// 3.7.0 to 3.51.2 have a race at the reset of the write-ahead log that two processes on one
/// file can trigger (security.md, rule 54).
const OLDEST_SAFE: i32 = 3_051_003;

/// How old a read snapshot may grow: it keeps the log from being emptied (rule 58).
const SNAPSHOT: Duration = Duration::from_secs(5);

/// The same for a command, which may walk a whole table.
const SNAPSHOT_SHELL: Duration = Duration::from_secs(30);

/// An open `SQLite` database.
#[derive(Debug)]
pub(super) struct Sqlite {
    access: Access,
    snapshot: Duration,
    path: Option<PathBuf>,
    locks: Option<Locks>,
    faults: Arc<AtomicU32>,
}

#[derive(Debug)]
enum Access {
    /// A command or a test: one connection for everything.
    Direct(Mutex<Connection>),
    /// The daemon: readers beside one writer.
    Served {
        readers: Box<Readers>,
        writer: Queue,
    },
}

impl Sqlite {
    pub(super) fn open(path: &Path, role: Role) -> Result<Self> {
        if rusqlite::version_number() < OLDEST_SAFE {
            return Err(Error::Config(format!(
                "SQLite {} is not safe with several processes; 3.51.3 or newer is needed",
                rusqlite::version()
            )));
        }
        let path = resolve(path)?;
        let locks = Locks::take(&path, role == Role::Daemon)?;
        let faults = Arc::default();
        let (access, snapshot) = match role {
            Role::Shell => {
                let connection = create(&path)?;
                // The daemon looks after the log; a command must not make it wait (rule 58).
                let pages = if locks.daemon_runs() { 0 } else { 1000 };
                Session::new(&connection).pragma("wal_autocheckpoint", pages)?;
                (Access::Direct(Mutex::new(connection)), SNAPSHOT_SHELL)
            }
            Role::Daemon => {
                let writer = writer::start(path.clone(), Arc::clone(&faults), LOG)?;
                (
                    Access::Served {
                        readers: Box::new(Readers::open(&path)?),
                        writer,
                    },
                    SNAPSHOT,
                )
            }
        };
        Ok(Self {
            access,
            snapshot,
            path: Some(path),
            locks: Some(locks),
            faults,
        })
    }

    pub(super) fn memory() -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(error)?;
        Session::new(&connection).pragma("foreign_keys", 1)?;
        Ok(Self {
            access: Access::Direct(Mutex::new(connection)),
            snapshot: SNAPSHOT_SHELL,
            path: None,
            locks: None,
            faults: Arc::default(),
        })
    }

    pub(super) fn read<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let deadline = Deadline::set(self.snapshot);
        let result = match &self.access {
            Access::Direct(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                Session::new(&connection).snapshot(f)
            }
            Access::Served { readers, .. } => {
                readers.lend(|connection| Session::new(connection).snapshot(f))
            }
        };
        drop(deadline);
        result
    }

    pub(super) fn look<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.access {
            Access::Direct(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                Session::single(&connection, f)
            }
            Access::Served { readers, .. } => {
                readers.look(|connection| Session::single(connection, f))
            }
        }
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        mut f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.access {
            Access::Direct(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let session = Session::new(&connection);
                session.command("BEGIN IMMEDIATE")?;
                let result = f(&mut session.tx());
                session.end(result)
            }
            Access::Served { writer, .. } => writer.wait_for(f),
        }
    }

    pub(super) fn submit<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        match &self.access {
            Access::Direct(_) => done(self.write(f)),
            Access::Served { writer, .. } => writer.submit(f, done),
        }
    }

    pub(super) fn identity(&self) -> Result<Identity> {
        self.read(|tx| {
            let TxEngine::Sqlite(session) = tx.engine else {
                return Err(Error::internal("another engine's transaction"));
            };
            let application = session.number("PRAGMA application_id")?;
            let schema = session.number("PRAGMA user_version")?;
            let schema = u32::try_from(schema)
                .map_err(|_| Error::Corrupt("the schema version is negative".into()))?;
            Ok(Identity {
                application,
                schema,
            })
        })
    }

    pub(super) fn exclusively<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.locks {
            Some(locks) => locks.exclusively(f),
            None => f(),
        }
    }

    pub(super) fn tidy(&self, how: Tidy) -> Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        // A connection of its own: the writer goes on meanwhile.
        let connection = connect(path)?;
        let sql = match how {
            Tidy::Light => "PRAGMA wal_checkpoint(PASSIVE)",
            Tidy::Full => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        Session::new(&connection).number(sql).map(|_busy| ())
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn serves(&self) -> bool {
        matches!(self.access, Access::Served { .. })
    }

    pub(super) fn is_guest(&self) -> bool {
        !self.serves() && self.locks.as_ref().is_some_and(Locks::daemon_runs)
    }

    pub(super) fn facts(&self) -> Facts {
        let log_bytes = self.path.as_deref().map_or(0, log_bytes);
        let disk = self.path.as_ref().map(|path| disk(folder_of(path)));
        let disk_free = disk.flatten().map(|disk| disk.free);
        Facts {
            engine: format!("SQLite {}", rusqlite::version()),
            durability: "WAL, synchronous=FULL",
            log_bytes,
            disk_free,
            faults: self.faults.load(Ordering::Relaxed),
        }
    }
}

/// The engine in this program: its version, and the options without which others could do what they
/// should not, or everybody waits for a lock.
pub(super) fn compiled() -> Engine {
    const WANTED: [&str; 2] = ["DQS=0", "OMIT_SHARED_CACHE"];
    let has = |wanted: &str| {
        let options = Connection::open_in_memory().and_then(|memory| {
            let mut asked = memory.prepare("SELECT compile_options FROM pragma_compile_options")?;
            let options = asked.query_map([], |row| row.get::<_, String>(0))?;
            options.collect::<rusqlite::Result<Vec<_>>>()
        });
        options.is_ok_and(|options| options.iter().any(|option| option == wanted))
    };
    Engine {
        version: rusqlite::version(),
        safe: rusqlite::version_number() >= OLDEST_SAFE,
        missing: WANTED.into_iter().filter(|wanted| !has(wanted)).collect(),
    }
}

/// The size of the write-ahead log of the database at `path`.
pub(super) fn log_bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // Only `stat`: opening the file with normal calls would drop SQLite's locks (rule 61).
    std::fs::metadata(log).map_or(0, |log| log.len())
}

/// Empties the write-ahead log if nobody uses it, and waits for nobody.
pub(super) fn empty_log(connection: &Connection) -> Result<()> {
    connection.busy_handler(None).map_err(error)?;
    let busy = Session::new(connection).number("PRAGMA wal_checkpoint(TRUNCATE)");
    connection.busy_handler(Some(nap)).map_err(error)?;
    busy.map(|_| ())
}

/// The real place of the file: `NOFOLLOW` refuses a link anywhere in the path, but only the last
/// part can be swapped by somebody who may write into the data folder.
fn resolve(path: &Path) -> Result<PathBuf> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(Error::io(format!(
        "open the data folder {}",
        folder.display()
    )))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

/// What every connection is told first (security.md, rule 55).
fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    // Short, jittered naps instead of SQLite's growing ones: a command that waits for a busy
    // daemon has to hit the short gap between two of its commits.
    connection.busy_handler(Some(nap))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = FAST;",
    )?;
    // Or every list is planned anew each time: SQLite looks at the value behind `LIMIT $2` when it
    // plans, and at whatever is bound to it afterwards it plans again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.progress_handler(10_000, Some(Deadline::passed))
}

/// Opens a connection that may write, on a file that is there: one that was taken away must not
/// come back empty.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    open(path, OpenFlags::empty())
}

/// Opens a connection that may write, making an empty database if there is none.
pub(super) fn create(path: &Path) -> Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_CREATE)
}

fn open(path: &Path, create: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE
        | create;
    let mut connection = Connection::open_with_flags(path, flags).map_err(error)?;
    prepare(&mut connection).map_err(error)?;
    if journal_mode(&connection, "PRAGMA journal_mode")? == "wal" {
        return Ok(connection);
    }
    // The mode is written into the file, so first it has to be clear whose file that is.
    let session = Session::new(&connection);
    let owner = session.number("PRAGMA application_id")?;
    let blank = owner == 0 && session.number("SELECT COUNT(*) FROM sqlite_schema")? == 0;
    if owner != APPLICATION && !blank {
        return Err(Error::ForeignDatabase);
    }
    let mode = journal_mode(&connection, "PRAGMA journal_mode = WAL")?;
    if mode == "wal" {
        Ok(connection)
    } else {
        Err(Error::unavailable(format!(
            "journal mode is {mode}, not wal"
        )))
    }
}

/// Asks for the journal mode, or for a change of it. While several processes open a new database
/// at once, `SQLite` answers a change with "busy" without asking the busy handler.
fn journal_mode(connection: &Connection, sql: &str) -> Result<String> {
    let mut attempt = 0;
    loop {
        let asked = connection.query_row(sql, [], |row| row.get(0));
        let code = asked
            .as_ref()
            .err()
            .and_then(rusqlite::Error::sqlite_error_code);
        if code != Some(ErrorCode::DatabaseBusy) || !nap(attempt) {
            return asked.map_err(error);
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;

    #[test]
    fn a_failed_unit_of_work_leaves_nothing_behind() {
        let db = Db::memory().unwrap();
        db.write(|tx| tx.script("CREATE TABLE numbers (n INTEGER) STRICT"))
            .unwrap();
        let failed: Result<()> = db.write(|tx| {
            tx.run("INSERT INTO numbers VALUES (1)", &[])?;
            Err(Error::Unauthenticated)
        });
        assert!(failed.is_err());
        let rows = db.read(|tx| tx.all("SELECT n FROM numbers", &[])).unwrap();
        assert!(rows.is_empty());
    }

    #[test]
    fn sqlite_is_built_without_the_global_page_cache_mutex_and_loads_no_code() {
        let db = Db::memory().unwrap();
        let sql = "SELECT compile_options AS option FROM pragma_compile_options";
        let rows = db.read(|tx| tx.all(sql, &[])).unwrap();
        let options: Vec<String> = rows.iter().map(|row| row.text("option").unwrap()).collect();
        let has = |wanted| options.iter().any(|option| option == wanted);
        for absent in [
            "ENABLE_MEMORY_MANAGEMENT",
            "ENABLE_LOAD_EXTENSION",
            "ENABLE_FTS3",
        ] {
            assert!(!has(absent), "{absent}: {options:?}");
        }
        for present in ["DQS=0", "OMIT_SHARED_CACHE", "OMIT_LOAD_EXTENSION"] {
            assert!(has(present), "{present}: {options:?}");
        }
    }

    #[test]
    fn a_file_is_opened_with_every_pragma_that_safety_needs() {
        let folder = tempfile::tempdir().unwrap();
        let connection = create(&folder.path().join("x.db")).unwrap();
        let session = Session::new(&connection);
        for (pragma, wanted) in [
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("trusted_schema", 0),
            ("cell_size_check", 1),
            ("mmap_size", 0),
            ("journal_size_limit", 67_108_864),
            ("temp_store", 2),
            ("secure_delete", 2),
        ] {
            assert_eq!(
                session.number(&format!("PRAGMA {pragma}")).unwrap(),
                wanted,
                "{pragma}"
            );
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        std::fs::write(&path, [0x5a; 8192]).unwrap();
        assert!(matches!(
            Db::open_file(&path, Role::Shell),
            Err(Error::Corrupt(_))
        ));
    }

    #[test]
    fn another_programs_file_is_refused_and_not_one_byte_of_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE theirs (n)").unwrap();
        drop(other);
        let before = std::fs::read(&path).unwrap();
        for role in [Role::Shell, Role::Daemon] {
            assert!(matches!(
                Db::open_file(&path, role),
                Err(Error::ForeignDatabase)
            ));
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_read_that_panics_leaves_no_transaction_open() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open_file(&folder.path().join("x.db"), Role::Daemon).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            db.read(|_| -> Result<()> { panic!("in the middle of a read") })
        }));
        assert!(panicked.is_err());
        for _ in 0..20 {
            db.read(|tx| tx.tables().map(|_| ())).unwrap();
        }
    }

    #[test]
    fn a_database_that_was_taken_away_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let db = Db::open_file(&path, Role::Daemon).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(db.tidy(Tidy::Light).is_err());
        assert!(!path.exists());
    }
}
