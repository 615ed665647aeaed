//! Rules of what is mended.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn what_is_mended_is_not_found_again_and_nothing_is_lost() {
    let made = Made::whole();
    let left = made.path("data/.tmpx");
    fs::write(&left, "half").unwrap();
    age(&left);
    made.mode("data", 0o755);
    made.mode("data/provost.db", 0o644);
    made.mode("data/provost.key", 0o640);
    let patient = made.patient();
    let changes = fix::plan(&patient).unwrap();
    let told: Vec<String> = changes.iter().map(fix::Change::told).collect();
    let told = told
        .join("\n")
        .replace(&made.folder.path().display().to_string(), "");
    for words in [
        "chmod 0700 /data\n",
        "chmod 0600 /data/provost.key\n",
        "chmod 0600 /data/provost.db\n",
        "mkdir /data/backups\n",
        "mv /data/.tmpx /data/aside/.tmpx",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    for change in &changes {
        fix::apply(&patient, change).unwrap();
    }
    drop(patient);
    fix::record(&made.app(), &Actor::operator(), &changes).unwrap();
    assert_eq!(fix::plan(&made.patient()).unwrap(), []);
    assert_eq!(
        fs::read_to_string(made.path("data/aside/.tmpx")).unwrap(),
        "half"
    );
    for check in [
        "data_folder",
        "key_file",
        "database_files",
        "backup_files",
        "leftovers",
        "ballast",
    ] {
        made.is(check, Level::Ok, "");
    }
    // Its name may be taken: then it stays where it is.
    fs::write(&left, "other").unwrap();
    age(&left);
    assert_eq!(fix::plan(&made.patient()).unwrap(), []);
    assert_eq!(fs::read_to_string(&left).unwrap(), "other");
}

