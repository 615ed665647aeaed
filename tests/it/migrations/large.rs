//! A gigabyte: it is tried, copied away and changed, and who reads meanwhile goes on.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{back_to, newest};
use crate::support::engine::only_on_sqlite;
use crate::support::{Ran, Shell};

/// Runs the program, which must succeed, and tells the most memory that it had, in MiB.
#[track_caller]
fn peak(shell: &Shell, arguments: &[&str]) -> (Ran, u64) {
    let mut command = shell.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0) / 1024);
        // Not a guess at how long it takes: only the pause between two looks.
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    (ran, most)
}

#[test]
#[ignore = "takes minutes and 4 GB of disk"]
fn a_database_of_a_gigabyte_is_migrated_and_a_daemon_reads_while_it_is_tried() {
    if only_on_sqlite("a server is not copied") {
        return;
    }
    let shell = Shell::unthrottled();
    let token = shell.ok(&["token", "create", "--scope", "token:read", "--quiet"]);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let own = |name: &str, text: &str| {
        fs::create_dir_all(shell.path("own")).unwrap();
        fs::write(shell.path("own").join(name), text).unwrap();
    };
    let table = "CREATE TABLE large (id INTEGER PRIMARY KEY, t TEXT NOT NULL) STRICT;";
    own("0001_large.up.sql", table);
    own("0001_large.down.sql", "DROP TABLE large;");
    shell.ok(&["migrate", "up", "--dir", "own"]);
    // Short enough for an index to hold it: of a key above 1,002 bytes the rest goes to a page of
    // its own, and the index is four times the table.
    shell.sql().run(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1400000)
         INSERT INTO large SELECT n, hex(randomblob(390)) FROM n;
         PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let bytes = std::fs::metadata(shell.database()).unwrap().len();
    assert!(bytes > 1 << 30, "{bytes}");
    let daemon = shell.serve();
    let to = (newest() - 1).to_string();
    let done = AtomicBool::new(false);
    let (tried, reads, slowest) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut reads, mut slowest) = (0, Duration::ZERO);
            while !done.load(Ordering::Relaxed) {
                let start = Instant::now();
                let (status, body) = daemon.request("GET", "/api/v1/tokens", &bearer, "");
                assert_eq!(status, 200, "{body}");
                let (status, body) = daemon.request("POST", "/app/token", "", "");
                assert_eq!(status, 200, "{body}");
                slowest = slowest.max(start.elapsed());
                reads += 1;
            }
            (reads, slowest)
        });
        let start = Instant::now();
        let told = shell.json(&["migrate", "down", "--to", &to, "--dry-run"]);
        done.store(true, Ordering::Relaxed);
        assert_eq!(told["rehearsal"]["form"], "copy");
        let (reads, slowest) = reader.join().unwrap();
        (start.elapsed(), reads, slowest)
    });
    assert!(reads > 0);
    eprintln!("tried in {tried:?}, beside it {reads} reads and writes, the slowest {slowest:?}");
    assert_eq!(daemon.stop().0, 0);
    back_to(&shell, newest() - 1);
    let start = Instant::now();
    let (ran, most) = peak(&shell, &["--json", "migrate", "up"]);
    let told = ran.json();
    assert_eq!(told["done"].as_array().unwrap().len(), 1);
    assert!(told["snapshot"]["bytes"].as_u64().unwrap() > 1 << 30);
    eprintln!(
        "tried, copied away and applied in {:?}, with {most} MiB",
        start.elapsed()
    );
    assert!(most < 128, "{most} MiB");
    shell.ok(&["migrate", "verify"]);
    // An index of the size of the table needs no memory for all of it, either.
    own("0002_all.up.sql", "CREATE INDEX large_t_idx ON large (t);");
    own("0002_all.down.sql", "DROP INDEX large_t_idx;");
    let start = Instant::now();
    let (_, most) = peak(&shell, &["migrate", "up", "--dir", "own"]);
    eprintln!(
        "every row in an index in {:?}, with {most} MiB",
        start.elapsed()
    );
    assert!(most < 128, "{most} MiB");
}
