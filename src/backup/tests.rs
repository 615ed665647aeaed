use std::fs;

use super::*;
use crate::config::{Config, Environment, Sources};
use crate::db::{Db, Role, keyring};
use crate::error::Error;
use crate::keys::Keys;
use crate::secret::sha256_hex;
use crate::snapshots::manifest_of;
use crate::tokens::ApiTokens;
use crate::{migrations, users};

mod after_tests;
mod odd_tests;
mod team_tests;

#[expect(
    clippy::unnecessary_wraps,
    reason = "what hears of the progress may refuse"
)]
fn quiet(_: u64, _: u64) -> Result<()> {
    Ok(())
}

/// A data folder with a database that is in use, and a backup of it.
struct Place {
    folder: tempfile::TempDir,
    app: App,
    backup: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let environment = Environment::bare(folder.path())
            .with("PROVOST_DB", at("provost.db").to_str().unwrap())
            .with("PROVOST_KEY_FILE", at("provost.key").to_str().unwrap());
        let environment = variables
            .iter()
            .fold(environment, |all, (name, value)| all.with(name, value));
        let config = Config::load(&Sources::default(), &environment).unwrap();
        let keys = Keys::create(&at("provost.key")).unwrap();
        let db = Db::open_file(&at("provost.db"), Role::Shell).unwrap();
        let app = App::new(config, keys, db);
        migrations::up(&app, &Actor::operator()).unwrap();
        keyring::fits(app.db(), &app.kit().keys, app.clock().now()).unwrap();
        for name in ["maria", "ivan"] {
            let new = users::NewUser::named(name.parse().unwrap());
            users::create(&app, &Actor::operator(), new).unwrap();
        }
        // Not in the same millisecond as the backup: whoever changed in that may have changed since.
        let aged =
            "UPDATE users SET updated_at = updated_at - 1000, created_at = created_at - 1000";
        app.db().write(move |tx| tx.script(aged)).unwrap();
        let backup = at("b.db");
        create(&app, &Actor::operator(), Some(&backup), &mut quiet).unwrap();
        Self {
            folder,
            app,
            backup,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs statements in the database, as other hands would.
    fn sql(&self, sql: &str) {
        let sql = sql.to_owned();
        self.app.db().write(move |tx| tx.script(&sql)).unwrap();
    }

    /// Makes a backup in the usual place.
    fn back_up(&self) -> Backup {
        create(&self.app, &Actor::operator(), None, &mut quiet).unwrap()
    }

    /// Puts the backup in the place of the database.
    fn restored(self) -> (tempfile::TempDir, Restored) {
        let staged = self.staged(&self.backup, None).unwrap();
        let Self { folder, app, .. } = self;
        let config = app.config().clone();
        drop(app);
        let options = Options {
            api_tokens: ApiTokens::Suspend,
        };
        let restored = restore(&staged, &config, &Actor::operator(), options);
        (folder, restored.unwrap())
    }

    /// A file made of these bytes, and their check sum.
    fn file(&self, name: &str, bytes: &[u8]) -> (PathBuf, String) {
        fs::write(self.at(name), bytes).unwrap();
        (self.at(name), sha256_hex(bytes))
    }

    fn staged(&self, from: &Path, sha256: Option<&str>) -> Result<Staged> {
        let (config, keys) = (self.app.config(), &self.app.kit().keys);
        let live = live(config, from)?;
        stage(
            from,
            live,
            sha256,
            (keys, &config.key_file),
            &mut |_| Ok(()),
        )
    }

    /// The backup after other hands were at it.
    fn tampered(&self, sql: &str) -> Vec<u8> {
        let path = self.at("tampered.db");
        fs::copy(&self.backup, &path).unwrap();
        let db = Db::open_file(&path, Role::Shell).unwrap();
        let sql = sql.to_owned();
        db.write(move |tx| tx.script(&sql)).unwrap();
        db.tidy(crate::db::Tidy::Full).unwrap();
        drop(db);
        fs::read(&path).unwrap()
    }
}

#[test]
fn a_backup_is_good_with_its_manifest_or_with_its_check_sum() {
    let place = Place::new();
    let keys = Some(&place.app.kit().keys);
    let with_keys = Against { sha256: None, keys };
    let verified = verify(&place.backup, with_keys).unwrap();
    assert!(verified.fault().is_none(), "{verified:?}");
    assert!(verified.checks.iter().all(|check| !check.skipped));
    let names: Vec<_> = verified.checks.iter().map(|check| check.name).collect();
    assert_eq!(
        names,
        [
            "manifest",
            "sha256",
            "schema",
            "integrity",
            "foreign_keys",
            "history",
            "counts",
            "keys",
            "audit"
        ]
    );
    fs::remove_file(manifest_of(&place.backup)).unwrap();
    let alone = verify(&place.backup, with_keys);
    assert!(matches!(alone, Err(Error::Usage(_))));
    let against = Against {
        sha256: Some(&verified.sha256),
        keys: None,
    };
    let again = verify(&place.backup, against).unwrap();
    assert!(again.fault().is_none(), "{again:?}");
    let wrong = "0".repeat(64);
    let against = Against {
        sha256: Some(&wrong),
        keys: None,
    };
    assert_eq!(
        verify(&place.backup, against)
            .unwrap()
            .fault()
            .unwrap()
            .check,
        "sha256"
    );
}

/// Numbers that are the same in every run.
fn places(count: usize, below: usize) -> impl Iterator<Item = usize> {
    let mut seed = 0x5eed_u64;
    (0..count).map(move |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap() % below
    })
}

