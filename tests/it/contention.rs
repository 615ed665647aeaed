//! The shell and the daemon on one database at the same time: nobody meets a lock error, nothing
//! is accepted any more once a command has ended it, and nobody can hold the others up for long.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::purge::{bearer, change};
use crate::support::client::{Client, Load};
use crate::support::engine::only_on_sqlite;
use crate::support::{Daemon, Shell, files};

/// Stops the daemon, which must have met nothing that it did not expect.
fn end(daemon: Daemon) {
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
    assert!(!log.contains("locked"), "{log}");
}

fn revoked_at_the_shell(times: usize) {
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let load = Load::start(&daemon.address, 4, 2);
    let mut client = Client::connect(&daemon.address).unwrap();
    for _ in 0..times {
        let token = client.must("POST", "/app/token", "", "").text("token");
        assert!(client.is_valid(&token));
        let number = token.split(':').next().unwrap().parse().unwrap();
        let id = provost::tokens::TokenId(number).to_string();
        shell.ok(&["token", "revoke", &id]);
        assert!(!client.is_valid(&token), "{id} outlived its revocation");
    }
    load.stop();
    end(daemon);
}

#[test]
fn a_token_revoked_at_the_shell_is_refused_at_the_very_next_request() {
    revoked_at_the_shell(100);
}

#[test]
#[ignore = "takes a minute: the same 1,000 times"]
fn a_thousand_tokens_revoked_at_the_shell_are_refused_at_the_very_next_request() {
    revoked_at_the_shell(1000);
}

#[test]
fn a_user_disabled_at_the_shell_loses_the_tokens_at_the_very_next_request() {
    let shell = Shell::unthrottled();
    shell.ok(&["user", "create", "ivan", "--no-password"]);
    let make = |kind: &str, scope: &[&str]| {
        let command = ["token", "create", "--kind", kind, "--owner", "ivan", "-q"];
        shell.ok(&[&command, scope].concat())
    };
    let daemon = shell.serve();
    let load = Load::start(&daemon.address, 4, 2);
    let mut client = Client::connect(&daemon.address).unwrap();
    for _ in 0..10 {
        let token = make("api", &["--scope", "token:read"]);
        let guest = make("temporary", &[]);
        let header = format!("Authorization: Bearer {token}\r\n");
        let answer = client.must("GET", "/api/v1/tokens", &header, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(client.is_valid(&guest));
        shell.ok(&["user", "disable", "ivan"]);
        let answer = client.must("GET", "/api/v1/tokens", &header, "");
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(!client.is_valid(&guest));
        // What was ended once stays so.
        shell.ok(&["user", "enable", "ivan"]);
        assert!(!client.is_valid(&guest));
    }
    load.stop();
    end(daemon);
}

#[test]
fn eight_shells_and_32_clients_write_at_once_and_nobody_meets_a_lock() {
    const SHELLS: usize = 8;
    const EACH: usize = 5;
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let load = Load::start(&daemon.address, 32, 0);
    load.wait_for(32);
    let together = Barrier::new(SHELLS);
    std::thread::scope(|scope| {
        for number in 0..SHELLS {
            let (shell, together) = (&shell, &together);
            scope.spawn(move || {
                together.wait();
                for n in 0..EACH {
                    let name = format!("user{number}-{n}");
                    for line in [
                        ["user", "create", &name, "--no-password"],
                        ["token", "create", "--label", &name],
                    ] {
                        let ran = shell.run(&line);
                        assert_eq!(ran.status, 0, "{ran:?}");
                        assert!(!ran.stderr.contains("lock"), "{ran:?}");
                    }
                }
            });
        }
    });
    // The clients were not starved meanwhile, and go on.
    load.wait_for(32);
    let issued = load.stop();
    let mut client = Client::connect(&daemon.address).unwrap();
    assert!(issued.iter().all(|token| client.is_valid(token)));
    eprintln!("{} tokens issued beside {SHELLS} shells", issued.len());
    end(daemon);
    let mut database = shell.sql();
    for (sql, wanted) in [
        ("SELECT COUNT(*) FROM users", SHELLS * EACH),
        (
            "SELECT COUNT(*) FROM tokens WHERE label IS NOT NULL",
            SHELLS * EACH,
        ),
        (
            "SELECT COUNT(*) FROM tokens WHERE label IS NULL",
            issued.len(),
        ),
    ] {
        assert_eq!(database.count(sql), wanted, "{sql}");
    }
    drop(database);
    files::check(&shell);
}

#[test]
fn of_a_hundred_uses_at_once_exactly_as_many_succeed_as_the_token_has() {
    const USES: usize = 37;
    let shell = Shell::unthrottled();
    let token = shell.ok(&[
        "token",
        "create",
        "--max-uses",
        &USES.to_string(),
        "--quiet",
    ]);
    let consumer = bearer(&shell, "token:consume");
    let daemon = shell.serve();
    let (together, uses) = (Barrier::new(100), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.address).unwrap();
                let body = json!({ "token": token }).to_string();
                together.wait();
                let answer = client.must("POST", "/api/v1/tokens/consume", &consumer, &body);
                assert_eq!(answer.status, 200, "{answer:?}");
                if answer.json()["consumed"] == true {
                    uses.fetch_add(1, Ordering::SeqCst);
                } else {
                    assert_eq!(answer.text("reason"), "used_up");
                }
            });
        }
    });
    assert_eq!(uses.into_inner(), USES);
    let shown = shell.json(&["token", "show", &token[4..15]]);
    assert_eq!(shown["used"], USES);
    let sql = "SELECT COUNT(*) FROM audit_events WHERE action = 'token.consumed'";
    assert_eq!(shell.sql().count(sql), USES);
    end(daemon);
}

