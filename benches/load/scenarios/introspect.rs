//! Introspection (RFC 7662) over HTTP against bare hyper: the caller's API token and the token
//! asked about are both read from the database.

use crate::Outcome;
use crate::client::Requests;
use crate::pairs;
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::{self, Server};
use crate::spread::thousands;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let filled = bench.filled(bench.rows)?;
    let caller = server::run(
        &filled.folder,
        [
            "token",
            "create",
            "--kind",
            "api",
            "--scope",
            "token:introspect",
            "--label",
            "load",
            "--quiet",
        ],
    )?;
    let headers = format!(
        "authorization: Bearer {}\r\ncontent-type: application/x-www-form-urlencoded\r\n",
        caller.trim()
    );
    let mut load = Requests::expecting(200, r#""active":true"#);
    for token in &filled.tokens {
        let body = format!("token={}", token.replace(':', "%3A"));
        load.push_body("POST", "/api/v1/introspect", &headers, &body);
    }
    let (bare, daemon) = (Server::bare()?, Server::daemon(&filled.folder)?);
    let found = pairs::alternate(
        plan,
        || pairs::leg(&bare, &load, plan),
        || pairs::leg(&daemon, &load, plan),
    )?;
    let what = format!(
        "POST /api/v1/introspect, {} rows / bare hyper",
        thousands(filled.rows)
    );
    Ok(vec![
        Finding::new(what, found.ratio(), "")
            .goals(Goal::AtLeast(0.50), Goal::AtLeast(0.62))
            .sides(
                found.ours().resident(daemon.peak_rss()?),
                found.limit().resident(bare.peak_rss()?),
            ),
    ])
}