/// Two hundred backups that are none any more: file, manifest (none: the check sum is given).
fn damaged(place: &Place) -> Vec<(String, Vec<u8>, Option<String>)> {
    let good = fs::read(&place.backup).unwrap();
    let manifest = fs::read_to_string(manifest_of(&place.backup)).unwrap();
    let page = 4096;
    let mut all = Vec::new();
    for place in places(80, good.len()) {
        let mut bytes = good.clone();
        bytes[place] ^= 1 << (place % 8);
        all.push((format!("bit {place}"), bytes, Some(manifest.clone())));
    }
    for length in places(30, good.len()) {
        let bytes = good[..length].to_vec();
        all.push((format!("cut {length}"), bytes, Some(manifest.clone())));
    }
    for first in places(20, good.len() / page - 2) {
        let mut bytes = good.clone();
        let (a, b) = bytes.split_at_mut((first + 1) * page);
        if a[first * page..] == b[..page] {
            b[0] ^= 1;
        }
        a[first * page..].swap_with_slice(&mut b[..page]);
        all.push((format!("pages {first}"), bytes, Some(manifest.clone())));
    }
    let digits: Vec<usize> = manifest
        .match_indices(|c: char| c.is_ascii_alphanumeric())
        .map(|(place, _)| place)
        .collect();
    for n in places(30, digits.len()) {
        let mut text = manifest.clone().into_bytes();
        let old = text[digits[n]];
        text[digits[n]] = if old == b'1' { b'2' } else { b'1' };
        let text = String::from_utf8(text).unwrap();
        all.push((format!("manifest {n}"), good.clone(), Some(text)));
    }
    for sql in [
        "CREATE TRIGGER t AFTER UPDATE ON users BEGIN SELECT 1; END",
        "CREATE TRIGGER t AFTER INSERT ON audit_events BEGIN DELETE FROM bans; END",
        "CREATE TRIGGER t BEFORE DELETE ON idempotency_keys BEGIN SELECT RAISE(IGNORE); END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE VIEW v AS SELECT * FROM users",
        "CREATE TABLE mine (n); CREATE TRIGGER t AFTER INSERT ON mine BEGIN SELECT 1; END",
        "DROP INDEX users_email_key",
        "DROP TABLE recovery_codes",
        "DROP TABLE bans; CREATE TABLE bans (network TEXT PRIMARY KEY)",
        "ALTER TABLE tokens ADD COLUMN suspended INTEGER",
        "ALTER TABLE bans RENAME COLUMN reason TO why",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 3",
        "PRAGMA user_version = 9999",
        "DELETE FROM migrations WHERE number = 4",
        "UPDATE migrations SET sha256 = 'x' WHERE number = 4",
        "UPDATE keyring SET fingerprint = '0123456789abcdef'",
        "PRAGMA defer_foreign_keys = ON; PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'ON DELETE CASCADE', '') WHERE name = 'sessions'",
        "PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema VALUES ('trigger', 'sqlite_t', 'users', 0,
           'CREATE TRIGGER sqlite_t AFTER UPDATE ON users BEGIN SELECT 1; END')",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'users_phone_key'",
    ] {
        all.push((sql.to_owned(), place.tampered(sql), None));
    }
    for n in 0..20 {
        let mut bytes = good.clone();
        let from = (1 + n) * page;
        bytes[from..from + page].fill(0xa5);
        all.push((format!("page {n} overwritten"), bytes, None));
    }
    all
}

