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
