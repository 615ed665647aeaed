//! `provost limit …` and `provost ban …` as scripts and people at a shell meet them, and a daemon
//! that learns of it.

use serde_json::json;

use crate::purge::change;
use crate::support::{Daemon, Shell};

/// Failures in the database, as the daemon counts them: 20 of ivan, who waits until the far future,
/// 3 of anna, and 100 of somebody who is nobody.
fn with_failures() -> Shell {
    let shell = Shell::new();
    for (name, failures, until) in [("ivan", 20, 9_000_000_000_000_i64), ("anna", 3, 1000)] {
        let user = shell.json(&["user", "create", name, "--no-password"]);
        let id = user["id"].as_str().unwrap();
        change(
            &shell,
            &format!("INSERT INTO login_failures VALUES ('user:{id}', {failures}, 1000, {until})"),
        );
    }
    change(
        &shell,
        &format!(
            "INSERT INTO login_failures VALUES ('name:00', 100, 1000, {})",
            i64::MAX
        ),
    );
    shell
}

#[test]
fn who_has_to_wait_is_listed_with_the_names_of_users() {
    let shell = with_failures();
    let text = shell.ok(&["limit", "list"]);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["USER", "STATE", "FAILURES", "LAST", "ENDS", "ACCOUNT"]
    );
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[1][..3], ["-", "off", "100"]);
    assert_eq!(lines[2][..3], ["ivan", "delayed", "20"]);
    let items = shell.json(&["limits", "list"]);
    assert_eq!(items["items"][0]["ends_at"], json!(null));
    assert_eq!(items["items"][1]["ends_at"], "2255-03-14T16:00:00.000Z");
    let first = shell.run(&["limit", "list", "--limit", "1", "--quiet"]);
    assert_eq!(first.stdout, "name:00\n");
    let cursor = first.stderr.trim().rsplit(' ').next().unwrap().to_owned();
    let rest = shell.ok(&["limit", "list", "--quiet", "--cursor", &cursor]);
    assert!(
        rest.starts_with("user:") && rest.lines().count() == 1,
        "{rest}"
    );
}

#[test]
fn failures_are_cleared_of_one_or_of_all_and_nothing_to_do_is_no_failure() {
    let shell = with_failures();
    assert_eq!(shell.ok(&["limit", "clear", "ivan"]), "cleared 1 account");
    let again = shell.run(&["limit", "clear", "ivan"]);
    assert_eq!(
        (again.status, again.stdout.as_str()),
        (0, "cleared 0 accounts\n")
    );
    assert_eq!(again.stderr, "ivan has no failures\n");
    // Who does not have to wait yet has failures all the same.
    assert_eq!(
        shell.json(&["limit", "clear", "anna"]),
        json!({ "cleared": 1 })
    );
    let all = ["limit", "clear", "--all"];
    let told = shell.fails(2, &all);
    assert!(told.contains("clear the failures of 1 account"), "{told}");
    assert_eq!(
        shell.ok(&[&all[..], &["--dry-run"]].concat()),
        "would clear 1 account"
    );
    shell.fails(6, &[&all[..], &["--yes=2"]].concat());
    assert_eq!(
        shell.ok(&[&all[..], &["--yes=1"]].concat()),
        "cleared 1 account"
    );
    assert_eq!(shell.ok(&all), "cleared 0 accounts");
    for wrong in [
        &["limit", "clear"][..],
        &["limit", "clear", "ivan", "--all"],
        &["limit", "clear", "ivan", "--dry-run"],
    ] {
        shell.fails(2, wrong);
    }
    let audit = shell.json(&["audit", "list", "--action", "limit.cleared"]);
    assert_eq!(audit["items"].as_array().unwrap().len(), 3);
    assert_eq!(audit["items"][0]["object"], "name:00");
}

