//! Holds every statement that a rule test runs to an index: a table that is walked from end to end
//! is fast in a test and slow in its second year.

use super::session::Session;

/// Tables that stay small: what they hold is bounded by the program itself.
const SMALL: [&str; 8] = [
    "sqlite_schema",
    "signing_keys",
    "migrations",
    "clock",
    "jobs",
    "pragma_compile_options",
    "CONSTANT",
    "numbers",
];

/// Fails the test if the engine would walk a table for `sql`. Counts may: the operator asks for
/// them, and nothing waits. So may what stops at its first row, and what is meant for every row.
pub(super) fn assert_no_scan(session: Session<'_>, sql: &str) {
    let walks_on_purpose =
        sql.contains("COUNT(*)") || sql.ends_with("LIMIT 1") || !sql.contains("WHERE");
    if !["SELECT", "UPDATE", "DELETE"]
        .iter()
        .any(|verb| sql.starts_with(verb))
        || walks_on_purpose
    {
        return;
    }
    // A statement that makes no sense fails where it is run, with a better message.
    let Ok(mut plan) = session
        .connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
    else {
        return;
    };
    let mut rows = plan.raw_query();
    while let Some(row) = rows.next().unwrap() {
        let step: String = row.get("detail").unwrap();
        let walked = step
            .strip_prefix("SCAN ")
            .map(|rest| rest.split(' ').next().unwrap());
        assert!(
            walked.is_none_or(|table| SMALL.contains(&table)),
            "{step}: {sql}"
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::db::Db;

    fn run(sql: &'static str) {
        let db = Db::memory().unwrap();
        db.write(|tx| tx.script("CREATE TABLE things (id INTEGER PRIMARY KEY, n INTEGER) STRICT"))
            .unwrap();
        let _rows = db.read(move |tx| tx.all(sql, &[]));
    }

    #[test]
    #[should_panic(expected = "SCAN things")]
    fn walking_a_table_is_noticed() {
        run("SELECT id FROM things WHERE n = 1");
    }

    #[test]
    fn looking_a_row_up_is_fine() {
        run("SELECT n FROM things WHERE id = 1");
    }

    #[test]
    fn a_statement_with_a_limit_is_planned_once_whatever_the_limit_is() {
        let folder = tempfile::tempdir().unwrap();
        let connection = super::super::create(&folder.path().join("x.db")).unwrap();
        let table =
            "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT; INSERT INTO t VALUES (1), (2), (3)";
        connection.execute_batch(table).unwrap();
        let sql = "SELECT n FROM t WHERE n > $1 ORDER BY n LIMIT $2";
        let mut statement = connection.prepare(sql).unwrap();
        for (after, limit) in [(0, 50), (1, 2), (0, 1), (2, 50)] {
            let mut rows = statement.query([after, limit]).unwrap();
            assert!(rows.next().unwrap().is_some());
        }
        let again = rusqlite::StatementStatus::RePrepare;
        assert_eq!(statement.get_status(again), 0);
    }
}
