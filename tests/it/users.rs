//! `provost user …` as scripts and people at a shell meet it.

use std::process::Stdio;

use crate::support::{Ran, Shell, mode};

/// bcrypt of "correct horse battery staple", as another program made it.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";

/// A shell with the administrators `root` and `maria` and the user `ivan`.
fn shell() -> Shell {
    let shell = Shell::new();
    shell.ok(&["user", "create", "root", "--admin", "--no-password"]);
    shell.ok(&["user", "create", "maria", "--admin", "--no-password"]);
    shell.ok(&["user", "create", "ivan", "--no-password"]);
    shell
}

/// Starts all of them at once and waits for all.
fn at_once(shell: &Shell, lines: &[Vec<String>]) -> Vec<Ran> {
    let start = |line: &Vec<String>| {
        let mut command = shell.command(line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let started: Vec<_> = lines.iter().map(start).collect();
    started
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().into())
        .collect()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_password_is_read_from_standard_input_and_never_shown() {
    let shell = Shell::new();
    let line = ["user", "create", "anna", "--password-stdin", "--json"];
    let made = shell.run_with(&line, "correct horse battery staple\n");
    assert_eq!((made.status, made.stderr.as_str()), (0, ""));
    assert_eq!(made.json()["has_password"], true);
    assert!(!made.stdout.contains("staple") && !made.stdout.contains("argon2"));
    let log = shell.ok(&["audit", "list", "--json"]);
    assert!(log.contains("user.created"));
    assert!(!log.contains("staple") && !log.contains("argon2"));
}

#[test]
fn a_password_against_the_rules_makes_no_account() {
    let shell = Shell::new();
    for (password, reason) in [
        ("", "is empty"),
        ("correct horse\nbattery staple\n", "more than one line"),
        ("short\n", "at least 12 characters"),
        ("qwerty123456\n", "most common passwords"),
        ("Anna-Anna-2026\n", "the user's own names"),
    ] {
        let ran = shell.run_with(&["user", "create", "anna", "--password-stdin"], password);
        let status = if password.is_empty() { 2 } else { 7 };
        assert_eq!(
            (ran.status, ran.stdout.as_str()),
            (status, ""),
            "{password:?}"
        );
        assert!(ran.stderr.contains(reason), "{ran:?}");
    }
    shell.fails(5, &["user", "show", "anna"]);
}

#[test]
fn a_hash_from_elsewhere_is_taken_over_and_a_text_that_is_none_is_not() {
    let shell = shell();
    let line = ["user", "passwd", "ivan", "--password-hash-stdin", "--json"];
    assert_eq!(shell.run_with(&line, HASH).json()["has_password"], true);
    let refused = shell.run_with(&line, "correct horse battery staple");
    assert_eq!((refused.status, refused.stdout.as_str()), (7, ""));
    assert!(!refused.stderr.contains("staple"));
    let costly = HASH.replace("$04$", "$31$");
    assert_eq!(shell.run_with(&line, costly).status, 7);
}

#[test]
fn a_generated_password_stands_alone_when_quiet_or_goes_to_a_file_of_its_own() {
    let shell = shell();
    let password = shell.ok(&["user", "passwd", "ivan", "--generate", "--quiet"]);
    assert_eq!((password.len(), password.lines().count()), (24, 1));
    let line = ["user", "passwd", "ivan", "--generate", "--out", "secret"];
    shell.ok(&line);
    assert_eq!(mode(&shell.path("secret")), 0o600);
    let kept = std::fs::read(shell.path("secret")).unwrap();
    let told = shell.fails(6, &line);
    assert!(told.contains("exists already"), "{told}");
    assert_eq!(std::fs::read(shell.path("secret")).unwrap(), kept);
}

#[test]
fn nobody_is_asked_for_a_password_without_a_terminal() {
    let shell = shell();
    for line in [["user", "create", "anna"], ["user", "passwd", "ivan"]] {
        let told = shell.fails(2, &line);
        assert!(told.contains("--password-stdin"), "{told}");
    }
}

#[test]
fn a_name_that_is_taken_ends_with_six_and_says_which() {
    let shell = shell();
    shell.ok(&["user", "update", "ivan", "--email", "Ivan@Example.org"]);
    for (line, code) in [
        ("user create IVAN --no-password", "username_taken"),
        (
            "user create vanya --no-password --email IVAN@example.org",
            "email_taken",
        ),
        ("user rename maria Ivan", "username_taken"),
        (
            "user update maria --email ivan@example.org --name Maria",
            "email_taken",
        ),
    ] {
        let mut line = words(line);
        line.push("--json".into());
        let ran = shell.run(&line);
        assert_eq!((ran.status, ran.stdout.as_str()), (6, ""), "{line:?}");
        let problem: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(problem["code"], code);
    }
    assert_eq!(
        shell.json(&["user", "show", "maria"])["name"],
        serde_json::Value::Null
    );
}

#[test]
fn an_account_is_named_by_any_of_its_names() {
    let shell = shell();
    shell.ok(&[
        "user",
        "update",
        "ivan",
        "--email",
        "ivan@example.org",
        "--phone",
        "+375 29 123-45-67",
    ]);
    let id = shell.ok(&["users", "show", "ivan", "--quiet"]);
    for name in [
        "Ivan",
        "IVAN@example.org",
        "+375291234567",
        &id,
        &id.replace('-', ""),
    ] {
        assert_eq!(shell.ok(&["user", "show", name, "-q"]), id, "{name}");
    }
    let told = shell.fails(5, &["user", "show", "nobody"]);
    assert_eq!(told, "error: no such user: nobody\n");
    // Ids that were made close together begin the same.
    let told = shell.fails(6, &["user", "show", &id[..6]]);
    assert!(told.contains("provost user list"), "{told}");
    let told = shell.fails(6, &["user", "show", &id[..6], "--json"]);
    let problem: serde_json::Value = serde_json::from_str(&told).unwrap();
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.ends_with("provost user list"), "{told}");
}

#[test]
fn tokens_of_a_disabled_account_have_ended_for_good() {
    let shell = shell();
    let token = shell.ok(&["token", "create", "--owner", "ivan", "--quiet"]);
    let reason = || {
        let ran = shell.run_with(&["token", "lookup", "-", "--json"], &token);
        ran.json()["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason(), "ok");
    let ran = shell.run(&["user", "disable", "ivan", "--reason", "left the company"]);
    assert_eq!(ran.status, 0);
    assert_eq!(ran.stderr, "disabled ivan: ended 1 API token\n");
    assert_eq!(reason(), "revoked");
    let told = shell.fails(7, &["token", "create", "--owner", "ivan"]);
    assert!(told.contains("owner: is disabled"), "{told}");
    let shown = shell.json(&["user", "show", "ivan"]);
    assert_eq!(shown["disabled_reason"], "left the company");
    shell.ok(&["user", "enable", "ivan"]);
    assert_eq!(reason(), "revoked");
    let other = shell.ok(&["token", "create", "--owner", "ivan", "--quiet"]);
    let ran = shell.run_with(&["token", "lookup", "-", "--json"], &other);
    assert_eq!(ran.json()["reason"], "ok");
}

#[test]
fn the_last_administrator_stays_and_the_way_out_is_told() {
    let shell = shell();
    shell.ok(&["user", "disable", "root"]);
    for line in [
        "user disable maria",
        "user role remove maria admin",
        "user disable ivan maria --yes",
    ] {
        let told = shell.fails(7, &words(line));
        assert!(
            told.contains("hint: make another administrator first"),
            "{told}"
        );
    }
    assert_eq!(shell.json(&["user", "show", "ivan"])["state"], "active");
    shell.ok(&["user", "role", "add", "ivan", "admin"]);
    shell.ok(&["user", "disable", "maria"]);
}

#[test]
fn of_two_shells_that_disable_one_of_two_administrators_each_one_is_refused() {
    let shell = shell();
    for _ in 0..5 {
        let lines = [words("user disable root"), words("user disable maria")];
        let mut statuses: Vec<i32> = at_once(&shell, &lines)
            .iter()
            .map(|ran| ran.status)
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [0, 7]);
        shell.ok(&["user", "enable", "root"]);
        shell.ok(&["user", "enable", "maria"]);
    }
}

#[test]
fn eight_shells_make_accounts_at_once_and_none_meets_a_lock() {
    let shell = shell();
    for round in 0..4 {
        let line = |n| words(&format!("user create u{round}-{n} --no-password -q"));
        let lines: Vec<_> = (0..8).map(line).collect();
        for ran in at_once(&shell, &lines) {
            assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        }
    }
    let all = shell.ok(&["user", "list", "--all", "-q"]);
    assert_eq!(all.lines().count(), 3 + 32);
    // And of eight that want the same name, one gets it.
    let lines: Vec<_> = (0..8)
        .map(|_| words("user create same --no-password"))
        .collect();
    let ran = at_once(&shell, &lines);
    assert_eq!(ran.iter().filter(|ran| ran.status == 0).count(), 1);
    assert_eq!(ran.iter().filter(|ran| ran.status == 6).count(), 7);
}

#[test]
fn several_accounts_are_disabled_only_when_their_number_is_right() {
    let shell = shell();
    let told = shell.fails(2, &["user", "disable", "ivan", "root"]);
    assert!(told.contains("--yes=2"), "{told}");
    shell.fails(6, &["user", "disable", "ivan", "root", "--yes=3"]);
    let planned = shell.run(&["user", "disable", "ivan", "root", "--dry-run"]);
    assert_eq!(planned.stderr, "would disable ivan\nwould disable root\n");
    let active = shell.ok(&["user", "list", "--state", "active", "-q"]);
    assert_eq!(active.lines().count(), 3);
    shell.ok(&["user", "disable", "ivan", "root", "--yes=2"]);
    let left = shell.ok(&["user", "list", "--state", "active", "--fields", "username"]);
    assert_eq!(left, "USERNAME\nmaria");
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let shell = shell();
    let first = shell.run(&["user", "list", "--limit", "2", "--jsonl"]);
    assert_eq!(first.stdout.lines().count(), 2);
    let (_, cursor) = first.stderr.trim_end().rsplit_once(' ').unwrap();
    let rest = shell.ok(&["user", "list", "--cursor", cursor, "--fields", "username"]);
    assert_eq!(rest, "USERNAME\nroot");
    let told = shell.fails(7, &["user", "list", "--cursor", "x"]);
    assert_eq!(told, "error: cursor: is not one of this list\n");
}

#[test]
fn each_change_is_in_the_log_under_the_operators_name() {
    let shell = shell();
    let id = shell.ok(&["user", "show", "ivan", "-q"]);
    shell.ok(&["user", "rename", "ivan", "vanya", "--as", "maria"]);
    // What changes nothing leaves no row.
    shell.ok(&["user", "rename", "vanya", "vanya"]);
    shell.ok(&["user", "enable", "vanya"]);
    shell.ok(&["user", "passwd", "vanya", "--no-password"]);
    let object = format!("user:{id}");
    let list = shell.json(&["audit", "list", "--object", &object]);
    let rows = list["items"].as_array().unwrap();
    let actions: Vec<&str> = rows
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["user.updated", "user.created"]);
    let actor = rows[0]["actor"].as_str().unwrap();
    assert!(
        actor.starts_with("os:") && actor.ends_with(" as maria"),
        "{actor}"
    );
}

#[test]
fn an_account_that_is_disabled_already_is_not_said_to_be_disabled_now() {
    let shell = shell();
    shell.ok(&["user", "create", "petra", "--no-password"]);
    let disable = || shell.run(&["user", "disable", "petra"]).stderr;
    assert_eq!(disable(), "disabled petra\n");
    assert_eq!(disable(), "petra is disabled already\n");
}

#[test]
fn what_is_not_found_is_named_and_cannot_steer_the_terminal() {
    let shell = Shell::new();
    let told = shell.fails(5, &["user", "show", "ivna"]);
    assert!(told.contains("error: no such user: ivna\n"), "{told}");
    let told = shell.fails(5, &["user", "show", "a\u{1b}[2J"]);
    assert!(told.contains("no such user: a\\u{1b}[2J\n"), "{told}");
    let told = shell.fails(5, &["user", "show", &"é".repeat(500)]);
    assert!(
        told.contains(&format!("no such user: {}…\n", "é".repeat(64))),
        "{told}"
    );
}

#[test]
fn a_deleted_account_can_be_restored_and_is_erased_by_a_purge_when_it_no_longer_can() {
    let shell = shell();
    shell.ok(&["user", "update", "ivan", "--email", "ivan@example.org"]);
    let id = shell.ok(&["user", "show", "ivan", "-q"]);
    let token = shell.ok(&["token", "create", "--owner", "ivan", "--quiet"]);
    let told = shell.fails(2, &["user", "delete", "ivan"]);
    assert!(told.contains("--yes=1"), "{told}");
    let planned = shell.run(&["user", "delete", "ivan", "--dry-run"]);
    assert_eq!(planned.stderr, "would delete ivan\n");
    let gone = shell.run(&[
        "user",
        "delete",
        "ivan",
        "--yes",
        "--reason",
        "asked for it",
    ]);
    let (before, until) = gone.stderr.split_once("; can be restored until ").unwrap();
    assert_eq!(
        (gone.status, before),
        (0, "deleted ivan: ended 1 API token")
    );
    assert!(until.ends_with("Z\n"), "{until}");
    let list = |state: &str| {
        let line = ["user", "list", "--state", state, "--fields", "username"];
        shell.ok(&line)
    };
    assert_eq!(list("deleted"), "USERNAME\nivan");
    assert_eq!(shell.ok(&["user", "list", "-q"]).lines().count(), 2);
    shell.fails(5, &["user", "disable", "ivan"]);
    shell.fails(6, &["user", "create", "ivan", "--no-password"]);
    assert_eq!(shell.json(&["user", "show", "ivan"])["state"], "deleted");

    let back = shell.json(&["user", "restore", "ivan"]);
    assert_eq!(
        (&back["state"], &back["deleted_at"]),
        (&"active".into(), &None::<u8>.into())
    );
    let ran = shell.run_with(&["token", "lookup", "-", "--json"], &token);
    assert_eq!(ran.json()["reason"], "revoked");

    shell.ok(&["user", "delete", "ivan", "--yes"]);
    let shell = shell.with("PROVOST_AUTH_RESTORE_PERIOD", "0s");
    let told = shell.fails(7, &["user", "restore", "ivan"]);
    assert!(told.contains("was deleted more than 0s ago"), "{told}");
    shell.ok(&["purge", "--only", "user"]);
    let left = shell.json(&["user", "show", &id]);
    assert_eq!(left["username"], format!("deleted-{}", &id[..8]));
    assert_eq!(
        (&left["email"], &left["roles"]),
        (&None::<u8>.into(), &serde_json::json!([]))
    );
    shell.ok(&[
        "user",
        "create",
        "ivan",
        "--email",
        "ivan@example.org",
        "--no-password",
    ]);
    let log = shell.ok(&["audit", "list", "--object", &format!("user:{id}"), "--json"]);
    assert!(
        log.contains("user.erased") && !log.contains("example.org"),
        "{log}"
    );
}

#[test]
fn what_an_account_says_of_its_person_is_set_and_cleared() {
    let shell = shell();
    let line = [
        "user",
        "update",
        "ivan",
        "--locale",
        "be-by",
        "--meta",
        "{\"pet\": \"cat\"}",
    ];
    shell.ok(&line);
    let user = shell.json(&["user", "show", "ivan"]);
    assert_eq!(
        (&user["locale"], &user["meta"]["pet"]),
        (&"be-BY".into(), &"cat".into())
    );
    shell.ok(&["user", "update", "ivan", "--no-locale", "--no-meta"]);
    let user = shell.json(&["user", "show", "ivan"]);
    assert!(user["locale"].is_null() && user["meta"].is_null());
    for (flag, value) in [("--locale", "!"), ("--meta", "[]")] {
        let told = shell.fails(2, &["user", "update", "ivan", flag, value]);
        assert!(told.contains(flag), "{told}");
    }
}

#[test]
fn can_answers_with_its_exit_status_and_says_why() {
    let shell = shell();
    let can = |line: &str| {
        let ran = shell.run(&words(&format!("can {line}")));
        (ran.status, ran.stdout)
    };
    assert_eq!(can("maria user:write"), (0, "yes\n".into()));
    assert_eq!(can("ivan user:write"), (3, "no\n".into()));
    assert_eq!(can("ivan user:write ivan"), (3, "no\n".into()));
    assert_eq!(can("ivan user:write --quiet"), (3, String::new()));
    let (status, why) = can("ivan user:write --why");
    assert_eq!(status, 3);
    assert!(
        why.contains("only an administrator may do user:write"),
        "{why}"
    );
    shell.ok(&[
        "token",
        "create",
        "--owner",
        "ivan",
        "--scope",
        "course:read",
        "-q",
    ]);
    let token = shell.ok(&["token", "list", "-q"]);
    assert_eq!(can(&format!("{token} course:read")).0, 0);
    shell.ok(&["user", "disable", "ivan"]);
    let ran = shell.run(&words(&format!("can {token} course:read --json")));
    assert_eq!(ran.status, 3);
    let verdict = ran.json();
    assert_eq!(verdict["allowed"], false);
    let failed: Vec<&str> = verdict["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["passed"] == false)
        .map(|step| step["rule"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["state", "epoch"]);
    assert_eq!(can("nobody user:read").0, 5);
    assert_eq!(can("maria user").0, 2);
}

#[test]
fn every_value_that_cannot_be_is_told_at_once() {
    let shell = shell();
    let line = [
        "user",
        "create",
        "a b",
        "--email",
        "x",
        "--phone",
        "12",
        "--role",
        "root",
        "--no-password",
    ];
    let told = shell.fails(2, &line);
    let lines: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("error:"))
        .collect();
    assert_eq!(lines.len(), 4, "{told}");
    for (line, part) in lines
        .iter()
        .zip(["<USERNAME>", "--email", "--phone", "--role"])
    {
        assert!(line.contains(part), "{told}");
    }
    assert!(
        told.contains("[possible values: admin, author, user]"),
        "{told}"
    );
    assert_eq!(told.matches("--help").count(), 1, "{told}");
    let ran = shell.run(&[&line[..], &["--json"]].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    let problem: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(detail.matches("invalid value").count(), 4, "{detail}");
    let line = ["user", "update", "ivan", "--email", "x", "--locale", "!"];
    let told = shell.fails(2, &line);
    assert!(
        told.contains("--email") && told.contains("--locale"),
        "{told}"
    );
}

#[test]
fn an_account_is_shown_with_its_second_factor_and_its_last_login() {
    let shell = crate::support::Shell::unthrottled();
    let line = ["user", "create", "ivan", "--password-stdin"];
    assert_eq!(
        shell.run_with(&line, "correct horse battery staple").status,
        0
    );
    let shown = shell.json(&["user", "show", "ivan"]);
    assert_eq!(shown["username"], "ivan");
    assert_eq!(shown["second_factor"], "none");
    assert_eq!(shown["recovery_codes"], serde_json::Value::Null);
    assert_eq!(shown["last_login_at"], serde_json::Value::Null);
    assert_eq!(shown["open_sessions"], 0);
    let daemon = shell.serve();
    let body = r#"{"login":"ivan","password":"correct horse battery staple"}"#;
    let headers = "Content-Type: application/json\r\n";
    let log_in = || daemon.request("POST", "/api/v1/auth/login", headers, body);
    let (status, answer) = log_in();
    assert_eq!(status, 200, "{answer}");
    let etag = shell.sql().number("SELECT updated_at FROM users");
    assert_eq!(log_in().0, 200);
    assert_eq!(
        shell.sql().number("SELECT updated_at FROM users"),
        etag,
        "no change of the account"
    );
    let id = shown["id"].as_str().unwrap();
    shell.sql().run(&format!(
        "INSERT INTO totp_factors (user_id, secret, created_at, confirmed_at)
         SELECT '{id}', network, 1, 2 FROM known_networks"
    ));
    let shown = shell.json(&["user", "show", "ivan"]);
    assert_eq!(shown["open_sessions"], 2);
    assert!(shown["last_login_at"].as_str().unwrap() >= shown["created_at"].as_str().unwrap());
    assert_eq!(
        (&shown["second_factor"], &shown["recovery_codes"]),
        (&"totp".into(), &0.into())
    );
    // Sessions go with the purge; the instant stays.
    shell.sql().run("DELETE FROM sessions");
    assert_ne!(
        shell.json(&["user", "show", "ivan"])["last_login_at"],
        serde_json::Value::Null
    );
    shell.ok(&["user", "delete", "ivan", "--yes"]);
    assert_eq!(
        shell.json(&["user", "show", "ivan"])["second_factor"],
        "none"
    );
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn an_export_says_how_many_deleted_accounts_it_leaves_out() {
    let shell = shell();
    shell.ok(&["user", "create", "anna", "--no-password"]);
    let told = |line: &[&str]| shell.run(line).stderr;
    assert!(!told(&["user", "export"]).contains("deleted"));
    shell.ok(&["user", "delete", "anna", "--yes"]);
    assert!(told(&["user", "export"]).contains("1 deleted account is left out"));
    let file = shell.path("people.csv");
    let json = shell.json(&["user", "export", "-o", file.to_str().unwrap()]);
    assert_eq!((&json["users"], &json["deleted"]), (&3.into(), &1.into()));
}
