//! A point read in two passes, for an engine whose answer is a round trip away: the first pass ends
//! where it asks its one question, the second begins anew and finds the answer there. In between
//! no thread waits, and the questions of many requests travel together.
//!
//! Invariant: what stands before the statement does the same both times, for it must ask the same
//! question; a read that asks another one, or a second, is a bug and fails. So both passes see the
//! same instant, which travels with the question.

use std::time::Instant;

use super::{Row, Tx, TxEngine, Value};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// How far a point read came by itself.
#[derive(Debug)]
pub enum Looked<T> {
    /// To its end.
    Done(Result<T>),
    /// To its statement; what that gives has to be waited for.
    Asks(Question),
}

/// A statement whose rows are wanted.
#[derive(Debug)]
pub struct Question {
    since: Instant,
    at: Option<Timestamp>,
    pub(super) sql: Box<str>,
    pub(super) params: Vec<Value>,
}

/// A question and its rows.
#[derive(Debug)]
pub struct Answer {
    question: Question,
    rows: Vec<Row>,
}

impl Answer {
    pub(super) fn new(question: Question, rows: Vec<Row>) -> Self {
        Self { question, rows }
    }

    /// When the read began.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.question.since
    }

    /// Runs the second pass.
    pub(super) fn hear<T>(self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut pass = Pass::Second {
            at: self.question.at,
            answer: Some(self),
        };
        let result = f(&mut pass.tx());
        match pass {
            Pass::Second { answer: None, .. } | Pass::First { .. } => result,
            Pass::Second { .. } => Err(Error::internal("a point read that asked nothing again")),
        }
    }
}

/// Runs the first pass.
pub(super) fn ask<T>(f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Looked<T> {
    let mut pass = Pass::First {
        at: None,
        asked: None,
    };
    let result = f(&mut pass.tx());
    match pass {
        // Whatever came of it came without the answer.
        Pass::First {
            asked: Some(question),
            ..
        } => Looked::Asks(question),
        Pass::First { asked: None, .. } | Pass::Second { .. } => Looked::Done(result),
    }
}

/// What stands behind the transaction of a pass.
#[derive(Debug)]
pub(super) enum Pass {
    /// When the read began, if it wanted to know, and what it asks.
    First {
        at: Option<Timestamp>,
        asked: Option<Question>,
    },
    /// The same instant, and the answer, until it is read.
    Second {
        at: Option<Timestamp>,
        answer: Option<Answer>,
    },
}

impl Pass {
    fn tx(&mut self) -> Tx<'_> {
        Tx {
            engine: TxEngine::Asked(self),
        }
    }

    /// The instant of the first pass, which is `now` if this is it.
    pub(super) fn instant(&mut self, now: Timestamp) -> Timestamp {
        let (Self::First { at, .. } | Self::Second { at, .. }) = self;
        *at.get_or_insert(now)
    }

    pub(super) fn all(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        match self {
            Self::First {
                at,
                asked: asked @ None,
            } => {
                *asked = Some(Question {
                    since: Instant::now(),
                    at: *at,
                    sql: sql.into(),
                    params: params.to_vec(),
                });
                Err(Error::internal("the answer is not there yet"))
            }
            Self::Second { answer, .. } => match answer.take() {
                Some(Answer { question, rows })
                    if *question.sql == *sql && question.params == params =>
                {
                    Ok(rows)
                }
                _ => Err(Error::internal("a point read that asks something else")),
            },
            Self::First { .. } => Err(Error::internal("a second statement in a point read")),
        }
    }
}

/// For everything else that a transaction can do.
pub(super) fn refuse<T>() -> Result<T> {
    Err(Error::internal("a point read does more than to read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;

    const SQL: &str = "SELECT $1 AS n";

    fn one(tx: &mut Tx<'_>, n: i64) -> Result<i64> {
        let row = tx.first(SQL, &[n.into()])?;
        row.map_or(Ok(0), |row| row.int("n"))
    }

    /// The answer to `question`, as the engine gives it.
    fn answered(question: Question) -> Answer {
        let db = Db::memory().unwrap();
        let rows = db.look(|tx| tx.all(&question.sql, &question.params));
        Answer::new(question, rows.unwrap())
    }

    fn question<T: std::fmt::Debug>(looked: Looked<T>) -> Question {
        match looked {
            Looked::Asks(question) => question,
            Looked::Done(result) => panic!("{result:?}"),
        }
    }

    #[test]
    fn the_second_pass_finds_what_the_first_has_asked_for() {
        let answer = answered(question(ask(|tx| one(tx, 7))));
        assert_eq!(answer.hear(|tx| one(tx, 7)).unwrap(), 7);
    }

    #[test]
    fn both_passes_see_the_instant_of_the_first() {
        let at = |now| {
            move |tx: &mut Tx<'_>| {
                let now = tx.instant(Timestamp(now));
                one(tx, now.0).map(|n| (now, n))
            }
        };
        let answer = answered(question(ask(at(7))));
        assert_eq!(answer.hear(at(8)).unwrap(), (Timestamp(7), 7));
    }

    #[test]
    fn a_read_that_asks_nothing_needs_no_second_pass() {
        let Looked::Done(result) = ask(|_| Ok(3)) else {
            panic!("it asked");
        };
        assert_eq!(result.unwrap(), 3);
    }

    #[test]
    fn what_a_read_makes_of_the_missing_answer_counts_for_nothing() {
        let answer = answered(question(ask(|tx| Ok(one(tx, 7).unwrap_or(-1)))));
        assert_eq!(answer.hear(|tx| one(tx, 7)).unwrap(), 7);
    }

    #[test]
    fn another_question_a_second_one_and_a_write_are_bugs() {
        let asked = || answered(question(ask(|tx| one(tx, 7))));
        assert!(asked().hear(|tx| one(tx, 8)).is_err());
        assert!(asked().hear(|tx| one(tx, 7).and(one(tx, 7))).is_err());
        assert!(asked().hear(|_| Ok(())).is_err());
        assert!(
            asked()
                .hear(|tx| tx.run("DELETE FROM tokens", &[]))
                .is_err()
        );
        assert!(
            asked()
                .hear(|tx| tx.all("SELECT 1", &[7_i64.into()]))
                .is_err()
        );
        let Looked::Done(result) = ask(|tx| tx.run("DELETE FROM tokens", &[])) else {
            panic!("it asked");
        };
        result.unwrap_err();
    }
}
