//! Mail, links, second factors and the rescue, as people outside of the program meet them.

use serde_json::{Value, json};

use crate::support::smtp::{MailServer, Manner};
use crate::support::{Daemon, Shell, mode};

const PASSWORD: &str = "correct horse battery staple";

/// A shell whose program sends mail to `server`, with `maria` as its administrator and `ivan`.
fn shell(server: &MailServer) -> Shell {
    let shell = Shell::new()
        .with("PROVOST_SMTP_HOST", "127.0.0.1")
        .with("PROVOST_SMTP_PORT", &server.port())
        .with("PROVOST_SMTP_TLS", "none")
        .with("PROVOST_SMTP_FROM", "Desk <desk@example.org>")
        .with("PROVOST_SMTP_TIMEOUT", "1s")
        .with("PROVOST_SERVER_PUBLIC_URL", "http://127.0.0.1:8080")
        .with("PROVOST_AUTH_RESET_URL", "/reset#{token}")
        .with(
            "PROVOST_AUTH_LOGIN_URL",
            "https://desk.example.org/in#{token}",
        );
    shell.ok(&["user", "create", "maria", "--admin", "--no-password"]);
    let made = shell.run_with(
        &[
            "user",
            "create",
            "ivan",
            "--email",
            "ivan@example.org",
            "--password-stdin",
        ],
        PASSWORD,
    );
    assert_eq!(made.status, 0, "{made:?}");
    // As after the link in the mail that asks him to confirm his address.
    shell.sql().run(
        "UPDATE users SET email_verified_at = 1 WHERE username = 'ivan';
         DELETE FROM outbox_messages; DELETE FROM tokens",
    );
    shell
}

fn post(daemon: &Daemon, path: &str, body: &Value) -> (u16, String) {
    let headers = "Content-Type: application/json\r\n";
    daemon.request(
        "POST",
        &format!("/api/v1{path}"),
        headers,
        &body.to_string(),
    )
}

fn asked(method: &str, daemon: &Daemon, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let (status, body) = daemon.request(method, &format!("/api/v1{path}"), &headers, &body);
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

fn log_in(daemon: &Daemon, password: &str) -> (u16, Value) {
    let body = json!({ "login": "ivan", "password": password });
    let (status, body) = post(daemon, "/auth/login", &body);
    (status, serde_json::from_str(&body).unwrap())
}

/// The token in a mail, which wraps long lines as it likes.
fn token(mail: &str, prefix: &str) -> String {
    let plain = mail.replace("=\n", "");
    let start = plain.rfind(prefix).unwrap_or_else(|| panic!("{mail}"));
    plain[start..].chars().take(51).collect()
}

/// Has the mail sent that waits.
fn deliver(shell: &Shell) -> Value {
    // Some of it may have to wait: then the status says so.
    let ran = shell.run(&["--json", "job", "run", "outbox.deliver"]);
    assert!([0, 12].contains(&ran.status), "{ran:?}");
    ran.json()["details"].clone()
}

/// Lets what was postponed be due.
fn hurry(shell: &Shell) {
    shell
        .sql()
        .run("UPDATE outbox_messages SET next_at = 1, held_until = NULL");
}

#[test]
fn whoever_forgot_the_password_gets_mail_and_logs_in_with_another_one() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    let daemon = shell.serve();
    let forgot = |login: &str| post(&daemon, "/auth/password/forgot", &json!({ "login": login }));
    assert_eq!(forgot("ivan@example.org"), (202, String::new()));
    assert_eq!(forgot("nobody@example.org"), (202, String::new()));
    // The daemon sends it by itself.
    let mail = server.wait_for(1).remove(0);
    for part in [
        "From: Desk <desk@example.org>",
        "To: ivan@example.org",
        "MIME-Version: 1.0",
        "Auto-Submitted: auto-generated",
        "Message-ID: <",
        "http://127.0.0.1:8080/reset#pvp_",
    ] {
        assert!(mail.replace("=\n", "").contains(part), "{part}: {mail}");
    }
    let link = token(&mail, "pvp_");
    let reset = |token: &str| {
        let body = json!({ "token": token, "new_password": "tr0ub4dor & 3 more" });
        post(&daemon, "/auth/password/reset", &body)
    };
    let before = log_in(&daemon, PASSWORD).1["access_token"].clone();
    assert_eq!(reset(&link), (204, String::new()));
    assert_eq!(reset(&link).0, 422, "once");
    assert_eq!(log_in(&daemon, PASSWORD).0, 401);
    assert_eq!(log_in(&daemon, "tr0ub4dor & 3 more").0, 200);
    let (ended, _) = asked(
        "GET",
        &daemon,
        "/me/sessions",
        before.as_str().unwrap(),
        &Value::Null,
    );
    assert_eq!(ended, 401);
    let told = server.wait_for(2).remove(1);
    assert!(told.contains("your password was changed"), "{told}");
    let log = shell.ok(&["audit", "list", "--all", "--json"]);
    for hidden in [&link[15..45], "tr0ub4dor", "ivan@example.org"] {
        assert!(!log.contains(hidden), "{hidden}");
    }
    let (_, log) = daemon.stop();
    assert!(!log.contains(&link[15..45]) && !log.contains("tr0ub4dor"));
    assert_eq!(server.mails().len(), 2);
}

