//! The API's own routes: credentials, scopes, tokens.

use http::{Method, StatusCode};
use provost::tokens::{Kind, NewToken};
use serde_json::json;

use super::site::{Answer, Site, bearer, from, is_ok, request, with};
use crate::support::cluster::wait_until;

#[test]
fn without_a_good_credential_there_is_a_challenge_and_one_body_for_all() {
    let site = Site::new();
    let temporary = site.issue(NewToken::of(Kind::Temporary));
    let mut wrong = site.token("token:read");
    let last = wrong.pop().unwrap();
    wrong.push(if last == 'a' { 'b' } else { 'a' });
    let header = |value: &str| {
        let request = request(Method::GET, "/api/v1/tokens", "");
        site.send(with(request, "authorization", value))
    };
    let first = site.get("/api/v1/tokens");
    insta::assert_snapshot!(first.body, @r#"{"type":"urn:provost:error:unauthenticated","title":"Unauthorized","status":401,"code":"unauthenticated","detail":"a valid credential is needed","instance":"req-1"}"#);
    for answer in [
        header(&format!("Bearer {temporary}")),
        header(&format!("Bearer {wrong}")),
        header("Bearer "),
        header("Bearer"),
        header("Basic dTpw"),
        header(""),
    ] {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.body, first.body);
    }
}

#[test]
fn two_credentials_are_one_too_many() {
    let site = Site::new();
    let token = site.token("token:read");
    let once = bearer(request(Method::GET, "/api/v1/tokens", ""), &token);
    let answer = site.send(bearer(once, &token));
    assert_eq!(answer.status, 400);
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:malformed","title":"Bad Request","status":400,"code":"malformed","detail":"there is more than one credential","instance":"req-1"}"#);
}

#[test]
fn a_refusal_names_the_scope_that_would_have_been_enough() {
    let site = Site::new();
    let token = site.token("token:introspect");
    let answer = site.get_as(&token, "/api/v1/tokens");
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.header("www-authenticate"),
        r#"Bearer error="insufficient_scope", scope="token:read""#
    );
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:forbidden","title":"Forbidden","status":403,"code":"forbidden","detail":"not permitted: this needs the scope token:read","instance":"req-1"}"#);
    assert_eq!(site.get_as(&token, "/api/v1/audit").code(), "forbidden");
}

#[test]
fn nobody_gives_away_a_scope_that_is_not_theirs() {
    let site = Site::new();
    let token = site.token("token:create token:read course:*");
    let make = |scopes: &[&str]| {
        let body = json!({ "kind": "api", "scopes": scopes }).to_string();
        site.post_as(&token, "/api/v1/tokens", &body)
    };
    assert_eq!(make(&["course:read", "token:read"]).status, 201);
    for beyond in ["token:revoke", "token:*", "audit:read"] {
        let answer = make(&["course:read", beyond]);
        assert_eq!(answer.code(), "forbidden");
        assert!(answer.body.contains(beyond), "{}", answer.body);
    }
    let never = json!({ "kind": "api", "ttl": "never" }).to_string();
    assert_eq!(
        site.post_as(&token, "/api/v1/tokens", &never).code(),
        "invalid"
    );
}

