//! What the program refuses to start with or to work on, and what it never gives away: each with
//! its documented exit status, a sentence that says what to do, and everything left as it was.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::purge::{bearer, change};
use crate::support::client::{Client, Load};
use crate::support::engine::only_on_sqlite;
use crate::support::{Daemon, PROVOST, Ran, Shell, files};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// Commands of every sort that open the database: the daemon, one that reads, one that writes.
const OPENING: [&[&str]; 3] = [&SERVE, &["token", "list"], &["token", "create"]];

/// Runs a command that must fail with `status`, even one that would serve for ever.
#[track_caller]
fn refused(shell: &Shell, status: i32, line: &[&str]) -> String {
    let ran = Ran::within(Duration::from_secs(20), &mut shell.command(line));
    assert_eq!(ran.status, status, "{line:?}: {ran:?}");
    assert!(!ran.stderr.contains("panicked at"), "{line:?}: {ran:?}");
    assert_eq!(ran.stdout, "", "{line:?}");
    ran.stderr
}

/// Runs each of `OPENING`, which must fail with `status` and a sentence with `words` in it.
#[track_caller]
fn all_fail(shell: &Shell, status: i32, words: &str) {
    for line in OPENING {
        let told = refused(shell, status, line);
        assert!(told.contains(words), "{line:?}: {told}");
    }
}

/// Makes the write-ahead log a part of the main file, so that its bytes are all there is.
fn settle(path: &Path) {
    let connection = files::open(path);
    files::number(&connection, "PRAGMA wal_checkpoint(TRUNCATE)");
}

#[test]
fn a_second_daemon_is_refused_at_once_and_the_first_serves_on() {
    if only_on_sqlite("several daemons may share a server") {
        return;
    }
    let shell = Shell::unthrottled();
    let first = shell.serve();
    let load = Load::start(&first.address, 2, 2);
    let start = Instant::now();
    let told = refused(&shell, 10, &SERVE);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert!(told.contains(&format!("pid {}", first.pid())), "{told}");
    let lock = fs::read_to_string(shell.path("data/provost.db.pid")).unwrap();
    assert_eq!(lock.trim(), first.pid().to_string());
    load.wait_for(10);
    load.stop();
    assert_eq!(first.stop().0, 0);
}

#[test]
fn key_files_that_are_open_missing_or_damaged_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let shell = Shell::new();
    shell.ok(&["token", "create"]);
    let key = shell.path("data/provost.key");
    let text = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    all_fail(&shell, 7, "chmod 600");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, text.replace("master = \"", "master = \"!")).unwrap();
    let ran = shell.run(&["token", "list"]);
    assert_eq!(ran.status, 7, "{ran:?}");
    let master = text
        .rsplit_once(" = \"")
        .unwrap()
        .1
        .trim()
        .trim_matches('"');
    assert!(!ran.stderr.contains(&master[..20]), "{ran:?}");
    fs::remove_file(&key).unwrap();
    all_fail(&shell, 7, "key file");
    assert!(!key.exists());
}

