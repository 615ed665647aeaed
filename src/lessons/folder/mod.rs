//! A course as a folder of text: `course.toml`, `01-module/01-lesson.md`, `assets/`.
//!
//! Invariants: everything that is wrong is told, each with file and line, before anything is
//! changed; what is taken in again is changed in its place, by slug, and nothing is deleted by it, so
//! that what people have done stays; exporting what was taken in gives the same files.

mod files;
mod read;
mod write;

use std::collections::HashSet;

use serde::Serialize;

pub use files::Files;
pub use read::{Chapter, Draft, Text, read};
pub use write::write;

use super::{Changes, NewLesson, Place, store};
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
    for (chapter, position, text) in draft.texts() {
        let found = old.iter().find(|(it, _)| it.slug == text.slug.as_str());
        let same = found.is_some_and(|(it, source)| {
            it.title == text.title.as_str()
                && source == text.source.as_str()
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
    for (chapter, position, text) in draft.texts() {
        let place = Place {
            module: Some(chapter.slug.clone()),
            module_title: Some(chapter.title.clone()),
            position: Some(position),
        };
        let Some((lesson, _)) = old.iter().find(|(it, _)| it.slug == text.slug.as_str()) else {
            let new = NewLesson {
                slug: text.slug.clone(),
                title: text.title.clone(),
                source: text.source.clone(),
                place,
            };
            super::insert(cx, &gate, &new)?;
            continue;
        };
        let changes = Changes {
            slug: None,
            title: Some(text.title.clone()),
            source: Some(text.source.clone()),
        };
        super::update_if(cx, &lesson.id, &changes, |_| Ok(()))?;
        super::move_to(cx, &lesson.id, &place)?;
    }
    arrange(cx, &gate, draft)?;
    let event = Event::new("course.imported", format!("course:{}", gate.id));
    let details = serde_json::to_value(&told).map_err(Error::internal)?;
    audit::record(cx, event.with(details))?;
    Ok(told)
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

/// Gives the modules the titles and the order of the folder; those that it does not have follow.
fn arrange(cx: &mut Cx<'_, '_>, gate: &Gate, draft: &Draft) -> Result<()> {
    let place = |slug: &str| {
        let found = draft
            .chapters
            .iter()
            .position(|it| it.slug.as_str() == slug);
        found.unwrap_or(usize::MAX)
    };
    let mut modules = store::modules(cx.tx, &gate.id)?;
    modules.sort_by_key(|module| place(&module.slug));
    for (position, module) in (1_i64..).zip(modules) {
        let chapter = draft
            .chapters
            .iter()
            .find(|it| it.slug.as_str() == module.slug);
        let title = chapter.map_or(module.title.as_str(), |it| it.title.as_str());
        if (position, title) != (module.position, module.title.as_str()) {
            store::set_module(cx.tx, &module.id, title, position)?;
        }
    }
    Ok(())
}
