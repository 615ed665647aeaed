//! Backups: snapshots of the database that are kept, and the way back from one.
//!
//! What holds for every snapshot holds for these: see [`crate::snapshots`].

pub mod cli;
mod kept;
mod plan;
mod restore;
mod since;
mod stage;
mod verify;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

pub use kept::{Keep, Kept, State, delete, list, prune, recognised, there};
pub use plan::{Plan, Rows, plan};
pub use restore::{Options, Restored, TakenBack, in_place, live, restore};
pub use since::Changes;
pub use stage::{Staged, stage};
use verify::other_keys;
pub use verify::{Against, Verified, verify};

use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::error::Result;
use crate::file;
use crate::migrations;
use crate::snapshots::{self, Draft, Manifest, Tell};
use crate::time::Timestamp;

/// A backup that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// The file; none if it went to standard output.
    pub path: Option<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file, as hexadecimal digits.
    pub sha256: String,
    /// The schema of the database in it.
    pub schema: u32,
    /// When it was begun: what was committed before is in it.
    pub created_at: Timestamp,
    /// Why a restore would refuse it: the database is not as it should be. Nothing, if all is well.
    pub faults: Vec<String>,
    /// What is wrong with the audit log in it, which keeps nobody from restoring it.
    pub audit: Vec<String>,
}

impl Backup {
    fn new(path: Option<PathBuf>, manifest: &Manifest, audit: Vec<String>) -> Self {
        Self {
            path,
            bytes: manifest.bytes,
            sha256: manifest.sha256.clone(),
            schema: manifest.schema,
            created_at: manifest.created_at,
            faults: manifest.faults.clone(),
            audit,
        }
    }
}

/// Makes a backup in the new file `path`, or in the usual place, and writes that down in the audit
/// log. It is looked through as a restore would before it gets its name. What a restore would refuse
/// is kept all the same, and told: a copy of a database that is not as it should be is better than
/// none.
///
/// # Errors
/// As [`snapshots::draft`] and [`snapshots::publish`]; [`crate::error::Error::Usage`] where the engine's own tools
/// make copies.
pub fn create(
    app: &App,
    actor: &Actor,
    path: Option<&Path>,
    tell: &mut Tell<'_>,
) -> Result<Backup> {
    snapshots::database(app, path)?;
    let folder = match path {
        Some(path) => {
            snapshots::vacant(path)?;
            file::folder_of(path).to_owned()
        }
        None => snapshots::folder(app)?,
    };
    let (draft, audit) = draft(app, &folder, tell)?;
    let taken = match path {
        Some(path) => snapshots::publish(draft, path)?,
        None => snapshots::publish_usual(app, draft)?,
    };
    let backup = Backup::new(Some(taken.path), &taken.manifest, audit);
    record(app, actor, &backup)?;
    Ok(backup)
}

/// [`create`] in the usual place, without a row in the audit log: for whoever has the database open
/// only to read it.
///
/// # Errors
/// As [`create`].
pub fn create_unrecorded(app: &App, tell: &mut Tell<'_>) -> Result<Backup> {
    let (draft, audit) = draft(app, &snapshots::folder(app)?, tell)?;
    let taken = snapshots::publish_usual(app, draft)?;
    Ok(Backup::new(Some(taken.path), &taken.manifest, audit))
}

/// A copy that was looked through, and what is wrong with its audit log.
fn draft(app: &App, folder: &Path, tell: &mut Tell<'_>) -> Result<(Draft, Vec<String>)> {
    let mut draft = snapshots::draft(app, folder, tell)?;
    let keys = &app.kit().keys;
    let faults = migrations::faults(draft.path(), &draft.manifest, keys)?;
    if !faults.is_empty() {
        draft.blame(faults, keys)?;
    }
    let audit = verify::audit(&draft, keys)?;
    Ok((draft, audit))
}

/// Makes a backup and hands it over piece by piece.
///
/// # Errors
/// As [`create`], or what `to` returns.
pub fn stream(
    app: &App,
    actor: &Actor,
    tell: &mut Tell<'_>,
    to: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Backup> {
    // Where the database has room, there is room for its copy.
    let folder = file::folder_of(snapshots::database(app, Some(Path::new("-")))?);
    let (draft, audit) = draft(app, folder, tell)?;
    draft.read(to)?;
    let backup = Backup::new(None, &draft.manifest, audit);
    record(app, actor, &backup)?;
    Ok(backup)
}

fn record(app: &App, actor: &Actor, backup: &Backup) -> Result<()> {
    let object = object(backup.path.as_deref().unwrap_or(Path::new("-")));
    let mut details = json!({ "bytes": backup.bytes, "sha256": backup.sha256 });
    for (name, found) in [("faults", &backup.faults), ("audit", &backup.audit)] {
        if !found.is_empty()
            && let Some(details) = details.as_object_mut()
        {
            details.insert(name.to_owned(), json!(found));
        }
    }
    app.write(actor, move |cx| {
        let event = Event::new("backup.created", object.clone());
        audit::record(cx, event.with(details.clone()))
    })
}

/// How the audit log names a backup.
fn object(path: &Path) -> String {
    format!("backup:{}", path.display())
}

/// Writes down that a backup was looked through as a whole and is good.
///
/// # Errors
/// Those of the database.
pub fn record_verified(app: &App, actor: &Actor, path: &Path, sha256: &str) -> Result<()> {
    let object = object(path);
    let details = json!({ "sha256": sha256 });
    app.write(actor, move |cx| {
        let event = Event::new("backup.verified", object.clone());
        audit::record(cx, event.with(details.clone()))
    })
}

#[cfg(test)]
mod tests;
