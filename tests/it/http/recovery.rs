//! Links over HTTP, and who is said to have done what.

use http::Method;
use provost::users::{self, NewPassword, NewUser, Role};
use serde_json::{Value, json};

use super::site::{Answer, Site, bearer, is_ok, request, with};
use crate::support::operator;

const PASSWORD: &str = "correct horse battery staple";

/// Makes an account with [`PASSWORD`]; its id.
fn account(site: &Site, name: &str, role: Role) -> String {
    let new = NewUser {
        roles: vec![role],
        password: NewPassword::Text(PASSWORD.parse().unwrap()),
        ..NewUser::named(name.parse().unwrap())
    };
    users::create(&site.app, &operator(), new).unwrap().id
}

/// What a login answers.
fn login(site: &Site, name: &str) -> Value {
    let body = json!({ "login": name, "password": PASSWORD }).to_string();
    let answer = site.post("/api/v1/auth/login", &body);
    is_ok(&answer);
    answer.json()
}

#[test]
fn the_same_key_for_another_user_makes_a_link_for_that_user() {
    let site = Site::new();
    account(&site, "ivan", Role::User);
    account(&site, "maria", Role::User);
    let keeper = site.token("user:write");
    let make = |name: &str| -> Answer {
        let path = format!("/api/v1/users/{name}/login-link");
        let request = bearer(request(Method::POST, &path, ""), &keeper);
        site.send(with(request, "idempotency-key", "k1"))
    };
    let his = make("ivan");
    assert_eq!(his.json()["username"], "ivan");
    let hers = make("maria");
    assert_eq!(hers.json()["username"], "maria");
    assert_eq!(hers.header("idempotent-replayed"), "");
    let again = make("ivan");
    assert_eq!(again.body, his.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
}

#[test]
fn whoever_logs_out_is_said_to_have_done_it() {
    let site = Site::new();
    let id = account(&site, "ivan", Role::User);
    let closed = || {
        let reader = site.token("audit:read");
        let answer = site.get_as(&reader, "/api/v1/audit?action=session.closed");
        answer.json()["items"][0]["actor"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let session = login(&site, "ivan");
    let token = session["access_token"].as_str().unwrap();
    let out = site.post_as(token, "/api/v1/auth/logout", "");
    assert_eq!(out.status, 204, "{out:?}");
    assert_eq!(closed(), format!("user:{id}"));

    // Who has only the refresh token has not proved to be that person.
    let session = login(&site, "ivan");
    let refresh = json!({ "refresh_token": session["refresh_token"] }).to_string();
    let out = site.post("/api/v1/auth/logout", &refresh);
    assert_eq!(out.status, 204, "{out:?}");
    assert_eq!(closed(), "anonymous");
}

#[test]
fn links_are_tried_as_often_as_a_new_password_may_be_asked_for() {
    let bad = "pvp_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0";
    let bodies = [
        (
            "/api/v1/auth/password/reset",
            json!({ "token": bad, "new_password": PASSWORD }),
        ),
        ("/api/v1/auth/email/verify", json!({ "token": bad })),
    ];
    for (path, body) in bodies {
        let site = Site::with(&[("PROVOST_THROTTLE_RESET_PER_HOUR", "2")]);
        let tried = || site.post(path, &body.to_string());
        for left in [1, 0] {
            let refused = tried();
            assert_eq!(refused.code(), "invalid", "{path}");
            assert_eq!(refused.header("ratelimit"), format!("\"reset\";r={left}"));
        }
        let limited = tried();
        assert_eq!(limited.code(), "rate_limited", "{path}");
        assert_eq!(limited.header("ratelimit"), "\"reset\";r=0");
    }
}
