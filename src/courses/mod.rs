//! Courses: what there is to learn, who may see it, and whose it is.
//!
//! Invariants: a slug belongs to one course; what somebody may not see is not there for them
//! (`sight`); every change makes a new version, which is all that an `ETag` has to say; a course is
//! deleted with everything in it, and nothing but an order to do so deletes what people have done.

pub mod attachments;
pub mod cli;
pub mod http;
mod model;
mod names;
mod pages;
mod sight;
mod store;

use serde_json::json;

pub use attachments::AttachmentName;
pub use model::{Admission, Changes, Course, Filter, NewCourse, Stamp, State, Visibility};
pub use names::{Slug, Summary, Tag, Title};
pub use pages::{PageStamp, list, page_stamp};
pub use sight::{Gate, Tie, Whom, whom};

use sight::Reach;
use store::Key;

use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::id;
use crate::scope::known;
use crate::users::{self, Change, Role};

fn object(id: &str) -> String {
    format!("course:{id}")
}

/// What `text` can name: a slug, an id, the first characters of an id.
fn key(text: &str) -> Result<Key> {
    let slug = text.parse::<Slug>().ok();
    match (slug, id::range(text)) {
        (Some(slug), None) => Ok(Key::Slug(slug.as_str().to_owned())),
        (None, Some((low, high))) => Ok(Key::Ids(low, high)),
        (Some(slug), Some((low, high))) => Ok(Key::Either(slug.as_str().to_owned(), low, high)),
        (None, None) => Err(Error::no_such("course", text)),
    }
}

/// The one that is meant among those found: a slug is more than the beginning of an id.
fn choose<T>(found: Vec<T>, text: &str, slug: impl Fn(&T) -> &str) -> Result<T> {
    let mut found = found;
    if let Some(place) = found.iter().position(|one| slug(one) == text) {
        return Ok(found.swap_remove(place));
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Error::Ambiguous {
            noun: "course",
            prefix: text.to_owned(),
        }),
        (None, _) => Err(Error::no_such("course", text)),
    }
}

/// Who may do what with the course that `text` names: its slug, its id or the first characters of
/// that. One statement. For the verbs of other slices, too.
///
/// # Errors
/// [`Error::NotFound`], also for what the actor may not see; [`Error::Ambiguous`];
/// [`Error::Forbidden`] for a token without `course:read`.
pub fn gate(cx: &mut Cx<'_, '_>, text: &str) -> Result<Gate> {
    sight::reach(cx.actor)?;
    let mut found = store::gates(cx.tx, &key(text)?, cx.actor.user())?;
    // Before one is chosen: how many of others' begin alike is nobody's business.
    retain(&mut found, |gate| gate.visible(cx.actor))?;
    choose(found, text, |gate| &gate.slug)
}

fn retain<T>(found: &mut Vec<T>, keep: impl Fn(&T) -> Result<bool>) -> Result<()> {
    let kept = found.iter().map(keep).collect::<Result<Vec<_>>>()?;
    let mut kept = kept.into_iter();
    found.retain(|_| kept.next().unwrap_or(false));
    Ok(())
}

/// The course that `text` names, as [`gate`]. One statement.
///
/// # Errors
/// As [`gate`].
pub fn get(cx: &mut Cx<'_, '_>, text: &str) -> Result<Course> {
    seen(cx, text).map(|(course, _)| course)
}

fn seen(cx: &mut Cx<'_, '_>, text: &str) -> Result<(Course, Gate)> {
    sight::reach(cx.actor)?;
    let mut found = store::courses(cx.tx, &key(text)?, cx.actor.user())?;
    retain(&mut found, |(_, gate)| gate.visible(cx.actor))?;
    choose(found, text, |(course, _)| &course.slug)
}

/// Which version of the course `text` names now: less than [`get`], for who knows one already.
///
/// # Errors
/// As [`gate`].
pub fn stamp(cx: &mut Cx<'_, '_>, text: &str) -> Result<Stamp> {
    let gate = gate(cx, text)?;
    Ok(Stamp {
        id: gate.id,
        version: gate.version,
        updated_at: gate.updated_at,
        owned: gate.owner.is_some(),
    })
}

