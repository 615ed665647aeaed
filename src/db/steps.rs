//! A migration's script, run statement by statement, so that it can be told which one failed, where it
//! stands, and how long each takes.

use std::fmt;
use std::time::{Duration, Instant};

use super::schema::quoted;
use super::script::{Kind, tokens};
use super::{Db, Tx, TxEngine, question};
use crate::error::{Error, Result};

/// A statement of a script that was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which one of the script, from 1.
    pub number: usize,
    /// On which line it begins, from 1.
    pub line: usize,
    /// How long it took.
    pub took: Duration,
}

/// A statement of a script that failed.
#[derive(Debug)]
pub struct Broken {
    /// Which one of the script, from 1.
    pub number: usize,
    /// On which line it begins, or where in it the mistake is, from 1.
    pub line: usize,
    /// What the engine says.
    pub source: Error,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}, line {}", self.number, self.line)
    }
}

impl Tx<'_> {
    /// Runs the statements of a migration one after the other. A script that ends the transaction
    /// by itself is refused.
    ///
    /// # Errors
    /// [`Broken`] names the statement; nothing may be done in this transaction any more.
    pub fn steps(&mut self, sql: &str) -> Result<Vec<Step>, Broken> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.steps(sql),
            TxEngine::Postgres(link) => link.steps(sql),
            TxEngine::Asked(_) => question::refuse().map_err(|source| Broken {
                number: 1,
                line: 1,
                source,
            }),
        }
    }

    /// How many rows each table has, the engine's own left out. Knows no column, so that it can
    /// count in tables of which this program knows nothing.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn rows_by_table(&mut self) -> Result<Vec<(String, u64)>> {
        let mut tables = self.tables()?;
        tables.retain(|table| !table.starts_with("sqlite_"));
        tables.sort();
        let counted = tables.into_iter().map(|table| {
            let sql = format!("SELECT COUNT(*) AS n FROM {}", quoted(&table));
            let row = self.first(&sql, &[])?;
            let n = row.map_or(Ok(0), |row| row.int("n"))?;
            Ok((table, u64::try_from(n).map_err(Error::internal)?))
        });
        counted.collect()
    }
}

impl Db {
    /// [`Tx::rows_by_table`], on one snapshot.
    ///
    /// # Errors
    /// As [`Db::export`].
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general enough over the transaction's life"
    )]
    pub fn rows_by_table(&self) -> Result<Vec<(String, u64)>> {
        self.export(|tx| tx.rows_by_table())
    }
}

/// What ends the transaction in which a script is run, or does nothing in one, or reaches out of
/// the database (security.md, rule 77).
const OUTSIDE: [&str; 10] = [
    "COMMIT", "ROLLBACK", "END", "ABORT", "BEGIN", "START", "PRAGMA", "VACUUM", "ATTACH", "DETACH",
];

/// Refuses a statement that has no place in a script.
pub(super) fn may_stand(statement: &str) -> Result<()> {
    let first = tokens(statement.get(blank(statement)..).unwrap_or_default()).next();
    let word = OUTSIDE
        .into_iter()
        .find(|word| first.as_ref().is_some_and(|first| first.is(word)));
    word.map_or(Ok(()), |word| {
        Err(Error::internal(format!(
            "{word} has no place in a migration, which is one transaction"
        )))
    })
}

/// The length of blanks, comments and lone semicolons at the start of `text`.
pub(super) fn blank(text: &str) -> usize {
    tokens(text)
        .take_while(|it| matches!(it.kind, Kind::Space | Kind::Comment) || it.is_mark(";"))
        .map(|it| it.text.len())
        .sum()
}

/// Takes the time of each statement.
#[derive(Debug)]
pub(super) struct Clocked {
    since: Instant,
    done: Vec<Step>,
}

impl Clocked {
    pub(super) fn start() -> Self {
        Self {
            since: Instant::now(),
            done: Vec::new(),
        }
    }

    /// The statement that begins on this line was run.
    pub(super) fn ran(&mut self, line: usize) {
        self.done.push(Step {
            number: self.done.len() + 1,
            line,
            took: self.since.elapsed(),
        });
        self.since = Instant::now();
    }

    /// The one after that failed.
    pub(super) fn broken(&self, line: usize, source: Error) -> Broken {
        Broken {
            number: self.done.len() + 1,
            line,
            source,
        }
    }

    pub(super) fn done(self) -> Vec<Step> {
        self.done
    }
}

/// The number of the line on which the byte at `offset` of `text` is, if its first line is `first`.
pub(super) fn line(first: usize, text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    first + before.split(|&byte| byte == b'\n').skip(1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "-- A list;\nCREATE TABLE numbers (n INTEGER UNIQUE, t TEXT);\n\n\
        /* two\n rows; */ INSERT INTO numbers\n  VALUES (1, 'a;b'), (2, '--');;\n\
        INSERT INTO numbers (n) VALUES (1);\n-- the end;\n";

    #[test]
    fn a_statement_that_fails_is_told_by_its_number_and_its_line() {
        let db = Db::fresh();
        let broken = db.export(|tx| Ok(tx.steps(SCRIPT).unwrap_err())).unwrap();
        assert_eq!((broken.number, broken.line), (3, 7), "{:?}", broken.source);
    }

    #[test]
    fn every_statement_is_run_and_told_with_its_line() {
        let db = Db::fresh();
        let good = SCRIPT.replace("VALUES (1);", "VALUES (3)");
        let (steps, rows) = db
            .export(|tx| Ok((tx.steps(&good).unwrap(), tx.rows_by_table()?)))
            .unwrap();
        let lines: Vec<_> = steps.iter().map(|step| (step.number, step.line)).collect();
        assert_eq!(lines, [(1, 2), (2, 5), (3, 7)]);
        assert_eq!(rows, [("numbers".to_owned(), 3)]);
    }

    #[test]
    fn a_mistake_is_told_by_the_line_on_which_it_is() {
        let db = Db::fresh();
        let script = "CREATE TABLE a (n INTEGER);\nINSERT INTO a\nVALUES (1)\nVALUES (2);\n";
        let broken = db.export(|tx| Ok(tx.steps(script).unwrap_err())).unwrap();
        assert_eq!((broken.number, broken.line), (2, 4), "{:?}", broken.source);
    }

    #[test]
    fn what_ends_the_transaction_is_refused_before_it_is_run() {
        for word in OUTSIDE {
            let db = Db::fresh();
            let script =
                format!("CREATE TABLE a (n INTEGER);\n{word};\nCREATE TABLE b (n INTEGER);");
            let failed: Result<()> = db.write(move |tx| {
                let broken = tx.steps(&script).unwrap_err();
                assert_eq!((broken.number, broken.line), (2, 2), "{:?}", broken.source);
                Err(broken.source)
            });
            assert!(failed.unwrap_err().causes().contains(word));
            assert!(db.rows_by_table().unwrap().is_empty());
        }
    }

    #[test]
    fn a_script_of_nothing_is_none() {
        for script in ["", " \n", "-- nothing", "/* nothing", ";;"] {
            assert_eq!(
                Db::fresh()
                    .export(|tx| Ok(tx.steps(script).unwrap()))
                    .unwrap(),
                []
            );
        }
    }
}
