//! What holds for every answer: problems, request ids, headers, limits, CORS, methods.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};

use site::{Answer, Site, bearer, is_ok, request, with};

mod api;
mod compat;
mod flaws;
mod matrix;
mod recovery;
mod site;
mod throttle;
mod users;

fn raw(site: &Site, request: &str) -> String {
    let mut client = site.connect();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn every_kind_of_answer(site: &Site) -> Vec<Answer> {
    let token = site.token("token:read");
    vec![
        site.get("/livez"),
        site.get("/readyz"),
        site.get("/metrics"),
        site.get("/openapi.json"),
        site.get("/docs"),
        site.get("/redoc"),
        site.get("/nowhere"),
        site.send(request(Method::PUT, "/livez", "")),
        site.send(request(Method::HEAD, "/livez", "")),
        site.send(request(Method::OPTIONS, "/livez", "")),
        site.send(request(Method::TRACE, "/livez", "")),
        site.get("/api/v1/tokens"),
        site.get_as(&token, "/api/v1/tokens"),
        site.get_as(&token, "/api/v1/tokens?limit=0"),
        site.post_as(&token, "/api/v1/tokens", "{"),
        site.post("/app/token", ""),
    ]
}

#[test]
fn every_answer_has_the_security_headers_and_its_request_id_and_no_server() {
    let site = Site::with(&[("PROVOST_SERVER_PUBLIC_URL", "https://auth.example.org")]);
    for answer in every_kind_of_answer(&site) {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
            ),
            ("cache-control", "no-store"),
            ("x-request-id", "req-1"),
            ("server", ""),
            ("access-control-allow-origin", ""),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {answer:?}");
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{answer:?}");
        assert!(policy.contains("frame-ancestors 'none'"), "{answer:?}");
        assert!(!policy.contains("unsafe-eval"), "{answer:?}");
        if answer.status >= 400 {
            if !answer.body.is_empty() {
                answer.code();
            }
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
}

#[test]
fn over_plain_http_there_is_no_strict_transport_security() {
    assert_eq!(
        Site::new()
            .get("/livez")
            .header("strict-transport-security"),
        ""
    );
}

#[test]
fn a_sensible_request_id_is_taken_over_and_any_other_is_replaced() {
    let site = Site::new();
    let ask = |id: &str| {
        let request = Request::get("/nowhere").header("x-request-id", id);
        let answer = site.send(request.body(Body::empty()).unwrap());
        answer.code();
        answer.header("x-request-id").to_owned()
    };
    for good in ["a", "A-b_c.d:9", &"x".repeat(64)] {
        assert_eq!(ask(good), good);
    }
    for bad in ["", "a b", "a\"b", "a<b", &"x".repeat(65)] {
        let made = ask(bad);
        assert_eq!(made.len(), 19, "{made}");
    }
    assert_ne!(ask(""), ask(""));
}

#[test]
fn what_is_not_there_is_a_problem() {
    let site = Site::new();
    let answer = site.get("/nowhere");
    assert_eq!(answer.status, 404);
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:no_route","title":"Not Found","status":404,"code":"no_route","detail":"no such route","instance":"req-1"}"#);
    for path in [
        "/",
        "/api",
        "/api/v1/tokens/",
        "/DOCS",
        "/docs/x/swagger.js",
        "/app/valid/a/b",
        "//livez",
        "/%2e%2e/livez",
    ] {
        assert_eq!(site.get(path).code(), "no_route", "{path}");
    }
    let token = site.token("token:read");
    let answer = site.get_as(&token, "/api/v1/tokens/00000000000");
    assert_eq!(answer.status, 404);
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:not_found","title":"Not Found","status":404,"code":"not_found","detail":"no such token: 00000000000","instance":"req-1"}"#);
    for id in ["x", "%FF", "%00", "-", "0000000000000"] {
        let answer = site.get_as(&token, &format!("/api/v1/tokens/{id}"));
        assert!([400, 404].contains(&answer.status), "{answer:?}");
        answer.code();
    }
}

#[test]
fn a_method_that_a_route_does_not_take_is_refused_with_those_that_it_takes() {
    let site = Site::new();
    let answer = site.send(request(Method::PUT, "/livez", ""));
    assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"));
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:method_not_allowed","title":"Method Not Allowed","status":405,"code":"method_not_allowed","detail":"the method is not allowed here","instance":"req-1"}"#);
    for method in [
        Method::TRACE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::PATCH,
    ] {
        let answer = site.send(request(method.clone(), "/api/v1/tokens", ""));
        assert_eq!(answer.code(), "method_not_allowed", "{method}");
        let mut allowed: Vec<_> = answer.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["GET", "HEAD", "POST"], "{method}");
    }
    let answer = raw(
        &site,
        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[test]
fn head_is_get_without_the_body() {
    let site = Site::new();
    for path in ["/livez", "/docs", "/openapi.json", "/nowhere"] {
        let (get, head) = (site.get(path), site.send(request(Method::HEAD, path, "")));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    let answer = raw(
        &site,
        "HEAD /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_body_that_cannot_be_read_says_why_and_repeats_nothing_of_it() {
    let site = Site::new();
    let token = site.token("token:create");
    let post = |body: &str| site.post_as(&token, "/api/v1/tokens", body);
    let unknown = post(r#"{"kind":"api","is_admin":true}"#);
    assert_eq!(unknown.status, 400);
    insta::assert_snapshot!(unknown.body, @r#"{"type":"urn:provost:error:unknown_field","title":"Bad Request","status":400,"code":"unknown_field","detail":"unknown field \"is_admin\"; known: kind, owner, label, scopes, ttl, max_uses, not_before, cidr, meta","instance":"req-1","errors":[{"pointer":"/is_admin","detail":"unknown"}]}"#);
    let broken = post("{\"kind\":\n\"api");
    assert_eq!(broken.status, 400);
    insta::assert_snapshot!(broken.body, @r#"{"type":"urn:provost:error:malformed","title":"Bad Request","status":400,"code":"malformed","detail":"the body is not JSON: line 2, column 4","instance":"req-1"}"#);
    let missing = site.post_as(&token, "/api/v1/tokens/consume", "{}");
    insta::assert_snapshot!(missing.body, @r#"{"type":"urn:provost:error:malformed","title":"Bad Request","status":400,"code":"malformed","detail":"the member \"token\" is missing","instance":"req-1"}"#);
    let refused = post(r#"{"kind":"api","label":""}"#);
    assert_eq!(refused.status, 422);
    insta::assert_snapshot!(refused.body, @r#"{"type":"urn:provost:error:invalid","title":"Unprocessable Entity","status":422,"code":"invalid","detail":"label: must have 1 to 200 printable characters","instance":"req-1","errors":[{"pointer":"/label","detail":"must have 1 to 200 printable characters"}]}"#);
    for body in [
        "",
        "null",
        "[]",
        "{} {}",
        "\u{feff}{}",
        r#"{"kind":"hunter2"}"#,
        r#"{"kind":"api","ttl":"hunter2"}"#,
        r#"{"kind":"api","kind":"api"}"#,
        r#"{"kind":"api","max_uses":-1}"#,
        r#"{"kind":"api","max_uses":4294967296}"#,
        r#"{"kind":"api","cidr":"hunter2"}"#,
        r#"{"kind":"api","scopes":["hunter2"]}"#,
        r#"{"kind":"api","not_before":"hunter2"}"#,
    ] {
        let answer = post(body);
        if body.is_empty() {
            assert_eq!(answer.code(), "unsupported_media_type");
            continue;
        }
        assert!([400, 422].contains(&answer.status), "{body}: {answer:?}");
        answer.code();
        assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    }
    let deep = "[".repeat(100);
    assert_eq!(post(&deep).code(), "malformed");
}

#[test]
fn a_body_of_another_type_is_refused() {
    let site = Site::new();
    let token = site.token("token:create");
    let send = |kind: &str| {
        let mut request = bearer(request(Method::POST, "/api/v1/tokens", ""), &token);
        *request.body_mut() = r#"{"kind":"temporary"}"#.into();
        site.send(if kind.is_empty() {
            request
        } else {
            with(request, "content-type", kind)
        })
    };
    let answer = send("text/plain");
    assert_eq!(answer.status, 415);
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:unsupported_media_type","title":"Unsupported Media Type","status":415,"code":"unsupported_media_type","detail":"the body must be application/json","instance":"req-1"}"#);
    for kind in [
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json-patch+json",
        "json",
    ] {
        assert_eq!(send(kind).code(), "unsupported_media_type", "{kind}");
    }
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
    ] {
        assert_eq!(send(kind).status, 201, "{kind}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let site = Site::new();
    let token = site.token("token:create");
    let answer = site.post_as(&token, "/api/v1/tokens", &" ".repeat(64 * 1024 + 1));
    assert_eq!(answer.status, 413);
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:payload_too_large","title":"Payload Too Large","status":413,"code":"payload_too_large","detail":"the body is larger than 65536 bytes","instance":"req-1"}"#);
    assert_eq!(
        site.post("/app/token", &" ".repeat(70_000)).code(),
        "payload_too_large"
    );
}

#[test]
fn a_head_over_the_limits_is_refused() {
    let site = Site::new();
    let long = raw(
        &site,
        &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(4096)),
    );
    assert!(long.starts_with("HTTP/1.1 414 "), "{long}");
    let large = raw(
        &site,
        &format!(
            "GET /livez HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(9000)
        ),
    );
    assert!(large.starts_with("HTTP/1.1 431 "), "{large}");
    for answer in [long, large] {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        assert!(!head.to_lowercase().contains("\r\nserver:"), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(problem["code"].is_string(), "{body}");
    }
}

#[test]
fn a_bad_query_is_refused_and_a_bad_limit_says_its_bounds() {
    let site = Site::new();
    let token = site.token("token:read audit:read");
    let ask = |query: &str| site.get_as(&token, &format!("/api/v1/tokens?{query}"));
    insta::assert_snapshot!(ask("limit=201").body, @r#"{"type":"urn:provost:error:invalid","title":"Unprocessable Entity","status":422,"code":"invalid","detail":"limit: must be 1 to 200","instance":"req-1","errors":[{"pointer":"/limit","detail":"must be 1 to 200"}]}"#);
    insta::assert_snapshot!(ask("admin=1").body, @r#"{"type":"urn:provost:error:unknown_field","title":"Bad Request","status":400,"code":"unknown_field","detail":"unknown field \"admin\"; known: kind, owner, label, state, scope, expiring, created_before, created_after, sort, limit, cursor","instance":"req-1","errors":[{"pointer":"/admin","detail":"unknown"}]}"#);
    for (query, code) in [
        ("limit=0", "invalid"),
        ("limit=x", "malformed"),
        ("limit=-1", "malformed"),
        ("limit=", "malformed"),
        ("limit=1&limit=2", "malformed"),
        ("cursor=x", "invalid"),
        ("kind=x", "malformed"),
        ("state=x", "malformed"),
        ("scope=x", "invalid"),
        ("expiring=x", "invalid"),
        ("created_after=x", "invalid"),
        ("owner=nobody", "not_found"),
        ("kind=%FF", "malformed"),
    ] {
        assert_eq!(ask(query).code(), code, "{query}");
    }
    is_ok(&ask("limit=200"));
    is_ok(&ask(""));
    assert_eq!(
        site.get_as(&token, "/api/v1/audit?limit=201").code(),
        "invalid"
    );
    assert_eq!(
        site.get_as(&token, "/api/v1/audit?since=x").code(),
        "invalid"
    );
}

#[test]
fn browsers_of_a_configured_site_may_call_and_those_of_others_may_not() {
    let ours = "https://app.example.org";
    let site = Site::with(&[("PROVOST_SERVER_CORS_ORIGINS", ours)]);
    let preflight = |origin: &str| {
        let options = request(Method::OPTIONS, "/api/v1/tokens", "");
        let options = with(options, "origin", origin);
        site.send(with(options, "access-control-request-method", "POST"))
    };
    let answer = preflight(ours);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), ours);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("DELETE")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("authorization")
    );
    assert_eq!(answer.header("vary"), "origin");
    let actual =
        |origin: &str| site.send(with(request(Method::GET, "/nowhere", ""), "origin", origin));
    let answer = actual(ours);
    assert_eq!(answer.header("access-control-allow-origin"), ours);
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("x-request-id")
    );
    for other in [
        "https://app.example.org.evil.test",
        "https://example.org",
        "null",
        "http://app.example.org",
    ] {
        assert_eq!(preflight(other).header("access-control-allow-origin"), "");
        assert_eq!(preflight(other).status, 405);
        assert_eq!(actual(other).header("access-control-allow-origin"), "");
    }
    // A cache must not give an answer for one origin to another.
    assert_eq!(site.get("/livez").header("vary"), "origin");
}

#[test]
fn only_a_host_that_is_served_is_answered() {
    let site = Site::with(&[("PROVOST_SERVER_ALLOWED_HOSTS", "auth.example.org")]);
    let ask = |host: &str| site.send(with(request(Method::GET, "/livez", ""), "host", host));
    is_ok(&ask("auth.example.org"));
    is_ok(&ask("AUTH.example.org"));
    let answer = ask("evil.test");
    assert_eq!(answer.status, 421);
    insta::assert_snapshot!(answer.body, @r#"{"type":"urn:provost:error:misdirected","title":"Misdirected Request","status":421,"code":"misdirected","detail":"this host is not served here","instance":"req-1"}"#);
}

#[test]
fn metrics_have_their_names_and_no_secret() {
    let site = Site::new();
    let token = site.post("/app/token", "").json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    is_ok(&site.get(&format!("/app/valid/{token}")));
    let api = site.token("token:read");
    is_ok(&site.get_as(&api, "/api/v1/tokens"));
    site.get("/api/v1/tokens");
    site.get("/secret-path-hunter2");
    let answer = site.get("/metrics");
    is_ok(&answer);
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    let secret = token.split_once(':').unwrap().1;
    for hidden in [secret, &api, &api[15..45], "hunter2"] {
        assert!(!answer.body.contains(hidden), "{hidden}");
    }
    let names: Vec<&str> = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    insta::assert_snapshot!(names.join("\n"), @r#"
provost_http_requests counter
provost_http_request_seconds histogram
provost_http_in_flight gauge
provost_errors counter
provost_db_read_seconds histogram
provost_db_write_seconds histogram
provost_tokens_issued counter
provost_tokens_validated counter
provost_purge_lag_seconds gauge
provost_db_wal_bytes gauge
provost_access_log_dropped_lines gauge
    "#);
    assert!(
        answer.body.contains(r#"route="/app/valid/{token}""#),
        "{}",
        answer.body
    );
}

#[test]
fn the_docs_are_whole_pages_and_can_be_switched_off() {
    let site = Site::new();
    for path in ["/docs", "/redoc"] {
        let page = site.get(path);
        is_ok(&page);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(
            !page.body.contains("http:") && !page.body.contains("https:"),
            "{}",
            page.body
        );
        let mut files = 0;
        for link in page
            .body
            .split('"')
            .filter(|text| text.starts_with("/docs/"))
        {
            let zipped = with(request(Method::HEAD, link, ""), "accept-encoding", "gzip");
            let zipped = site.send(zipped);
            is_ok(&zipped);
            assert_eq!(
                zipped.header("cache-control"),
                "public, max-age=31536000, immutable"
            );
            assert_eq!(zipped.header("x-content-type-options"), "nosniff");
            files += 1;
        }
        assert!(files >= 2, "{}", page.body);
    }
    let page = site.get("/redoc").body;
    let script = page
        .split('"')
        .find(|text| text.ends_with("redoc.standalone.js"))
        .unwrap();
    let plain = site.get(script);
    assert_eq!(
        (plain.header("content-encoding"), plain.header("vary")),
        ("", "accept-encoding")
    );
    assert!(plain.body.contains("ReDoc"));
    assert!(!plain.body.contains("cdn.redoc.ly"));

    let site = Site::with(&[("PROVOST_SERVER_DOCS", "false")]);
    for path in ["/docs", "/redoc", "/openapi.json", script] {
        assert_eq!(site.get(path).code(), "no_route");
    }
}

#[test]
fn a_client_that_sends_its_body_slowly_keeps_nobody_else_out() {
    let site = Site::with(&[("PROVOST_SERVER_MAX_IN_FLIGHT", "1")]);
    let mut slow = site.connect();
    let head = "POST /app/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 18\r\n\r\n{\"ttl_";
    slow.write_all(head.as_bytes()).unwrap();
    for _ in 0..20 {
        let answer = raw(
            &site,
            "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    slow.write_all(b"minutes\": 5}").unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
