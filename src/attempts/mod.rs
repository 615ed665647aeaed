//! Attempts: somebody takes a quiz.
//!
//! Invariants: the deadline is fixed by the server's clock when an attempt begins; an answer that was
//! acknowledged is graded, and one that came after the deadline is not; an attempt is handed in once;
//! one whose deadline passed ends as of its deadline, whenever somebody looks; what is right is told
//! only when the attempt is over; to others, but who manages the course, an attempt is not there. That
//! there is one, and what it came to, is told to who oversees the course, too.

pub mod cli;
mod grades;
pub mod http;
mod manage;
mod model;
mod sheet;
mod store;
mod workbook;
pub mod xapi;

use serde_json::{Value as Json, json};

pub use grades::grades;
pub use manage::{Regraded, allow, allowance, mark, regrade, regrade_all, reopen};
pub use model::{Allowance, Asked, Attempt, Filter, Grade, Reviewed, Saved, Sheet, State};

use model::Row;

use crate::app::Cx;
use crate::audit::{self, Event};
use crate::courses::{Gate, Tie};
use crate::error::{Error, Result};
use crate::id;
use crate::page::{self, Page};
use crate::quizzes::answer::{Answer, Layout};
use crate::quizzes::grading::grade;
use crate::quizzes::shuffle::Shuffle;
use crate::quizzes::{self, OnDeadline, Place, Points, Settings};
use crate::secret::random_bytes;
use crate::time::Timestamp;

fn object(id: &str) -> String {
    format!("attempt:{id}")
}

/// The attempt that `text` names, if it is the actor's own or the actor manages its course.
fn find(cx: &mut Cx<'_, '_>, text: &str) -> Result<(Row, Gate)> {
    let gone = || Error::no_such("attempt", text);
    let (low, high) = id::range(text).ok_or_else(gone)?;
    let mut found = Vec::new();
    for row in store::with_ids(cx.tx, &low, &high)? {
        let gate = match quizzes::find(cx, &row.quiz_id) {
            Ok((_, gate)) => gate,
            // How many of others' begin alike is nobody's business.
            Err(Error::NotFound { .. }) => continue,
            Err(other) => return Err(other),
        };
        if gate.manages(cx.actor) || cx.actor.person().is_ok_and(|it| it == row.user_id) {
            found.push((row, gate));
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "attempt",
            prefix: text.to_owned(),
        }),
        (None, _) => Err(gone()),
    }
}

/// The same as it stays until the end of the transaction, and as of its deadline if that has
/// passed.
fn hold(cx: &mut Cx<'_, '_>, text: &str) -> Result<(Row, Gate)> {
    let (row, gate) = find(cx, text)?;
    let row = held(cx, &row.id)?.ok_or_else(|| Error::no_such("attempt", text))?;
    Ok((row, gate))
}

fn held(cx: &mut Cx<'_, '_>, id: &str) -> Result<Option<Row>> {
    cx.tx.lock(("attempt", id))?;
    let row = store::with_ids(cx.tx, id, id)?.pop();
    row.map(|row| as_of_deadline(cx, row)).transpose()
}

/// Ends an attempt whose time is over, however long it has been over.
fn as_of_deadline(cx: &mut Cx<'_, '_>, mut row: Row) -> Result<Row> {
    let late = row.closes_at.is_some_and(|closes_at| closes_at < cx.now);
    if row.state != State::InProgress || !late {
        return Ok(row);
    }
    row.ended_at = row.deadline;
    row.timed_out = true;
    if row.abandons {
        row.state = State::Abandoned;
        row.points = Some(Points::default());
    } else {
        row.state = State::Submitted;
        row.points = graded(cx, &row)?;
    }
    store::set(cx.tx, &row)?;
    let action = match row.state {
        State::Abandoned => "attempt.abandoned",
        State::InProgress | State::Overdue | State::Submitted => "attempt.timed_out",
    };
    let details = json!({ "deadline": row.deadline });
    audit::record(cx, Event::new(action, object(&row.id)).with(details))?;
    Ok(row)
}

/// Grades every answer that no person has graded, and adds up: nothing until all is graded.
fn graded(cx: &mut Cx<'_, '_>, row: &Row) -> Result<Option<Points>> {
    let mut sum = Some(Points::default());
    for answered in store::answers(cx.tx, &row.id)? {
        let points = if answered.graded_by.is_some() {
            answered.points
        } else {
            let question = &answered.place.question;
            let answer = stored_answer(&answered)?;
            let points = grade(&question.body, question.points, answer.as_ref()).points;
            if points != answered.points {
                let comment = answered.comment.as_deref();
                store::set_points(cx.tx, &row.id, &answered.place.id, points, None, comment)?;
            }
            points
        };
        sum = sum.zip(points).map(|(sum, points)| sum.plus(points));
    }
    Ok(sum)
}

