//! What who manages a course does with the attempts of others.

use serde::Serialize;
use serde_json::json;

use super::model::{Allowance, Attempt, Row, State};
use super::{find, graded, held, hold, object, store};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::quizzes::{self, Points};
use crate::time::Period;
use crate::users;

/// Attempts graded in one transaction.
const STEP: u32 = 50;

/// What a regrading did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Regraded {
    /// How many attempts were looked at.
    pub attempts: u64,
    /// How many of them have other points now.
    pub changed: u64,
    /// The last one, if there may be more.
    #[serde(skip)]
    pub last: Option<String>,
}

/// An attempt of another person's, for who manages the course.
fn managed(cx: &mut Cx<'_, '_>, attempt: &str) -> Result<Row> {
    let (row, gate) = find(cx, attempt)?;
    gate.require_manager(cx.actor)?;
    Ok(row)
}

/// Gives one person more time for each attempt at a quiz that begins after now, and more attempts.
/// An attempt that is under way gets the time, too.
///
/// # Errors
/// [`Error::NotFound`] for a quiz or a user; [`Error::Forbidden`] for who does not manage the course.
pub fn allow(
    cx: &mut Cx<'_, '_>,
    quiz: &str,
    user: &str,
    allowance: &Allowance,
) -> Result<Allowance> {
    let (quiz, gate) = quizzes::find(cx, quiz)?;
    gate.require_manager(cx.actor)?;
    let year = std::time::Duration::from_hours(24 * 366);
    if allowance.extra_time.0 > year || allowance.extra_attempts > 1000 {
        let rule = "must be at most a year, and 1000 attempts";
        return Err(Error::invalid("extra_time", rule));
    }
    let user = users::id_of(cx, user)?.ok_or_else(|| Error::no_such("user", user))?;
    cx.tx.lock(("quiz of", &format!("{}/{user}", quiz.id)))?;
    store::allow(cx.tx, &quiz.id, &user, allowance)?;
    let under_way = store::of_person(cx.tx, &quiz.id, &user)?.pop();
    if let (Some(row), Some(limit)) = (under_way, quiz.settings.time_limit) {
        // One whose time is over stays so: held() ends it.
        if let Some(mut row) = held(cx, &row.id)?.filter(|row| row.state == State::InProgress) {
            let time = limit.0.saturating_add(allowance.extra_time.0);
            row.deadline = Some(row.started_at.plus(time));
            row.closes_at = row.deadline.map(|at| at.plus(quiz.settings.grace()));
            store::set(cx.tx, &row)?;
        }
    }
    let details = json!({ "user": user, "extra_time": allowance.extra_time, "extra_attempts": allowance.extra_attempts });
    let event = Event::new("quiz.allowance", format!("quiz:{}", quiz.id)).with(details);
    audit::record(cx, event)?;
    Ok(*allowance)
}

/// What one person is allowed beyond others.
///
/// # Errors
/// As [`allow`].
pub fn allowance(cx: &mut Cx<'_, '_>, quiz: &str, user: &str) -> Result<Allowance> {
    let (quiz, gate) = quizzes::find(cx, quiz)?;
    gate.require_manager(cx.actor)?;
    let user = users::id_of(cx, user)?.ok_or_else(|| Error::no_such("user", user))?;
    // Who changes it after this look has it for themselves.
    cx.tx.lock(("quiz of", &format!("{}/{user}", quiz.id)))?;
    store::allowance(cx.tx, &quiz.id, &user)
}

/// Opens an attempt that is over once more, for `time` from now, or without an end.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for who does not manage the course; [`Error::Invalid`]
/// while it, or another one of the same person, is in progress.
pub fn reopen(cx: &mut Cx<'_, '_>, attempt: &str, time: Option<Period>) -> Result<Attempt> {
    let row = managed(cx, attempt)?;
    cx.tx
        .lock(("quiz of", &format!("{}/{}", row.quiz_id, row.user_id)))?;
    let all = store::of_person(cx.tx, &row.quiz_id, &row.user_id)?;
    let mut row = held(cx, &row.id)?.unwrap_or(row);
    let open = |it: &Row| it.state == State::InProgress && it.id != row.id;
    if !row.state.is_over() || all.iter().any(open) {
        let rule = "is in progress, or another one of the same person is";
        return Err(Error::invalid("attempt", rule));
    }
    let grace = match (row.deadline, row.closes_at) {
        (Some(deadline), Some(closes_at)) => closes_at.since(deadline),
        (None | Some(_), None | Some(_)) => std::time::Duration::ZERO,
    };
    row.state = State::InProgress;
    row.deadline = time.map(|time| cx.now.plus(time.0));
    row.closes_at = row.deadline.map(|deadline| deadline.plus(grace));
    row.ended_at = None;
    row.timed_out = false;
    row.points = None;
    store::set(cx.tx, &row)?;
    let details = json!({ "deadline": row.deadline });
    let event = Event::new("attempt.reopened", object(&row.id)).with(details);
    audit::record(cx, event)?;
    Ok(row.told(cx.now))
}

