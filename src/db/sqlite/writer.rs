//! The one writer of the daemon: group commit.
//!
//! Everything that waits is run in one `BEGIN IMMEDIATE` transaction and committed once; then all
//! are answered. Should a unit of work fail or panic after a change, all is rolled back and they are
//! run again, each in a savepoint of its own, so that it is rolled back alone: for those that do
//! not, which are nearly all, a savepoint would cost a sixth of the writer's time. Nothing is
//! answered before the commit returned, and nothing waits on purpose: a lone write commits at once.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::anchor::Anchor;
use super::checkpoint;
use super::session::{Session, is_fault};
use super::{connect, create, empty_log, log_bytes};
use crate::db::queue::Queue;
use crate::db::unit::{Work, again};
use crate::error::{Error, Result};

/// Bounds of one transaction.
const BATCH: usize = 512;
const BATCH_TIME: Duration = Duration::from_millis(20);

/// So large may the write-ahead log grow while a reader keeps it from being emptied. Then writes
/// are refused: the disk belongs to others, too (rule 58).
pub(super) const LOG: u64 = 256 * 1024 * 1024;

/// How long after a fault the storage is tried again if nobody writes meanwhile.
const PROBE: Duration = Duration::from_secs(1);

/// A writer that is waiting for so long holds the readers' [`Anchor`]; under load it would only
/// cost.
const PAUSE: Duration = Duration::from_millis(1);

/// How often an idle writer moves the anchor: commands write the same file.
const RENEWAL: Duration = Duration::from_millis(100);

/// Starts the thread on the database at `path`; `faults` counts storage faults in a row, `log` is
/// the size to which its write-ahead log may grow.
pub(super) fn start(path: PathBuf, faults: Arc<AtomicU32>, log: u64) -> Result<Queue> {
    let connection = create(&path)?;
    checkpoint::take_over(&connection)?;
    let (mut queue, waiting) = Queue::new();
    let thread = Thread {
        anchor: Anchor::new(path.clone()),
        path,
        connection: Some(connection),
        faults,
        log,
    };
    queue.start("writer".to_owned(), move || thread.run(&waiting))?;
    Ok(queue)
}

/// Runs `unit` beside others. Returns false if it failed after a change, which is there still.
fn run_among(session: Session<'_>, unit: &mut dyn Work) -> bool {
    let changed = Cell::new(false);
    unit.run(&mut session.watched(&changed).tx());
    unit.failure().is_none() || !changed.get()
}

/// Runs `unit` in a savepoint of its own. An error is the savepoint's: then the whole must fail.
fn run_apart(session: Session<'_>, unit: &mut dyn Work) -> Result<()> {
    let ended = session.nested(|tx| {
        unit.run(tx);
        match unit.failure() {
            Some(_) => Err(Error::internal("rolled back")),
            None => Ok(()),
        }
    });
    // Why it was rolled back, the unit itself knows.
    ended.map(|_told| ())
}

/// Whether it failed because of the storage underneath.
fn met_fault(unit: &dyn Work) -> bool {
    unit.failure().is_some_and(is_fault)
}

/// `SQLite` can give up the whole transaction by itself: disk full, I/O error. And what met a fault
/// is never committed, for nobody knows what reached the disk.
fn check(session: Session<'_>, unit: &dyn Work) -> Result<()> {
    if session.connection.is_autocommit() || met_fault(unit) {
        return Err(Error::unavailable("the transaction was rolled back"));
    }
    Ok(())
}

/// Rolls back what the batch has done, and commits what those of it do that do not fail.
fn commit_apart(session: Session<'_>, batch: &mut [Box<dyn Work>]) -> Result<()> {
    session.command("ROLLBACK")?;
    session.command("BEGIN IMMEDIATE")?;
    for unit in batch {
        run_apart(session, &mut **unit)?;
        check(session, &**unit)?;
    }
    session.end(Ok(()))
}

struct Thread {
    path: PathBuf,
    connection: Option<Connection>,
    anchor: Anchor,
    faults: Arc<AtomicU32>,
    log: u64,
}

