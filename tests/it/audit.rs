//! The audit log at the shell.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::Shell;
use crate::support::client::Client;

#[test]
fn every_change_has_a_row_that_filters_find() {
    let shell = Shell::new();
    let made = shell.json(&["token", "create", "--label", "ci"]);
    let id = made["id"].as_str().unwrap();
    shell.ok(&["token", "revoke", id, "--reason", "leaked"]);
    let object = format!("token:{id}");
    let list = shell.json(&["audit", "list", "--object", &object]);
    let items = list["items"].as_array().unwrap();
    let actions: Vec<&str> = items
        .iter()
        .map(|item| item["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["token.revoked", "token.created"]);
    assert_eq!(items[0]["details"]["reason"], "leaked");
    let count = |flags: &[&str]| {
        let line = [&["audit", "list"], flags].concat();
        shell.json(&line)["items"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--action", "token.*"]), 2);
    assert_eq!(count(&["--action", "token.*", "--since", "-1h"]), 2);
    assert_eq!(count(&["--action", "token.*", "--until", "-1h"]), 0);
    assert_eq!(count(&["--actor", "job:*"]), 0);
}

#[test]
fn the_tail_shows_the_last_entries_in_the_order_in_which_they_happened() {
    let shell = Shell::new();
    for uses in ["1", "2", "3"] {
        shell.ok(&["token", "create", "--max-uses", uses]);
    }
    let text = shell.ok(&["audit", "tail", "-n", "2", "--jsonl"]);
    let uses: Vec<u64> = text
        .lines()
        .map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            entry["details"]["max_uses"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(uses, [2, 3]);
    assert_eq!(shell.ok(&["audit", "tail", "-n", "0"]), "");
    let told = shell.fails(2, &["audit", "tail", "--json"]);
    assert!(told.contains("--jsonl"), "{told}");
}

#[test]
fn following_shows_what_other_processes_do_until_it_is_interrupted() {
    let shell = Shell::new();
    let mut tail = shell
        .command(&["audit", "tail", "-f", "-n", "1", "--action", "token.*"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // The tail may begin before or after the first of these; each is shown once.
    for _ in 0..3 {
        let made = shell.json(&["token", "create"]);
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(made["id"].as_str().unwrap()), "{line}");
    }
    let pid = tail.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-s", "INT", &pid])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(tail.wait().unwrap().code(), Some(0));
    assert!(lines.next().is_none());
}

fn verified(shell: &Shell) -> Value {
    let ran = shell.run(&["audit", "verify", "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let status = if told["ok"] == true { 0 } else { 13 };
    assert_eq!(ran.status, status, "{ran:?}");
    told
}

#[test]
fn what_a_command_writes_is_sealed_when_it_ends_and_a_row_that_is_changed_later_is_named() {
    let shell = Shell::new();
    shell.ok(&["token", "create", "--label", "ci"]);
    let told = verified(&shell);
    assert_eq!((&told["ok"], &told["unsealed"]), (&json!(true), &json!(0)));
    assert_eq!(told["signatures"], "proven");
    let text = shell.ok(&["audit", "verify"]);
    assert!(text.contains(told["head"].as_str().unwrap()), "{text}");
    let list = shell.json(&["audit", "list", "--action", "token.created"]);
    let id = list["items"][0]["id"].as_str().unwrap();
    shell.sql().run(&format!(
        "UPDATE audit_events SET actor = 'nobody' WHERE id = {id}"
    ));
    let ran = shell.run(&["audit", "verify"]);
    assert_eq!(ran.status, 13, "{ran:?}");
    let first = format!("the first that is wrong is row {id}: this row is not what was sealed");
    assert!(ran.stderr.contains(&first), "{ran:?}");
    assert_eq!(shell.run(&["audit", "verify", "-q"]).stdout.trim(), id);
    let told = verified(&shell);
    assert_eq!(told["findings"][0]["id"], id);
    assert_eq!(told["findings"][0]["fault"], "altered");
}

#[test]
fn a_log_without_its_seals_is_found_by_a_head_that_was_noted() {
    let shell = Shell::new();
    shell.ok(&["token", "create"]);
    let head = verified(&shell)["head"].as_str().unwrap().to_owned();
    shell.ok(&["token", "create"]);
    shell.ok(&["audit", "verify", "--head", &head]);
    for sql in ["DELETE FROM audit_blocks", "DELETE FROM audit_head"] {
        shell.sql().run(sql);
    }
    shell.ok(&["audit", "verify"]);
    let ran = shell.run(&["audit", "verify", "--head", &head]);
    assert_eq!(ran.status, 13, "{ran:?}");
    assert!(ran.stderr.contains("the log was cut off"), "{ran:?}");
    let told = shell.fails(2, &["audit", "verify", "--head", "12"]);
    assert!(told.contains("NUMBER:HASH"), "{told}");
}

#[test]
fn without_the_key_file_the_log_is_verified_as_far_as_it_can_be() {
    let shell = Shell::new();
    shell.ok(&["token", "create"]);
    std::fs::remove_file(shell.path("data/provost.key")).unwrap();
    let ran = shell.run(&["audit", "verify"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("is missing"), "{ran:?}");
    assert!(ran.stdout.contains("proves nothing"), "{ran:?}");
    // With another one nothing can be told, and that is said once.
    let other = Shell::new();
    std::fs::copy(
        other.path("data/provost.key"),
        shell.path("data/provost.key"),
    )
    .unwrap();
    let told = shell.fails(7, &["audit", "verify"]);
    assert!(
        told.contains("is not the one with which the audit log was sealed"),
        "{told}"
    );
}

#[test]
fn an_export_has_every_row_with_the_block_that_proves_it() {
    let shell = Shell::new();
    for _ in 0..3 {
        shell.ok(&["token", "create"]);
    }
    let rows = |flags: &[&str]| -> Vec<Value> {
        let text = shell.ok(&[&["audit", "export", "--jsonl"], flags].concat());
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    };
    let all = rows(&[]);
    let told = shell.json(&["audit", "list", "--all"]);
    let newest_first = told["items"].as_array().unwrap();
    assert_eq!(all.len(), newest_first.len());
    for (row, entry) in all.iter().zip(newest_first.iter().rev()) {
        assert_eq!(
            (&row["id"], &row["action"]),
            (&entry["id"], &entry["action"])
        );
    }
    let last = all.last().unwrap();
    let head = format!("{}:{}", last["block"], last["block_hash"].as_str().unwrap());
    assert_eq!(verified(&shell)["head"], json!(head));
    let blocks: Vec<i64> = all
        .iter()
        .map(|row| row["block"].as_i64().unwrap())
        .collect();
    assert!(blocks.is_sorted() && blocks[0] == 1, "{blocks:?}");
    assert_eq!(rows(&["--since", "-1h"]).len(), all.len());
    assert_eq!(rows(&["--until", "-1h"]).len(), 0);
    let table = shell.ok(&["audit", "export"]);
    assert!(
        table.starts_with("AT") && table.contains("BLOCK"),
        "{table}"
    );
}

/// Eight requests at a time, while commands seal beside the daemon.
/// Ends those who go on until it is set, also when the test fails: they would be waited for.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn sealed_among_writers(times: usize) {
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.address).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    client.must("POST", "/app/token", "", "");
                }
            });
        }
        let _writing = Stopping(&stop);
        for round in 0..times {
            // Sealing waits for no writer longer than for a moment, and then says that it is not done.
            let tries = || shell.run(&["job", "run", "audit.seal"]);
            let mut tries = (0..100).map(|_| tries()).skip_while(|ran| ran.status == 12);
            assert_eq!(tries.next().map(|ran| ran.status), Some(0));
            // All that there is, which is more and more.
            if round < 10 || round % 50 == 0 {
                assert_eq!(verified(&shell)["ok"], true);
            }
        }
    });
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    let told = verified(&shell);
    assert_eq!((&told["ok"], &told["unsealed"]), (&json!(true), &json!(0)));
    assert!(
        told["blocks"].as_u64() > Some(u64::try_from(times / 2).unwrap()),
        "{told}"
    );
}

#[test]
fn sealing_beside_eight_writers_lets_no_row_slip_in_below_what_is_sealed() {
    sealed_among_writers(10);
}

#[test]
#[ignore = "takes a minute: the same, 300 times"]
fn sealing_three_hundred_times_beside_eight_writers_lets_no_row_slip_in() {
    sealed_among_writers(300);
}
