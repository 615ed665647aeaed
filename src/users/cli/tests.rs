//! What `provost user …` prints and refuses, against a database in memory.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use clap::Parser;
use serde_json::Value;

use super::*;
use crate::app::{Actor, App};
use crate::cli::flags::Format;
use crate::cli::output::Terminal;
use crate::error::Error;
use crate::time::Timestamp;
use crate::tokens;

#[derive(Debug, clap::Parser)]
struct Program {
    #[command(flatten)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parse(line: &str) -> Result<Program, clap::Error> {
    Program::try_parse_from(line.split_whitespace())
}

/// What the command printed, on standard output and on standard error.
fn try_run(operator: &Operator, line: &str) -> Result<(String, String)> {
    let program = parse(line).unwrap();
    let (data, talk) = (Sink::default(), Sink::default());
    let mut out = Output::to(
        Box::new(data.clone()),
        Box::new(talk.clone()),
        program.format,
        Terminal::default(),
        Timestamp(0),
    );
    let done = program.command.run(operator, &mut out);
    out.close(done)?;
    Ok((data.text(), talk.text()))
}

fn run(operator: &Operator, line: &str) -> (String, String) {
    try_run(operator, line).unwrap()
}

fn json(operator: &Operator, line: &str) -> Value {
    let (text, talk) = run(operator, &format!("{line} --json"));
    assert_eq!(talk, "");
    serde_json::from_str(&text).unwrap()
}

/// An operator with the administrator `root` and the users `ivan` and `maria`.
fn operator() -> Operator {
    let operator = Operator::of(App::memory());
    run(&operator, "user create root --admin --no-password");
    run(
        &operator,
        "user create ivan --email Ivan@example.org --no-password",
    );
    run(
        &operator,
        "user create maria --no-password --role user --role admin",
    );
    operator
}

#[test]
fn a_new_account_is_printed_without_its_hash() {
    let operator = operator();
    let user = json(&operator, "user show ivan@example.org");
    let members: Vec<&String> = user.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "id",
            "username",
            "email",
            "email_verified",
            "phone",
            "name",
            "locale",
            "meta",
            "state",
            "disabled_reason",
            "disabled_at",
            "deleted_at",
            "roles",
            "has_password",
            "created_at",
            "updated_at",
            "second_factor",
            "recovery_codes",
            "last_login_at",
            "open_sessions",
        ]
    );
    assert_eq!(user["email"], "ivan@example.org");
    assert_eq!(user["roles"], serde_json::json!(["user"]));
    let maria = json(&operator, "user show maria");
    assert_eq!(maria["roles"], serde_json::json!(["admin", "user"]));
    let (id, talk) = run(&operator, "user show ivan -q");
    assert_eq!(
        (id.trim_end(), talk.as_str()),
        (user["id"].as_str().unwrap(), "")
    );
}

#[test]
fn a_generated_password_is_printed_once_and_alone_when_quiet() {
    let operator = operator();
    let created = json(&operator, "user create anna --generate");
    assert_eq!(created["password"].as_str().unwrap().len(), 24);
    assert_eq!(created["has_password"], true);
    assert!(json(&operator, "user show anna").get("password").is_none());
    let (password, talk) = run(&operator, "user passwd anna --generate -q");
    assert_eq!((password.trim_end().len(), talk.as_str()), (24, ""));
    assert_ne!(created["password"], password.trim_end());
}

#[test]
fn a_generated_password_can_go_to_a_file_which_is_never_overwritten() {
    let (operator, folder) = (operator(), tempfile::tempdir().unwrap());
    let path = folder.path().join("secret");
    let line = format!("user create anna --generate --out {}", path.display());
    let (data, _) = run(&operator, &line);
    let password = std::fs::read_to_string(&path).unwrap();
    assert_eq!(password.trim_end().len(), 24);
    assert!(!data.contains(password.trim_end()));
    let again = line.replace("anna", "vera");
    assert!(matches!(
        try_run(&operator, &again),
        Err(Error::Exists { .. })
    ));
    let nowhere = again.replace("secret", "none/secret");
    assert!(matches!(
        try_run(&operator, &nowhere),
        Err(Error::Invalid { field: "out", .. })
    ));
    assert!(matches!(
        try_run(&operator, "user show vera"),
        Err(Error::NotFound { noun: "user", .. })
    ));
}

#[test]
fn a_password_can_come_from_a_file_and_must_pass_the_policy() {
    let (operator, folder) = (operator(), tempfile::tempdir().unwrap());
    let path = folder.path().join("secret");
    let line = format!("user passwd ivan --password-file {}", path.display());
    std::fs::write(&path, "short\n").unwrap();
    let refused = try_run(&operator, &line).unwrap_err();
    assert_eq!((refused.spec().exit, refused.spec().code), (7, "invalid"));
    std::fs::write(&path, "correct horse battery staple\n").unwrap();
    assert_eq!(json(&operator, &line)["has_password"], true);
    assert_eq!(
        json(&operator, "user passwd ivan --no-password")["has_password"],
        false
    );
}

#[test]
fn without_a_terminal_the_password_flags_are_named() {
    let operator = operator();
    for line in ["user create anna", "user passwd ivan"] {
        let error = try_run(&operator, line).unwrap_err();
        assert_eq!(error.spec().exit, 2);
        assert!(error.to_string().contains("--password-stdin"), "{error}");
    }
}

