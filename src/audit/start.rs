//! What the log says of a daemon's start: with which settings, and which of them are others than at
//! the start before (security.md, rule 67). They are in a file, which nobody is seen to change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::{Event, Filter, list, record};
use crate::app::Cx;
use crate::error::Result;

/// The object of these rows.
const DAEMON: &str = "daemon";
const STARTED: &str = "daemon.started";

/// Writes down that a daemon starts with these settings, those that are not as they are by default,
/// and each that is another one than when the same account last started one. A password among them
/// must not be legible. Returns the names of those.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] without `audit:read`; those of the database.
pub fn note_start(cx: &mut Cx<'_, '_>, settings: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let filter = Filter {
        actor: Some(cx.actor.to_string()),
        action: Some(STARTED.to_owned()),
        object: Some(DAEMON.to_owned()),
        ..Filter::default()
    };
    let last = list(cx, &filter, None, 1)?.items.pop();
    let version = env!("CARGO_PKG_VERSION");
    let details = json!({ "version": version, "settings": settings });
    record(cx, Event::new(STARTED, DAEMON).with(details))?;
    let Some(before) = last.and_then(|entry| entry.details) else {
        return Ok(Vec::new());
    };
    let empty = serde_json::Map::new();
    let before = before.get("settings").and_then(Json::as_object);
    let before = before.unwrap_or(&empty);
    let names: BTreeSet<&String> = before.keys().chain(settings.keys()).collect();
    let mut changed = Vec::new();
    for name in names {
        let (from, to) = (before.get(name), settings.get(name));
        if from.and_then(Json::as_str) == to.map(String::as_str) {
            continue;
        }
        let event = Event::new("config.changed", format!("setting:{name}"));
        record(cx, event.with(json!({ "from": from, "to": to })))?;
        changed.push(name.clone());
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Actor, App};

    fn started(app: &App, settings: &[(&str, &str)]) -> Vec<String> {
        let settings: BTreeMap<String, String> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        app.write(&Actor::operator(), move |cx| note_start(cx, &settings))
            .unwrap()
    }

    fn rows(app: &App, action: &str) -> Vec<(String, Option<Json>)> {
        let filter = Filter {
            action: Some(action.to_owned()),
            ..Filter::default()
        };
        let page = app.read(&Actor::operator(), |cx| list(cx, &filter, None, 50));
        let entries = page.unwrap().items.into_iter();
        entries.map(|it| (it.object, it.details)).collect()
    }

    #[test]
    fn a_start_is_written_down_with_each_setting_that_is_another_one_than_before() {
        let app = App::memory();
        let first = [("log.level", "debug"), ("server.listen", "127.0.0.1:1")];
        assert!(started(&app, &first).is_empty());
        assert!(started(&app, &first).is_empty());
        assert!(rows(&app, "config.changed").is_empty());
        let changed = started(
            &app,
            &[("server.listen", "127.0.0.1:2"), ("jobs.enabled", "false")],
        );
        assert_eq!(changed, ["jobs.enabled", "log.level", "server.listen"]);
        assert_eq!(rows(&app, STARTED).len(), 3);
        let told = rows(&app, "config.changed");
        assert_eq!(
            told.first().unwrap(),
            &(
                "setting:server.listen".to_owned(),
                Some(json!({ "from": "127.0.0.1:1", "to": "127.0.0.1:2" }))
            )
        );
        assert_eq!(
            told.last().unwrap(),
            &(
                "setting:jobs.enabled".to_owned(),
                Some(json!({ "from": null, "to": "false" }))
            )
        );
    }

    #[test]
    fn daemons_of_several_accounts_are_not_compared_with_each_other() {
        let app = App::memory();
        started(&app, &[("log.level", "debug")]);
        let other = Actor {
            who: crate::app::Who::Operator {
                account: "os:7/other@elsewhere".into(),
                on_behalf_of: None,
            },
            ..Actor::operator()
        };
        let none = BTreeMap::new();
        let changed = app.write(&other, move |cx| note_start(cx, &none)).unwrap();
        assert!(changed.is_empty(), "{changed:?}");
    }
}
