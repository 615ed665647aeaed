//! A migration's script, run statement by statement, so that it can be told which one failed, where it
//! stands, and how long each takes.

use std::fmt;
use std::time::{Duration, Instant};

use super::schema::quoted;
use super::script::{Kind, Statement, statements, tokens};
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

    /// Whether what is temporary may go to a file, from the next transaction of this connection on. In
    /// memory, a new index or a change of every row would need as much of it as the table has. A
    /// server decides by itself.
    pub fn spill(&mut self, may: bool) {
        if let TxEngine::Sqlite(session) = &mut self.engine {
            session.spill(may);
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

/// Words that begin what ends the transaction in which a script is run, does nothing in one, or
/// reaches out of the database (security.md, rule 77).
const OUTSIDE: [&str; 12] = [
    "ABORT",
    "ATTACH",
    "BEGIN",
    "COMMIT",
    "DETACH",
    "END",
    "PRAGMA",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
    "VACUUM",
];

/// The word for which a statement has no place in a script, which is a part of one transaction.
#[must_use]
pub fn outside(statement: &Statement<'_>) -> Option<&'static str> {
    let first = statement.tokens.first()?;
    if let Some(word) = OUTSIDE.into_iter().find(|word| first.is(word)) {
        return Some(word);
    }
    let makes = ["CREATE", "ALTER", "DROP", "REINDEX", "REFRESH"];
    if !makes.iter().any(|word| first.is(word)) {
        return None;
    }
    // What a server does by itself, or to all of itself.
    let mut rest = statement.tokens.iter().skip(1);
    let whole = ["DATABASE", "TABLESPACE", "SYSTEM"];
    let second = rest.next()?;
    let apart = second.is("CONCURRENTLY") || rest.any(|it| it.is("CONCURRENTLY"));
    let whole = whole.into_iter().find(|word| second.is(word));
    apart.then_some("CONCURRENTLY").or(whole)
}

/// Refuses a statement that has no place in a script.
pub(super) fn may_stand(text: &str) -> Result<()> {
    let word = statements(text).first().and_then(outside);
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
    fn what_is_temporary_goes_to_a_file_while_that_is_asked_for() {
        let db = Db::memory().unwrap();
        let store = |db: &Db| {
            let sql = "SELECT temp_store FROM pragma_temp_store";
            let row = db.read(|tx| tx.first(sql, &[])).unwrap();
            row.unwrap().int("temp_store").unwrap()
        };
        for (may, expected) in [(true, 1), (false, 2)] {
            let set = db.write(move |tx| {
                tx.spill(may);
                Ok(())
            });
            set.unwrap();
            assert_eq!(store(&db), expected);
        }
    }

    #[test]
    fn a_word_that_is_a_name_ends_nothing() {
        for good in [
            "UPDATE system SET concurrently = 1",
            "INSERT INTO database (begin) VALUES (1)",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END",
            "ALTER TABLE release ADD commit TEXT",
        ] {
            assert_eq!(outside(&statements(good)[0]), None, "{good}");
        }
        for (bad, word) in [
            ("-- x\ncommit", "COMMIT"),
            ("CREATE DATABASE x", "DATABASE"),
            ("ALTER SYSTEM SET x = 1", "SYSTEM"),
            ("DROP INDEX CONCURRENTLY x", "CONCURRENTLY"),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY x ON a (n)",
                "CONCURRENTLY",
            ),
        ] {
            assert_eq!(outside(&statements(bad)[0]), Some(word), "{bad}");
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
