//! How sessions end: by who has them, by a new password, by administrators; and that nothing of
//! them works afterwards.

use serde_json::{Value, json};

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
    for bad in ["short", "ivan ivan ivan", "123456789012", &"x".repeat(257)] {
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

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn people_see_their_own_sessions_and_end_one_the_others_or_all() {
    const MINE: &str = "/api/v1/me/sessions";
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let agent =
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n";
    let body = json!({ "login": "ivan", "password": PASSWORD }).to_string();
    let one = Tokens::of(&ask(
        &mut client,
        "POST",
        "/api/v1/auth/login",
        agent,
        &body,
    ));
    let (two, three) = (log_in(&mut client, "ivan"), log_in(&mut client, "ivan"));
    let maria = log_in(&mut client, "maria");
    let list = ask(&mut client, "GET", MINE, &two.bearer(), "").json();
    assert_eq!(ids(&list), [&three.id, &two.id, &one.id].map(String::clone));
    let items = list["items"].as_array().unwrap();
    assert_eq!(items[1]["current"], true);
    assert_eq!(
        (&items[0]["current"], &items[2]["current"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        (&items[2]["client"], &items[2]["ip"]),
        (&json!("Firefox, Linux"), &json!("127.0.0.1"))
    );
    assert_eq!(items[2]["methods"], json!(["password"]));
    // Somebody else's is as unknown as one that never was.
    for id in [&maria.id, &maria.id[..8], &three.id[..35], "x", "%00"] {
        let answer = ask(
            &mut client,
            "DELETE",
            &format!("{MINE}/{id}"),
            &two.bearer(),
            "",
        );
        assert_eq!(
            (answer.status, answer.text("code").as_str()),
            (404, "not_found"),
            "{id}"
        );
    }
    is_open(&mut client, &maria);
    let path = format!("{MINE}/{}", three.id);
    for _ in 0..2 {
        let answer = ask(&mut client, "DELETE", &path, &two.bearer(), "");
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        is_over(&mut client, &three);
    }
    let wrong = ask(
        &mut client,
        "DELETE",
        &format!("{MINE}?except=all"),
        &two.bearer(),
        "",
    );
    assert_eq!(wrong.status, 400);
    let others = ask(
        &mut client,
        "DELETE",
        &format!("{MINE}?except=current"),
        &two.bearer(),
        "",
    );
    assert_eq!((others.status, others.json()), (200, json!({ "ended": 1 })));
    is_over(&mut client, &one);
    is_open(&mut client, &two);
    let four = log_in(&mut client, "ivan");
    let all = ask(&mut client, "DELETE", MINE, &two.bearer(), "");
    assert_eq!((all.status, all.json()), (200, json!({ "ended": 2 })));
    is_over(&mut client, &two);
    is_over(&mut client, &four);
    is_open(&mut client, &maria);
    end(daemon);
}

#[test]
fn administrators_see_everybodys_sessions_and_end_them() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let maria = log_in(&mut client, "maria");
    let (one, two) = (log_in(&mut client, "ivan"), log_in(&mut client, "ivan"));
    let admin = maria.bearer();
    let get = |client: &mut Client, path: &str| {
        let answer = ask(client, "GET", path, &admin, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let all = get(&mut client, "/api/v1/sessions");
    assert_eq!(ids(&all), [&two.id, &one.id, &maria.id].map(String::clone));
    for secret in [&one.access, &one.refresh, &one.csrf] {
        assert!(!all.to_string().contains(secret));
    }
    for query in [
        "user=ivan",
        "user=ivan@example.org",
        "ip=127.0.0.0/8&user=IVAN&state=active",
    ] {
        let found = get(&mut client, &format!("/api/v1/sessions?{query}"));
        assert_eq!(
            ids(&found),
            [&two.id, &one.id].map(String::clone),
            "{query}"
        );
    }
    for query in [
        "ip=10.0.0.0/8",
        "client=Firefox*",
        "state=revoked",
        "idle_since=2001-01-01T00:00:00Z",
        "created_before=2001-01-01T00:00:00Z",
    ] {
        let found = get(&mut client, &format!("/api/v1/sessions?{query}"));
        assert_eq!(ids(&found), [""; 0], "{query}");
    }
    let page = get(&mut client, "/api/v1/sessions?limit=1");
    let cursor = page["next"].as_str().unwrap();
    let rest = get(&mut client, &format!("/api/v1/sessions?cursor={cursor}"));
    assert_eq!(ids(&rest), [&one.id, &maria.id].map(String::clone));
    let of_ivan = get(&mut client, "/api/v1/users/ivan/sessions");
    assert_eq!(ids(&of_ivan), [&two.id, &one.id].map(String::clone));
    let shown = get(&mut client, &format!("/api/v1/sessions/{}", one.id));
    assert_eq!(
        (&shown["user"], &shown["state"]),
        (&json!("ivan"), &json!("active"))
    );
    let path = format!("/api/v1/sessions/{}", one.id);
    for _ in 0..2 {
        assert_eq!(ask(&mut client, "DELETE", &path, &admin, "").status, 204);
    }
    is_over(&mut client, &one);
    is_open(&mut client, &two);
    assert_eq!(get(&mut client, &path)["state"], "revoked");
    let ended = ask(
        &mut client,
        "DELETE",
        "/api/v1/users/ivan/sessions",
        &admin,
        "",
    );
    assert_eq!((ended.status, ended.json()), (200, json!({ "ended": 1 })));
    is_over(&mut client, &two);
    for path in ["/api/v1/users/nobody/sessions", "/api/v1/sessions/00000000"] {
        assert_eq!(ask(&mut client, "GET", path, &admin, "").status, 404);
        assert_eq!(ask(&mut client, "DELETE", path, &admin, "").status, 404);
    }
    is_open(&mut client, &maria);
    end(daemon);
}
