//! Rules of the checks, on installations made by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::machine::{cost, room};
use super::*;
use crate::config::{Config, Environment, Sources};
use crate::db::{Db, Role, ballast, keyring};
use crate::keys::Keys;
use crate::time::wall;
use crate::tokens::{self, NewToken};
use crate::users::{self, NewUser};

/// An installation in a folder of its own.
struct Made {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Made {
    /// As `provost init` leaves it.
    fn whole() -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        };
        fs::create_dir(made.path("data")).unwrap();
        made.mode("data", 0o700);
        let keys = Keys::create(&made.path("data/provost.key")).unwrap();
        let db = Db::open_file(&made.database(), Role::Shell).unwrap();
        made.mode("data/provost.db", 0o600);
        let app = App::on(db);
        assert!(keyring::fits(app.db(), &keys, Timestamp(1)).unwrap());
        made
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("data/provost.db")
    }

    fn mode(&self, name: &str, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.path(name), mode).unwrap();
    }

    /// Works on the database as a command would.
    fn app(&self) -> App {
        App::on(Db::open_file(&self.database(), Role::Shell).unwrap())
    }

    /// The same with the key file, and with the database where it really is.
    fn keyed(&self) -> App {
        let keys = Keys::load(&self.path("data/provost.key")).unwrap();
        let patient = self.patient();
        let config = patient.config().unwrap().clone();
        let db = Db::open_file(&self.database(), Role::Shell).unwrap();
        App::new(config, keys, db)
    }

    fn seal(&self) {
        audit::seal(&self.keyed(), &Actor::operator(), &|| false).unwrap();
    }

    fn script(&self, sql: &'static str) {
        self.app().db().write(move |tx| tx.script(sql)).unwrap();
    }

    fn patient(&self) -> Patient {
        let bare = Environment::bare(&self.path("data"));
        let environment = self.variables.iter();
        let environment = environment.fold(bare, |all, (name, value)| all.with(name, value));
        let (config, trouble) = match Config::load(&Sources::default(), &environment) {
            Ok(config) => (Some(config), None),
            Err(error) => (None, Some(error)),
        };
        Patient::open(Found {
            config,
            trouble,
            certificate: None,
            flags: String::new(),
            actor: Actor::operator(),
        })
    }

    fn lines(&self) -> Vec<Line> {
        examine(&self.patient(), false)
    }

    /// How one check comes out, with what it says.
    #[track_caller]
    fn seen(&self, check: &str) -> (Level, String) {
        let lines = self.lines();
        let line = lines.iter().find(|line| line.check == check);
        let line = line.unwrap_or_else(|| panic!("no check {check}: {lines:?}"));
        assert_eq!(line.next.is_none(), line.level < Level::Warn, "{line:?}");
        let next = line.next.clone().unwrap_or_default();
        (line.level, format!("{} -> {next}", line.about))
    }

    /// One check comes out so, and says this.
    #[track_caller]
    fn is(&self, check: &str, level: Level, words: &str) {
        let (was, told) = self.seen(check);
        assert!(
            was == level && told.contains(words),
            "{check}: {was:?} {told}"
        );
    }
}

#[test]
fn what_was_just_made_fails_in_nothing_and_every_name_is_there_once() {
    let made = Made::whole();
    ballast::make(&made.database()).unwrap();
    let lines = made.lines();
    let bad: Vec<&Line> = lines
        .iter()
        .filter(|line| line.level == Level::Fail)
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
    let mut names: Vec<&str> = lines.iter().map(|line| line.check).collect();
    assert_eq!(names.len(), CHECKS.len() + THOROUGH.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), lines.len());
    for name in [
        "integrity",
        "foreign_keys",
        "history",
        "schema",
        "ballast",
        "data_folder",
    ] {
        made.is(name, Level::Ok, "");
    }
    let quick = examine(&made.patient(), true);
    assert_eq!(quick.len(), lines.len());
    let skipped = |name: &str| {
        quick
            .iter()
            .any(|it| it.check == name && it.level == Level::Skip)
    };
    assert!(THOROUGH.into_iter().all(skipped));
}