#[test]
fn a_database_from_the_future_is_refused_and_left_as_it_was() {
    if only_on_sqlite("the bytes of the file are compared") {
        return;
    }
    let shell = Shell::new();
    shell.ok(&["token", "create"]);
    change(&shell, "PRAGMA user_version = 9999");
    settle(&shell.database());
    let before = fs::read(shell.database()).unwrap();
    all_fail(&shell, 11, "9999");
    for line in [
        &["migrate", "up"][..],
        &["init"],
        &["serve", "--migrate"],
        &["purge"],
    ] {
        refused(&shell, 11, line);
    }
    assert!(
        fs::read(shell.database()).unwrap() == before,
        "it was touched"
    );
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_was() {
    if only_on_sqlite("the bytes of the file are compared") {
        return;
    }
    let shell = Shell::new();
    let other = shell.path("other.db");
    files::open(&other)
        .execute_batch("CREATE TABLE theirs (n INTEGER); INSERT INTO theirs VALUES (42)")
        .unwrap();
    let before = fs::read(&other).unwrap();
    let shell = shell.with("PROVOST_DB", other.to_str().unwrap());
    all_fail(&shell, 11, "another program");
    shell.fails(11, &["migrate", "up"]);
    assert!(fs::read(&other).unwrap() == before, "it was touched");
    assert!(!shell.path("other.db-wal").exists());
}

#[test]
fn a_damaged_database_is_called_damaged_whatever_is_wrong_with_it() {
    if only_on_sqlite("the file is what is damaged") {
        return;
    }
    let shell = Shell::new();
    for _ in 0..20 {
        shell.ok(&["token", "create", "--label", "x"]);
    }
    settle(&shell.database());
    let good = fs::read(shell.database()).unwrap();
    let mut header = good.clone();
    header[..64].fill(0x5a);
    let mut middle = good.clone();
    let length = middle.len();
    middle[4096..length].fill(0x5a);
    for (what, bytes) in [
        ("garbage", vec![0x5a; 20_000]),
        ("its header", header),
        ("every page but the first", middle),
        ("cut in a page", good[..5000].to_vec()),
        ("cut after the first page", good[..4096].to_vec()),
        ("a text", b"hello, world".repeat(100)),
    ] {
        for extra in ["-wal", "-shm"] {
            let _ = fs::remove_file(shell.path(&format!("data/provost.db{extra}")));
        }
        fs::write(shell.database(), &bytes).unwrap();
        eprintln!("damaged: {what}");
        all_fail(&shell, 13, "damaged");
        assert!(
            fs::read(shell.database()).unwrap() == bytes,
            "{what}: touched"
        );
    }
}

#[test]
fn a_port_or_a_folder_that_cannot_be_had_ends_the_start_with_its_name() {
    let shell = Shell::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = refused(&shell, 1, &["serve", "--listen", &address]);
    assert!(told.contains(&address), "{told}");
    let bare = Shell::bare();
    fs::write(bare.path("file"), "").unwrap();
    for folder in ["/proc/provost", "file/data"] {
        for line in [&SERVE[..], &["init"]] {
            let mut command = bare.command(line);
            let command = command.env("PROVOST_DATA_DIR", folder);
            let ran = Ran::within(Duration::from_secs(20), command);
            assert_eq!(ran.status, 1, "{ran:?}");
            assert!(ran.stderr.contains(folder), "{ran:?}");
            assert!(!ran.stderr.contains("panicked at"), "{ran:?}");
        }
    }
}

#[test]
fn a_setting_that_does_not_exist_is_named_with_the_one_that_was_meant() {
    let shell = Shell::new();
    let file = shell.path("provost.toml");
    fs::write(&file, "[server]\nlistn = \"127.0.0.1:0\"\n").unwrap();
    let shell = shell.with("PROVOST_CONFIG", file.to_str().unwrap());
    all_fail(&shell, 2, "listn");
    let told = refused(&shell, 2, &SERVE);
    assert!(told.contains("server.listen"), "{told}");
}

/// Runs a line of a POSIX shell, in which `$0` is the program.
fn line(shell: &Shell, script: &str) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", script, PROVOST]).env_clear();
    let program = shell.command::<&str>(&[]);
    let variables = program.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    Ran::of(command.current_dir(shell.path("")))
}

