//! Refreshing a session durably (`POST /api/v1/auth/refresh`, audit row included) against bare
//! hyper. Each connection refreshes a session of its own with the token that it was given last.
//!
//! After the legs the daemon is stopped and the generations are counted: as many refreshes as were
//! acknowledged, and as many audit rows.

use crate::Outcome;
use crate::client::Requests;
use crate::fill;
use crate::pairs;
use crate::people::{self, People};
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::Server;

/// What the next request carries.
const NEXT: &str = r#""refresh_token":""#;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let folder = bench.fresh("refresh")?;
    // New chains in each leg: what was under way as the last one ended is nobody's next token.
    let people = people::make(&folder, (plan.pairs + 1) * plan.shape.connections)?;
    let load = requests(&people, Requests::expecting(200, NEXT).chained(NEXT));
    let simple = requests(&people, Requests::expecting(200, r#""status":true"#));
    let bare = Server::bare()?;
    // One session refreshes as often as it can, which the limit for sessions is there to prevent.
    let lifted = [("PROVOST_THROTTLE_REFRESH_PER_MINUTE", "0")];
    let daemon = Server::daemon_with(&folder, &lifted)?;
    let mut acknowledged = 0;
    let found = pairs::alternate(
        plan,
        || pairs::leg(&bare, &simple, plan),
        || {
            let leg = pairs::leg(&daemon, &load, plan)?;
            acknowledged += leg.requests;
            Ok(leg)
        },
    )?;
    let resident = daemon.peak_rss()?;
    drop(daemon);
    let done = fill::count(&folder, "SELECT sum(generation - 1) FROM sessions")?;
    let written = fill::count(
        &folder,
        "SELECT count(*) FROM audit_events WHERE action = 'session.refreshed'",
    )?;
    if done < acknowledged || written != done {
        return Err(format!(
            "{acknowledged} refreshes were acknowledged, {done} are stored, {written} in the audit log"
        )
        .into());
    }
    Ok(vec![
        Finding::new(
            "POST /api/v1/auth/refresh, durable / bare hyper",
            found.ratio(),
            "",
        )
        .goals(Goal::AtLeast(0.28), Goal::AtLeast(0.40))
        .sides(found.ours().resident(resident), found.limit())
        .note(format!(
            "{acknowledged} acknowledged, {done} stored (the rest were under way as a leg ended)"
        )),
    ])
}

fn requests(people: &People, mut load: Requests) -> Requests {
    for session in &people.sessions {
        let body = format!("{{{NEXT}{}\"}}", session.refresh_token.expose());
        load.push_body(
            "POST",
            "/api/v1/auth/refresh",
            "content-type: application/json\r\n",
            &body,
        );
    }
    load
}
