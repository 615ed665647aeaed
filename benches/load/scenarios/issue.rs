//! Issuing a token durably over HTTP (`POST /app/token`, audit row included), against bare hyper
//! and against the same rows through the library's group-commit writer without HTTP.
//!
//! After the legs the daemon is stopped and the rows are counted: as many as were acknowledged.

use crate::Outcome;
use crate::client::Requests;
use crate::fill;
use crate::pairs;
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::Server;
use crate::writer;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let folder = bench.fresh("issue")?;
    let through_the_writer = bench.fresh("issue-writer")?;
    let load = requests();
    let (bare, daemon) = (Server::bare()?, Server::daemon(&folder)?);
    let mut acknowledged = 0;
    let mut ours = || {
        let leg = pairs::leg(&daemon, &load, plan)?;
        acknowledged += leg.requests;
        Ok(leg)
    };
    let http = pairs::alternate(plan, || pairs::leg(&bare, &load, plan), &mut ours)?;
    let writer = pairs::alternate(plan, || writer::leg(&through_the_writer, plan), &mut ours)?;
    let resident = daemon.peak_rss()?;
    drop(daemon);
    let stored = fill::count(&folder, "SELECT count(*) FROM tokens")?;
    if stored < acknowledged {
        return Err(format!("{acknowledged} tokens were acknowledged, {stored} are stored").into());
    }
    Ok(vec![
        Finding::new("POST /app/token, durable / bare hyper", http.ratio(), "")
            .goals(Goal::AtLeast(0.30), Goal::AtLeast(0.45))
            .sides(http.ours().resident(resident), http.limit()),
        Finding::new(
            "POST /app/token, durable / group-commit writer without HTTP",
            writer.ratio(),
            "",
        )
        .goals(Goal::AtLeast(0.70), Goal::AtLeast(0.70))
        .sides(writer.ours(), writer.limit())
        .note(format!(
            "{acknowledged} acknowledged, {stored} stored (the rest were under way as a leg ended)"
        )),
    ])
}

/// The request: a token that nobody owns, as the older service issues it.
pub(crate) fn requests() -> Requests {
    let mut load = Requests::expecting(200, r#""token":""#);
    load.push_body(
        "POST",
        "/app/token",
        "content-type: application/json\r\n",
        "{}",
    );
    load
}
