//! `provost db …` and `provost backup …` as a person and a script meet them.

use serde_json::{Value, json};

use crate::purge::change;
use crate::support::files::{number, open, texts};
use crate::support::{Ran, Shell, mode};

/// The rows of a printed table, without its heading, cut at the spaces.
fn lines(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// A shell with an administrator and a token, and the token's text.
fn with_token() -> (Shell, String) {
    let shell = Shell::new();
    shell.ok(&["user", "create", "maria", "--no-password", "--admin"]);
    let issued = shell.json(&["token", "create", "--owner", "maria", "--label", "Büro"]);
    let token = issued["token"].as_str().unwrap().to_owned();
    (shell, token)
}

/// A copy of the shell's database, named `name`.
fn copied(shell: &Shell, name: &str) -> String {
    let to = shell.path(name).to_str().unwrap().to_owned();
    let ran = shell.run(&["db", "copy", "--to", &to, "--yes"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    to
}

#[test]
fn info_tells_what_is_in_the_database_and_who_serves_it() {
    let (shell, _) = with_token();
    let text = shell.ok(&["db", "info"]);
    let place = format!("sqlite:{}", shell.database().display());
    assert!(text.starts_with(&format!("database  {place}\n")), "{text}");
    assert!(text.contains("\ndaemons   none\n"), "{text}");
    assert!(text.contains("\ntokens            1\n"), "{text}");
    assert_eq!(shell.ok(&["db", "info", "--quiet"]), place);
    let daemon = shell.serve();
    let info = shell.json(&["db", "info"]);
    assert_eq!(info["daemons"], json!([format!("pid {}", daemon.pid())]));
    assert_eq!(info["database"], json!(place));
    assert_eq!(info["schema"], info["needs"]);
    assert_eq!(info["settings"]["journal_mode"], "wal");
    assert!(info["bytes"].as_u64().unwrap() > 4096);
    let tables = info["tables"].as_array().unwrap();
    let rows = tables.iter().map(|table| table["rows"].as_u64().unwrap());
    assert_eq!(info["rows"], json!(rows.sum::<u64>()));
}

#[test]
fn looking_at_a_database_needs_neither_its_key_file_nor_the_schema_of_this_program() {
    let (shell, _) = with_token();
    std::fs::remove_file(shell.path("data/provost.key")).unwrap();
    change(&shell, "PRAGMA user_version = 3");
    let text = shell.ok(&["db", "info"]);
    assert!(text.contains("schema    3, this program needs "), "{text}");
    // That is also what the check is about: the history says otherwise.
    let ran = shell.run(&["db", "check"]);
    assert_eq!(ran.status, 13, "{ran:?}");
    assert!(
        ran.stdout.contains("it is stamped with schema 3"),
        "{ran:?}"
    );
    let bare = Shell::bare();
    bare.fails(5, &["db", "info"]);
    bare.fails(5, &["db", "check"]);
    assert!(!bare.path("data").exists());
}

#[test]
fn a_check_ends_with_thirteen_and_names_what_cannot_be_right() {
    let (shell, _) = with_token();
    let text = shell.ok(&["db", "check"]);
    assert!(text.starts_with("integrity     ok: "), "{text}");
    assert_eq!(shell.ok(&["db", "check", "--quiet"]), "");
    assert_eq!(shell.json(&["db", "check"])["ok"], true);
    change(&shell, "PRAGMA foreign_keys = OFF; DELETE FROM users");
    let ran = shell.run(&["--json", "db", "check"]);
    assert_eq!(
        (ran.status, &ran.json()["ok"]),
        (13, &json!(false)),
        "{ran:?}"
    );
    let document = ran.json();
    let checks = document["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .flat_map(|check| check["findings"].as_array().unwrap());
    let objects: Vec<&Value> = found.map(|finding| &finding["object"]).collect();
    assert_eq!(objects, ["tokens", "user_roles"]);
    let ran = shell.run(&["db", "check"]);
    assert!(
        ran.stdout
            .contains("1 rows point to users that are not there"),
        "{ran:?}"
    );
}

#[test]
fn a_copy_holds_the_same_and_every_token_stays_good() {
    let (shell, token) = with_token();
    let before = std::fs::read(shell.database()).unwrap();
    let to = shell.path("moved/provost.db");
    std::fs::create_dir(shell.path("moved")).unwrap();
    let to = to.to_str().unwrap();
    let plan = shell.json(&["db", "copy", "--to", to, "--dry-run"]);
    assert_eq!(
        (&plan["target"], std::path::Path::new(to).exists()),
        (&json!("missing"), false)
    );
    let ran = shell.run(&["db", "copy", "--to", to, "--yes"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let table = lines(&ran.stdout);
    assert!(table.contains(&vec!["tokens", "1", "1", "yes"]), "{ran:?}");
    assert!(
        ran.stderr
            .contains(&format!("copied {} rows in ", plan["rows"])),
        "{ran:?}"
    );
    let key = shell.path("data/provost.key");
    let next = format!("set db to sqlite:{to} and key_file to {}", key.display());
    assert!(ran.stderr.contains(&next), "{ran:?}");
    assert_eq!(std::fs::read(shell.database()).unwrap(), before);
    assert_eq!(mode(to.as_ref()), 0o600);
    // As a daemon does that is pointed there with the same key file.
    let moved = shell
        .with("PROVOST_DB", to)
        .with("PROVOST_KEY_FILE", key.to_str().unwrap());
    let looked = moved.run_with(&["--json", "token", "lookup", "-"], &token);
    assert_eq!(looked.json()["reason"], "ok", "{looked:?}");
    assert_eq!(
        moved.json(&["audit", "list", "--action", "db.copied"])["items"][0]["result"],
        "ok"
    );
    let daemon = moved.serve();
    let headers = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(daemon.request("GET", "/api/v1/tokens", &headers, "").0, 403);
    drop(daemon);
    moved.ok(&["db", "check"]);
}

#[test]
fn a_copy_back_holds_what_was_there_and_both_copies() {
    let (shell, _) = with_token();
    let there = copied(&shell, "there.db");
    let back = shell.path("back.db");
    let back = back.to_str().unwrap();
    shell.ok(&["db", "copy", "--from", &there, "--to", back, "--yes"]);
    for (from, to) in [(there.as_str(), back), (back, there.as_str())] {
        shell.ok(&["db", "copy", "--from", from, "--to", to, "--verify"]);
    }
    let copies = "SELECT COUNT(*) FROM audit_events WHERE action = 'db.copied'";
    assert_eq!(number(&open(back.as_ref()), copies), 2);
}

#[test]
fn a_copy_is_refused_before_anything_is_changed() {
    let (shell, _) = with_token();
    let place = shell.database();
    let place = place.to_str().unwrap();
    let to = copied(&shell, "full.db");
    let told = shell.fails(6, &["db", "copy", "--to", &to, "--yes"]);
    assert!(
        told.contains("full.db is not empty: there are rows in "),
        "{told}"
    );
    shell.fails(6, &["db", "copy", "--to", &to, "--dry-run"]);
    let told = shell.fails(2, &["db", "copy", "--to", place, "--yes"]);
    assert!(told.contains("are the same database"), "{told}");
    let link = shell.path("link.db");
    std::fs::hard_link(place, &link).unwrap();
    shell.fails(2, &["db", "copy", "--to", link.to_str().unwrap(), "--yes"]);
    std::fs::remove_file(link).unwrap();
    shell.fails(2, &["db", "copy", "--yes"]);
    let new = shell.path("new.db");
    let new = new.to_str().unwrap();
    let told = shell.fails(2, &["db", "copy", "--to", new]);
    assert!(told.contains("add --yes, or --yes="), "{told}");
    shell.fails(6, &["db", "copy", "--to", new, "--yes=1"]);
    shell.fails(5, &["db", "copy", "--from", new, "--to", &to, "--yes"]);
    let told = shell.fails(
        2,
        &["db", "copy", "--from", "mysql://u:hunter2@h/d", "--to", new],
    );
    assert!(!told.contains("hunter2"), "{told}");
    change(&shell, "PRAGMA user_version = 3");
    let told = shell.fails(11, &["db", "copy", "--to", new, "--yes"]);
    assert!(
        told.contains(&format!("sqlite:{place} has schema 3, this binary needs ")),
        "{told}"
    );
    assert!(
        told.contains(&format!("provost --db sqlite:{place} migrate up")),
        "{told}"
    );
    assert!(!std::path::Path::new(new).exists());
}

#[test]
fn a_daemon_that_would_go_on_writing_to_the_source_is_named_and_in_the_way() {
    let (shell, _) = with_token();
    let daemon = shell.serve();
    let to = shell.path("new.db");
    let to = to.to_str().unwrap();
    let told = shell.fails(10, &["db", "copy", "--to", to, "--yes"]);
    assert!(told.contains(&format!("pid {}", daemon.pid())), "{told}");
    shell.ok(&["db", "copy", "--to", to, "--dry-run"]);
    assert!(!std::path::Path::new(to).exists());
    shell.ok(&["db", "copy", "--to", to, "--yes", "--online"]);
    drop(daemon);
    let report = shell.json(&["db", "copy", "--to", to, "--verify"]);
    let odd = report["tables"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["equal"] == false);
    for table in odd {
        let table = table["table"].as_str().unwrap();
        assert!(["clock", "jobs", "job_runs"].contains(&table), "{table}");
    }
}

#[test]
fn two_databases_that_differ_end_a_comparison_with_thirteen() {
    let (shell, _) = with_token();
    let to = copied(&shell, "other.db");
    let verify = ["db", "copy", "--to", &to, "--verify"];
    shell.ok(&verify);
    shell.ok(&["token", "create"]);
    let ran = shell.run(&verify);
    assert_eq!(ran.status, 13, "{ran:?}");
    let table = lines(&ran.stdout);
    assert!(table.contains(&vec!["tokens", "2", "1", "no"]), "{ran:?}");
    assert!(table.contains(&vec!["users", "1", "1", "yes"]), "{ran:?}");
    let ran = shell.run(&[&["--json"][..], &verify].concat());
    assert_eq!((ran.status, &ran.json()["equal"]), (13, &json!(false)));
}

#[test]
fn a_backup_is_a_whole_database_made_beside_a_running_daemon() {
    let (shell, token) = with_token();
    let daemon = shell.serve();
    let made = shell.json(&["backup", "create"]);
    let path = std::path::PathBuf::from(made["path"].as_str().unwrap());
    assert_eq!(path.parent().unwrap(), shell.path("data/backups"));
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(made["bytes"], json!(path.metadata().unwrap().len()));
    let sum = Ran::of(&mut shell.line(&format!("sha256sum {}", path.display())));
    assert!(
        sum.stdout.starts_with(made["sha256"].as_str().unwrap()),
        "{sum:?}"
    );
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1
    );
    let events = shell.json(&["audit", "list", "--action", "backup.created"]);
    assert_eq!(events["items"][0]["details"]["sha256"], made["sha256"]);
    daemon.stop();
    let key = shell.path("data/provost.key");
    let restored = shell
        .with("PROVOST_DB", path.to_str().unwrap())
        .with("PROVOST_KEY_FILE", key.to_str().unwrap());
    let looked = restored.run_with(&["--json", "token", "lookup", "-"], &token);
    assert_eq!(looked.json()["reason"], "ok", "{looked:?}");
    restored.ok(&["db", "check"]);
}

#[test]
fn a_backup_overwrites_nothing_and_can_go_down_a_pipe() {
    let (shell, _) = with_token();
    let to = shell.path("b.db");
    let ran = shell.run(&["backup", "create", "-o", to.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("the key file is not in it"), "{ran:?}");
    let before = std::fs::read(&to).unwrap();
    shell.fails(6, &["backup", "create", "-o", to.to_str().unwrap()]);
    assert_eq!(std::fs::read(&to).unwrap(), before);
    shell.fails(7, &["backup", "create", "-o", "nowhere/b.db"]);
    shell.fails(2, &["--json", "backup", "create", "-o", "-"]);
    let piped = shell.path("piped.db");
    let line = format!("provost backup create -o - --quiet > {}", piped.display());
    let ran = Ran::of(&mut shell.line(&line));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(texts(&open(&piped), "PRAGMA integrity_check"), ["ok"]);
    let left: Vec<_> = std::fs::read_dir(shell.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".backup-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_damaged_database_is_not_backed_up() {
    let (shell, _) = with_token();
    change(&shell, "PRAGMA foreign_keys = OFF; DELETE FROM users");
    let to = shell.path("b.db");
    let told = shell.fails(13, &["backup", "create", "-o", to.to_str().unwrap()]);
    assert!(told.contains("tokens: 1 rows point to users"), "{told}");
    assert!(!to.exists());
}