#[test]
fn what_is_changed_at_the_shell_is_told_by_mail_as_well() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    let told = || {
        deliver(&shell);
        let mails = server.mails();
        mails.into_iter().map(|mail| {
            let line = |name: &str| mail.lines().find_map(|line| line.strip_prefix(name));
            let subject = line("Subject: provost: ").unwrap_or_default().to_owned();
            (line("To: ").unwrap_or_default().to_owned(), subject)
        })
    };
    shell.ok(&["user", "passwd", "ivan", "--generate"]);
    shell.ok(&["user", "update", "ivan", "--email", "new@example.org"]);
    shell.ok(&[
        "user",
        "create",
        "anna",
        "--no-password",
        "--email",
        "anna@example.org",
    ]);
    let mut told: Vec<_> = told().collect();
    told.sort_unstable();
    let of = |to: &str, subject: &str| (to.to_owned(), subject.to_owned());
    assert_eq!(
        told,
        [
            of("anna@example.org", "confirm your address"),
            of("ivan@example.org", "your address was changed"),
            of("ivan@example.org", "your password was changed"),
            of("new@example.org", "confirm your address"),
        ]
    );
}

#[test]
fn a_known_and_an_unknown_name_cannot_be_told_apart() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    let daemon = shell
        .with("PROVOST_JOBS_ENABLED", "false")
        .with("PROVOST_THROTTLE_RESET_PER_HOUR", "0");
    let running = daemon.serve();
    let tables = ["users", "tokens", "outbox_messages", "audit_events"];
    let rows = || {
        tables.map(|table| {
            daemon
                .sql()
                .number(&format!("SELECT COUNT(*) FROM {table}"))
        })
    };
    let mut grown = Vec::new();
    for login in [
        "ivan",
        "ivan@example.org",
        "nobody",
        "nobody@example.org",
        "maria",
    ] {
        let before = rows();
        let answer = post(
            &running,
            "/auth/password/forgot",
            &json!({ "login": login }),
        );
        assert_eq!(answer, (202, String::new()), "{login}");
        let after = rows();
        grown.push(std::array::from_fn::<_, 4, _>(|n| after[n] - before[n]));
    }
    assert!(grown.iter().all(|rows| *rows == grown[0]), "{grown:?}");
}

