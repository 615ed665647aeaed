//! The rules that every command keeps, and the commands that belong to no noun.

use std::process::Stdio;

use crate::support::{PROVOST, Ran, Shell, mode};

#[test]
fn init_sets_everything_up_and_may_be_repeated() {
    let shell = Shell::bare();
    let first = shell.json(&["init"]);
    assert_eq!(first["key_file_new"], true);
    assert_eq!(first["database_new"], true);
    for (name, wanted) in [
        ("data", 0o700),
        ("data/provost.db", 0o600),
        ("data/provost.key", 0o600),
    ] {
        assert_eq!(mode(&shell.path(name)), wanted, "{name}");
    }
    let key = std::fs::read(shell.path("data/provost.key")).unwrap();
    assert_eq!(first["administrators"], serde_json::json!([]));
    let again = shell.json(&["init"]);
    assert_eq!(again["key_file_new"], false);
    assert_eq!(again["schema"], first["schema"]);
    assert_eq!(std::fs::read(shell.path("data/provost.key")).unwrap(), key);
}

#[test]
fn init_makes_the_first_administrator_once() {
    let shell = Shell::bare();
    let init = [
        "init",
        "--admin",
        "maria",
        "--email",
        "maria@example.org",
        "--password-stdin",
    ];
    let ran = shell.run_with(&init, "correct horse battery staple\n");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("administrator  maria ("), "{ran:?}");
    let user = shell.json(&["user", "show", "maria"]);
    assert_eq!(user["roles"], serde_json::json!(["admin"]));
    // Repeated, it neither asks for a password nor changes one.
    let again = shell.json(&["init", "--admin", "Maria"]);
    assert_eq!(again["administrators"][0]["id"], user["id"]);
    let again = shell.run(&["init", "--admin", "maria", "--generate"]);
    assert!(again.stderr.contains("keeps the password"), "{again:?}");
    shell.ok(&["user", "create", "ivan", "--no-password"]);
    let other = Shell::bare().run(&["init", "--admin", "anna", "--generate"]);
    assert!(other.stdout.contains("\npassword       "), "{other:?}");
    let told = shell.fails(6, &["init", "--admin", "ivan", "--no-password"]);
    assert!(told.contains("already in use"), "{told}");
    // Its flags mean nothing without it.
    shell.fails(2, &["init", "--email", "x@example.org"]);
    shell.fails(2, &["init", "--generate"]);
}

