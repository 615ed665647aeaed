//! `provost session …` beside a daemon whose sessions they are.

use serde_json::{Value, json};

use super::{PASSWORD, Tokens, ask, end, is_open, is_over, log_in, people};
use crate::support::client::Client;
use crate::support::{Daemon, Shell};

/// A home whose daemon believes a proxy that says where clients are.
fn behind_a_proxy() -> Shell {
    people(Shell::unthrottled().with("PROVOST_SERVER_TRUSTED_PROXIES", "127.0.0.1"))
}

/// Logs in from this address with this program.
fn log_in_from(daemon: &Daemon, name: &str, ip: &str, agent: &str) -> Tokens {
    let mut client = Client::connect(&daemon.address).unwrap();
    let headers = format!("X-Forwarded-For: {ip}\r\nUser-Agent: {agent}\r\n");
    let body = json!({ "login": name, "password": PASSWORD }).to_string();
    Tokens::of(&ask(
        &mut client,
        "POST",
        "/api/v1/auth/login",
        &headers,
        &body,
    ))
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap()).collect()
}

/// Has a session opened and last seen so many hours ago.
fn age(shell: &Shell, tokens: &Tokens, hours: u32) {
    let by = hours * 3_600_000;
    shell.sql().run(&format!(
        "UPDATE sessions SET created_at = created_at - {by}, last_seen_at = last_seen_at - {by}
         WHERE id = '{}'",
        tokens.id
    ));
}

#[test]
fn sessions_are_listed_by_whom_whence_with_what_and_for_how_long() {
    let shell = behind_a_proxy();
    let daemon = shell.serve();
    let firefox = log_in_from(&daemon, "ivan", "203.0.113.7", FIREFOX);
    let curl = log_in_from(&daemon, "ivan", "2001:db8::7", "curl/8.5.0");
    let maria = log_in_from(&daemon, "maria", "::ffff:203.0.113.9", "curl/8.5.0");
    age(&shell, &firefox, 48);
    let ended = log_in_from(&daemon, "ivan", "203.0.113.7", FIREFOX);
    shell.ok(&["session", "revoke", &ended.id]);
    let (f, c, m, e) = (&*firefox.id, &*curl.id, &*maria.id, &*ended.id);
    for (line, wanted) in [
        ("", vec![m, c, f]),
        ("--user ivan", vec![c, f]),
        ("--user IVAN@example.org", vec![c, f]),
        ("--user +375291234567", vec![m]),
        ("--ip 203.0.113.0/24", vec![m, f]),
        ("--ip 203.0.113.7", vec![f]),
        ("--ip 2001:db8::/32", vec![c]),
        ("--client firefox*", vec![f]),
        ("--client *Linux", vec![f]),
        ("--client curl", vec![m, c]),
        ("--idle 1d", vec![f]),
        ("--idle 3d", vec![]),
        ("--created-before -1d", vec![f]),
        ("--created-before now", vec![m, c, f]),
        ("--state active", vec![m, c, f]),
        ("--state revoked", vec![e]),
        ("--state expired", vec![]),
        ("--ended", vec![e, m, c, f]),
        (
            "--ended --user ivan --client Firefox* --ip 203.0.113.0/24",
            vec![e, f],
        ),
    ] {
        let mut words = vec!["session", "list"];
        words.extend(line.split_whitespace());
        assert_eq!(ids(&shell.json(&words)), wanted, "{line}");
    }
    let first = shell.json(&["session", "list", "--limit", "2"]);
    let cursor = first["next"].as_str().unwrap();
    let rest = shell.json(&["session", "list", "--cursor", cursor]);
    assert_eq!((ids(&first), ids(&rest)), (vec![m, c], vec![f]));
    let table = shell.ok(&["session", "list", "--user", "ivan", "--client", "Firefox*"]);
    let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        heading,
        [
            "ID", "USER", "CREATED", "LAST", "SEEN", "IP", "CLIENT", "METHODS", "STATE"
        ]
    );
    for part in [
        f,
        "203.0.113.7",
        "Firefox, Linux",
        "(2d ago)",
        "password",
        "active",
    ] {
        assert!(table.contains(part), "{table}");
    }
    let shown = shell.json(&["session", "show", e]);
    assert_eq!(
        (&shown["state"], &shown["user"]),
        (&json!("revoked"), &json!("ivan"))
    );
    for secret in [&curl.access, &curl.refresh, &curl.csrf] {
        assert!(
            !shell
                .ok(&["session", "list", "--json"])
                .contains(secret.as_str())
        );
    }
    shell.fails(5, &["session", "list", "--user", "nobody"]);
    shell.fails(5, &["session", "show", "00000000"]);
    shell.fails(2, &["session", "list", "--idle", "3"]);
    shell.fails(2, &["session", "list", "--ended", "--state", "active"]);
    end(daemon);
}

