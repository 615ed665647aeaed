//! How far people have come.

use serde_json::json;

use super::{Mark, Progress, Step, find, object, readable, store};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::courses::{self, Whom};
use crate::error::{Error, Result};
use crate::scope::known;
use crate::time::Timestamp;
use crate::users;

/// What to say where nobody is named.
const WHOSE: &str = "whose progress";

/// Notes how far somebody has come with a lesson: the person who asks, the owner of the token that
/// does, or, for who manages the course, `user`, by any name.
///
/// # Errors
/// As [`find`]; [`Error::Forbidden`]; [`Error::NotFound`] for a user who does not exist;
/// [`Error::Invalid`] if nobody is named by who is no person, and for an account that is disabled.
pub fn mark(cx: &mut Cx<'_, '_>, lesson: &str, user: Option<&str>, to: Step) -> Result<Mark> {
    let (lesson, gate) = find(cx, lesson)?;
    let user = match courses::whom(cx.actor, known::COURSE_WRITE, user, WHOSE)? {
        Whom::Own(own) => own,
        Whom::Named(user) => {
            gate.require_manager(cx.actor)?;
            users::active(cx, user)?.id
        }
    };
    if store::mark(cx.tx, (&user, &lesson.id), to, cx.now)? {
        let details = json!({ "course": gate.id, "user": user, "state": to });
        let event = Event::new("progress.marked", object(&lesson.id));
        audit::record(cx, event.with(details))?;
    }
    let marks = store::marks(cx.tx, &gate.id, &user)?;
    let found = marks.into_iter().find(|mark| mark.id == lesson.id);
    found.ok_or_else(|| Error::no_such("lesson", &lesson.id))
}

/// How far somebody has come with a course: the person who asks, the owner of the token that does,
/// or, for who oversees the course, `user`, by any name.
///
/// # Errors
/// As [`courses::gate`]; [`Error::NotFound`]; [`Error::Forbidden`]; [`Error::Invalid`] if nobody is
/// named by who is no person.
pub fn progress(cx: &mut Cx<'_, '_>, course: &str, user: Option<&str>) -> Result<Progress> {
    let gate = readable(cx, course)?;
    let user = match courses::whom(cx.actor, known::COURSE_READ, user, WHOSE)? {
        Whom::Own(own) => own,
        Whom::Named(user) => {
            if !gate.oversees(cx.actor) {
                gate.require_manager(cx.actor)?;
            }
            users::resolve(cx, user)?.id
        }
    };
    let marks = store::marks(cx.tx, &gate.id, &user)?;
    Ok(Progress::of(gate.slug, user, marks))
}

/// Forgets how far somebody has come with a course.
///
/// # Errors
/// As [`courses::manage`]; [`Error::NotFound`] for a user who does not exist.
pub fn reset(cx: &mut Cx<'_, '_>, course: &str, user: &str) -> Result<u64> {
    let gate = courses::manage(cx, course)?;
    let user = users::resolve(cx, user)?.id;
    let count = store::forget(cx.tx, &gate.id, &user)?;
    if count > 0 {
        let object = format!("progress:{}/{user}", gate.id);
        let event = Event::new("progress.reset", object);
        audit::record(cx, event.with(json!({ "lessons": count })))?;
    }
    Ok(count)
}

/// Somebody who has completed a lesson.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The id of the user.
    pub user: String,
    /// The name of the user.
    pub username: String,
    /// When.
    pub at: Timestamp,
}

/// Who completed the lesson with this id from the one instant to before the other, in the order of
/// the users' ids and behind `after`. For the verbs of other slices.
///
/// # Errors
/// As [`find`]; [`Error::Forbidden`] for who does not oversee the course.
pub fn completions(
    cx: &mut Cx<'_, '_>,
    lesson: &str,
    during: (Timestamp, Timestamp),
    after: &str,
    limit: u32,
) -> Result<Vec<Completion>> {
    let (lesson, gate) = find(cx, lesson)?;
    if !gate.oversees(cx.actor) {
        gate.require_manager(cx.actor)?;
    }
    store::completions(cx.tx, &lesson.id, during, after, limit)
}
