//! A browser, driven as a person would drive it, on pages of another origin.

use serde_json::json;

use crate::support::certificates::Authority;
use crate::support::cluster::free_port;
use crate::support::{Daemon, Shell};

use super::{Interpreter, PASSWORD, people, program};

/// A daemon that allows pages of one local origin, and the port of these pages.
fn site(scheme: &str, settings: &[(&str, &str)]) -> (Shell, Daemon, u16) {
    let port = free_port();
    let pages = format!("{scheme}://localhost:{port}");
    let shell = Shell::unthrottled().with("PROVOST_SERVER_CORS_ORIGINS", &pages);
    people(&shell);
    let add = |shell: Shell, (name, value): &(&str, &str)| shell.with(name, value);
    let shell = settings.iter().fold(shell, add);
    let daemon = shell.serve();
    (shell, daemon, port)
}

/// Under the name that the cookies are for.
fn local(daemon: &Daemon) -> String {
    daemon.url().replace("127.0.0.1", "localhost")
}

#[test]
fn a_browser_logs_in_by_cookies_refreshes_and_logs_out_and_holds_none_afterwards() {
    let Some(node) = Interpreter::node("playwright-core") else {
        return;
    };
    let Some(chromium) = program("chromium", "chromium") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().issue(90).write(folder.path());
    let (certificate, key) = (
        files.certificate.to_str().unwrap(),
        files.key.to_str().unwrap(),
    );
    let (shell, plain, plain_port) = site("http", &[("PROVOST_COOKIES_INSECURE", "true")]);
    let tls = [
        ("PROVOST_TLS_CERT_FILE", certificate),
        ("PROVOST_TLS_KEY_FILE", key),
    ];
    let (_home, secure, secure_port) = site("https", &tls);
    let names = |prefix: &str, suffix: &str| {
        let name = |what: &str| format!("{prefix}{what}{suffix}");
        json!({"access": name("access"), "refresh": name("refresh"), "csrf": name("csrf")})
    };
    let arguments = json!({
        "executable": chromium,
        "password": PASSWORD,
        "sites": [
            {"api": local(&plain), "port": plain_port, "names": names("", "_token")},
            {
                "api": local(&secure),
                "port": secure_port,
                "names": names("__Host-provost_", ""),
                "tls": {"certificate": certificate, "key": key},
            },
        ],
    });
    let ran = node.run(
        &shell,
        include_str!("browser.mjs"),
        &[&arguments.to_string()],
    );
    assert_eq!(ran.status, 0, "{ran:?}");
}