#[test]
fn a_password_comes_from_one_place_only_and_never_from_the_command_line() {
    for line in [
        "user create anna --generate --no-password",
        "user create anna --password-stdin --password-hash-stdin",
        "user create anna --password-file x --generate",
        "user create anna --no-password --out x",
        "user create anna --password x",
        "user create anna x",
        "user create anna --admin --role user",
        "user create anna --role boss",
        "user create anna@example.org",
        "user create anna --email anna",
        "user create anna --phone 12",
        "user update ivan",
        "user update ivan --email a@x.org --no-email",
        "user disable",
        "user role add ivan",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    parse("user update ivan --email a@x.org --no-phone").unwrap();
}

#[test]
fn names_are_changed_and_taken_away() {
    let operator = operator();
    let line = "user update ivan --phone +375291234567 --name Ivan --no-email";
    let user = json(&operator, line);
    assert_eq!(user["phone"], "+375291234567");
    assert_eq!(user["name"], "Ivan");
    assert_eq!(user["email"], Value::Null);
    assert_eq!(
        json(&operator, "user rename ivan vanya")["username"],
        "vanya"
    );
    let taken = try_run(&operator, "user rename vanya MARIA").unwrap_err();
    assert_eq!(taken.spec().exit, 6);
}

#[test]
fn disabling_says_what_it_ended() {
    let operator = operator();
    let issue = |kind| {
        operator.write(move |cx| {
            let owner = Some("ivan".into());
            let new = tokens::NewToken {
                owner,
                ..tokens::NewToken::of(kind)
            };
            Ok(tokens::create(cx, &new)?.token.id.to_string())
        })
    };
    for kind in [
        tokens::Kind::Api,
        tokens::Kind::Api,
        tokens::Kind::Temporary,
    ] {
        issue(kind).unwrap();
    }
    let ended = issue(tokens::Kind::Api).unwrap();
    operator
        .write(move |cx| tokens::revoke(cx, &ended, None))
        .unwrap();
    let (data, talk) = run(&operator, "user disable ivan --reason left");
    assert_eq!(
        talk,
        "disabled ivan: ended 2 API tokens, 1 temporary token\n"
    );
    assert!(data.contains("disabled_reason  left\n"), "{data}");
    let (_, talk) = run(&operator, "user disable maria");
    assert_eq!(talk, "disabled maria\n");
    assert_eq!(json(&operator, "user enable ivan")["state"], "active");
}

#[test]
fn several_accounts_are_disabled_together_or_not_at_all() {
    let operator = operator();
    let state = |name: &str| json(&operator, &format!("user show {name}"))["state"].clone();
    let asked = try_run(&operator, "user disable ivan maria").unwrap_err();
    assert_eq!(asked.spec().exit, 2);
    let counted = try_run(&operator, "user disable ivan maria --yes=3").unwrap_err();
    assert_eq!(counted.spec().code, "count_differs");
    let one = try_run(&operator, "user disable ivan --yes=2").unwrap_err();
    assert_eq!(one.spec().code, "count_differs");
    let last = try_run(&operator, "user disable ivan maria root --yes").unwrap_err();
    assert_eq!(last.spec().code, "last_admin");
    let none = try_run(&operator, "user disable ivan nobody --yes").unwrap_err();
    assert_eq!(none.spec().exit, 5);
    let (_, talk) = run(&operator, "user disable ivan maria --dry-run");
    assert_eq!(talk, "would disable ivan\nwould disable maria\n");
    assert_eq!(
        (state("ivan"), state("maria")),
        ("active".into(), "active".into())
    );
    let done = json(
        &operator,
        "user disable ivan maria ivan@example.org --yes=2",
    );
    assert_eq!(done["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        (state("ivan"), state("maria")),
        ("disabled".into(), "disabled".into())
    );
}

#[test]
fn accounts_are_listed_in_the_form_that_is_asked_for() {
    let operator = operator();
    let (table, _) = run(&operator, "user list --role admin");
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().next().unwrap());
    assert_eq!(lines.next(), Some("USERNAME"));
    let mut found: Vec<&str> = lines.collect();
    found.sort_unstable();
    assert_eq!(found, ["maria", "root"]);
    let (ids, _) = run(&operator, "user list -q");
    assert_eq!(ids.lines().count(), 3);
    let (one, _) = run(
        &operator,
        "user list --q IVA --fields username,email --jsonl",
    );
    assert_eq!(
        one,
        "{\"username\":\"ivan\",\"email\":\"ivan@example.org\"}\n"
    );
    assert_eq!(
        json(&operator, "user list --state disabled")["items"],
        serde_json::json!([])
    );
}

#[test]
fn roles_are_listed_added_and_removed() {
    let operator = operator();
    let roles = |line: &str| json(&operator, line)["roles"].clone();
    assert_eq!(
        roles("user role add ivan admin"),
        serde_json::json!(["admin", "user"])
    );
    assert_eq!(
        roles("user role remove ivan user"),
        serde_json::json!(["admin"])
    );
    let (words, _) = run(&operator, "user role list ivan -q");
    assert_eq!(words, "admin\n");
    run(&operator, "user role remove root admin");
    run(&operator, "user role remove maria admin");
    let last = try_run(&operator, "user role remove ivan admin").unwrap_err();
    assert_eq!(last.spec().code, "last_admin");
}

#[test]
fn the_operator_is_named_in_the_log() {
    let operator = operator();
    let filter = crate::audit::Filter {
        action: Some("user.created".into()),
        actor: Some(Actor::operator().to_string()),
        ..crate::audit::Filter::default()
    };
    let log = operator.read(|cx| crate::audit::list(cx, &filter, None, 9));
    assert_eq!(log.unwrap().items.len(), 3);
}
