//! What a restore would do: everything that it does but the last step, on the staged copy, which is
//! thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use super::restore::{Options, TakenBack, free_name, live, open, take_back};
use super::since::{Changes, Since};
use super::stage::Staged;
use crate::app::Actor;
use crate::config::Config;
use crate::db::Db;
use crate::error::Result;
use crate::time::Timestamp;
use crate::{migrations, snapshots};

/// What a restore would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The database.
    pub database: PathBuf,
    /// Where it would be kept; nowhere, if there is none.
    pub kept: Option<PathBuf>,
    /// Who serves it now, and has to stop first.
    pub daemon: Option<String>,
    /// When the backup was begun, as its manifest says.
    pub created_at: Option<Timestamp>,
    /// The schema that it has.
    pub from_schema: u32,
    /// The schema that the database would have.
    pub schema: u32,
    /// The migrations that it needs for that.
    pub migrations: Vec<String>,
    /// What would not be good any more.
    pub taken_back: TakenBack,
    /// The accounts that were made or changed since the backup.
    #[serde(flatten)]
    pub changes: Changes,
    /// The rows of each table.
    pub rows: Vec<Rows>,
}

/// How many rows a table has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// The table.
    pub table: String,
    /// In the database that is there; none if it has no such table, or cannot be read.
    pub now: Option<u64>,
    /// In the backup.
    pub backup: Option<u64>,
}

/// Tells what [`super::restore()`] would do with a staged backup. Nothing is changed, and a daemon may
/// go on.
///
/// # Errors
/// Those of a restore before its last step.
pub fn plan(staged: Staged, config: &Config, actor: &Actor, options: Options) -> Result<Plan> {
    let live = live(config, &staged.from)?;
    let verified = &staged.verified;
    let app = open(&staged, config)?;
    let then = snapshots::counts(app.db())?;
    let done = migrations::up(&app, actor)?;
    // Looking into an emptied file would throw the log away that is left beside it.
    let there = live.metadata().is_ok_and(|it| it.len() > 0);
    let (mut now, mut since) = (BTreeMap::new(), Since::unknown("there is no database"));
    if there {
        let old = Db::inspect(&config.db);
        if let Ok(old) = &old {
            now = snapshots::counts(old).unwrap_or_default();
        }
        since = Since::ask(old, &app, actor, verified.created_at);
    }
    let taken_back = app.import(actor, |cx| take_back(cx, options, &since, json!({})))?;
    let tables: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let rows = tables.into_iter().map(|table| Rows {
        now: now.get(table).copied(),
        backup: then.get(table).copied(),
        table: table.clone(),
    });
    let plan = Plan {
        database: live.to_owned(),
        kept: there.then(|| free_name(live, app.clock().now())),
        daemon: Db::refuse_daemon(live).err().map(|error| error.to_string()),
        created_at: verified.created_at,
        from_schema: verified.schema.unwrap_or(0),
        schema: migrations::needed(),
        migrations: done.into_iter().map(|entry| entry.name).collect(),
        taken_back,
        changes: since.changes,
        rows: rows.collect(),
    };
    // Nobody is to restore that copy.
    drop((app, staged));
    Ok(plan)
}
