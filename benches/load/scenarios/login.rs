//! Logging in with right passwords (`POST /api/v1/auth/login`) against the same comparisons of
//! passwords on as many slots without anything around them.

use std::time::Duration;

use crate::Outcome;
use crate::client::Requests;
use crate::pairs;
use crate::people::{self, PASSWORD};
use crate::raw::Raw;
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::Server;

/// No limit for the address from which everybody here comes.
pub(super) const LIFTED: [(&str, &str); 2] = [
    ("PROVOST_THROTTLE_LOGIN_PER_MINUTE", "0"),
    ("PROVOST_THROTTLE_SPRAY_NAMES", "0"),
];

/// Until the passwords are compared whose clients went away as a leg ended.
pub(super) const DRAINED: Duration = Duration::from_secs(3);

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let plan = bench.plan;
    let folder = bench.fresh("login")?;
    let people = people::make(&folder, people::SEVERAL)?;
    let load = requests(
        &people.names,
        PASSWORD,
        Requests::expecting(200, r#""refresh_token":""#),
    );
    let raw = Raw::new()?;
    let daemon = Server::daemon_with(&folder, &LIFTED)?;
    let found = pairs::alternate(
        plan,
        || raw.leg(plan),
        || {
            let leg = pairs::leg(&daemon, &load, plan);
            std::thread::sleep(DRAINED);
            leg
        },
    )?;
    let what = format!(
        "POST /api/v1/auth/login / raw Argon2id on {} slots",
        Raw::slots()
    );
    Ok(vec![
        Finding::new(what, found.ratio(), "")
            .goals(Goal::AtLeast(0.90), Goal::AtLeast(0.97))
            .sides(found.ours().resident(daemon.peak_rss()?), found.limit()),
    ])
}

/// One login under each name.
pub(super) fn requests(names: &[String], password: &str, mut load: Requests) -> Requests {
    for name in names {
        let body = format!(r#"{{"login":"{name}","password":"{password}"}}"#);
        load.push_body(
            "POST",
            "/api/v1/auth/login",
            "content-type: application/json\r\n",
            &body,
        );
    }
    load
}