/// Runs `session revoke` with these words; returns how many it says to have ended.
fn revoke(shell: &Shell, line: &str) -> Value {
    let mut words = vec!["session", "revoke"];
    words.extend(line.split_whitespace());
    shell.json(&words)["revoked"].clone()
}

#[test]
fn each_way_of_saying_which_ends_those_and_no_others() {
    let shell = behind_a_proxy();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let maria = log_in(&mut client, "maria");
    for line in [
        "ID",
        "--user ivan --yes",
        "--user ivan --except OTHER --yes",
        "--ip 203.0.113.0/24 --yes=1",
        "--client Firefox* --yes=1",
        "--idle 1d --yes=1",
        "--created-before -1d --yes=1",
        "--state active --user ivan --ip 203.0.113.7 --yes=1",
    ] {
        let hit = log_in_from(&daemon, "ivan", "203.0.113.7", FIREFOX);
        age(&shell, &hit, 30);
        let other = log_in_from(&daemon, "ivan", "198.51.100.7", "curl/8.5.0");
        let line = line.replace("ID", &hit.id).replace("OTHER", &other.id);
        let both = line == "--user ivan --yes";
        assert_eq!(revoke(&shell, &line), if both { 2 } else { 1 }, "{line}");
        is_over(&mut client, &hit);
        if both {
            is_over(&mut client, &other);
        } else {
            is_open(&mut client, &other);
            assert_eq!(revoke(&shell, &other.id), 1);
            is_over(&mut client, &other);
        }
        assert_eq!(revoke(&shell, &hit.id), 0, "twice");
        is_open(&mut client, &maria);
    }
    let ivan = log_in(&mut client, "ivan");
    assert_eq!(
        shell.ok(&["session", "revoke", "--all", "--dry-run"]),
        "would revoke 2 sessions"
    );
    let told = shell.fails(2, &["session", "revoke", "--all"]);
    assert!(told.contains("--yes=2"), "{told}");
    shell.fails(6, &["session", "revoke", "--all", "--yes=3"]);
    shell.fails(5, &["session", "revoke", &ivan.id, "00000000", "--yes"]);
    for wrong in [
        &["session", "revoke"][..],
        &["session", "revoke", &ivan.id, "--all", "--yes"],
    ] {
        shell.fails(2, wrong);
    }
    is_open(&mut client, &ivan);
    let line = [
        "session",
        "revoke",
        "--all",
        "--except",
        &maria.id,
        "--yes",
        "--reason",
        "laptop lost",
    ];
    assert_eq!(shell.ok(&line), "revoked 1 session");
    is_over(&mut client, &ivan);
    is_open(&mut client, &maria);
    let shown = shell.json(&["session", "show", &ivan.id]);
    assert_eq!(shown["revoked_reason"], "laptop lost");
    assert_eq!(
        shell.ok(&["session", "revoke", "--all", "--yes"]),
        "revoked 1 session"
    );
    is_over(&mut client, &maria);
    let rows = shell.json(&[
        "audit",
        "list",
        "--action",
        "session.revoked",
        "--object",
        &format!("session:{}", ivan.id),
    ]);
    assert_eq!(rows["items"][0]["details"]["reason"], "laptop lost");
    end(daemon);
}