impl Thread {
    fn run(mut self, waiting: &Receiver<Box<dyn Work>>) {
        let mut batch: Vec<Box<dyn Work>> = Vec::with_capacity(BATCH);
        while let Some(first) = self.next(waiting) {
            let outcome = self.commit(first, waiting, &mut batch);
            match &outcome {
                Ok(()) => self.faults.store(0, Ordering::Relaxed),
                // A unit that met a fault has failed the whole commit.
                Err(error) if is_fault(error) || batch.iter().any(|unit| met_fault(&**unit)) => {
                    self.faulty(error);
                }
                Err(_) => self.give_up_open(),
            }
            match outcome {
                Ok(()) => batch.drain(..).for_each(|unit| unit.answer(None)),
                Err(error) => {
                    let failure = again(&error);
                    batch
                        .drain(..)
                        .for_each(|unit| unit.answer(Some(&*failure)));
                }
            }
            let checked = self.connection.as_ref().map(checkpoint::when_due);
            if let Some(Err(error)) = checked
                && is_fault(&error)
            {
                self.faulty(&error);
            }
        }
    }

    /// Gives up a connection whose transaction could not be ended: nobody may commit it later.
    fn give_up_open(&mut self) {
        self.connection.take_if(|open| !open.is_autocommit());
    }

    /// Gives up the connection on which the storage failed: never a second COMMIT on it (rule 59).
    fn faulty(&mut self, error: &Error) {
        self.connection = None;
        let in_a_row = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(in_a_row, %error, "the storage under the database failed");
    }

    /// The next unit of work, or `None` when there will be no more. After a fault the storage is
    /// tried meanwhile: nobody has to write for the daemon to become healthy again.
    fn next(&mut self, waiting: &Receiver<Box<dyn Work>>) -> Option<Box<dyn Work>> {
        while self.faults.load(Ordering::Relaxed) > 0 {
            match waiting.recv_timeout(PROBE) {
                Ok(unit) => return Some(unit),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.probe(),
            }
        }
        let mut patience = PAUSE;
        loop {
            match waiting.recv_timeout(patience) {
                Err(RecvTimeoutError::Timeout) => self.anchor.renew(),
                arrived => {
                    self.anchor.let_go();
                    return arrived.ok();
                }
            }
            patience = RENEWAL;
        }
    }

    /// Tries a commit that changes nothing. One that fails is no further fault: it was nobody's.
    fn probe(&mut self) {
        let tried = self.session().and_then(Session::rewrite);
        if tried.as_ref().is_err_and(is_fault) {
            self.connection = None;
        } else if tried.is_ok() {
            self.faults.store(0, Ordering::Relaxed);
            tracing::info!("the storage under the database works again");
        }
    }

