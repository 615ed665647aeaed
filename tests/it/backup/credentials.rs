//! What was revoked, rotated or used up since a backup, after the way back from it as the
//! documentation tells it: `provost restore`, or the server's own tools and `restore --in-place`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::text;
use crate::support::client::Client;
use crate::support::cluster::say;
use crate::support::{Ran, Shell};

const PASSWORD: &str = "correct horse battery staple";

/// Whether the engine's own tools are here, where those make the backups.
fn can_go_back() -> bool {
    let there = crate::support::engine::url().is_none()
        || ["pg_dump", "pg_restore"].iter().all(|tool| {
            let asked = Command::new(tool).arg("--version").output();
            asked.is_ok_and(|asked| asked.status.success())
        });
    if !there {
        say("not tested: no pg_dump on this machine (Debian: apt-get install postgresql-client)");
    }
    there
}

/// Runs the command that the program has told.
#[track_caller]
fn run_told(shell: &Shell, told: &str, end: &str) {
    let line = told.split("run: ").nth(1).unwrap();
    let line = line.split(end).next().unwrap();
    let ran = Ran::of(&mut shell.line(line));
    assert_eq!(ran.status, 0, "{line}: {ran:?}");
}

/// Makes a backup.
fn back_up(shell: &Shell) -> PathBuf {
    let backup = shell.path("b.db");
    let arguments = ["backup", "create", "-o", text(&backup)];
    if shell.schema_url().is_some() {
        let told = shell.fails(2, &arguments);
        run_told(shell, &told, "\n");
    } else {
        shell.ok(&arguments);
    }
    backup
}

/// Lets the server's own tool put the backup back.
fn put_back(shell: &Shell, backup: &Path) {
    if shell.schema_url().is_some() {
        let told = shell.fails(2, &["restore", text(backup)]);
        run_told(shell, &told, ", and then");
    }
}

/// What somebody holds of a session.
struct Session {
    access: String,
    refresh: String,
}

impl Session {
    fn open(client: &mut Client) -> Self {
        let body = json!({ "login": "maria", "password": PASSWORD }).to_string();
        let answer = client.must("POST", "/api/v1/auth/login", "", &body);
        Self {
            access: answer.text("access_token"),
            refresh: answer.text("refresh_token"),
        }
    }
}

/// Ends every second one of these tokens and uses up the others.
fn end_each<'a>(
    client: &mut Client,
    admin: &str,
    tokens: impl Iterator<Item = &'a (String, String)>,
) {
    for (n, (id, token)) in tokens.enumerate() {
        if n % 2 == 0 {
            client.must("DELETE", &format!("/api/v1/tokens/{id}"), admin, "");
        } else {
            let body = json!({ "token": token }).to_string();
            client.must("POST", "/api/v1/tokens/consume", admin, &body);
        }
    }
}

/// Restores a backup after the world has moved on; `each` credentials of each sort.
fn moved_on(each: usize) {
    if !can_go_back() {
        return;
    }
    let shell = Shell::unthrottled().with("PROVOST_AUTH_MAX_SESSIONS", "1000");
    let made = ["user", "create", "maria", "--admin", "--password-stdin"];
    assert_eq!(shell.run_with(&made, PASSWORD).status, 0);
    let scopes = "token:create,token:revoke,token:consume,token:read";
    let hers = ["token", "create", "--owner", "maria", "--quiet", "--scope"];
    let admin = shell.ok(&[&hers[..], &[scopes]].concat());
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut issued = |kind: &str| -> Vec<(String, String)> {
        let one = |_| {
            let body = json!({ "kind": kind, "max_uses": 1 });
            let answer = client.must("POST", "/api/v1/tokens", &bearer(&admin), &body.to_string());
            assert_eq!(answer.status, 201, "{answer:?}");
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            (id, answer.text("token"))
        };
        (0..each).map(one).collect()
    };
    let (api, passing) = (issued("api"), issued("temporary"));
    let sessions: Vec<Session> = (0..each).map(|_| Session::open(&mut client)).collect();
    let backup = back_up(&shell);
    end_each(&mut client, &bearer(&admin), api.iter().chain(&passing));
    let mut refreshed = Vec::new();
    for session in &sessions {
        let body = json!({ "refresh_token": session.refresh }).to_string();
        let answer = client.must("POST", "/api/v1/auth/refresh", "", &body);
        refreshed.push(answer.text("refresh_token"));
    }
    drop(client);
    let last_step = if shell.schema_url().is_some() {
        vec!["restore", "--in-place", "--yes"]
    } else {
        vec!["restore", text(&backup), "--yes"]
    };
    shell.fails(10, &last_step);
    daemon.stop();
    put_back(&shell, &backup);
    let restored = shell.json(&last_step);
    let suspended = if shell.schema_url().is_some() {
        // There is nothing to ask which of them were revoked.
        assert_eq!(restored["suspended_tokens"], each + 1);
        each + 1
    } else {
        assert_eq!(restored["taken_back"]["suspended_tokens"], each / 2 + 1);
        assert_eq!(restored["taken_back"]["revoked_tokens"], each / 2);
        each / 2 + 1
    };
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut accepted = Vec::new();
    for (_, token) in api.iter().chain(&passing) {
        let looked = shell.run_with(&["--json", "token", "lookup", "-"], token);
        if looked.json()["reason"] == "ok" || client.is_valid(token) {
            accepted.push(token.clone());
        }
    }
    assert_eq!(
        client
            .must("GET", "/api/v1/tokens", &bearer(&admin), "")
            .status,
        401
    );
    let mut refused = |method: &str, path: &str, headers: &str, body: &str| {
        client.must(method, path, headers, body).status == 401
    };
    for (session, later) in sessions.iter().zip(&refreshed) {
        if !refused("GET", "/api/v1/auth/verify", &bearer(&session.access), "") {
            accepted.push(session.access.clone());
        }
        for refresh in [&session.refresh, later] {
            let body = json!({ "refresh_token": refresh }).to_string();
            if !refused("POST", "/api/v1/auth/refresh", "", &body) {
                accepted.push(refresh.clone());
            }
        }
    }
    assert_eq!(accepted, [""; 0]);
    // Until somebody looks at them and says so.
    shell.fails(6, &["token", "enable", "--all", "--yes=1"]);
    shell.ok(&["token", "enable", "--all", &format!("--yes={suspended}")]);
    assert_eq!(
        client
            .must("GET", "/api/v1/tokens", &bearer(&admin), "")
            .status,
        200
    );
    eprintln!("0 of {} credentials accepted", 3 * each);
}

#[test]
fn what_was_ended_since_a_backup_is_not_accepted_after_it_is_restored() {
    moved_on(4);
}

#[test]
#[ignore = "120 credentials"]
fn of_120_credentials_that_ended_since_a_backup_none_is_accepted_after_it_is_restored() {
    moved_on(40);
}
