//! Purging as a person, a cron line and an HTTP client meet it.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Daemon, Ran, Shell};

/// Writes straight into the database: tests have no time to wait for an expiry.
pub(crate) fn change(shell: &Shell, sql: &str) {
    shell.sql().run(sql);
}

/// The header of an API token with these scopes.
pub(crate) fn bearer(shell: &Shell, scopes: &str) -> String {
    let issued = shell.json(&["token", "create", "--scope", scopes]);
    format!(
        "Authorization: Bearer {}\r\n",
        issued["token"].as_str().unwrap()
    )
}

/// Asks with JSON; returns status and body.
pub(crate) fn post(daemon: &Daemon, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
    let headers = format!("{bearer}Content-Type: application/json\r\n");
    let (status, body) = daemon.request("POST", path, &headers, &body.to_string());
    (status, serde_json::from_str(&body).unwrap())
}

/// `count` tokens of which all but one expired two days ago.
fn with_expired(count: usize) -> Shell {
    let shell = Shell::new();
    for _ in 0..count {
        shell.ok(&["token", "create", "--ttl", "1h"]);
    }
    let last = "(SELECT MAX(id) FROM tokens)";
    change(
        &shell,
        &format!("UPDATE tokens SET expires_at = expires_at - 176400000 WHERE id < {last}"),
    );
    shell
}

fn tokens(shell: &Shell) -> usize {
    let list = shell.json(&["token", "list", "--all"]);
    list["items"].as_array().unwrap().len()
}

#[test]
fn a_dry_run_shows_a_line_for_each_kind_and_the_total_and_deletes_nothing() {
    let shell = with_expired(4);
    let text = shell.ok(&["purge", "--dry-run", "--grace", "1h"]);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let heading = [
        "KIND", "EXPIRED", "REVOKED", "KEPT", "WOULD", "DELETE", "OLDEST",
    ];
    assert_eq!(lines[0], heading);
    assert_eq!(lines[1][..5], ["token", "3", "0", "0", "3"]);
    assert_eq!(lines[3], ["idempotency_key", "0", "0", "0", "0", "-"]);
    let total = lines.last().unwrap();
    assert_eq!(
        (lines.len(), &total[..3]),
        (11, &["total", "3", "about"][..])
    );
    assert!(text.ends_with("1 batch of 1000"), "{text}");
    let plan = shell.json(&["purge", "--dry-run", "--grace", "4w"]);
    assert_eq!(
        (&plan["total"], &plan["kinds"][0]["kept"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(tokens(&shell), 4);
}

#[test]
fn a_purge_deletes_without_asking_and_is_in_the_audit_log() {
    let shell = with_expired(3);
    let ran = shell.run(&["purge"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.starts_with("deleted 2 rows in "), "{ran:?}");
    assert_eq!(tokens(&shell), 1);
    assert_eq!(shell.ok(&["purge", "--quiet"]), "");
    let audit = shell.json(&["audit", "list", "--action", "purge.run"]);
    let entries = audit["items"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["details"]["deleted"], json!({ "token": 2 }));
}

#[test]
fn a_check_tells_by_its_status_whether_purging_is_behind() {
    let shell = with_expired(2);
    let told = shell.fails(9, &["purge", "--check"]);
    assert!(
        told.contains("the oldest token is overdue for 2d"),
        "{told}"
    );
    assert_eq!(shell.ok(&["purge", "--check", "--max-lag", "3d"]), "");
    shell.ok(&["purge", "--check", "--grace", "2d"]);
    assert_eq!(tokens(&shell), 2);
    shell.fails(2, &["purge", "--max-lag", "1h"]);
}

#[test]
fn a_kind_that_does_not_exist_is_refused_with_the_names_of_those_that_do() {
    let shell = Shell::new();
    let told = shell.fails(2, &["purge", "--only", "token,course"]);
    assert!(told.contains("token, session, idempotency_key, "), "{told}");
    for wrong in ["--batch=0", "--batch=5001", "--grace=60"] {
        shell.fails(2, &["purge", wrong]);
    }
}

#[test]
fn a_time_box_ends_with_twelve_until_nothing_is_left() {
    let shell = with_expired(4);
    let purge = ["purge", "--batch", "2", "--max-time", "0s"];
    let told = shell.fails(12, &purge);
    assert!(told.contains("run it again to go on"), "{told}");
    let report = shell.run(&["--json", "purge", "--batch", "2", "--max-time", "0s"]);
    assert_eq!((report.status, &report.json()["total"]), (0, &json!(1)));
    assert_eq!(report.json()["complete"], true);
    assert_eq!(tokens(&shell), 1);
}

#[test]
fn an_interrupted_purge_keeps_and_reports_what_it_did() {
    let shell = with_expired(4);
    let mut command = shell.command(&["purge", "--batch", "1", "--pause", "60s"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while tokens(&shell) == 4 {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", "INT", &pid])
        .status();
    assert!(sent.unwrap().success());
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.status, 12, "{ran:?}");
    assert!(ran.stderr.contains("deleted 1 row in"), "{ran:?}");
    assert!(ran.stderr.contains("interrupted"), "{ran:?}");
    assert_eq!(tokens(&shell), 3);
}

#[test]
fn a_purge_over_http_needs_its_scope_and_counts_or_deletes() {
    let shell = with_expired(3);
    let daemon = shell.serve();
    let path = "/api/v1/purge";
    let reader = bearer(&shell, "token:read");
    assert_eq!(post(&daemon, path, &reader, &json!({})).0, 403);
    assert_eq!(post(&daemon, path, "", &json!({})).0, 401);
    let purger = bearer(&shell, "purge:run");
    let ask = |body: Value| post(&daemon, path, &purger, &body);
    let (status, problem) = ask(json!({ "only": ["course"] }));
    assert_eq!((status, &problem["code"]), (422, &json!("invalid")));
    assert_eq!(ask(json!({ "all": true })).1["code"], "unknown_field");
    let (status, plan) = ask(json!({ "dry_run": true, "only": ["token"] }));
    assert_eq!((status, &plan["total"]), (200, &json!(2)));
    assert_eq!(plan["kinds"].as_array().unwrap().len(), 1);
    let (status, report) = ask(json!({}));
    assert_eq!((status, &report["total"]), (200, &json!(2)));
    assert_eq!(report["complete"], true);
    let metrics = daemon.get("/metrics").1;
    assert!(
        metrics.contains("provost_purged_rows_total{kind=\"token\"} 2"),
        "{metrics}"
    );
}

#[test]
fn a_shell_purges_beside_a_daemon_that_serves() {
    let shell = with_expired(3);
    let shell = shell.with("PROVOST_JOBS_ENABLED", "false");
    let daemon = shell.serve();
    assert_eq!(shell.json(&["purge", "--batch", "1"])["total"], 2);
    assert_eq!(daemon.get("/readyz").0, 200);
    assert_eq!(daemon.stop().0, 0);
    assert_eq!(tokens(&shell), 1);
}

#[test]
fn a_time_box_that_is_over_when_nothing_is_left_is_no_partial_run() {
    let shell = Shell::new();
    let report = shell.json(&["purge", "--max-time", "0s"]);
    assert_eq!(
        (&report["total"], &report["complete"]),
        (&0.into(), &true.into())
    );
    let told = shell.ok(&["purge", "--help"]);
    for variable in [
        "PROVOST_PURGE_GRACE",
        "PROVOST_PURGE_BATCH",
        "PROVOST_PURGE_PAUSE",
    ] {
        assert!(told.contains(variable), "{told}");
    }
}
