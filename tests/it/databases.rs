//! `provost db …` and `provost backup …` as a person and a script meet them.

use serde_json::{Value, json};

use crate::support::cluster::say;
use crate::support::engine::{Schema, only_on_sqlite};
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

/// What the shell's database is called: a server's without the options of the URL.
fn place(shell: &Shell) -> String {
    match shell.schema_url() {
        Some(url) => url.split('?').next().unwrap().to_owned(),
        None => format!("sqlite:{}", shell.database().display()),
    }
}

/// Removes the users, and leaves behind what points to them.
fn leave_dangling(shell: &Shell) {
    let unlock = match shell.schema_url() {
        Some(_) => "SET session_replication_role = replica",
        None => "PRAGMA foreign_keys = OFF",
    };
    shell.sql().run(&format!("{unlock}; DELETE FROM users"));
}

/// The objects that a check has found fault with.
fn found(document: &Value) -> Vec<&Value> {
    let checks = document["checks"].as_array().unwrap().iter();
    let findings = checks.flat_map(|check| check["findings"].as_array().unwrap());
    findings.map(|finding| &finding["object"]).collect()
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
    let place = place(&shell);
    assert!(text.starts_with(&format!("database  {place}\n")), "{text}");
    assert!(text.contains("\ndaemons   none\n"), "{text}");
    assert!(text.contains("\ntokens            1\n"), "{text}");
    assert_eq!(shell.ok(&["db", "info", "--quiet"]), place);
    let daemon = shell.serve();
    let info = shell.json(&["db", "info"]);
    let served = info["daemons"][0].as_str().unwrap();
    assert!(served.ends_with(&format!("pid {}", daemon.pid())), "{info}");
    assert_eq!(info["database"], json!(place));
    assert_eq!(info["schema"], info["needs"]);
    match shell.schema_url() {
        Some(_) => assert_eq!(info["settings"]["collation"], "C"),
        None => assert_eq!(info["settings"]["journal_mode"], "wal"),
    }
    assert!(info["bytes"].as_u64().unwrap() > 4096);
    let tables = info["tables"].as_array().unwrap();
    let rows = tables.iter().map(|table| table["rows"].as_u64().unwrap());
    assert_eq!(info["rows"], json!(rows.sum::<u64>()));
}

#[test]
fn looking_at_a_database_needs_neither_its_key_file_nor_the_schema_of_this_program() {
    let (shell, _) = with_token();
    std::fs::remove_file(shell.path("data/provost.key")).unwrap();
    shell.sql().stamp(3);
    let text = shell.ok(&["db", "info"]);
    assert!(text.contains("schema    3, this program needs "), "{text}");
    // That is also what the check is about: the history says otherwise.
    let ran = shell.run(&["db", "check"]);
    assert_eq!(ran.status, 13, "{ran:?}");
    assert!(
        ran.stdout.contains("it is stamped with schema 3"),
        "{ran:?}"
    );
    if only_on_sqlite("a server's schema is there before anything is in it") {
        return;
    }
    let bare = Shell::bare();
    bare.fails(5, &["db", "info"]);
    bare.fails(5, &["db", "check"]);
    assert!(!bare.path("data").exists());
}

#[test]
fn a_check_ends_with_thirteen_and_names_what_cannot_be_right() {
    let (shell, _) = with_token();
    let text = shell.ok(&["db", "check"]);
    assert!(
        text.contains("integrity     ") && text.contains("foreign_keys  ok: "),
        "{text}"
    );
    assert_eq!(shell.ok(&["db", "check", "--quiet"]), "");
    assert_eq!(shell.json(&["db", "check"])["ok"], true);
    leave_dangling(&shell);
    let ran = shell.run(&["--json", "db", "check"]);
    assert_eq!(
        (ran.status, &ran.json()["ok"]),
        (13, &json!(false)),
        "{ran:?}"
    );
    let document = ran.json();
    assert_eq!(found(&document), ["tokens", "user_roles"]);
    let ran = shell.run(&["db", "check"]);
    assert!(
        ran.stdout
            .contains("1 row points to users that are not there"),
        "{ran:?}"
    );
}

#[test]
fn a_copy_holds_the_same_and_every_token_stays_good() {
    let (shell, token) = with_token();
    let before = std::fs::read(shell.database()).ok();
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
    assert_eq!(std::fs::read(shell.database()).ok(), before);
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
    let path = shell.database();
    let own = shell
        .schema_url()
        .unwrap_or(path.to_str().unwrap().to_owned());
    let to = copied(&shell, "full.db");
    let told = shell.fails(6, &["db", "copy", "--to", &to, "--yes"]);
    assert!(
        told.contains("full.db is not empty: there are rows in "),
        "{told}"
    );
    shell.fails(6, &["db", "copy", "--to", &to, "--dry-run"]);
    let told = shell.fails(2, &["db", "copy", "--to", &own, "--yes"]);
    assert!(told.contains("are the same database"), "{told}");
    if shell.schema_url().is_none() {
        let link = shell.path("link.db");
        std::fs::hard_link(&path, &link).unwrap();
        shell.fails(2, &["db", "copy", "--to", link.to_str().unwrap(), "--yes"]);
        std::fs::remove_file(link).unwrap();
    }
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
    let secret = "postgres://app:hunter2@localhost/p";
    let told = shell.fails(2, &["db", "copy", "--to", secret, "--yes"]);
    assert!(
        told.contains("PROVOST_DB_FILE") && !told.contains("hunter2"),
        "{told}"
    );
    shell.sql().stamp(3);
    let place = place(&shell);
    let told = shell.fails(11, &["db", "copy", "--to", new, "--yes"]);
    assert!(
        told.contains(&format!("{place} has schema 3, this binary needs ")),
        "{told}"
    );
    assert!(
        told.contains(&format!("provost --db {place} migrate up")),
        "{told}"
    );
    assert!(!std::path::Path::new(new).exists());
}

