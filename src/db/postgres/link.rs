//! One connection at work: prepares, runs, reads back, and turns the server's errors into ours.
//!
//! The connection is driven by a runtime of its own on the thread that asks, so that every answer
//! is waited for with a deadline: a server that was stopped in the middle is never a hang.
//! `BEGIN` travels together with the first statement, which saves every transaction a round trip.

mod fill;
mod late;
mod reads;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{TryStreamExt as _, future};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use late::Late;
use reads::only_reads;

use super::ddl::translate;
use super::failure::Failure;
use super::prepared::{Prepared, Statements};
use super::server::{Purpose, Server};
use crate::db::schema::quoted;
use crate::db::{Row, Tx, TxEngine, Value};
use crate::error::{Error, Result};

/// Begins a transaction that may write, which nothing else may: see [`Server::open`].
pub(super) const BEGIN: &str = "BEGIN READ WRITE";

/// How the statements of a unit of work hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Nothing is going on.
    Idle,
    /// One statement without a transaction, which is a snapshot of its own.
    Single,
    /// The one statement has been run.
    Spent,
    /// A transaction; it begins with its first statement.
    Due(&'static str),
    /// A transaction that has begun.
    Begun,
}

/// Who says that a statement failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Server,
    /// It was cut, or never was.
    Connection,
    /// It took too long.
    Nobody,
}

/// A connection at work.
pub(in crate::db) struct Link {
    client: Arc<Client>,
    late: Late,
    /// Gone only while the connection is being dropped.
    runtime: Option<Runtime>,
    statements: Statements,
    patience: Duration,
    /// How a snapshot begins.
    snapshot: &'static str,
    unit: Unit,
    failure: Option<Failure>,
    /// From whom it is known why the last statement failed.
    word: Word,
    /// Whether it was a `COMMIT` that was not answered.
    stalled: bool,
    changed: bool,
    may_repeat: bool,
    schema: Arc<str>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("unit", &self.unit)
            .finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The plain drop of a runtime waits for its threads, and panics on an async worker.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Link {
    pub(super) fn open(server: &Server, purpose: Purpose) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start a connection's runtime"))?;
        let client = server.connect(&runtime, purpose)?;
        Ok(Self {
            client: Arc::new(client),
            late: Late::default(),
            runtime: Some(runtime),
            statements: Statements::default(),
            patience: purpose.patience(),
            snapshot: match purpose {
                Purpose::Read | Purpose::Foreign => "BEGIN ISOLATION LEVEL REPEATABLE READ",
                Purpose::Write | Purpose::Shell | Purpose::Whole => {
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE"
                }
            },
            unit: Unit::Idle,
            failure: None,
            word: Word::Server,
            stalled: false,
            changed: false,
            may_repeat: false,
            schema: Arc::from(""),
        })
    }

