//! Sessions as somebody meets them who means no good: the real daemon, over HTTP and from a shell
//! beside it. What ended must have ended for every answer that comes after, whoever ran at the same
//! moment; what was changed by a single character must never have been good.

use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::{Daemon, Shell};

mod access;
mod bodies;
mod cookies;
mod csrf;
mod ending;
mod enumeration;
mod factors;
mod hammer;
mod lists;
mod mutations;
mod parallel;
mod races;
mod shell;
mod verify;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// With it the whole body of an answer is known beforehand.
const ID: &str = "X-Request-Id: r\r\n";

/// A home with the administrator `maria` and the user `ivan`.
fn house() -> Shell {
    people(Shell::unthrottled())
}

/// The same people in this home.
fn people(shell: Shell) -> Shell {
    let maria = "maria --admin --email maria@example.org --phone +375291234567";
    for line in [maria, "ivan --email ivan@example.org"] {
        let mut words = vec!["user", "create", "--password-stdin"];
        words.extend(line.split(' '));
        let ran = shell.run_with(&words, PASSWORD);
        assert_eq!(ran.status, 0, "{ran:?}");
    }
    shell
}

/// Stops the daemon, which must have met nothing that it did not expect.
fn end(daemon: Daemon) {
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    for word in ["panicked at", "locked", "\"level\":\"ERROR\""] {
        assert!(!log.contains(word), "{log}");
    }
}

/// The whole body of a refusal.
fn problem(status: u16, title: &str, code: &str, detail: &str) -> String {
    format!(
        "{{\"type\":\"urn:provost:error:{code}\",\"title\":\"{title}\",\"status\":{status},\
         \"code\":\"{code}\",\"detail\":\"{detail}\",\"instance\":\"r\"}}"
    )
}

/// The body of the refusal of a credential.
fn unauthenticated() -> String {
    problem(
        401,
        "Unauthorized",
        "unauthenticated",
        "a valid credential is needed",
    )
}

/// What a client without cookies has of its session.
#[derive(Clone, Debug)]
struct Tokens {
    id: String,
    access: String,
    refresh: String,
    csrf: String,
}

impl Tokens {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        Self {
            id: answer.text("session_id"),
            access: answer.text("access_token"),
            refresh: answer.text("refresh_token"),
            csrf: answer.text("csrf_token"),
        }
    }

    fn bearer(&self) -> String {
        bearer(&self.access)
    }

    /// The same session in a browser.
    fn jar(&self) -> Jar {
        let Self {
            access,
            refresh,
            csrf,
            ..
        } = self.clone();
        Jar {
            access,
            refresh,
            csrf,
        }
    }
}

/// The cookies of a browser.
#[derive(Clone, Debug)]
struct Jar {
    access: String,
    refresh: String,
    csrf: String,
}

impl Jar {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let value = |name: &str| {
            let start = format!("__Host-provost_{name}=");
            let mut found = set_cookies(answer)
                .into_iter()
                .filter_map(|line| line.strip_prefix(&start)?.split(';').next());
            found.next().unwrap().to_owned()
        };
        Self {
            access: value("access"),
            refresh: value("refresh"),
            csrf: value("csrf"),
        }
    }

    /// All three, as a browser sends them with every request.
    fn line(&self) -> String {
        format!(
            "Cookie: __Host-provost_access={}; __Host-provost_refresh={}; __Host-provost_csrf={}\r\n",
            self.access, self.refresh, self.csrf
        )
    }

    /// The same from a page of our own.
    fn with_header(&self) -> String {
        format!("{}{}", self.line(), csrf(&self.csrf))
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn csrf(token: &str) -> String {
    format!("X-CSRF-Token: {token}\r\n")
}

fn set_cookies(answer: &Answer) -> Vec<&str> {
    let headers = answer.headers.iter();
    let found = headers.filter(|(name, _)| name == "set-cookie");
    found.map(|(_, value)| value.as_str()).collect()
}

/// Asks with [`ID`].
#[track_caller]
fn ask(client: &mut Client, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    client.must(method, path, &format!("{ID}{headers}"), body)
}

fn try_login(client: &mut Client, name: &str, password: &str) -> Answer {
    let body = json!({ "login": name, "password": password }).to_string();
    ask(client, "POST", "/api/v1/auth/login", "", &body)
}

#[track_caller]
fn log_in(client: &mut Client, name: &str) -> Tokens {
    Tokens::of(&try_login(client, name, PASSWORD))
}

#[track_caller]
fn log_in_browser(client: &mut Client, name: &str) -> Jar {
    let body = json!({ "login": name, "password": PASSWORD, "cookies": true }).to_string();
    Jar::of(&ask(client, "POST", "/api/v1/auth/login", "", &body))
}

fn refresh(client: &mut Client, token: &str) -> Answer {
    let body = json!({ "refresh_token": token }).to_string();
    ask(client, "POST", "/api/v1/auth/refresh", "", &body)
}

/// Whether a request with these headers is let in.
#[track_caller]
fn is_in(client: &mut Client, headers: &str) -> bool {
    let answer = ask(client, "GET", "/api/v1/auth/verify", headers, "");
    assert!([200, 401].contains(&answer.status), "{answer:?}");
    answer.status == 200
}

/// Nothing of the session is good, and nothing says why.
#[track_caller]
fn is_over(client: &mut Client, tokens: &Tokens) {
    for headers in [tokens.bearer(), tokens.jar().line()] {
        let answer = ask(client, "GET", "/api/v1/me/sessions", &headers, "");
        assert_eq!(
            (answer.status, answer.body),
            (401, unauthenticated()),
            "{tokens:?}"
        );
    }
    let answer = refresh(client, &tokens.refresh);
    assert_eq!(
        (answer.status, answer.body),
        (401, unauthenticated()),
        "{tokens:?}"
    );
    let headers = tokens.jar().with_header();
    let answer = ask(client, "POST", "/api/v1/auth/refresh", &headers, "");
    assert_eq!(
        (answer.status, answer.body),
        (401, unauthenticated()),
        "{tokens:?}"
    );
}

/// Whether everything of the session is good; the refresh token is not used up by it.
#[track_caller]
fn is_open(client: &mut Client, tokens: &Tokens) {
    assert!(is_in(client, &tokens.bearer()), "{tokens:?}");
    assert!(is_in(client, &tokens.jar().line()), "{tokens:?}");
}