#[test]
fn a_copy_says_what_was_probably_meant() {
    let (shell, _) = with_token();
    let full = copied(&shell, "full.db");
    let bare = shell.path("bare.db");
    let bare = bare.to_str().unwrap();
    let own = shell.path("own");
    shell.ok(&["--data-dir", own.to_str().unwrap(), "--db", bare, "init"]);
    let told = shell.fails(6, &["db", "copy", "--from", bare, "--to", &full, "--yes"]);
    assert!(told.contains("Exchange --from and --to"), "{told}");
    let told = shell.fails(6, &["db", "copy", "--to", &full, "--yes"]);
    assert!(!told.contains("Exchange"), "{told}");
    let text = shell.path("notes.txt");
    std::fs::write(&text, "a line\n".repeat(1000)).unwrap();
    let text = text.to_str().unwrap();
    let new = shell.path("new.db");
    let new = new.to_str().unwrap();
    let told = shell.fails(2, &["db", "copy", "--from", text, "--to", new, "--yes"]);
    assert!(told.contains("notes.txt is not a database"), "{told}");
    assert!(!told.contains("damaged"), "{told}");
    let there = shell.path("no/where");
    let nowhere = there.join("x.db");
    for how in ["--yes", "--dry-run"] {
        let line = ["db", "copy", "--to", nowhere.to_str().unwrap(), how];
        let told = shell.fails(7, &line);
        let wanted = format!("there is no folder {}", there.display());
        assert!(told.contains(&wanted), "{told}");
    }
    let told = shell.fails(2, &["db", "copy", "--yes"]);
    assert!(told.contains("at least one of --from and --to"), "{told}");
}