#[test]
fn modes_that_let_others_in_are_found_one_by_one() {
    let made = Made::whole();
    for (file, mode, check, level) in [
        ("data", 0o755, "data_folder", Level::Warn),
        ("data", 0o770, "data_folder", Level::Fail),
        ("data/provost.db", 0o640, "database_files", Level::Fail),
        ("data/provost.key", 0o604, "key_file", Level::Fail),
        ("data/backups", 0o750, "backup_files", Level::Fail),
        (
            "data/backups/provost-1.db",
            0o644,
            "backup_files",
            Level::Fail,
        ),
    ] {
        fs::create_dir_all(made.path("data/backups")).unwrap();
        fs::write(made.path("data/backups/provost-1.db"), "").unwrap();
        made.mode("data/backups", 0o700);
        made.mode("data/backups/provost-1.db", 0o600);
        made.is(check, Level::Ok, "");
        made.mode(file, mode);
        made.is(check, level, "chmod");
        let usual = if made.path(file).is_dir() {
            0o700
        } else {
            0o600
        };
        made.mode(file, usual);
    }
    let open = made.folder.path();
    made.is("parents", Level::Ok, "");
    fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    made.is("parents", Level::Warn, "chmod go-w");
    fs::set_permissions(open, fs::Permissions::from_mode(0o1777)).unwrap();
    made.is("parents", Level::Ok, "");
}

#[test]
fn a_key_file_that_is_missing_damaged_or_another_ones_fails_and_the_rest_is_looked_at() {
    let made = Made::whole();
    let key = made.path("data/provost.key");
    let own = fs::read(&key).unwrap();
    made.seal();
    fs::remove_file(&key).unwrap();
    made.is("key_file", Level::Fail, "is missing");
    made.is("integrity", Level::Ok, "every page");
    fs::write(&key, "hunter2").unwrap();
    made.mode("data/provost.key", 0o600);
    made.is("key_file", Level::Fail, "is not a key file");
    assert!(!made.seen("key_file").1.contains("hunter2"));
    fs::remove_file(&key).unwrap();
    Keys::create(&key).unwrap();
    made.is("key_file", Level::Fail, "belongs to another database");
    // What another file's keys say of seals is no damage.
    made.is("audit", Level::Skip, "without its key file");
    assert!(!database::is_damaged(&made.lines()));
    fs::write(&key, own).unwrap();
    made.is("key_file", Level::Ok, "");
}

#[test]
fn a_database_that_is_missing_another_programs_or_damaged_fails_and_ends_nothing_else() {
    let made = Made::whole();
    let path = made.database();
    let sound = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    made.is(
        "database",
        Level::Fail,
        "there is a key file, but no database",
    );
    made.is("database", Level::Fail, "-> provost backup list");
    made.is("schema", Level::Skip, "cannot be opened");
    made.is("integrity", Level::Skip, "cannot be opened");
    made.is("sqlite", Level::Ok, "");
    fs::write(&path, [0x5a; 8192]).unwrap();
    made.is("database", Level::Fail, "the database is damaged");
    assert!(database::is_damaged(&made.lines()));
    let other = made.path("data/other.db");
    let theirs = Db::open_file(&other, Role::Shell).unwrap();
    theirs
        .write(|tx| tx.script("CREATE TABLE theirs (n INTEGER) STRICT"))
        .unwrap();
    drop(theirs);
    fs::rename(&other, &path).unwrap();
    made.is("schema", Level::Fail, "belongs to another program");
    // A page in the middle.
    let mut bytes = sound.clone();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    assert!(database::is_damaged(&made.lines()));
    fs::write(&path, sound).unwrap();
    assert!(!database::is_damaged(&made.lines()));
}

#[test]
fn a_schema_of_another_time_fails_and_what_needs_it_is_left_out() {
    let made = Made::whole();
    let stamp = |schema| {
        made.app_as_it_is()
            .write(move |tx| tx.stamp(schema))
            .unwrap();
    };
    let needed = crate::migrations::needed();
    stamp(needed + 1);
    made.is("schema", Level::Fail, "a newer provost");
    made.is("clock", Level::Skip, "is not the one of this program");
    stamp(needed - 1);
    made.is("schema", Level::Fail, "migrate up");
    stamp(needed);
    made.is("schema", Level::Ok, "");
    made.script("UPDATE migrations SET sha256 = 'x' WHERE number = 2");
    made.is("history", Level::Fail, "0002_clock");
}

impl Made {
    /// The database with whatever schema it has.
    fn app_as_it_is(&self) -> Db {
        Db::open_file(&self.database(), Role::Shell).unwrap()
    }
}

#[test]
fn rows_that_point_nowhere_are_damage_and_those_that_no_key_guards_a_warning() {
    let made = Made::whole();
    made.is("orphans", Level::Ok, "");
    made.script(
        "INSERT INTO login_failures (account, failures, last_at, delayed_until)
         VALUES ('user:gone', 1, 1, 1), ('name:x', 1, 1, 1)",
    );
    made.is("orphans", Level::Warn, "1 in login_failures");
    made.is("foreign_keys", Level::Ok, "");
    // As another program would, which does not know the rule.
    let other = rusqlite::Connection::open(made.database()).unwrap();
    other
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO user_roles (user_id, role, granted_at) VALUES ('gone', 'user', 1)",
        )
        .unwrap();
    drop(other);
    made.is("foreign_keys", Level::Fail, "user_roles");
    assert!(database::is_damaged(&made.lines()));
}

