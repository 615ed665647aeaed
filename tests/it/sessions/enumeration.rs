//! Who guesses learns nothing: not whether a name exists, nor whether its account can be used. That
//! the answers take the same time is measured elsewhere.

use super::{PASSWORD, end, house, problem, try_login};
use crate::support::Shell;
use crate::support::client::{Answer, Client};

/// An answer without what differs between any two of them.
fn seen(answer: &Answer) -> (u16, &str, Vec<(&str, &str)>) {
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| !["date", "retry-after"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    (answer.status, &answer.body, headers.collect())
}

/// How many rows the log has.
fn rows(shell: &Shell) -> usize {
    shell.sql().count("SELECT COUNT(*) FROM audit_events")
}

fn refusal() -> String {
    let detail = "the name or the password is wrong";
    problem(401, "Unauthorized", "invalid_credentials", detail)
}

/// A home with accounts in every state that nobody can log in to.
fn village() -> Shell {
    // Jobs would write rows of their own.
    let shell = house().with("PROVOST_JOBS_ENABLED", "false");
    shell.ok(&["user", "create", "mute", "--no-password"]);
    for name in ["dora", "greta"] {
        let line = ["user", "create", name, "--password-stdin"];
        assert_eq!(shell.run_with(&line, PASSWORD).status, 0);
    }
    shell.ok(&["user", "disable", "dora"]);
    shell.ok(&["user", "delete", "greta", "--yes"]);
    shell
}

#[test]
fn every_refused_login_looks_the_same_and_leaves_as_many_rows() {
    let shell = village();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let id = shell.ok(&["user", "show", "ivan", "--quiet"]);
    let (long, bytes) = ("x".repeat(257), "\u{1f600}".repeat(257));
    let pattern = try_login(&mut client, "nobody", "not the password");
    assert_eq!(
        (pattern.status, pattern.body.as_str()),
        (401, refusal().as_str())
    );
    assert_eq!(pattern.header("www-authenticate"), Some("Bearer"));
    for (name, password) in [
        ("ivan", "not the password"),
        ("ivan@example.org", ""),
        ("IVAN", long.as_str()),
        ("ivan", bytes.as_str()),
        ("nobody1", ""),
        ("nobody2", &long),
        ("nobody3", &bytes),
        ("nobody4@example.org", PASSWORD),
        ("+375290000000", PASSWORD),
        ("", PASSWORD),
        (" ", ""),
        ("no\0body", PASSWORD),
        ("' OR 1 = 1 --", PASSWORD),
        (long.as_str(), PASSWORD),
        // An id is public, and no name to log in with.
        (id.as_str(), PASSWORD),
        ("mute", PASSWORD),
        ("mute", ""),
        ("dora", PASSWORD),
        ("dora", "not the password"),
        ("dora", &long),
        ("greta", PASSWORD),
        ("greta", &long),
    ] {
        let before = rows(&shell);
        let answer = try_login(&mut client, name, password);
        assert_eq!(seen(&answer), seen(&pattern), "{name:?} {password:?}");
        assert_eq!(answer.header("retry-after"), None, "{name:?}");
        assert_eq!(rows(&shell) - before, 1, "{name:?} {password:?}");
    }
    assert_eq!(shell.sql().count("SELECT COUNT(*) FROM sessions"), 0);
    end(daemon);
}

#[test]
fn who_has_to_wait_is_told_so_whether_the_name_exists_or_not() {
    let shell = village();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let pattern = try_login(&mut client, "somebody", PASSWORD);
    let names = ["ivan", "nobody", "dora", "mute", "greta"];
    for name in names {
        assert_eq!(try_login(&mut client, name, "not the password").status, 401);
    }
    let long = "x".repeat(257);
    // Delayed for a long time, then locked until somebody clears it.
    for (failures, until) in [(20, 9_000_000_000_000_i64), (100, i64::MAX)] {
        shell.sql().run(&format!(
            "UPDATE login_failures SET failures = {failures}, delayed_until = {until}"
        ));
        let before = rows(&shell);
        let mut waits = Vec::new();
        for name in names {
            for password in [PASSWORD, &long] {
                let answer = try_login(&mut client, name, password);
                assert_eq!(seen(&answer), seen(&pattern), "{name} {password:?}");
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                waits.push(wait);
            }
        }
        let (first, last) = (waits.iter().max().unwrap(), waits.iter().min().unwrap());
        assert!(first - last < 60, "{waits:?}");
        assert_eq!(rows(&shell) - before, waits.len(), "a row for each of them");
    }
    shell.ok(&["limit", "clear", "ivan"]);
    assert_eq!(try_login(&mut client, "ivan", PASSWORD).status, 200);
    end(daemon);
}