    /// Tells it in which schema it works, which its locks are named after.
    pub(super) fn set_schema(&mut self, schema: Arc<str>) {
        self.schema = schema;
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether it can be used again, as far as can be told without asking the server. One turn of
    /// the runtime sees that the socket has something, the next reads it: after a restart of the
    /// server that is its end.
    pub(super) fn is_usable(&self) -> bool {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            });
        }
        !self.is_useless() && self.is_idle() && !self.client.is_closed()
    }

    /// Whether no unit of work is going on.
    pub(super) fn is_idle(&self) -> bool {
        self.unit == Unit::Idle
    }

    pub(super) fn is_lost(&self) -> bool {
        self.failure == Some(Failure::Lost)
    }

    /// Whether a `COMMIT` was waited for in vain, on a connection that nobody has cut.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    pub(super) fn is_stale(&self) -> bool {
        self.failure == Some(Failure::Stale)
    }

    /// Whether only another connection may do.
    pub(super) fn is_useless(&self) -> bool {
        self.is_lost() || self.is_stale()
    }

    /// What the last failed statement of this unit of work means.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Whether this unit of work has changed anything.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Whether this unit of work finds out by itself that it was done before.
    pub(super) fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    pub(in crate::db) fn allow_repeat(&mut self) {
        self.may_repeat = true;
    }

    /// Begins to note anew what a unit of work does, inside the same transaction.
    pub(super) fn begin_part(&mut self) {
        self.changed = false;
        self.may_repeat = false;
    }

    pub(super) fn tx(&mut self) -> Tx<'_> {
        Tx {
            engine: TxEngine::Postgres(self),
        }
    }

    /// Runs `f`, which reads with one statement.
    pub(super) fn single<T>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.start(Unit::Single);
        let result = f(&mut self.tx());
        self.unit = Unit::Idle;
        result
    }

    /// Runs `f` on one snapshot; nothing it writes is kept.
    pub(super) fn snapshot<T>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.begin(self.snapshot);
        let result = f(&mut self.tx());
        let ended = self.rollback();
        let value = result?;
        ended.map(|()| value)
    }

    pub(super) fn begin(&mut self, sql: &'static str) {
        self.start(Unit::Due(sql));
    }

    fn start(&mut self, unit: Unit) {
        self.late.forget();
        self.unit = unit;
        self.failure = None;
        self.stalled = false;
        self.begin_part();
    }

    /// Commits. After an error nothing was kept, unless [`Link::is_lost`]: then nobody knows.
    pub(super) fn commit(&mut self) -> Result<()> {
        if let Err(error) = self.settle() {
            let _lost = self.rollback();
            return Err(error);
        }
        if self.failure.is_some() {
            // The server answers a COMMIT of a failed transaction with a rollback and no error.
            self.rollback()?;
            return Err(Error::internal("a unit of work went on after an error"));
        }
        match std::mem::replace(&mut self.unit, Unit::Idle) {
            Unit::Begun => {
                let done = self.batch("COMMIT");
                if done.is_err() && self.word != Word::Server {
                    // Whatever it was, the server has not said that nothing was done.
                    self.failure = Some(Failure::Lost);
                    self.stalled = self.word == Word::Nobody;
                }
                done
            }
            Unit::Idle | Unit::Single | Unit::Spent | Unit::Due(_) => Ok(()),
        }
    }

    pub(super) fn rollback(&mut self) -> Result<()> {
        self.late.forget();
        let begun = std::mem::replace(&mut self.unit, Unit::Idle) == Unit::Begun;
        if !begun || self.is_lost() {
            return Ok(());
        }
        let failure = self.failure;
        let ended = self.batch("ROLLBACK");
        if ended.is_ok() {
            self.failure = failure;
        }
        ended
    }

    /// Runs `f` in a transaction, and commits if it returns `Ok`.
    pub(super) fn transaction<T>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.begin(BEGIN);
        let result = f(&mut self.tx());
        match result {
            Ok(value) => self.commit().map(|()| value),
            Err(error) => {
                // Why it failed says more than that the connection is gone as well.
                let _lost = self.rollback();
                Err(error)
            }
        }
    }

    /// Runs statements that give nothing back.
    pub(super) fn batch(&mut self, sql: &str) -> Result<()> {
        let done = self.ask(async |client| client.batch_execute(sql).await);
        self.after_late(done)
    }

    fn prepare(&mut self, sql: &str) -> Result<Prepared> {
        let statement = self.ask(async |client| client.prepare(sql).await);
        let prepared = Prepared::new(self.after_late(statement)?);
        self.statements.keep(sql, prepared.clone());
        Ok(prepared)
    }

    /// Whether a statement need not be prepared first.
    fn knows(&self, sql: &str) -> bool {
        self.statements.knows(sql)
    }

    /// What a statement is run with: prepared, and the `BEGIN` that has to go before it.
    fn ready(&mut self, sql: &str, params: &[Value]) -> Result<(Prepared, Option<&'static str>)> {
        if self.failure.is_some() {
            self.settle()?;
            return Err(Error::internal("a statement after a failed one"));
        }
        let prepared = match self.statements.get(sql) {
            Some(prepared) => prepared,
            None => self.prepare(sql)?,
        };
        prepared.takes(params)?;
        let begin = match self.unit {
            Unit::Due(sql) => {
                self.unit = Unit::Begun;
                Some(sql)
            }
            Unit::Single => {
                self.unit = Unit::Spent;
                None
            }
            Unit::Spent => {
                return Err(Error::internal("a second statement without a transaction"));
            }
            Unit::Idle | Unit::Begun => None,
        };
        Ok((prepared, begin))
    }

    pub(in crate::db) fn all(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let (prepared, begin) = self.ready(sql, params)?;
        self.changed |= !only_reads(sql);
        let rows = self.ask(async |client| {
            let rows = client.query_raw(&prepared.statement, values(params));
            let rows = after(client, begin, rows).await?;
            rows.try_collect::<Vec<_>>().await
        });
        let answer = rows.and_then(|rows| prepared.rows(&rows));
        self.after_late(answer)
    }

    pub(in crate::db) fn first(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.all(sql, params)?.into_iter().next())
    }

    pub(in crate::db) fn run(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let (prepared, begin) = self.ready(sql, params)?;
        self.changed = true;
        let changed = self.ask(async |client| {
            let run = client.execute_raw(&prepared.statement, values(params));
            after(client, begin, run).await
        });
        self.after_late(changed)
    }

    /// Takes a lock that no writer of `table` shares. Who holds up the writers for one that does
    /// not come holds up everybody: it is waited for for a moment only.
    pub(in crate::db) fn quiet(&mut self, table: &str) -> Result<bool> {
        self.changed = true;
        self.begun()?;
        let asked = self.first("SELECT current_setting('lock_timeout') AS usual", &[])?;
        let usual = asked.map_or(Ok(String::new()), |row| row.text("usual"))?;
        self.batch("SAVEPOINT quiet; SET LOCAL lock_timeout = 50")?;
        let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", quoted(table));
        match self.batch(&lock) {
            Ok(()) => {
                self.batch("RELEASE SAVEPOINT quiet")?;
                // The connection's own or the group's: the server's default is neither.
                let back = "SELECT set_config('lock_timeout', $1, TRUE) AS usual";
                self.first(back, &[usual.into()])?;
                Ok(true)
            }
            // The server has said why, and that can only be the wait.
            Err(Error::Unavailable(_)) if self.failure == Some(Failure::Final) => {
                self.failure = None;
                self.batch("ROLLBACK TO SAVEPOINT quiet")?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Begins the transaction that was due.
    fn begun(&mut self) -> Result<()> {
        if let Unit::Due(begin) = self.unit {
            self.unit = Unit::Begun;
            self.batch(begin)?;
        }
        Ok(())
    }

    pub(in crate::db) fn script(&mut self, sql: &str) -> Result<()> {
        self.script_as_is(&translate(sql))
    }

    /// Runs statements that are in the server's own words already.
    pub(super) fn script_as_is(&mut self, sql: &str) -> Result<()> {
        self.changed = true;
        self.begun()?;
        // A migration of a large table takes its time.
        self.batch("SET LOCAL statement_timeout = 0")?;
        let patience = std::mem::replace(&mut self.patience, Duration::from_hours(24));
        let done = self.batch(sql);
        self.patience = patience;
        done
    }

    /// Has the server do `work`, and waits for its answer.
    fn ask<T>(
        &mut self,
        work: impl AsyncFnOnce(&Client) -> std::result::Result<T, tokio_postgres::Error>,
    ) -> Result<T> {
        let work = self.late.beside(work(&self.client));
        let done = wait(self.runtime.as_ref(), self.patience, work);
        self.outcome(done)
    }

    fn outcome<T>(&mut self, done: Waited<T>) -> Result<T> {
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let failure = Failure::of(&error);
                self.word = match error.code() {
                    Some(_) => Word::Server,
                    None => Word::Connection,
                };
                self.failure = Some(failure);
                Err(failure.error(error))
            }
            Err(silent) => {
                self.word = Word::Nobody;
                self.failure = Some(Failure::Lost);
                Err(silent)
            }
        }
    }
}

type Waited<T> = Result<std::result::Result<T, tokio_postgres::Error>>;

/// Waits for an answer of the server, but not longer than `patience`.
fn wait<T>(
    runtime: Option<&Runtime>,
    patience: Duration,
    work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Waited<T> {
    let runtime = runtime.ok_or_else(|| Error::internal("a connection that was dropped"))?;
    let waited = runtime.block_on(async { tokio::time::timeout(patience, work).await });
    waited.map_err(|_| Error::unavailable("the server does not answer"))
}

/// Sends `begin`, if there is one, right before `work`, and waits for both at once.
async fn after<T>(
    client: &Client,
    begin: Option<&str>,
    work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> std::result::Result<T, tokio_postgres::Error> {
    let Some(begin) = begin else {
        return work.await;
    };
    let (first, second) = future::join(client.batch_execute(begin), work).await;
    first.and(second)
}

pub(super) fn values(params: &[Value]) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
    params.iter().map(|value| {
        let value: &(dyn ToSql + Sync) = value;
        value
    })
}