#[test]
fn two_hundred_damaged_backups_are_refused_and_the_database_is_untouched() {
    let place = Place::new();
    let database = || -> Vec<Vec<u8>> {
        let names = ["provost.db", "provost.db-wal", "provost.key"];
        names
            .map(|name| fs::read(place.at(name)).unwrap_or_default())
            .to_vec()
    };
    let (before, all) = (database(), damaged(&place));
    assert_eq!(all.len(), 200);
    for (what, bytes, manifest) in all {
        let (path, sha256) = place.file("damaged.db", &bytes);
        let given = manifest.is_none().then_some(sha256.as_str());
        match manifest {
            Some(text) => fs::write(manifest_of(&path), text).unwrap(),
            None => drop(fs::remove_file(manifest_of(&path))),
        }
        let staged = place.staged(&path, given);
        assert!(
            matches!(
                staged,
                Err(Error::BackupDamaged { .. }
                    | Error::KeyFile { .. }
                    | Error::SchemaNewer { .. })
            ),
            "{what}: {staged:?}"
        );
    }
    assert_eq!(database(), before);
    let left = fs::read_dir(place.folder.path()).unwrap();
    let hidden = left.filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.')
    });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn a_backup_of_another_key_file_is_refused_and_that_is_told() {
    let (here, elsewhere) = (Place::new(), Place::new());
    let refused = here.staged(&elsewhere.backup, None);
    assert!(matches!(refused, Err(Error::KeyFile { .. })), "{refused:?}");
    let keys = Some(&here.app.kit().keys);
    let against = Against { sha256: None, keys };
    assert!(
        verify(&elsewhere.backup, against)
            .unwrap()
            .is_of_other_keys()
    );
    assert!(!verify(&here.backup, against).unwrap().is_of_other_keys());
    let bytes = fs::read(&elsewhere.backup).unwrap();
    let (path, sha256) = here.file("theirs.db", &bytes);
    let refused = here.staged(&path, Some(&sha256));
    assert!(matches!(refused, Err(Error::KeyFile { .. })), "{refused:?}");
}

#[test]
fn the_database_itself_and_what_is_not_there_are_no_backups() {
    let place = Place::new();
    let itself = place.staged(&place.at("provost.db"), Some(&"0".repeat(64)));
    assert!(
        matches!(itself, Err(Error::Invalid { field: "file", .. })),
        "{itself:?}"
    );
    let missing = place.staged(&place.at("missing.db"), None);
    assert!(
        matches!(missing, Err(Error::NotFound { .. })),
        "{missing:?}"
    );
}

#[test]
fn a_restored_database_is_the_backup_and_the_old_one_is_kept() {
    let place = Place::new();
    let new = users::NewUser::named("late".parse().unwrap());
    users::create(&place.app, &Actor::operator(), new).unwrap();
    let (folder, restored) = place.restored();
    let changed: Vec<String> = restored
        .changes
        .changed
        .unwrap()
        .into_iter()
        .map(|it| it.username)
        .collect();
    assert_eq!(changed, ["late"]);
    assert_eq!(restored.taken_back.ended_accounts, 2);
    let names = |path: &Path| -> Vec<String> {
        let db = Db::open_still(path).unwrap();
        let rows = db.export(|tx| tx.all("SELECT username FROM users ORDER BY username", &[]));
        rows.unwrap()
            .iter()
            .map(|row| row.text("username").unwrap())
            .collect()
    };
    assert_eq!(names(&restored.database), ["ivan", "maria"]);
    assert_eq!(restored.kept.len(), 1);
    assert_eq!(names(&restored.kept[0]), ["ivan", "late", "maria"]);
    let left = fs::read_dir(folder.path()).unwrap();
    let mut left: Vec<String> = left
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.contains("before-restore"))
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "b.db",
            "b.db.json",
            "provost.db",
            "provost.db.lock",
            "provost.key"
        ]
    );
}

#[test]
fn backups_are_listed_pruned_and_deleted_and_nothing_else_is() {
    let place = Place::new();
    let (app, actor) = (&place.app, Actor::operator());
    let folder = snapshots::folder(app).unwrap();
    let names = [
        "provost-20200101T000000Z.db",
        "provost-20200102T000000Z.db",
        "mine.db",
    ];
    for name in names {
        create(app, &actor, Some(&folder.join(name)), &mut quiet).unwrap();
    }
    fs::write(folder.join("notes.db"), "no backup").unwrap();
    let listed = list(app, &actor).unwrap();
    assert_eq!(listed.len(), 3);
    let complete = |it: &Kept| it.verified_at == it.created_at && it.state == State::Complete;
    assert!(listed.iter().all(complete), "{listed:?}");
    record_verified(app, &actor, &listed[0].path, "").unwrap();
    assert!(list(app, &actor).unwrap()[0].verified_at > listed[0].created_at);
    let gone = prune(app, &actor, &Keep::Newest(1)).unwrap();
    assert_eq!(gone, [folder.join(names[0])]);
    let notes = delete(app, &actor, &folder.join("notes.db"));
    assert!(matches!(notes, Err(Error::Invalid { field: "file", .. })));
    delete(app, &actor, &folder.join("mine.db")).unwrap();
    let missing = delete(app, &actor, &folder.join("mine.db"));
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["notes.db", names[1], "provost-20200102T000000Z.db.json"]
    );
}

#[test]
fn a_backup_with_a_teams_view_can_be_restored() {
    let place = Place::new();
    let view = "CREATE VIEW names AS SELECT username FROM users";
    place.app.db().write(move |tx| tx.script(view)).unwrap();
    let backup = place.at("viewed.db");
    create(&place.app, &Actor::operator(), Some(&backup), &mut quiet).unwrap();
    place.staged(&backup, None).unwrap();
}
