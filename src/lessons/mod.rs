//! Lessons: what a course consists of, in modules and in order, and how far people have come.
//!
//! Invariants: a lesson is there for who may read its course; a slug belongs to one lesson of a
//! course; the lessons of a module are numbered from 1 without a gap; what is shown as HTML was
//! cleaned of whatever could run; moving and changing a lesson keeps what people have done.

pub mod cli;
pub mod folder;
pub mod http;
mod markdown;
mod model;
mod progress;
mod store;

use serde_json::json;

pub use model::{Changes, Lesson, Mark, NewLesson, Place, Progress, Reading, Source, Step};
pub use progress::{Completion, completions, mark, progress, reset};

use crate::app::Cx;
use crate::audit::{self, Event};
use crate::courses::{self, Gate, Slug, Title};
use crate::error::{Error, Result};
use crate::id;
use crate::page::Page;

fn object(id: &str) -> String {
    format!("lesson:{id}")
}

/// The course that `text` names, whose lessons the actor may read.
fn readable(cx: &mut Cx<'_, '_>, text: &str) -> Result<Gate> {
    let gate = courses::gate(cx, text)?;
    if gate.readable(cx.actor)? {
        return Ok(gate);
    }
    Err(Error::invalid(
        "course",
        "accept the invitation first: enrol",
    ))
}