/// What would be done, as orders, without the names of the folders above.
fn planned(made: &Made) -> String {
    let changes = fix::plan(&made.patient()).unwrap();
    let told: Vec<String> = changes.iter().map(fix::Change::told).collect();
    told.join("\n")
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn nothing_is_mended_through_a_link_that_was_put_there_meanwhile() {
    let made = Made::whole();
    made.mode("data/provost.key", 0o640);
    let left = made.path("data/.tmpx");
    fs::write(&left, "half").unwrap();
    age(&left);
    let patient = made.patient();
    let changes = fix::plan(&patient).unwrap();
    let elsewhere = made.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let foreign = made.path("foreign");
    fs::write(&foreign, "x").unwrap();
    made.mode("foreign", 0o644);
    fs::remove_file(made.path("data/provost.key")).unwrap();
    symlink(&foreign, made.path("data/provost.key")).unwrap();
    symlink(&elsewhere, made.path("data/aside")).unwrap();
    for change in &changes {
        let moved = matches!(change.what, fix::What::Moved(_));
        assert_eq!(fix::apply(&patient, change).is_err(), moved, "{change:?}");
    }
    assert_eq!(mode_of(&foreign), 0o644);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(left.exists());
}

#[test]
fn what_is_not_of_this_installation_is_not_closed() {
    let made = Made::whole();
    fs::create_dir(made.path("data/backups")).unwrap();
    for name in ["provost-1.db", "notes.txt", "other.db", "other.db.json"] {
        fs::write(made.path("data/backups").join(name), "x").unwrap();
        made.mode(&format!("data/backups/{name}"), 0o644);
    }
    made.mode("data", 0o1777);
    let told = planned(&made);
    assert!(!told.contains("data\n"), "{told}");
    assert!(!told.contains("notes.txt"), "{told}");
    for ours in ["provost-1.db", "other.db", "other.db.json"] {
        assert!(told.contains(ours), "{told}");
    }
    made.is("data_folder", Level::Warn, "should be a folder of its own");
}

#[test]
fn what_somebody_works_on_is_not_left_over_however_old_it_is() {
    let made = Made::whole();
    let left = made.path("data/.provost-backup-x.tmp");
    fs::write(&left, "half").unwrap();
    age(&left);
    let maker = fs::File::open(&left).unwrap();
    maker.lock().unwrap();
    made.is("leftovers", Level::Ok, "");
    maker.unlock().unwrap();
    made.is("leftovers", Level::Warn, "never finished");
    // What the next backup swept away meanwhile is done.
    let patient = made.patient();
    let changes = fix::plan(&patient).unwrap();
    fs::remove_file(&left).unwrap();
    for change in &changes {
        fix::apply(&patient, change).unwrap();
    }
}

#[test]
fn copies_of_the_database_that_were_left_are_found() {
    for name in ["data/.provost-restore-x", "data/provost.db.rehearsal"] {
        let made = Made::whole();
        fs::create_dir(made.path(name)).unwrap();
        made.is("leftovers", Level::Warn, "holds a copy of the database");
        made.is(
            "leftovers",
            Level::Warn,
            &format!("-> rm -r {}", made.path(name).display()),
        );
        let maker = fs::File::open(made.path(name)).unwrap();
        maker.lock().unwrap();
        made.is("leftovers", Level::Ok, "");
    }
}

/// Mends what is inside the database, as an operator.
fn mend_inside(made: &Made) -> Vec<fix::Change> {
    let patient = made.patient();
    let changes = fix::plan(&patient).unwrap();
    drop(patient);
    let app = made.keyed();
    let inside = changes.into_iter().filter(fix::Change::is_inside);
    let inside: Vec<_> = inside.collect();
    for change in &inside {
        fix::apply_inside(&app, &Actor::operator(), change).unwrap();
    }
    inside
}

#[test]
fn an_index_that_is_missing_is_made_again_word_for_word() {
    let made = Made::whole();
    made.script("DROP INDEX tokens_expires_idx; DROP INDEX users_email_key");
    made.is("drift", Level::Fail, "-> provost doctor --fix");
    let told: Vec<String> = mend_inside(&made).iter().map(fix::Change::told).collect();
    assert_eq!(
        told,
        [
            "CREATE INDEX tokens_expires_idx ON tokens (expires_at)",
            "CREATE UNIQUE INDEX users_email_key ON users (email)"
        ]
    );
    made.is("drift", Level::Ok, "");
    assert!(mend_inside(&made).is_empty());
    // What has the name of an index and is another one somebody has to decide about.
    made.script("DROP INDEX tokens_expires_idx; CREATE INDEX tokens_expires_idx ON tokens (kind)");
    made.is("drift", Level::Fail, "-> provost migrate verify");
    assert!(mend_inside(&made).is_empty());
}

#[test]
fn rows_that_point_to_nothing_are_moved_into_a_file_with_all_that_points_to_them() {
    let made = Made::whole();
    let other = rusqlite::Connection::open(made.database()).unwrap();
    other
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO courses (id, slug, title, summary, words, state, visibility, enrolment,
                                  owner_id, version, created_at, updated_at)
               VALUES ('c', 'c', 'C', '', '', 'draft', 'public', 'open', 'gone', 1, 1, 1);
             INSERT INTO user_roles (user_id, role, granted_at) VALUES ('gone', 'admin', 7);
             INSERT INTO totp_factors (user_id, secret, created_at) VALUES ('gone', x'00ff', 1);
             INSERT INTO login_failures (account, failures, last_at, delayed_until)
               VALUES ('user:gone', 1, 1, 1), ('name:x', 1, 1, 1);",
        )
        .unwrap();
    drop(other);
    made.is("foreign_keys", Level::Fail, "-> provost doctor --fix");
    made.is("orphans", Level::Warn, "-> provost doctor --fix");
    let done = mend_inside(&made);
    let [change] = &*done else {
        panic!("{done:?}");
    };
    assert!(change.told().contains("1 of user_roles"), "{change:?}");
    let fix::What::Rows { to, .. } = &change.what else {
        panic!("{change:?}");
    };
    assert_eq!(mode_of(to), 0o600);
    let text = fs::read_to_string(to).unwrap();
    for row in [
        r#"{"table":"user_roles","points_to":"users","stays":false,"row":{"granted_at":7,"role":"admin","user_id":"gone"}}"#,
        r#""secret":{"hex":"00ff"}"#,
        r#""account":"user:gone""#,
        r#"{"table":"courses","points_to":"users","stays":true,"#,
    ] {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert!(!text.contains("name:x"), "{text}");
    made.is("foreign_keys", Level::Ok, "");
    made.is("orphans", Level::Ok, "");
    assert!(mend_inside(&made).is_empty());
    let rows = |sql: &'static str| {
        let row = made.app().db().read(|tx| tx.first(sql, &[])).unwrap();
        row.unwrap().int("n").unwrap()
    };
    assert_eq!(rows("SELECT COUNT(*) AS n FROM login_failures"), 1);
    // A course need not belong to anybody.
    assert_eq!(
        rows("SELECT COUNT(*) AS n FROM courses WHERE owner_id IS NULL"),
        1
    );
    assert_eq!(
        rows("SELECT COUNT(*) AS n FROM audit_events WHERE action = 'doctor.rows_moved'"),
        1
    );
}
