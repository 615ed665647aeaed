//! The order that a folder gives to what is taken in: once for all of it, not lesson by lesson.

use std::collections::HashMap;

use serde_json::json;

use super::Draft;
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::courses::Gate;
use crate::error::Result;
use crate::lessons::{self, store};

/// Brings the lessons to their places in the modules of the folder; those of a module that the
/// folder does not have follow them.
pub(super) fn lessons(cx: &mut Cx<'_, '_>, gate: &Gate, draft: &Draft) -> Result<()> {
    let all = store::page(cx.tx, &gate.id, (0, 0), u32::MAX)?;
    let named: HashMap<&str, &str> = draft
        .texts()
        .map(|(chapter, _, text)| (text.slug.as_str(), chapter.slug.as_str()))
        .collect();
    for module in store::modules(cx.tx, &gate.id)? {
        let chapter = draft
            .chapters
            .iter()
            .find(|it| it.slug.as_str() == module.slug);
        let texts = chapter.map_or(&[][..], |chapter| &chapter.texts);
        let places: HashMap<&str, usize> = (0..)
            .zip(texts)
            .map(|(place, text)| (text.slug.as_str(), place))
            .collect();
        let stays = |slug: &str, old: &str| match named.get(slug) {
            Some(chapter) => *chapter == module.slug,
            None => old == module.slug,
        };
        let mut here: Vec<_> = all
            .iter()
            .filter(|lesson| stays(&lesson.slug, &lesson.module))
            .collect();
        // Stable: what the folder does not have keeps its order.
        here.sort_by_key(|lesson| {
            places
                .get(lesson.slug.as_str())
                .copied()
                .unwrap_or(usize::MAX)
        });
        for (position, lesson) in (1_i64..).zip(here) {
            if (lesson.position, &lesson.module) == (position, &module.slug) {
                continue;
            }
            store::set_position(cx.tx, &lesson.id, &module.id, position)?;
            store::touch(cx.tx, &lesson.id, cx.now)?;
            let details = json!({ "course": gate.id, "module": module.slug, "position": position });
            let event = Event::new("lesson.moved", lessons::object(&lesson.id));
            audit::record(cx, event.with(details))?;
        }
    }
    Ok(())
}

/// Gives the modules the titles and the order of the folder; those that it does not have follow.
pub(super) fn modules(cx: &mut Cx<'_, '_>, gate: &Gate, draft: &Draft) -> Result<()> {
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
