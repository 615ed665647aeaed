//! What pages of other sites can have a browser send: nothing that changes anything.

use serde_json::json;

use super::{
    Jar, PASSWORD, Tokens, ask, csrf, end, house, is_in, log_in, log_in_browser, people, problem,
};
use crate::support::Shell;
use crate::support::client::Client;
use crate::support::cluster::wait_until;

const OURS: &str = "https://auth.example.org";
const FRIEND: &str = "https://app.example.org";

/// A home whose daemon has a public URL, and trusts the pages of one other site.
fn site() -> Shell {
    people(
        Shell::unthrottled()
            .with("PROVOST_SERVER_PUBLIC_URL", OURS)
            .with("PROVOST_SERVER_CORS_ORIGINS", FRIEND),
    )
}

fn cross_site(reason: &str) -> String {
    let detail = format!("the request could come from another site: {reason}");
    problem(403, "Forbidden", "cross_site", &detail)
}

const ORIGIN: &str = "its origin is not one of server.cors_origins";
const MISSING: &str = "the header X-CSRF-Token is missing";
const WRONG: &str = "X-CSRF-Token is not the one of the session";

#[test]
fn what_a_page_of_another_site_has_a_browser_send_changes_nothing() {
    let shell = site();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (mine, other) = (
        log_in_browser(&mut client, "ivan"),
        log_in_browser(&mut client, "ivan"),
    );
    let bare = mine.line();
    let with = |lines: &str| format!("{}{lines}", mine.with_header());
    // Set by a neighbour on a sibling host: our own token of another session, and header to match.
    let tossed = Jar {
        csrf: other.csrf.clone(),
        ..mine.clone()
    }
    .with_header();
    let made_up = Jar {
        csrf: "x".into(),
        ..mine.clone()
    }
    .with_header();
    let refused = [
        (bare.clone(), MISSING),
        (bare.clone() + &csrf(""), WRONG),
        (bare.clone() + &csrf(&other.csrf), WRONG),
        (bare + &csrf(&mine.csrf[1..]), WRONG),
        (tossed, WRONG),
        (made_up, WRONG),
        (with("Sec-Fetch-Site: cross-site\r\n"), ORIGIN),
        (with("Sec-Fetch-Site: same-site\r\n"), ORIGIN),
        (with("Sec-Fetch-Site: Same-Origin\r\n"), ORIGIN),
        (
            with("Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.test\r\n"),
            ORIGIN,
        ),
        // Only a browser that does not send the newer header is judged by the older one alone.
        (
            with(&format!("Sec-Fetch-Site: cross-site\r\nOrigin: {OURS}\r\n")),
            ORIGIN,
        ),
        (with("Origin: https://evil.test\r\n"), ORIGIN),
        (with("Origin: null\r\n"), ORIGIN),
        (with("Origin: http://auth.example.org\r\n"), ORIGIN),
        (
            with("Origin: https://auth.example.org.evil.test\r\n"),
            ORIGIN,
        ),
        (with("Origin: https://auth.example.org:8443\r\n"), ORIGIN),
    ];
    let change = json!({ "current_password": PASSWORD, "new_password": "another long sentence" });
    for (method, path, body) in [
        ("POST", "/api/v1/auth/refresh", String::new()),
        ("POST", "/api/v1/auth/logout", String::new()),
        ("POST", "/api/v1/auth/password", change.to_string()),
        ("DELETE", "/api/v1/me/sessions", String::new()),
        ("DELETE", "/api/v1/me", String::new()),
        (
            "PATCH",
            "/api/v1/me",
            json!({ "name": "Mallory" }).to_string(),
        ),
        (
            "POST",
            "/api/v1/users",
            json!({ "username": "mallory" }).to_string(),
        ),
    ] {
        for (headers, reason) in &refused {
            let answer = ask(&mut client, method, path, headers, &body);
            assert_eq!(
                (answer.status, answer.body),
                (403, cross_site(reason)),
                "{method} {path} {headers}"
            );
            assert_eq!(
                answer
                    .headers
                    .iter()
                    .filter(|(name, _)| name == "set-cookie")
                    .count(),
                0
            );
        }
    }
    for allowed in [
        String::new(),
        "Sec-Fetch-Site: same-origin\r\n".into(),
        "Sec-Fetch-Site: none\r\n".into(),
        format!("Sec-Fetch-Site: cross-site\r\nOrigin: {FRIEND}\r\n"),
        format!("Origin: {OURS}\r\n"),
        format!("Origin: {FRIEND}\r\n"),
    ] {
        let headers = mine.with_header() + &allowed;
        let path = format!("/api/v1/me/sessions/{}", uuid::Uuid::nil());
        let answer = ask(&mut client, "DELETE", &path, &headers, "");
        assert_eq!(answer.status, 404, "{allowed}{answer:?}");
    }
    assert!(is_in(&mut client, &mine.line()) && is_in(&mut client, &other.line()));
    end(daemon);
}

