//! Forward authentication by access token, `GET /api/v1/auth/verify`, against bare hyper.

use crate::Outcome;
use crate::report::{Finding, Goal};
use crate::scenarios::{Bench, me};

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    // The answer is in the headers.
    let found = me::by_session(bench, "/api/v1/auth/verify", "")?;
    Ok(vec![found.goals(Goal::AtLeast(0.42), Goal::AtLeast(0.55))])
}