#[test]
fn a_token_lives_from_its_making_to_its_revocation() {
    let site = Site::new();
    let keeper = site.token("token:*");
    let made = site.post_as(
        &keeper,
        "/api/v1/tokens",
        r#"{"kind":"api","label":"ci","scopes":["token:read"],"ttl":"7d"}"#,
    );
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    let path = format!("/api/v1/tokens/{id}");
    is_ok(&site.get_as(secret, &path));

    let shown = site.get_as(&keeper, &path);
    assert!(!shown.body.contains(&secret[15..45]), "{}", shown.body);
    assert!(shown.json().get("token").is_none());
    assert_eq!(shown.json()["label"], "ci");
    assert_eq!(
        site.get_as(&keeper, &path[..path.len() - 2]).json()["id"],
        id
    );

    let renewed = site.post_as(&keeper, &format!("{path}/renew"), r#"{"ttl":"30d"}"#);
    is_ok(&renewed);
    assert!(renewed.json()["expires_at"].as_str() > made["expires_at"].as_str());

    let remove = || site.send(bearer(request(Method::DELETE, &path, ""), &keeper));
    assert_eq!((remove().status, remove().status), (204, 204));
    assert_eq!(site.get_as(secret, &path).code(), "unauthenticated");
    let late = site.post_as(&keeper, &format!("{path}/renew"), "");
    assert!((400..500).contains(&late.status), "{late:?}");
    late.code();
}

#[test]
fn a_token_is_read_again_only_if_it_changed_and_changed_only_as_it_is_known() {
    let site = Site::new();
    let keeper = site.token("token:create token:read token:renew token:revoke");
    let made = site.post_as(&keeper, "/api/v1/tokens", r#"{"kind":"api","ttl":"1d"}"#);
    let path = format!("/api/v1/tokens/{}", made.json()["id"].as_str().unwrap());
    let send = |method, path: &str, name, value: &str| {
        site.send(with(
            bearer(request(method, path, ""), &keeper),
            name,
            value,
        ))
    };

    let first = site.get_as(&keeper, &path);
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{first:?}");
    let same = send(Method::GET, &path, "if-none-match", &tag);
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    assert_eq!(same.header("etag"), tag);
    assert_eq!(same.header("content-type"), "");

    let renew = format!("{path}/renew");
    let renewed = send(Method::POST, &renew, "if-match", &tag);
    is_ok(&renewed);
    let newer = renewed.header("etag").to_owned();
    assert_ne!(newer, tag);
    let again = send(Method::GET, &path, "if-none-match", &tag);
    is_ok(&again);
    assert_eq!(
        (again.header("etag"), &again.body),
        (&*newer, &renewed.body)
    );

    for (method, path) in [(Method::POST, &renew), (Method::DELETE, &path)] {
        let stale = send(method, path, "if-match", &tag);
        assert_eq!(
            (stale.status, stale.code()),
            (412, "precondition_failed".into())
        );
    }
    assert_eq!(site.get_as(&keeper, &path).json()["state"], "active");
    assert_eq!(send(Method::DELETE, &path, "if-match", &newer).status, 204);

    // Whoever may not do it learns nothing about the version.
    let nobody = site.token("course:read");
    let request = with(
        bearer(request(Method::DELETE, &path, ""), &nobody),
        "if-match",
        "\"x\"",
    );
    assert_eq!(site.send(request).code(), "forbidden");
}

#[test]
fn a_new_token_is_answered_with_its_place_and_its_version_the_second_time_too() {
    let site = Site::new();
    let keeper = site.token("token:create token:read");
    let make = || {
        let post = request(Method::POST, "/api/v1/tokens", r#"{"kind":"api"}"#);
        site.send(with(bearer(post, &keeper), "idempotency-key", "k"))
    };
    let first = make();
    let place = format!("/api/v1/tokens/{}", first.json()["id"].as_str().unwrap());
    assert_eq!(first.header("location"), place);
    assert_eq!(
        first.header("etag"),
        site.get_as(&keeper, &place).header("etag")
    );
    let again = make();
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.body, first.body);
    for name in ["location", "etag"] {
        assert_eq!(again.header(name), first.header(name));
    }
}

#[test]
fn lists_may_be_asked_for_in_the_one_order_that_they_have() {
    let site = Site::new();
    let reader = site.token("token:read audit:read");
    for (list, order) in [("tokens", "-created_at"), ("audit", "-at")] {
        let path = format!("/api/v1/{list}");
        let usual = site.get_as(&reader, &path);
        let sorted = site.get_as(&reader, &format!("{path}?sort={order}"));
        is_ok(&sorted);
        assert_eq!(sorted.body, usual.body);
        for other in ["created_at", "at", "-label", ""] {
            let refused = site.get_as(&reader, &format!("{path}?sort={other}"));
            assert_eq!(refused.code(), "invalid");
            let told = refused.json();
            assert_eq!(told["errors"][0]["pointer"], "/sort");
            let detail = told["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("must be {order}")), "{detail}");
        }
    }
}

#[test]
fn lists_are_pages_that_follow_each_other() {
    let site = Site::new();
    let reader = site.token("token:read");
    for _ in 0..4 {
        site.issue(NewToken::of(Kind::Temporary));
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/tokens?limit=2&kind=temporary".to_owned();
    loop {
        let page = site.get_as(&reader, &path).json();
        let items = page["items"].as_array().unwrap().clone();
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/tokens?limit=2&kind=temporary&cursor={next}");
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted_by(|one, next| one > next), "{seen:?}");
}

fn form(site: &Site, token: &str, path: &str, body: &str) -> Answer {
    let mut request = bearer(request(Method::POST, path, ""), token);
    *request.body_mut() = body.to_owned().into();
    let form = "application/x-www-form-urlencoded";
    site.send(with(request, "content-type", form))
}

#[test]
fn introspection_speaks_rfc_7662_as_a_form_and_as_json() {
    let site = Site::new();
    let asker = site.token("token:introspect");
    let subject = site.token("course:read course:write");
    let by_form = format!("token={subject}&token_type_hint=access_token");
    let answer = form(&site, &asker, "/api/v1/introspect", &by_form);
    is_ok(&answer);
    assert_eq!(answer.header("cache-control"), "no-store");
    let found = answer.json();
    assert_eq!(found["active"], true);
    assert_eq!(found["scope"], "course:read course:write");
    let life = found["exp"].as_i64().unwrap() - found["iat"].as_i64().unwrap();
    assert_eq!(life, 90 * 24 * 3600);
    let by_json = json!({ "token": subject }).to_string();
    assert_eq!(
        site.post_as(&asker, "/api/v1/introspect", &by_json).json(),
        found
    );

    let keeper = site.token("token:revoke");
    let revoked = form(
        &site,
        &keeper,
        "/api/v1/revoke",
        &format!("token={subject}"),
    );
    assert_eq!((revoked.status, revoked.body.as_str()), (200, ""));
    for nothing in [&subject, "x", "pva_x", ""] {
        let answer = form(
            &site,
            &asker,
            "/api/v1/introspect",
            &format!("token={nothing}"),
        );
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"active":false}"#)
        );
    }
    assert_eq!(
        form(&site, &asker, "/api/v1/introspect", "").code(),
        "malformed"
    );
    assert_eq!(
        site.post("/api/v1/introspect", &by_json).code(),
        "unauthenticated"
    );
}

#[test]
fn revocation_speaks_rfc_7009() {
    let site = Site::new();
    let revoker = site.token("token:revoke");
    for nothing in ["x", "1:2", "pva_x"] {
        let answer = form(
            &site,
            &revoker,
            "/api/v1/revoke",
            &format!("token={nothing}"),
        );
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, ""),
            "{nothing}"
        );
    }
    let itself = site.token("course:read");
    let other = site.token("course:read");
    let answer = form(&site, &itself, "/api/v1/revoke", &format!("token={other}"));
    assert_eq!(answer.code(), "forbidden");
    is_ok(&form(
        &site,
        &itself,
        "/api/v1/revoke",
        &format!("token={itself}"),
    ));
    assert_eq!(
        site.get_as(&itself, "/api/v1/tokens").code(),
        "unauthenticated"
    );
    let plain = with(
        bearer(request(Method::POST, "/api/v1/revoke", ""), &revoker),
        "content-type",
        "text/plain",
    );
    assert_eq!(site.send(plain).status, 415);
}

