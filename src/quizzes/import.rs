//! Taking a quiz in, over and over: what is there is corrected in place.

use std::collections::HashMap;

use serde_json::json;

use super::form::{Written, told_apart, twice};
use super::gift::Fault;
use super::model::{Imported, Place};
use super::question::Question;
use super::source::Draft;
use super::{find, store};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::courses::{self, Gate, Slug};
use crate::error::{Error, Result};
use crate::id;

/// A quiz may have so many questions.
pub(super) const MOST: usize = 5000;

/// Looks through what was read from files of more than one sort: names are made to differ where
/// nobody gave any, and pools from which is drawn must be there.
///
/// # Errors
/// What is wrong.
pub fn check(written: &mut Written, named: bool) -> Result<(), Vec<Fault>> {
    // Before anything that takes the longer the more there are.
    if written.questions.len() > MOST {
        let message = format!("there are more than {MOST} questions");
        return Err(vec![Fault { line: 1, message }]);
    }
    if !named {
        told_apart(&mut written.questions);
    }
    let mut faults = twice(&written.questions);
    let mut wrong = |message| faults.push(Fault { line: 1, message });
    written.settings.check(&mut wrong);
    for (pool, count) in &written.settings.draw {
        let in_pool = |question: &Question| question.pool.as_ref() == Some(pool);
        let there = written.questions.iter().filter(|it| in_pool(&it.question));
        let there = there.count();
        if usize::try_from(*count).map_or(true, |count| count > there) {
            wrong(format!(
                "draw: {count} questions cannot be drawn from the pool {pool:?}, which has {there}"
            ));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// Makes the quiz of a course with this slug what `written` says. A question is known by its name:
/// a new one is added; one that is there is corrected where it is, if answers to it mean the same
/// afterwards, and else retired and asked anew; one that is missing is retired. Nothing that people
/// answered is lost, and nothing is graded anew: that is done by itself. With `dry`, only tells.
///
/// # Errors
/// As [`courses::manage`]; [`Error::Invalid`] for what [`check`] refuses.
pub fn import(
    cx: &mut Cx<'_, '_>,
    course: &str,
    slug: &Slug,
    written: &Written,
    dry: bool,
) -> Result<Imported> {
    let gate = courses::manage(cx, course)?;
    import_into(cx, &gate, slug, written, dry)
}

/// As [`import`], for who has this gate from [`courses::manage`] already.
pub(super) fn import_into(
    cx: &mut Cx<'_, '_>,
    gate: &Gate,
    slug: &Slug,
    written: &Written,
    dry: bool,
) -> Result<Imported> {
    let mut checked = written.clone();
    if let Err(faults) = check(&mut checked, true) {
        let first = faults.into_iter().next().map(|fault| fault.message);
        return Err(Error::invalid("quiz", first.unwrap_or_default()));
    }
    let before = store::with_slug(cx.tx, &gate.id, slug.as_str())?;
    let id = before
        .as_ref()
        .map_or_else(|| id::entity(cx.now), |it| it.id.clone());
    let mut imported = Imported {
        id: before.as_ref().map(|it| it.id.clone()),
        course: gate.slug.clone(),
        slug: slug.as_str().to_owned(),
        created: before.is_none(),
        added: 0,
        corrected: 0,
        kept: 0,
        retired: 0,
        notes: Vec::new(),
    };
    if before.is_none() && !dry {
        store::insert(
            cx.tx,
            &id,
            &gate.id,
            slug.as_str(),
            &written.settings,
            cx.now,
        )?;
        imported.id = Some(id.clone());
    }
    let there = match before {
        Some(_) => store::questions(cx.tx, &id)?,
        None => Vec::new(),
    };
    place_all(cx, &id, &there, written, dry, &mut imported)?;
    let settings = before
        .as_ref()
        .is_some_and(|it| it.settings != written.settings);
    let changed =
        imported.created || settings || imported.added + imported.corrected + imported.retired > 0;
    if dry || !changed {
        return Ok(imported);
    }
    if !imported.created {
        store::set(cx.tx, &id, &written.settings, cx.now)?;
    }
    let details = json!({
        "course": gate.id, "slug": slug.as_str(), "settings": settings, "added": imported.added,
        "corrected": imported.corrected, "retired": imported.retired,
    });
    let action = if imported.created {
        "quiz.created"
    } else {
        "quiz.updated"
    };
    audit::record(cx, Event::new(action, format!("quiz:{id}")).with(details))?;
    // Found again as everybody finds it, or the import would have made what nobody sees.
    find(cx, &id)?;
    Ok(imported)
}

/// Lets the actor pass if they may make and correct quizzes of the course: before anything of a file is
/// read.
///
/// # Errors
/// As [`courses::gate`]; [`Error::Forbidden`] for who does not manage it.
pub fn may_take_in(cx: &mut Cx<'_, '_>, course: &str) -> Result<()> {
    courses::gate(cx, course)?.require_manager(cx.actor)
}

/// As [`import`], for what was read from a file. Where the file says nothing of how the quiz is taken,
/// one that is there keeps its settings, and its title if none is given.
///
/// # Errors
/// As [`import`].
pub fn take_in(
    cx: &mut Cx<'_, '_>,
    course: &str,
    slug: &Slug,
    draft: &Draft,
    title: Option<&str>,
    dry: bool,
) -> Result<Imported> {
    let mut written = draft.written.clone();
    if !draft.has_settings {
        let gate = courses::manage(cx, course)?;
        if let Some(there) = store::with_slug(cx.tx, &gate.id, slug.as_str())? {
            written.settings = there.settings;
        }
        if let Some(title) = title {
            title.clone_into(&mut written.settings.title);
        }
    }
    let mut imported = import(cx, course, slug, &written, dry)?;
    imported.notes.clone_from(&draft.notes);
    Ok(imported)
}

fn place_all(
    cx: &mut Cx<'_, '_>,
    quiz: &str,
    there: &[Place],
    written: &Written,
    dry: bool,
    imported: &mut Imported,
) -> Result<()> {
    let mut old: HashMap<&str, &Place> = there
        .iter()
        .map(|place| (place.question.name.as_str(), place))
        .collect();
    // First those that go: a name must be free before it is given again.
    let mut steps = Vec::new();
    for (found, position) in written.questions.iter().zip(1_u32..) {
        let question = &found.question;
        match old.remove(question.name.as_str()) {
            Some(place) if place.question == *question && place.position == position => {
                imported.kept += 1;
            }
            Some(place) if place.question.body.keeps_places(&question.body) => {
                if place.question == *question {
                    imported.kept += 1;
                } else {
                    imported.corrected += 1;
                }
                steps.push((Some(place), question, position));
            }
            Some(place) => {
                imported.retired += 1;
                imported.added += 1;
                if !dry {
                    store::retire(cx.tx, &place.id, cx.now)?;
                }
                steps.push((None, question, position));
            }
            None => {
                imported.added += 1;
                steps.push((None, question, position));
            }
        }
    }
    imported.retired += u64::try_from(old.len()).map_err(Error::internal)?;
    if dry {
        return Ok(());
    }
    for place in old.values() {
        store::retire(cx.tx, &place.id, cx.now)?;
    }
    for (place, question, position) in steps {
        if let Some(place) = place {
            store::set_question(cx.tx, &place.id, position, question, cx.now)?;
        } else {
            let id = id::entity(cx.now);
            store::add_question(cx.tx, &id, quiz, position, question, cx.now)?;
        }
    }
    Ok(())
}
