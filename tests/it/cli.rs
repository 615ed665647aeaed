//! The rules that every command keeps, and the commands that belong to no noun.

use std::fs;
use std::process::Stdio;

use crate::support::engine::only_on_sqlite;
use crate::support::{Daemon, PROVOST, Ran, Shell, mode};

#[test]
fn init_sets_everything_up_and_may_be_repeated() {
    let shell = Shell::bare();
    let first = shell.json(&["init"]);
    assert_eq!(first["key_file_new"], true);
    assert_eq!(first["database_new"], true);
    assert_eq!(mode(&shell.path("data")), 0o700);
    assert_eq!(mode(&shell.path("data/provost.key")), 0o600);
    if shell.schema_url().is_none() {
        assert_eq!(mode(&shell.database()), 0o600);
    }
    let key = std::fs::read(shell.path("data/provost.key")).unwrap();
    assert_eq!(first["administrators"], serde_json::json!([]));
    let again = shell.json(&["init"]);
    assert_eq!(again["key_file_new"], false);
    assert_eq!(again["schema"], first["schema"]);
    assert_eq!(std::fs::read(shell.path("data/provost.key")).unwrap(), key);
}

#[test]
fn what_was_cut_off_is_finished_by_the_next_attempt() {
    if only_on_sqlite("an empty file is what was left behind") {
        return;
    }
    let shell = Shell::bare();
    std::fs::create_dir(shell.path("data")).unwrap();
    std::fs::write(shell.database(), "").unwrap();
    shell.ok(&["init"]);
    shell.ok(&["token", "list"]);
}

