//! Sessions in browsers: the cookies to the letter, and what pages of other sites cannot do.

use serde_json::json;

use super::{
    Jar, PASSWORD, Tokens, ask, csrf, end, house, is_in, is_over, log_in, log_in_browser, people,
    problem, set_cookies, unauthenticated,
};
use crate::support::Shell;
use crate::support::client::{Answer, Client};

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
fn the_cookies_of_a_login_are_as_the_rules_have_them_and_the_body_repeats_none() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let body = json!({ "login": "ivan", "password": PASSWORD, "cookies": true }).to_string();
    let login = ask(&mut client, "POST", "/api/v1/auth/login", "", &body);
    let jar = Jar::of(&login);
    let exactly = |answer: &Answer, jar: &Jar, refresh_age: i64| {
        let host = "; SameSite=Lax; Secure";
        let (access, csrf) = (&jar.access, &jar.csrf);
        assert_eq!(
            set_cookies(answer),
            [
                format!("__Host-provost_access={access}; Path=/; Max-Age=1800{host}; HttpOnly"),
                format!(
                    "__Host-provost_refresh={}; Path=/; Max-Age={refresh_age}{host}; HttpOnly",
                    jar.refresh
                ),
                format!("__Host-provost_csrf={csrf}; Path=/; Max-Age={refresh_age}{host}"),
            ]
        );
        assert_eq!(answer.json().get("access_token"), None);
        assert_eq!(answer.json().get("refresh_token"), None);
        assert_eq!(answer.text("csrf_token"), jar.csrf);
        assert!(!answer.body.contains(&jar.access) && !answer.body.contains(&jar.refresh));
    };
    exactly(&login, &jar, 30 * 24 * 3600);
    let refreshed = ask(
        &mut client,
        "POST",
        "/api/v1/auth/refresh",
        &jar.with_header(),
        "",
    );
    let next = Jar::of(&refreshed);
    // Never longer than the session, which does not grow by it.
    let age = set_cookies(&refreshed)[1].split("Max-Age=").nth(1).unwrap();
    let age: i64 = age.split(';').next().unwrap().parse().unwrap();
    assert!(
        (30 * 24 * 3600 - 600..=30 * 24 * 3600).contains(&age),
        "{age}"
    );
    exactly(&refreshed, &next, age);
    assert_ne!(next.refresh, jar.refresh);
    let administrator = json!({ "login": "maria", "password": PASSWORD, "cookies": true });
    let login = ask(
        &mut client,
        "POST",
        "/api/v1/auth/login",
        "",
        &administrator.to_string(),
    );
    exactly(&login, &Jar::of(&login), 7 * 24 * 3600);
    end(daemon);
}

#[test]
fn cookies_for_development_are_refused_on_an_address_that_others_reach() {
    let shell = people(Shell::unthrottled().with("PROVOST_COOKIES_INSECURE", "true"));
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let body = json!({ "login": "ivan", "password": PASSWORD, "cookies": true }).to_string();
    let login = ask(&mut client, "POST", "/api/v1/auth/login", "", &body);
    let lines = set_cookies(&login);
    for (line, name, tail) in [
        (
            lines[0],
            "access_token",
            "; Path=/; Max-Age=1800; SameSite=Lax; HttpOnly",
        ),
        (
            lines[1],
            "refresh_token",
            "; Path=/; Max-Age=2592000; SameSite=Lax; HttpOnly",
        ),
        (
            lines[2],
            "csrf_token",
            "; Path=/; Max-Age=2592000; SameSite=Lax",
        ),
    ] {
        assert!(
            line.starts_with(&format!("{name}=")) && line.ends_with(tail),
            "{line}"
        );
    }
    let value = |line: &str| line.split(';').next().unwrap().to_owned();
    assert!(is_in(
        &mut client,
        &format!("Cookie: {}\r\n", value(lines[0]))
    ));
    end(daemon);
    let told = shell.fails(2, &["serve", "--listen", "0.0.0.0:0"]);
    assert!(told.contains("cookies.insecure"), "{told}");
}

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
fn a_cookie_of_ours_that_is_there_twice_refuses_the_request() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let jar = log_in_browser(&mut client, "ivan");
    let twice = |name: &str| {
        let detail = format!("the cookie __Host-provost_{name} is there twice");
        problem(400, "Bad Request", "malformed", &detail)
    };
    let me = "/api/v1/me/sessions?except=current";
    for (name, method, path) in [
        ("access", "GET", "/api/v1/auth/verify"),
        ("access", "DELETE", me),
        ("csrf", "DELETE", me),
        ("refresh", "POST", "/api/v1/auth/refresh"),
        ("csrf", "POST", "/api/v1/auth/refresh"),
        ("refresh", "POST", "/api/v1/auth/logout"),
        ("access", "POST", "/api/v1/auth/logout"),
    ] {
        let line = jar.line();
        let cookie = line.trim_end();
        let header = csrf(&jar.csrf);
        for second in ["x", ""] {
            let second = format!("__Host-provost_{name}={second}");
            for headers in [
                format!("{cookie}; {second}\r\n{header}"),
                format!("{cookie};{second};\r\n{header}"),
                format!(
                    "Cookie: {second}; {}\r\n{header}",
                    &cookie["Cookie: ".len()..]
                ),
                format!("{cookie}\r\nCookie: {second}\r\n{header}"),
            ] {
                let answer = ask(&mut client, method, path, &headers, "");
                assert_eq!(
                    (answer.status, answer.body),
                    (400, twice(name)),
                    "{method} {path} {headers}"
                );
            }
        }
    }
    // Look-alikes are somebody else's cookies.
    let other = "; __host-provost_access=x; provost_access=y; __Host-provost_access2=z\r\n";
    let line = jar.line();
    assert!(is_in(&mut client, &format!("{}{other}", line.trim_end())));
    end(daemon);
}

#[test]
fn the_refresh_cookie_opens_nothing_but_the_two_routes_that_need_it() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let jar = log_in_browser(&mut client, "ivan");
    let alone = format!(
        "Cookie: __Host-provost_refresh={}; __Host-provost_csrf={}\r\n{}",
        jar.refresh,
        jar.csrf,
        csrf(&jar.csrf)
    );
    for (method, path) in [
        ("GET", "/api/v1/auth/verify"),
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/me/sessions"),
        ("DELETE", "/api/v1/me/sessions"),
    ] {
        let answer = ask(&mut client, method, path, &alone, "");
        assert_eq!(
            (answer.status, answer.body),
            (401, unauthenticated()),
            "{method} {path}"
        );
    }
    let answer = ask(&mut client, "POST", "/api/v1/auth/refresh", &alone, "");
    let next = Jar::of(&answer);
    let expired = |name: &str, hidden: &str| {
        format!("__Host-provost_{name}=; Path=/; Max-Age=0; SameSite=Lax; Secure{hidden}")
    };
    let alone = alone.replace(&jar.refresh, &next.refresh);
    let answer = ask(&mut client, "POST", "/api/v1/auth/logout", &alone, "");
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(
        set_cookies(&answer),
        [
            expired("access", "; HttpOnly"),
            expired("refresh", "; HttpOnly"),
            expired("csrf", "")
        ]
    );
    let everything = "\"cache\",\"cookies\",\"storage\"";
    assert_eq!(answer.header("clear-site-data"), Some(everything));
    for jar in [jar, next] {
        let tokens = Tokens {
            id: String::new(),
            access: jar.access,
            refresh: jar.refresh,
            csrf: jar.csrf,
        };
        is_over(&mut client, &tokens);
    }
    end(daemon);
}