/// The course as it stays until the end of the transaction, for who manages it.
fn hold(cx: &mut Cx<'_, '_>, text: &str) -> Result<Course> {
    let gate = gate(cx, text)?;
    gate.require_manager(cx.actor)?;
    cx.tx.lock(("course", &gate.id))?;
    get(cx, &gate.id)
}

/// Lets the actor change what belongs to the course that `text` names, and keeps others from it
/// until the end of the transaction. For the verbs of other slices.
///
/// # Errors
/// As [`gate`]; [`Error::Forbidden`] for who does not manage it.
pub fn manage(cx: &mut Cx<'_, '_>, text: &str) -> Result<Gate> {
    let gate = gate(cx, text)?;
    gate.require_manager(cx.actor)?;
    cx.tx.lock(("course", &gate.id))?;
    Ok(gate)
}

/// Makes a course, which is a draft. An author's is their own.
///
/// # Errors
/// [`Error::Forbidden`] for who is neither an author nor may do `course:write`;
/// [`Error::SlugTaken`]; [`Error::Invalid`] for an owner who writes no courses.
pub fn create(cx: &mut Cx<'_, '_>, new: &NewCourse) -> Result<Course> {
    sight::may_create(cx.actor)?;
    check_tags(&new.tags)?;
    let owner = owner_of_new(cx, new.owner.as_deref())?;
    let id = id::entity(cx.now);
    if !store::insert(cx.tx, &id, new, owner.as_deref(), cx.now)? {
        return Err(Error::SlugTaken);
    }
    store::set_tags(cx.tx, &id, &new.tags)?;
    let details = json!({ "slug": new.slug, "owner": owner });
    audit::record(cx, Event::new("course.created", object(&id)).with(details))?;
    get(cx, &id)
}

/// Whose a new course becomes.
fn owner_of_new(cx: &mut Cx<'_, '_>, asked: Option<&str>) -> Result<Option<String>> {
    match (sight::reach(cx.actor), asked) {
        (Ok(Reach::Person(person)), None) => Ok(Some(person.id.to_owned())),
        (_, None) => Ok(cx.actor.user().map(str::to_owned)),
        (_, Some(asked)) => owner(cx, asked).map(Some),
    }
}

/// The id of somebody who can own a course. Authors give theirs to nobody.
fn owner(cx: &mut Cx<'_, '_>, asked: &str) -> Result<String> {
    if let Ok(Reach::Person(person)) = sight::reach(cx.actor) {
        let own = person.id.to_owned();
        // The same for who does not exist: that is not for everybody to know.
        return match users::id_of(cx, asked)? {
            Some(id) if id == own => Ok(own),
            Some(_) | None => Err(Error::Forbidden {
                needs: known::COURSE_WRITE.into(),
            }),
        };
    }
    let user = users::resolve(cx, asked)?;
    let writes = |role| user.roles.contains(&role);
    if writes(Role::Admin) || writes(Role::Author) {
        Ok(user.id)
    } else {
        let rule = "has neither the role author nor admin: give it first (provost user role add)";
        Err(Error::invalid("owner", rule))
    }
}

fn check_tags(tags: &[Tag]) -> Result<()> {
    if tags.len() > Tag::MOST {
        let rule = format!("must be at most {}", Tag::MOST);
        return Err(Error::invalid("tags", rule));
    }
    Ok(())
}

/// Changes a course.
///
/// # Errors
/// As [`update_if`].
pub fn update(cx: &mut Cx<'_, '_>, text: &str, changes: &Changes) -> Result<Course> {
    update_if(cx, text, changes, |_| Ok(()))
}

