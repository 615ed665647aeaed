//! Commands at the shell while clients use a session all the time: once a command has returned, no
//! answer lets them in.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Tokens, ask, end, house, log_in, refresh};
use crate::support::client::{Answer, Client};
use crate::support::{Daemon, Shell};

/// bcrypt of everybody's password: another hash, and what it opened before must end.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";

/// What a client does again and again.
type Use = fn(&mut Client, &mut Tokens) -> Answer;

fn looks(client: &mut Client, tokens: &mut Tokens) -> Answer {
    ask(client, "GET", "/api/v1/auth/verify", &tokens.bearer(), "")
}

fn lists(client: &mut Client, tokens: &mut Tokens) -> Answer {
    ask(
        client,
        "GET",
        "/api/v1/me/sessions",
        &tokens.jar().line(),
        "",
    )
}

fn writes(client: &mut Client, tokens: &mut Tokens) -> Answer {
    let path = "/api/v1/me";
    ask(
        client,
        "PATCH",
        path,
        &tokens.jar().with_header(),
        "{\"name\":\"Ivan\"}",
    )
}

fn refreshes(client: &mut Client, tokens: &mut Tokens) -> Answer {
    let answer = refresh(client, &tokens.refresh);
    if answer.status == 200 {
        tokens.refresh = answer.text("refresh_token");
    }
    answer
}

fn administers(client: &mut Client, tokens: &mut Tokens) -> Answer {
    ask(client, "GET", "/api/v1/users", &tokens.bearer(), "")
}

fn shows(client: &mut Client, tokens: &mut Tokens) -> Answer {
    ask(
        client,
        "GET",
        "/api/v1/auth/verify?role=admin",
        &tokens.jar().line(),
        "",
    )
}

/// There is no such session, but only an administrator is told.
fn revokes(client: &mut Client, tokens: &mut Tokens) -> Answer {
    ask(
        client,
        "DELETE",
        "/api/v1/sessions/00000000",
        &tokens.jar().with_header(),
        "",
    )
}

const PERSON: [Use; 4] = [looks, lists, writes, refreshes];
const ADMINISTRATOR: [Use; 3] = [administers, shows, revokes];

/// Runs `command` while clients use the session in each of these ways; returns how many answers
/// they had before it returned. None may be let in afterwards.
fn hammered(daemon: &Daemon, tokens: &Tokens, uses: &[Use], command: impl FnOnce()) -> usize {
    let going = Barrier::new(uses.len() + 1);
    let (returned, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for using in uses {
            let (going, returned, answers) = (&going, &returned, &answers);
            scope.spawn(move || {
                let mut client = Client::connect(&daemon.address).unwrap();
                let mut tokens = tokens.clone();
                let first = using(&mut client, &mut tokens);
                going.wait();
                assert!(![401, 403].contains(&first.status), "{first:?}");
                loop {
                    let late = returned.load(Ordering::SeqCst);
                    let answer = using(&mut client, &mut tokens);
                    assert!(answer.status < 500, "{answer:?}");
                    if late {
                        assert!([401, 403].contains(&answer.status), "let in: {answer:?}");
                        break;
                    }
                    answers.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        going.wait();
        command();
        returned.store(true, Ordering::SeqCst);
    });
    answers.into_inner()
}

fn commands(times: usize) {
    let shell = house();
    let daemon = shell.serve();
    let mut client = Client::connect(&daemon.address).unwrap();
    let mut answers = 0;
    for _ in 0..times {
        let mine = log_in(&mut client, "ivan");
        answers += hammered(&daemon, &mine, &PERSON, || {
            shell.ok(&["session", "revoke", &mine.id]);
        });
        let mine = log_in(&mut client, "ivan");
        answers += hammered(&daemon, &mine, &PERSON, || {
            shell.ok(&["user", "disable", "ivan"]);
        });
        shell.ok(&["user", "enable", "ivan"]);
        let mine = log_in(&mut client, "ivan");
        answers += hammered(&daemon, &mine, &PERSON, || new_password(&shell));
        shell.ok(&["user", "role", "add", "ivan", "admin"]);
        let mine = log_in(&mut client, "ivan");
        answers += hammered(&daemon, &mine, &ADMINISTRATOR, || {
            shell.ok(&["user", "role", "remove", "ivan", "admin"]);
        });
        let mine = log_in(&mut client, "ivan");
        answers += hammered(&daemon, &mine, &PERSON, || {
            shell.ok(&["key", "rotate", "--compromised", "--yes"]);
        });
    }
    eprintln!("{answers} answers while {times} times 5 commands ran");
    end(daemon);
}

fn new_password(shell: &Shell) {
    let line = ["user", "passwd", "ivan", "--password-hash-stdin"];
    let ran = shell.run_with(&line, HASH);
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn once_a_command_that_ends_a_session_or_a_role_has_returned_nobody_is_let_in_by_it() {
    commands(2);
}

#[test]
#[ignore = "takes minutes: the same 100 times each"]
fn a_hundred_times_nobody_is_let_in_once_the_command_has_returned() {
    commands(100);
}
