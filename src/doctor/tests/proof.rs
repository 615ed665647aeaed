//! Rules of what backups prove: that there is one, and that the audit log is whole.

use super::*;
use crate::backup;
use crate::snapshots::manifest_of;

impl Made {
    pub(super) fn back_up(&self, name: &str) -> PathBuf {
        let folder = self.path("data/backups");
        fs::create_dir_all(&folder).unwrap();
        self.mode("data/backups", 0o700);
        let path = folder.join(name);
        backup::create(
            &self.keyed(),
            &Actor::operator(),
            Some(&path),
            &mut |_, _| Ok(()),
        )
        .unwrap();
        path
    }

    fn note(&self, object: &'static str) {
        let event = move || Event::new("x.done", object);
        let write = move |cx: &mut crate::app::Cx<'_, '_>| audit::record(cx, event());
        self.app().write(&Actor::operator(), write).unwrap();
    }
}

#[test]
fn a_backup_counts_for_as_long_as_it_is_there() {
    let made = Made::whole();
    let before = made.back_up("pre-0015-20260101T000000Z.db");
    made.is("backup", Level::Ok, "the last was made");
    // What the log tells of is gone; and what was taken before a migration is no backup.
    made.script("DELETE FROM audit_events WHERE action = 'backup.created'");
    made.is("backup", Level::Warn, "none was ever made");
    fs::remove_file(before).unwrap();
    let path = made.back_up("provost-20260101T000000Z.db");
    made.is("backup", Level::Ok, "the last was made");
    let database = fs::read(made.database()).unwrap();
    fs::remove_file(made.database()).unwrap();
    let restore = format!("-> provost restore {}", path.display());
    made.is("database", Level::Fail, &restore);
    fs::write(made.database(), database).unwrap();
    fs::remove_file(manifest_of(&path)).unwrap();
    fs::remove_file(path).unwrap();
    made.is("backup", Level::Warn, "and it is gone");
}

#[test]
fn a_log_of_which_all_seals_were_taken_off_is_found_by_what_a_backup_has_noted() {
    let made = Made::whole();
    made.note("x:1");
    made.seal();
    let path = made.back_up("provost-20260101T000000Z.db");
    made.seal();
    made.is("audit", Level::Ok, "all as sealed");
    made.script("DELETE FROM audit_blocks; DELETE FROM audit_head");
    made.is("audit", Level::Fail, "was noted and is not there");
    made.is("audit", Level::Fail, "-> provost audit verify --head 1:");
    assert!(database::is_damaged(&made.lines()));
    // A later backup of such a log is not good, either.
    let later = made.back_up("provost-20260101T000001Z.db");
    let keys = Keys::load(&made.path("data/provost.key")).unwrap();
    let against = backup::Against {
        keys: Some(&keys),
        ..backup::Against::default()
    };
    let verified = backup::verify(&later, against).unwrap();
    let fault = verified.fault().map(|it| it.detail.clone());
    assert!(
        fault
            .unwrap_or_default()
            .contains("was noted and is not there")
    );
    assert!(backup::verify(&path, against).unwrap().fault().is_none());
}

#[test]
fn what_a_restore_has_taken_back_nobody_misses_and_a_row_that_only_says_so_excuses_nothing() {
    let made = Made::whole();
    made.note("x:1");
    made.seal();
    let old = fs::read(made.database()).unwrap();
    made.note("x:2");
    made.seal();
    made.back_up("provost-20260101T000000Z.db");
    made.seal();
    // The older one is back; the backup has noted a head that it never had.
    fs::write(made.database(), old).unwrap();
    made.is("audit", Level::Fail, "was noted and is not there");
    let app = made.keyed();
    app.write(&Actor::operator(), |cx| {
        let from = Timestamp(1);
        let details = json!({ "created_at": from });
        audit::record(
            cx,
            Event::new("database.restored", "database").with(details),
        )
    })
    .unwrap();
    drop(app);
    made.is("audit", Level::Fail, "was noted and is not there");
    made.seal();
    made.is("audit", Level::Ok, "all as sealed");
}