    fn session(&mut self) -> Result<Session<'_>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connection = connect(&self.path)?;
                checkpoint::take_over(&connection)?;
                none.insert(connection)
            }
        };
        Ok(Session::new(connection))
    }

    fn begin(&mut self) -> Result<Session<'_>> {
        if log_bytes(&self.path) > self.log {
            empty_log(self.session()?.connection)?;
            if log_bytes(&self.path) > self.log {
                let reason = "a reader keeps the write-ahead log from being emptied";
                return Err(Error::unavailable(reason));
            }
        }
        let session = self.session()?;
        session.command("BEGIN IMMEDIATE")?;
        Ok(session)
    }

    /// Runs `first` and what else waits in one transaction. All that ran are in `batch` after it.
    fn commit(
        &mut self,
        first: Box<dyn Work>,
        waiting: &Receiver<Box<dyn Work>>,
        batch: &mut Vec<Box<dyn Work>>,
    ) -> Result<()> {
        batch.push(first);
        let begun = self.begin();
        // When another process does not let go, all who wait are told with the first: one after
        // the other, each would wait as long again (rule 57).
        let session = begun.inspect_err(|_| batch.extend(waiting.try_iter()))?;
        let start = Instant::now();
        while let Some(unit) = batch.last_mut() {
            let sound = run_among(session, &mut **unit);
            check(session, &**unit)?;
            if !sound {
                return commit_apart(session, batch);
            }
            if batch.len() >= BATCH || start.elapsed() >= BATCH_TIME {
                break;
            }
            match waiting.try_recv() {
                Ok(unit) => batch.push(unit),
                Err(_) => break,
            }
        }
        session.end(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::db::{Db, Role};

    fn daemon(folder: &tempfile::TempDir) -> Db {
        let db = Db::open_file(&folder.path().join("x.db"), Role::Daemon).unwrap();
        db.write(|tx| tx.script("CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT"))
            .unwrap();
        db
    }

    fn stored(db: &Db) -> Vec<i64> {
        let rows = db
            .read(|tx| tx.all("SELECT n FROM numbers ORDER BY n", &[]))
            .unwrap();
        rows.iter().map(|row| row.int("n").unwrap()).collect()
    }

    #[test]
    fn units_that_fail_or_panic_are_rolled_back_alone() {
        let folder = tempfile::tempdir().unwrap();
        let db = daemon(&folder);
        // Hold the writer until all four wait, so that they share one transaction.
        let gate = Arc::new(Barrier::new(2));
        let mut closed = Some(Arc::clone(&gate));
        db.submit(
            move |_| {
                // Not when it is run again.
                if let Some(gate) = closed.take() {
                    gate.wait();
                }
                Ok(())
            },
            |_| {},
        );
        let (tell, told) = std::sync::mpsc::channel();
        for n in 1..=4_i64 {
            let tell = tell.clone();
            db.submit(
                move |tx| {
                    tx.run("INSERT INTO numbers VALUES ($1)", &[n.into()])?;
                    assert!(n != 3, "three panics");
                    if n == 2 {
                        Err(Error::Unauthenticated)
                    } else {
                        Ok(n)
                    }
                },
                move |result| tell.send((n, result.is_ok())).unwrap(),
            );
        }
        gate.wait();
        let mut answers: Vec<(i64, bool)> = told.iter().take(4).collect();
        answers.sort_unstable();
        assert_eq!(answers, [(1, true), (2, false), (3, false), (4, true)]);
        assert_eq!(stored(&db), [1, 4]);
    }

    #[test]
    fn when_a_savepoint_cannot_be_rolled_back_nothing_is_committed_and_the_next_unit_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let db = daemon(&folder);
        let refused: Result<()> = db.write(|tx| {
            tx.run("INSERT INTO numbers VALUES (2)", &[])?;
            // The savepoint is gone when the unit is run apart.
            tx.script("RELEASE work")?;
            Err(Error::Unauthenticated)
        });
        assert!(refused.is_err());
        assert!(stored(&db).is_empty(), "{:?}", stored(&db));
        db.write(|tx| tx.run("INSERT INTO numbers VALUES (3)", &[]))
            .unwrap();
        assert_eq!(stored(&db), [3]);
    }

    /// How often a unit is run that waits together with one that does `other` and then fails.
    fn runs_beside(
        other: impl Fn(&mut crate::db::Tx<'_>) -> Result<()> + Send + 'static,
    ) -> (u32, Vec<i64>) {
        let folder = tempfile::tempdir().unwrap();
        let db = daemon(&folder);
        let gate = Arc::new(Barrier::new(2));
        let mut closed = Some(Arc::clone(&gate));
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let (tell, told) = std::sync::mpsc::channel();
        let heard = tell.clone();
        db.submit(
            move |tx| {
                counted.fetch_add(1, Ordering::Relaxed);
                if let Some(gate) = closed.take() {
                    gate.wait();
                }
                tx.run("INSERT INTO numbers VALUES (1)", &[])
            },
            move |result| tell.send(result.is_ok()).unwrap(),
        );
        db.submit(
            move |tx| {
                other(tx)?;
                Err::<(), _>(Error::Unauthenticated)
            },
            move |result| heard.send(result.is_ok()).unwrap(),
        );
        gate.wait();
        assert_eq!(told.iter().take(2).collect::<Vec<_>>(), [true, false]);
        (runs.load(Ordering::Relaxed), stored(&db))
    }

    #[test]
    fn whatever_a_failed_unit_has_changed_is_undone_and_the_others_are_run_again() {
        let changed = |sql: &'static str| runs_beside(move |tx| tx.run(sql, &[]).map(|_| ()));
        assert_eq!(changed("INSERT INTO numbers VALUES (2)"), (2, vec![1]));
        let returned = |sql: &'static str| runs_beside(move |tx| tx.first(sql, &[]).map(|_| ()));
        let sql = "INSERT INTO numbers VALUES (2) RETURNING n";
        assert_eq!(returned(sql), (2, vec![1]));
        let script = "INSERT INTO numbers VALUES (2); CREATE TABLE others (n INTEGER) STRICT";
        assert_eq!(runs_beside(|tx| tx.script(script)), (2, vec![1]));
    }

    #[test]
    fn a_unit_that_fails_before_it_has_changed_anything_costs_the_others_nothing() {
        assert_eq!(runs_beside(|_| Ok(())), (1, vec![1]));
        let read = |tx: &mut crate::db::Tx<'_>| tx.first("SELECT n FROM numbers", &[]).map(|_| ());
        assert_eq!(runs_beside(read), (1, vec![1]));
        let nothing =
            |tx: &mut crate::db::Tx<'_>| tx.run("DELETE FROM numbers WHERE n = 7", &[]).map(|_| ());
        assert_eq!(runs_beside(nothing), (1, vec![1]));
    }

    #[test]
    fn what_was_acknowledged_can_be_read_by_the_next_reader() {
        let folder = tempfile::tempdir().unwrap();
        let db = daemon(&folder);
        for n in 1..=50_i64 {
            db.write(move |tx| tx.run("INSERT INTO numbers VALUES ($1)", &[n.into()]))
                .unwrap();
            assert_eq!(stored(&db).last(), Some(&n));
        }
    }

    #[test]
    fn a_reader_that_never_finishes_stops_writing_before_the_log_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let most = 1024 * 1024;
        let writer = start(path.clone(), Arc::default(), most).unwrap();
        let sql = "CREATE TABLE texts (t TEXT) STRICT";
        writer.wait_for(|tx| tx.script(sql)).unwrap();
        let write = || {
            let text = "x".repeat(10_000);
            writer
                .wait_for(move |tx| tx.run("INSERT INTO texts VALUES ($1)", &[text.clone().into()]))
        };
        let reader = connect(&path).unwrap();
        let count = "SELECT COUNT(*) FROM texts";
        Session::new(&reader).command("BEGIN").unwrap();
        assert_eq!(Session::new(&reader).number(count).unwrap(), 0);
        let written = (0..1000).take_while(|_| write().is_ok()).count();
        assert!((50..1000).contains(&written), "{written}");
        assert!(matches!(write(), Err(Error::Unavailable(_))));
        assert!(log_bytes(&path) < 2 * most, "{}", log_bytes(&path));
        Session::new(&reader).command("ROLLBACK").unwrap();
        write().unwrap();
        let stored = Session::new(&reader).number(count).unwrap();
        assert_eq!(usize::try_from(stored).unwrap(), written + 1);
        assert!(log_bytes(&path) < most, "{}", log_bytes(&path));
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let db = daemon(&folder);
        assert!(
            db.read(|tx| tx.run("INSERT INTO numbers VALUES (1)", &[]))
                .is_err()
        );
    }

    #[test]
    fn a_command_and_the_daemon_write_the_same_file_without_lock_errors() {
        let folder = tempfile::tempdir().unwrap();
        let db = Arc::new(daemon(&folder));
        let path = folder.path().join("x.db");
        std::thread::scope(|scope| {
            for shell in 0..4_i64 {
                let path = &path;
                scope.spawn(move || {
                    let own = Db::open_file(path, Role::Shell).unwrap();
                    for n in 0..25 {
                        let n = 1000 * (shell + 1) + n;
                        own.write(move |tx| tx.run("INSERT INTO numbers VALUES ($1)", &[n.into()]))
                            .unwrap();
                    }
                });
            }
            for n in 0..200_i64 {
                db.write(move |tx| tx.run("INSERT INTO numbers VALUES ($1)", &[n.into()]))
                    .unwrap();
            }
        });
        assert_eq!(stored(&db).len(), 300);
    }

    #[test]
    fn all_that_wait_for_a_lock_that_nobody_gives_up_are_refused_together() {
        let folder = tempfile::tempdir().unwrap();
        let db = daemon(&folder);
        let holder = Connection::open(folder.path().join("x.db")).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        for n in 1..=3_i64 {
            let tell = tell.clone();
            db.submit(
                move |tx| tx.run("INSERT INTO numbers VALUES ($1)", &[n.into()]),
                move |result| tell.send(result.is_ok()).unwrap(),
            );
        }
        assert!(!told.recv().unwrap());
        holder.execute_batch("ROLLBACK").unwrap();
        assert!(!told.recv().unwrap());
        assert!(!told.recv().unwrap());
        db.write(|tx| tx.run("INSERT INTO numbers VALUES ($1)", &[4_i64.into()]))
            .unwrap();
        assert_eq!(stored(&db), [4]);
    }

    #[test]
    fn the_last_who_needed_the_database_may_be_told_on_the_writers_own_thread() {
        let folder = tempfile::tempdir().unwrap();
        let db = Arc::new(daemon(&folder));
        let (last, let_go) = (Arc::clone(&db), Arc::new(Barrier::new(2)));
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = Arc::clone(&let_go);
        db.submit(
            |_| Ok(()),
            move |_| {
                waiting.wait();
                drop(last);
                let _ = tell.send(());
            },
        );
        drop(db);
        let_go.wait();
        told.recv().unwrap();
    }
}
