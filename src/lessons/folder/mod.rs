//! A course as a folder of text: `course.toml`, `01-module/01-lesson.md`, `assets/`.
//!
//! Invariants: everything that is wrong is told, each with file and line, before anything is
//! changed; what is taken in again is changed in its place, by slug, and nothing is deleted by it, so
//! that what people have done stays; exporting what was taken in gives the same files.

mod files;
mod order;
mod read;
mod write;

use std::collections::{HashMap, HashSet};

use serde::Serialize;

pub use files::Files;
pub use read::{Chapter, Draft, Text, read};
pub use write::write;

use super::{Changes, Lesson, NewLesson, Place};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::courses::{self, Course, Gate, NewCourse};
use crate::error::{Error, Result};
use crate::users::Change;

/// What taking a course in did, or, with `dry_run`, would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The slug of the course.
    pub course: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Whether there was no such course before.
    pub created: bool,
    /// Lessons that are new.
    pub lessons_created: u64,
    /// Lessons that are different now.
    pub lessons_updated: u64,
    /// Lessons that were so already.
    pub lessons_unchanged: u64,
    /// Lessons of the course that the folder does not have: they stay.
    pub lessons_kept: Vec<String>,
    /// Files that are new or different.
    pub files_written: u64,
    /// Files that were so already.
    pub files_unchanged: u64,
}

/// What taking `draft` in would do.
///
/// # Errors
/// As [`courses::gate`] for a course that is there; [`Error::Forbidden`].
pub fn plan(cx: &mut Cx<'_, '_>, draft: &Draft) -> Result<Imported> {
    let gate = there(cx, draft)?;
    let mut told = Imported {
        course: draft.new.slug.as_str().to_owned(),
        dry_run: true,
        created: gate.is_none(),
        lessons_created: 0,
        lessons_updated: 0,
        lessons_unchanged: 0,
        lessons_kept: Vec::new(),
        files_written: 0,
        files_unchanged: 0,
    };
    let old = match &gate {
        Some(gate) => super::all(cx, gate)?,
        None => Vec::new(),
    };
    let known = by_slug(&old);
    for (chapter, position, text) in draft.texts() {
        let found = known.get(text.slug.as_str());
        let same = found.is_some_and(|(it, source)| {
            says(it, source, text)
                && it.module == chapter.slug.as_str()
                && it.position == i64::from(position)
        });
        match (found.is_some(), same) {
            (false, _) => told.lessons_created += 1,
            (true, false) => told.lessons_updated += 1,
            (true, true) => told.lessons_unchanged += 1,
        }
    }
    let named: HashSet<&str> = draft
        .texts()
        .map(|(_, _, text)| text.slug.as_str())
        .collect();
    let gone = old
        .iter()
        .filter(|(it, _)| !named.contains(it.slug.as_str()));
    told.lessons_kept = gone.map(|(it, _)| it.slug.clone()).collect();
    for (name, bytes) in &draft.assets {
        let same = match &gate {
            Some(gate) => courses::attachments::is_there(cx, gate, name, bytes)?,
            None => false,
        };
        if same {
            told.files_unchanged += 1;
        } else {
            told.files_written += 1;
        }
    }
    Ok(told)
}

/// The course that is meant, if there is one already, for who manages it.
fn there(cx: &mut Cx<'_, '_>, draft: &Draft) -> Result<Option<Gate>> {
    match courses::manage(cx, draft.new.slug.as_str()) {
        Ok(gate) if gate.slug == draft.new.slug.as_str() => Ok(Some(gate)),
        Ok(_) | Err(Error::NotFound { .. } | Error::Ambiguous { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Takes `draft` in: makes the course, which is a draft then, or changes the one that there is.
///
/// # Errors
/// As [`courses::create`] and [`courses::update`], and those of the lessons' verbs.
pub fn apply(cx: &mut Cx<'_, '_>, draft: &Draft) -> Result<Imported> {
    let told = Imported {
        dry_run: false,
        ..plan(cx, draft)?
    };
    let course = course(cx, &draft.new)?;
    let gate = courses::manage(cx, &course.id)?;
    for (name, bytes) in &draft.assets {
        courses::attachments::put(cx, &gate, name, bytes)?;
    }
    let old = super::all(cx, &gate)?;
    let known = by_slug(&old);
    let mut modules = HashMap::new();
    for chapter in &draft.chapters {
        let module = super::module(cx, &gate, &place(chapter))?;
        modules.insert(chapter.slug.as_str(), module);
    }
    for (chapter, _, text) in draft.texts() {
        if let Some((lesson, source)) = known.get(text.slug.as_str()) {
            let changes = Changes {
                slug: None,
                title: Some(text.title.clone()),
                source: Some(text.source.clone()),
            };
            super::change(cx, &gate, (lesson, source), &changes)?;
            continue;
        }
        let new = NewLesson {
            slug: text.slug.clone(),
            title: text.title.clone(),
            source: text.source.clone(),
            place: place(chapter),
        };
        let module = modules.get(chapter.slug.as_str());
        let module = module.ok_or_else(|| Error::internal("a module that was not made"))?;
        super::insert(cx, &gate, module, &new)?;
    }
    order::lessons(cx, &gate, draft)?;
    order::modules(cx, &gate, draft)?;
    let event = Event::new("course.imported", format!("course:{}", gate.id));
    let details = serde_json::to_value(&told).map_err(Error::internal)?;
    audit::record(cx, event.with(details))?;
    Ok(told)
}

/// The end of a chapter.
fn place(chapter: &Chapter) -> Place {
    Place {
        module: Some(chapter.slug.clone()),
        module_title: Some(chapter.title.clone()),
        position: None,
    }
}

/// What there is of a course, by slug.
fn by_slug(old: &[(Lesson, String)]) -> HashMap<&str, &(Lesson, String)> {
    old.iter().map(|one| (one.0.slug.as_str(), one)).collect()
}

/// Whether a lesson says what the file says, wherever it stands.
fn says(lesson: &Lesson, source: &str, text: &Text) -> bool {
    lesson.title == text.title.as_str() && source == text.source.as_str()
}

/// The course itself, made or changed.
fn course(cx: &mut Cx<'_, '_>, new: &NewCourse) -> Result<Course> {
    let slug = new.slug.as_str();
    match courses::get(cx, slug) {
        Ok(course) if course.slug == slug => {
            let changes = courses::Changes {
                title: Some(new.title.clone()),
                summary: Some(new.summary.clone()),
                language: new.language.clone().map_or(Change::Clear, Change::Set),
                visibility: Some(new.visibility),
                enrolment: Some(new.enrolment),
                tags: Some(new.tags.clone()),
                ..courses::Changes::default()
            };
            courses::update(cx, &course.id, &changes)
        }
        Ok(_) | Err(Error::NotFound { .. } | Error::Ambiguous { .. }) => courses::create(cx, new),
        Err(other) => Err(other),
    }
}