#[test]
fn without_a_mail_server_nothing_is_queued_and_the_log_says_what_to_do() {
    let shell = Shell::new();
    shell.ok(&[
        "user",
        "create",
        "ivan",
        "--no-password",
        "--email",
        "ivan@example.org",
    ]);
    let daemon = shell.serve();
    for _ in 0..2 {
        let answer = post(
            &daemon,
            "/auth/password/forgot",
            &json!({ "login": "ivan" }),
        );
        assert_eq!(answer, (202, String::new()));
    }
    assert_eq!(
        shell.sql().number("SELECT COUNT(*) FROM outbox_messages"),
        0
    );
    let asked = (0..25).map(|n| {
        let body = json!({ "login": format!("nobody{n}") });
        post(&daemon, "/auth/password/forgot", &body).0
    });
    // Twenty an hour from one address, and two were asked for above.
    assert_eq!(asked.filter(|status| *status == 202).count(), 18);
    let (_, log) = daemon.stop();
    assert_eq!(
        log.matches("no mail is sent without smtp.host").count(),
        1,
        "{log}"
    );
    assert!(log.contains("provost user login-link"), "{log}");
}

#[test]
fn a_server_that_says_no_hangs_or_cuts_the_line_gets_the_mail_later_and_once() {
    let server = MailServer::start(Manner::Hangs);
    let shell = shell(&server);
    shell.ok(&["user", "login-link", "ivan", "--mail"]);
    // A refusal for good first: the third attempt would be the last.
    for manner in [
        Manner::Refuses,
        Manner::Hangs,
        Manner::Drops,
        Manner::IsBusy,
    ] {
        server.becomes(manner);
        let done = deliver(&shell);
        let postponed = json!({ "sent": 0, "postponed": 1, "failed": 0 });
        assert_eq!(done, postponed, "{manner:?}");
        let before = server.connections();
        assert_eq!(deliver(&shell)["postponed"], 0, "it is not due yet");
        assert_eq!(server.connections(), before);
        hurry(&shell);
    }
    server.becomes(Manner::Takes);
    assert_eq!(deliver(&shell)["sent"], 1);
    hurry(&shell);
    assert_eq!(deliver(&shell)["sent"], 0);
    assert_eq!(server.mails().len(), 1);
    let left = "SELECT COUNT(*) FROM outbox_messages WHERE LENGTH(sealed) > 0";
    assert_eq!(shell.sql().number(left), 0, "the text is gone");
    let list = shell.json(&["audit", "list", "--action", "mail.*"]);
    let event = &list["items"][0];
    assert_eq!(event["action"], "mail.sent");
    assert_eq!(
        event["details"],
        json!({ "template": "login_link", "attempts": 5 })
    );
}

#[test]
fn mail_that_is_refused_for_good_or_has_expired_is_given_up() {
    let server = MailServer::start(Manner::Refuses);
    let shell = shell(&server);
    shell.ok(&["user", "login-link", "ivan", "--mail"]);
    for attempt in 1..=3 {
        let done = deliver(&shell);
        let given_up = if attempt == 3 { "failed" } else { "postponed" };
        assert_eq!(done[given_up], 1, "{attempt}");
        hurry(&shell);
    }
    shell.ok(&["user", "login-link", "ivan", "--mail", "--ttl", "1s"]);
    // Retrying would come after its end.
    assert_eq!(deliver(&shell)["failed"], 1);
    let list = shell.json(&["audit", "list", "--action", "mail.failed"]);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert_eq!(list["items"][1]["details"]["reason"], "refused with 550");
    let purged = shell.json(&["purge", "--only", "mail"]);
    assert_eq!(purged["total"], 2);
}

#[test]
fn two_processes_never_send_one_message() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    for _ in 0..12 {
        shell.ok(&["user", "login-link", "ivan", "--mail"]);
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| deliver(&shell));
        }
    });
    let mails = server.mails();
    let mut ids: Vec<&str> = mails
        .iter()
        .filter_map(|mail| mail.lines().find(|line| line.starts_with("Message-ID:")))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((mails.len(), ids.len()), (12, 12));
}

