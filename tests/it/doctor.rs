//! `provost doctor` on installations that are whole, broken, and mended; and the room on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use provost::secret::sha256_hex;
use serde_json::Value;

use crate::support::engine::only_on_sqlite;
use crate::support::{Ran, Shell, files, mode};
use broken::{BROKEN, chmod, settings};

mod broken;

/// Each line of a report: check and level.
fn levels(report: &Value) -> BTreeMap<String, String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .map(|line| (text(&line["check"]), text(&line["level"])))
        .collect()
}

/// The checks that came out so.
fn that_are(report: &Value, level: &str) -> Vec<String> {
    let mut levels = levels(report);
    levels.retain(|_, was| was == level);
    levels.into_keys().collect()
}

/// What a warning on a machine where tests run says nothing bad of the installation.
const HONEST: [&str; 7] = [
    "administrators",
    "argon2",
    "backup",
    "ballast",
    "disk",
    "open_files",
    "parents",
];

#[test]
fn a_new_installation_fails_in_nothing_with_a_daemon_or_without() {
    let shell = Shell::new();
    let look = || {
        let report = shell.json(&["doctor"]);
        assert_eq!(
            (&report["ok"], &report["summary"]["fail"]),
            (&true.into(), &0.into())
        );
        let odd = that_are(&report, "warn");
        assert!(
            odd.iter().all(|check| HONEST.contains(&&**check)),
            "{odd:?}"
        );
        report
    };
    let report = look();
    assert_eq!(levels(&report)["daemon"], "skip");
    for check in [
        "database",
        "schema",
        "history",
        "clock",
        "key_file",
        "foreign_keys",
    ] {
        assert_eq!(levels(&report)[check], "ok", "{check}");
    }
    let daemon = shell.serve();
    let report = look();
    assert_eq!(levels(&report)["daemon"], "ok");
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    let ran = shell.run(&["doctor"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("[ok]    config "), "{ran:?}");
    assert!(
        ran.stdout
            .contains("next: provost user create NAME --admin"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(" ok, "), "{ran:?}");
    assert_eq!(
        shell.run(&["doctor", "--json", "--strict"]).json()["ok"],
        false
    );
    // Nobody administers: that is a warning.
    let ran = shell.run(&["doctor", "--strict", "--quick", "--quiet"]);
    assert_eq!(ran.status, 9, "{ran:?}");
    assert!(
        ran.stdout.lines().any(|line| line == "warn administrators"),
        "{ran:?}"
    );
}

/// Everything below a folder: what it is, its mode, its owner, and what is in it.
fn everything(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        let inside = if about.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
            String::new()
        } else if about.is_file() {
            sha256_hex(&fs::read(&path).unwrap())
        } else {
            format!("{:?}", fs::read_link(&path))
        };
        let (mode, owner) = (about.mode(), about.uid());
        all.insert(path, format!("{mode:o} {owner} {inside}"));
    }
    all
}

#[test]
fn looking_never_makes_it_worse_however_much_is_broken() {
    if only_on_sqlite("files are broken here") || !rustix::process::geteuid().is_root() {
        return;
    }
    let whole = Shell::new();
    for case in BROKEN {
        let shell = Shell::bare().with("PROVOST_CONFIG", "data/provost.toml");
        let data = shell.path("data");
        fs::create_dir(&data).unwrap();
        chmod(&data, 0o700);
        for name in ["provost.db", "provost.key"] {
            fs::copy(whole.path("data").join(name), data.join(name)).unwrap();
        }
        settings(&data, "");
        (case.harm)(&data);
        let home = shell.path("");
        let before = everything(&home);
        let ran = shell.run(&["--json", "doctor"]);
        assert_eq!(everything(&home), before, "{}: {ran:?}", case.how);
        assert_eq!(ran.status, case.status, "{}: {ran:?}", case.how);
        assert_eq!(ran.stderr, "", "{}: {ran:?}", case.how);
        let report = ran.json();
        let failed = that_are(&report, "fail");
        let missed: Vec<_> = case
            .fails
            .iter()
            .filter(|name| !failed.contains(&(**name).to_owned()))
            .collect();
        assert!(missed.is_empty(), "{}: {missed:?} in {ran:?}", case.how);
        assert_eq!(failed.is_empty(), case.status == 0, "{}: {ran:?}", case.how);
        for line in report["checks"].as_array().unwrap() {
            let fine = line["level"] == "ok" || line["level"] == "skip";
            assert_eq!(line["next"].is_null(), fine, "{}: {line}", case.how);
        }
    }
    eprintln!("{} broken installations", BROKEN.len());
}