#[test]
fn closed_streams_and_readers_that_leave_early_are_no_failure() {
    let shell = Shell::new();
    change(
        &shell,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO tokens (id, kind, digest, hint, created_at, expires_at)
         SELECT i, 'temporary', randomblob(32), 'xxxx', 1000, 9999999999999 FROM n",
    );
    for script in [
        "\"$0\" token list 2>&-",
        "\"$0\" token list >&- 2>&-",
        "\"$0\" token create --quiet 2>&-",
        "{ \"$0\" token list --all --jsonl; echo $? >status; } | head -1; exit $(cat status)",
        "{ \"$0\" token list --all; echo $? >status; } | head -1; exit $(cat status)",
        "{ \"$0\" audit list --all --json; echo $? >status; } | head -1; exit $(cat status)",
    ] {
        let ran = line(&shell, script);
        assert_eq!(
            (ran.status, ran.stderr.as_str()),
            (0, ""),
            "{script}: {ran:?}"
        );
    }
    files::check(&shell);
    // A daemon without a standard error serves all the same.
    let socket = shell.path("http.sock");
    let mut command = Command::new("sh");
    let script = "exec \"$0\" serve --listen \"unix:$PWD/http.sock\" >&- 2>&-";
    command.args(["-c", script, PROVOST]).env_clear();
    let program = shell.command::<&str>(&[]);
    let variables = program.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    let mut daemon = command.current_dir(shell.path("")).spawn().unwrap();
    let health = ["health", "--url", &format!("unix:{}", socket.display())];
    while shell.run(&health).status != 0 {
        assert_eq!(daemon.try_wait().unwrap(), None);
    }
    let pid = daemon.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(sent.unwrap().success());
    assert!(daemon.wait().unwrap().success());
    files::check(&shell);
}

#[test]
fn a_stop_under_load_loses_nothing_and_the_next_start_has_the_same_address() {
    let shell = Shell::new().with("PROVOST_THROTTLE_ISSUE_PER_SECOND", "0");
    let mut address = "127.0.0.1:0".to_owned();
    let (mut issued, mut slowest) = (Vec::new(), Duration::ZERO);
    for _ in 0..10 {
        let daemon = shell.serve_with(&["--listen", &address]);
        address.clone_from(&daemon.address);
        let load = Load::start(&address, 32, 0);
        load.wait_for(64);
        let start = Instant::now();
        let (status, log) = daemon.stop();
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("panicked at"), "{log}");
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        slowest = slowest.max(start.elapsed());
        issued.extend(load.stop());
        assert!(!shell.path("data/provost.db-wal").exists());
    }
    let daemon = shell.serve_with(&["--listen", &address]);
    let mut client = Client::connect(&daemon.address).unwrap();
    let lost = issued
        .iter()
        .filter(|token| !client.is_valid(token))
        .count();
    assert_eq!(lost, 0, "of {}", issued.len());
    eprintln!(
        "10 stops under load, the slowest in {slowest:?}, {} tokens",
        issued.len()
    );
    assert_eq!(daemon.stop().0, 0);
    files::check(&shell);
}

