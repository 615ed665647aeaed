//! Tokens at the shell.

use std::fs;

use crate::support::{Shell, mode};

#[test]
fn a_token_is_shown_once_and_found_again_by_whoever_has_it() {
    let shell = Shell::new();
    let made = shell.json(&["token", "create", "--label", "deploy", "--scope", "a:b,c:d"]);
    let (text, id) = (
        made["token"].as_str().unwrap(),
        made["id"].as_str().unwrap(),
    );
    assert_eq!(made["scopes"], serde_json::json!(["a:b", "c:d"]));
    assert!(shell.json(&["token", "show", id]).get("token").is_none());
    let ran = shell.run_with(&["token", "lookup", "-", "--json"], format!("{text}\n"));
    assert_eq!(ran.json()["reason"], "ok");
    assert_eq!(ran.json()["id"], id);
    assert!(!shell.ok(&["token", "list", "--json"]).contains(text));
    assert!(!shell.ok(&["audit", "list", "--jsonl"]).contains(text));
    // The first six characters are enough.
    assert_eq!(shell.json(&["token", "show", &id[..6]])["id"], id);
}

#[test]
fn quiet_prints_the_token_alone_and_out_writes_it_to_a_private_file() {
    let shell = Shell::new();
    let alone = shell.ok(&["token", "create", "--quiet"]);
    assert_eq!(alone.len(), 51);
    let file = shell.path("token");
    let name = file.to_str().unwrap();
    let made = shell.json(&["token", "create", "--out", name]);
    assert!(made.get("token").is_none());
    assert_eq!(mode(&file), 0o600);
    let found = shell.json(&["token", "lookup", "--file", name]);
    assert_eq!(found["id"], made["id"]);
}