#[test]
fn what_is_mended_once_is_not_mended_twice_and_a_backup_comes_first() {
    if only_on_sqlite("files are mended here") {
        return;
    }
    let shell = Shell::new();
    let data = shell.path("data");
    chmod(&data, 0o755);
    chmod(data.join("provost.key"), 0o640);
    chmod(shell.database(), 0o644);
    let before = everything(&data);
    let ran = shell.run(&["doctor", "--fix"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("--yes"), "{ran:?}");
    // The report comes all the same.
    assert!(ran.stdout.contains("[fail]  key_file"), "{ran:?}");
    assert_eq!(everything(&data), before);
    let ran = shell.run(&["doctor", "--fix", "--yes"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    for words in ["chmod 0700 ", "chmod 0600 ", "backup: "] {
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    assert_eq!(
        (mode(&data), mode(&data.join("provost.key"))),
        (0o700, 0o600)
    );
    // A key file that others may read seals no backup, so the database is kept as it was.
    let mut kept = fs::read_dir(data.join("aside")).unwrap();
    assert!(kept.any(|entry| {
        entry
            .unwrap()
            .path()
            .extension()
            .is_some_and(|it| it == "db")
    }));
    let fixed = "SELECT COUNT(*) FROM audit_events WHERE action = 'doctor.fixed'";
    assert_eq!(shell.sql().number(fixed), 1);
    let before = everything(&data);
    let report = shell.json(&["doctor", "--fix", "--yes"]);
    assert_eq!(report["fixed"], Value::Array(Vec::new()));
    assert_eq!(everything(&data), before);
    assert_eq!(shell.sql().number(fixed), 1);
}

#[test]
fn a_clock_is_believed_when_somebody_says_so_and_never_set_back() {
    let shell = Shell::new();
    let accept = ["doctor", "--accept-clock", "--yes"];
    let ran = shell.run(&accept);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("nothing to accept"), "{ran:?}");
    let mark = || shell.sql().number("SELECT high_water FROM clock");
    if shell.schema_url().is_none() {
        // It raises no mark by itself, and serves.
        let daemon = shell.serve_with(&["--listen", "127.0.0.1:0", "--read-only"]);
        shell
            .sql()
            .run("UPDATE clock SET high_water = 1700000000000");
        let report = shell.run(&["doctor", "--json"]).json();
        assert_eq!(levels(&report)["clock"], "fail");
        shell.fails(2, &["doctor", "--accept-clock"]);
        shell.ok(&accept);
        assert!(mark() > 1_700_000_000_000, "{}", mark());
        drop(daemon.stop());
    }
    shell
        .sql()
        .run("UPDATE clock SET high_water = 4102444800000");
    let refused = shell.fails(7, &accept);
    assert!(refused.contains("2100-01-01"), "{refused}");
}

#[test]
fn what_is_broken_inside_is_mended_beside_a_daemon_and_a_report_always_follows() {
    if only_on_sqlite("rows are broken here as only a file can be") {
        return;
    }
    let shell = Shell::new();
    let data = shell.path("data");
    let daemon = shell.serve();
    shell.sql().run(
        "PRAGMA foreign_keys = OFF;
         INSERT INTO user_roles (user_id, role, granted_at) VALUES ('gone', 'user', 1);
         DROP INDEX tokens_expires_idx; DROP INDEX users_email_key",
    );
    let ran = shell.run(&["doctor"]);
    assert_eq!(ran.status, 13, "{ran:?}");
    assert!(ran.stdout.contains("next: provost doctor --fix"), "{ran:?}");
    let ran = shell.run(&["doctor", "--fix", "--yes"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    // No backup stands its check, so the file is kept as it was.
    for words in [
        "copy as it is: ",
        "CREATE INDEX tokens_expires_idx",
        "1 of user_roles",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    let kept = fs::read_dir(data.join("aside")).unwrap();
    let kept: Vec<String> = kept
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        kept.iter().any(|name| name.starts_with("rows-")),
        "{kept:?}"
    );
    assert!(
        kept.iter().any(|name| name.starts_with("before-fix-")),
        "{kept:?}"
    );
    assert_eq!(daemon.get("/readyz").0, 200);
    drop(daemon.stop());
    files::check(&shell);
    // Without a copy nothing is changed, and the report comes all the same.
    let aside = data.join("aside");
    fs::rename(&aside, data.join("elsewhere")).unwrap();
    fs::write(&aside, "in the way").unwrap();
    chmod(data.join("provost.key"), 0o640);
    let ran = shell.run(&["doctor", "--fix", "--yes"]);
    assert_ne!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("[fail]  key_file"), "{ran:?}");
}

#[test]
fn the_audit_log_tells_of_starts_and_of_settings_that_are_others_than_before() {
    let shell = Shell::new();
    drop(shell.serve().stop());
    let shell = shell.with("PROVOST_TOKENS_TEMPORARY_TTL", "30m");
    drop(shell.serve().stop());
    let rows = |action: &str| {
        let list = shell.json(&["audit", "list", "--action", action]);
        list["items"].as_array().unwrap().clone()
    };
    assert_eq!(rows("daemon.started").len(), 2);
    let changed = rows("config.changed");
    assert!(
        changed.iter().any(|row| row["details"]["to"] == "30m"),
        "{changed:?}"
    );
}

#[test]
fn a_database_gives_back_what_is_free_in_it_but_not_under_a_daemon() {
    let shell = Shell::new();
    shell
        .sql()
        .run("CREATE TABLE much (id INTEGER PRIMARY KEY, t TEXT)");
    for n in 0..40 {
        let text = "x".repeat(50_000);
        shell
            .sql()
            .run(&format!("INSERT INTO much VALUES ({n}, '{text}')"));
    }
    shell.sql().run("DELETE FROM much");
    shell.sql().run("DROP TABLE much");
    let vacuumed = |shell: &Shell| shell.json(&["db", "vacuum"]);
    if shell.schema_url().is_some() {
        vacuumed(&shell);
        return;
    }
    let daemon = shell.serve();
    let refused = shell.fails(10, &["db", "vacuum"]);
    assert!(
        refused.contains(&format!("pid {}", daemon.pid())),
        "{refused}"
    );
    drop(daemon.stop());
    let done = vacuumed(&shell);
    let bytes = |name: &str| done[name].as_u64().unwrap();
    assert!(
        bytes("bytes_after") + 1_000_000 < bytes("bytes_before"),
        "{done}"
    );
    let about = shell.database().metadata().unwrap();
    assert_eq!(about.len(), bytes("bytes_after"));
    files::check(&shell);
}

#[test]
fn the_ballast_is_given_back_at_once_and_taken_again_by_the_daemon() {
    if only_on_sqlite("the disk is the server's own") {
        let told = Shell::new().fails(2, &["db", "release-space"]);
        assert!(told.contains("on a server"), "{told}");
        return;
    }
    let shell = Shell::new();
    let ballast = shell.path("data/provost.db.ballast");
    if !ballast.exists() {
        eprintln!("not tested, there is too little room on this disk");
        return;
    }
    assert_eq!(
        (ballast.metadata().unwrap().len(), mode(&ballast)),
        (33_554_432, 0o600)
    );
    assert!(shell.ok(&["db", "info"]).contains("\nballast   33.55 MB\n"));
    // Nothing else has to work for that.
    fs::rename(shell.path("data/provost.key"), shell.path("data/away")).unwrap();
    let released = Ran::of(&mut shell.command(&["db", "release-space"]));
    assert_eq!(
        (released.status, ballast.exists()),
        (0, false),
        "{released:?}"
    );
    assert!(
        released.stderr.contains("not in the audit log"),
        "{released:?}"
    );
    fs::rename(shell.path("data/away"), shell.path("data/provost.key")).unwrap();
    assert_eq!(shell.json(&["db", "release-space"])["released_bytes"], 0);
    assert_eq!(shell.json(&["db", "info"])["ballast_bytes"], Value::Null);
    shell.ok(&["job", "run", "db.ballast"]);
    assert!(ballast.exists());
    shell.ok(&["db", "release-space"]);
    let noted = "SELECT COUNT(*) FROM audit_events WHERE action = 'db.space_released'";
    assert_eq!(shell.sql().number(noted), 1);
    // A daemon makes it when it starts.
    let daemon = shell.serve();
    assert!(ballast.exists());
    let (status, body) = daemon.get("/readyz");
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["warnings"].is_array(), "{body}");
}

#[test]
fn a_daemon_that_should_make_backups_and_has_none_says_so() {
    if only_on_sqlite("a server's backups are made by its own tool") {
        return;
    }
    let shell = Shell::new().with("PROVOST_JOBS_ENABLED", "false");
    let daemon = shell.serve();
    let warns = || daemon.get("/readyz").1.contains("there is no backup");
    assert!(!warns(), "a new installation need not have one yet");
    shell.sql().run("UPDATE migrations SET applied_at = 1");
    assert!(warns());
    shell.ok(&["backup", "create"]);
    assert!(!warns());
}

#[test]
fn a_daemon_that_only_reads_answers_reads_and_changes_nothing() {
    let bare = Shell::bare();
    if bare.schema_url().is_none() {
        bare.fails(5, &["serve", "--read-only", "--listen", "127.0.0.1:0"]);
        assert!(!bare.path("data").exists());
    }
    let shell = Shell::new();
    let create = ["token", "create", "--kind", "temporary", "--quiet"];
    let token = shell.ok(&create);
    let count = |what: &str| shell.sql().number(&format!("SELECT COUNT(*) FROM {what}"));
    shell.sql().run("DELETE FROM keyring");
    let daemon = shell.serve_with(&["--listen", "127.0.0.1:0", "--read-only"]);
    assert_eq!(
        count("keyring"),
        0,
        "a daemon that answers reads alone wrote"
    );
    let valid = |token: &str| daemon.get(&format!("/app/valid/{token}")).1;
    assert!(valid(&token).contains("true"), "{}", valid(&token));
    let before = (count("tokens"), count("audit_events"), count("job_runs"));
    let mut client = crate::support::client::Client::connect(&daemon.address).unwrap();
    let refused = client.must("POST", "/app/token", "", "");
    assert_eq!(
        (refused.status, refused.text("code").as_str()),
        (503, "read_only")
    );
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let login = r#"{"login":"maria","password":"correct horse battery"}"#;
    let json = "Content-Type: application/json\r\n";
    let refused = client.must("POST", "/api/v1/auth/login", json, login);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(
        (count("tokens"), count("audit_events"), count("job_runs")),
        before
    );
    // The shell is somebody else, and what it does holds here at once.
    let other = shell.ok(&create);
    assert!(valid(&other).contains("true"));
    let (status, ready) = daemon.get("/readyz");
    assert!(status == 200 && ready.contains("reads alone"), "{ready}");
    let health = shell.run(&["health", "--url", &daemon.url()]);
    assert!(
        health
            .stderr
            .contains("warning: this daemon answers reads alone"),
        "{health:?}"
    );
    let report = shell.run(&["doctor", "--json", "--quick"]).json();
    assert_eq!(levels(&report)["daemon"], "warn");
    let (status, log) = daemon.stop();
    assert!(log.contains("answers reads alone"), "{log}");
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
}

#[test]
fn the_schema_and_its_history_are_shown_over_http_to_who_may_see_them() {
    let shell = Shell::new();
    let bearer = |scope: &str| {
        let token = shell.ok(&["token", "create", "--scope", scope, "--quiet"]);
        format!("Authorization: Bearer {token}\r\n")
    };
    let daemon = shell.serve();
    let get = |headers: &str| daemon.request("GET", "/api/v1/schema", headers, "");
    let (status, body) = get(&bearer("schema:read"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["schema"], body["needs"]);
    let migrations = body["migrations"].as_array().unwrap();
    assert_eq!(migrations.len(), provost::migrations::ALL.len());
    assert!(
        migrations.iter().all(|it| it["state"] == "applied"),
        "{body}"
    );
    assert_eq!(get(&bearer("token:read")).0, 403);
    assert_eq!(get("").0, 401);
}
