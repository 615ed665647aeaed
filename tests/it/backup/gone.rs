//! Backups when one needs them: the database is gone, or was never on this machine, and before a
//! restore is done at all.

use std::fs;

use super::text;
use crate::support::Shell;
use crate::support::engine::only_on_sqlite;

#[test]
fn backups_are_listed_and_verified_with_the_database_gone() {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let shell = Shell::new();
    let made = shell.json(&["backup", "create"]);
    let path = made["path"].as_str().unwrap();
    shell.ok(&["backup", "verify", path]);
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(shell.path(&format!("data/provost.db{ending}")));
    }
    let ran = shell.run(&["backup", "list", "--quiet"]);
    assert_eq!((ran.status, ran.stdout.trim()), (0, path), "{ran:?}");
    assert!(ran.stderr.contains("no database"), "{ran:?}");
    shell.ok(&["backup", "verify", path]);
    assert!(!shell.database().exists());
    shell.fails(5, &["backup", "verify", "nope.db"]);
    let other = Shell::new();
    let refused = other.fails(7, &["backup", "verify", path]);
    assert_eq!(other.fails(7, &["restore", path, "--yes"]), refused);
    // Nor is the key file needed to find them.
    let key = shell.path("data/provost.key");
    fs::rename(&key, shell.path("key")).unwrap();
    assert_eq!(shell.ok(&["backup", "list", "--quiet"]), path);
    shell.ok(&["backup", "verify", path]);
    // Nothing new is begun beside them.
    for command in [&["init"][..], &["serve"], &["user", "list"]] {
        let told = shell.fails(5, command);
        assert!(told.contains("there are backups"), "{told}");
        assert!(told.contains(text(&key)), "{told}");
    }
    assert!(!key.exists() && !shell.database().exists());
    fs::rename(shell.path("key"), &key).unwrap();
    let told = shell.run(&["restore", path, "--dry-run"]);
    assert_eq!(told.status, 0, "{told:?}");
    assert!(told.stderr.contains("there is no database"), "{told:?}");
    assert!(!told.stdout.contains("NOW"), "{told:?}");
    shell.ok(&["restore", path, "--yes"]);
    let ran = shell.run(&["backup", "list", "--quiet"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    // Where there is neither a database nor a backup, that is what is told.
    Shell::bare().fails(5, &["backup", "list"]);
}

#[test]
fn what_a_restore_would_do_is_told_beside_a_daemon() {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let shell = Shell::new();
    shell.ok(&["user", "create", "maria", "--no-password", "--admin"]);
    shell.ok(&["token", "create", "--owner", "maria", "--quiet"]);
    let backup = shell.path("b.db");
    shell.ok(&["backup", "create", "-o", text(&backup)]);
    shell.ok(&["user", "create", "late", "--no-password"]);
    let daemon = shell.serve();
    let arguments = ["restore", text(&backup), "--dry-run"];
    let ran = shell.run(&arguments);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains(&daemon.pid().to_string()), "{ran:?}");
    assert!(ran.stderr.contains("nothing was changed"), "{ran:?}");
    let plan = &shell.json(&arguments)["plan"];
    assert_eq!(plan["taken_back"]["suspended_tokens"], 1);
    assert_eq!(plan["changed"][0]["username"], "late");
    daemon.stop();
    // What was told is what is done then.
    let restored = shell.json(&["restore", text(&backup), "--yes"]);
    for member in ["taken_back", "changed", "changed_count", "schema"] {
        assert_eq!(restored[member], plan[member], "{member}");
    }
}