#[test]
fn no_use_is_taken_of_a_token_whose_revocation_has_returned() {
    let shell = Shell::unthrottled();
    let token = shell.ok(&["token", "create", "--max-uses", "1000000", "--quiet"]);
    let consumer = bearer(&shell, "token:consume");
    let daemon = shell.serve();
    let (revoked, uses) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.address).unwrap();
                let body = json!({ "token": token }).to_string();
                loop {
                    let late = revoked.load(Ordering::SeqCst);
                    let answer = client.must("POST", "/api/v1/tokens/consume", &consumer, &body);
                    let good = answer.json()["consumed"] == true;
                    uses.fetch_add(usize::from(good), Ordering::SeqCst);
                    assert!(!(late && good), "{answer:?}");
                    if late {
                        assert_eq!(answer.text("reason"), "revoked");
                        break;
                    }
                }
            });
        }
        while uses.load(Ordering::SeqCst) < 50 {
            std::thread::yield_now();
        }
        shell.ok(&["token", "revoke", &token[4..15]]);
        revoked.store(true, Ordering::SeqCst);
    });
    let shown = shell.json(&["token", "show", &token[4..15]]);
    assert_eq!(shown["used"], uses.into_inner());
    end(daemon);
}

/// Adds rows that expired an hour ago, straight into the table.
fn add_expired(shell: &Shell, count: usize) {
    change(
        shell,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO tokens (id, kind, digest, hint, created_at, expires_at)
             SELECT i, 'temporary', randomblob(32), 'xxxx', 1000, 2000 + i FROM n"
        ),
    );
}

#[test]
fn a_purge_of_many_rows_takes_no_live_one_and_lets_others_in_between() {
    const ROWS: usize = 30_000;
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = |client: &mut Client| client.must("POST", "/app/token", "", "").text("token");
    let before: Vec<String> = (0..50).map(|_| token(&mut client)).collect();
    add_expired(&shell, ROWS);
    let load = Load::start(&daemon.address, 2, 2);
    load.wait_for(4);
    let done = load.done();
    let report = shell.json(&["purge"]);
    let meanwhile = load.done() - done;
    let issued = load.stop();
    let mut all = before.iter().chain(&issued);
    assert!(all.all(|token| client.is_valid(token)));
    assert_eq!(report["total"], ROWS);
    let batches = usize::try_from(report["batches"].as_u64().unwrap()).unwrap();
    assert!(batches >= ROWS / 1000, "{report}");
    assert!(meanwhile > batches, "{meanwhile} requests, {report}");
    eprintln!("{meanwhile} requests during {report}");
    let rows = shell.json(&["purge", "--dry-run"]);
    assert_eq!(rows["total"], 0);
    end(daemon);
}

/// A command that does not outlive the test.
struct Process(Child);

