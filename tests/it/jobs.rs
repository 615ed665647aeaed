//! Jobs at the shell, over HTTP and by themselves in the daemon.

use serde_json::{Value, json};

use crate::purge::{bearer, change, post};
use crate::support::Shell;

fn job(shell: &Shell, name: &str) -> Value {
    let list = shell.json(&["job", "list"]);
    let jobs = list["items"].as_array().unwrap();
    jobs.iter().find(|job| job["name"] == name).unwrap().clone()
}

fn history(shell: &Shell) -> Vec<Value> {
    let list = shell.json(&["job", "history"]);
    list["items"].as_array().unwrap().clone()
}

#[test]
fn a_job_runs_without_a_daemon_and_is_in_the_list_and_the_history() {
    let shell = Shell::new();
    let before = job(&shell, "purge");
    assert_eq!(
        (&before["schedule"], &before["last_at"]),
        (&json!("1h"), &Value::Null)
    );
    let run = shell.json(&["job", "run", "purge"]);
    assert_eq!(
        (&run["result"], &run["trigger"]),
        (&json!("ok"), &json!("shell"))
    );
    let after = job(&shell, "purge");
    assert_eq!(after["last_at"], run["started_at"]);
    assert_eq!(after["last_result"], "ok");
    assert_eq!(history(&shell), [run]);
    let audit = shell.json(&["audit", "list", "--action", "job.run"]);
    assert_eq!(audit["items"][0]["object"], "job:purge");
}

#[test]
fn every_job_can_be_run_at_the_shell() {
    let shell = Shell::new();
    let names = shell.ok(&["--quiet", "job", "list"]);
    assert!(names.lines().count() >= 4);
    for name in names.lines() {
        shell.ok(&["job", "run", name]);
    }
    assert_eq!(history(&shell).len(), names.lines().count());
    let told = shell.fails(2, &["job", "run", "frobnicate"]);
    assert!(told.contains("tokens.last_used"), "{told}");
}

#[test]
fn a_job_that_another_process_runs_is_busy_and_says_whose_it_is() {
    let shell = Shell::new();
    change(
        &shell,
        "INSERT INTO jobs (name, last_at, holder, held_until)
         VALUES ('purge', 1, 'web1 pid 7', 9000000000000)",
    );
    let told = shell.fails(10, &["job", "run", "purge"]);
    assert!(
        told.contains("the job purge is running (web1 pid 7)"),
        "{told}"
    );
    change(&shell, "UPDATE jobs SET held_until = 1");
    shell.ok(&["job", "run", "purge"]);
}

#[test]
fn the_daemon_runs_what_is_due_by_itself() {
    let shell = Shell::new().with("PROVOST_PURGE_SCHEDULE", "1s");
    let daemon = shell.serve();
    let run = loop {
        if let Some(run) = history(&shell).pop()
            && run["finished_at"].is_string()
        {
            break run;
        }
    };
    assert_eq!(
        (&run["job"], &run["trigger"]),
        (&json!("purge"), &json!("schedule"))
    );
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn a_daemon_that_stops_has_written_down_when_tokens_were_used() {
    let shell = Shell::new();
    let issued = shell.json(&["token", "create", "--scope", "job:read"]);
    let id = issued["id"].as_str().unwrap();
    let header = format!(
        "Authorization: Bearer {}\r\n",
        issued["token"].as_str().unwrap()
    );
    let daemon = shell.serve();
    let (status, list) = daemon.request("GET", "/api/v1/jobs", &header, "");
    assert_eq!(status, 200, "{list}");
    assert_eq!(daemon.stop().0, 0);
    assert!(shell.json(&["token", "show", id])["last_used_at"].is_string());
}

#[test]
fn jobs_are_seen_and_run_over_http_with_a_scope_each() {
    let shell = Shell::new().with("PROVOST_JOBS_ENABLED", "false");
    let daemon = shell.serve();
    let (reader, runner) = (bearer(&shell, "job:read"), bearer(&shell, "job:run"));
    let list = |header: &str| daemon.request("GET", "/api/v1/jobs", header, "");
    assert_eq!(list(&runner).0, 403);
    let (status, jobs) = list(&reader);
    let jobs: Value = serde_json::from_str(&jobs).unwrap();
    assert_eq!((status, &jobs["items"][0]["name"]), (200, &json!("purge")));
    assert_eq!(jobs["items"][0]["next_at"], Value::Null);
    let run = |name: &str, header: &str| {
        post(
            &daemon,
            &format!("/api/v1/jobs/{name}/run"),
            header,
            &json!({}),
        )
    };
    assert_eq!(run("purge", &reader).0, 403);
    let (status, ran) = run("purge", &runner);
    assert_eq!((status, &ran["trigger"]), (200, &json!("api")));
    // Not every reader of JSON has integers so large.
    assert!(ran["id"].is_string(), "{ran}");
    assert_eq!(run("frobnicate", &runner).0, 404);
}
