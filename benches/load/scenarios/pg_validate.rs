//! Validation of an opaque token over HTTP on PostgreSQL (`GET /app/valid/{token}`) against what
//! `pgbench` gets from the same server, reading the same row by its key; and against the daemon on
//! `SQLite`.

use crate::Outcome;
use crate::fill;
use crate::pairs;
use crate::pgbench::Script;
use crate::report::{Finding, Goal};
use crate::scenarios::{Bench, validate};
use crate::server::{self, Server};
use crate::spread::thousands;

const DATABASE: &str = "validate";

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let cluster = bench.cluster()?;
    let folder = bench.empty("pg-validate")?;
    let url = cluster.database(DATABASE)?;
    let settings = [("PROVOST_DB", url.as_str())];
    server::run_with(&folder, &settings, ["init"])?;
    let filled = fill::copy(&folder, &cluster, DATABASE, bench.rows)?;
    let load = validate::requests(&filled);
    let select = Script::select(&filled)?;
    let daemon = Server::daemon_with(&folder, &settings)?;
    let found = pairs::alternate(
        plan,
        || pairs::on_server(&cluster, || select.leg(&cluster, DATABASE, plan)),
        || pairs::on_server(&cluster, || pairs::leg(&daemon, &load, plan)),
    )?;

    let beside = bench.filled(bench.rows)?;
    let load_beside = validate::requests(&beside);
    let sqlite = Server::daemon(&beside.folder)?;
    let engines = pairs::alternate(
        plan,
        || pairs::leg(&sqlite, &load_beside, plan),
        || pairs::leg(&daemon, &load, plan),
    )?;
    let what = format!(
        "GET /app/valid/{{t}} on PostgreSQL, {} rows",
        thousands(filled.rows)
    );
    Ok(vec![
        Finding::new(format!("{what} / pgbench, point select"), found.ratio(), "")
            .goals(Goal::AtLeast(0.60), Goal::AtLeast(0.85))
            .sides(found.ours().resident(daemon.peak_rss()?), found.limit())
            .note(found.server_note()),
        Finding::new(format!("{what} / on SQLite"), engines.ratio(), "")
            .sides(engines.ours(), engines.limit().resident(sqlite.peak_rss()?)),
    ])
}
