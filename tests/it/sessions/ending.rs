//! How people end their sessions: by logging out, by a new password; nothing of them works
//! afterwards.

use serde_json::json;

use super::{
    Jar, PASSWORD, Tokens, ask, end, house, is_in, is_open, is_over, log_in, log_in_browser,
    problem, set_cookies, try_login, unauthenticated,
};
use crate::support::client::{Answer, Client};

const EVERYTHING: &str = "\"cache\",\"cookies\",\"storage\"";
const LOGOUT: &str = "/api/v1/auth/logout";

fn with_refresh(token: &str) -> String {
    json!({ "refresh_token": token }).to_string()
}

fn out(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (204, ""),
        "{answer:?}"
    );
    assert_eq!(answer.header("clear-site-data"), Some(EVERYTHING));
}

#[test]
fn whoever_logs_out_is_out_by_whichever_of_the_tokens() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let other = log_in(&mut client, "ivan");
    for by in [
        "access",
        "refresh",
        "both",
        "cookies",
        "cookies and no access",
    ] {
        let tokens = log_in(&mut client, "ivan");
        let jar = tokens.jar();
        let (headers, body) = match by {
            "access" => (tokens.bearer(), String::new()),
            "refresh" => (String::new(), with_refresh(&tokens.refresh)),
            "both" => (tokens.bearer(), with_refresh(&tokens.refresh)),
            "cookies" => (jar.with_header(), String::new()),
            _ => {
                let access = String::new();
                (Jar { access, ..jar }.with_header(), String::new())
            }
        };
        let answer = ask(&mut client, "POST", LOGOUT, &headers, &body);
        out(&answer);
        let cookies = if by.starts_with("cookies") { 3 } else { 0 };
        assert_eq!(set_cookies(&answer).len(), cookies, "{by}");
        is_over(&mut client, &tokens);
        // Again: a browser must be rid of its cookies, others are told that they are out.
        let again = ask(&mut client, "POST", LOGOUT, &headers, &body);
        if by == "access" {
            assert_eq!((again.status, again.body), (401, unauthenticated()), "{by}");
        } else {
            out(&again);
        }
    }
    is_open(&mut client, &other);
    let closed = shell.json(&["audit", "list", "--action", "session.closed"]);
    assert_eq!(closed["items"].as_array().unwrap().len(), 5);
    end(daemon);
}

#[test]
fn nobody_logs_out_with_what_is_no_session() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let tokens = log_in(&mut client, "ivan");
    let api = shell.ok(&["token", "create", "--owner", "ivan", "--quiet"]);
    for (headers, body) in [
        (String::new(), String::new()),
        (super::bearer(&api), String::new()),
        (super::bearer(&tokens.refresh), String::new()),
        (String::new(), with_refresh(&tokens.access)),
        (String::new(), with_refresh(&api)),
    ] {
        let answer = ask(&mut client, "POST", LOGOUT, &headers, &body);
        assert_eq!(
            (answer.status, answer.body),
            (401, unauthenticated()),
            "{headers}{body}"
        );
    }
    is_open(&mut client, &tokens);
    end(daemon);
}

fn change(client: &mut Client, headers: &str, current: &str, new: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new }).to_string();
    ask(client, "POST", "/api/v1/auth/password", headers, &body)
}

#[test]
fn a_new_password_ends_all_that_was_open_but_the_session_that_it_opens() {
    const NEW: &str = "a quite different sentence";
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (mine, other) = (log_in(&mut client, "ivan"), log_in(&mut client, "ivan"));
    let maria = log_in(&mut client, "maria");
    let api = shell.ok(&["token", "create", "--owner", "ivan", "--quiet"]);
    assert!(is_in(&mut client, &super::bearer(&api)));
    let wrong = change(&mut client, &mine.bearer(), "not the password", NEW);
    let detail = "the name or the password is wrong";
    let refusal = problem(401, "Unauthorized", "invalid_credentials", detail);
    assert_eq!((wrong.status, wrong.body), (401, refusal));
    let long = "x".repeat(257);
    for bad in ["short", "ivan ivan ivan", "qwerty123456", &long, PASSWORD] {
        let answer = change(&mut client, &mine.bearer(), PASSWORD, bad);
        assert_eq!(answer.status, 422, "{bad}");
    }
    let forbidden = change(&mut client, &super::bearer(&api), PASSWORD, NEW);
    assert_eq!(forbidden.status, 403);
    is_open(&mut client, &mine);
    let changed = change(&mut client, &mine.bearer(), PASSWORD, NEW);
    let new = Tokens::of(&changed);
    assert_ne!(new.id, mine.id);
    for tokens in [&mine, &other] {
        is_over(&mut client, tokens);
    }
    assert!(!is_in(&mut client, &super::bearer(&api)));
    is_open(&mut client, &new);
    is_open(&mut client, &maria);
    assert_eq!(try_login(&mut client, "ivan", PASSWORD).status, 401);
    assert_eq!(try_login(&mut client, "ivan", NEW).status, 200);
    // In a browser the new session comes where the old one was.
    let jar = log_in_browser(&mut client, "maria");
    let changed = change(&mut client, &jar.with_header(), PASSWORD, NEW);
    let next = Jar::of(&changed);
    assert!(changed.json().get("access_token").is_none());
    assert!(!is_in(&mut client, &jar.line()) && is_in(&mut client, &next.line()));
    is_over(&mut client, &maria);
    end(daemon);
}
