//! The only door to the database. Slices see [`Db`], [`Tx`], [`Value`] and [`Row`] and cannot tell
//! which engine is behind them.
//!
//! Invariants: nothing is acknowledged before the commit returned; a unit of work that fails
//! leaves nothing behind; parameters `$1, $2, …` are bound by the number in their name.

pub mod ballast;
pub mod clock;
pub mod facts;
pub mod foreign;
pub mod keyring;
mod postgres;
mod presence;
mod question;
mod queue;
pub mod schema;
pub mod script;
pub mod shape;
mod sqlite;
pub mod steps;
pub mod stray;
mod unit;
mod value;
pub mod whole;

pub use presence::require;
pub use question::{Answer, Looked, Question};
pub use value::{Row, Value};
pub use whole::READING;

use futures_util::future::{self, Either};

use crate::config::DbUrl;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Who opens the database, which decides what is kept ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The daemon: a pool of readers, one writer thread with group commit, the daemon's lock.
    Daemon,
    /// A command: one connection, no thread.
    Shell,
}

/// What the database says of itself before anything else is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose file it is: 0 for an empty one.
    pub application: i64,
    /// The number of the newest migration that was applied; 0 for none.
    pub schema: u32,
}

/// `prov` in ASCII: marks a database file as ours (security.md, rule 78).
pub const APPLICATION: i64 = 0x7072_6f76;

/// An open database.
#[derive(Debug)]
pub struct Db {
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Db {
    /// Opens the database at `url`; an `SQLite` file is created.
    ///
    /// # Errors
    /// [`Error::DaemonRunning`] if a second daemon is started on
    /// a file; `Unavailable` if maintenance holds it or the server cannot be reached, `Corrupt` if
    /// it is not a database, `Config` if the server refuses or sorts by a language.
    pub fn open(url: &DbUrl, role: Role) -> Result<Self> {
        let engine = match url {
            DbUrl::Sqlite(path) => Engine::Sqlite(sqlite::Sqlite::open(path, role)?),
            DbUrl::Postgres(url) => Engine::Postgres(postgres::Postgres::open(url.expose(), role)?),
        };
        Ok(Self { engine })
    }

    /// Opens the database at `url` to look at it, and leaves it and everything beside it as it is:
    /// nothing is made, nothing can be written. On a server that is what a command does.
    ///
    /// # Errors
    /// As [`Db::open`]; `Io` if there is no folder, `Unavailable` if there is no file.
    pub fn inspect(url: &DbUrl) -> Result<Self> {
        match url {
            DbUrl::Sqlite(path) => Ok(Self {
                engine: Engine::Sqlite(sqlite::Sqlite::inspect(path)?),
            }),
            DbUrl::Postgres(_) => Self::open(url, Role::Shell),
        }
    }

    /// The same for the file at `path`, for tests.
    #[cfg(test)]
    pub(crate) fn inspect_file(path: &std::path::Path) -> Result<Self> {
        Self::inspect(&DbUrl::Sqlite(path.to_owned()))
    }

    /// Opens the database in the file at `path`, for tests.
    #[cfg(test)]
    pub(crate) fn open_file(path: &std::path::Path, role: Role) -> Result<Self> {
        Self::open(&DbUrl::Sqlite(path.to_owned()), role)
    }

    /// A database in memory, for tests: the same engine without a file.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn memory() -> Result<Self> {
        Ok(Self {
            engine: Engine::Sqlite(sqlite::Sqlite::memory()?),
        })
    }

    /// An empty database for a rule test: in memory, or a schema of its own on the server that
    /// `PROVOST_TEST_POSTGRES` names.
    #[cfg(test)]
    pub(crate) fn fresh() -> Self {
        match crate::config::test_server() {
            Some(url) => Self {
                engine: Engine::Postgres(postgres::Postgres::fresh(&url)),
            },
            None => Self::memory().unwrap(),
        }
    }

