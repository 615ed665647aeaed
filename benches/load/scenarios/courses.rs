//! Courses for people who are logged in, against bare hyper: the first page of the list, one by its
//! slug, and one that the client knows already. 1,000 courses and 20,000 lessons are in the
//! database, which is asked each time.

use provost::courses::Course;

use crate::Outcome;
use crate::catalogue::COURSES;
use crate::client::Requests;
use crate::pairs;
use crate::report::{Finding, Goal};
use crate::scenarios::Bench;
use crate::server::Server;
use crate::spread::thousands;

/// A stride that is prime to the number of courses: visits all of them, in no order.
const STRIDE: usize = 617;

/// Measures the list.
pub(crate) fn list(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let load = Requests::expecting(200, r#""next":"#);
    let path = |_: &Course| "/api/v1/courses".to_owned();
    let found = measure(bench, load, path, |_| String::new())?;
    let found = found("GET /api/v1/courses, 50 of them");
    Ok(vec![found.goals(Goal::AtLeast(0.45), Goal::AtLeast(0.55))])
}

/// Measures one by its slug.
pub(crate) fn one(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let load = Requests::expecting(200, r#""state":"published""#);
    let found = measure(bench, load, by_slug, |_| String::new())?;
    let found = found("GET /api/v1/courses/{slug}");
    Ok(vec![found.goals(Goal::AtLeast(0.50), Goal::AtLeast(0.62))])
}

/// Measures one that the client knows already.
pub(crate) fn unchanged(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let load = Requests::expecting(304, "");
    let known = |course: &Course| format!("if-none-match: \"{}\"\r\n", course.stamp());
    let found = measure(bench, load, by_slug, known)?;
    let found = found("GET /api/v1/courses/{slug}, 304");
    Ok(vec![found.goals(Goal::AtLeast(0.50), Goal::AtLeast(0.62))])
}

fn by_slug(course: &Course) -> String {
    format!("/api/v1/courses/{}", course.slug)
}

/// Drives requests of many sessions for many courses. Returns what makes a finding of its name.
fn measure(
    bench: &mut Bench,
    mut load: Requests,
    path: impl Fn(&Course) -> String,
    headers: impl Fn(&Course) -> String,
) -> Outcome<impl FnOnce(&str) -> Finding> {
    let plan = bench.plan;
    let catalogue = bench.catalogue()?;
    let courses = &catalogue.courses;
    // The same requests, and another answer.
    let mut simple = Requests::expecting(200, r#""status":true"#);
    for (place, session) in catalogue.people.sessions.iter().enumerate() {
        let course = &courses[place * STRIDE % courses.len()];
        let token = session.access_token.expose();
        let headers = format!("authorization: Bearer {token}\r\n{}", headers(course));
        for load in [&mut load, &mut simple] {
            load.push("GET", &path(course), &headers);
        }
    }
    let (bare, daemon) = (Server::bare()?, Server::daemon(&catalogue.folder)?);
    let found = pairs::alternate(
        plan,
        || pairs::leg(&bare, &simple, plan),
        || pairs::leg(&daemon, &load, plan),
    )?;
    let (ours, limit) = (daemon.peak_rss()?, bare.peak_rss()?);
    let courses = thousands(u64::try_from(COURSES)?);
    Ok(move |what: &str| {
        Finding::new(
            format!("{what}, {courses} courses / bare hyper"),
            found.ratio(),
            "",
        )
        .sides(found.ours().resident(ours), found.limit().resident(limit))
    })
}
