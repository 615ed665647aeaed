//! Bare hyper against bare hyper. The ratio should be 1; what it strays is the measure of all the
//! others.

use crate::Outcome;
use crate::client::Requests;
use crate::pairs;
use crate::report::Finding;
use crate::scenarios::Bench;
use crate::server::Server;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let (one, other) = (Server::bare()?, Server::bare()?);
    let mut load = Requests::expecting(200, r#""status":true"#);
    load.push("GET", "/", "");
    let found = pairs::alternate(
        bench.plan,
        || pairs::leg(&one, &load, bench.plan),
        || pairs::leg(&other, &load, bench.plan),
    )?;
    Ok(vec![
        Finding::new("bare hyper / bare hyper", found.ratio(), "")
            .sides(found.ours(), found.limit()),
    ])
}
