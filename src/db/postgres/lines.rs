//! Point reads of the daemon: a few connections, on each of which many questions are under way at
//! once. The server answers in the order of asking; nobody waits for another's answer before he
//! asks, and no thread waits for any.
//!
//! Each question is a statement of its own and sees what was committed when the server came to it.
//! One that lost its connection is asked once more on another: it only reads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::TryStreamExt as _;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Client;

use super::failure::{Failure, never};
use super::link::values;
use super::prepared::{Prepared, Statements};
use super::server::{Purpose, Server};
use crate::db::{Answer, Question, Row};
use crate::error::{Error, Result};

/// Connections. More of them let the server use more processors; fewer of them travel fuller.
const LINES: usize = 4;

/// The connections. They are driven by the runtime of who asks.
#[derive(Debug)]
pub(super) struct Lines {
    server: Server,
    each: [Line; LINES],
    next: AtomicUsize,
}

/// A connection, opened when it is first needed and again when it was lost.
#[derive(Debug, Default)]
struct Line {
    open: Mutex<Option<Arc<Open>>>,
    /// Held by who opens it: when that failed for the last time.
    opening: tokio::sync::Mutex<Option<Instant>>,
    under_way: AtomicUsize,
}

struct Open {
    client: Client,
    driver: AbortHandle,
    statements: Mutex<Statements>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

/// Counts a question for as long as it is under way, also when who asked it has gone.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn on(line: &'a Line) -> Self {
        line.under_way.fetch_add(1, Ordering::Relaxed);
        Self(&line.under_way)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer, or why there is none and whether another connection may have one.
type Asked<T> = std::result::Result<T, (Failure, Error)>;

fn silent<T>() -> Asked<T> {
    let error = Error::unavailable("the server does not answer");
    Err((Failure::Final, error))
}

impl Lines {
    pub(super) fn new(server: &Server) -> Self {
        Self {
            server: server.clone(),
            each: Default::default(),
            next: AtomicUsize::new(0),
        }
    }

    /// The answer to `question`, within the time that who waits for the daemon may be kept.
    pub(super) async fn ask(&self, question: Question) -> Result<Answer> {
        let deadline = Instant::now() + Purpose::Read.patience();
        let rows = match self.ask_once(&question, deadline).await {
            Err((Failure::Lost | Failure::Stale, _)) => self.ask_once(&question, deadline).await,
            asked => asked,
        };
        match rows {
            Ok(rows) => Ok(Answer::new(question, rows)),
            Err((Failure::Stale, error)) => Err(never(&error)),
            Err((_, error)) => Err(error),
        }
    }

    async fn ask_once(&self, question: &Question, deadline: Instant) -> Asked<Vec<Row>> {
        let mut line = self.idlest();
        let mut counted = UnderWay::on(line);
        let opened = timeout_at(deadline, line.open(&self.server)).await;
        let open = match opened.unwrap_or_else(|_| silent()) {
            Ok(open) => open,
            // The server may have no connection left for another one.
            Err(refused) => {
                let (other, open) = self.any_open().ok_or(refused)?;
                (line, counted) = (other, UnderWay::on(other));
                open
            }
        };
        let asked = timeout_at(deadline, open.ask(question)).await;
        drop(counted);
        match asked {
            // Neither those who wait with this one nor those who come later shall wait for the
            // same. Left to itself, the server would work through what nobody wants any more,
            // with a connection of which nobody knows.
            Err(_elapsed) => {
                open.driver.abort();
                line.close(&open);
                silent()
            }
            Ok(Err((failure @ (Failure::Lost | Failure::Stale), error))) => {
                line.close(&open);
                Err((failure, error))
            }
            Ok(asked) => asked,
        }
    }

    /// A line that is open, if one is.
    fn any_open(&self) -> Option<(&Line, Arc<Open>)> {
        let mut open = self.each.iter().filter(|line| line.opened().is_some());
        let line = open.next()?;
        line.opened().map(|open| (line, open))
    }

    /// The line with the fewest questions under way.
    fn idlest(&self) -> &Line {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = self.each.iter().cycle().skip(first % LINES).take(LINES);
        let [one, ..] = &self.each;
        in_turn
            .min_by_key(|line| line.under_way.load(Ordering::Relaxed))
            .unwrap_or(one)
    }
}

impl Line {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Option<Arc<Open>> {
        let slot = self.slot();
        slot.as_ref()
            .filter(|open| !open.client.is_closed())
            .map(Arc::clone)
    }

    async fn open(&self, server: &Server) -> Asked<Arc<Open>> {
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        let since = Instant::now();
        let mut failed = self.opening.lock().await;
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        if failed.is_some_and(|at| at > since) {
            // Somebody has tried while this one waited: each for himself would take for ever.
            let error = Error::unavailable("the server cannot be reached");
            return Err((Failure::Final, error));
        }
        match server.open(Purpose::Read).await {
            Ok((client, driver)) => {
                let open = Arc::new(Open {
                    client,
                    driver,
                    statements: Mutex::default(),
                });
                *self.slot() = Some(Arc::clone(&open));
                Ok(open)
            }
            Err(error) => {
                *failed = Some(Instant::now());
                Err((Failure::Final, while_serving(error)))
            }
        }
    }

    /// Lets go of `lost`, unless another one has been opened since.
    fn close(&self, lost: &Arc<Open>) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|open| Arc::ptr_eq(open, lost)) {
            *slot = None;
        }
    }
}

/// What a server refuses is a mistake in the settings while the daemon starts. Later it is an outage
/// like another, and what the server says of roles and databases is for the log.
fn while_serving(error: Error) -> Error {
    if matches!(error, Error::Config(_)) {
        Error::unavailable(error)
    } else {
        error
    }
}

impl Open {
    async fn ask(&self, question: &Question) -> Asked<Vec<Row>> {
        let refused = |error| {
            let failure = Failure::of(&error);
            (failure, failure.error(error))
        };
        let bug = |error| (Failure::Final, error);
        let known = self.statements().get(&question.sql);
        let prepared = match known {
            Some(prepared) => prepared,
            None => self.prepare(&question.sql).await.map_err(refused)?,
        };
        prepared.takes(&question.params).map_err(bug)?;
        let rows = self
            .client
            .query_raw(&prepared.statement, values(&question.params));
        let rows: Vec<_> = async { rows.await?.try_collect().await }
            .await
            .map_err(refused)?;
        prepared.rows(&rows).map_err(bug)
    }

    fn statements(&self) -> MutexGuard<'_, Statements> {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn prepare(&self, sql: &str) -> std::result::Result<Prepared, tokio_postgres::Error> {
        let prepared = Prepared::new(self.client.prepare(sql).await?);
        self.statements().keep(sql, prepared.clone());
        Ok(prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_refuses_while_the_daemon_serves_is_told_to_no_client() {
        let error = while_serving(Error::Config("no such role: hunter2".into()));
        assert_eq!(error.spec().status, 503);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
