//! A gigabyte: it is tried, copied away and changed, and who reads meanwhile goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{back_to, newest};
use crate::support::Shell;
use crate::support::engine::only_on_sqlite;

#[test]
#[ignore = "takes minutes and 4 GB of disk"]
fn a_database_of_a_gigabyte_is_migrated_and_a_daemon_reads_while_it_is_tried() {
    if only_on_sqlite("a server is not copied") {
        return;
    }
    let shell = Shell::unthrottled();
    let token = shell.ok(&["token", "create", "--scope", "token:read", "--quiet"]);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    shell.sql().run(
        "CREATE TABLE large (id INTEGER PRIMARY KEY, t TEXT NOT NULL) STRICT;
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000000)
         INSERT INTO large SELECT n, hex(randomblob(520)) FROM n;
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
    let told = shell.json(&["migrate", "up"]);
    assert_eq!(told["done"].as_array().unwrap().len(), 1);
    assert!(told["snapshot"]["bytes"].as_u64().unwrap() > 1 << 30);
    eprintln!("tried, copied away and applied in {:?}", start.elapsed());
    shell.ok(&["migrate", "verify"]);
}
