//! After a restore: what is good, what is not, and what is told of it.

use super::*;
use crate::app::Who;
use crate::factors;
use crate::time::Timestamp;

const OPTIONS: Options = Options {
    api_tokens: ApiTokens::Suspend,
};

impl Place {
    fn planned(&self) -> Plan {
        let staged = self.staged(&self.backup, None).unwrap();
        plan(staged, self.app.config(), &Actor::operator(), OPTIONS).unwrap()
    }

    fn add(&self, name: &str) -> String {
        let new = users::NewUser::named(name.parse().unwrap());
        let user = users::create(&self.app, &Actor::operator(), new);
        user.unwrap().id
    }

    /// Gives an account a second factor; returns its recovery codes.
    fn protect(&self, user: &str) -> Vec<String> {
        let codes = as_person(&self.app, user, |cx| {
            let enrolment = factors::enrol(cx)?;
            let url = enrolment.url.expose().clone();
            let totp = totp_rs::Totp::from_url(url).unwrap();
            let seconds = u64::try_from(cx.now.0 / 1000).unwrap();
            factors::confirm(cx, &totp.generate(seconds).to_string())
        });
        codes.iter().map(|code| code.expose().clone()).collect()
    }
}

/// Does something in a session of an account that has just been opened.
fn as_person<T: Send + 'static>(
    app: &App,
    user: &str,
    mut f: impl FnMut(&mut crate::app::Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> T {
    let now = app.clock().now();
    let who = Who::Session {
        id: "0".into(),
        user: user.into(),
        username: "x".into(),
        roles: "user".into(),
        admin: false,
        authenticated_at: now,
    };
    let actor = Actor {
        who,
        ..Actor::anonymous()
    };
    app.at(now, &actor, move |cx| f(cx)).unwrap()
}

fn takes(app: &App, user: &str, code: &str) -> bool {
    let (user, code) = (user.to_owned(), code.to_owned());
    let actor = Actor::anonymous();
    app.write(&actor, move |cx| factors::take(cx, &user, &code))
        .unwrap()
}

/// The restored database, as the program sees it.
fn opened(folder: &tempfile::TempDir, config: &Config) -> App {
    let at = |name: &str| folder.path().join(name);
    let db = Db::open_file(&at("provost.db"), Role::Shell).unwrap();
    App::new(config.clone(), Keys::load(&at("provost.key")).unwrap(), db)
}

#[test]
fn recovery_codes_that_were_used_or_replaced_since_do_not_come_back() {
    let mut place = Place::new();
    let (used, replaced) = (place.add("used"), place.add("replaced"));
    let (of_used, of_replaced) = (place.protect(&used), place.protect(&replaced));
    place.backup = place.back_up().path.unwrap();
    assert!(takes(&place.app, &used, &of_used[0]));
    let fresh = as_person(&place.app, &replaced, factors::renew_codes);
    let config = place.app.config().clone();
    let (folder, restored) = place.restored();
    assert_eq!(restored.taken_back.spent_codes, 11);
    assert!(!restored.taken_back.all_codes);
    let app = opened(&folder, &config);
    assert!(!takes(&app, &used, &of_used[0]), "was used");
    assert!(takes(&app, &used, &of_used[1]), "was not");
    assert!(!of_replaced.iter().any(|code| takes(&app, &replaced, code)));
    // The database that has them was moved aside.
    assert!(!takes(&app, &replaced, fresh[0].expose()));
}

#[test]
fn with_a_secret_key_the_keys_of_a_backup_do_not_sign_again_when_that_is_taken_away() {
    let secret = "0123456789abcdef0123456789abcdef";
    let mut place = Place::with(&[("SECRET_KEY", secret)]);
    assert!(place.app.kit().signers.shared().is_some());
    place.sql(
        "INSERT INTO signing_keys (id, algorithm, created_at, signs_from)
         VALUES ('of-old', 'EdDSA', 1, 1)",
    );
    place.backup = place.back_up().path.unwrap();
    let (_folder, restored) = place.restored();
    let db = Db::open_still(&restored.database).unwrap();
    let sql = "SELECT accepted_until FROM signing_keys WHERE id = 'of-old'";
    let row = db.read(|tx| tx.first(sql, &[])).unwrap().unwrap();
    let until = row.opt_time("accepted_until").unwrap();
    assert!(until.is_some_and(|until| until > Timestamp(1)), "{until:?}");
}

#[test]
fn what_was_altered_in_the_audit_log_is_told_with_the_backup_and_with_the_restore() {
    let mut place = Place::new();
    audit::seal(&place.app, &Actor::operator(), &|| false).unwrap();
    place.sql("UPDATE audit_events SET object = 'user:nobody' WHERE action = 'user.created'");
    let made = place.back_up();
    assert!(made.faults.is_empty(), "{made:?}");
    assert!(!made.audit.is_empty());
    place.backup = made.path.unwrap();
    let staged = place.staged(&place.backup, None).unwrap();
    assert_eq!(staged.audit, made.audit);
    drop(staged);
    let (_folder, restored) = place.restored();
    let db = Db::open_still(&restored.database).unwrap();
    let sql = "SELECT details FROM audit_events WHERE id > 0 AND action = 'database.restored'";
    let row = db.export(|tx| tx.first(sql, &[])).unwrap().unwrap();
    let details: serde_json::Value = serde_json::from_str(&row.text("details").unwrap()).unwrap();
    assert_eq!(details["audit"], json!(made.audit));
}

#[test]
fn what_a_restore_would_do_is_told_and_nothing_is_done() {
    let place = Place::new();
    place.add("late");
    let before = fs::read(place.at("provost.db")).unwrap();
    let plan = place.planned();
    assert_eq!(plan.changes.changed_count, Some(1));
    assert_eq!(plan.changes.changed.unwrap()[0].username, "late");
    assert_eq!(plan.taken_back.ended_accounts, 2);
    let users = plan.rows.iter().find(|rows| rows.table == "users").unwrap();
    assert_eq!((users.now, users.backup), (Some(3), Some(2)));
    let kept = plan.kept.unwrap();
    assert!(kept.to_string_lossy().contains("before-restore"));
    assert!(!kept.exists());
    assert_eq!(fs::read(place.at("provost.db")).unwrap(), before);
    assert_eq!(place.planned().rows, plan.rows);
}

#[test]
fn the_migrations_that_a_backup_of_an_older_schema_needs_are_told() {
    let place = Place::new();
    let newest = migrations::ALL.last().unwrap();
    let (number, down) = (newest.number, newest.number - 1);
    let sql = "SELECT reverse FROM migrations ORDER BY number DESC LIMIT 1";
    let row = place.app.db().read(|tx| tx.first(sql, &[]));
    let reverse = row.unwrap().unwrap().text("reverse").unwrap();
    let sql = format!(
        "{reverse}; DELETE FROM migrations WHERE number = {number}; PRAGMA user_version = {down}"
    );
    let (path, sha256) = place.file("older.db", &place.tampered(&sql));
    let staged = place.staged(&path, Some(&sha256)).unwrap();
    let plan = plan(staged, place.app.config(), &Actor::operator(), OPTIONS).unwrap();
    assert_eq!((plan.from_schema, plan.schema), (down, number));
    assert_eq!(plan.migrations, [newest.name.to_string()]);
    // Without a manifest nobody knows since when.
    let unknown = plan.changes.unknown.unwrap();
    assert!(unknown.contains("no manifest"), "{unknown}");
    assert_eq!(plan.changes.changed, None);
}

#[test]
fn that_everybody_was_logged_out_by_an_earlier_restore_is_no_change_of_an_account() {
    let place = Place::new();
    let (config, backup) = (place.app.config().clone(), place.backup.clone());
    let (folder, _) = place.restored();
    let app = opened(&folder, &config);
    let again = Place {
        folder,
        app,
        backup,
    };
    assert_eq!(again.planned().changes.changed_count, Some(0));
}

#[test]
fn of_many_changed_accounts_the_first_are_listed_and_all_are_counted() {
    let place = Place::new();
    let now = place.app.clock().now().0 + 1;
    place.sql(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2100)
         INSERT INTO users (id, username, username_key, state, created_at, updated_at)
         SELECT printf('%05d', n), 'u' || n, 'u' || n, 'active', {now}, {now} FROM n"
    ));
    let changes = place.planned().changes;
    assert_eq!(changes.changed_count, Some(2100));
    assert_eq!(changes.changed.unwrap().len(), 1000);
}