#[test]
fn a_request_that_is_sent_again_has_its_effect_once() {
    let site = Site::new();
    let keeper = site.token("token:create token:read");
    let send = |token: &str, key: &str, body: &str| {
        let request = bearer(request(Method::POST, "/api/v1/tokens", body), token);
        site.send(with(request, "idempotency-key", key))
    };
    let body = r#"{"kind":"temporary"}"#;
    let first = send(&keeper, "k1", body);
    assert_eq!(
        (first.status, first.header("idempotent-replayed")),
        (201, "")
    );
    let again = send(&keeper, "k1", body);
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (201, "true")
    );
    assert_eq!(again.body, first.body);
    let reused = send(&keeper, "k1", r#"{"kind":"api"}"#);
    assert_eq!(reused.status, 422);
    insta::assert_snapshot!(reused.body, @r#"{"type":"urn:provost:error:idempotency_key_reused","title":"Unprocessable Entity","status":422,"code":"idempotency_key_reused","detail":"that idempotency key was used with another request","instance":"req-1"}"#);
    // A key belongs to whoever sent it.
    let other = site.token("token:create");
    assert_ne!(send(&other, "k1", body).body, first.body);
    assert_eq!(send(&keeper, "", body).code(), "malformed");
    let twice = with(
        bearer(request(Method::POST, "/api/v1/tokens", body), &keeper),
        "idempotency-key",
        "a",
    );
    assert_eq!(
        site.send(with(twice, "idempotency-key", "b")).code(),
        "malformed"
    );
    let listed = site.get_as(&keeper, "/api/v1/tokens?kind=temporary").json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_token_with_a_network_works_only_from_there() {
    let site = Site::new();
    let token = site.issue(NewToken {
        scopes: vec!["token:read".parse().unwrap()],
        cidr: Some("192.0.2.0/24".parse().unwrap()),
        ..NewToken::of(Kind::Api)
    });
    let ask = |ip| {
        site.send(from(
            bearer(request(Method::GET, "/api/v1/tokens", ""), &token),
            ip,
        ))
    };
    is_ok(&ask("192.0.2.7"));
    is_ok(&ask("::ffff:192.0.2.7"));
    assert_eq!(ask("198.51.100.1").code(), "unauthenticated");
    assert_eq!(
        site.get_as(&token, "/api/v1/tokens").code(),
        "unauthenticated"
    );
}

#[test]
fn a_token_with_uses_left_pays_for_each_request() {
    let site = Site::new();
    let token = site.issue(NewToken {
        scopes: vec!["token:read".parse().unwrap()],
        max_uses: Some(2),
        ..NewToken::of(Kind::Api)
    });
    is_ok(&site.get_as(&token, "/api/v1/tokens"));
    is_ok(&site.get_as(&token, "/api/v1/tokens"));
    assert_eq!(
        site.get_as(&token, "/api/v1/tokens").code(),
        "unauthenticated"
    );
}

#[test]
fn a_credential_that_asks_too_fast_is_told_when_to_come_back() {
    let site = Site::with(&[
        ("PROVOST_THROTTLE_API_PER_SECOND", "1"),
        ("PROVOST_THROTTLE_API_BURST", "1"),
    ]);
    let token = site.token("token:read");
    is_ok(&site.get_as(&token, "/api/v1/tokens"));
    let refused = site.get_as(&token, "/api/v1/tokens");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    insta::assert_snapshot!(refused.body, @r#"{"type":"urn:provost:error:rate_limited","title":"Too Many Requests","status":429,"code":"rate_limited","detail":"too many requests, try again in 1 s","instance":"req-1"}"#);
    is_ok(&site.get_as(&site.token("token:read"), "/api/v1/tokens"));
}

#[test]
fn a_token_that_is_revoked_while_its_request_is_still_coming_does_nothing_more() {
    use std::io::{Read as _, Write as _};

    let site = Site::new();
    let token = site.token("token:create token:read");
    let mut client = site.connect();
    client
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .unwrap();
    let body = r#"{"kind":"api","scopes":["token:create"]}"#;
    write!(
        client,
        "POST /api/v1/tokens HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // The body is asked for once the credential was found good.
    let mut asked = [0; 25];
    client.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let id = provost::tokens::parse(&token).unwrap().id.to_string();
    let operator = crate::support::operator();
    let revoked = site
        .app
        .write(&operator, move |cx| provost::tokens::revoke(cx, &id, None));
    revoked.unwrap();
    client.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

/// Entries of the log with that action: actor, object, result.
fn logged(site: &Site, action: &str) -> Vec<[String; 3]> {
    let reader = site.token("audit:read");
    let answer = site.get_as(&reader, &format!("/api/v1/audit?action={action}"));
    let text = |item: &serde_json::Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = answer.json()["items"].as_array().unwrap().clone();
    items
        .iter()
        .map(|item| ["actor", "object", "result"].map(|name| text(item, name)))
        .collect()
}

/// Nobody who is refused waits until that is written down, which several writers may do.
fn wait_for_denials(site: &Site, count: usize) {
    wait_until("the refusals are in the audit log", || {
        logged(site, "request.denied").len() >= count
    });
}

#[test]
fn whoever_is_refused_is_in_the_audit_log_and_the_credential_is_not() {
    let site = Site::new();
    site.get("/api/v1/tokens");
    assert!(logged(&site, "request.denied").is_empty());
    let guest = site.issue(NewToken::of(Kind::Temporary));
    site.get_as(&guest, "/api/v1/tokens/abcdef");
    wait_for_denials(&site, 1);
    let weak = site.token("token:read");
    site.get_as(&weak, "/api/v1/audit");
    wait_for_denials(&site, 2);
    site.post_as(&weak, "/api/v1/tokens", r#"{"kind":"api"}"#);
    wait_for_denials(&site, 3);
    let rows = logged(&site, "request.denied");
    let objects: Vec<&str> = rows.iter().map(|[_, object, _]| object.as_str()).collect();
    assert_eq!(
        objects,
        [
            "route:POST /api/v1/tokens",
            "route:GET /api/v1/audit",
            "route:GET /api/v1/tokens/{id}"
        ]
    );
    assert!(rows.iter().all(|[_, _, result]| result == "denied"));
    assert!(rows[0][0].starts_with("token:") && rows[2][0] == "anonymous");
}

#[test]
fn many_refusals_are_few_rows() {
    let site = Site::new();
    for _ in 0..30 {
        site.get_as("nonsense", "/api/v1/tokens");
    }
    wait_for_denials(&site, 10);
    // Whatever else was to be written would be there by now.
    site.issue(NewToken::of(Kind::Temporary));
    assert_eq!(logged(&site, "request.denied").len(), 10);
}

#[test]
fn each_use_of_a_counted_token_is_in_the_audit_log() {
    let site = Site::new();
    let token = site.issue(NewToken {
        max_uses: Some(2),
        scopes: vec!["token:read".parse().unwrap()],
        ..NewToken::of(Kind::Api)
    });
    site.get_as(&token, "/api/v1/tokens");
    let rows = logged(&site, "token.used");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0][0], rows[0][1]);
}
