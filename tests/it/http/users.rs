//! Accounts over HTTP: for administrators, for programs, and for people themselves.

use std::time::Duration;

use http::Method;
use provost::tokens::{Kind, NewToken};
use provost::users::{self, NewPassword, NewUser, Role};
use serde_json::{Value, json};

use super::site::{Answer, Site, bearer, from, is_ok, request, with};
use crate::support::operator;

const PASSWORD: &str = "correct horse battery staple";

/// A request with a credential.
fn call(site: &Site, method: &Method, token: &str, path: &str, json: &str) -> Answer {
    site.send(bearer(request(method.clone(), path, json), token))
}

/// Makes an account with [`PASSWORD`]; its id.
fn account(site: &Site, name: &str, roles: &[Role]) -> String {
    let new = NewUser {
        roles: roles.to_vec(),
        password: NewPassword::Text(PASSWORD.parse().unwrap()),
        ..NewUser::named(name.parse().unwrap())
    };
    users::create(&site.app, &operator(), new).unwrap().id
}

/// Logs in; the access token.
fn login(site: &Site, name: &str) -> String {
    let body = json!({ "login": name, "password": PASSWORD }).to_string();
    let answer = site.post("/api/v1/auth/login", &body);
    is_ok(&answer);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// Usernames of a page.
fn names(answer: &Answer) -> Vec<String> {
    is_ok(answer);
    let page = answer.json();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["username"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_account_is_made_shown_changed_and_deleted() {
    let site = Site::new();
    let keeper = site.token("user:*");
    let body = json!({
        "username": "Ivan", "email": "Ivan@Example.org", "phone": "+375 29 123-45-67",
        "name": "Ivan Petrov", "locale": "be-by", "meta": { "pet": "cat" }, "password": PASSWORD,
    });
    let made = site.post_as(&keeper, "/api/v1/users", &body.to_string());
    assert_eq!(made.status, 201, "{made:?}");
    let user = made.json();
    let path = format!("/api/v1/users/{}", user["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    assert_eq!(user["roles"], json!(["user"]));
    assert_eq!(user["email"], "ivan@example.org");
    assert_eq!(user["locale"], "be-BY");
    assert_eq!(user["meta"], json!({ "pet": "cat" }));
    assert_eq!(
        (&user["has_password"], &user["email_verified"]),
        (&json!(true), &json!(false))
    );
    assert!(!made.body.contains("staple") && !made.body.contains("argon2"));
    assert!(user.get("epoch").is_none(), "{user}");

    let again = site.get_as(&keeper, &path);
    assert_eq!(again.json(), user);
    assert_eq!(again.header("etag"), made.header("etag"));
    let by_name = site.get_as(&keeper, "/api/v1/users/ivan@example.org");
    assert_eq!(by_name.json(), user);

    let other = r#"{"username":"vanya","phone":null,"meta":{"pet":"dog"}}"#;
    let changed = call(&site, &Method::PATCH, &keeper, &path, other);
    is_ok(&changed);
    let now = changed.json();
    assert_eq!(now["username"], "vanya");
    assert_eq!((&now["phone"], &now["name"]), (&Value::Null, &user["name"]));
    assert_eq!(now["meta"], json!({ "pet": "dog" }));

    let gone = call(&site, &Method::DELETE, &keeper, &path, "");
    is_ok(&gone);
    assert_eq!(gone.json()["state"], "deleted");
    assert_eq!(gone.json()["ended"], json!({ "sessions": 0, "tokens": {} }));
    assert_eq!(site.get_as(&keeper, &path).json()["state"], "deleted");
    let again = call(&site, &Method::DELETE, &keeper, &path, "");
    assert_eq!((again.status, again.code().as_str()), (404, "not_found"));
    let back = site.post_as(&keeper, &format!("{path}/restore"), "");
    is_ok(&back);
    assert_eq!(back.json()["state"], "active");
    assert_eq!(
        back.header("etag"),
        site.get_as(&keeper, &path).header("etag")
    );
}

#[test]
fn an_administrator_is_registered_by_another_with_roles_and_what_is_wrong_is_told() {
    let site = Site::new();
    account(&site, "root", &[Role::Admin]);
    let root = login(&site, "root");
    let keeper = site.token("user:write");
    let post = |body: Value| site.post_as(&keeper, "/api/v1/users", &body.to_string());
    let maria = json!({ "username": "maria", "roles": ["admin"] });
    assert_eq!(post(maria.clone()).code(), "forbidden");
    let made = site.post_as(&root, "/api/v1/users", &maria.to_string());
    assert_eq!(made.status, 201);
    assert_eq!(made.json()["roles"], json!(["admin"]));
    assert_eq!(made.json()["has_password"], false);
    for (body, code) in [
        (json!({ "username": "MARIA" }), "username_taken"),
        (json!({ "username": "0198f3" }), "invalid"),
        (
            json!({ "username": "x", "state": "disabled" }),
            "unknown_field",
        ),
        (json!({ "username": "x", "password": "short" }), "invalid"),
        (json!({ "username": "x", "roles": ["root"] }), "malformed"),
        (json!({ "username": "x", "locale": "!" }), "invalid"),
        (json!({ "username": "x", "meta": [] }), "malformed"),
        (json!({}), "malformed"),
    ] {
        assert_eq!(post(body.clone()).code(), code, "{body}");
    }
    let told = post(json!({ "username": "x", "password": "Qwerty123456" }));
    assert_eq!(told.json()["errors"][0]["pointer"], "/password");
    assert!(!told.body.contains("Qwerty123456"));
}

#[test]
fn no_address_gets_a_letter_for_each_account_that_somebody_makes_with_it() {
    let site = Site::new();
    let (keeper, reader) = (site.token("user:write"), site.token("user:read"));
    let post = |token: &str, n: usize| {
        let body = json!({ "username": format!("ivan{n}"), "email": "ivan@example.org" });
        site.post_as(token, "/api/v1/users", &body.to_string())
    };
    for n in 0..6 {
        // Who may not make accounts takes nothing from the address.
        assert_eq!(post(&reader, n).code(), "forbidden");
    }
    assert_eq!(post(&keeper, 0).status, 201);
    for n in 1..5 {
        assert_eq!(post(&keeper, n).code(), "email_taken");
    }
    assert_eq!(post(&keeper, 5).code(), "rate_limited");
}

#[test]
fn the_same_key_makes_one_account_and_gives_the_same_answer() {
    let site = Site::new();
    let keeper = site.token("user:write");
    let post = |body: &str| {
        let request = request(Method::POST, "/api/v1/users", body);
        site.send(with(bearer(request, &keeper), "idempotency-key", "k1"))
    };
    let body = json!({ "username": "ivan", "password": PASSWORD }).to_string();
    let (first, second) = (post(&body), post(&body));
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(second.header("location"), first.header("location"));
    let other = post(&json!({ "username": "maria" }).to_string());
    assert_eq!(other.code(), "idempotency_key_reused");
}

#[test]
fn accounts_are_listed_by_state_role_and_text_page_by_page() {
    let site = Site::new();
    account(&site, "root", &[Role::Admin]);
    for name in ["ivan", "anna", "petra"] {
        account(&site, name, &[]);
    }
    let keeper = site.token("user:*");
    is_ok(&site.post_as(&keeper, "/api/v1/users/anna/disable", ""));
    let gone = call(&site, &Method::DELETE, &keeper, "/api/v1/users/petra", "");
    is_ok(&gone);
    let list = |query: &str| site.get_as(&keeper, &format!("/api/v1/users{query}"));
    assert_eq!(names(&list("")), ["anna", "ivan", "root"]);
    assert_eq!(names(&list("?state=active")), ["ivan", "root"]);
    assert_eq!(names(&list("?state=disabled")), ["anna"]);
    assert_eq!(names(&list("?state=deleted")), ["petra"]);
    assert_eq!(names(&list("?role=admin&sort=-created_at")), ["root"]);
    assert_eq!(names(&list("?q=AN")), ["anna", "ivan"]);
    let first = list("?limit=2");
    assert_eq!(names(&first), ["anna", "ivan"]);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let rest = list(&format!("?limit=2&cursor={next}"));
    assert_eq!(names(&rest), ["root"]);
    assert_eq!(rest.json()["next"], Value::Null);
    for bad in [
        "?state=gone",
        "?limit=201",
        "?sort=username",
        "?cursor=x",
        "?who=x",
    ] {
        assert!((400..=422).contains(&list(bad).status), "{bad}");
    }
}

#[test]
fn a_change_of_a_version_that_is_no_more_is_refused() {
    let site = Site::new();
    account(&site, "ivan", &[]);
    let keeper = site.token("user:*");
    let path = "/api/v1/users/ivan";
    let tag = site.get_as(&keeper, path).header("etag").to_owned();
    let under = |method: Method, name: &'static str, tag: &str, body: &str| {
        site.send(with(
            bearer(request(method, path, body), &keeper),
            name,
            tag,
        ))
    };
    assert_eq!(under(Method::GET, "if-none-match", &tag, "").status, 304);
    let changed = under(Method::PATCH, "if-match", &tag, r#"{"name":"Ivan"}"#);
    is_ok(&changed);
    for method in [Method::PATCH, Method::DELETE] {
        let body = if method == Method::PATCH {
            r#"{"name":"Vanya"}"#
        } else {
            ""
        };
        let stale = under(method, "if-match", &tag, body);
        assert_eq!(stale.code(), "precondition_failed");
    }
    assert_eq!(under(Method::GET, "if-none-match", &tag, "").status, 200);
    let tag = changed.header("etag").to_owned();
    is_ok(&under(Method::DELETE, "if-match", &tag, ""));
}

#[test]
fn a_program_needs_the_scope_and_a_person_the_role() {
    let site = Site::new();
    account(&site, "root", &[Role::Admin]);
    account(&site, "ivan", &[]);
    let routes = [
        (Method::GET, "/api/v1/users", ""),
        (Method::GET, "/api/v1/users/root", ""),
        (Method::GET, "/api/v1/users/nobody", ""),
        (Method::POST, "/api/v1/users", r#"{"username":"x"}"#),
        (Method::PATCH, "/api/v1/users/root", "{}"),
        (Method::PATCH, "/api/v1/users/nobody", "{}"),
        (Method::DELETE, "/api/v1/users/root", ""),
        (Method::DELETE, "/api/v1/users/nobody", ""),
        (Method::POST, "/api/v1/users/root/disable", ""),
        (Method::POST, "/api/v1/users/root/enable", ""),
        (Method::POST, "/api/v1/users/nobody/restore", ""),
        (Method::PUT, "/api/v1/users/ivan/roles/admin", ""),
        (Method::DELETE, "/api/v1/users/root/roles/admin", ""),
    ];
    let (program, person) = (site.token("token:*"), login(&site, "ivan"));
    for (method, path, body) in &routes {
        for credential in [&program, &person] {
            let refused = call(&site, method, credential, path, body);
            assert_eq!(refused.code(), "forbidden", "{method} {path}");
        }
        let nobody = site.send(request(method.clone(), path, body));
        assert_eq!(nobody.code(), "unauthenticated", "{method} {path}");
    }
    let admin = login(&site, "root");
    assert_eq!(
        names(&site.get_as(&admin, "/api/v1/users")),
        ["ivan", "root"]
    );
    let given = call(
        &site,
        &Method::PUT,
        &admin,
        "/api/v1/users/ivan/roles/admin",
        "",
    );
    is_ok(&given);
    // What he opened as an ordinary user has ended, and nothing else.
    assert_eq!(given.json()["ended"]["sessions"], 1);
    assert_eq!(site.get_as(&person, "/api/v1/me").code(), "unauthenticated");
    is_ok(&site.get_as(&admin, "/api/v1/me"));
    let unknown = call(
        &site,
        &Method::PUT,
        &admin,
        "/api/v1/users/ivan/roles/king",
        "",
    );
    assert_eq!(unknown.code(), "invalid");
}

#[test]
fn disabling_ends_sessions_and_tokens_at_once_and_tells_how_many() {
    let site = Site::new();
    account(&site, "ivan", &[]);
    let (keeper, session) = (site.token("user:*"), login(&site, "ivan"));
    let token = site.issue(NewToken {
        owner: Some("ivan".into()),
        scopes: vec!["user:read".parse().unwrap()],
        ..NewToken::of(Kind::Api)
    });
    for credential in [&session, &token] {
        is_ok(&site.get_as(credential, "/api/v1/me"));
    }
    let reason = r#"{"reason":"left the company"}"#;
    let disabled = site.post_as(&keeper, "/api/v1/users/ivan/disable", reason);
    is_ok(&disabled);
    let ended = json!({ "sessions": 1, "tokens": { "api": 1 } });
    assert_eq!(disabled.json()["ended"], ended);
    assert_eq!(disabled.json()["disabled_reason"], "left the company");
    for credential in [&session, &token] {
        assert_eq!(
            site.get_as(credential, "/api/v1/me").code(),
            "unauthenticated"
        );
    }
    is_ok(&site.post_as(&keeper, "/api/v1/users/ivan/enable", ""));
    for credential in [&session, &token] {
        assert_eq!(
            site.get_as(credential, "/api/v1/me").code(),
            "unauthenticated"
        );
    }
    is_ok(&site.get_as(&login(&site, "ivan"), "/api/v1/me"));
}

#[test]
fn people_see_and_change_their_own_account_and_nothing_that_is_not_theirs_to_change() {
    let site = Site::new();
    let id = account(&site, "ivan", &[]);
    let me = login(&site, "ivan");
    let shown = site.get_as(&me, "/api/v1/me");
    is_ok(&shown);
    assert_eq!(shown.json()["id"], id.as_str());
    let patch = |body: Value| call(&site, &Method::PATCH, &me, "/api/v1/me", &body.to_string());
    let changed = patch(json!({ "name": "Vanya", "email": "V@example.org", "locale": "en-gb" }));
    is_ok(&changed);
    assert_eq!(changed.json()["email"], "v@example.org");
    assert_eq!(changed.json()["locale"], "en-GB");
    let tag = shown.header("etag").to_owned();
    let stale = request(Method::PATCH, "/api/v1/me", r#"{"name":null}"#);
    let stale = site.send(with(bearer(stale, &me), "if-match", &tag));
    assert_eq!(stale.code(), "precondition_failed");
    for member in ["roles", "state", "username", "email_verified", "id"] {
        assert_eq!(patch(json!({ member: "admin" })).code(), "unknown_field");
    }
    account(&site, "anna", &[]);
    let keeper = site.token("user:write");
    let hers = json!({ "email": "anna@example.org" }).to_string();
    is_ok(&call(
        &site,
        &Method::PATCH,
        &keeper,
        "/api/v1/users/anna",
        &hers,
    ));
    assert_eq!(
        patch(json!({ "email": "anna@example.org" })).code(),
        "email_taken"
    );

    // A token says whose it is, and changes nothing of its owner's.
    let token = site.issue(NewToken {
        owner: Some("ivan".into()),
        scopes: vec!["user:*".parse().unwrap()],
        ..NewToken::of(Kind::Api)
    });
    assert_eq!(site.get_as(&token, "/api/v1/me").json()["id"], id.as_str());
    let refused = call(&site, &Method::PATCH, &token, "/api/v1/me", "{}");
    assert_eq!(refused.code(), "forbidden");
    let ownerless = site.get_as(&site.token("user:*"), "/api/v1/me");
    assert_eq!(ownerless.code(), "forbidden");
}

#[test]
fn an_old_session_may_look_but_must_log_in_again_for_what_is_dangerous() {
    let site = Site::new();
    account(&site, "root", &[Role::Admin]);
    account(&site, "ivan", &[]);
    let (admin, person) = (login(&site, "root"), login(&site, "ivan"));
    site.later(Duration::from_mins(11));
    for (token, method, path, body) in [
        (&admin, Method::PUT, "/api/v1/users/ivan/roles/admin", ""),
        (&admin, Method::DELETE, "/api/v1/users/ivan", ""),
        (&admin, Method::POST, "/api/v1/users/ivan/disable", ""),
        (
            &admin,
            Method::POST,
            "/api/v1/users",
            r#"{"username":"x","roles":["admin"]}"#,
        ),
        (&person, Method::DELETE, "/api/v1/me", ""),
        (
            &person,
            Method::PATCH,
            "/api/v1/me",
            r#"{"email":"x@example.org"}"#,
        ),
    ] {
        let refused = call(&site, &method, token, path, body);
        assert_eq!(refused.status, 403);
        assert_eq!(refused.code(), "reauthentication_needed", "{method} {path}");
    }
    let harmless = call(
        &site,
        &Method::PATCH,
        &person,
        "/api/v1/me",
        r#"{"name":"Vanya"}"#,
    );
    is_ok(&harmless);
    let fresh = login(&site, "ivan");
    is_ok(&call(&site, &Method::DELETE, &fresh, "/api/v1/me", ""));
}

#[test]
fn who_deletes_oneself_is_out_and_the_last_administrator_is_not_let_go() {
    let site = Site::new();
    account(&site, "root", &[Role::Admin]);
    account(&site, "ivan", &[]);
    let (admin, me) = (login(&site, "root"), login(&site, "ivan"));
    let gone = call(&site, &Method::DELETE, &me, "/api/v1/me", "");
    is_ok(&gone);
    assert_eq!(gone.json()["ended"]["sessions"], 1);
    assert_eq!(site.get_as(&me, "/api/v1/me").code(), "unauthenticated");
    let body = json!({ "login": "ivan", "password": PASSWORD }).to_string();
    let refused = site.post("/api/v1/auth/login", &body);
    assert_eq!(refused.code(), "invalid_credentials");
    let last = call(&site, &Method::DELETE, &admin, "/api/v1/me", "");
    assert_eq!(last.code(), "last_admin");
}

#[test]
fn anybody_registers_an_ordinary_account_once_and_logs_in() {
    let site = Site::new();
    let register = |body: &Value| site.post("/api/v1/auth/register", &body.to_string());
    let body = json!({ "username": "ivan", "email": "i@example.org", "password": PASSWORD });
    let made = register(&body);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["roles"], json!(["user"]));
    assert!(!made.body.contains("staple"));
    login(&site, "i@example.org");
    assert_eq!(register(&body).code(), "username_taken");
    for (member, value) in [("roles", json!(["admin"])), ("state", json!("active"))] {
        let mut body = json!({ "username": "x", "password": PASSWORD });
        body[member] = value;
        assert_eq!(register(&body).code(), "unknown_field");
    }
    let none = register(&json!({ "username": "x" }));
    assert_eq!(none.code(), "malformed");
    let long = json!({ "username": "x", "password": "x".repeat(5000) });
    assert_eq!(register(&long).code(), "payload_too_large");
}

#[test]
fn one_address_makes_only_so_many_accounts_in_an_hour() {
    let site = Site::new();
    let register = |ip: &str| {
        let body = json!({ "username": "ivan", "password": "short" }).to_string();
        site.send(from(
            request(Method::POST, "/api/v1/auth/register", &body),
            ip,
        ))
    };
    for _ in 0..20 {
        assert_eq!(register("203.0.113.7").code(), "invalid");
    }
    let refused = register("203.0.113.7");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "rate_limited")
    );
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(register("203.0.113.8").code(), "invalid");
}

#[test]
fn nobody_registers_where_it_is_closed_or_takes_an_invitation() {
    for (word, code) in [
        ("closed", "registration_closed"),
        ("invitation", "invitation_needed"),
    ] {
        let site = Site::with(&[("PROVOST_AUTH_REGISTRATION", word)]);
        let body = json!({ "username": "ivan", "password": PASSWORD }).to_string();
        let refused = site.post("/api/v1/auth/register", &body);
        assert_eq!((refused.status, refused.code().as_str()), (403, code));
    }
}

#[test]
fn every_change_is_in_the_log_under_who_made_it() {
    let site = Site::new();
    let id = account(&site, "ivan", &[]);
    let me = login(&site, "ivan");
    let patch = r#"{"phone":"+375291234567"}"#;
    is_ok(&call(&site, &Method::PATCH, &me, "/api/v1/me", patch));
    is_ok(&call(&site, &Method::DELETE, &me, "/api/v1/me", ""));
    let log = site.get_as(
        &site.token("audit:read"),
        &format!("/api/v1/audit?object=user:{id}"),
    );
    is_ok(&log);
    let rows = log.json()["items"].as_array().unwrap().clone();
    let told: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["actor"].as_str().unwrap(),
            )
        })
        .collect();
    let me = format!("user:{id}");
    assert_eq!(
        told,
        [
            ("user.deleted", me.as_str()),
            ("user.updated", me.as_str()),
            ("user.created", "os:0/root@test"),
        ]
    );
    assert!(!log.body.contains("+375291234567"));
}
