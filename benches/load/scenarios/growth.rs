//! Validation at 1 k, 1 M and 10 M rows, a daemon on each, in turn: what a request costs more when
//! the table grows.

use crate::Outcome;
use crate::pairs;
use crate::report::{Finding, Goal};
use crate::scenarios::{Bench, validate};
use crate::server::Server;
use crate::spread::thousands;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let small = bench.filled(1_000)?;
    let small_load = validate::requests(&small);
    let small_daemon = Server::daemon(&small.folder)?;
    let mut findings = Vec::new();
    for rows in [1_000_000, 10_000_000] {
        let large = bench.filled(rows)?;
        let load = validate::requests(&large);
        let daemon = Server::daemon(&large.folder)?;
        let found = pairs::alternate(
            plan,
            || pairs::leg(&small_daemon, &small_load, plan),
            || pairs::leg(&daemon, &load, plan),
        )?;
        let what = format!("validate, cost at {} rows / at 1,000", thousands(rows));
        findings.push(
            Finding::new(what, found.cost(), "×")
                .goals(Goal::AtMost(1.3), Goal::AtMost(1.1))
                .sides(found.ours().resident(daemon.peak_rss()?), found.limit()),
        );
    }
    Ok(findings)
}
