//! How long a login takes to be refused, whatever the reason: nobody learns from the time which
//! names there are, what is the matter with an account, nor that its hash came from another program.
//!
//! One client asks, the reasons in turn, so that whatever drifts drifts for all of them. Of each
//! reason but one every request names somebody else: after a few failures all look locked.

use std::net::TcpStream;
use std::time::Instant;

use provost::app::{Actor, App};
use provost::db::Role;
use provost::password::PasswordHash;
use provost::throttle::{self, Account, OFF};
use provost::users::{self, NewPassword, NewUser};

use super::login::LIFTED;
use crate::Outcome;
use crate::client::{connect_blocking, exchange, nanoseconds};
use crate::library;
use crate::people;
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::Server;
use crate::spread::{Spread, rounded};

/// Rounds for each pair of legs that other paths would run.
const ROUNDS: usize = 40;

/// Why a login is refused.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Unknown,
    Wrong,
    Empty,
    Oversized,
    Disabled,
    Locked,
    Bcrypt,
    Pbkdf2,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Wrong,
        Self::Empty,
        Self::Oversized,
        Self::Disabled,
        Self::Locked,
        Self::Bcrypt,
        Self::Pbkdf2,
    ];

    /// The body of the login of this round: of each four accounts one is disabled, the first is
    /// locked.
    fn body(self, round: usize) -> String {
        // Longer than any password may be.
        let oversized = "x".repeat(2_000);
        let (name, password) = match self {
            Self::Unknown => (format!("nobody{round}"), "a wrong password"),
            Self::Wrong => (format!("user{}", 4 * round + 1), "a wrong password"),
            Self::Empty => (format!("user{}", 4 * round + 2), ""),
            Self::Oversized => (format!("user{}", 4 * round + 4), oversized.as_str()),
            // The right one: it must not be known by its taking longer.
            Self::Disabled => (format!("user{}", 4 * round + 3), people::PASSWORD),
            Self::Locked => ("user0".into(), people::PASSWORD),
            Self::Bcrypt => (format!("bcrypt{round}"), "a wrong password"),
            Self::Pbkdf2 => (format!("pbkdf2-{round}"), "a wrong password"),
        };
        format!(r#"{{"login":"{name}","password":"{password}"}}"#)
    }
}

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let rounds = ROUNDS * bench.plan.pairs;
    let folder = bench.fresh("enumeration")?;
    people::make(&folder, 4 * rounds + 5)?;
    let app = library::open(&folder, Role::Shell)?;
    lock(&app)?;
    disable(&app, rounds)?;
    imported(&app, rounds)?;
    drop(app);
    let daemon = Server::daemon_with(&folder, &LIFTED)?;
    let mut stream = connect_blocking(daemon.address)?;
    let mut times = Reason::ALL.map(|_| nanoseconds());
    for round in 0..=rounds {
        for (reason, times) in Reason::ALL.into_iter().zip(&mut times) {
            let took = refused(&mut stream, &reason.body(round))?;
            // The first round starts a hashing thread.
            if round > 0 {
                times.saturating_record(took);
            }
        }
    }
    let medians = times.map(|times| times.value_at_quantile(0.5) as f64 / 1e6);
    let all = Spread::of(medians);
    let told = Reason::ALL.iter().zip(medians);
    let told = told.map(|(reason, median)| format!("{reason:?} {}", rounded(median)));
    Ok(vec![
        Finding::new(
            format!("login refused, medians of 8 reasons, {rounds} rounds: longest / shortest"),
            Spread::of([all.high / all.low]),
            "×",
        )
        .goals(Goal::AtMost(1.05), Goal::AtMost(1.02))
        .note(format!("ms: {}", told.collect::<Vec<_>>().join(", "))),
    ])
}

/// One login; nanoseconds until the answer.
fn refused(stream: &mut TcpStream, body: &str) -> Outcome<u64> {
    let request = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nhost: 127.0.0.1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    let begin = Instant::now();
    let status = exchange(stream, request.as_bytes(), &mut answer)?;
    let took = begin.elapsed();
    if status != 401 {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&answer)).into());
    }
    Ok(u64::try_from(took.as_nanos())?)
}

/// Locks the first account.
fn lock(app: &App) -> Outcome<()> {
    let done = app.write(&Actor::job("load"), |cx| {
        let id = users::resolve(cx, "user0")?.id;
        for _ in 0..OFF {
            throttle::failed(cx, &Account::user(&id))?;
        }
        Ok(())
    });
    Ok(done?)
}

/// Hashes as other programs made them; nobody here knows their passwords.
const BCRYPT: &str = "$2b$10$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
const PBKDF2: &str =
    "$pbkdf2-sha256$29000$./..MDEyMzQ1Njc4OWFiYw$o3UhwYUtbPIB3mjjcA9In8tVtrI/IYstYEgAl5b1g98";

/// Makes accounts with imported hashes.
fn imported(app: &App, rounds: usize) -> Outcome<()> {
    let actor = Actor::job("load");
    let mut new = Vec::new();
    for round in 0..=rounds {
        for (name, hash) in [
            (format!("bcrypt{round}"), BCRYPT),
            (format!("pbkdf2-{round}"), PBKDF2),
        ] {
            let account = NewUser {
                password: NewPassword::Hash(PasswordHash::parse(hash)?),
                ..NewUser::named(name.parse()?)
            };
            new.push(users::prepare(app, &actor, account)?);
        }
    }
    let done = app.import(&actor, |cx| {
        for account in &new {
            users::create_prepared(cx, account)?;
        }
        Ok(())
    });
    Ok(done?)
}

/// Disables every fourth one.
fn disable(app: &App, rounds: usize) -> Outcome<()> {
    let done = app.import(&Actor::job("load"), |cx| {
        for round in 0..=rounds {
            users::disable(cx, &format!("user{}", 4 * round + 3), None)?;
        }
        Ok(())
    });
    Ok(done?)
}