#[test]
fn who_sends_the_token_in_a_header_needs_no_proof_of_where_the_page_comes_from() {
    let shell = site();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let tokens = log_in(&mut client, "ivan");
    let elsewhere = "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.test\r\n";
    let headers = format!("{}{elsewhere}", tokens.bearer());
    let path = "/api/v1/me/sessions?except=current";
    assert_eq!(ask(&mut client, "DELETE", path, &headers, "").status, 200);
    let body = json!({ "refresh_token": tokens.refresh }).to_string();
    let answer = ask(
        &mut client,
        "POST",
        "/api/v1/auth/refresh",
        elsewhere,
        &body,
    );
    Tokens::of(&answer);
    end(daemon);
}

#[test]
fn another_sites_page_logs_nobody_in() {
    let shell = site();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let body = json!({ "login": "ivan", "password": PASSWORD, "cookies": true }).to_string();
    for headers in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: https://evil.test\r\n",
    ] {
        let answer = ask(&mut client, "POST", "/api/v1/auth/login", headers, &body);
        assert_eq!(
            (answer.status, answer.body),
            (403, cross_site(ORIGIN)),
            "{headers}"
        );
    }
    for headers in [
        format!("Origin: {OURS}\r\n"),
        format!("Origin: {FRIEND}\r\n"),
    ] {
        Jar::of(&ask(
            &mut client,
            "POST",
            "/api/v1/auth/login",
            &headers,
            &body,
        ));
    }
    let list = shell.json(&["session", "list"]);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    end(daemon);
}

#[test]
fn a_request_from_another_site_is_in_the_log_and_so_is_a_cookie_that_is_none() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let jar = log_in_browser(&mut client, "ivan");
    for (method, path) in [
        ("DELETE", "/api/v1/me/sessions"),
        ("POST", "/api/v1/auth/refresh"),
        ("POST", "/api/v1/auth/logout"),
    ] {
        let answer = ask(&mut client, method, path, &jar.line(), "");
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    let made_up = "Cookie: __Host-provost_access=a.b.c\r\n";
    assert!(!is_in(&mut client, made_up));
    // Who presents nothing is no news.
    assert!(!is_in(&mut client, ""));
    let denied = || {
        let rows = shell.json(&["audit", "list", "--action", "request.denied"]);
        let rows = rows["items"].as_array().unwrap().iter();
        let mut rows: Vec<String> = rows
            .map(|row| format!("{} {}", row["object"], row["details"]["code"]).replace('"', ""))
            .collect();
        rows.sort();
        rows
    };
    wait_until("the refusals are in the audit log", || denied().len() >= 4);
    assert_eq!(
        denied(),
        [
            "route:DELETE /api/v1/me/sessions cross_site",
            "route:GET /api/v1/auth/verify unauthenticated",
            "route:POST /api/v1/auth/logout cross_site",
            "route:POST /api/v1/auth/refresh cross_site",
        ]
    );
    end(daemon);
}
