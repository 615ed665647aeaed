//! The audit log at the shell.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::Shell;

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
