//! The `SQLite` engine: read-only connections for readers, one writer, and statements whose
//! parameters are bound by the number in their name.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::lock::Locks;
use super::writer::Writer;
use super::{APPLICATION, Facts, Identity, Role, Row, Tidy, Tx, TxEngine, Value};
use crate::error::{Error, Result};

/// 3.7.0 to 3.51.2 have a race at the reset of the write-ahead log that two processes on one
/// file can trigger (security.md, rule 54).
const OLDEST_SAFE: i32 = 3_051_003;

/// How long a statement waits for another process's transaction (rule 57).
const BUSY: Duration = Duration::from_secs(5);

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
        readers: r2d2::Pool<SqliteConnectionManager>,
        writer: Writer,
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
                let connection = connect(&path)?;
                // The daemon looks after the log; a command must not make it wait (rule 58).
                let pages = if locks.daemon_runs() { 0 } else { 1000 };
                Session(&connection).pragma("wal_autocheckpoint", pages)?;
                (Access::Direct(Mutex::new(connection)), SNAPSHOT_SHELL)
            }
            Role::Daemon => {
                let writer = Writer::start(path.clone(), Arc::clone(&faults))?;
                (
                    Access::Served {
                        readers: readers(&path)?,
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
        Session(&connection).pragma("foreign_keys", 1)?;
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
                Session(&connection).snapshot(f)
            }
            Access::Served { readers, .. } => {
                let connection = readers.get().map_err(Error::unavailable)?;
                Session(&connection).snapshot(f)
            }
        };
        drop(deadline);
        result
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        mut f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.access {
            Access::Direct(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let session = Session(&connection);
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
            let TxEngine::Sqlite(session) = tx.engine;
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
        Session(&connection).number(sql).map(|_busy| ())
    }

    pub(super) fn facts(&self) -> Facts {
        let log = self.path.as_ref().map(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push("-wal");
            PathBuf::from(name)
        });
        // Only `stat`: opening the file with normal calls would drop SQLite's locks (rule 61).
        let log_bytes = log
            .and_then(|log| std::fs::metadata(log).ok())
            .map_or(0, |m| m.len());
        let disk_free = self.path.as_ref().and_then(|path| {
            let disk = rustix::fs::statvfs(path.parent()?).ok()?;
            Some(disk.f_bavail.saturating_mul(disk.f_frsize))
        });
        Facts {
            engine: format!("SQLite {}", rusqlite::version()),
            log_bytes,
            disk_free,
            faults: self.faults.load(Ordering::Relaxed),
        }
    }
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

fn readers(path: &Path) -> Result<r2d2::Pool<SqliteConnectionManager>> {
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
        .build(manager)
        .map_err(Error::unavailable)
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
    connection.set_prepared_statement_cache_capacity(128);
    connection.progress_handler(10_000, Some(Deadline::passed))
}

fn nap(attempt: i32) -> bool {
    thread_local! { static SINCE: Cell<Option<Instant>> = const { Cell::new(None) } }
    let now = Instant::now();
    let since = if attempt == 0 {
        now
    } else {
        SINCE.get().unwrap_or(now)
    };
    SINCE.set(Some(since));
    let jitter = u64::from(now.duration_since(since).subsec_nanos() % 700);
    std::thread::sleep(Duration::from_micros(300 + jitter));
    since.elapsed() < BUSY
}

/// While it lives, statements on this thread are stopped once the time is over.
struct Deadline;

thread_local! { static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) } }

impl Deadline {
    fn set(after: Duration) -> Self {
        DEADLINE.set(Instant::now().checked_add(after));
        Self
    }

    fn passed() -> bool {
        DEADLINE
            .get()
            .is_some_and(|deadline| Instant::now() > deadline)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        DEADLINE.set(None);
    }
}

/// Opens a connection that may write, on a file in WAL mode.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path, flags).map_err(error)?;
    prepare(&mut connection).map_err(error)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(error)?;
    if mode != "wal" {
        return Err(Error::unavailable(format!(
            "journal mode is {mode}, not wal"
        )));
    }
    Ok(connection)
}

/// A connection at work: binds, runs, reads back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session<'c>(pub(super) &'c Connection);

