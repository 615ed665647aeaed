//! The schema at the shell.

mod crashes;
mod large;

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::engine::only_on_sqlite;
use crate::support::{Ran, Shell};

/// The schema of this program.
pub(crate) fn newest() -> u32 {
    provost::migrations::needed()
}

/// Goes back to an older schema, as somebody at the shell does.
#[track_caller]
pub(crate) fn back_to(shell: &Shell, schema: u32) {
    let to = schema.to_string();
    shell.ok(&["migrate", "down", "--to", &to, "--destroy-data", "--yes"]);
}

/// SHA-256 of the database's file.
fn sum(shell: &Shell) -> String {
    provost::secret::sha256_hex(&std::fs::read(shell.database()).unwrap())
}

#[test]
fn a_new_database_has_every_migration_and_nothing_to_do() {
    let shell = Shell::new();
    let status = shell.json(&["migrate", "status", "--exit-code"]);
    let items = status["items"].as_array().unwrap();
    assert!(!items.is_empty());
    assert!(items.iter().all(|item| item["state"] == "applied"));
    assert_eq!(
        shell.json(&["migrate", "up"])["done"],
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
    assert_eq!(applied["done"][0]["name"], *last.name);
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
    shell.fails(11, &["migrate", "status", "--exit-code"]);
}

#[test]
fn up_tells_line_by_line_what_it_does_and_one_document_under_json() {
    if only_on_sqlite("a server is not copied") {
        return;
    }
    let shell = Shell::new();
    let (n, two) = (newest(), newest() - 2);
    back_to(&shell, two);
    let names = provost::migrations::ALL.iter().rev().take(2).rev();
    let names: Vec<&str> = names.map(|it| &*it.name).collect();
    let told = shell.ok(&["migrate", "up"]);
    let lines: Vec<&str> = told.lines().collect();
    let begins = |line: usize, text: &str| {
        assert!(lines[line].starts_with(text), "{text:?} in {told}");
    };
    begins(
        0,
        &format!("pending    {}     checksums ok", names.join(", ")),
    );
    begins(1, &format!("lint       {:04} ok, {n:04} ok", n - 1));
    let place = |word: &str| lines.iter().position(|line| line.starts_with(word));
    let rehearse = place("rehearse   copy ").unwrap();
    assert!(
        lines[rehearse].ends_with(" s; integrity ok, foreign keys ok, 0 rows lost"),
        "{told}"
    );
    assert!(lines[rehearse].contains("B, applied 2 in "), "{told}");
    begins(rehearse + 1, "snapshot   /");
    assert!(
        lines[rehearse + 1].contains(&format!("/backups/pre-{n:04}-")),
        "{told}"
    );
    assert!(lines[rehearse + 1].contains(".db     sha256 "), "{told}");
    begins(rehearse + 2, &format!("apply      {} ", names[0]));
    assert!(
        lines[rehearse + 2].contains(&format!(" ms, {} ", names[1])),
        "{told}"
    );
    assert_eq!(lines[rehearse + 3], format!("schema     {two} → {n}"));
    back_to(&shell, two);
    let told = shell.json(&["migrate", "up"]);
    assert_eq!((&told["from"], &told["to"]), (&two.into(), &n.into()));
    assert_eq!(told["done"][1]["name"], names[1]);
    assert_eq!(told["rehearsal"]["form"], "copy");
    assert_eq!(told["rehearsal"]["rows_lost"], 0);
    assert!(told["rehearsal"]["migrations"][0]["statements"][0]["ms"].is_f64());
    let snapshot = told["snapshot"]["path"].as_str().unwrap();
    let bytes = std::fs::read(snapshot).unwrap();
    assert_eq!(
        told["snapshot"]["sha256"],
        provost::secret::sha256_hex(&bytes)
    );
    // What came of all of this is in the history.
    let history = shell.json(&["migrate", "history"]);
    let undone = history["items"].as_array().unwrap().iter();
    assert_eq!(undone.filter(|it| it["what"] == "undone").count(), 4);
}

#[test]
fn what_fails_on_real_data_fails_in_the_rehearsal_and_leaves_the_file_as_it_was() {
    if only_on_sqlite("the bytes of the file are compared") {
        return;
    }
    let shell = Shell::new();
    back_to(&shell, 10);
    // The third statement of 0011 meets a name that is taken.
    let mut database = shell.sql();
    database.run(
        "CREATE INDEX outbox_messages_expires_idx ON users (id); PRAGMA wal_checkpoint(TRUNCATE)",
    );
    drop(database);
    let before = sum(&shell);
    for line in [
        &["migrate", "up"][..],
        &["migrate", "up", "--dry-run"],
        &["serve", "--migrate"],
    ] {
        let told = shell.fails(7, line);
        assert!(
            told.contains(
                "migration 0011_outbox failed in the rehearsal, at statement 3 \
                 (migrations/0011_outbox.up.sql, line 19); the database is unchanged at version 10"
            ),
            "{told}"
        );
        assert!(
            told.contains("outbox_messages_expires_idx already exists"),
            "{told}"
        );
        assert_eq!(sum(&shell), before, "{line:?}");
        assert!(!shell.path("data/provost.db.rehearsal").exists());
    }
    let told: serde_json::Value =
        serde_json::from_str(&shell.fails(7, &["--json", "migrate", "up"])).unwrap();
    assert_eq!(
        (&told["code"], &told["status"]),
        (&"migration_failed".into(), &422.into())
    );
    assert!(
        told["causes"].to_string().contains("already exists"),
        "{told}"
    );
    assert_eq!(told["migration"]["statement"], 3);
    shell.sql().run("DROP INDEX outbox_messages_expires_idx");
    shell.ok(&["migrate", "up"]);
    shell.ok(&["migrate", "verify"]);
}

#[test]
fn trying_it_goes_on_beside_a_daemon_and_doing_it_does_not() {
    if only_on_sqlite("a server is not copied") {
        return;
    }
    let shell = Shell::new();
    let daemon = shell.serve();
    let to = (newest() - 1).to_string();
    let line = ["migrate", "down", "--to", &to];
    let told = shell.json(&[&line[..], &["--dry-run"]].concat());
    assert_eq!(
        (&told["dry_run"], &told["rehearsal"]["form"]),
        (&true.into(), &"copy".into())
    );
    assert_eq!(daemon.get("/readyz").0, 200);
    shell.ok(&["migrate", "up", "--dry-run"]);
    let start = Instant::now();
    let told = shell.fails(10, &[&line[..], &["--destroy-data", "--yes"]].concat());
    assert!(told.contains(&format!("pid {}", daemon.pid())), "{told}");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn nothing_is_undone_by_whom_was_not_asked_twice() {
    let shell = Shell::new();
    let to = (newest() - 1).to_string();
    let line = ["migrate", "down", "--to", &to];
    let told = shell.fails(2, &line);
    assert!(told.contains("--destroy-data"), "{told}");
    let told = shell.fails(2, &[&line[..], &["--destroy-data"]].concat());
    assert!(told.contains("--yes"), "{told}");
    shell.fails(6, &[&line[..], &["--destroy-data", "--yes=2"]].concat());
    assert_eq!(shell.run(&["migrate", "status", "--exit-code"]).status, 0);
    shell.ok(&[&line[..], &["--destroy-data", "--yes=1"]].concat());
    shell.fails(11, &["token", "list"]);
    let plan = shell.ok(&["migrate", "plan", "--quiet"]);
    assert_eq!(plan, *provost::migrations::ALL.last().unwrap().name);
    let sql = shell.ok(&["migrate", "plan", "--sql"]);
    assert!(
        sql.starts_with(&format!("-- migrations/{plan}.up.sql\n")),
        "{sql}"
    );
    shell.ok(&["migrate", "up"]);
    shell.fails(7, &["migrate", "up", "--to", "9999"]);
    shell.fails(
        7,
        &["migrate", "down", "--to", "0", "--destroy-data", "--yes"],
    );
}

#[test]
fn of_five_that_migrate_at_once_one_does_it_and_the_others_leave_cleanly() {
    if only_on_sqlite("there is a test of its own for a server") {
        return;
    }
    let shell = Shell::new();
    back_to(&shell, newest() - 2);
    let start = |_| {
        let mut command = shell.command(&["--json", "migrate", "up"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let started: Vec<_> = (0..5).map(start).collect();
    let ended = started
        .into_iter()
        .map(|child| Ran::from(child.wait_with_output().unwrap()));
    let ended: Vec<Ran> = ended.collect();
    // Whoever has waited for 5 s leaves: the machine may be that busy.
    assert!(
        ended.iter().all(|ran| [0, 10].contains(&ran.status)),
        "{ended:?}"
    );
    let good = ended.iter().filter(|ran| ran.status == 0);
    let done = good.map(|ran| ran.json()["done"].as_array().unwrap().len());
    assert_eq!(done.sum::<usize>(), 2, "{ended:?}");
    shell.ok(&["migrate", "verify"]);
    assert!(!shell.path("data/provost.db.rehearsal").exists());
}
