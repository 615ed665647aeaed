//! Rows whose addition nobody waits for: they are sent at once, and what became of them is looked
//! at with the next statement that is waited for, at the latest before the `COMMIT`. A unit of work
//! that adds a row and its audit row costs no round trip for either.

use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::{BoxFuture, FutureExt as _, MaybeDone, maybe_done, poll_fn};

use super::{Failure, Link, Unit, values, wait};
use crate::db::Value;
use crate::error::{Error, Result};

/// A statement that is under way, and how many rows it has changed.
type Sent = MaybeDone<BoxFuture<'static, Result<u64, tokio_postgres::Error>>>;

/// What was sent and not waited for.
#[derive(Default)]
pub(super) struct Late {
    sent: Vec<Sent>,
    /// Why one of them was not added, found out by the way: told to whoever waits next.
    refused: Option<Error>,
    /// Whether nothing is to be sent like that.
    patient: bool,
}

impl Late {
    /// Nobody wants to know any more what became of it.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.refused = None;
    }

    /// Does `work`, and takes in meanwhile what the server says of the rows: a connection reads no
    /// further than to an answer that nobody takes, and the one to `work` may come behind it.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            for sent in &mut self.sent {
                let _said = Pin::new(sent).poll(context);
            }
            work.as_mut().poll(context)
        })
        .await
    }
}

impl Link {
    /// Has the units of work to come wait for each row, or not. Who met a conflict must: it would
    /// meet the next one, where two processes make the same keys at the same time.
    pub(in crate::db::postgres) fn set_patient(&mut self, patient: bool) {
        self.late.patient = patient;
    }

    /// Adds a row by an `INSERT … ON CONFLICT DO NOTHING`. If its key is taken, the unit of work
    /// fails later with a conflict, and is run again, with more patience.
    pub(in crate::db) fn add(&mut self, sql: &str, params: &[Value]) -> Result<bool> {
        // Nothing comes after a single statement that would look at what became of it.
        if self.late.patient || self.unit == Unit::Single {
            return Ok(self.run(sql, params)? == 1);
        }
        if !self.knows(sql)
            && let Err(error) = self.settle()
        {
            // It is about a row before this one: whoever adds this one must not take it for theirs.
            self.late.refused = Some(error);
        }
        if self.late.refused.is_some() {
            return Ok(true);
        }
        let (prepared, begin) = self.ready(sql, params)?;
        self.changed = true;
        if let Some(begin) = begin {
            let client = Arc::clone(&self.client);
            self.send(async move { client.batch_execute(begin).await.map(|()| 1) });
        }
        let client = Arc::clone(&self.client);
        let (statement, params) = (prepared.statement, params.to_vec());
        self.send(async move { client.execute_raw(&statement, values(&params)).await });
        Ok(true)
    }

    fn send(
        &mut self,
        work: impl Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'static,
    ) {
        let mut sent = maybe_done(work.boxed());
        if let Some(runtime) = &self.runtime {
            // The first step hands it to the connection, behind everything before it.
            runtime.block_on(poll_fn(|context| {
                let _under_way = Pin::new(&mut sent).poll(context);
                Poll::Ready(())
            }));
        }
        self.late.sent.push(sent);
    }