impl<'c> Session<'c> {
    fn tx(self) -> Tx<'c> {
        Tx {
            engine: TxEngine::Sqlite(self),
        }
    }

    /// Runs `f` on one snapshot; nothing it writes is kept.
    fn snapshot<T>(self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.command("BEGIN")?;
        let result = f(&mut self.tx());
        let ended = self.command("ROLLBACK");
        let value = result?;
        ended.map(|()| value)
    }

    /// Runs `f` inside the open transaction so that it can fail without taking others with it.
    pub(super) fn nested<T>(self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.command("SAVEPOINT work")?;
        let result = f(&mut self.tx());
        if result.is_err() && !self.0.is_autocommit() {
            self.command("ROLLBACK TO work")?;
        }
        if !self.0.is_autocommit() {
            self.command("RELEASE work")?;
        }
        result
    }

    /// Commits if `result` is good, else rolls back.
    pub(super) fn end<T>(self, result: Result<T>) -> Result<T> {
        let result = result.and_then(|value| self.command("COMMIT").map(|()| value));
        if result.is_err() && !self.0.is_autocommit() {
            self.command("ROLLBACK")?;
        }
        result
    }

    /// Runs a statement that takes and gives nothing, like `BEGIN IMMEDIATE`.
    pub(super) fn command(self, sql: &str) -> Result<()> {
        let mut statement = self.0.prepare_cached(sql).map_err(error)?;
        statement.raw_execute().map(|_| ()).map_err(error)
    }

    /// Sets a pragma of this connection.
    fn pragma(self, name: &str, value: i64) -> Result<()> {
        self.0.pragma_update(None, name, value).map_err(error)
    }

    /// The integer that a pragma answers.
    fn number(self, sql: &str) -> Result<i64> {
        self.0.query_row(sql, [], |row| row.get(0)).map_err(error)
    }

    fn answer(self, sql: &str, params: &[Value], most: usize) -> Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(sql).map_err(error)?;
        bind(&mut statement, params)?;
        let columns: Arc<[Box<str>]> = statement
            .column_names()
            .into_iter()
            .map(Box::from)
            .collect();
        let mut rows = statement.raw_query();
        let mut answer = Vec::new();
        while answer.len() < most {
            let Some(row) = rows.next().map_err(error)? else {
                break;
            };
            let values = (0..columns.len())
                .map(|place| value(row, place))
                .collect::<Result<_>>()?;
            answer.push(Row::new(Arc::clone(&columns), values));
        }
        Ok(answer)
    }

    pub(super) fn all(self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        self.answer(sql, params, usize::MAX)
    }

    pub(super) fn first(self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.answer(sql, params, 1)?.pop())
    }

    pub(super) fn run(self, sql: &str, params: &[Value]) -> Result<u64> {
        let mut statement = self.0.prepare_cached(sql).map_err(error)?;
        bind(&mut statement, params)?;
        let changed = statement.raw_execute().map_err(error)?;
        u64::try_from(changed).map_err(Error::internal)
    }

    pub(super) fn script(self, sql: &str) -> Result<()> {
        self.0.execute_batch(sql).map_err(error)
    }

    pub(super) fn tables(self) -> Result<Vec<String>> {
        let rows = self.all("SELECT name FROM sqlite_schema WHERE type = 'table'", &[])?;
        rows.iter().map(|row| row.text("name")).collect()
    }

    pub(super) fn stamp(self, schema: u32) -> Result<()> {
        self.pragma("application_id", APPLICATION)?;
        self.pragma("user_version", i64::from(schema))
    }
}

/// Binds `params[N - 1]` to the parameter *named* `$N`.
///
/// `SQLite` numbers `$2, $1` by first appearance, so binding by position would silently swap them;
/// and it takes `$1::text` for a name. Both are errors here, as is a surplus value.
fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Value]) -> Result<()> {
    let mut highest = 0;
    for place in 1..=statement.parameter_count() {
        let name = statement.parameter_name(place).unwrap_or("?");
        let number = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse::<usize>().ok());
        let bound = number
            .and_then(|n| n.checked_sub(1))
            .and_then(|n| params.get(n));
        let (Some(number), Some(bound)) = (number, bound) else {
            return Err(Error::internal(format!("there is no value for {name}")));
        };
        highest = highest.max(number);
        statement
            .raw_bind_parameter(place, Bound(bound))
            .map_err(error)?;
    }
    if params.len() > highest {
        return Err(Error::internal(format!(
            "{} values for ${highest}",
            params.len()
        )));
    }
    Ok(())
}