/// Changes a course, if `still` has nothing against it as it is. What is so already makes no new
/// version.
///
/// # Errors
/// As [`gate`]; [`Error::Forbidden`] for who does not manage it; [`Error::SlugTaken`];
/// [`Error::Invalid`] for an owner who writes no courses; what `still` returns.
pub fn update_if(
    cx: &mut Cx<'_, '_>,
    text: &str,
    changes: &Changes,
    still: impl FnOnce(&Course) -> Result<()>,
) -> Result<Course> {
    let course = hold(cx, text)?;
    still(&course)?;
    check_tags(changes.tags.as_deref().unwrap_or_default())?;
    let to = match &changes.owner {
        Change::Keep => Change::Keep,
        Change::Clear => {
            cx.actor.require(known::COURSE_WRITE)?;
            Change::Clear
        }
        Change::Set(to) => Change::Set(owner(cx, to)?),
    };
    let differs = changed(&course, changes, &to);
    if differs.is_empty() {
        return Ok(course);
    }
    if !store::set(cx.tx, &course, changes, &to, cx.now)? {
        return Err(Error::SlugTaken);
    }
    if let Some(tags) = &changes.tags {
        store::set_tags(cx.tx, &course.id, tags)?;
    }
    let action = match changes.state.filter(|state| *state != course.state) {
        Some(State::Published) => "course.published",
        Some(State::Draft) => "course.unpublished",
        Some(State::Archived) => "course.archived",
        None => "course.updated",
    };
    let details = json!({ "changed": differs });
    let event = Event::new(action, object(&course.id)).with(details);
    audit::record(cx, event)?;
    // As an administrator can give a course away, so an author can lose the sight of it.
    get(cx, &course.id)
}

/// The members that would become different.
fn changed(course: &Course, to: &Changes, owner: &Change<String>) -> Vec<&'static str> {
    fn differs<T>(to: Option<&T>, same: impl FnOnce(&T) -> bool) -> bool {
        to.is_some_and(|to| !same(to))
    }
    let language = match &to.language {
        Change::Keep => false,
        Change::Clear => course.language.is_some(),
        Change::Set(to) => course.language.as_deref() != Some(to.as_str()),
    };
    let owner = match owner {
        Change::Keep => false,
        Change::Clear => course.owner.is_some(),
        Change::Set(to) => course.owner.as_deref() != Some(to.as_str()),
    };
    let tags = to.tags.as_ref().map(|tags| {
        let mut tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    });
    let members = [
        (
            "slug",
            differs(to.slug.as_ref(), |to| course.slug == to.as_str()),
        ),
        (
            "title",
            differs(to.title.as_ref(), |to| course.title == to.as_str()),
        ),
        (
            "summary",
            differs(to.summary.as_ref(), |to| course.summary == to.as_str()),
        ),
        ("language", language),
        (
            "state",
            differs(to.state.as_ref(), |to| course.state == *to),
        ),
        (
            "visibility",
            differs(to.visibility.as_ref(), |to| course.visibility == *to),
        ),
        (
            "enrolment",
            differs(to.enrolment.as_ref(), |to| course.enrolment == *to),
        ),
        ("tags", differs(tags.as_ref(), |to| course.tags == *to)),
        ("owner", owner),
    ];
    let changed = members.into_iter().filter(|(_, changes)| *changes);
    changed.map(|(member, _)| member).collect()
}

/// Deletes a course with everything in it, if `still` has nothing against it as it is.
///
/// # Errors
/// As [`gate`]; [`Error::Forbidden`] for who does not manage it; what `still` returns.
pub fn delete_if(
    cx: &mut Cx<'_, '_>,
    text: &str,
    still: impl FnOnce(&Course) -> Result<()>,
) -> Result<Course> {
    let course = hold(cx, text)?;
    still(&course)?;
    if !store::delete(cx.tx, &course.id)? {
        return Err(Error::no_such("course", text));
    }
    let details = json!({ "slug": course.slug });
    let event = Event::new("course.deleted", object(&course.id)).with(details);
    audit::record(cx, event)?;
    Ok(course)
}

#[cfg(test)]
pub(crate) mod tests;
