//! What is wrong with an account that somebody wants to make or to change: all of it in one answer.

use http::Method;
use provost::users::{self, NewPassword, NewUser};
use serde_json::{Value, json};

use super::site::{Answer, Site, bearer, is_ok, request};
use crate::support::operator;

const PASSWORD: &str = "correct horse battery staple";

/// The members that a refusal points at, and how it is told.
#[track_caller]
fn told(answer: &Answer) -> (u16, String, Vec<String>) {
    let code = answer.code();
    let problem = answer.json();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap();
    for error in &errors {
        assert!(
            detail.contains(error["detail"].as_str().unwrap()),
            "{problem}"
        );
    }
    let pointers = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned());
    (answer.status, code, pointers.collect())
}

fn all(members: &[&str]) -> (u16, String, Vec<String>) {
    let pointers = members.iter().map(|member| format!("/{member}"));
    (422, "invalid".into(), pointers.collect())
}

#[test]
fn a_registration_is_told_all_that_is_wrong_with_it_the_password_too() {
    let site = Site::with(&[
        ("PROVOST_AUTH_REGISTRATION", "open"),
        ("PROVOST_PASSWORD_MIN_LENGTH", "15"),
    ]);
    let register = |body: &Value| site.post("/api/v1/auth/register", &body.to_string());
    let body = json!({
        "username": "a b", "email": "hunter2", "phone": "12", "name": "\u{202e}", "locale": "!",
        "password": "hunter3 hunter",
    });
    let answer = register(&body);
    let wanted = all(&["username", "email", "phone", "name", "locale", "password"]);
    assert_eq!(told(&answer), wanted);
    assert!(
        answer.body.contains("must have at least 15 characters"),
        "{answer:?}"
    );
    assert!(!answer.body.contains("hunter"), "{answer:?}");
    for (body, members) in [
        (
            json!({ "username": "a b", "password": PASSWORD }),
            &["username"][..],
        ),
        (
            json!({ "username": "ivan", "password": "short" }),
            &["password"],
        ),
        (json!({ "username": "a b" }), &["username", "password"]),
        (json!({ "password": "short" }), &["password", "username"]),
        (
            json!({ "username": 7, "password": "short" }),
            &["password", "username"],
        ),
        (
            json!({ "username": "ivan", "email": "x", "password": "ivan-ivan-ivan-ivan" }),
            &["email", "password"],
        ),
        (
            json!({ "email": "x", "password": "x".repeat(257) }),
            &["email", "password", "username"],
        ),
    ] {
        assert_eq!(told(&register(&body)), all(members), "{body}");
    }
    let unknown = register(&json!({ "username": "a b", "password": "x", "admin": true }));
    assert_eq!(
        told(&unknown),
        (400, "unknown_field".into(), vec!["/admin".into()])
    );
    let good = register(&json!({ "username": "ivan", "password": PASSWORD }));
    assert_eq!(good.status, 201, "{good:?}");
    let taken = register(&json!({ "username": "IVAN", "password": PASSWORD }));
    assert_eq!(taken.json()["errors"][0]["pointer"], "/username");
}

#[test]
fn an_account_and_a_profile_are_told_all_that_is_wrong_with_them() {
    let site = Site::new();
    let keeper = site.token("user:write");
    let new = NewUser {
        password: NewPassword::Text(PASSWORD.parse().unwrap()),
        ..NewUser::named("ivan".parse().unwrap())
    };
    users::create(&site.app, &operator(), new).unwrap();
    let login = json!({ "login": "ivan", "password": PASSWORD }).to_string();
    let login = site.post("/api/v1/auth/login", &login);
    is_ok(&login);
    let own = login.json()["access_token"].as_str().unwrap().to_owned();
    let send = |method: Method, token: &str, path: &str, body: &Value| {
        site.send(bearer(request(method, path, &body.to_string()), token))
    };
    let body = json!({
        "username": "@", "email": "x", "phone": "+1", "meta": [], "roles": ["root"], "password": "x",
    });
    let made = send(Method::POST, &keeper, "/api/v1/users", &body);
    let wanted = all(&["username", "email", "phone", "password", "meta", "roles"]);
    let mut got = told(&made);
    got.2.sort();
    let mut sorted = wanted.clone();
    sorted.2.sort();
    assert_eq!(got, sorted);
    let patch = json!({ "username": "@", "email": "x", "phone": null, "locale": "!" });
    let changed = send(Method::PATCH, &keeper, "/api/v1/users/ivan", &patch);
    assert_eq!(told(&changed), all(&["username", "email", "locale"]));
    let profile = json!({ "email": "x", "name": "", "locale": "!", "meta": 1 });
    let changed = send(Method::PATCH, &own, "/api/v1/me", &profile);
    assert_eq!(told(&changed), all(&["email", "name", "locale", "meta"]));
    // Where the password has another name it is pointed at by that.
    let body = json!({ "current_password": PASSWORD, "new_password": "short" });
    let changed = send(Method::POST, &own, "/api/v1/auth/password", &body);
    assert_eq!(told(&changed), all(&["new_password"]));
    let body = json!({ "current_password": "x".repeat(257), "new_password": "x".repeat(257) });
    let changed = send(Method::POST, &own, "/api/v1/auth/password", &body);
    assert_eq!(told(&changed), all(&["current_password", "new_password"]));
    let shown = site.get_as(&own, "/api/v1/me").json();
    assert_eq!(
        (&shown["email"], &shown["name"]),
        (&Value::Null, &Value::Null)
    );
}