impl Process {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stopped_shell_that_holds_the_write_lock_stops_nobody_for_long() {
    if only_on_sqlite("there is no lock on all writes at once") {
        return;
    }
    let shell = Shell::unthrottled().with("PROVOST_JOBS_ENABLED", "false");
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = client.must("POST", "/app/token", "", "").text("token");
    add_expired(&shell, 100_000);
    let mut command = shell.command(&["purge", "--batch", "5000", "--quiet"]);
    let mut purge = Process(command.stdout(Stdio::null()).spawn().unwrap());
    // Stopped between two transactions it holds nothing: then it goes on for a while.
    let probe = files::open(&shell.database());
    probe.busy_timeout(Duration::ZERO).unwrap();
    loop {
        purge.signal("STOP");
        if probe.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err() {
            break;
        }
        purge.signal("CONT");
        std::thread::yield_now();
    }
    let address = &daemon.address;
    let held = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..8_u64 {
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                // Not all at once: who comes later must not wait longer.
                while held.elapsed() < Duration::from_millis(100 * n) {
                    std::thread::yield_now();
                }
                let asked = Instant::now();
                let answer = client.must("POST", "/app/token", "", "");
                assert_eq!(answer.status, 503, "{answer:?}");
                assert_eq!(answer.text("code"), "unavailable");
                let waited = asked.elapsed();
                assert!(waited < Duration::from_millis(5500), "{n}: {waited:?}");
            });
        }
        // Reading waits for nobody.
        for _ in 0..100 {
            assert!(client.is_valid(&token));
        }
    });
    purge.signal("CONT");
    let free = Instant::now();
    while client.must("POST", "/app/token", "", "").status != 200 {}
    let waited = free.elapsed();
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    eprintln!("a write got in {waited:?} after the lock was free");
    assert!(purge.0.wait().unwrap().success());
    assert_eq!(daemon.get("/readyz").0, 200);
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
    files::check(&shell);
}

/// Keeps a snapshot open while the daemon writes, until the log has `most` bytes or a write is
/// refused; returns how large the log became.
fn behind_a_reader(shell: &Shell, daemon: &Daemon, most: u64) -> u64 {
    let creator = bearer(shell, "token:create");
    let reader = files::open(&shell.database());
    reader.execute_batch("BEGIN").unwrap();
    files::number(&reader, "SELECT COUNT(*) FROM tokens");
    let log = || fs::metadata(shell.path("data/provost.db-wal")).map_or(0, |log| log.len());
    let refused = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.address).unwrap();
                let meta = json!({ "text": "x".repeat(4000) });
                let body = json!({ "kind": "temporary", "meta": meta }).to_string();
                while log() < most && !refused.load(Ordering::SeqCst) {
                    let answer = client.must("POST", "/api/v1/tokens", &creator, &body);
                    if answer.status != 201 {
                        assert_eq!(answer.text("code"), "unavailable");
                        refused.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let grown = log();
    let token = shell.ok(&["token", "create", "--kind", "temporary", "--quiet"]);
    let mut client = Client::connect(&daemon.address).unwrap();
    assert!(client.is_valid(&token));
    reader.execute_batch("ROLLBACK").unwrap();
    let answer = client.must("POST", "/app/token", "", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    grown
}

#[test]
fn a_log_that_grew_behind_a_reader_is_used_again_once_the_reader_is_gone() {
    if only_on_sqlite("the write-ahead log is a file of SQLite's") {
        return;
    }
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    // More than the size from which on the log is moved into the main file.
    let first = behind_a_reader(&shell, &daemon, 8 * 1024 * 1024);
    let log = shell.path("data/provost.db-wal");
    let load = Load::start(&daemon.address, 8, 0);
    load.wait_for(500);
    load.stop();
    let now = fs::metadata(log).unwrap().len();
    // What was committed before the first checkpoint without the reader still came behind.
    assert!(now < first + 1024 * 1024, "{now} after {first}");
    end(daemon);
}

#[test]
#[ignore = "takes minutes: fills the log to its limit of 256 MiB"]
fn a_reader_that_never_finishes_does_not_fill_the_disk() {
    if only_on_sqlite("the write-ahead log is a file of SQLite's") {
        return;
    }
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let grown = behind_a_reader(&shell, &daemon, u64::MAX);
    eprintln!("the log grew to {grown} bytes");
    assert!(grown < (256 + 8) * 1024 * 1024, "{grown}");
    assert!(daemon.is_ready_within(Duration::from_secs(5)));
    end(daemon);
}
