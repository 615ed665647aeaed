//! One refresh token in many hands at the same moment: the tabs of a browser get one successor,
//! a thief and the owner get none.

use std::collections::BTreeSet;
use std::sync::Barrier;

use super::{Jar, Tokens, ask, end, house, is_in, is_over, log_in, refresh, unauthenticated};
use crate::support::client::{Answer, Client};
use crate::support::{Daemon, Shell, files};

/// So many at once.
const TOGETHER: usize = 50;

fn crowd(daemon: &Daemon) -> Vec<Client> {
    let connect = |_| Client::connect(&daemon.address).unwrap();
    (0..TOGETHER).map(connect).collect()
}

/// All of them refresh at once, every other one as a browser does.
fn all_refresh(crowd: &mut [Client], tokens: &Tokens) -> Vec<Answer> {
    let together = Barrier::new(crowd.len());
    std::thread::scope(|scope| {
        let threads = crowd.iter_mut().enumerate().map(|(n, client)| {
            let together = &together;
            scope.spawn(move || {
                let headers = tokens.jar().with_header();
                together.wait();
                if n % 2 == 0 {
                    refresh(client, &tokens.refresh)
                } else {
                    ask(client, "POST", "/api/v1/auth/refresh", &headers, "")
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Answer>| thread.join().unwrap();
        threads.into_iter().map(join).collect()
    })
}

/// What an answer gives, wherever it stands.
fn given(answer: &Answer) -> Jar {
    if answer.json().get("refresh_token").is_some() {
        Tokens::of(answer).jar()
    } else {
        Jar::of(answer)
    }
}

fn generation(shell: &Shell, id: &str) -> usize {
    let sql = format!("SELECT generation FROM sessions WHERE id = '{id}'");
    shell.sql().count(&sql)
}

fn refreshes(shell: &Shell, action: &str) -> usize {
    let sql = format!("SELECT COUNT(*) FROM audit_events WHERE action = 'session.{action}'");
    shell.sql().count(&sql)
}

fn never_two_lineages(rounds: usize) {
    let shell = house();
    let daemon = shell.serve();
    let mut crowd = crowd(&daemon);
    let mut tokens = log_in(&mut crowd[0], "ivan");
    let first = tokens.clone();
    for round in 1..=rounds {
        let answers = all_refresh(&mut crowd, &tokens);
        let jars: Vec<Jar> = answers.iter().map(given).collect();
        let successors: BTreeSet<&str> = jars.iter().map(|jar| jar.refresh.as_str()).collect();
        assert_eq!(successors.len(), 1, "round {round}");
        // One turn was made of it, however many answers: exactly one refresh token is good.
        assert_eq!(generation(&shell, &tokens.id), round + 1);
        assert_eq!(refreshes(&shell, "refreshed"), round);
        for (client, jar) in crowd.iter_mut().zip(&jars).skip(round % 7).step_by(7) {
            assert!(is_in(client, &super::bearer(&jar.access)));
        }
        let jar = jars.into_iter().next_back().unwrap();
        tokens = Tokens {
            id: tokens.id,
            access: jar.access,
            refresh: jar.refresh,
            csrf: jar.csrf,
        };
    }
    assert_eq!(refreshes(&shell, "refresh_reused"), 0);
    // Its grandchildren were used: somebody has stolen it, or what came of it.
    let client = &mut crowd[0];
    assert_eq!(refresh(client, &first.refresh).body, unauthenticated());
    is_over(client, &tokens);
    is_over(client, &first);
    assert_eq!(refreshes(&shell, "refresh_reused"), 1);
    assert_eq!(refreshes(&shell, "revoked"), 1);
    assert_eq!(refreshes(&shell, "refreshed"), rounds);
    end(daemon);
}

#[test]
fn fifty_refreshes_at_once_all_get_the_same_successor() {
    never_two_lineages(10);
}

#[test]
#[ignore = "takes a minute: the same 200 times"]
fn fifty_refreshes_at_once_all_get_the_same_successor_200_times() {
    never_two_lineages(200);
}

#[test]
fn without_a_time_of_grace_of_fifty_at_once_one_wins_for_a_moment_and_then_nobody() {
    let shell = house().with("PROVOST_AUTH_REFRESH_GRACE", "0s");
    let daemon = shell.serve();
    let mut crowd = crowd(&daemon);
    for round in 1..=3 {
        let tokens = log_in(&mut crowd[0], "ivan");
        let answers = all_refresh(&mut crowd, &tokens);
        let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(good.len(), 1, "{good:?}");
        assert!(
            bad.iter().all(|answer| answer.body == unauthenticated()),
            "{bad:?}"
        );
        assert_eq!(generation(&shell, &tokens.id), 2);
        assert_eq!(
            refreshes(&shell, "refresh_reused"),
            round,
            "one event for one theft"
        );
        let won = given(good[0]);
        let won = Tokens {
            id: tokens.id.clone(),
            access: won.access,
            refresh: won.refresh,
            csrf: won.csrf,
        };
        is_over(&mut crowd[0], &won);
        is_over(&mut crowd[0], &tokens);
    }
    end(daemon);
}

fn reuse_survives_a_crash(times: usize) {
    let shell = house();
    for time in 1..=times {
        let mut daemon = shell.serve();
        let mut client = Client::connect(&daemon.address).unwrap();
        let other = log_in(&mut client, "ivan");
        let first = log_in(&mut client, "ivan");
        let second = Tokens::of(&refresh(&mut client, &first.refresh));
        let third = Tokens::of(&refresh(&mut client, &second.refresh));
        assert!(is_in(&mut client, &third.bearer()));
        let answer = refresh(&mut client, &first.refresh);
        daemon.signal("KILL");
        assert_eq!((answer.status, answer.body), (401, unauthenticated()));
        let (_, log) = daemon.wait();
        assert!(!log.contains("panicked at"), "{log}");
        files::check(&shell);
        let daemon = shell.serve();
        let mut client = Client::connect(&daemon.address).unwrap();
        for tokens in [&first, &second, &third] {
            is_over(&mut client, tokens);
        }
        assert!(is_in(&mut client, &other.bearer()));
        assert_eq!(refreshes(&shell, "refresh_reused"), time);
        end(daemon);
    }
}

#[test]
fn a_session_that_was_ended_because_of_reuse_stays_ended_through_a_crash() {
    reuse_survives_a_crash(2);
}

#[test]
#[ignore = "takes a minute: the same 50 times"]
fn a_session_that_was_ended_because_of_reuse_stays_ended_through_50_crashes() {
    reuse_survives_a_crash(50);
}
