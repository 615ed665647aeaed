//! A database of every schema that was ever released, brought up to the schema of today.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::Shell;
use crate::support::engine::only_on_sqlite;
use crate::support::files;

/// The fixtures' folder.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The fixtures' databases, the oldest first.
fn databases() -> Vec<PathBuf> {
    let paths = fs::read_dir(folder()).unwrap().map(|it| it.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "db"))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The text of every table and index, by its name, with the same spaces everywhere.
fn schema(connection: &Connection) -> BTreeMap<String, String> {
    let texts = files::texts(
        connection,
        "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'",
    );
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = texts.iter().map(|text| {
        let name: Vec<&str> = text.splitn(3, ' ').take(2).collect();
        (name.join(" "), words(text))
    });
    named.collect()
}

/// What the database calls its tables.
fn tables(connection: &Connection) -> Vec<String> {
    files::texts(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table'
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )
}

/// Every row of a table, each as its columns' names and values.
fn rows(connection: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Value>> {
    let list = columns.join(", ");
    let mut statement = connection
        .prepare(&format!("SELECT {list} FROM {table}"))
        .unwrap();
    let rows = statement.query_map([], |row| (0..columns.len()).map(|n| row.get(n)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

/// A shell in whose data folder the fixture lies, with its key file.
fn shell_with(database: &Path) -> Shell {
    let shell = Shell::bare();
    fs::create_dir_all(shell.path("data")).unwrap();
    fs::copy(database, shell.database()).unwrap();
    let key = shell.path("data/provost.key");
    fs::copy(database.with_extension("key"), &key).unwrap();
    // A checkout gives everybody the right to read it.
    let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(key, owner).unwrap();
    shell
}

/// What was there to learn and what somebody did with it is there as it was, and can be gone on with.
fn school(shell: &Shell) {
    let course = shell.json(&["course", "show", "knots"]);
    assert_eq!(
        (&course["state"], &course["title"]),
        (&"published".into(), &"Knots".into())
    );
    let lessons = shell.json(&["lesson", "list", "knots"]);
    assert_eq!(
        lessons["items"].as_array().map(Vec::len),
        Some(2),
        "{lessons}"
    );
    let attempts = shell.json(&["attempt", "list", "knots/knots"]);
    let attempts = attempts["items"].as_array().unwrap();
    let graded = attempts.iter().find(|it| it["number"] == 1).unwrap();
    // The number and the essay are right, the choice is not. The time of the other one is over.
    assert_eq!((attempts.len(), &graded["state"]), (2, &"submitted".into()));
    assert_eq!(graded["points"].as_f64(), Some(2.0), "{attempts:?}");
    let out = shell.path("knots");
    shell.ok(&["course", "export", "knots", out.to_str().unwrap()]);
    let again = shell.json(&["course", "import", out.to_str().unwrap(), "--dry-run"]);
    assert_eq!(again["lessons_unchanged"], 2, "{again}");
    shell.ok(&["attempt", "regrade", "knots/knots"]);
    shell.ok(&["job", "run", "attempts.close"]);
}

#[test]
fn a_database_of_each_schema_gets_the_schema_of_a_new_one_and_keeps_every_row() {
    if only_on_sqlite("the fixtures are files") {
        return;
    }
    let fresh = schema(&files::open(&Shell::new().database()));
    for database in databases() {
        let told = fs::read_to_string(database.with_extension("json")).unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let shell = shell_with(&database);
        shell.ok(&["migrate", "up"]);
        shell.ok(&["migrate", "verify"]);
        let (old, new) = (files::open(&database), files::open(&shell.database()));
        assert_eq!(schema(&new), fresh, "{}", database.display());
        for table in tables(&old) {
            let columns = |of: &Connection| {
                let sql = format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid");
                files::texts(of, &sql)
            };
            let kept = columns(&new);
            let shared: Vec<String> = columns(&old)
                .into_iter()
                .filter(|column| kept.contains(column))
                .collect();
            let (before, after) = (rows(&old, &table, &shared), rows(&new, &table, &shared));
            assert_eq!(told["rows"][&table], before.len(), "{table}");
            // Going up is in the log itself, whose end the head notes.
            for row in before.iter().filter(|_| table != "audit_head") {
                assert!(after.contains(row), "{table} lost {row:?}");
            }
        }
        let token = told["token"].as_str().unwrap();
        let looked = shell.run_with(&["--json", "token", "lookup", "-"], token);
        assert_eq!(looked.status, 0, "{looked:?}");
        assert_eq!(looked.json()["state"], "active", "{looked:?}");
        let daemon = shell.serve();
        let bearer = format!("Authorization: Bearer {token}\r\n");
        let (status, body) = daemon.request("GET", "/api/v1/tokens", &bearer, "");
        assert_eq!(status, 200, "{body}");
        daemon.stop();
        shell.ok(&["audit", "verify"]);
        if told["schema"].as_i64() >= Some(15) {
            school(&shell);
        }
        files::check(&shell);
    }
}

#[test]
fn no_fixture_is_ever_edited() {
    let sums = fs::read_to_string(folder().join("SHA256SUMS")).unwrap();
    let sums: BTreeMap<&str, &str> = sums
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name, sum))
        .collect();
    for database in databases() {
        for end in ["db", "key", "json"] {
            let path = database.with_extension(end);
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes = fs::read(&path).unwrap();
            let sum = provost::secret::sha256_hex(&bytes);
            assert_eq!(sums.get(name), Some(&sum.as_str()), "{name}");
        }
    }
}