    /// Runs `f` on one consistent snapshot; nothing it writes is kept.
    ///
    /// # Errors
    /// What `f` returns, or `Unavailable` when the snapshot is older than five seconds.
    pub fn read<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.read(f),
            Engine::Postgres(postgres) => postgres.read(f),
        }
    }

    /// [`Db::read`] for a point read of one statement, which needs no transaction to be consistent.
    ///
    /// # Errors
    /// What `f` returns; `Internal` if it runs a second statement.
    pub fn look<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.look(f),
            Engine::Postgres(postgres) => postgres.look(f),
        }
    }

    /// Runs `f` alone or beside others that touch other rows, and commits if it returns `Ok`.
    /// Returns after the commit. `f` must be able to run again: an engine may have to repeat it.
    ///
    /// # Errors
    /// What `f` returns, or `Unavailable`/`StorageFull` if the commit did not happen.
    pub fn write<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.write(f),
            Engine::Postgres(postgres) => postgres.write(f),
        }
    }

    /// [`Db::write`] without waiting: `done` is called once, on another thread, after the commit.
    pub fn submit<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.submit(f, done),
            Engine::Postgres(postgres) => postgres.submit(f, done),
        }
    }

    /// [`Db::look`] for who must not wait: `f` is run to its end where that takes microseconds, else
    /// to its statement. Then [`Db::ask`] gets the answer, and [`Db::look_again`] runs `f` with it.
    pub fn look_now<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Looked<T> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Looked::Done(sqlite.look(f)),
            Engine::Postgres(postgres) => postgres.look_now(f),
        }
    }

    /// The answer to a question of [`Db::look_now`], which an async worker may wait for.
    ///
    /// # Errors
    /// As [`Db::look`].
    pub fn ask(&self, question: Question) -> impl Future<Output = Result<Answer>> + Send {
        match &self.engine {
            Engine::Sqlite(_) => {
                let never = Error::internal("a question that nobody asked");
                Either::Left(future::ready(Err(never)))
            }
            Engine::Postgres(postgres) => Either::Right(postgres.ask(question)),
        }
    }

    /// Runs once more, with the answer, what has asked for it: see [`Tx::instant`].
    ///
    /// # Errors
    /// What `f` returns; `Internal` if it asks anything else this time.
    pub fn look_again<T>(
        &self,
        answer: Answer,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<T> {
        answer.hear(f)
    }

    /// Whose file this is and which schema it has.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    pub fn identity(&self) -> Result<Identity> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.identity(),
            Engine::Postgres(postgres) => postgres.identity(),
        }
    }

    /// Runs `f` while nobody else has the database open.
    ///
    /// # Errors
    /// `DaemonRunning` at once if a daemon serves it, `Unavailable` if commands hold it for 5 s.
    pub fn exclusively<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let done = self.exclusively_if(|| Ok(true), f)?;
        done.ok_or_else(|| Error::internal("what was needed was not done"))
    }

    /// [`Db::exclusively`] for what may have been done by somebody else meanwhile: `needed` is
    /// asked once nobody can be at the same work, and on a server before daemons are waited for.
    ///
    /// # Errors
    /// As [`Db::exclusively`].
    pub fn exclusively_if<T>(
        &self,
        needed: impl FnOnce() -> Result<bool>,
        f: impl FnOnce() -> Result<T>,
    ) -> Result<Option<T>> {
        match &self.engine {
            Engine::Sqlite(sqlite) => {
                sqlite.exclusively(|| if needed()? { f().map(Some) } else { Ok(None) })
            }
            Engine::Postgres(postgres) => postgres.exclusively(needed, f),
        }
    }

    /// Moves what was committed into the main file. `Tidy::Light` waits for nobody;
    /// `Tidy::Full` also empties the log, and is for an idle or stopping daemon.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn tidy(&self, how: Tidy) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.tidy(how),
            // The server looks after its own files.
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// The file that it is in; none for one on a server or in memory.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.file(),
            Engine::Postgres(_) => None,
        }
    }

    /// Whether this process is the daemon that serves the database: others wait for its writer.
    #[must_use]
    pub fn serves(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.serves(),
            Engine::Postgres(postgres) => postgres.serves(),
        }
    }

    /// Whether this process is not the daemon that serves the database, but one does. Then long
    /// work leaves gaps between its writes, for the daemon to get in.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.is_guest(),
            Engine::Postgres(_) => false,
        }
    }

    /// Whether others may write at the same time: then rows can be gone by the time that a
    /// statement comes to them.
    #[must_use]
    pub fn has_many_writers(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(_) => false,
            Engine::Postgres(_) => true,
        }
    }

    /// Facts for the operator: engine version, size of the write-ahead log.
    #[must_use]
    pub fn facts(&self) -> Facts {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.facts(),
            Engine::Postgres(postgres) => postgres.facts(),
        }
    }
}