/// Everything that another process can read of this one: command line and environment.
fn seen(daemon: &Daemon) -> String {
    let folder = format!("/proc/{}", daemon.pid());
    let read = |name: &str| fs::read(format!("{folder}/{name}")).unwrap_or_default();
    let bytes = [read("cmdline"), read("environ")].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Presents a token in every way, right and wrong; returns the bodies of the answers.
fn present(client: &mut Client, bearer: &str, token: &str) -> Vec<String> {
    let mut told = Vec::new();
    let mut ask = |method: &str, path: &str, headers: &str, body: &str| {
        told.push(client.must(method, path, headers, body).body);
    };
    let body = json!({ "token": token }).to_string();
    ask("GET", &format!("/app/valid/{token}"), "", "");
    ask("POST", &format!("/app/valid/{token}"), "", &body);
    ask("POST", "/api/v1/introspect", bearer, &body);
    ask("POST", "/api/v1/tokens/consume", bearer, &body);
    // Mistakes, each with the secret where it does not belong.
    ask("GET", &format!("/app/valid/{token}x"), "", "");
    ask("GET", &format!("/{token}"), "", "");
    ask("GET", &format!("/api/v1/tokens/{token}"), bearer, "");
    ask("GET", &format!("/api/v1/tokens?cursor={token}"), bearer, "");
    ask(
        "GET",
        "/api/v1/tokens",
        &format!("Authorization: Bearer {token}x\r\n"),
        "",
    );
    ask(
        "POST",
        "/api/v1/introspect",
        bearer,
        &format!("{{\"token\":\"{token}\""),
    );
    ask(
        "POST",
        "/api/v1/introspect",
        bearer,
        &json!({ "token": [token] }).to_string(),
    );
    ask("POST", "/api/v1/revoke", bearer, &body);
    told
}

/// The same at the shell.
fn present_at_shell(shell: &Shell, token: &str) -> Vec<String> {
    let mut told = Vec::new();
    for line in [
        vec!["token", "show", token],
        vec!["token", "revoke", token],
        vec!["token", "lookup", token],
        vec!["token", "list", "--cursor", token],
    ] {
        told.push(format!("{:?}", shell.run(&line)));
    }
    told.push(shell.run_with(&["token", "lookup", "-"], token).stdout);
    told
}

/// Every row of every table of a schema: what takes the place of the files.
fn rows(shell: &Shell) -> Vec<(String, Vec<u8>)> {
    let mut database = shell.sql();
    let tables =
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()";
    let tables = database.texts(tables);
    assert!(tables.len() > 5, "{tables:?}");
    let mut rows = |table: String| {
        let rows = database.texts(&format!("SELECT CAST(t AS TEXT) FROM {table} t"));
        (table, rows.join("\n").into_bytes())
    };
    tables.into_iter().map(&mut rows).collect()
}

#[test]
fn no_secret_is_found_in_the_files_the_log_the_process_or_an_error() {
    const PASSWORD: &str = "correct horse battery staple";
    let shell = Shell::new()
        .with("PROVOST_LOG_LEVEL", "trace")
        .with("PROVOST_THROTTLE_ISSUE_PER_SECOND", "0");
    let key = fs::read_to_string(shell.path("data/provost.key")).unwrap();
    let master = key.rsplit_once(" = \"").unwrap().1.trim().trim_matches('"');
    let create = ["user", "create", "maria", "--password-stdin"];
    let made = shell.run_with(&create, format!("{PASSWORD}\n"));
    assert_eq!(made.status, 0, "{made:?}");
    let bearer = bearer(
        &shell,
        "token:read,token:create,token:consume,token:introspect,token:revoke",
    );
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let plain = client
        .must("POST", "/app/token", "Idempotency-Key: a\r\n", "")
        .text("token");
    let api = client
        .must(
            "POST",
            "/api/v1/tokens",
            &format!("{bearer}Idempotency-Key: b\r\n"),
            "{\"kind\":\"api\"}",
        )
        .text("token");
    let mut told = vec![format!("{made:?}")];
    for token in [&plain, &api] {
        told.extend(present(&mut client, &bearer, token));
        told.extend(present_at_shell(&shell, token));
    }
    for line in [
        &["token", "list", "--json"][..],
        &["audit", "list", "--jsonl"],
        &["config", "show", "--origin"],
        &["user", "show", "maria", "--json"],
    ] {
        told.push(shell.ok(line));
    }
    told.push(seen(&daemon));
    told.push(daemon.get("/metrics").1);
    let mut kept = Vec::new();
    for name in fs::read_dir(shell.path("data")).unwrap() {
        let path = name.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "key") {
            kept.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    if shell.schema_url().is_some() {
        kept.extend(rows(&shell));
    } else {
        let mut files = kept.iter();
        assert!(files.any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty()));
    }
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(log.contains("/app/valid/"), "the log is empty: {log}");
    kept.push(("the log".to_owned(), log.into_bytes()));
    kept.extend(
        told.into_iter()
            .map(|text| ("an answer".to_owned(), text.into_bytes())),
    );
    let own = bearer.trim().rsplit(' ').next().unwrap();
    // Without the public id in front, which may be shown.
    let secrets = [
        &plain[plain.find(':').unwrap() + 1..],
        &api[15..45],
        &own[15..45],
        master,
        PASSWORD,
    ];
    for secret in secrets {
        assert!(secret.len() >= 28, "{secret}");
        let found = kept
            .iter()
            .filter(|(_, bytes)| memchr::memmem::find(bytes, secret.as_bytes()).is_some());
        let found: Vec<_> = found
            .map(|(name, bytes)| (name, String::from_utf8_lossy(bytes)))
            .collect();
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }
}
