//! What logging in and refreshing take and answer, without cookies.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    ID, PASSWORD, Tokens, ask, bearer, end, house, is_in, is_open, is_over, log_in, problem,
    refresh, set_cookies, unauthenticated,
};
use crate::support::client::{Answer, Client};

fn members(answer: &Answer) -> BTreeSet<String> {
    answer.json().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_login_by_any_of_the_names_opens_a_session_of_its_own() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut seen = BTreeSet::new();
    for (member, name) in [
        ("login", "maria"),
        ("login", " MARIA "),
        ("login", "Maria@Example.org"),
        ("login", "+375 29 123-45-67"),
        ("username", "maria"),
        ("email", "maria@example.org"),
        ("phone", "+375291234567"),
    ] {
        let body = json!({ member: name, "password": PASSWORD }).to_string();
        let answer = ask(&mut client, "POST", "/api/v1/auth/login", "", &body);
        let tokens = Tokens::of(&answer);
        let wanted = [
            "access_token",
            "csrf_token",
            "expires_in",
            "refresh_token",
            "session_id",
            "token_type",
            "user",
        ];
        assert_eq!(members(&answer), wanted.map(String::from).into());
        let said = answer.json();
        assert_eq!(said["user"]["username"], "maria");
        assert_eq!(
            (&said["token_type"], &said["expires_in"]),
            (&json!("Bearer"), &json!(1800))
        );
        assert!(said["user"].get("password_hash").is_none());
        assert_eq!(set_cookies(&answer), [""; 0]);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        is_open(&mut client, &tokens);
        let verified = ask(
            &mut client,
            "GET",
            "/api/v1/auth/verify",
            &tokens.bearer(),
            "",
        );
        assert_eq!(verified.header("x-auth-session"), Some(tokens.id.as_str()));
        for secret in [tokens.id, tokens.access, tokens.refresh, tokens.csrf] {
            assert!(seen.insert(secret), "the same thing twice: {name}");
        }
    }
    end(daemon);
}

