//! The files of an `SQLite` database as they lie on the disk.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::Shell;

/// A connection of another program to the database: what SQLite's own shell would have.
pub(crate) fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    connection
}

/// The one number that a statement answers.
#[track_caller]
pub(crate) fn number(connection: &Connection, sql: &str) -> i64 {
    connection
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The first column of every row that a statement answers.
#[track_caller]
pub(crate) fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Checks a copy of the files, as they would be found after a crash: nothing is damaged and
/// nothing points nowhere. Nobody may have them open. A server keeps such promises by itself.
#[track_caller]
pub(crate) fn check(shell: &Shell) {
    if shell.schema_url().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("provost.db");
    fs::copy(shell.database(), &copy).unwrap();
    let log = shell.path("data/provost.db-wal");
    if log.exists() {
        fs::copy(log, folder.path().join("provost.db-wal")).unwrap();
    }
    let connection = open(&copy);
    assert_eq!(texts(&connection, "PRAGMA integrity_check"), ["ok"]);
    let dangling = texts(
        &connection,
        "SELECT \"table\" FROM pragma_foreign_key_check",
    );
    assert!(dangling.is_empty(), "{dangling:?}");
}