/// Gives an answer so many points, and says why: what a person has graded, no rule grades again.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for who does not manage the course; [`Error::Invalid`]
/// for more points than there are, a comment that is too long, and while the attempt is not over.
pub fn mark(
    cx: &mut Cx<'_, '_>,
    attempt: &str,
    question: &str,
    points: Points,
    comment: Option<&str>,
) -> Result<Attempt> {
    managed(cx, attempt)?;
    let (mut row, _) = hold(cx, attempt)?;
    if row.state != State::Submitted {
        return Err(Error::invalid("attempt", "is not handed in"));
    }
    let answered = store::answer(cx.tx, &row.id, question)?;
    let answered = answered.ok_or_else(|| Error::no_such("question", question))?;
    let most = answered.place.points();
    if points < Points::default() || points > most {
        let rule = format!("must be 0 to {most}");
        return Err(Error::invalid("points", rule));
    }
    if comment.is_some_and(|comment| comment.len() > 16 * 1024 || comment.contains('\0')) {
        return Err(Error::invalid("comment", "is longer than 16384 bytes"));
    }
    let by = cx.actor.to_string();
    store::set_points(
        cx.tx,
        &row.id,
        &answered.place.id,
        Some(points),
        Some(&by),
        comment,
    )?;
    row.points = graded(cx, &row)?;
    store::set(cx.tx, &row)?;
    let details =
        json!({ "question": answered.place.id, "points": points, "before": answered.points });
    let event = Event::new("attempt.marked", object(&row.id)).with(details);
    audit::record(cx, event)?;
    Ok(row.told(cx.now))
}

/// Grades all attempts at a quiz anew that are over, after a question was corrected: some in one
/// transaction, so that others write in between. What a person has graded stays.
///
/// # Errors
/// As [`regrade`]; what was graded until then stays so.
pub fn regrade_all(app: &App, actor: &Actor, quiz: &str) -> Result<Regraded> {
    let mut all = Regraded::default();
    let mut after: Option<String> = None;
    loop {
        let (text, last) = (quiz.to_owned(), after.take());
        let done = app.write(actor, move |cx| regrade(cx, &text, last.as_deref(), STEP))?;
        all.attempts += done.attempts;
        all.changed += done.changed;
        after = done.last;
        if after.is_none() {
            break;
        }
    }
    let text = quiz.to_owned();
    let details = json!({ "attempts": all.attempts, "changed": all.changed });
    app.write(actor, move |cx| {
        let (quiz, _) = quizzes::find(cx, &text)?;
        let event = Event::new("quiz.regraded", format!("quiz:{}", quiz.id));
        audit::record(cx, event.with(details.clone()))
    })?;
    Ok(all)
}

/// Grades attempts at a quiz anew, after a question was corrected: at most `most` of those that are
/// over, behind `after`. What a person has graded stays.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for who does not manage the course.
pub fn regrade(
    cx: &mut Cx<'_, '_>,
    quiz: &str,
    after: Option<&str>,
    most: u32,
) -> Result<Regraded> {
    let (quiz, gate) = quizzes::find(cx, quiz)?;
    gate.require_manager(cx.actor)?;
    let ids = store::over(cx.tx, &quiz.id, after.unwrap_or_default(), most)?;
    let mut done = Regraded::default();
    for id in &ids {
        let Some(mut row) = held(cx, id)?.filter(|row| row.state == State::Submitted) else {
            continue;
        };
        let (points, most) = (row.points, row.most);
        row.points = graded(cx, &row)?;
        let answers = store::answers(cx.tx, id)?;
        let worth = answers.iter().map(|answered| answered.place.points());
        row.most = worth.fold(Points::default(), Points::plus);
        done.attempts += 1;
        if (row.points, row.most) == (points, most) {
            continue;
        }
        store::set(cx.tx, &row)?;
        done.changed += 1;
        let details = json!({ "points": row.points, "before": points, "most": row.most, "most_before": most });
        let event = Event::new("attempt.regraded", object(id)).with(details);
        audit::record(cx, event)?;
    }
    let full = u32::try_from(ids.len()).is_ok_and(|count| count == most);
    done.last = ids.into_iter().next_back().filter(|_| full);
    Ok(done)
}
