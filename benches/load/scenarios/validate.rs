//! Validation of an opaque token over HTTP against bare hyper: `GET /app/valid/{token}`, each
//! token's row read from the database.

use crate::Outcome;
use crate::client::Requests;
use crate::fill::Filled;
use crate::pairs;
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::Server;
use crate::spread::thousands;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let filled = bench.filled(bench.rows)?;
    let load = requests(&filled);
    let (bare, daemon) = (Server::bare()?, Server::daemon(&filled.folder)?);
    let found = pairs::alternate(
        plan,
        || pairs::leg(&bare, &load, plan),
        || pairs::leg(&daemon, &load, plan),
    )?;
    let what = format!(
        "GET /app/valid/{{t}}, {} rows / bare hyper",
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

/// One request for each token that is known.
pub(crate) fn requests(filled: &Filled) -> Requests {
    let mut load = Requests::expecting(200, r#""status":true"#);
    for token in &filled.tokens {
        load.push("GET", &format!("/app/valid/{token}"), "");
    }
    load
}