#[test]
fn a_login_that_makes_no_sense_is_told_why_and_tries_no_password() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let malformed = |detail: &str| problem(400, "Bad Request", "malformed", detail);
    let which = "must be there, or one of username, email and phone; not two of them";
    let names = problem(
        422,
        "Unprocessable Entity",
        "invalid",
        &format!("login: {which}"),
    );
    let names = names.replace(
        "\"instance\":\"r\"",
        &format!(
            "\"instance\":\"r\",\"errors\":[{{\"pointer\":\"/login\",\"detail\":\"{which}\"}}]"
        ),
    );
    let body = |text: &str| text.replace('P', PASSWORD);
    for (given, wanted) in [
        (r#"{"password":"P"}"#, names.clone()),
        (
            r#"{"login":"maria","email":"maria@example.org","password":"P"}"#,
            names,
        ),
        (
            r#"{"login":"maria"}"#,
            malformed(r#"the member \"password\" is missing"#),
        ),
        (
            r#"{"login":"maria","password":7}"#,
            malformed(r#"the member \"password\" has the wrong type or value: expected a string"#),
        ),
        (
            r#"{"login":"maria","login":"ivan","password":"P"}"#,
            malformed(r#"the member \"login\" is there twice"#),
        ),
        (
            r#"["maria",null,null,null,"P"]"#,
            malformed("the body must be a JSON object"),
        ),
    ] {
        let answer = ask(&mut client, "POST", "/api/v1/auth/login", "", &body(given));
        assert_eq!(answer.body, wanted, "{given}");
    }
    let long = json!({ "login": "maria", "password": "x".repeat(4096) }).to_string();
    let answer = ask(&mut client, "POST", "/api/v1/auth/login", "", &long);
    let limit = "the body is larger than 4096 bytes";
    assert_eq!(
        answer.body,
        problem(413, "Payload Too Large", "payload_too_large", limit)
    );
    // No form of another site can send this type.
    let good = json!({ "login": "maria", "password": PASSWORD }).to_string();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let headers = format!("{ID}Content-Type: {kind}\r\n");
        let (status, _) = daemon.request("POST", "/api/v1/auth/login", &headers, &good);
        assert_eq!(status, 415, "{kind}");
    }
    assert_eq!(client.must("GET", "/api/v1/auth/login", "", "").status, 405);
    let audit = shell.json(&["audit", "list", "--action", "session.*"]);
    assert_eq!(audit["items"], json!([]));
    end(daemon);
}

#[test]
fn a_refresh_gives_the_next_tokens_of_the_same_session_and_takes_nothing_else() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let first = log_in(&mut client, "ivan");
    let answer = refresh(&mut client, &first.refresh);
    let second = Tokens::of(&answer);
    assert_eq!(second.id, first.id);
    assert_ne!(second.access, first.access);
    assert_ne!(second.refresh, first.refresh);
    assert_eq!(set_cookies(&answer), [""; 0]);
    is_open(&mut client, &first);
    is_open(&mut client, &second);
    let api = shell.ok(&["token", "create", "--owner", "ivan", "--quiet"]);
    let temporary = client.must("POST", "/app/token", "", "").text("token");
    let mut bodies = vec![String::new(), "null".into(), "{}".into()];
    for token in [
        "",
        "x",
        &api,
        &temporary,
        &second.access,
        &second.csrf,
        &second.id,
    ] {
        bodies.push(json!({ "refresh_token": token }).to_string());
    }
    for body in bodies {
        let answer = ask(&mut client, "POST", "/api/v1/auth/refresh", "", &body);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (401, unauthenticated().as_str()),
            "{body}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // A refresh token is no access token, wherever it stands.
    for token in [&second.refresh, &second.csrf, &second.id] {
        assert!(!is_in(&mut client, &bearer(token)));
        let cookie = format!("Cookie: __Host-provost_access={token}\r\n");
        assert!(!is_in(&mut client, &cookie));
    }
    is_open(&mut client, &second);
    // Reuse of the first, whose child was used, ends the session.
    let third = Tokens::of(&refresh(&mut client, &second.refresh));
    assert_eq!(refresh(&mut client, &first.refresh).body, unauthenticated());
    for tokens in [&first, &second, &third] {
        is_over(&mut client, tokens);
    }
    end(daemon);
}

#[test]
fn two_credentials_at_once_are_refused_whichever_of_them_is_good() {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let (ivan, maria) = (log_in(&mut client, "ivan"), log_in(&mut client, "maria"));
    let more = problem(
        400,
        "Bad Request",
        "malformed",
        "there is more than one credential",
    );
    let header = |tokens: &Tokens| tokens.bearer();
    let cookie = |tokens: &Tokens| tokens.jar().line();
    let with_refresh = |tokens: &Tokens| json!({ "refresh_token": tokens.refresh }).to_string();
    let me = "/api/v1/me/sessions";
    for (method, path, headers, body) in [
        ("GET", me, header(&ivan) + &cookie(&ivan), String::new()),
        ("GET", me, header(&ivan) + &cookie(&maria), String::new()),
        ("GET", me, header(&ivan) + &header(&maria), String::new()),
        ("GET", me, bearer("x") + &cookie(&maria), String::new()),
        (
            "DELETE",
            me,
            header(&ivan) + &maria.jar().with_header(),
            String::new(),
        ),
        (
            "POST",
            "/api/v1/auth/refresh",
            ivan.jar().with_header(),
            with_refresh(&maria),
        ),
        (
            "POST",
            "/api/v1/auth/logout",
            ivan.jar().with_header(),
            with_refresh(&ivan),
        ),
        // Of which one would be left open while the client believes that it has logged out.
        (
            "POST",
            "/api/v1/auth/logout",
            header(&ivan),
            with_refresh(&maria),
        ),
    ] {
        let answer = ask(&mut client, method, path, &headers, &body);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, more.as_str()),
            "{method} {path} {headers}{body}"
        );
    }
    is_open(&mut client, &ivan);
    is_open(&mut client, &maria);
    let answer = ask(
        &mut client,
        "POST",
        "/api/v1/auth/logout",
        &header(&ivan),
        &with_refresh(&ivan),
    );
    assert_eq!(answer.status, 204);
    is_over(&mut client, &ivan);
    end(daemon);
}