fn stored_answer(answered: &store::Answered) -> Result<Option<Answer>> {
    let Some(text) = &answered.answer else {
        return Ok(None);
    };
    let json: Json = serde_json::from_str(text).map_err(Error::internal)?;
    let body = &answered.place.question.body;
    Answer::read(body, &Layout::of_author(body), &json).map_err(Error::internal)
}

/// Begins an attempt, or goes on with the one that is under way. The deadline is fixed here.
///
/// # Errors
/// [`Error::NotFound`] for a quiz that is not there for the actor; [`Error::Forbidden`] for who is no
/// person, or is not enrolled; [`Error::Invalid`] when all attempts are used, or nothing is asked.
pub fn start(cx: &mut Cx<'_, '_>, quiz: &str) -> Result<Sheet> {
    let (quiz, gate) = quizzes::find(cx, quiz)?;
    let user = cx.actor.person()?.to_owned();
    let open = gate.state == crate::courses::State::Published;
    if gate.tie != Tie::Enrolled || !open {
        return Err(Error::Forbidden {
            needs: "an enrolment in the course".into(),
        });
    }
    cx.tx.lock(("quiz of", &format!("{}/{user}", quiz.id)))?;
    let mut before = store::of_person(cx.tx, &quiz.id, &user)?;
    if let Some(last) = before.pop() {
        let last = held(cx, &last.id)?.unwrap_or(last);
        if last.state == State::InProgress {
            return sheet::of(cx, last, false);
        }
        before.push(last);
    }
    let allowance = store::allowance(cx.tx, &quiz.id, &user)?;
    let settings = &quiz.settings;
    let number = u32::try_from(before.len()).map_err(Error::internal)? + 1;
    let most = settings
        .attempts
        .map(|most| most.saturating_add(allowance.extra_attempts));
    if most.is_some_and(|most| number > most) {
        return Err(Error::invalid("attempts", "all of them are used"));
    }
    let seed = i64::from_le_bytes(random_bytes()?);
    let drawn = drawn(settings, quizzes::asked(cx, &quiz.id)?, seed);
    if drawn.is_empty() {
        return Err(Error::invalid("quiz", "nothing is asked in it yet"));
    }
    let deadline = settings
        .time_limit
        .map(|limit| cx.now.plus(limit.0.saturating_add(allowance.extra_time.0)));
    let row = Row {
        id: id::entity(cx.now),
        quiz_id: quiz.id.clone(),
        user_id: user,
        username: String::new(),
        number,
        seed,
        shuffled: settings.shuffle,
        state: State::InProgress,
        started_at: cx.now,
        deadline,
        closes_at: deadline.map(|deadline| deadline.plus(settings.grace())),
        abandons: settings.on_deadline == OnDeadline::Abandon,
        ended_at: None,
        timed_out: false,
        points: None,
        most: drawn
            .iter()
            .fold(Points::default(), |sum, place| sum.plus(place.points())),
    };
    store::insert(cx.tx, &row)?;
    for (place, position) in drawn.iter().zip(1_u32..) {
        store::ask(cx.tx, &row.id, &place.id, position)?;
    }
    let details = json!({ "quiz": quiz.id, "number": number, "deadline": deadline });
    let event = Event::new("attempt.started", object(&row.id)).with(details);
    audit::record(cx, event)?;
    let row = store::with_ids(cx.tx, &row.id, &row.id)?
        .pop()
        .unwrap_or(row);
    sheet::of(cx, row, false)
}

/// What is asked in an attempt with this seed: of each pool from which is drawn so many, of the
/// others all; in the author's order, or in another.
fn drawn(settings: &Settings, mut places: Vec<Place>, seed: i64) -> Vec<Place> {
    for (pool, count) in &settings.draw {
        let in_pool = |place: &Place| place.question.pool.as_ref() == Some(pool);
        let mut ids: Vec<String> = places
            .iter()
            .filter(|it| in_pool(it))
            .map(|it| it.id.clone())
            .collect();
        // By their ids, which stay, whatever the order in which the author puts them.
        ids.sort_unstable();
        Shuffle::new(seed, &format!("pool {pool}")).mix(&mut ids);
        ids.truncate(usize::try_from(*count).unwrap_or(usize::MAX));
        places.retain(|place| !in_pool(place) || ids.contains(&place.id));
    }
    if settings.shuffle {
        Shuffle::new(seed, "questions").mix(&mut places);
    }
    places
}

/// An attempt with what is asked in it; what is right only when it is over, and for who manages the
/// course.
///
/// # Errors
/// [`Error::NotFound`], also for what is somebody else's.
pub fn get(cx: &mut Cx<'_, '_>, attempt: &str) -> Result<Sheet> {
    let (row, gate) = find(cx, attempt)?;
    // As of its deadline, though a read writes nothing down: the job does.
    let over = row.state != State::InProgress;
    let review = over || gate.manages(cx.actor);
    sheet::of(cx, row, review)
}