#[test]
fn bans_are_made_listed_and_ended() {
    let shell = Shell::new();
    let line = "ban add 203.0.113.7/24 --ttl 7d --reason guesses";
    let made = shell.json(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(made["network"], "203.0.113.0/24");
    assert_eq!(
        shell.ok(&["--quiet", "ban", "add", "::ffff:192.0.2.1"]),
        "192.0.2.1/32"
    );
    let text = shell.ok(&["ban", "list"]);
    let mut lines = text.lines();
    let heading: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["NETWORK", "REASON", "CREATED", "EXPIRES"]);
    assert!(lines.next().unwrap().starts_with("192.0.2.1/32"), "{text}");
    let last = lines.next().unwrap();
    assert!(last.starts_with("203.0.113.0/24  guesses"), "{text}");
    assert!(last.ends_with("(in 7d)"), "{text}");
    let ended = shell.run(&["ban", "remove", "192.0.2.1", "203.0.113.0/24"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(
        ended.stderr,
        "192.0.2.1/32 is no longer banned\n203.0.113.0/24 is no longer banned\n"
    );
    let told = shell.fails(5, &["ban", "remove", "192.0.2.1"]);
    assert!(told.contains("no such ban: 192.0.2.1/32"), "{told}");
    assert_eq!(shell.ok(&["ban", "list", "--quiet"]), "");
    let audit = shell.json(&["audit", "list", "--action", "ban.*"]);
    assert_eq!(audit["items"].as_array().unwrap().len(), 4);
}

#[test]
fn a_typo_does_not_lock_everybody_out() {
    let shell = Shell::new().with("PROVOST_SERVER_TRUSTED_PROXIES", "10.0.0.1");
    for (network, what) in [
        ("128.0.0.0/1", "a large part of the Internet"),
        ("0.0.0.0/0", "this machine's own addresses"),
        ("::/0", "this machine's own addresses"),
        ("127.0.0.1", "this machine's own addresses"),
        ("10.0.0.0/24", "a proxy that is trusted"),
    ] {
        let told = shell.fails(2, &["ban", "add", network]);
        assert!(told.contains(what) && told.contains("--yes"), "{told}");
    }
    assert_eq!(shell.ok(&["ban", "list", "--quiet"]), "");
    shell.ok(&["ban", "add", "10.0.0.0/24", "--yes"]);
    for wrong in ["10.0.0.0/33", "example.org", ""] {
        shell.fails(2, &["ban", "add", wrong]);
    }
    for help in [
        &["ban", "add", "--help"][..],
        &["limit", "--help"],
        &["ban", "--help"],
    ] {
        let told = shell.ok(help);
        assert!(
            told.lines().all(|line| line.chars().count() <= 100),
            "{told}"
        );
    }
    let told = shell.ok(&["ban", "add", "--help"]);
    assert!(told.contains("once a second"), "{told}");
}

/// Asks until the daemon answers so; it needs a second to learn of a ban.
fn until(daemon: &Daemon, status: u16) {
    while daemon.get("/livez").0 != status {
        std::thread::yield_now();
    }
}

#[test]
fn a_daemon_learns_of_bans_by_itself_and_knows_them_before_its_first_answer() {
    let shell = Shell::new().with("PROVOST_JOBS_ENABLED", "false");
    let socket = shell.path("socket");
    let listen = format!("unix:{}", socket.display());
    let daemon = shell.serve_with(&["--listen", "127.0.0.1:0", "--listen", &listen]);
    assert_eq!(daemon.get("/livez").0, 200);
    shell.ok(&["ban", "add", "127.0.0.1", "--yes"]);
    until(&daemon, 403);
    assert!(
        daemon
            .get("/api/v1/whoami/ip")
            .1
            .contains(r#""code":"banned""#)
    );
    daemon.stop();
    let mut daemon = shell.serve_with(&["--listen", "127.0.0.1:0", "--listen", &listen]);
    assert_eq!(daemon.get("/livez").0, 403);
    shell.ok(&["ban", "remove", "127.0.0.1"]);
    until(&daemon, 200);
    shell.ok(&["ban", "add", "127.0.0.1", "--yes"]);
    until(&daemon, 403);
    daemon.wait_for(&socket);
    assert_eq!(daemon.get("/livez").0, 200);
    assert_eq!(daemon.get("/api/v1/whoami/ip").1, r#"{"ip":null}"#);
}

#[test]
fn an_address_that_tries_many_names_is_listed_and_can_be_let_in_again() {
    let shell = Shell::new().with("PROVOST_THROTTLE_SPRAY_NAMES", "3");
    let daemon = shell.serve();
    let log_in = |name: &str| {
        let body = json!({ "login": name, "password": "not the password" });
        let headers = "Content-Type: application/json\r\n";
        let path = "/api/v1/auth/login";
        daemon.request("POST", path, headers, &body.to_string()).0
    };
    for name in ["a", "b", "c", "c", "d"] {
        assert_eq!(log_in(name), 401);
    }
    assert_eq!(log_in("e"), 429);
    let list = shell.json(&["limit", "list"]);
    let limit = &list["items"][0];
    assert_eq!(limit["account"], "ip:127.0.0.1", "{list}");
    assert_eq!(
        (&limit["state"], &limit["failures"]),
        (&json!("blocked"), &json!(4))
    );
    assert_eq!(
        shell.ok(&["limit", "clear", "127.0.0.1"]),
        "cleared 1 account"
    );
    assert_eq!(log_in("e"), 401, "at the very next request");
    let audit = shell.json(&["audit", "list", "--action", "limit.*"]);
    let actions = audit["items"].as_array().unwrap().iter();
    let actions: Vec<_> = actions
        .map(|item| item["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["limit.cleared", "limit.reached"]);
    assert_eq!(daemon.stop().0, 0);
}