#[test]
fn a_login_link_is_printed_once_with_its_page_and_logs_in_once() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    let daemon = shell.serve();
    let link = shell.json(&["user", "login-link", "ivan", "--ttl", "5m"]);
    let token = link["token"].as_str().unwrap();
    assert_eq!(link["url"], format!("https://desk.example.org/in#{token}"));
    assert_eq!(link["username"], "ivan");
    let enter = || post(&daemon, "/auth/login-link", &json!({ "token": token }));
    let (status, body) = enter();
    assert_eq!(status, 200, "{body}");
    let session: Value = serde_json::from_str(&body).unwrap();
    let access = session["access_token"].as_str().unwrap();
    let (status, list) = asked("GET", &daemon, "/me/sessions", access, &Value::Null);
    assert_eq!(
        (status, &list["items"][0]["methods"]),
        (200, &json!(["login_link"]))
    );
    assert_eq!(enter().0, 422);
    let quiet = shell.ok(&["user", "login-link", "ivan", "--quiet"]);
    assert!(quiet.starts_with("pvl_") && quiet.len() == 51, "{quiet}");
    let out = ["user", "login-link", "ivan", "--out", "link"];
    let told = shell.ok(&out);
    assert!(
        !told.contains("pvl_") && !told.contains("https://"),
        "{told}"
    );
    assert_eq!(mode(&shell.path("link")), 0o600);
    assert!(shell.fails(6, &out).contains("exists already"));
    shell.fails(7, &["user", "login-link", "ivan", "--ttl", "2h"]);
    shell.fails(5, &["user", "login-link", "nobody"]);
    let list = shell.json(&["token", "list", "--kind", "login_link"]);
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert!(!list.to_string().contains(token));
}

#[test]
fn who_is_invited_registers_with_the_address_and_the_roles_of_the_invitation() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server).with("PROVOST_AUTH_REGISTRATION", "invitation");
    let daemon = shell.serve();
    let invite = ["user", "invite", "Anna@Example.org", "--role", "admin"];
    let invitation = shell.json(&invite);
    assert_eq!(invitation["email"], "anna@example.org");
    assert_eq!(invitation["mailed"], true);
    let mail = server.wait_for(1).remove(0);
    assert_eq!(token(&mail, "pvi_"), invitation["token"].as_str().unwrap());
    let register = |invitation: &Value| {
        let mut body = json!({ "username": "anna", "password": PASSWORD });
        if !invitation.is_null() {
            body["invitation"] = invitation.clone();
        }
        let (status, body) = post(&daemon, "/auth/register", &body);
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    assert_eq!(register(&Value::Null).1["code"], "invitation_needed");
    assert_eq!(register(&json!("pvi_nonsense")).0, 422);
    let (status, anna) = register(&invitation["token"]);
    assert_eq!(status, 201, "{anna}");
    assert_eq!(anna["email"], "anna@example.org");
    assert_eq!(anna["email_verified"], true);
    assert_eq!(anna["roles"], json!(["admin"]));
    assert_eq!(register(&invitation["token"]).0, 422, "once");
    shell.fails(6, &invite);
}

#[test]
fn an_account_with_a_second_factor_is_set_up_listed_and_reset() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    let daemon = shell.serve();
    let (_, session) = log_in(&daemon, PASSWORD);
    let access = session["access_token"].as_str().unwrap().to_owned();
    let (status, enrolled) = asked("POST", &daemon, "/me/mfa/totp", &access, &Value::Null);
    assert_eq!(status, 200, "{enrolled}");
    assert!(enrolled["qr"].as_str().unwrap().contains("<svg"));
    let url = enrolled["url"].as_str().unwrap();
    assert!(
        url.starts_with("otpauth://totp/provost:ivan?secret="),
        "{url}"
    );
    // What an authenticator app does with it.
    let app = totp_rs::Totp::from_url(url).unwrap();
    let seconds = u64::try_from(provost::time::wall().0 / 1000).unwrap();
    let code = app.generate(seconds).to_string();
    let confirm = |code: &str| {
        let body = json!({ "code": code });
        asked("POST", &daemon, "/me/mfa/totp/confirm", &access, &body)
    };
    assert_eq!(confirm("000000").0, 422);
    let (status, codes) = confirm(&code);
    assert_eq!(status, 200, "{codes}");
    let codes = codes["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);
    let (_, shown) = asked("GET", &daemon, "/me/mfa", &access, &Value::Null);
    assert_eq!(shown["totp"]["recovery_codes"], 10);
    assert!(
        !shown
            .to_string()
            .contains(enrolled["secret"].as_str().unwrap())
    );
    let listed = shell.json(&["user", "mfa", "list"]);
    assert_eq!(listed["items"][0]["username"], "ivan");
    let told = shell.fails(2, &["user", "mfa", "reset", "ivan"]);
    assert!(told.contains("--yes"), "{told}");
    shell.ok(&["user", "mfa", "reset", "ivan", "--yes"]);
    assert_eq!(
        asked("GET", &daemon, "/me/mfa", &access, &Value::Null).0,
        401
    );
    assert_eq!(shell.ok(&["user", "mfa", "list", "--quiet"]), "");
}

