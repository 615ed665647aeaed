//! Issuing a token durably over HTTP on PostgreSQL (`POST /app/token`, audit row included) against
//! what `pgbench` gets from the same server, inserting the token's row alone, each in a transaction
//! of its own; and against the daemon on `SQLite`.
//!
//! Both fill the same table. At the end its rows are counted: as many as were acknowledged.

use std::cell::Cell;

use crate::Outcome;
use crate::pairs;
use crate::pgbench::Script;
use crate::report::{Finding, Goal};
use crate::scenarios::{Bench, issue};
use crate::server::{self, Server};

const DATABASE: &str = "issue";

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let cluster = bench.cluster()?;
    let folder = bench.empty("pg-issue")?;
    let url = cluster.database(DATABASE)?;
    let settings = [("PROVOST_DB", url.as_str())];
    server::run_with(&folder, &settings, ["init"])?;
    let load = issue::requests();
    let insert = Script::insert(&folder)?;
    let daemon = Server::daemon_with(&folder, &settings)?;
    let acknowledged = Cell::new(0);
    let counted = |leg: Outcome<pairs::Measured>| {
        let leg = leg?;
        acknowledged.set(acknowledged.get() + leg.requests);
        Ok(leg)
    };
    let ours = || counted(pairs::leg(&daemon, &load, plan));
    let found = pairs::alternate(
        plan,
        || pairs::on_server(&cluster, || counted(insert.leg(&cluster, DATABASE, plan))),
        || pairs::on_server(&cluster, ours),
    )?;

    let beside = bench.fresh("pg-issue-sqlite")?;
    let sqlite = Server::daemon(&beside)?;
    let engines = pairs::alternate(plan, || pairs::leg(&sqlite, &load, plan), ours)?;
    let resident = daemon.peak_rss()?;
    drop(daemon);
    let acknowledged = acknowledged.get();
    let stored: u64 = cluster
        .sql(DATABASE, "SELECT count(*) FROM tokens")?
        .parse()?;
    if stored < acknowledged {
        return Err(format!("{acknowledged} tokens were acknowledged, {stored} are stored").into());
    }
    let what = "POST /app/token on PostgreSQL, durable";
    Ok(vec![
        Finding::new(
            format!("{what} / pgbench, single insert"),
            found.ratio(),
            "",
        )
        .goals(Goal::AtLeast(0.60), Goal::AtLeast(0.85))
        .sides(found.ours().resident(resident), found.limit())
        .note(found.server_note())
        .note(format!(
            "{acknowledged} acknowledged, {stored} stored (the rest were under way as a leg ended)"
        )),
        Finding::new(format!("{what} / on SQLite"), engines.ratio(), "")
            .sides(engines.ours(), engines.limit().resident(sqlite.peak_rss()?)),
    ])
}
