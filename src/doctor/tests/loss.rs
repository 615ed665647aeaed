//! Rules of what is lost or foreign: that it is named, and that the next command can be pasted.

use super::*;
use crate::snapshots::manifest_of;

impl Made {
    fn lose(&self, names: &[&str]) {
        for name in names {
            let _not_there = fs::remove_file(self.path(&format!("data/{name}")));
        }
    }
}

#[test]
fn where_only_backups_are_left_nothing_new_is_begun() {
    let made = Made::whole();
    let path = made.back_up("provost-20260101T000000Z.db");
    made.lose(&["provost.db", "provost.db-wal", "provost.db-shm"]);
    let restore = format!("-> provost restore {}", path.display());
    made.is("database", Level::Fail, &restore);
    made.lose(&["provost.key"]);
    made.is(
        "database",
        Level::Fail,
        "there are backups, but no database",
    );
    made.is("database", Level::Fail, &restore);
    made.is("key_file", Level::Fail, "-> cp COPY");
    // What may be anybody's does not count.
    fs::remove_file(manifest_of(&path)).unwrap();
    made.is("database", Level::Fail, "-> provost init");
}

#[test]
fn an_emptied_database_is_told_to_be_that() {
    let made = Made::whole();
    let path = made.back_up("provost-20260101T000000Z.db");
    made.lose(&["provost.db", "provost.db-wal", "provost.db-shm"]);
    let empty = rusqlite::Connection::open(made.database()).unwrap();
    empty.execute_batch("VACUUM").unwrap();
    drop(empty);
    made.mode("data/provost.db", 0o600);
    made.is("schema", Level::Fail, "nothing is in the database");
    let restore = format!("-> provost restore {}", path.display());
    made.is("schema", Level::Fail, &restore);
}

#[test]
fn that_a_restore_would_refuse_the_newest_backup_is_told() {
    let made = Made::whole();
    let old = made.back_up("provost-20260101T000000Z.db");
    made.is("backup", Level::Ok, "");
    made.script("CREATE TRIGGER mine AFTER UPDATE ON USERS BEGIN SELECT 1; END");
    let new = made.back_up("provost-20260102T000000Z.db");
    made.is(
        "backup",
        Level::Warn,
        "the trigger mine on USERS is foreign",
    );
    let verify = format!("-> provost backup verify {}", new.display());
    made.is("backup", Level::Warn, &verify);
    made.is("drift", Level::Fail, "the trigger mine is not as");
    // What is a team's own is neither.
    made.script(
        "DROP TRIGGER mine; CREATE TABLE orders (id INTEGER PRIMARY KEY) STRICT;
         CREATE TRIGGER theirs AFTER UPDATE ON orders BEGIN SELECT 1; END",
    );
    fs::remove_file(&new).unwrap();
    fs::remove_file(manifest_of(&new)).unwrap();
    made.back_up("provost-20260103T000000Z.db");
    made.is("backup", Level::Ok, "the last was made");
    made.is("drift", Level::Ok, "as the migrations made them");
    assert!(old.exists());
}

#[test]
fn a_teams_table_of_columns_that_none_of_ours_has_is_no_damage() {
    let made = Made::whole();
    made.script("CREATE TABLE odd (id INTEGER PRIMARY KEY, at DATETIME, n)");
    made.is("integrity", Level::Ok, "every page");
    fix::plan(&made.patient()).unwrap();
    let info = crate::databases::info(made.app().db()).unwrap();
    assert!(info.tables.iter().any(|it| it.table == "odd"));
}

#[test]
fn what_is_next_is_a_command_and_said_once() {
    let made = Made::whole();
    let key = made.path("data/provost.key");
    made.mode("data/provost.key", 0o644);
    let (_, told) = made.seen("key_file");
    assert_eq!(told.matches("chmod").count(), 1, "{told}");
    made.mode("data/provost.key", 0o600);
    fs::write(&key, "hunter2").unwrap();
    let copy = format!("-> cp COPY {}", key.display());
    made.is("key_file", Level::Fail, &copy);
    made.lose(&[
        "provost.key",
        "provost.db",
        "provost.db-wal",
        "provost.db-shm",
    ]);
    let commands = ["provost ", "chmod ", "ulimit ", "systemctl "];
    for next in made.lines().into_iter().filter_map(|line| line.next) {
        assert!(commands.iter().any(|it| next.starts_with(it)), "{next}");
    }
}
