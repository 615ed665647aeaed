//! Courses with their lessons, made by the library itself: a catalogue that people look through.

use std::path::{Path, PathBuf};

use provost::app::{Actor, Cx};
use provost::courses::{self, Changes, Course, NewCourse, State};
use provost::db::Role;
use provost::error::Result;
use provost::lessons::{self, NewLesson, Place};

use crate::Outcome;
use crate::library;
use crate::people::{self, People};

/// How many there are.
pub(crate) const COURSES: usize = 1_000;

/// Lessons of each.
const LESSONS: usize = 20;

/// Lessons of a module.
const MODULE: usize = 5;

/// One of so many is still a draft, which only shows that it is not shown.
const DRAFTS: usize = 10;

/// A data folder with courses, and people who look at them.
pub(crate) struct Catalogue {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// The published courses.
    pub(crate) courses: Vec<Course>,
    /// Who is logged in.
    pub(crate) people: People,
}

/// Puts courses and people into the folder's database, which has none yet.
pub(crate) fn make(folder: PathBuf) -> Outcome<Catalogue> {
    Ok(Catalogue {
        courses: courses(&folder)?,
        people: people::make(&folder, people::SEVERAL)?,
        folder,
    })
}

/// The courses, in one transaction.
fn courses(folder: &Path) -> Outcome<Vec<Course>> {
    let app = library::open(folder, Role::Shell)?;
    let actor = Actor::job("load");
    let all: Vec<Course> = app.import(&actor, |cx| {
        (0..COURSES).map(|number| course(cx, number)).collect()
    })?;
    let published = all.into_iter();
    Ok(published
        .filter(|course| course.state == State::Published)
        .collect())
}

fn course(cx: &mut Cx<'_, '_>, number: usize) -> Result<Course> {
    let summary = format!(
        "What number {number} is about, in the two or three sentences that a list shows: for whom \
         it is, what they can do afterwards, and how many evenings it takes."
    );
    let new = NewCourse {
        summary: summary.try_into()?,
        language: Some("en".parse()?),
        tags: vec!["basics".parse()?, format!("shelf-{}", number % 50).parse()?],
        ..NewCourse::named(
            format!("course-{number:04}").parse()?,
            format!("Course {number}: how to do it well").try_into()?,
        )
    };
    let id = courses::create(cx, &new)?.id;
    for lesson in 0..LESSONS {
        lessons::create(cx, &id, &new_lesson(lesson)?)?;
    }
    let state = if number.is_multiple_of(DRAFTS) {
        State::Draft
    } else {
        State::Published
    };
    courses::update(cx, &id, &Changes::to(state))
}

fn new_lesson(number: usize) -> Result<NewLesson> {
    let source = format!(
        "# Step {number}\n\n{}",
        "A paragraph of a lesson, with *some* words that stand out and [a link](https://example.org).\n\n"
            .repeat(20)
    );
    Ok(NewLesson {
        slug: format!("step-{number:02}").parse()?,
        title: format!("Step {number}").try_into()?,
        place: Place {
            module: Some(format!("part-{}", number / MODULE).parse()?),
            module_title: None,
            position: None,
        },
        source: source.try_into()?,
    })
}
