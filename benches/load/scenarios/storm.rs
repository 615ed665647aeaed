//! A storm of logins with wrong passwords while tokens are validated at a fixed rate: nobody else
//! waits, and the memory is bounded by the hash slots.
//!
//! As many clients as may wait for a slot are all served: then the hashing goes on at its full
//! rate. Of more clients the rest is turned away (503) and, as no polite one would, comes again at
//! once; these cost what any flood of requests costs, and the hashing, which has the lowest
//! priority, gets what they leave.

use std::sync::atomic::AtomicBool;

use super::login::{DRAINED, LIFTED, requests};
use super::validate;
use crate::Outcome;
use crate::client::{self, Leg, Pace, Requests, Shape};
use crate::fill::{self, State};
use crate::pairs::{self, Measured, Plan};
use crate::people;
use crate::raw::Raw;
use crate::report::{Finding, Goal, Side};
use crate::scenarios::Bench;
use crate::server::Server;
use crate::spread::{Spread, rounded};

/// Tokens that are validated.
const ROWS: u64 = 100_000;
/// Memory of one hash, in MiB.
const HASH: f64 = 19.0;

/// How hard it blows.
struct Storm {
    clients: usize,
    validations: f64,
    /// p99 of the validations, in ms.
    p99: [Goal; 2],
    /// Logins as a part of the limit.
    logins: Option<[Goal; 2]>,
}

/// What one leg of it came to.
struct Blown {
    raw: Measured,
    logins: Leg,
    validations: Leg,
}

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let folder = bench.fresh("storm")?;
    let filled = fill::fill(&folder, State::Live, ROWS)?;
    let people = people::make(&folder, people::SEVERAL)?;
    let valid = validate::requests(&filled);
    let refused = Requests::expecting(401, r#""invalid_credentials""#).or_refused(503);
    let logins = requests(&people.names, "a wrong password", refused);
    let raw = Raw::new()?;
    let storms = [
        Storm {
            clients: 256,
            validations: 200.0,
            p99: [Goal::AtMost(100.0), Goal::AtMost(5.0)],
            logins: None,
        },
        Storm {
            clients: bench.plan.shape.connections,
            validations: 2_000.0,
            p99: [Goal::AtMost(5.0), Goal::AtMost(1.0)],
            logins: Some([Goal::AtLeast(0.90), Goal::AtLeast(0.97)]),
        },
    ];
    let mut findings = Vec::new();
    for storm in &storms {
        let daemon = Server::daemon_with(&folder, &LIFTED)?;
        // What it takes without a single login.
        pairs::leg(&daemon, &valid, bench.plan)?;
        let before = daemon.peak_rss()?;
        let mut blown = Vec::new();
        for pair in 0..bench.plan.pairs {
            let leg = storm.blow(&daemon, &raw, (&logins, &valid), bench.plan)?;
            eprintln!(
                "  pair {}: limit {:.0}/s, logins {:.0}/s, turned away {:.0}/s, validation p99 {:.2} ms",
                pair + 1,
                leg.raw.rate,
                leg.logins.rate(),
                leg.logins.refused as f64 / leg.logins.seconds,
                leg.validations.percentile(99.0),
            );
            blown.push(leg);
        }
        findings.extend(storm.found(&blown, [before, daemon.peak_rss()?]));
    }
    Ok(findings)
}

impl Storm {
    fn blow(
        &self,
        daemon: &Server,
        raw: &Raw,
        (logins, valid): (&Requests, &Requests),
        plan: Plan,
    ) -> Outcome<Blown> {
        let raw = raw.leg(plan)?;
        let shape = Shape {
            connections: self.clients,
            ..plan.shape
        };
        let pace = Pace {
            connections: 16,
            per_second: self.validations,
        };
        let never = AtomicBool::new(false);
        let (logins, validations) = std::thread::scope(|scope| -> Outcome<_> {
            let logins = scope.spawn(|| client::closed(daemon.address, logins, shape, plan.leg));
            let validations = client::open(daemon.address, valid, pace, plan.leg, &never)?;
            let logins = logins.join().map_err(|_| "a client thread panicked")??;
            Ok((logins, validations))
        })?;
        std::thread::sleep(DRAINED);
        Ok(Blown {
            raw,
            logins,
            validations,
        })
    }

    fn found(&self, blown: &[Blown], [before, peak]: [f64; 2]) -> Vec<Finding> {
        let of = |pick: &dyn Fn(&Blown) -> f64| Spread::of(blown.iter().map(pick));
        let what = format!(
            "{} clients log in with wrong passwords, {}/s validations",
            self.clients,
            rounded(self.validations)
        );
        let mut validations = Side::rate(of(&|leg| leg.validations.rate()));
        validations.p50_ms = Some(of(&|leg| leg.validations.percentile(50.0)));
        validations.p99_ms = Some(of(&|leg| leg.validations.percentile(99.0)));
        validations.failures = blown.iter().map(|leg| leg.validations.failures).sum();
        validations.first_failure = blown
            .iter()
            .find_map(|leg| leg.validations.first_failure.clone());
        let mut logins = Side::rate(of(&|leg| leg.logins.rate()));
        logins.p99_ms = Some(of(&|leg| leg.logins.percentile(99.0)));
        logins.failures = blown.iter().map(|leg| leg.logins.failures).sum();
        logins.first_failure = blown
            .iter()
            .find_map(|leg| leg.logins.first_failure.clone());
        let limit = Side::rate(of(&|leg| leg.raw.rate));
        let slowest = of(&|leg| leg.validations.latency.max() as f64 / 1e6);
        let away = of(&|leg| leg.logins.refused as f64 / leg.logins.seconds);
        let slots = Raw::slots() as f64;
        let [goal, moonshot] = self.p99;
        let mut p99 = Finding::new(
            format!("{what}: validation p99"),
            of(&|leg| leg.validations.percentile(99.0)),
            "ms",
        )
        .goals(goal, moonshot)
        .note(format!("the slowest validation {slowest} ms"));
        p99.ours = Some(validations);
        let mut rate = Finding::new(
            format!("{what}: logins / raw Argon2id on {slots} slots"),
            of(&|leg| leg.logins.rate() / leg.raw.rate),
            "",
        )
        .sides(logins, limit)
        .note(format!("{away}/s were turned away with 503"));
        if let Some([goal, moonshot]) = self.logins {
            rate = rate.goals(goal, moonshot);
        }
        let grown = Finding::new(
            format!("{what}: peak resident, more than without logins"),
            Spread::of([peak - before]),
            "MiB",
        )
        .goals(
            Goal::AtMost(slots * HASH + 16.0),
            Goal::AtMost(slots * HASH + 8.0),
        )
        .note(format!(
            "{} MiB without logins, {} MiB at the peak; {slots} slots of {HASH} MiB",
            rounded(before),
            rounded(peak)
        ));
        vec![p99, rate, grown]
    }
}