#[test]
fn where_the_database_cannot_be_asked_nobody_claims_that_nothing_was_changed() {
    let damaged = Place::new();
    let path = damaged.at("provost.db");
    let staged = damaged.staged(&damaged.backup, None).unwrap();
    let Place { folder, app, .. } = damaged;
    let config = app.config().clone();
    drop(app);
    fs::write(&path, [0x5a; 8192]).unwrap();
    let restored = restore(&staged, &config, &Actor::operator(), OPTIONS).unwrap();
    assert_eq!(restored.changes.changed, None);
    let unknown = restored.changes.unknown.unwrap();
    assert!(unknown.contains("damaged"), "{unknown}");
    drop((staged, folder));

    let gone = Place::new();
    fs::remove_file(gone.at("provost.db")).unwrap();
    let plan = gone.planned();
    assert_eq!((plan.kept, plan.changes.changed_count), (None, None));
    assert!(plan.changes.unknown.unwrap().contains("no database"));
    assert!(plan.taken_back.all_codes);
}

#[test]
fn of_two_restores_at_once_the_second_is_busy() {
    let place = Place::new();
    let first = place.staged(&place.backup, None).unwrap();
    let second = place.staged(&place.backup, None);
    assert_eq!(second.unwrap_err().spec().exit, 10);
    drop(first);
    place.staged(&place.backup, None).unwrap();
    // One that was cut off stands in nobody's way.
    let left = place.at(".provost-restore-provost.db");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("provost.db"), "half").unwrap();
    drop(place.staged(&place.backup, None).unwrap());
    assert!(!left.exists());
}
