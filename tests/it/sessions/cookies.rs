//! Sessions in browsers: the cookies to the letter.

use serde_json::json;

use super::{
    Jar, PASSWORD, Tokens, ask, csrf, end, house, is_in, is_over, log_in_browser, people, problem,
    set_cookies, unauthenticated,
};
use crate::support::Shell;
use crate::support::client::{Answer, Client};

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
    let shell = shell.with("PROVOST_SERVER_BEHIND_PROXY", "true");
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let told = shell.fails(2, &["serve", "--listen", listen]);
        assert!(told.contains("cookies.insecure"), "{told}");
    }
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