#[test]
fn several_that_set_up_at_once_agree_on_one_key() {
    let shell = Shell::bare();
    let spawn = || {
        shell
            .command(&["init", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = (0..6).map(|_| spawn()).collect();
    let made: Vec<Ran> = running
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().into())
        .collect();
    assert!(made.iter().all(|ran| ran.status == 0), "{made:?}");
    let new = made.iter().filter(|ran| ran.json()["key_file_new"] == true);
    assert_eq!(new.count(), 1, "{made:?}");
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
    if only_on_sqlite("the file is taken away") {
        return;
    }
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
fn an_emptied_database_is_a_loss_like_one_that_is_gone() {
    if only_on_sqlite("the loss is that of a file") {
        return;
    }
    let shell = Shell::new();
    shell.ok(&["user", "create", "ivan", "--no-password"]);
    let backup = shell.json(&["backup", "create"]);
    let database = shell.database();
    for name in ["provost.db-wal", "provost.db-shm"] {
        let _gone = fs::remove_file(database.with_file_name(name));
    }
    fs::write(&database, "").unwrap();
    for line in [
        &["init"][..],
        &["user", "list"],
        &["db", "check"],
        &["migrate", "up"],
        &["serve", "--migrate", "--listen", "127.0.0.1:0"],
    ] {
        let told = shell.fails(5, line);
        assert!(
            told.contains("there is a key file, but no database"),
            "{line:?}: {told}"
        );
    }
    let told = shell.run(&["doctor", "--quick"]);
    assert!(
        told.stdout.contains("there is a key file, but no database"),
        "{told:?}"
    );
    assert_eq!(fs::read(&database).unwrap(), b"");
    let restore = ["restore", backup["path"].as_str().unwrap(), "--yes"];
    shell.ok(&restore);
    shell.ok(&["user", "show", "ivan"]);
    // Also with a page in it, as an engine leaves it that has made it anew.
    fs::remove_file(&database).unwrap();
    let anew = rusqlite::Connection::open(&database).unwrap();
    anew.execute_batch("VACUUM").unwrap();
    drop(anew);
    for line in [
        &["init"][..],
        &["user", "list"],
        &["serve", "--migrate", "--listen", "127.0.0.1:0"],
    ] {
        let told = shell.fails(11, line);
        assert!(
            told.contains("there is nothing in the database"),
            "{line:?}: {told}"
        );
    }
    shell.ok(&restore);
    shell.ok(&["user", "show", "ivan"]);
}

#[test]
fn a_database_in_use_does_not_get_another_key_file() {
    let shell = Shell::new();
    let key = shell.path("data/provost.key");
    std::fs::remove_file(&key).unwrap();
    let told = shell.fails(7, &["init"]);
    assert!(told.contains("put its copy back"), "{told}");
    assert!(!key.exists());
    // An unfinished start: nothing has been keyed yet.
    shell.sql().run("DELETE FROM keyring");
    shell.ok(&["init"]);
    assert!(key.exists());
}

#[test]
fn another_databases_key_file_is_refused() {
    let (shell, other) = (Shell::new(), Shell::new());
    std::fs::copy(
        other.path("data/provost.key"),
        shell.path("data/provost.key"),
    )
    .unwrap();
    for command in [vec!["token", "list"], vec!["serve"]] {
        let told = shell.fails(7, &command);
        assert!(told.contains("belongs to another database"), "{told}");
    }
}

#[test]
fn a_database_of_another_program_is_left_alone_and_gets_no_key_file() {
    if only_on_sqlite("the other program's database is a file") {
        return;
    }
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
    if only_on_sqlite("several daemons may share a server") {
        return;
    }
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
    std::fs::write(&file, "[log]\nlevel = \"error\"\n").unwrap();
    let shell = shell.with("PROVOST_CONFIG", file.to_str().unwrap());
    // Where it listens is told at the level of information, which is off: so on a socket.
    let socket = shell.path("http.sock");
    let listen = format!("unix:{}", socket.display());
    let mut daemon = Daemon::started(&mut shell.command(&["serve", "--listen", &listen]));
    daemon.wait_for(&socket);
    std::fs::write(&file, "[log]\nlevel = \"info\"\n").unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("read the log level again");
    daemon.signal("TERM");
    assert_eq!(daemon.wait().0, 0);
}

#[test]
fn the_service_manager_is_told_when_the_daemon_is_ready_and_when_it_stops() {
    let shell = Shell::new();
    let socket = shell.path("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let shell = shell.with("NOTIFY_SOCKET", socket.to_str().unwrap());
    let daemon = shell.serve();
    let mut text = [0; 64];
    let mut told = || {
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert!(told().starts_with("READY=1"));
    assert_eq!(daemon.get("/readyz").0, 200);
    daemon.stop();
    assert!(told().starts_with("STOPPING=1"));
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_running() {
    use std::io::Write as _;
    let shell = Shell::new();
    let mut daemon = shell.serve();
    // A request that never ends its body.
    let mut slow = std::net::TcpStream::connect(&daemon.address).unwrap();
    let head = "POST /app/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 10\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    assert_eq!(daemon.get("/livez").0, 200);
    daemon.signal("TERM");
    daemon.wait_for_log("stopping");
    daemon.signal("INT");
    let start = std::time::Instant::now();
    assert_eq!(daemon.wait().0, 0);
    // Not a measurement: without the second signal it would be ten seconds.
    assert!(start.elapsed().as_secs() < 8);
}

#[test]
fn a_disk_that_fails_again_and_again_ends_the_daemon() {
    if only_on_sqlite("the disk is the one of the file") {
        return;
    }
    let shell = Shell::new();
    // Beyond 150 KiB each write into the log fails as on a dying disk.
    let provost = shell.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut command = std::process::Command::new("sh");
    command
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 300; exec \"$@\"",
            "sh",
            PROVOST,
        ])
        .args(provost.get_args())
        .env_clear()
        .envs(
            provost
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let mut daemon = Daemon::start(&mut command);
    let issue = || daemon.request("POST", "/app/token", "", "").0;
    let good = (0..200).take_while(|_| issue() == 200).count();
    assert!((1..200).contains(&good), "{good} writes went through");
    assert_eq!(issue(), 503);
    // The third in a row may be its last: no answer is waited for, and nobody knows which it is.
    // On a busy machine the daemon tries the disk in between.
    let last =
        b"POST /app/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    while let Ok(mut client) = std::net::TcpStream::connect(&daemon.address) {
        let _ended = std::io::Write::write_all(&mut client, last);
        let _ended = std::io::Read::read_to_end(&mut client, &mut Vec::new());
    }
    let (status, log) = daemon.wait();
    assert_eq!(status, 13, "{log}");
    assert!(log.contains("restore the last good backup"), "{log}");
}

#[test]
fn what_root_makes_belongs_to_the_account_that_owns_the_folder() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let shell = Shell::bare();
    let folder = shell.path("data");
    std::fs::create_dir(&folder).unwrap();
    let (user, group) = (65_534, 65_533);
    if chown(&folder, Some(user), Some(group)).is_err() {
        // Only root can give files away, and only root would make them for somebody else.
        return;
    }
    shell.ok(&["init"]);
    let daemon = shell.serve();
    shell.ok(&["token", "create"]);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let least = if shell.schema_url().is_some() { 1 } else { 6 };
    assert!(files.len() >= least, "{files:?}");
    for file in files {
        let about = file.metadata().unwrap();
        assert_eq!((about.uid(), about.gid()), (user, group), "{file:?}");
    }
    drop(daemon);
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

#[test]
fn another_programs_database_is_refused_and_gets_no_key_file() {
    if only_on_sqlite("the other program's database is a file") {
        return;
    }
    let shell = Shell::bare().with("DATABASE_URL", "sqlite:///./tokens.db");
    let foreign = rusqlite::Connection::open(shell.path("tokens.db")).unwrap();
    foreign
        .execute_batch("CREATE TABLE tokens (token TEXT)")
        .unwrap();
    drop(foreign);
    for command in ["init", "serve"] {
        let told = shell.fails(11, &[command]);
        assert!(told.contains("belongs to another program"), "{told}");
    }
    // Without the variable it starts anew, as if nothing had happened.
    let shell = shell.with("DATABASE_URL", "");
    shell.ok(&["init"]);
}

#[test]
fn a_database_outside_of_the_data_folder_has_its_key_file_beside_it() {
    if only_on_sqlite("the database is a file in another folder") {
        return;
    }
    let shell = Shell::bare();
    let elsewhere = shell.path("elsewhere/tokens.db");
    let elsewhere = elsewhere.to_str().unwrap();
    shell.ok(&["init", "--db", elsewhere]);
    assert_eq!(mode(&shell.path("elsewhere/tokens.key")), 0o600);
    assert!(!shell.path("data/provost.key").exists());
    std::fs::remove_dir_all(shell.path("data")).unwrap();
    shell.ok(&["token", "create", "--db", elsewhere]);
}
