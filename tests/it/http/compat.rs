//! The older token service: bodies and statuses as its clients know them.

use std::time::Duration;

use http::Method;
use provost::tokens::{Kind, NewToken};

use super::site::{Site, from, is_ok, request, with};

const YES: &str = r#"{"status_code":200,"status":true}"#;
const NO: &str = r#"{"status_code":200,"status":false}"#;

fn issue(site: &Site) -> String {
    let answer = site.post("/app/token", "");
    is_ok(&answer);
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn is(site: &Site, token: &str, wanted: &str) {
    let body = serde_json::json!({ "token": token }).to_string();
    for answer in [
        site.get(&format!("/app/valid/{token}")),
        site.post(&format!("/app/valid/{token}"), ""),
        site.post("/app/valid/x", &body),
    ] {
        is_ok(&answer);
        assert_eq!(answer.body, wanted);
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

fn listed(site: &Site) -> usize {
    let reader = site.token("token:read");
    let answer = site.get_as(&reader, "/app/tokens");
    is_ok(&answer);
    answer.json()["items"].as_array().unwrap().len()
}

#[test]
fn a_token_is_issued_as_it_always_was_and_is_good() {
    let site = Site::new();
    let answer = site.post("/app/token", "");
    is_ok(&answer);
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.body,
        format!(r#"{{"status_code":200,"token":"{token}"}}"#)
    );
    let (id, secret) = token.split_once(':').unwrap();
    assert!(id.parse::<i64>().is_ok() && secret.len() == 30, "{token}");
    is(&site, &token, YES);
    is_ok(&site.post("/app/token", "null"));
    is_ok(&site.post("/app/token", "{}"));
}

#[test]
fn only_a_temporary_token_is_good_here() {
    let site = Site::new();
    is(&site, &site.issue(NewToken::of(Kind::Temporary)), YES);
    is(&site, &site.token("token:read"), NO);
}

#[test]
fn looking_at_a_token_takes_none_of_its_uses() {
    let site = Site::new();
    let token = site.issue(NewToken {
        max_uses: Some(1),
        ..NewToken::of(Kind::Temporary)
    });
    is(&site, &token, YES);
    is(&site, &token, YES);
}

#[test]
fn what_is_no_token_is_not_good_and_no_error() {
    let site = Site::new();
    let token = issue(&site);
    let (id, secret) = token.split_once(':').unwrap();
    let stranger = format!("{id}:{}", "a".repeat(30));
    let unknown = format!("1:{secret}");
    for bad in [
        "x",
        "pvt_short",
        ":",
        "%C3%BC",
        "%00",
        "%FF",
        &stranger,
        &unknown,
        &format!("+{token}"),
        &format!("0{token}"),
        &format!("{token}%20"),
        &"9".repeat(1000),
    ] {
        let answer = site.get(&format!("/app/valid/{bad}"));
        assert_eq!((answer.status, answer.body.as_str()), (200, NO), "{bad}");
    }
    is(&site, &stranger, NO);
}

#[test]
fn a_token_is_good_until_its_time_is_over_and_then_it_is_gone() {
    let site = Site::new();
    let token = site.post("/app/token", r#"{"ttl_minutes":1}"#).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let usual = issue(&site);
    site.later(Duration::from_secs(59));
    is(&site, &token, YES);
    site.later(Duration::from_secs(1));
    assert_eq!(listed(&site), 2);
    is(&site, &token, NO);
    assert_eq!(listed(&site), 1);
    is(&site, &usual, YES);
    site.later(Duration::from_mins(59));
    is(&site, &usual, NO);
    assert_eq!(listed(&site), 0);
}

#[test]
fn a_revoked_and_a_used_up_token_are_not_good() {
    let site = Site::new();
    let token = issue(&site);
    let keeper = site.token("token:revoke token:consume");
    let body = serde_json::json!({ "token": token }).to_string();
    is_ok(&site.post_as(&keeper, "/api/v1/revoke", &body));
    is(&site, &token, NO);

    let once = site.issue(NewToken {
        max_uses: Some(1),
        ..NewToken::of(Kind::Temporary)
    });
    is(&site, &once, YES);
    let body = serde_json::json!({ "token": once }).to_string();
    let first = site.post_as(&keeper, "/api/v1/tokens/consume", &body);
    assert_eq!(
        first.body,
        r#"{"consumed":true,"reason":"ok","remaining":0}"#
    );
    let second = site.post_as(&keeper, "/api/v1/tokens/consume", &body);
    assert_eq!(
        second.body,
        r#"{"consumed":false,"reason":"used_up","remaining":0}"#
    );
    is(&site, &once, NO);
}

#[test]
fn clearing_deletes_every_expired_token_and_no_other() {
    let site = Site::new();
    for _ in 0..3 {
        let answer = site.post("/app/token", r#"{"ttl_minutes":1}"#);
        is_ok(&answer);
    }
    let kept = issue(&site);
    let clear = || site.send(request(Method::DELETE, "/app/clear/all/tokens", ""));
    assert_eq!(clear().body, YES);
    assert_eq!(listed(&site), 4);
    site.later(Duration::from_mins(2));
    let answer = clear();
    is_ok(&answer);
    assert_eq!(answer.body, YES);
    assert_eq!(listed(&site), 1);
    is(&site, &kept, YES);
}

#[test]
fn the_life_of_a_token_has_its_bounds() {
    let site = Site::new();
    for (minutes, status) in [(0, 422), (1, 200), (43_200, 200), (43_201, 422)] {
        let answer = site.post("/app/token", &format!(r#"{{"ttl_minutes":{minutes}}}"#));
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let answer = site.post("/app/token", r#"{"ttl_minutes":0}"#);
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:invalid","title":"Unprocessable Entity","status":422,"code":"invalid","detail":"ttl_minutes: must be 1 to 43200","instance":"req-1","errors":[{"pointer":"/ttl_minutes","detail":"must be 1 to 43200"}]}"#);
    for body in [
        r#"{"ttl_minutes":-1}"#,
        r#"{"ttl_minutes":1.5}"#,
        r#"{"ttl_minutes":"1"}"#,
    ] {
        assert_eq!(site.post("/app/token", body).code(), "malformed", "{body}");
    }
    assert_eq!(
        site.post("/app/token", r#"{"ttl":1}"#).code(),
        "unknown_field"
    );
}

#[test]
fn the_list_needs_a_scope_and_shows_no_secret() {
    let site = Site::new();
    let token = issue(&site);
    let (id, secret) = token.split_once(':').unwrap();
    assert_eq!(site.get("/app/tokens").code(), "unauthenticated");
    let other = site.token("token:introspect");
    assert_eq!(site.get_as(&other, "/app/tokens").code(), "forbidden");
    let reader = site.token("token:read");
    let answer = site.get_as(&reader, "/app/tokens");
    is_ok(&answer);
    assert!(!answer.body.contains(secret), "{}", answer.body);
    assert_eq!(answer.json()["items"][0]["number"], id);
}

#[test]
fn a_client_that_issues_too_fast_is_told_when_to_come_back() {
    let site = Site::with(&[
        ("PROVOST_THROTTLE_ISSUE_PER_SECOND", "1"),
        ("PROVOST_THROTTLE_ISSUE_BURST", "2"),
    ]);
    let issue = |ip| site.send(from(request(Method::POST, "/app/token", ""), ip));
    let first = issue("192.0.2.1");
    is_ok(&first);
    assert_eq!(first.header("ratelimit"), r#""issue";r=1"#);
    assert_eq!(first.header("ratelimit-policy"), r#""issue";q=2;w=2"#);
    is_ok(&issue("192.0.2.1"));
    let refused = issue("192.0.2.1");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "rate_limited")
    );
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), r#""issue";r=0"#);
    is_ok(&issue("192.0.2.2"));
}

#[test]
fn the_same_key_gets_the_same_token() {
    let site = Site::new();
    let issue = |body| {
        let request = request(Method::POST, "/app/token", body);
        site.send(with(request, "idempotency-key", "k1"))
    };
    let first = issue(r#"{"ttl_minutes":5}"#);
    is_ok(&first);
    let second = issue(r#"{"ttl_minutes":5}"#);
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(
        issue(r#"{"ttl_minutes":6}"#).code(),
        "idempotency_key_reused"
    );
}

#[test]
fn a_stranger_who_sends_the_same_key_does_not_get_the_token() {
    let site = Site::new();
    let issue = |ip| {
        let request = request(Method::POST, "/app/token", "");
        let answer = site.send(from(with(request, "idempotency-key", "1"), ip));
        is_ok(&answer);
        answer.body
    };
    let first = issue("192.0.2.1");
    assert_eq!(issue("192.0.2.1"), first);
    assert_ne!(issue("192.0.2.2"), first);
}

#[test]
fn the_block_can_be_switched_off() {
    let site = Site::with(&[("PROVOST_COMPAT_TOKEN_MANAGER", "false")]);
    assert_eq!(site.post("/app/token", "").code(), "no_route");
    assert_eq!(site.get("/app/valid/x").code(), "no_route");
}
