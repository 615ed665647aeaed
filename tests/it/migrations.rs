//! The schema at the shell.

use crate::support::Shell;
use crate::support::engine::only_on_sqlite;

#[test]
fn a_new_database_has_every_migration_and_nothing_to_do() {
    let shell = Shell::new();
    let status = shell.json(&["migrate", "status", "--exit-code"]);
    let items = status["items"].as_array().unwrap();
    assert!(!items.is_empty());
    assert!(items.iter().all(|item| item["state"] == "applied"));
    assert_eq!(
        shell.json(&["migrate", "up"])["items"],
        serde_json::json!([])
    );
    let ran = shell.run(&["migrate", "up"]);
    assert!(ran.stderr.starts_with("nothing to do"), "{ran:?}");
    let ran = shell.run(&["migrate", "verify"]);
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn a_database_from_the_past_is_refused_until_it_is_brought_up() {
    let shell = Shell::new();
    let last = provost::migrations::ALL.last().unwrap();
    shell.sql().go_down();
    let told = shell.fails(11, &["token", "list"]);
    assert!(told.contains("hint: run: provost migrate up"), "{told}");
    shell.fails(11, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(shell.run(&["migrate", "status", "--exit-code"]).status, 9);
    let applied = shell.json(&["migrate", "up"]);
    assert_eq!(applied["items"][0]["name"], *last.name);
    shell.ok(&["token", "list"]);
    shell.sql().go_down();
    // Unattended upgrades: the daemon does it before it serves.
    let daemon = shell.serve_with(&["--migrate", "--listen", "127.0.0.1:0"]);
    assert_eq!(daemon.get("/readyz").0, 200);
    assert!(daemon.log().contains(&*last.name), "{}", daemon.log());
}

#[test]
fn a_database_from_the_future_is_refused_untouched() {
    if only_on_sqlite("the bytes of the file are compared") {
        return;
    }
    let shell = Shell::new();
    shell.sql().stamp(9999);
    let before = std::fs::read(shell.database()).unwrap();
    for line in [
        vec!["token", "list"],
        vec!["migrate", "up"],
        vec!["serve", "--migrate"],
    ] {
        let ran = shell.run(&line);
        assert!([11, 13].contains(&ran.status), "{line:?} {ran:?}");
    }
    assert_eq!(std::fs::read(shell.database()).unwrap(), before);
}

#[test]
fn another_programs_database_is_left_alone() {
    if only_on_sqlite("the other program's database is a file") {
        return;
    }
    let shell = Shell::bare();
    shell.ok(&["init"]);
    let theirs = shell.path("theirs.db");
    let connection = rusqlite::Connection::open(&theirs).unwrap();
    connection
        .execute_batch("CREATE TABLE theirs (n INTEGER)")
        .unwrap();
    drop(connection);
    let name = theirs.to_str().unwrap();
    shell.fails(11, &["--db", name, "token", "list"]);
    shell.fails(11, &["--db", name, "migrate", "up"]);
    shell.fails(11, &["--db", name, "init"]);
    shell.fails(11, &["--db", name, "serve", "--migrate"]);
}

#[test]
fn migrating_waits_until_the_daemon_is_stopped() {
    if only_on_sqlite("daemons on a server are not known by their process") {
        return;
    }
    let shell = Shell::new();
    let daemon = shell.serve();
    let told = shell.fails(10, &["migrate", "up"]);
    assert!(told.contains(&format!("pid {}", daemon.pid())), "{told}");
    // Looking is always allowed.
    shell.ok(&["migrate", "status"]);
    daemon.kill();
    shell.ok(&["migrate", "up"]);
}

#[test]
fn a_database_with_another_history_is_not_served() {
    let shell = Shell::new();
    let change = "UPDATE migrations SET sha256 = 'other' WHERE number = 1";
    shell.sql().run(change);
    let told = shell.fails(11, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(told.contains("0001_audit"), "{told}");
}