#[test]
fn a_file_that_exists_is_kept_and_no_token_is_issued_for_it() {
    let shell = Shell::new();
    let file = shell.path("token");
    fs::write(&file, "mine").unwrap();
    shell.fails(6, &["token", "create", "--out", file.to_str().unwrap()]);
    shell.fails(7, &["token", "create", "--out", "/nonexistent/token"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(
        shell.json(&["token", "list"])["items"],
        serde_json::json!([])
    );
    // Nor is an empty file left behind by a token that was refused.
    let other = shell.path("other");
    shell.fails(
        7,
        &[
            "token",
            "create",
            "--ttl",
            "400d",
            "--out",
            other.to_str().unwrap(),
        ],
    );
    assert!(!other.exists());
}

#[test]
fn a_token_is_never_taken_from_the_command_line_nor_repeated() {
    let shell = Shell::new();
    let text = shell.ok(&["token", "create", "--quiet"]);
    for line in [
        ["token", "lookup", &text],
        ["token", "consume", &text],
        ["token", "show", &text],
        ["token", "renew", &text],
        ["token", "revoke", &text],
    ] {
        let told = shell.fails(2, &line);
        assert!(told.contains("history"), "{told}");
        assert!(!told.contains(&text), "{told}");
    }
    let told = shell.fails(2, &["token", "lookup"]);
    assert!(told.contains("--file"), "{told}");
}

#[test]
fn the_uses_of_a_token_are_counted_and_then_it_is_refused() {
    let shell = Shell::new();
    let text = shell.ok(&[
        "token",
        "create",
        "--kind",
        "temporary",
        "--max-uses",
        "2",
        "--quiet",
    ]);
    for used in 1..=2 {
        let ran = shell.run_with(&["token", "consume", "-", "--json"], &text);
        assert_eq!(ran.json()["used"], used);
    }
    let ran = shell.run_with(&["token", "consume", "-", "--json"], &text);
    assert_eq!((ran.status, ran.stdout.as_str()), (7, ""));
    assert!(ran.stderr.contains("used_up"), "{ran:?}");
}

#[test]
fn a_looked_up_token_says_why_it_is_refused() {
    let shell = Shell::new();
    let reason = |text: &str| {
        let ran = shell.run_with(&["token", "lookup", "-", "--json"], text);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.json()["reason"].as_str().unwrap().to_owned()
    };
    let text = shell.ok(&["token", "create", "--quiet"]);
    let mut mistyped = text.clone();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(reason(&mistyped), "bad_checksum");
    assert_eq!(reason("nonsense"), "unknown");
    assert_eq!(
        reason(&shell.ok(&["token", "create", "--not-before", "+2d", "-q"])),
        "not_yet"
    );
    let id = &text[4..15];
    shell.ok(&["token", "revoke", id, "--reason", "leaked"]);
    assert_eq!(reason(&text), "revoked");
}

#[test]
fn a_line_for_cron_tells_by_its_exit_status_whether_tokens_expire_soon() {
    let shell = Shell::new();
    let soon = [
        "token",
        "list",
        "--expiring",
        "14d",
        "--exit-code",
        "--quiet",
    ];
    assert_eq!(shell.ok(&soon), "");
    shell.ok(&["token", "create", "--ttl", "never"]);
    shell.ok(&["token", "create", "--ttl", "30d"]);
    assert_eq!(shell.ok(&soon), "");
    let made = shell.json(&["token", "create", "--ttl", "7d"]);
    let ran = shell.run(&soon);
    assert_eq!(ran.status, 9);
    assert_eq!(ran.stdout.trim(), made["id"].as_str().unwrap());
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_list_is_filtered_cut_and_continued() {
    let shell = Shell::new();
    for n in 0..5 {
        let label = format!("ci-{n}");
        shell.ok(&["token", "create", "--label", &label]);
    }
    shell.ok(&["token", "create", "--kind", "temporary", "--label", "other"]);
    let labels = |list: &serde_json::Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["label"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = shell.json(&["token", "list", "--label", "ci-*", "--limit", "3"]);
    assert_eq!(labels(&first), ["ci-4", "ci-3", "ci-2"]);
    let cursor = first["next"].as_str().unwrap();
    let rest = shell.json(&["token", "list", "--label", "ci-*", "--cursor", cursor]);
    assert_eq!(labels(&rest), ["ci-1", "ci-0"]);
    let kind = shell.json(&["token", "list", "--kind", "temporary"]);
    assert_eq!(labels(&kind), ["other"]);
    let none = shell.json(&["token", "list", "--created-before", "-1d"]);
    assert_eq!(labels(&none), [""; 0]);
    let told = shell.fails(5, &["token", "list", "--owner", "nobody"]);
    assert!(told.contains("no such user"), "{told}");
}

#[test]
fn many_are_revoked_only_by_who_says_how_many() {
    let shell = Shell::new();
    for _ in 0..3 {
        shell.ok(&["token", "create", "--label", "ci"]);
    }
    let all = ["token", "revoke", "--label", "ci"];
    let with = |flag: &'static str| [&all[..], &[flag]].concat();
    assert_eq!(shell.ok(&with("--dry-run")), "would revoke 3 tokens");
    let told = shell.fails(2, &all);
    assert!(told.contains("--yes=3"), "{told}");
    shell.fails(6, &with("--yes=2"));
    assert_eq!(
        shell.json(&["token", "list", "--state", "revoked"])["items"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(shell.ok(&with("--yes=3")), "revoked 3 tokens");
    assert_eq!(shell.ok(&all), "revoked 0 tokens");
    let told = shell.fails(2, &["token", "revoke"]);
    assert!(told.contains("--owner"), "{told}");
}

#[test]
fn one_unknown_id_keeps_the_others_from_being_revoked_or_renewed() {
    let shell = Shell::new();
    let made = shell.json(&["token", "create", "--ttl", "1d"]);
    let id = made["id"].as_str().unwrap();
    shell.fails(5, &["token", "revoke", "--yes", id, "zzzzzz"]);
    shell.fails(5, &["token", "renew", id, "zzzzzz"]);
    assert_eq!(shell.json(&["token", "show", id]), without(&made, "token"));
    let renewed = shell.json(&["token", "renew", id, "--ttl", "2d"]);
    assert!(renewed["expires_at"].as_str() > made["expires_at"].as_str());
}

fn without(object: &serde_json::Value, member: &str) -> serde_json::Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(member);
    object
}

#[test]
fn leaked_tokens_are_found_without_being_shown() {
    let shell = Shell::new();
    let live = shell.ok(&["token", "create", "--quiet"]);
    let dead = shell.ok(&["token", "create", "--quiet"]);
    shell.ok(&["token", "revoke", &dead[4..15]]);
    fs::write(shell.path("dead.txt"), format!("x\nKEY={dead}\n")).unwrap();
    let ran = shell.run(&["token", "scan", "dead.txt"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("dead.txt") && ran.stdout.contains("revoked"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains(&dead), "{ran:?}");
    let bytes = [b"\xff\xfe\0", live.as_bytes(), b"\0"].concat();
    let ran = shell.run_with(&["token", "scan", "--json"], bytes);
    assert_eq!(ran.status, 9, "{ran:?}");
    let found = &ran.json()["items"][0];
    assert_eq!(
        (found["file"].as_str(), found["reason"].as_str()),
        (Some("-"), Some("ok"))
    );
    assert_eq!(found["id"], live[4..15]);
    // Without a database every token counts, and no database is asked for.
    let bare = Shell::bare();
    assert_eq!(
        bare.run_with(&["token", "scan", "--offline"], &dead).status,
        9
    );
    let ran = bare.run_with(&["token", "scan", "--offline"], "clean");
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    bare.fails(1, &["token", "scan", "--offline", "missing.txt"]);
}

#[test]
fn what_the_shell_revokes_is_refused_at_the_daemons_next_request() {
    let shell = Shell::new();
    let daemon = shell.serve();
    for _ in 0..5 {
        let text = shell.ok(&["token", "create", "--scope", "token:read", "--quiet"]);
        let bearer = format!("Authorization: Bearer {text}\r\n");
        assert_eq!(daemon.request("GET", "/api/v1/tokens", &bearer, "").0, 200);
        shell.ok(&["token", "revoke", &text[4..15]]);
        assert_eq!(daemon.request("GET", "/api/v1/tokens", &bearer, "").0, 401);
    }
}

#[test]
fn what_is_revoked_already_is_said_and_not_counted() {
    let shell = Shell::new();
    let one = shell.json(&["token", "create"])["id"].clone();
    let two = shell.json(&["token", "create"])["id"].clone();
    let (one, two) = (one.as_str().unwrap(), two.as_str().unwrap());
    shell.ok(&["token", "revoke", one]);
    let both = ["token", "revoke", one, two];
    let dry = shell.run(&[&both[..], &["--dry-run"]].concat());
    assert_eq!(dry.stdout, "would revoke 1 token\n");
    assert_eq!(dry.stderr, format!("{one} is revoked already\n"));
    assert_eq!(
        shell.json(&[&both[..], &["--yes=1"]].concat())["revoked"],
        1
    );
    assert_eq!(
        shell.ok(&["token", "revoke", one, "--yes=0"]),
        "revoked 0 tokens"
    );
}

#[test]
fn an_id_that_is_too_short_or_of_no_token_is_told_as_such() {
    let shell = Shell::new();
    let told = shell.fails(7, &["token", "show", "4U6"]);
    assert!(told.contains("at least the first 6"), "{told}");
    let told = shell.fails(5, &["token", "show", "000000"]);
    assert!(told.contains("no such token: 000000\n"), "{told}");
}

#[test]
fn a_lookup_in_a_script_tells_by_its_exit_status_whether_the_token_is_good() {
    let shell = Shell::new();
    let text = shell.ok(&["token", "create", "--quiet"]);
    let lookup =
        |text: &str| shell.run_with(&["token", "lookup", "-", "--exit-code", "--json"], text);
    assert_eq!(lookup(&text).status, 0);
    let refused = lookup("nonsense");
    assert_eq!(
        (refused.status, refused.json()["reason"].as_str()),
        (9, Some("unknown"))
    );
    for verb in ["lookup", "consume"] {
        let ran = shell.run_with(&["token", verb, "-"], "");
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(
            ran.stderr.contains("error: standard input is empty\n"),
            "{ran:?}"
        );
    }
}
