//! What was applied and undone, in the order in which it happened. The table of migrations has only
//! what is applied now; the audit log has the rest.

use serde::Serialize;

use super::{State, Story};
use crate::app::Cx;
use crate::audit::{self, Filter};
use crate::error::Result;
use crate::time::Timestamp;

/// Events that are read at once.
const PAGE: u32 = 200;

/// A change of the schema that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// The migration's name.
    pub name: String,
    /// [`State::Applied`] or [`State::Undone`].
    pub what: State,
    /// The version of `provost` that did it, where that was written down.
    pub version: Option<String>,
    /// How long it took, in milliseconds, where that was written down.
    pub duration_ms: Option<i64>,
    /// Who did it, where the audit log still knows.
    pub by: Option<String>,
    /// SHA-256 of the migration's text, where that was written down.
    pub sha256: Option<String>,
}

impl Story {
    /// What happened, the oldest first.
    ///
    /// # Errors
    /// [`crate::error::Error::ForeignDatabase`], or those of the database.
    pub fn history(&self, cx: &mut Cx<'_, '_>) -> Result<Vec<Happened>> {
        let entries = super::store::history(cx.tx, self.table())?;
        let mut all: Vec<(i64, Happened)> = entries
            .into_iter()
            .filter_map(|entry| {
                let happened = Happened {
                    at: entry.applied_at?,
                    name: entry.name,
                    what: State::Applied,
                    version: entry.version,
                    duration_ms: entry.duration_ms,
                    by: None,
                    sha256: Some(entry.sha256),
                };
                Some((0, happened))
            })
            .collect();
        // A database in which nothing is has no log. One from which everything was undone has.
        if cx.tx.tables()?.iter().any(|it| it == "audit_events") {
            self.add_events(cx, &mut all)?;
        }
        // Several can happen in one millisecond: the ids of the log know the order.
        all.sort_by_key(|(id, it)| (it.at, *id));
        Ok(all.into_iter().map(|(_, happened)| happened).collect())
    }

    fn add_events(&self, cx: &mut Cx<'_, '_>, all: &mut Vec<(i64, Happened)>) -> Result<()> {
        let filter = Filter {
            object: Some(format!("{}*", self.noun())),
            ..Filter::default()
        };
        let mut cursor = None;
        loop {
            let page = audit::list(cx, &filter, cursor.as_deref(), PAGE)?;
            for event in page.items {
                let Some(name) = event.object.strip_prefix(self.noun()) else {
                    continue;
                };
                let what = match &*event.action {
                    "migration.applied" => State::Applied,
                    "migration.undone" => State::Undone,
                    _ => continue,
                };
                let same = |(_, it): &&mut (i64, Happened)| {
                    it.at == event.at && it.name == name && it.what == what
                };
                if let Some((id, known)) = all.iter_mut().find(same) {
                    *id = event.id;
                    known.by = Some(event.actor);
                    continue;
                }
                let text = |member: &str| {
                    let told = event.details.as_ref()?.get(member)?.as_str()?;
                    Some(told.to_owned())
                };
                let took = event.details.as_ref().and_then(|it| it.get("duration_ms"));
                let happened = Happened {
                    at: event.at,
                    name: name.to_owned(),
                    what,
                    version: text("version"),
                    duration_ms: took.and_then(serde_json::Value::as_i64),
                    sha256: text("sha256"),
                    by: Some(event.actor),
                };
                all.push((event.id, happened));
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}
