//! The daemon with nothing to do: its memory just started and after a load, and the binary's size.

use std::time::Duration;

use crate::Outcome;
use crate::pairs;
use crate::report::{Finding, Goal};
use crate::scenarios::{Bench, validate};
use crate::server::{PROVOST, Server};
use crate::spread::{Spread, thousands};

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let empty = bench.fresh("rest")?;
    let filled = bench.filled(bench.rows)?;
    let load = validate::requests(&filled);
    let (mut started, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..plan.pairs.min(3) {
        let daemon = Server::daemon(&empty)?;
        // Long enough for the jobs that run at the start.
        std::thread::sleep(Duration::from_secs(3));
        started.push(daemon.rss()?);
        drop(daemon);
        let daemon = Server::daemon(&filled.folder)?;
        pairs::leg(&daemon, &load, plan)?;
        std::thread::sleep(Duration::from_secs(3));
        loaded.push(daemon.rss()?);
    }
    let size = std::fs::metadata(PROVOST)?.len() as f64 / 1e6;
    Ok(vec![
        Finding::new("daemon at rest, resident", Spread::of(started), "MiB")
            .goals(Goal::AtMost(25.0), Goal::AtMost(15.0)),
        Finding::new(
            format!(
                "daemon after a load on {} rows, resident",
                thousands(filled.rows)
            ),
            Spread::of(loaded),
            "MiB",
        ),
        Finding::new("stripped binary", Spread::of([size]), "MB")
            .goals(Goal::AtMost(30.0), Goal::AtMost(20.0)),
    ])
}
