//! Libraries that check our access tokens by the published keys, or present them; over TLS.

use std::fs;

use serde_json::{Value, json};

use crate::support::certificates::Authority;
use crate::support::cluster::free_port;
use crate::support::{Daemon, Ran, Shell};

use super::{Interpreter, PASSWORD, people};

const ISSUER: &str = "https://auth.example.org";

/// A daemon with TLS on a port, and for the test itself a socket without.
struct Site {
    shell: Shell,
    daemon: Daemon,
    /// `https://localhost:40123`.
    url: String,
    /// The file with whom the clients are to believe.
    authorities: String,
}

impl Site {
    fn start() -> Self {
        let authority = Authority::new();
        let shell = Shell::unthrottled();
        people(&shell);
        let files = authority.issue(90).write(&shell.path(""));
        let authorities = shell.path("ca.pem");
        fs::write(&authorities, authority.pem()).unwrap();
        let shell = shell
            .with("PROVOST_SERVER_PUBLIC_URL", ISSUER)
            .with("PROVOST_TLS_CERT_FILE", files.certificate.to_str().unwrap())
            .with("PROVOST_TLS_KEY_FILE", files.key.to_str().unwrap());
        let port = free_port();
        let socket = format!("unix:{}", shell.path("http.sock").display());
        let secure = format!("127.0.0.1:{port}");
        Self {
            daemon: shell.serve_with(&["--listen", &socket, "--listen", &secure]),
            url: format!("https://localhost:{port}"),
            authorities: authorities.display().to_string(),
            shell,
        }
    }

    /// An access token of a new session.
    fn token(&self) -> String {
        let body = json!({"login": "maria", "password": PASSWORD}).to_string();
        let kind = "Content-Type: application/json\r\n";
        let (status, body) = self
            .daemon
            .request("POST", "/api/v1/auth/login", kind, &body);
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }
}

/// What a library that was not told of us must find out about our tokens by itself. `check` asks it
/// about a token.
fn is_verified(site: &Site, unsigned: &str, unknown: &str, check: impl Fn(&str) -> Ran) {
    let token = site.token();
    let accepted = |token: &str| {
        let ran = check(token);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.json()
    };
    let told = accepted(&token);
    assert_eq!(told["header"]["typ"], "at+jwt");
    assert_eq!(told["header"]["alg"], "EdDSA");
    assert_eq!(told["claims"]["iss"], ISSUER);
    let id = &site.shell.json(&["user", "show", "maria"])["id"];
    assert_eq!(&told["claims"]["sub"], id);

    let refused = |token: &str, why: &str| {
        let ran = check(token);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.stderr.contains(why), "{why}: {ran:?}");
    };
    // Another letter in the signature.
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    refused(&format!("{rest}.{other}{}", &signature[1..]), unsigned);

    // A new key signs later and is published now; a key that others may have is gone at once.
    site.shell.ok(&["key", "rotate"]);
    accepted(&token);
    site.shell.ok(&["key", "rotate", "--compromised", "--yes"]);
    refused(&token, unknown);
    accepted(&site.token());
}

#[test]
fn pyjwt_accepts_our_tokens_by_the_published_keys() {
    let Some(python) = Interpreter::python(&["jwt", "cryptography"]) else {
        return;
    };
    let site = Site::start();
    let script = include_str!("pyjwt.py");
    is_verified(
        &site,
        "InvalidSignatureError",
        "Unable to find a signing key",
        |token| {
            let arguments = [&site.url, &site.authorities, ISSUER, "provost", token];
            python.run(&site.shell, script, &arguments)
        },
    );
}

#[test]
fn jose_accepts_our_tokens_by_the_published_keys() {
    let Some(node) = Interpreter::node("jose") else {
        return;
    };
    let site = Site::start();
    let script = include_str!("jose.mjs");
    let (unsigned, unknown) = (
        "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        "ERR_JWKS_NO_MATCHING_KEY",
    );
    is_verified(&site, unsigned, unknown, |token| {
        let arguments = [&site.url, ISSUER, "provost", token];
        let mut command = node.command(&site.shell, script, &arguments);
        command.env("NODE_EXTRA_CA_CERTS", &site.authorities);
        Ran::within(super::PATIENCE, &mut command)
    });
}

#[test]
fn requests_and_oauthlib_present_bearer_tokens() {
    let Some(python) = Interpreter::python(&["requests", "requests_oauthlib"]) else {
        return;
    };
    let site = Site::start();
    let token = site.token();
    let told = || {
        let arguments = [&site.url, &site.authorities, &token];
        let ran = python.run(
            &site.shell,
            include_str!("bearer.py"),
            &arguments.map(String::as_str),
        );
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.json()
    };
    let good = told();
    assert_eq!(good["statuses"], json!([200, 200]));
    assert_eq!(good["challenge"], Value::Null);
    site.shell
        .ok(&["session", "revoke", "--user", "maria", "--yes"]);
    let ended = told();
    assert_eq!(ended["statuses"], json!([401, 401]));
    assert!(
        ended["challenge"].as_str().unwrap().starts_with("Bearer"),
        "{ended}"
    );
}
