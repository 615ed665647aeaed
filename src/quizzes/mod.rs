//! Quizzes: what is asked in a course, and how it is taken.
//!
//! Invariants: a quiz is there for whom its course is readable; what is right leaves this slice only
//! for who manages the course, and, by `attempts`, for a person whose attempt is over; a question
//! that was asked is corrected where it is, or retired, but never deleted.

pub(crate) mod answer;
pub mod cli;
mod decimal;
pub mod folder;
pub mod form;
pub mod gift;
pub(crate) mod grading;
pub mod http;
mod import;
mod lines;
pub(crate) mod model;
mod moodle;
mod pattern;
mod question;
mod settings;
pub(crate) mod shuffle;
mod source;
mod store;

pub use decimal::{Fixed, Number, Percent, Points};
pub use form::Written;
pub use import::{check, import, may_take_in, take_in};
pub use model::{Imported, Place, Quiz};
pub use pattern::Pattern;
pub use question::{Body, Choice, Form, NumericAnswer, Pair, Question, ShortAnswer};
pub use settings::{OnDeadline, Settings, Which};
pub use source::{Draft, Source};

use model::Row;

use crate::app::Cx;
use crate::courses::{self, Gate};
use crate::error::{Error, Result};
use crate::id;
use crate::page::Page;

/// The quiz that `text` names (its id, the first characters of that, `COURSE/SLUG`), and who may do
/// what with its course. For `attempts`, too.
///
/// # Errors
/// [`Error::NotFound`], also for what the actor may not see; [`Error::Ambiguous`];
/// [`Error::Forbidden`] for a token without `course:read`.
pub(crate) fn find(cx: &mut Cx<'_, '_>, text: &str) -> Result<(Row, Gate)> {
    let gone = || Error::no_such("quiz", text);
    if let Some((course, slug)) = text.split_once('/') {
        let gate = gate(cx, course, text)?;
        let row = store::with_slug(cx.tx, &gate.id, slug)?;
        return Ok((row.ok_or_else(gone)?, gate));
    }
    let (low, high) = id::range(text).ok_or_else(gone)?;
    let mut found = Vec::new();
    for row in store::with_ids(cx.tx, &low, &high)? {
        match gate(cx, &row.course_id, text) {
            Ok(gate) => found.push((row, gate)),
            // How many of others' begin alike is nobody's business.
            Err(Error::NotFound { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "quiz",
            prefix: text.to_owned(),
        }),
        (None, _) => Err(gone()),
    }
}

/// The course's gate, for who may read what is in it.
fn gate(cx: &mut Cx<'_, '_>, course: &str, quiz: &str) -> Result<Gate> {
    let gone = || Error::no_such("quiz", quiz);
    let gate = match courses::gate(cx, course) {
        Err(Error::NotFound { .. }) => return Err(gone()),
        found => found?,
    };
    if gate.readable(cx.actor)? {
        Ok(gate)
    } else {
        Err(gone())
    }
}

/// One quiz, without anything that is asked in it.
///
/// # Errors
/// [`Error::NotFound`], also for what the actor may not see; [`Error::Ambiguous`];
/// [`Error::Forbidden`] for a token without `course:read`.
pub fn get(cx: &mut Cx<'_, '_>, quiz: &str) -> Result<Quiz> {
    let (row, gate) = find(cx, quiz)?;
    Ok(Quiz::of(row, &gate.slug))
}

/// The quizzes of a course, in the order of their slugs.
///
/// # Errors
/// As [`courses::gate`]; [`Error::NotFound`] for a course whose contents the actor may not read.
pub fn list(
    cx: &mut Cx<'_, '_>,
    course: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Quiz>> {
    let gate = courses::gate(cx, course)?;
    if !gate.readable(cx.actor)? {
        return Err(Error::no_such("course", course));
    }
    let after = cursor.unwrap_or_default();
    let rows = store::page(cx.tx, &gate.id, after, limit.saturating_add(1))?;
    let quizzes = rows.into_iter().map(|row| Quiz::of(row, &gate.slug));
    Ok(Page::cut(quizzes.collect(), limit, |quiz| {
        quiz.slug.clone()
    }))
}

/// The questions that a quiz asks, with what is right, in the author's order.
///
/// # Errors
/// As [`get`]; [`Error::NotFound`] for who does not manage the course: that there are questions is
/// all that others may know.
pub fn questions(cx: &mut Cx<'_, '_>, quiz: &str) -> Result<Vec<Place>> {
    whole(cx, quiz).map(|(_, places)| places)
}

/// The settings and the questions of a quiz, to be written down.
///
/// # Errors
/// As [`questions`].
pub fn export(cx: &mut Cx<'_, '_>, quiz: &str) -> Result<(Settings, Vec<Question>)> {
    let (row, places) = whole(cx, quiz)?;
    let questions = places.into_iter().map(|place| place.question);
    Ok((row.settings, questions.collect()))
}

fn whole(cx: &mut Cx<'_, '_>, quiz: &str) -> Result<(Row, Vec<Place>)> {
    let (row, gate) = find(cx, quiz)?;
    if !gate.manages(cx.actor) {
        return Err(Error::no_such("quiz", quiz));
    }
    let places = asked(cx, &row.id)?;
    Ok((row, places))
}

/// The questions of the quiz with this id. For `attempts`, which checks who asks.
pub(crate) fn asked(cx: &mut Cx<'_, '_>, id: &str) -> Result<Vec<Place>> {
    store::questions(cx.tx, id)
}

#[cfg(test)]
pub(crate) mod tests;