#[test]
fn a_password_made_at_init_is_shown_once() {
    let shell = Shell::bare();
    let made = shell.json(&["init", "--admin", "maria", "--generate"]);
    assert!(made["password"].as_str().unwrap().len() >= 12);
    let bare = Shell::bare();
    let file = bare.path("password");
    let made = bare.json(&[
        "init",
        "--admin",
        "maria",
        "--generate",
        "--out",
        file.to_str().unwrap(),
    ]);
    assert!(made.get("password").is_none());
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_key_file_without_its_database_is_a_loss_and_never_a_new_start() {
    let shell = Shell::new();
    std::fs::remove_file(shell.database()).unwrap();
    for command in [vec!["init"], vec!["token", "list"], vec!["serve"]] {
        let told = shell.fails(5, &command);
        assert!(
            told.contains("there is a key file, but no database"),
            "{told}"
        );
    }
    assert!(!shell.database().exists());
}

#[test]
fn a_database_in_use_does_not_get_another_key_file() {
    let shell = Shell::new();
    let key = shell.path("data/provost.key");
    std::fs::remove_file(&key).unwrap();
    // An unfinished start: nothing has been keyed yet.
    shell.ok(&["init"]);
    shell.ok(&["token", "create"]);
    std::fs::remove_file(&key).unwrap();
    let told = shell.fails(7, &["init"]);
    assert!(told.contains("put its copy back"), "{told}");
    assert!(!key.exists());
}

#[test]
fn a_database_of_another_program_is_left_alone_and_gets_no_key_file() {
    let shell = Shell::bare();
    let other = shell.path("tokens.db");
    let db = rusqlite::Connection::open(&other).unwrap();
    db.execute_batch("CREATE TABLE tokens (id INTEGER, token TEXT)")
        .unwrap();
    drop(db);
    // As the older service was told where its file is.
    let shell = shell.with("DATABASE_URL", &format!("sqlite:///{}", other.display()));
    for command in ["init", "serve"] {
        let told = shell.fails(11, &[command]);
        assert!(told.contains("belongs to another program"), "{told}");
        assert!(told.contains("DATABASE_URL"), "{told}");
    }
    assert!(!shell.path("data/provost.key").exists());
    let db = rusqlite::Connection::open(&other).unwrap();
    let tables = "SELECT name FROM sqlite_schema";
    let table: String = db.query_one(tables, [], |row| row.get(0)).unwrap();
    assert_eq!(table, "tokens");
}

#[test]
fn a_lost_key_file_is_told_as_a_loss_by_every_command() {
    let shell = Shell::new();
    shell.ok(&["token", "create"]);
    std::fs::remove_file(shell.path("data/provost.key")).unwrap();
    for command in [vec!["init"], vec!["serve"], vec!["token", "list"]] {
        let told = shell.fails(7, &command);
        assert!(told.contains("put its copy back"), "{command:?} {told}");
    }
}

#[test]
fn nothing_is_set_up_by_a_command_that_only_looks() {
    let shell = Shell::bare();
    let told = shell.fails(5, &["token", "list"]);
    assert!(told.contains("hint: run: provost init"), "{told}");
    assert!(!shell.path("data").exists());
}

#[test]
fn a_mistake_ends_with_two_and_is_a_problem_object_under_json() {
    let shell = Shell::bare();
    shell.fails(2, &["token", "bogus"]);
    for (flag, wanted) in [
        (["token", "list", "--limit"], "from 1 to 1000"),
        (["token", "create", "--max-uses"], "1 or more"),
    ] {
        for number in ["0", "-1", "many", "4294967296"] {
            let told = shell.fails(2, &[&flag[..], &[number]].concat());
            assert!(number == "-1" || told.contains(wanted), "{told}");
        }
    }
    for line in [
        vec!["token", "bogus", "--json"],
        vec!["--json", "token", "create", "--ttl", "60"],
        vec!["frobnicate", "--json"],
    ] {
        let ran = shell.run(&line);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{line:?}");
        let problem: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(problem["code"], "usage", "{line:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let shell = Shell::new();
    let mut child = shell
        .command(&["token", "create", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
}

#[test]
fn the_version_is_told_without_a_home_a_data_folder_or_an_environment() {
    let mut command = std::process::Command::new(PROVOST);
    let ran = Ran::of(command.arg("--version").env_clear());
    assert_eq!(ran.status, 0);
    assert_eq!(
        ran.stdout,
        concat!("provost ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_key_file_that_others_may_read_is_refused_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt as _;
    let shell = Shell::new();
    let key = shell.path("data/provost.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = shell.fails(7, &["token", "list"]);
    assert!(told.contains("chmod 600"), "{told}");
}

#[test]
fn the_operator_and_the_person_behind_are_named_in_the_audit_log() {
    let shell = Shell::new();
    shell.ok(&["token", "create", "--as", "maria"]);
    let list = shell.json(&["audit", "list", "--action", "token.created"]);
    let actor = list["items"][0]["actor"].as_str().unwrap();
    assert!(
        actor.starts_with("os:") && actor.ends_with(" as maria"),
        "{actor}"
    );
}

#[test]
fn the_daemon_sets_itself_up_serves_and_stops_cleanly() {
    let shell = Shell::bare();
    let daemon = shell.serve();
    assert!(
        daemon.log().contains("provost user create"),
        "{}",
        daemon.log()
    );
    assert_eq!(daemon.get("/readyz").0, 200);
    let ran = shell.run(&["health", "--url", &daemon.url()]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, "ready\n"));
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    // A clean stop leaves nothing in the write-ahead log.
    assert!(!shell.path("data/provost.db-wal").exists());
    let told = shell.fails(1, &["health", "--url", "http://127.0.0.1:1"]);
    assert!(told.contains("cannot reach the daemon"), "{told}");
}

#[test]
fn a_second_daemon_on_the_same_database_names_the_first() {
    let shell = Shell::bare();
    let first = shell.serve();
    let told = shell.fails(10, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(told.contains(&format!("pid {}", first.pid())), "{told}");
}

#[test]
fn the_daemon_listens_on_several_addresses_at_once() {
    let shell = Shell::new();
    let socket = format!("unix:{}", shell.path("http.sock").display());
    let daemon = shell.serve_with(&["--listen", &socket, "--listen", "127.0.0.1:0"]);
    assert_eq!(daemon.address, socket);
    assert_eq!(daemon.get("/livez").0, 200);
    let health = shell.run(&["health", "--url", &socket]);
    assert_eq!(health.status, 0, "{health:?}");
    daemon.stop();
    assert!(!shell.path("http.sock").exists());
}

#[test]
fn a_hangup_changes_the_log_level_and_nothing_else() {
    let shell = Shell::new();
    let file = shell.path("provost.toml");
    std::fs::write(&file, "").unwrap();
    let shell = shell.with("PROVOST_CONFIG", file.to_str().unwrap());
    let daemon = shell.serve();
    std::fs::write(&file, "[log]\nlevel = \"error\"\n").unwrap();
    daemon.signal("HUP");
    // The answer comes after the signal was taken up, however the two race.
    assert_eq!(daemon.get("/livez").0, 200);
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn settings_are_shown_with_their_origin_and_the_template_changes_none() {
    let shell = Shell::bare();
    let template = shell.path("provost.toml");
    let name = template.to_str().unwrap();
    shell.ok(&["config", "init", "--out", name]);
    shell.fails(6, &["config", "init", "--out", name]);
    assert_eq!(
        shell.json(&["config", "show"]),
        shell.json(&["config", "show", "--config", name])
    );
    let shell = shell.with("PROVOST_TOKENS_API_TTL", "10d");
    let rows = shell.json(&["config", "show", "--origin"]);
    let mut rows = rows["items"].as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == "tokens.api_ttl").unwrap();
    assert_eq!(row["value"], "10d");
    assert_eq!(row["origin"], "PROVOST_TOKENS_API_TTL");
    let shell = shell.with("PROVOST_TOKENS_API_TTL", "soon");
    let told = shell.fails(2, &["config", "check"]);
    assert!(told.contains("PROVOST_TOKENS_API_TTL"), "{told}");
}