/// The lesson that `text` names, by its id, the first characters of it, or as `course/lesson`, and
/// its course. For the verbs of other slices, too.
///
/// # Errors
/// [`Error::NotFound`], also for what the actor may not read; [`Error::Ambiguous`];
/// [`Error::Forbidden`] for a token without `course:read`.
pub fn find(cx: &mut Cx<'_, '_>, text: &str) -> Result<(Lesson, Gate)> {
    let none = || Error::no_such("lesson", text);
    if let Some((course, slug)) = text.split_once('/') {
        let gate = courses::gate(cx, course)?;
        let lesson = store::by_slug(cx.tx, &gate.id, slug)?.ok_or_else(none)?;
        return seen(cx, lesson, text);
    }
    let (low, high) = id::range(text).ok_or_else(none)?;
    let mut there = Vec::new();
    for lesson in store::between(cx.tx, &low, &high)? {
        match seen(cx, lesson, text) {
            Ok(found) => there.push(found),
            Err(Error::NotFound { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    match (there.pop(), there.is_empty()) {
        (Some(found), true) => Ok(found),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "lesson",
            prefix: text.to_owned(),
        }),
        (None, _) => Err(none()),
    }
}

/// The lesson and its course, if the actor may read it.
fn seen(cx: &mut Cx<'_, '_>, lesson: Lesson, text: &str) -> Result<(Lesson, Gate)> {
    let none = || Error::no_such("lesson", text);
    let gate = match courses::gate(cx, &lesson.course) {
        Ok(gate) => gate,
        Err(Error::NotFound { .. }) => return Err(none()),
        Err(other) => return Err(other),
    };
    if gate.readable(cx.actor)? {
        Ok((lesson, gate))
    } else {
        Err(none())
    }
}

/// One lesson with its text.
///
/// # Errors
/// As [`find`].
pub fn get(cx: &mut Cx<'_, '_>, text: &str) -> Result<Reading> {
    let (lesson, gate) = find(cx, text)?;
    reading(cx, lesson, &gate)
}

fn reading(cx: &mut Cx<'_, '_>, lesson: Lesson, gate: &Gate) -> Result<Reading> {
    let source = store::source(cx.tx, &lesson.id)?;
    let source = source.ok_or_else(|| Error::no_such("lesson", &lesson.id))?;
    let html = markdown::html(&source, &gate.slug);
    Ok(Reading {
        lesson,
        source,
        html,
    })
}

/// Which version of the lesson `text` names now: less than [`get`], for who knows one already.
///
/// # Errors
/// As [`find`].
pub fn stamp(cx: &mut Cx<'_, '_>, text: &str) -> Result<String> {
    find(cx, text).map(|(lesson, _)| lesson.stamp())
}

/// The lessons of a course in their order.
///
/// # Errors
/// As [`courses::gate`]; [`Error::Invalid`] for a cursor that is none, and for who is invited and
/// has not accepted.
pub fn list(
    cx: &mut Cx<'_, '_>,
    course: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Lesson>> {
    let gate = readable(cx, course)?;
    let after = match cursor {
        Some(cursor) => place(cursor)?,
        None => (0, 0),
    };
    let lessons = store::page(cx.tx, &gate.id, after, limit.saturating_add(1))?;
    Ok(Page::cut(lessons, limit, |lesson| {
        format!("{}.{}", lesson.module_position, lesson.position)
    }))
}

fn place(cursor: &str) -> Result<(i64, i64)> {
    cursor
        .split_once('.')
        .and_then(|(module, lesson)| Some((module.parse().ok()?, lesson.parse().ok()?)))
        .ok_or_else(|| Error::invalid("cursor", "is not one of this list"))
}

/// All lessons of a course with their sources, in their order: for who copies it.
///
/// # Errors
/// As [`courses::gate`]; [`Error::Forbidden`] for who does not oversee it.
pub fn all(cx: &mut Cx<'_, '_>, gate: &Gate) -> Result<Vec<(Lesson, String)>> {
    if !gate.oversees(cx.actor) {
        gate.require_manager(cx.actor)?;
    }
    store::all(cx.tx, &gate.id)
}

/// Makes a lesson.
///
/// # Errors
/// As [`courses::manage`]; [`Error::SlugTaken`].
pub fn create(cx: &mut Cx<'_, '_>, course: &str, new: &NewLesson) -> Result<Reading> {
    let gate = courses::manage(cx, course)?;
    let module = module(cx, &gate, &new.place)?;
    let id = insert(cx, &gate, &module, new)?;
    get(cx, &id)
}

/// Adds a lesson to the module with this id.
fn insert(cx: &mut Cx<'_, '_>, gate: &Gate, module: &str, new: &NewLesson) -> Result<String> {
    let id = id::entity(cx.now);
    if !store::insert(cx.tx, &id, (&gate.id, module), new, cx.now)? {
        return Err(Error::SlugTaken);
    }
    if new.place.position.is_some() {
        arrange(cx, module, Some((&id, new.place.position)))?;
    }
    let details = json!({ "course": gate.id, "slug": new.slug });
    audit::record(cx, Event::new("lesson.created", object(&id)).with(details))?;
    Ok(id)
}

/// The id of the module where a lesson is to stand; it is made if it is not there.
fn module(cx: &mut Cx<'_, '_>, gate: &Gate, place: &Place) -> Result<String> {
    let modules = store::modules(cx.tx, &gate.id)?;
    let found = match &place.module {
        Some(slug) => modules.iter().find(|module| module.slug == slug.as_str()),
        None => modules.last(),
    };
    if let Some(found) = found {
        return Ok(found.id.clone());
    }
    let slug = place.module.as_ref().map_or("lessons", Slug::as_str);
    let title = place.module_title.as_ref().map_or(slug, Title::as_str);
    let id = id::entity(cx.now);
    let last = modules.iter().map(|module| module.position).max();
    let position = last.unwrap_or(0).saturating_add(1);
    store::insert_module(cx.tx, &id, &gate.id, (slug, title), position)?;
    let details = json!({ "course": gate.id, "slug": slug });
    let event = Event::new("module.created", format!("module:{id}"));
    audit::record(cx, event.with(details))?;
    Ok(id)
}

/// Numbers the lessons of a module from 1, with `moved` at its new place.
fn arrange(cx: &mut Cx<'_, '_>, module: &str, moved: Option<(&str, Option<u32>)>) -> Result<()> {
    let mut order = store::order(cx.tx, module)?;
    if let Some((id, position)) = moved {
        order.retain(|(other, _)| other != id);
        let place = position.map_or(order.len(), |position| {
            usize::try_from(position)
                .unwrap_or(usize::MAX)
                .saturating_sub(1)
        });
        order.insert(place.min(order.len()), (id.to_owned(), 0));
    }
    for (position, (id, old)) in (1_i64..).zip(order) {
        if position != old {
            store::set_position(cx.tx, &id, module, position)?;
        }
    }
    Ok(())
}

/// The lesson as it stays until the end of the transaction, for who manages its course.
fn hold(cx: &mut Cx<'_, '_>, text: &str) -> Result<(Lesson, Gate)> {
    let (lesson, gate) = find(cx, text)?;
    courses::manage(cx, &gate.id)?;
    find(cx, &lesson.id)
}

/// Changes a lesson, if `still` has nothing against it as it is. What is so already makes no new
/// version.
///
/// # Errors
/// As [`find`]; [`Error::Forbidden`] for who does not manage the course; [`Error::SlugTaken`];
/// what `still` returns.
pub fn update_if(
    cx: &mut Cx<'_, '_>,
    text: &str,
    changes: &Changes,
    still: impl FnOnce(&Lesson) -> Result<()>,
) -> Result<Reading> {
    let (lesson, gate) = hold(cx, text)?;
    still(&lesson)?;
    let source = store::source(cx.tx, &lesson.id)?;
    let source = source.ok_or_else(|| Error::no_such("lesson", text))?;
    change(cx, &gate, (&lesson, &source), changes)?;
    get(cx, &lesson.id)
}

/// Writes what differs from what there is.
fn change(
    cx: &mut Cx<'_, '_>,
    gate: &Gate,
    (lesson, source): (&Lesson, &str),
    changes: &Changes,
) -> Result<()> {
    let to = |to: Option<&str>, now: &str| to.is_some_and(|to| to != now);
    let members = [
        (
            "slug",
            to(changes.slug.as_ref().map(Slug::as_str), &lesson.slug),
        ),
        (
            "title",
            to(changes.title.as_ref().map(Title::as_str), &lesson.title),
        ),
        (
            "source",
            to(changes.source.as_ref().map(Source::as_str), source),
        ),
    ];
    let members: Vec<&str> = members
        .into_iter()
        .filter_map(|(member, differs)| differs.then_some(member))
        .collect();
    if members.is_empty() {
        return Ok(());
    }
    if !store::set(cx.tx, (&lesson.id, &gate.id), changes, cx.now)? {
        return Err(Error::SlugTaken);
    }
    let details = json!({ "course": gate.id, "changed": members });
    let event = Event::new("lesson.updated", object(&lesson.id));
    audit::record(cx, event.with(details))
}

/// Brings a lesson to another place of its course.
///
/// # Errors
/// As [`find`]; [`Error::Forbidden`] for who does not manage the course.
pub fn move_to(cx: &mut Cx<'_, '_>, text: &str, to: &Place) -> Result<Lesson> {
    let (lesson, gate) = hold(cx, text)?;
    let old = store::module_of(cx.tx, &lesson.id)?;
    let new = match to.module {
        Some(_) => module(cx, &gate, to)?,
        None => old.clone(),
    };
    arrange(cx, &new, Some((&lesson.id, to.position)))?;
    if new != old {
        arrange(cx, &old, None)?;
    }
    let moved = find(cx, &lesson.id)?.0;
    if (&moved.module, moved.position) == (&lesson.module, lesson.position) {
        return Ok(moved);
    }
    store::touch(cx.tx, &lesson.id, cx.now)?;
    let details = json!({ "course": gate.id, "module": moved.module, "position": moved.position });
    let event = Event::new("lesson.moved", object(&lesson.id));
    audit::record(cx, event.with(details))?;
    Ok(find(cx, &lesson.id)?.0)
}

/// Deletes a lesson and what people have done with it, if `still` has nothing against it as it is.
///
/// # Errors
/// As [`find`]; [`Error::Forbidden`] for who does not manage the course; what `still` returns.
pub fn delete_if(
    cx: &mut Cx<'_, '_>,
    text: &str,
    still: impl FnOnce(&Lesson) -> Result<()>,
) -> Result<Lesson> {
    let (lesson, gate) = hold(cx, text)?;
    still(&lesson)?;
    let module = store::module_of(cx.tx, &lesson.id)?;
    store::delete(cx.tx, &lesson.id)?;
    arrange(cx, &module, None)?;
    let details = json!({ "course": gate.id, "slug": lesson.slug });
    let event = Event::new("lesson.deleted", object(&lesson.id));
    audit::record(cx, event.with(details))?;
    Ok(lesson)
}

#[cfg(test)]
mod tests;
