//! `provost outbox …`: the mail on its way, as the operator at the shell looks after it.

use serde_json::json;

use crate::support::Shell;
use crate::support::smtp::{MailServer, Manner};

/// A shell whose program sends mail to `server`, with `ivan`.
fn shell(server: &MailServer) -> Shell {
    let shell = Shell::new()
        .with("PROVOST_SMTP_HOST", "127.0.0.1")
        .with("PROVOST_SMTP_PORT", &server.port())
        .with("PROVOST_SMTP_TLS", "none")
        .with("PROVOST_SMTP_FROM", "desk@example.org")
        .with("PROVOST_SMTP_TIMEOUT", "1s");
    let line = "user create ivan --no-password --email ivan@example.org";
    shell.ok(&line.split(' ').collect::<Vec<_>>());
    shell
        .sql()
        .run("DELETE FROM outbox_messages; UPDATE users SET email_verified_at = 1");
    shell
}

fn deliver(shell: &Shell) {
    let ran = shell.run(&["job", "run", "outbox.deliver"]);
    assert!([0, 12].contains(&ran.status), "{ran:?}");
}

#[test]
fn mail_that_waits_is_listed_without_its_text_and_can_be_tried_at_once() {
    let server = MailServer::start(Manner::IsBusy);
    let shell = shell(&server);
    let link = shell.run(&["--json", "user", "login-link", "ivan", "--mail"]);
    assert_eq!(link.status, 0, "{link:?}");
    deliver(&shell);
    // Whoever forgets a password that nobody has leaves a row behind that is no mail.
    shell.sql().run(
        "INSERT INTO outbox_messages (id, recipient, template, sealed, created_at, expires_at,
           next_at, attempts, done_at, result)
         SELECT 7, '', template, sealed, 1, 2, 1, 0, 1, 'decoy' FROM outbox_messages",
    );
    let list = shell.json(&["outbox", "list"]);
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{list}");
    let mail = &items[0];
    assert_eq!(mail["recipient"], "ivan@example.org");
    assert_eq!(
        (&mail["template"], &mail["state"]),
        (&json!("login_link"), &json!("waiting"))
    );
    assert_eq!(
        (&mail["attempts"], &mail["sending"]),
        (&json!(1), &json!(false))
    );
    assert!(
        mail["last_error"]
            .as_str()
            .is_some_and(|told| !told.is_empty()),
        "{mail}"
    );
    let id = mail["id"].as_str().unwrap();
    let shown = shell.ok(&["outbox", "show", id]);
    assert!(
        shown.contains("ivan@example.org") && !shown.contains("pvl_"),
        "{shown}"
    );
    assert_eq!(
        shell.ok(&["outbox", "list", "--state", "sent", "--quiet"]),
        ""
    );

    server.becomes(Manner::Takes);
    deliver(&shell);
    assert_eq!(server.mails().len(), 0, "it is not due yet");
    assert_eq!(
        shell.ok(&["outbox", "retry", "--all"]),
        "due now: 1 message"
    );
    deliver(&shell);
    assert_eq!(server.mails().len(), 1);
    assert_eq!(
        shell.ok(&["outbox", "list", "--state", "sent", "--quiet"]),
        id
    );
    let told = shell.fails(7, &["outbox", "retry", id]);
    assert!(told.contains("was sent already"), "{told}");
    shell.fails(5, &["outbox", "show", "9"]);
    shell.fails(5, &["outbox", "retry", "7"]);
    shell.fails(2, &["outbox", "retry"]);
}

#[test]
fn mail_is_taken_away_one_by_one_or_all_of_a_state() {
    let server = MailServer::start(Manner::Hangs);
    let shell = shell(&server);
    for _ in 0..3 {
        shell.ok(&["user", "login-link", "ivan", "--mail"]);
    }
    let ids = shell.ok(&["outbox", "list", "--quiet"]);
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 3);
    // One is in the hands of a process.
    shell.sql().run(&format!(
        "UPDATE outbox_messages SET held_until = 9000000000000 WHERE id = {}",
        ids[0]
    ));
    let told = shell.fails(7, &["outbox", "delete", ids[1], ids[0], "--yes"]);
    assert!(told.contains("is being sent now"), "{told}");
    assert_eq!(
        shell.ok(&["outbox", "list", "--quiet"]).lines().count(),
        3,
        "all or none"
    );
    assert_eq!(shell.ok(&["outbox", "delete", ids[1]]), "deleted 1 message");
    shell
        .sql()
        .run("UPDATE outbox_messages SET held_until = NULL");
    let told = shell.fails(2, &["outbox", "delete", "--state", "waiting"]);
    assert!(
        told.contains("delete 2 messages") && told.contains("--yes=2"),
        "{told}"
    );
    let dry = ["outbox", "delete", "--all", "--dry-run"];
    assert_eq!(shell.ok(&dry), "would delete 2 messages");
    assert_eq!(
        shell.ok(&["outbox", "delete", "--state", "failed", "--yes"]),
        "deleted 0 messages"
    );
    shell.fails(6, &["outbox", "delete", "--all", "--yes=3"]);
    assert_eq!(
        shell.ok(&["outbox", "delete", "--all", "--yes=2"]),
        "deleted 2 messages"
    );
    let audit = shell.json(&["audit", "list", "--action", "mail.deleted"]);
    assert_eq!(audit["items"].as_array().unwrap().len(), 3);
    assert!(!audit.to_string().contains("example.org"));
    shell.fails(2, &["outbox", "delete"]);
    shell.fails(2, &["outbox", "delete", ids[0], "--all"]);
}