#[test]
fn a_daemon_that_would_go_on_writing_to_the_source_is_named_and_in_the_way() {
    let (shell, _) = with_token();
    let daemon = shell.serve();
    let to = shell.path("new.db");
    let to = to.to_str().unwrap();
    let told = shell.fails(10, &["db", "copy", "--to", to, "--yes"]);
    assert!(told.contains(&format!("pid {}", daemon.pid())), "{told}");
    assert!(told.contains("add --online"), "{told}");
    shell.ok(&["db", "copy", "--to", to, "--dry-run"]);
    assert!(!std::path::Path::new(to).exists());
    shell.ok(&["db", "copy", "--to", to, "--yes", "--online"]);
    drop(daemon);
    let report = shell
        .run(&["--json", "db", "copy", "--to", to, "--verify"])
        .json();
    let tables = report["tables"].as_array().unwrap().iter();
    let odd = tables.filter(|table| table["equal"] == false);
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
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let (shell, token) = with_token();
    let daemon = shell.serve();
    let made = shell.json(&["backup", "create"]);
    let path = std::path::PathBuf::from(made["path"].as_str().unwrap());
    assert_eq!(path.parent().unwrap(), shell.path("data/backups"));
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(made["bytes"], json!(path.metadata().unwrap().len()));
    let sum = Ran::of(&mut shell.line(&format!("sha256sum {}", path.display())));
    assert_eq!(sum.stdout.split(' ').next(), made["sha256"].as_str());
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        2
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
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
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
        .filter(|name| name.starts_with(".provost-backup-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_damaged_database_is_not_backed_up() {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let (shell, _) = with_token();
    leave_dangling(&shell);
    let to = shell.path("b.db");
    let told = shell.fails(13, &["backup", "create", "-o", to.to_str().unwrap()]);
    assert!(told.contains("tokens: 1 row points to users"), "{told}");
    assert!(!to.exists());
}

#[test]
fn everything_goes_from_a_server_to_a_file_and_back_and_every_token_stays_good() {
    let Some((_cluster, server)) = crate::postgres::server() else {
        return;
    };
    let shell = Shell::on(&server).after_init();
    shell.ok(&["user", "create", "maria", "--no-password", "--admin"]);
    let tokens: Vec<String> = (0..30)
        .map(|n| {
            let label = format!("Büro {n} ☂");
            let issued = shell.json(&["token", "create", "--owner", "maria", "--label", &label]);
            issued["token"].as_str().unwrap().to_owned()
        })
        .collect();
    let file = copied(&shell, "file.db");
    let back = Schema::new(&server);
    let plan = shell.json(&[
        "db",
        "copy",
        "--from",
        &file,
        "--to",
        &back.url(),
        "--dry-run",
    ]);
    assert_eq!(plan["target"], "blank");
    let ran = shell.run(&["db", "copy", "--from", &file, "--to", &back.url(), "--yes"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        lines(&ran.stdout).contains(&vec!["tokens", "30", "30", "yes"]),
        "{ran:?}"
    );
    let report = shell.json(&["db", "copy", "--to", &back.url(), "--verify"]);
    assert_eq!(report["equal"], true);
    shell.fails(6, &["db", "copy", "--to", &back.url(), "--yes"]);
    for place in [file, back.url()] {
        let key = shell.path("data/provost.key");
        for token in [&tokens[0], &tokens[29]] {
            let mut lookup = shell.line("provost --json token lookup -");
            lookup
                .env("PROVOST_DB", &place)
                .env("PROVOST_KEY_FILE", &key);
            let ran = Ran::with_input(&mut lookup, token);
            assert_eq!(ran.json()["reason"], "ok", "{place}: {ran:?}");
        }
        let mut check = shell.line("provost db check --quiet");
        let ran = Ran::of(check.env("PROVOST_DB", &place));
        assert_eq!(
            (ran.status, ran.stdout.as_str()),
            (0, ""),
            "{place}: {ran:?}"
        );
    }
}

#[test]
fn a_check_on_a_server_finds_what_is_no_longer_in_force() {
    let Some((_cluster, server)) = crate::postgres::server() else {
        return;
    };
    let shell = Shell::on(&server).after_init();
    let mut database = shell.sql();
    let available = "SELECT COUNT(*) FROM pg_available_extensions WHERE name = 'amcheck'";
    if database.number(available) == 1 {
        let text = shell.ok(&["db", "check"]);
        assert!(
            text.contains("integrity     skipped: needs the extension"),
            "{text}"
        );
        database.run("CREATE EXTENSION amcheck");
        let text = shell.ok(&["db", "check"]);
        assert!(
            text.contains("integrity     ok: amcheck, every row in "),
            "{text}"
        );
    }
    shell.ok(&["db", "check"]);
    database.run(
        "ALTER TABLE user_roles DISABLE TRIGGER ALL;
         ALTER TABLE tokens ADD CONSTRAINT used_check CHECK (used < 5) NOT VALID;
         UPDATE pg_index SET indisvalid = false
         WHERE indexrelid = CAST('users_username_key' AS REGCLASS);",
    );
    let ran = shell.run(&["--json", "db", "check"]);
    assert_eq!(ran.status, 13, "{ran:?}");
    let document = ran.json();
    assert_eq!(
        found(&document),
        ["users_username_key", "tokens", "user_roles"],
        "{document}"
    );
}

#[test]
fn a_character_that_a_server_cannot_store_is_named_with_its_table() {
    let Some((_cluster, server)) = crate::postgres::server() else {
        return;
    };
    let (shell, _) = with_token();
    let file = copied(&shell, "file.db");
    open(file.as_ref())
        .execute_batch("UPDATE tokens SET label = 'a' || char(0) || 'b'")
        .unwrap();
    let to = Schema::new(&server);
    let told = shell.fails(
        7,
        &["db", "copy", "--from", &file, "--to", &to.url(), "--yes"],
    );
    assert!(told.contains("a label in tokens holds U+0000"), "{told}");
    let plan = shell.json(&[
        "db",
        "copy",
        "--from",
        &file,
        "--to",
        &to.url(),
        "--dry-run",
    ]);
    assert_eq!(plan["target"], "empty");
}

#[test]
fn a_server_is_backed_up_by_its_own_tool_and_the_command_is_told() {
    let Some((_cluster, server)) = crate::postgres::server() else {
        return;
    };
    let shell = Shell::on(&server).after_init();
    shell.ok(&["token", "create"]);
    let told = shell.fails(2, &["backup", "create", "-o", "it's mine.dump"]);
    assert!(told.contains(r" --file='it'\''s mine.dump' "), "{told}");
    let told = shell.fails(2, &["backup", "create", "-o", "/mnt/x.dump"]);
    assert!(told.contains(" --file=/mnt/x.dump "), "{told}");
    let jobs = shell.json(&["job", "list"]);
    assert!(!jobs.to_string().contains("db.checkpoint"), "{jobs}");
    let told = shell.fails(2, &["backup", "create"]);
    let (_, command) = told.trim_end().split_once("run: ").unwrap();
    assert!(
        command.starts_with("pg_dump --format=custom --schema=t_"),
        "{told}"
    );
    let ran = Ran::of(&mut shell.line(command));
    if ran.status == 127 {
        return say("pg_dump is not installed: the command that was told is not run");
    }
    assert_eq!(ran.status, 0, "{command}: {ran:?}");
    let file = command
        .split("--file=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let list = Ran::of(&mut shell.line(&format!("pg_restore --list {file}")));
    assert!(
        list.stdout.contains("TABLE DATA") && list.stdout.contains(" tokens "),
        "{list:?}"
    );
}