    /// Waits for what became of the rows that were added.
    ///
    /// # Errors
    /// What kept the first of them from being added.
    pub(in crate::db::postgres) fn settle(&mut self) -> Result<()> {
        if let Some(refused) = self.late.refused.take() {
            return Err(refused);
        }
        let mut late = mem::take(&mut self.late.sent);
        if late.is_empty() {
            return Ok(());
        }
        let all = poll_fn(|context| {
            let mut ready = true;
            for sent in &mut late {
                ready &= Pin::new(sent).poll(context).is_ready();
            }
            if ready {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        });
        let waited = wait(self.runtime.as_ref(), self.patience, all);
        self.outcome(waited)?;
        for sent in &mut late {
            match Pin::new(sent).take_output() {
                Some(Ok(1)) => {}
                Some(Err(error)) => {
                    let broken = error
                        .code()
                        .is_some_and(|code| code.code().starts_with("23"));
                    let told = self.outcome::<()>(Ok(Err(error)));
                    return match told {
                        // Whatever keeps an audit row from being written is a refusal that may
                        // pass (security.md, rule 66).
                        Err(Error::Internal(source)) if !broken => Err(Error::Unavailable(source)),
                        told => told,
                    };
                }
                Some(Ok(_)) | None => {
                    self.failure = Some(Failure::Conflict);
                    return Err(Error::unavailable("the key of a new row was taken"));
                }
            }
        }
        Ok(())
    }

    /// The result of a statement that was waited for, unless something sent before it has failed:
    /// that was first, and is why the server refused what came after.
    pub(super) fn after_late<T>(&mut self, result: Result<T>) -> Result<T> {
        if self.is_lost() {
            self.late.forget();
        }
        let failure = self.failure.take();
        self.settle()?;
        self.failure = failure;
        result
    }
}

#[cfg(test)]
mod tests {
    use crate::db::{Db, Tx};
    use crate::error::{Error, Result};

    /// A table whose numbers are below ten, with a one in it. On the engine that the tests run on:
    /// what holds for the one holds for the other.
    fn ones() -> Db {
        let db = Db::fresh();
        let table = "CREATE TABLE t (n INTEGER PRIMARY KEY CHECK (n < 10)) STRICT";
        db.write(move |tx| tx.script(table)).unwrap();
        assert!(db.write(|tx| add(tx, 1)).unwrap());
        db
    }

    fn add(tx: &mut Tx<'_>, n: i64) -> Result<bool> {
        let sql = "INSERT INTO t (n) VALUES ($1) ON CONFLICT (n) DO NOTHING";
        tx.add(sql, &[n.into()])
    }

    fn numbers(db: &Db) -> Vec<i64> {
        let rows = db.look(|tx| tx.all("SELECT n FROM t WHERE n > $1 ORDER BY n", &[0_i64.into()]));
        let rows = rows.unwrap();
        rows.iter().map(|row| row.int("n").unwrap()).collect()
    }

    #[test]
    fn who_finds_a_key_taken_ends_with_another_one() {
        let db = ones();
        let mut next = 0;
        db.write(move |tx| {
            loop {
                next += 1;
                if add(tx, next)? {
                    return Ok(());
                }
            }
        })
        .unwrap();
        assert_eq!(numbers(&db), [1, 2]);
    }

    #[test]
    fn a_key_that_stays_taken_is_told() {
        let db = ones();
        assert!(!db.write(|tx| add(tx, 1)).unwrap());
        assert_eq!(numbers(&db), [1]);
    }

    #[test]
    fn what_a_rule_of_the_table_refuses_is_not_acknowledged_and_takes_the_rest_with_it() {
        let db = ones();
        for last in [None, Some("SELECT 1 AS one")] {
            let added = db.write(move |tx| {
                add(tx, 2)?;
                add(tx, 99)?;
                // Whoever looks in between is told the reason, not what it led to.
                last.map_or(Ok(()), |sql| tx.all(sql, &[]).map(drop))
            });
            let error = added.unwrap_err();
            let Error::Internal(source) = &error else {
                panic!("{error:?}");
            };
            let told = format!("{source:?} {source}").to_lowercase();
            assert!(told.contains("check"), "{told}");
            assert_eq!(numbers(&db), [1]);
        }
    }

    #[test]
    fn what_follows_sees_the_new_row() {
        let db = ones();
        let seen = db.write(|tx| {
            add(tx, 3)?;
            let row = tx.first("SELECT COUNT(*) AS n FROM t WHERE n > $1", &[0_i64.into()])?;
            row.map_or(Ok(0), |row| row.int("n"))
        });
        assert_eq!(seen.unwrap(), 2);
        assert_eq!(numbers(&db), [1, 3]);
    }
}
