//! A server that is not there, or takes connections and says nothing: everybody is told so within
//! seconds, and nobody waits for ever.

use std::time::{Duration, Instant};

use super::server;
use super::writers::{PATIENCE, RECOVERY, bearer};
use crate::support::client::Client;
use crate::support::cluster::{Cluster, Mode};
use crate::support::{Daemon, Ran, Shell};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// So many ask at once: each must have its answer within seconds.
fn all_at_once(daemon: &Daemon, many: usize, ask: impl Fn(&mut Client, usize) + Sync) {
    let slowest = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..many)
            .map(|n| {
                let ask = &ask;
                scope.spawn(move || {
                    let mut client = Client::connect(&daemon.address).unwrap();
                    let asked = Instant::now();
                    ask(&mut client, n);
                    asked.elapsed()
                })
            })
            .collect();
        let slowest = asking.into_iter().map(|asking| asking.join().unwrap());
        slowest.max().unwrap()
    });
    assert!(slowest < PATIENCE, "{slowest:?}");
    eprintln!("the slowest of them was told after {slowest:?}");
}

/// Every sort of request, all at once and more of them than there are connections: each is told
/// to come back.
fn all_are_told(daemon: &Daemon, bearer: &str, token: &str) {
    let valid = format!("/app/valid/{token}");
    all_at_once(daemon, 48, |client, n| {
        let (method, path) = match n % 3 {
            0 => ("POST", "/app/token"),
            1 => ("GET", valid.as_str()),
            _ => ("GET", "/api/v1/tokens"),
        };
        let answer = client.must(method, path, bearer, "");
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        assert_eq!(answer.text("code"), "unavailable");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    });
    assert_eq!(daemon.get("/readyz").0, 503);
    // It is the server that is missing, not the daemon.
    assert_eq!(daemon.get("/livez").0, 200);
}

/// Commands that read and write, and a daemon that starts: all end with 10.
fn commands_end(shell: &Shell) {
    let lines = [
        &["token", "list"][..],
        &["token", "create"],
        &["migrate", "status"],
        &["init"],
        &SERVE,
    ];
    std::thread::scope(|scope| {
        for line in lines {
            scope.spawn(move || {
                let ran = Ran::within(PATIENCE, &mut shell.command(line));
                assert_eq!(ran.status, 10, "{line:?}: {ran:?}");
                assert!(ran.stderr.contains("temporarily unavailable"), "{ran:?}");
                assert!(!ran.stderr.contains("panicked at"), "{ran:?}");
            });
        }
    });
}

/// Serves as before, by itself.
fn recovers(daemon: &Daemon, token: &str) {
    let back = Instant::now();
    assert!(daemon.is_ready_within(RECOVERY), "{}", daemon.log());
    let mut client = Client::connect(&daemon.address).unwrap();
    assert!(client.is_valid(token));
    assert_eq!(client.must("POST", "/app/token", "", "").status, 200);
    let waited = back.elapsed();
    assert!(waited < RECOVERY, "{waited:?}");
    eprintln!("well again after {waited:?}");
}

/// A daemon with a token that it issued, and the header of one that may ask for everything.
fn at_work(server: &Cluster) -> (Shell, Daemon, String, String) {
    let shell = Shell::on(&server.url("postgres")).after_init();
    let shell = shell.without_throttle();
    let bearer = bearer(&shell);
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let token = client.must("POST", "/app/token", "", "").text("token");
    (shell, daemon, bearer, token)
}

/// Stops the daemon, which is none the worse for it.
fn end(daemon: Daemon) {
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
}

#[test]
fn a_server_that_is_gone_is_told_to_everybody_within_seconds() {
    let Some(mut server) = Cluster::start(&[]) else {
        return;
    };
    let (shell, daemon, bearer, token) = at_work(&server);
    server.stop(Mode::Fast);
    all_are_told(&daemon, &bearer, &token);
    commands_end(&shell);
    server.start_again();
    recovers(&daemon, &token);
    end(daemon);
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_told_to_everybody_within_seconds() {
    let Some(server) = Cluster::start(&[]) else {
        return;
    };
    let (shell, daemon, bearer, token) = at_work(&server);
    let frozen = server.freeze();
    all_are_told(&daemon, &bearer, &token);
    // Those that come later find no connection that has to be waited for first.
    all_are_told(&daemon, &bearer, &token);
    commands_end(&shell);
    drop(frozen);
    recovers(&daemon, &token);
    end(daemon);
}

#[test]
fn a_table_that_somebody_keeps_locked_is_told_to_everybody_within_seconds() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let daemon = shell.serve();
    let mut holder = shell.sql();
    holder.run("BEGIN; LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE");
    all_at_once(&daemon, 100, |client, _| {
        let answer = client.must("POST", "/app/token", "", "");
        assert_eq!(answer.status, 503, "{answer:?}");
    });
    holder.run("ROLLBACK");
    assert_eq!(daemon.request("POST", "/app/token", "", "").0, 200);
    assert_eq!(shell.sql().count("SELECT COUNT(*) FROM tokens"), 1);
    end(daemon);
}

#[test]
fn a_token_that_somebody_keeps_locked_is_in_the_way_of_nobody_who_wants_another() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let bearer = bearer(&shell);
    let held = shell.ok(&["token", "create", "--max-uses", "5", "--quiet"]);
    let daemon = shell.serve();
    let mut holder = shell.sql();
    holder.run("BEGIN; SELECT * FROM tokens WHERE max_uses = 5 FOR UPDATE");
    std::thread::scope(|scope| {
        for n in 0..60 {
            let (bearer, held, daemon) = (&bearer, &held, &daemon);
            scope.spawn(move || {
                let mut client = Client::connect(&daemon.address).unwrap();
                if n == 10 {
                    let body = format!("{{\"token\":\"{held}\"}}");
                    let asked = Instant::now();
                    let answer = client.must("POST", "/api/v1/tokens/consume", bearer, &body);
                    assert_eq!(answer.status, 503, "{answer:?}");
                    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
                } else {
                    for _ in 0..5 {
                        let answer = client.must("POST", "/app/token", "", "");
                        assert_eq!(answer.status, 200, "{answer:?}");
                    }
                }
            });
        }
    });
    holder.run("ROLLBACK");
    assert_eq!(shell.json(&["token", "show", &held[4..15]])["used"], 0);
    end(daemon);
}

#[test]
fn a_daemon_stops_in_time_though_the_server_says_nothing() {
    let Some(server) = Cluster::start(&[]) else {
        return;
    };
    let shell = Shell::on(&server.url("postgres")).after_init();
    let daemon = shell.serve();
    assert_eq!(daemon.request("POST", "/app/token", "", "").0, 200);
    let frozen = server.freeze();
    let start = Instant::now();
    let (_, log) = daemon.stop();
    let waited = start.elapsed();
    drop(frozen);
    assert!(waited < Duration::from_secs(10), "{waited:?}: {log}");
    assert!(!log.contains("panicked at"), "{log}");
}