/// Attempts at a quiz, the newest first: one's own, or everybody's for who oversees the course.
///
/// # Errors
/// [`Error::NotFound`] for a quiz that is not there for the actor, or for a user; [`Error::Forbidden`]
/// for who asks for somebody else's without overseeing the course; [`Error::Invalid`] for a cursor
/// that is none.
pub fn list(
    cx: &mut Cx<'_, '_>,
    quiz: &str,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Attempt>> {
    let (quiz, gate) = quizzes::find(cx, quiz)?;
    let user = filter.user.as_deref();
    let whose = if gate.oversees(cx.actor) {
        user.map(|user| crate::users::resolve(cx, user))
            .transpose()?
            .map(|user| user.id)
    } else {
        let own = cx.actor.person()?.to_owned();
        if user.is_some_and(|user| user != own) {
            gate.require_manager(cx.actor)?;
        }
        Some(own)
    };
    let before = match cursor {
        Some(cursor) => page::place(cursor, '.')?,
        None => (Timestamp(i64::MAX), ""),
    };
    let most = limit.saturating_add(1);
    let asked = (filter, whose.as_deref());
    let rows = store::page(cx.tx, &quiz.id, asked, cx.now, before, most)?;
    let page = Page::cut(rows, limit, |row| {
        format!("{}.{}", row.started_at.0, row.id)
    });
    let now = cx.now;
    Ok(page.map(|row| row.told(now)))
}

/// Stores an answer, and tells what is stored: this one, or a newer one with a number as high or
/// higher. Sending it again changes nothing, also when the attempt is over by then.
///
/// # Errors
/// [`Error::NotFound`] for an attempt that is not the actor's own, or a question that is not asked in
/// it; [`Error::AttemptOver`]; [`Error::Invalid`] for what cannot be an answer.
pub fn answer(
    cx: &mut Cx<'_, '_>,
    attempt: &str,
    question: &str,
    seq: i64,
    json: &Json,
) -> Result<Saved> {
    if seq < 1 {
        return Err(Error::invalid("seq", "must be 1 or more"));
    }
    let (row, _) = own(cx, attempt)?;
    cx.tx.lock(("attempt", &row.id))?;
    let row = store::with_ids(cx.tx, &row.id, &row.id)?
        .pop()
        .unwrap_or(row);
    let answered = store::answer(cx.tx, &row.id, question)?;
    let answered = answered.ok_or_else(|| Error::no_such("question", question))?;
    if seq <= answered.seq {
        return sheet::saved(&row, &answered);
    }
    let closed = row.closes_at.is_some_and(|closes_at| closes_at < cx.now);
    if row.state != State::InProgress || closed {
        return Err(Error::AttemptOver);
    }
    let body = &answered.place.question.body;
    let given = Answer::read(body, &sheet::layout(&row, &answered), json)?;
    let author = Layout::of_author(body);
    let text = given.map(|given| given.written(&author).to_string());
    store::save(
        cx.tx,
        &row.id,
        &answered.place.id,
        seq,
        text.as_deref(),
        cx.now,
    )?;
    let answered = store::answer(cx.tx, &row.id, question)?;
    let answered = answered.ok_or_else(|| Error::no_such("question", question))?;
    sheet::saved(&row, &answered)
}

/// The actor's own attempt: who manages the course answers for nobody.
fn own(cx: &mut Cx<'_, '_>, attempt: &str) -> Result<(Row, Gate)> {
    let person = cx.actor.person()?.to_owned();
    let (row, gate) = find(cx, attempt)?;
    if row.user_id == person {
        Ok((row, gate))
    } else {
        Err(Error::no_such("attempt", attempt))
    }
}

/// Hands an attempt in, and grades it. One that is over stays as it is: handing in twice is handing
/// in once.
///
/// # Errors
/// [`Error::NotFound`] for an attempt that is not the actor's own.
pub fn submit(cx: &mut Cx<'_, '_>, attempt: &str) -> Result<Sheet> {
    let (row, _) = own(cx, attempt)?;
    let mut row = held(cx, &row.id)?.unwrap_or(row);
    if row.state == State::InProgress {
        row.state = State::Submitted;
        row.ended_at = Some(cx.now);
        row.points = graded(cx, &row)?;
        store::set(cx.tx, &row)?;
        audit::record(cx, Event::new("attempt.submitted", object(&row.id)))?;
    }
    sheet::of(cx, row, true)
}

/// Ends at most `most` attempts whose time is over, each as of its deadline. Tells how many.
///
/// # Errors
/// Those of the database.
pub fn close_due(cx: &mut Cx<'_, '_>, most: u32) -> Result<u64> {
    let mut closed = 0;
    for id in store::due(cx.tx, cx.now, most)? {
        if held(cx, &id)?.is_some() {
            closed += 1;
        }
    }
    Ok(closed)
}

#[cfg(test)]
mod manage_tests;
#[cfg(test)]
mod tests;