#[test]
fn tables_that_are_not_as_the_migrations_made_them_are_named() {
    let made = Made::whole();
    made.is("drift", Level::Ok, "");
    made.script("DROP INDEX tokens_expires_idx");
    made.is(
        "drift",
        Level::Fail,
        "the index tokens_expires_idx is not as",
    );
}

#[test]
fn an_audit_log_that_was_changed_is_damage_and_one_that_is_not_sealed_a_warning() {
    let made = Made::whole();
    let app = made.app();
    let long_ago = wall().minus(Duration::from_hours(3));
    let note = |cx: &mut crate::app::Cx<'_, '_>| audit::record(cx, Event::new("x.done", "x"));
    app.at(long_ago, &Actor::operator(), note).unwrap();
    made.is("audit", Level::Warn, "none sealed");
    drop(app);
    made.seal();
    made.is("audit", Level::Ok, "all as sealed");
    made.script("UPDATE audit_events SET object = 'y' WHERE action = 'x.done'");
    made.is("audit", Level::Fail, "-> provost audit verify");
    assert!(database::is_damaged(&made.lines()));
}

#[test]
fn settings_that_cannot_be_used_fail_and_the_machine_is_looked_at_all_the_same() {
    let made = Made::whole();
    made.is("config", Level::Ok, "there is no settings file");
    let odd = Made::whole().with("PROVOST_PURGE_BATCH", "many");
    odd.is("config", Level::Fail, "PROVOST_PURGE_BATCH");
    odd.is("integrity", Level::Skip, "the settings cannot be read");
    odd.is("sqlite", Level::Ok, "");
    let warned = Made::whole().with("PROVOST_SERVER_BEHIND_PROXY", "true");
    warned.is("config", Level::Warn, "server.trusted_proxies");
}

#[test]
fn whoever_says_where_a_request_comes_from_must_be_few() {
    let trusts = |networks: &str| Made::whole().with("PROVOST_SERVER_TRUSTED_PROXIES", networks);
    Made::whole().is("trusted_proxies", Level::Ok, "nobody's");
    trusts("10.0.0.0/8").is("trusted_proxies", Level::Ok, "one network");
    trusts("10.0.0.1,0.0.0.0/0").is("trusted_proxies", Level::Fail, "0.0.0.0/0");
    trusts("::/0").is("trusted_proxies", Level::Fail, "::/0");
}

#[test]
fn where_it_listens_is_told() {
    Made::whole().is("listen", Level::Ok, "nobody else's machine");
    let proxied = Made::whole()
        .with("PROVOST_SERVER_LISTEN", "0.0.0.0:8080")
        .with("PROVOST_SERVER_BEHIND_PROXY", "true");
    proxied.is("listen", Level::Ok, "through a proxy");
    Made::whole().is("certificate", Level::Skip, "none is named");
}

#[test]
fn accounts_that_can_do_much_and_tokens_without_an_end_are_told() {
    let made = Made::whole();
    made.is("administrators", Level::Warn, "nobody administers");
    made.is("second_factors", Level::Ok, "");
    made.is("endless_tokens", Level::Ok, "");
    made.is("suspended_tokens", Level::Ok, "");
    let app = made.app();
    for name in ["maria", "ivan"] {
        let roles = vec![users::Role::Admin];
        let new = NewUser {
            roles,
            ..NewUser::named(name.parse().unwrap())
        };
        users::create(&app, &Actor::operator(), new).unwrap();
    }
    let endless = NewToken {
        ttl: Some(crate::time::Lifetime::Never),
        ..NewToken::of(tokens::Kind::Api)
    };
    let of_ivan = NewToken {
        owner: Some("ivan".into()),
        ..endless.clone()
    };
    for new in [endless, of_ivan] {
        app.write(&Actor::operator(), move |cx| tokens::create(cx, &new))
            .unwrap();
    }
    drop(app);
    made.is("endless_tokens", Level::Warn, "2 API tokens never");
    // All that ivan had opened is ended: so is his token.
    made.script("UPDATE users SET security_epoch = security_epoch + 1 WHERE username = 'ivan'");
    made.is("administrators", Level::Ok, "there are 2");
    made.is("second_factors", Level::Warn, "ivan and 1 more");
    made.is("endless_tokens", Level::Warn, "one API token");
    made.script(
        "INSERT INTO totp_factors (user_id, secret, created_at, confirmed_at)
         SELECT id, x'00', 1, 1 FROM users",
    );
    made.is("second_factors", Level::Ok, "");
    made.script("UPDATE tokens SET suspended_at = 1");
    made.is("endless_tokens", Level::Ok, "");
    made.is(
        "suspended_tokens",
        Level::Warn,
        "one API token is refused since a backup was restored",
    );
    made.script("UPDATE tokens SET revoked_at = 1");
    made.is("suspended_tokens", Level::Ok, "");
}

