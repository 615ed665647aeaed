//! What people have learnt, as statements of xAPI 1.0.3 for a learning record store.
//!
//! Invariants: a statement has the same id whenever it is told, and another id once it says something
//! else, such as other points after a regrading: a store that has it already keeps one of it; nothing
//! is told of attempts that are under way; the courses are walked through page by page, each page
//! a transaction of its own.

pub mod cli;
mod statement;
mod store;

use std::collections::VecDeque;

pub use statement::Statement;

use crate::app::Cx;
use crate::courses::{self, Course, Filter};
use crate::error::{Error, Result};
use crate::lessons::{self, Lesson};
use crate::quizzes::{self, Quiz};
use crate::time::Timestamp;

/// Courses, lessons or quizzes looked up at once, and rows of people.
const PART: u32 = 200;

/// Which statements are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Of this course, by its slug or id; with none, of every course.
    pub course: Option<String>,
    /// Of what happened then or later, and before that.
    pub during: (Timestamp, Timestamp),
    /// Where people reach this service: what every name in a statement begins with.
    pub base: String,
}

/// A way through all that is wanted.
#[derive(Debug)]
pub struct Walk {
    wanted: Wanted,
    /// Where the next page of courses begins.
    courses: Next,
    /// What is still to be looked through, in this order.
    ahead: VecDeque<Stop>,
}

/// Where a list goes on.
#[derive(Debug)]
enum Next {
    Start,
    Behind(String),
    End,
}

/// Something to look through, and how far that has come.
#[derive(Debug)]
enum Stop {
    Course(Box<Course>),
    Lesson(Box<Course>, Box<Lesson>, String),
    Quiz(Box<Course>, Box<Quiz>, (Timestamp, String)),
}

impl Walk {
    /// A way that is at its beginning.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            courses: Next::Start,
            ahead: VecDeque::new(),
        }
    }

    /// The next statements, which may be none; nothing at the end of the way.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the course; [`Error::Forbidden`] for who does not oversee it.
    pub fn next(&mut self, cx: &mut Cx<'_, '_>) -> Result<Option<Vec<Statement>>> {
        let Some(stop) = self.ahead.pop_front() else {
            return self.more_courses(cx).map(|more| more.then(Vec::new));
        };
        match self.look(cx, stop) {
            // It was deleted meanwhile.
            Err(Error::NotFound { .. }) => Ok(Some(Vec::new())),
            found => found.map(Some),
        }
    }

    fn more_courses(&mut self, cx: &mut Cx<'_, '_>) -> Result<bool> {
        let cursor = match std::mem::replace(&mut self.courses, Next::End) {
            Next::Start => None,
            Next::Behind(cursor) => Some(cursor),
            Next::End => return Ok(false),
        };
        if let Some(course) = &self.wanted.course {
            let course = Box::new(courses::get(cx, course)?);
            self.ahead.push_back(Stop::Course(course));
            return Ok(true);
        }
        let page = courses::list(cx, &Filter::default(), cursor.as_deref(), PART)?;
        self.courses = page.next.map_or(Next::End, Next::Behind);
        let stops = page.items.into_iter().map(Box::new).map(Stop::Course);
        self.ahead.extend(stops);
        Ok(true)
    }

    fn look(&mut self, cx: &mut Cx<'_, '_>, stop: Stop) -> Result<Vec<Statement>> {
        let (during, base) = (self.wanted.during, &self.wanted.base);
        match stop {
            Stop::Course(course) => {
                // Before the courses that wait: of one alone is all held at a time.
                for stop in inside(cx, &course)?.into_iter().rev() {
                    self.ahead.push_front(stop);
                }
                Ok(Vec::new())
            }
            Stop::Lesson(course, lesson, after) => {
                let found = lessons::completions(cx, &lesson.id, during, &after, PART)?;
                let told = found
                    .iter()
                    .map(|one| statement::completed(base, &course, &lesson, one));
                let told = told.collect();
                if let Some(last) = found.into_iter().next_back() {
                    let rest = Stop::Lesson(course, lesson, last.user);
                    self.ahead.push_front(rest);
                }
                Ok(told)
            }
            Stop::Quiz(course, quiz, after) => {
                let found = store::over(cx.tx, &quiz.id, during, &after, PART)?;
                let told = found
                    .iter()
                    .map(|one| statement::attempted(base, &course, &quiz, one));
                let told = told.collect::<Result<Vec<_>>>()?;
                if let Some(last) = found.into_iter().next_back() {
                    let rest = Stop::Quiz(course, quiz, (last.started_at, last.id));
                    self.ahead.push_front(rest);
                }
                Ok(told.into_iter().flatten().collect())
            }
        }
    }
}

/// The lessons and quizzes of a course, for who may see what people have done in it.
fn inside(cx: &mut Cx<'_, '_>, course: &Course) -> Result<Vec<Stop>> {
    let gate = courses::gate(cx, &course.id)?;
    if !gate.oversees(cx.actor) {
        gate.require_manager(cx.actor)?;
    }
    let mut stops = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = lessons::list(cx, &course.id, cursor.as_deref(), PART)?;
        let lessons = page.items.into_iter().map(Box::new);
        stops.extend(
            lessons.map(|lesson| Stop::Lesson(course.clone().into(), lesson, String::new())),
        );
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    loop {
        let page = quizzes::list(cx, &course.id, cursor.as_deref(), PART)?;
        let quizzes = page.items.into_iter().map(Box::new);
        let start = || (Timestamp(i64::MIN), String::new());
        stops.extend(quizzes.map(|quiz| Stop::Quiz(course.clone().into(), quiz, start())));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(stops);
        }
    }
}

#[cfg(test)]
mod tests;
