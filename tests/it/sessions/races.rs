//! Refreshing against what ends the session, at the same moment: when both have returned, nothing
//! works that either of them gave.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{PASSWORD, Tokens, ask, end, house, is_open, is_over, log_in, refresh};
use crate::support::client::Client;
use crate::support::{Daemon, Shell};

/// Refreshes again and again until it is refused, which it must be once the other has returned;
/// returns everything that it got.
fn chain(client: &mut Client, first: Tokens, returned: &AtomicBool) -> Vec<Tokens> {
    let mut got = vec![first];
    loop {
        let late = returned.load(Ordering::SeqCst);
        let last = got.last().unwrap();
        let answer = refresh(client, &last.refresh);
        if answer.status == 401 {
            return got;
        }
        assert!(!late, "refreshed after the end: {answer:?}");
        got.push(Tokens::of(&answer));
    }
}

/// Runs `over` beside a client that refreshes; both begin at the same moment. Nothing that the
/// client got may work afterwards. Returns what `over` does, and how often it was refreshed.
fn against<T>(daemon: &Daemon, first: &Tokens, over: impl FnOnce() -> T) -> (T, usize) {
    let (together, returned) = (Barrier::new(2), AtomicBool::new(false));
    let (done, got) = std::thread::scope(|scope| {
        let refreshing = scope.spawn(|| {
            let mut client = Client::connect(&daemon.address).unwrap();
            together.wait();
            chain(&mut client, first.clone(), &returned)
        });
        together.wait();
        let done = over();
        returned.store(true, Ordering::SeqCst);
        (done, refreshing.join().unwrap())
    });
    let mut client = Client::connect(&daemon.address).unwrap();
    for tokens in got.iter().rev().take(3) {
        is_over(&mut client, tokens);
    }
    is_over(&mut client, first);
    (done, got.len() - 1)
}

fn against_logout(daemon: &Daemon, rounds: usize) -> usize {
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut refreshed = 0;
    for round in 0..rounds {
        let first = log_in(&mut client, "ivan");
        let body = json!({ "refresh_token": first.refresh }).to_string();
        // By each of the ways, also by a refresh token that the other uses up meanwhile.
        let (headers, body) = match round % 3 {
            0 => (first.bearer(), String::new()),
            1 => (String::new(), body),
            _ => (first.jar().with_header(), String::new()),
        };
        let out = || ask(&mut client, "POST", "/api/v1/auth/logout", &headers, &body);
        let (answer, count) = against(daemon, &first, out);
        assert_eq!(answer.status, 204, "{answer:?}");
        refreshed += count;
    }
    refreshed
}

fn against_disabling(shell: &Shell, daemon: &Daemon, rounds: usize) -> usize {
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut refreshed = 0;
    for _ in 0..rounds {
        let first = log_in(&mut client, "ivan");
        let (_, count) = against(daemon, &first, || shell.ok(&["user", "disable", "ivan"]));
        shell.ok(&["user", "enable", "ivan"]);
        // What was ended does not come back with the account.
        is_over(&mut client, &first);
        refreshed += count;
    }
    refreshed
}

fn against_a_new_password(daemon: &Daemon, rounds: usize) -> usize {
    let mut client = Client::connect(&daemon.address).unwrap();
    let passwords = [PASSWORD, "a quite different sentence"];
    let mut mine = log_in(&mut client, "maria");
    let mut refreshed = 0;
    for round in 0..rounds {
        let [old, new] = [passwords[round % 2], passwords[(round + 1) % 2]];
        let body = json!({ "current_password": old, "new_password": new }).to_string();
        let change = || {
            ask(
                &mut client,
                "POST",
                "/api/v1/auth/password",
                &mine.bearer(),
                &body,
            )
        };
        let (answer, count) = against(daemon, &mine, change);
        mine = Tokens::of(&answer);
        is_open(&mut client, &mine);
        refreshed += count;
    }
    refreshed
}

fn raced([logouts, disables, passwords]: [usize; 3]) {
    let shell = house();
    let daemon = shell.serve();
    let refreshed = [
        against_logout(&daemon, logouts),
        against_disabling(&shell, &daemon, disables),
        against_a_new_password(&daemon, passwords),
    ];
    eprintln!("refreshed meanwhile: {refreshed:?}");
    assert!(
        refreshed.iter().all(|count| *count > 0),
        "nothing raced: {refreshed:?}"
    );
    end(daemon);
}

#[test]
fn nothing_that_was_refreshed_during_a_logout_disabling_or_new_password_works_afterwards() {
    raced([15, 2, 4]);
}

#[test]
#[ignore = "takes minutes: the same in 500 rounds"]
fn nothing_that_was_refreshed_during_500_ends_works_afterwards() {
    raced([250, 100, 150]);
}