#[test]
fn purging_and_backups_that_nobody_does_are_told() {
    let made = Made::whole();
    made.is("purge", Level::Ok, "");
    made.is(
        "backup",
        Level::Warn,
        "none was ever made -> provost backup create",
    );
    let app = made.app();
    let long_ago = wall().minus(Duration::from_hours(24 * 3));
    app.at(long_ago, &Actor::operator(), |cx| {
        audit::record(cx, Event::new("backup.created", "backup:x"))
    })
    .unwrap();
    let new = NewToken::of(tokens::Kind::Temporary);
    app.at(long_ago, &Actor::operator(), move |cx| {
        tokens::create(cx, &new)
    })
    .unwrap();
    made.is(
        "backup",
        Level::Warn,
        "the last that is there was made 3d ago",
    );
    made.is("purge", Level::Warn, "the oldest token is overdue");
    app.write(&Actor::operator(), |cx| {
        audit::record(cx, Event::new("backup.created", "backup:x"))
    })
    .unwrap();
    made.is("backup", Level::Ok, "the last was made");
}

#[test]
fn measures_are_judged_by_their_bounds() {
    let made = Made::whole();
    let patient = made.patient();
    let mib = 1024 * 1024;
    let disk = |free: u64, size: u64| room(&patient, free * mib, size * mib).level;
    assert_eq!(disk(63, 1000), Level::Fail);
    assert_eq!(disk(255, 1000), Level::Warn);
    assert_eq!(disk(500, 10_000), Level::Warn);
    assert_eq!(disk(1500, 10_000), Level::Ok);
    let log = |bytes: u64| database::log_of(&patient, bytes * mib).level;
    assert_eq!(
        [log(0), log(64), log(65), log(256)],
        [Level::Ok, Level::Ok, Level::Warn, Level::Fail]
    );
    let hash = |ms| cost(&patient, Duration::from_millis(ms), 2).level;
    assert_eq!(
        [hash(4), hash(5), hash(250), hash(251)],
        [Level::Warn, Level::Ok, Level::Ok, Level::Warn]
    );
    let now = wall();
    let hours = Duration::from_hours;
    let clock = |mark, served| database::clock_at(&patient, now, mark, served).level;
    assert_eq!(clock(now.plus(hours(2)), false), Level::Fail);
    assert_eq!(clock(now.minus(hours(2)), true), Level::Fail);
    assert_eq!(clock(now.minus(hours(2)), false), Level::Ok);
    assert_eq!(clock(now, true), Level::Ok);
    let early = database::clock_at(&patient, Timestamp(0), Timestamp(0), false);
    assert_eq!(early.level, Level::Fail);
    assert!(early.about.contains("1970-01-01"), "{early:?}");
}

#[test]
fn the_ballast_and_what_was_never_finished_are_looked_after() {
    let made = Made::whole();
    made.is("ballast", Level::Warn, "is not there");
    fs::write(ballast::place(&made.database()), "little").unwrap();
    made.is("ballast", Level::Warn, "holds 6 B, not 33.55 MB -> mv ");
    made.is("leftovers", Level::Ok, "");
    let left = made.path("data/.tmpx");
    fs::write(&left, "half").unwrap();
    made.is("leftovers", Level::Ok, "");
    age(&left);
    made.is("leftovers", Level::Warn, ".tmpx was never finished");
}

/// Makes a file look as if it was written long ago.
fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(wall().minus(Duration::from_hours(5)).system())
        .unwrap();
}

#[test]
fn a_mark_is_raised_by_who_believes_the_clock_and_that_is_written_down() {
    let app = App::memory();
    let now = wall();
    app.db().write(|tx| clock::raise(tx, Timestamp(1))).unwrap();
    accept_clock(&app, &Actor::operator(), now).unwrap();
    assert_eq!(app.db().read(clock::mark).unwrap(), now);
    let sql = "SELECT COUNT(*) AS n FROM audit_events WHERE action = 'clock.accepted'";
    let n = app
        .db()
        .read(|tx| tx.first(sql, &[]))
        .unwrap()
        .unwrap()
        .int("n");
    assert_eq!(n.unwrap(), 1);
}

mod loss;
mod mending;
mod proof;
