//! Limits and bans over HTTP: who has to wait, who is not answered, from which address.

use std::net::IpAddr;
use std::time::Duration;

use http::{Method, Request};
use provost::app::Actor;
use provost::throttle::{self, Account};
use provost::users::{self, NewUser};
use serde_json::json;

use super::site::{Answer, Site, bearer, from, is_ok, request, with};
use crate::support::operator;

const BANNED: &str = "203.0.113.7";

/// What every daemon does once a second.
fn read_bans(site: &Site) {
    throttle::read_bans(&site.app, &Actor::job("bans.read")).unwrap();
}

fn get_from(site: &Site, ip: &str, path: &str) -> Answer {
    site.send(from(request(Method::GET, path, ""), ip))
}

fn delete(site: &Site, token: &str, path: &str) -> Answer {
    site.send(bearer(request(Method::DELETE, path, ""), token))
}

/// A site that does not answer 203.0.113.0/24, and a token for that.
fn with_ban(variables: &[(&str, &str)]) -> (Site, String) {
    let site = Site::with(variables);
    let token = site.token("limit:read limit:write");
    let ban = json!({ "network": "203.0.113.0/24", "reason": "guesses" }).to_string();
    let banned = site.post_as(&token, "/api/v1/bans", &ban);
    assert_eq!(banned.status, 201, "{banned:?}");
    read_bans(&site);
    (site, token)
}

fn is_banned(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (403, "banned"));
}

