//! `GET /api/v1/me` with an access token (`EdDSA`) against bare hyper: the session's and the user's
//! rows are read each time.

use crate::Outcome;
use crate::client::Requests;
use crate::pairs;
use crate::people::{self, People};
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::Server;
use crate::spread::thousands;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let found = by_session(bench, "/api/v1/me", r#""active""#)?;
    Ok(vec![found.goals(Goal::AtLeast(0.40), Goal::AtLeast(0.52))])
}

/// `GET path`, each request with the access token of another session.
pub(super) fn by_session(bench: &Bench, path: &str, contains: &str) -> Outcome<Finding> {
    let plan = bench.plan;
    let folder = bench.fresh("sessions")?;
    let people = people::make(&folder, people::SEVERAL)?;
    let load = requests(&people, path, contains);
    let (bare, daemon) = (Server::bare()?, Server::daemon(&folder)?);
    let found = pairs::alternate(
        plan,
        || pairs::leg(&bare, &load, plan),
        || pairs::leg(&daemon, &load, plan),
    )?;
    let sessions = thousands(u64::try_from(people.sessions.len())?);
    let what = format!("GET {path}, {sessions} sessions / bare hyper");
    Ok(Finding::new(what, found.ratio(), "").sides(
        found.ours().resident(daemon.peak_rss()?),
        found.limit().resident(bare.peak_rss()?),
    ))
}

fn requests(people: &People, path: &str, contains: &str) -> Requests {
    let mut load = Requests::expecting(200, contains);
    for session in &people.sessions {
        let token = session.access_token.expose();
        load.push("GET", path, &format!("authorization: Bearer {token}\r\n"));
    }
    load
}
