//! A B A B …: two servers under the same load in turn, so that whatever drifts drifts for both.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::client::{self, Leg, Requests, Shape};
use crate::cluster::Cluster;
use crate::report::Side;
use crate::server::Server;
use crate::spread::Spread;

/// How often and how long.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Pairs of legs.
    pub(crate) pairs: usize,
    /// Length of each leg.
    pub(crate) leg: Duration,
    /// How each is driven.
    pub(crate) shape: Shape,
}

/// One measured leg of one side.
#[derive(Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Right answers.
    pub(crate) requests: u64,
    /// Of them in a second.
    pub(crate) rate: f64,
    /// Microseconds of the server's CPU time for each request.
    pub(crate) cpu: f64,
    /// Median latency, ms.
    pub(crate) p50: f64,
    /// 99th percentile of the latency, ms.
    pub(crate) p99: f64,
    /// Requests that failed.
    pub(crate) failures: u64,
    /// What the first of them looked like.
    pub(crate) first_failure: Option<String>,
    /// Microseconds of the database server's CPU time for each request, where there is one.
    pub(crate) server_cpu: Option<f64>,
}

impl Measured {
    /// Of a leg that took `cpu` seconds of the server.
    pub(crate) fn of(leg: &Leg, cpu: f64) -> Self {
        Self {
            requests: leg.requests,
            rate: leg.rate(),
            cpu: cpu * 1e6 / leg.requests.max(1) as f64,
            p50: leg.percentile(50.0),
            p99: leg.percentile(99.0),
            failures: leg.failures,
            first_failure: leg.first_failure.clone(),
            server_cpu: None,
        }
    }
}

/// A leg that keeps the database server busy, with what that costs the server.
pub(crate) fn on_server(
    cluster: &Cluster,
    leg: impl FnOnce() -> Outcome<Measured>,
) -> Outcome<Measured> {
    let before = cluster.cpu()?;
    let mut leg = leg()?;
    leg.server_cpu = Some((cluster.cpu()? - before) * 1e6 / leg.requests.max(1) as f64);
    Ok(leg)
}

/// One closed-loop leg against `server`.
pub(crate) fn leg(server: &Server, load: &Requests, plan: Plan) -> Outcome<Measured> {
    let before = server.cpu()?;
    let leg = client::closed(server.address, load, plan.shape, plan.leg)?;
    Ok(Measured::of(&leg, server.cpu()? - before))
}

/// Alternates `limit` and `ours`, after one leg of each that does not count.
pub(crate) fn alternate(
    plan: Plan,
    mut limit: impl FnMut() -> Outcome<Measured>,
    mut ours: impl FnMut() -> Outcome<Measured>,
) -> Outcome<Comparison> {
    let mut comparison = Comparison::default();
    limit()?;
    ours()?;
    for pair in 0..plan.pairs {
        let (a, b) = (limit()?, ours()?);
        eprintln!(
            "  pair {}: limit {:.0}/s, ours {:.0}/s, ratio {:.3}",
            pair + 1,
            a.rate,
            b.rate,
            b.rate / a.rate
        );
        comparison.limit.push(a);
        comparison.ours.push(b);
    }
    Ok(comparison)
}

/// The legs of both sides, pair by pair.
#[derive(Default)]
pub(crate) struct Comparison {
    limit: Vec<Measured>,
    ours: Vec<Measured>,
}

impl Comparison {
    /// Our rate as a part of the limit's, pair by pair.
    pub(crate) fn ratio(&self) -> Spread {
        Spread::of(self.both().map(|(a, b)| b.rate / a.rate))
    }

    /// How many times the limit's time ours takes for a request.
    pub(crate) fn cost(&self) -> Spread {
        Spread::of(self.both().map(|(a, b)| a.rate / b.rate))
    }

    fn both(&self) -> impl Iterator<Item = (&Measured, &Measured)> {
        self.limit.iter().zip(&self.ours)
    }

    /// What a request costs the database server on either side.
    pub(crate) fn server_note(&self) -> String {
        let cost = |legs: &[Measured]| Spread::of(legs.iter().filter_map(|leg| leg.server_cpu));
        let (ours, limit) = (cost(&self.ours), cost(&self.limit));
        format!("PostgreSQL's own CPU µs for each: ours {ours}, limit {limit}")
    }

    /// The limit, summed up.
    pub(crate) fn limit(&self) -> Side {
        side(&self.limit)
    }

    /// Ours, summed up.
    pub(crate) fn ours(&self) -> Side {
        side(&self.ours)
    }
}

fn side(legs: &[Measured]) -> Side {
    Side {
        per_second: Spread::of(legs.iter().map(|leg| leg.rate)),
        cpu_us: Some(Spread::of(legs.iter().map(|leg| leg.cpu))),
        p50_ms: Some(Spread::of(legs.iter().map(|leg| leg.p50))),
        p99_ms: Some(Spread::of(legs.iter().map(|leg| leg.p99))),
        rss_mib: None,
        failures: legs.iter().map(|leg| leg.failures).sum(),
        first_failure: legs.iter().find_map(|leg| leg.first_failure.clone()),
    }
}
