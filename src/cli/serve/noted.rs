//! What the audit log says of the daemon itself (security.md, rule 67). It serves on where nothing can
//! be written: reads need no row.

use std::collections::BTreeMap;

use crate::app::{Actor, App, Cx};
use crate::audit;
use crate::cli::{Site, operator};

/// Writes down with which settings the daemon starts. One that cannot write answers reads still.
pub(super) fn start(app: &App, actor: &Actor) {
    if app.is_read_only() {
        return;
    }
    let rows = app.config().rows().iter();
    let settings: BTreeMap<String, String> = rows
        .filter(|row| row.origin != "default")
        .map(|row| (row.name.to_owned(), row.value.clone()))
        .collect();
    match app.write(actor, move |cx| audit::note_start(cx, &settings)) {
        Ok(changed) if changed.is_empty() => {}
        Ok(changed) => {
            let settings = changed.join(", ");
            tracing::info!(settings, "settings are others than at the last start");
        }
        Err(error) => tracing::error!(%error, "the start is not in the audit log"),
    }
}

/// Writes down that the daemon read its log level and its certificate again.
pub(super) fn reload(app: &App, site: &Site) {
    let actor = operator::actor(site.on_behalf_of());
    let event = audit::Event::new("daemon.reloaded", "daemon");
    let noted = move |cx: &mut Cx<'_, '_>| audit::record(cx, event.clone());
    app.submit(actor, noted, |done| {
        if let Err(error) = done {
            tracing::error!(%error, "the reload is not in the audit log");
        }
    });
}