struct Bound<'v>(&'v Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(*int),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(row: &rusqlite::Row<'_>, place: usize) -> Result<Value> {
    Ok(match row.get_ref(place).map_err(error)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(text) => Value::Text(
            std::str::from_utf8(text)
                .map_err(|_| Error::Corrupt("stored text is not UTF-8".into()))?
                .to_owned(),
        ),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(Error::internal("a floating-point column")),
    })
}

/// What the rest of the program may know of an engine's error: the message stays in `source()`.
pub(super) fn error(source: rusqlite::Error) -> Error {
    let code = source.sqlite_error_code();
    match code {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::Corrupt(source.to_string())
        }
        Some(ErrorCode::DiskFull) => Error::StorageFull(source.into()),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory,
        ) => Error::unavailable(source),
        Some(_) | None => Error::internal(source),
    }
}

/// Whether `error` says that the storage underneath is at fault, so that the connection on which
/// it happened must not be used again (rule 59).
pub(super) fn is_fault(error: &Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(engine) = cause.downcast_ref::<rusqlite::Error>() {
            return matches!(
                engine.sqlite_error_code(),
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
            );
        }
        source = cause.source();
    }
    matches!(error, Error::Corrupt(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;

    fn one(sql: &str, params: &[Value]) -> Result<Vec<Value>> {
        Db::memory()?.read(|tx| {
            let row = tx.first(sql, params)?.unwrap();
            ["a", "b"]
                .iter()
                .map(|column| row.text(column).map(Value::from))
                .collect()
        })
    }

    #[test]
    fn parameters_are_bound_by_their_number_and_not_by_their_first_appearance() {
        let params = ["one".into(), "two".into()];
        let swapped = one("SELECT $2 AS a, $1 AS b", &params).unwrap();
        assert_eq!(swapped, ["two".into(), "one".into()]);
        let twice = one("SELECT $1 AS a, $1 AS b", &params[..1]).unwrap();
        assert_eq!(twice, ["one".into(), "one".into()]);
    }

    #[test]
    fn a_missing_a_surplus_and_a_cast_parameter_are_refused() {
        let params: [Value; 2] = ["one".into(), "two".into()];
        assert!(one("SELECT $1 AS a, $2 AS b", &params[..1]).is_err());
        assert!(one("SELECT $1 AS a, $1 AS b", &params).is_err());
        assert!(one("SELECT $1::text AS a, $2 AS b", &params).is_err());
        assert!(one("SELECT ? AS a, ? AS b", &params).is_err());
    }

    #[test]
    fn a_failed_unit_of_work_leaves_nothing_behind() {
        let db = Db::memory().unwrap();
        db.write(|tx| tx.script("CREATE TABLE t (n INTEGER) STRICT"))
            .unwrap();
        let failed: Result<()> = db.write(|tx| {
            tx.run("INSERT INTO t VALUES (1)", &[])?;
            Err(Error::Unauthenticated)
        });
        assert!(failed.is_err());
        let rows = db.read(|tx| tx.all("SELECT n FROM t", &[])).unwrap();
        assert!(rows.is_empty());
    }

    #[test]
    fn sqlite_is_built_without_the_global_page_cache_mutex() {
        let db = Db::memory().unwrap();
        let sql = "SELECT compile_options AS option FROM pragma_compile_options";
        let rows = db.read(|tx| tx.all(sql, &[])).unwrap();
        let options: Vec<String> = rows.iter().map(|row| row.text("option").unwrap()).collect();
        assert!(
            !options.iter().any(|o| o == "ENABLE_MEMORY_MANAGEMENT"),
            "{options:?}"
        );
        assert!(options.iter().any(|o| o == "DQS=0"), "{options:?}");
        assert!(
            options.iter().any(|o| o == "OMIT_SHARED_CACHE"),
            "{options:?}"
        );
    }

    #[test]
    fn a_file_is_opened_with_every_pragma_that_safety_needs() {
        let folder = tempfile::tempdir().unwrap();
        let connection = connect(&folder.path().join("x.db")).unwrap();
        let session = Session(&connection);
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
            Db::open(&path, Role::Shell),
            Err(Error::Corrupt(_))
        ));
    }
}