#[test]
fn who_is_banned_is_told_so_and_nothing_else_whatever_is_asked_for() {
    let (site, token) = with_ban(&[("PROVOST_SERVER_CORS_ORIGINS", "https://example.org")]);
    let refused = get_from(&site, BANNED, "/livez");
    insta::assert_snapshot!(refused.body, @r#"{"type":"urn:provost:error:banned","title":"Forbidden","status":403,"code":"banned","detail":"not permitted","instance":"req-1"}"#);
    assert_eq!(refused.header("www-authenticate"), "");
    let preflight = with(
        with(
            request(Method::OPTIONS, "/api/v1/tokens", ""),
            "origin",
            "https://example.org",
        ),
        "access-control-request-method",
        "GET",
    );
    let asked: Vec<Request<_>> = vec![
        request(Method::GET, "/nowhere", ""),
        request(Method::GET, "/docs", ""),
        request(Method::TRACE, "/livez", ""),
        request(Method::PUT, "/livez", ""),
        preflight,
        bearer(request(Method::GET, "/api/v1/bans", ""), &token),
        request(Method::POST, "/app/token", ""),
    ];
    for request in asked {
        let told = format!("{} {}", request.method(), request.uri());
        let answer = site.send(from(request, BANNED));
        assert_eq!(answer.status, 403, "{told}");
        is_banned(&answer);
    }
    let list = site.get_as(&site.token("token:read"), "/api/v1/tokens?kind=temporary");
    assert_eq!(list.json()["items"], json!([]), "nothing was issued");
    is_ok(&get_from(&site, "203.0.114.7", "/livez"));
    is_banned(&get_from(&site, "::ffff:203.0.113.7", "/livez"));
    // By a Unix socket there is no address, and a supervisor must get through.
    is_ok(&site.get("/livez"));
    let metrics = site.get("/metrics").body;
    assert!(metrics.contains("code=\"banned\""), "{metrics}");
}

#[test]
fn behind_a_trusted_proxy_the_clients_address_counts() {
    let (site, _) = with_ban(&[("PROVOST_SERVER_TRUSTED_PROXIES", "10.0.0.0/8")]);
    let ask = |peer: &str, forwarded: &str| {
        let request = with(
            request(Method::GET, "/livez", ""),
            "x-forwarded-for",
            forwarded,
        );
        site.send(from(request, peer))
    };
    is_banned(&ask("10.0.0.1", BANNED));
    is_banned(&ask("10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2"));
    is_ok(&ask("10.0.0.1", "198.51.100.1"));
    is_ok(&ask("10.0.0.1", "203.0.113.7, 198.51.100.1"));
    // Nobody else can be made to look banned, and nobody can talk themselves out of it.
    is_ok(&ask("198.51.100.1", BANNED));
    is_banned(&ask(BANNED, "198.51.100.1"));
}

#[test]
fn anybody_may_ask_which_address_the_daemon_sees() {
    let site = Site::with(&[("PROVOST_SERVER_TRUSTED_PROXIES", "10.0.0.0/8")]);
    let path = "/api/v1/whoami/ip";
    let answer = get_from(&site, "::ffff:192.0.2.1", path);
    is_ok(&answer);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body, r#"{"ip":"192.0.2.1"}"#);
    let forwarded = with(
        request(Method::GET, path, ""),
        "x-forwarded-for",
        "2001:db8::7",
    );
    let answer = site.send(from(forwarded, "10.0.0.1"));
    assert_eq!(answer.json(), json!({ "ip": "2001:db8::7" }));
    assert_eq!(site.get(path).json(), json!({ "ip": null }));
}

#[test]
fn bans_are_listed_shown_and_ended_by_who_may() {
    let (site, token) = with_ban(&[]);
    let one = "/api/v1/bans/203.0.113.0%2F24";
    let ban = site.get_as(&token, one);
    is_ok(&ban);
    assert_eq!(ban.json()["reason"], "guesses");
    let list = site.get_as(&token, "/api/v1/bans").json();
    assert_eq!(list, json!({ "items": [ban.json()], "next": null }));
    for network in ["203.0.113.7", "203.0.113.0", "nonsense", "2001:db8::%2F32"] {
        let path = format!("/api/v1/bans/{network}");
        assert_eq!(site.get_as(&token, &path).code(), "not_found");
        assert_eq!(delete(&site, &token, &path).code(), "not_found");
    }
    let reader = site.token("limit:read");
    assert_eq!(delete(&site, &reader, one).code(), "forbidden");
    assert_eq!(site.get_as(&site.token("user:*"), one).code(), "forbidden");
    assert_eq!(site.get("/api/v1/bans").code(), "unauthenticated");
    let stale = bearer(request(Method::DELETE, one, ""), &token);
    let stale = site.send(with(stale, "if-match", "\"other\""));
    assert_eq!(stale.code(), "precondition_failed");
    let known = bearer(request(Method::DELETE, one, ""), &token);
    let ended = site.send(with(known, "if-match", ban.header("etag")));
    assert_eq!((ended.status, ended.body.as_str()), (204, ""));
    assert_eq!(delete(&site, &token, one).code(), "not_found");
    is_banned(&get_from(&site, BANNED, "/livez"));
    read_bans(&site);
    is_ok(&get_from(&site, BANNED, "/livez"));
}

#[test]
fn a_ban_says_where_it_is_ends_by_itself_and_is_refused_if_it_locks_out() {
    let site = Site::new();
    let token = site.token("limit:*");
    let post = |body: &str| site.post_as(&token, "/api/v1/bans", body);
    let made = post(r#"{"network":"2001:DB8::1/48","ttl":"1h"}"#);
    assert_eq!(made.status, 201);
    let place = made.header("location");
    assert_eq!(place, "/api/v1/bans/2001:db8::%2F48");
    let shown = site.get_as(&token, place);
    assert_eq!(shown.body, made.body);
    assert_eq!(shown.header("etag"), made.header("etag"));
    read_bans(&site);
    is_banned(&get_from(&site, "2001:db8::7", "/livez"));
    for (body, status) in [
        (r#"{"network":"0.0.0.0/0"}"#, 422),
        (r#"{"network":"127.0.0.1"}"#, 422),
        (r#"{"network":"192.0.2.1","ttl":"0s"}"#, 422),
        (r#"{"network":"192.0.2.1","reason":""}"#, 422),
        (r#"{"network":"192.0.2.1/33"}"#, 422),
        (r#"{"network":"192.0.2.1","until":"x"}"#, 400),
    ] {
        assert_eq!(post(body).status, status, "{body}");
    }
    let mine = bearer(
        request(
            Method::POST,
            "/api/v1/bans",
            r#"{"network":"192.0.2.0/24"}"#,
        ),
        &token,
    );
    let refused = site.send(from(mine, "192.0.2.7"));
    assert!(refused.body.contains("comes from"), "{refused:?}");
    // No job reads the bans here: it ends although the daemon's memory still has it.
    site.later(Duration::from_hours(1));
    is_ok(&get_from(&site, "2001:db8::7", "/livez"));
}

#[test]
fn who_has_to_wait_is_listed_and_cleared_by_who_may() {
    let site = Site::new();
    let new = NewUser::named("ivan".parse().unwrap());
    let ivan = users::create(&site.app, &operator(), new).unwrap();
    let fail = |account: &Account| {
        let account = account.clone();
        let failed = move |cx: &mut provost::app::Cx<'_, '_>| {
            for _ in 0..20 {
                throttle::failed(cx, &account)?;
            }
            throttle::standing(cx, &account, Some(IpAddr::from([192, 0, 2, 1])))
        };
        let standing = site.app.write(&operator(), failed).unwrap();
        assert!(!standing.may_try());
    };
    let account = Account::user(&ivan.id);
    let nobody = Account::name(&site.app.kit().keys, "nobody");
    fail(&account);
    let token = site.token("limit:read limit:write");
    let list = || site.get_as(&token, "/api/v1/limits").json()["items"].clone();
    let items = list();
    assert_eq!(items.as_array().unwrap().len(), 1);
    assert_eq!(items[0]["account"], account.as_str());
    assert_eq!(items[0]["user"], "ivan");
    assert_eq!(
        (&items[0]["state"], &items[0]["failures"]),
        (&json!("delayed"), &json!(20))
    );
    assert!(items[0]["ends_at"].is_string());
    fail(&nobody);
    assert_eq!(list().as_array().unwrap().len(), 2);
    let reader = site.token("limit:read");
    assert_eq!(
        delete(&site, &reader, "/api/v1/limits/ivan").code(),
        "forbidden"
    );
    for key in ["ivan", "Nobody"] {
        let path = format!("/api/v1/limits/{key}");
        assert_eq!(delete(&site, &token, &path).status, 204);
        assert_eq!(delete(&site, &token, &path).code(), "not_found");
    }
    assert_eq!(list(), json!([]));
    fail(&account);
    let path = format!("/api/v1/limits/{account}");
    assert_eq!(delete(&site, &token, &path).status, 204);
    assert_eq!(site.get("/api/v1/limits").code(), "unauthenticated");
}