#[test]
fn the_rescue_asks_says_what_it_does_and_lets_an_administrator_in_again() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    let told = shell.fails(2, &["admin", "rescue", "ivan"]);
    assert!(
        told.contains("make it an administrator") && told.contains("--yes"),
        "{told}"
    );
    shell.ok(&["user", "disable", "ivan"]);
    let ran = shell.run(&["admin", "rescue", "ivan", "--yes", "--quiet"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let password = ran.stdout.trim();
    assert_eq!(password.len(), 24, "alone on standard output");
    let daemon = shell.serve();
    let (status, session) = log_in(&daemon, password);
    assert_eq!(
        (status, &session["user"]["roles"]),
        (200, &json!(["admin", "user"]))
    );
    // With the daemon up, too; and what was open has ended.
    let link = shell.json(&["admin", "rescue", "ivan", "--yes", "--login-link"]);
    let access = session["access_token"].as_str().unwrap();
    assert_eq!(
        asked("GET", &daemon, "/me/sessions", access, &Value::Null).0,
        401
    );
    assert_eq!(log_in(&daemon, password).0, 401);
    let (status, _) = post(
        &daemon,
        "/auth/login-link",
        &json!({ "token": link["token"] }),
    );
    assert_eq!(status, 200);
    let log = shell.json(&["audit", "list", "--action", "admin.rescued"]);
    assert_eq!(log["items"].as_array().unwrap().len(), 2);
    assert!(!log.to_string().contains(password));
}

#[test]
fn an_address_gets_no_more_mail_because_somebody_claims_it_again_and_again() {
    let server = MailServer::start(Manner::Takes);
    let shell = shell(&server);
    let daemon = shell.serve();
    let (_, session) = log_in(&daemon, PASSWORD);
    let access = session["access_token"].as_str().unwrap().to_owned();
    let claim = |email: &str| {
        let body = json!({ "email": email });
        asked("PATCH", &daemon, "/me", &access, &body).0
    };
    // Five an hour; the account's own address is set between, so that each is another one.
    for round in 0..5 {
        let own = format!("ivan{round}@example.org");
        assert_eq!(
            (claim("victim@example.org"), claim(&own)),
            (200, 200),
            "{round}"
        );
    }
    assert_eq!(claim("Victim@Example.org"), 429);
    // Nor by who administers accounts.
    shell.ok(&["user", "create", "anna", "--no-password"]);
    let token = shell.ok(&[
        "token",
        "create",
        "--kind",
        "api",
        "--scope",
        "user:write",
        "--quiet",
    ]);
    let set = |email: &str| {
        let body = json!({ "email": email });
        asked("PATCH", &daemon, "/users/anna", token.trim(), &body).0
    };
    assert_eq!(set("victim@example.org"), 429);
    assert_eq!(set("anna@example.org"), 200);
    // And nobody has one session write to twenty strangers.
    let strangers = (0..20).map(|n| claim(&format!("stranger{n}@example.org")));
    assert!(strangers.collect::<Vec<_>>().contains(&429));
}