/// How thoroughly [`Db::tidy`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidy {
    /// Whatever can be done without waiting.
    Light,
    /// Everything, waiting for readers.
    Full,
}

/// What [`Db::facts`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Name and version of the engine: `SQLite 3.53.2`.
    pub engine: String,
    /// How it keeps what was committed: `WAL, synchronous=FULL`.
    pub durability: &'static str,
    /// Size of the write-ahead log in bytes.
    pub log_bytes: u64,
    /// Bytes left on the database's disk, where that can be known.
    pub disk_free: Option<u64>,
    /// Storage faults (I/O errors, damage) met since the start without a good write after them.
    pub faults: u32,
}

/// A transaction: what a store function works on.
#[derive(Debug)]
pub struct Tx<'c> {
    engine: TxEngine<'c>,
}

#[derive(Debug)]
enum TxEngine<'c> {
    Sqlite(sqlite::Session<'c>),
    Postgres(&'c mut postgres::Link),
    Asked(&'c mut question::Pass),
}

impl Tx<'_> {
    /// The instant of this unit of work: `now`, unless it goes on with what it began earlier. Its
    /// parameters may depend on it.
    pub fn instant(&mut self, now: Timestamp) -> Timestamp {
        match &mut self.engine {
            TxEngine::Sqlite(_) | TxEngine::Postgres(_) => now,
            TxEngine::Asked(pass) => pass.instant(now),
        }
    }

    /// All rows of the answer.
    ///
    /// # Errors
    /// `Internal` for a statement or a binding that makes no sense, else as [`Db::write`].
    pub fn all(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.all(sql, params),
            TxEngine::Postgres(link) => link.all(sql, params),
            TxEngine::Asked(pass) => pass.all(sql, params),
        }
    }

    /// The first row of the answer.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn first(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.first(sql, params),
            TxEngine::Postgres(link) => link.first(sql, params),
            TxEngine::Asked(pass) => Ok(pass.all(sql, params)?.into_iter().next()),
        }
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn run(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.run(sql, params),
            TxEngine::Postgres(link) => link.run(sql, params),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// Adds a row by an `INSERT … ON CONFLICT DO NOTHING`; returns false if its key is taken. An
    /// engine may find that out only later: then it returns true, and the unit of work is run again
    /// as a whole. A key that is made inside of it is another one then.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn add(&mut self, sql: &str, params: &[Value]) -> Result<bool> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => Ok(session.run(sql, params)? == 1),
            TxEngine::Postgres(link) => link.add(sql, params),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// Runs the statements of a migration, which has no parameters.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn script(&mut self, sql: &str) -> Result<()> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.script(sql),
            TxEngine::Postgres(link) => link.script(sql),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// The names of all tables.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn tables(&mut self) -> Result<Vec<String>> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.tables(),
            TxEngine::Postgres(link) => link.tables(),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// Stamps the database as ours, with the schema that it now has.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn stamp(&mut self, schema: u32) -> Result<()> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.stamp(schema),
            TxEngine::Postgres(link) => link.stamp(schema),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// Holds the aggregate that `key` names (a kind and an id) until the end of the transaction,
    /// for a rule that must read before it writes. Nothing on `SQLite`, which has one writer.
    ///
    /// # Errors
    /// `Unavailable` if somebody else holds it for longer than two seconds.
    pub fn lock(&mut self, key: (&str, &str)) -> Result<()> {
        match &mut self.engine {
            TxEngine::Sqlite(_) => Ok(()),
            TxEngine::Postgres(link) => link.lock(key),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// Keeps others from adding rows to `table` until the end of the transaction, once those that
    /// are on the way are there to be seen. False, and nothing is held, if that would mean to wait.
    /// Nothing on `SQLite`, which has one writer.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn quiet(&mut self, table: &str) -> Result<bool> {
        match &mut self.engine {
            TxEngine::Sqlite(_) => Ok(true),
            TxEngine::Postgres(link) => link.quiet(table),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// Says that this unit of work finds out by itself if it was done before, so that it may be
    /// tried again even when nobody knows whether its commit was done.
    pub fn allow_repeat(&mut self) {
        match &mut self.engine {
            TxEngine::Sqlite(_) | TxEngine::Asked(_) => {}
            TxEngine::Postgres(link) => link.allow_repeat(),
        }
    }
}
