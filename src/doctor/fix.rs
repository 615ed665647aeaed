//! Mending what can be mended without a decision: modes, missing folders, the ballast, files that
//! nobody will finish.
//!
//! Invariants: nothing is deleted and nothing is taken away from anybody but access that nobody
//! should have; the database itself is not touched but for the audit row; what was mended is not
//! found again.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::files::{Entry, folders, of_backups, of_database};
use super::{Needs, Patient, leftovers};
use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::db::ballast;
use crate::error::{Error, Result};
use crate::file;
use crate::snapshots::{self, Snapshot};

/// One thing that is mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The file or folder.
    pub path: PathBuf,
    /// What happens to it.
    pub what: What,
}

/// What happens to a file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It gets this mode, which gives less than the one before.
    Mode(String),
    /// The folder is made.
    Folder,
    /// 32 MiB are put aside.
    Ballast,
    /// It is moved there.
    Moved(PathBuf),
}

impl Change {
    /// For people, as an order.
    #[must_use]
    pub fn told(&self) -> String {
        let path = self.path.display();
        match &self.what {
            What::Mode(mode) => format!("chmod {mode} {path}"),
            What::Folder => format!("mkdir {path}"),
            What::Ballast => format!("make {path}"),
            What::Moved(to) => format!("mv {path} {}", to.display()),
        }
    }
}

/// What can be mended here, in order.
///
/// # Errors
/// [`Error::Internal`] without settings.
pub fn plan(patient: &Patient) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let key = Entry::at(patient.config()?.key_file.clone());
    let mut entries = folders(patient)?;
    entries.extend(key);
    entries.extend(of_database(patient));
    entries.extend(of_backups(patient));
    for entry in entries.into_iter().filter(is_ours_to_close) {
        changes.push(Change {
            what: What::Mode(format!("{:04o}", closed(&entry))),
            path: entry.path,
        });
    }
    let Some(database) = patient.file().filter(|file| file.exists()) else {
        return Ok(changes);
    };
    let missing = |path: PathBuf| path.symlink_metadata().is_err().then_some(path);
    changes.extend(
        missing(database.with_file_name("backups")).map(|path| Change {
            path,
            what: What::Folder,
        }),
    );
    let room = file::disk(file::folder_of(database));
    if room.is_some_and(|disk| disk.free >= ballast::BYTES.saturating_add(ballast::ROOM)) {
        changes.extend(missing(ballast::place(database)).map(|path| Change {
            path,
            what: What::Ballast,
        }));
    }
    for entry in leftovers::left(patient)? {
        let to = leftovers::aside(patient, &entry)?;
        if to.symlink_metadata().is_err() {
            changes.push(Change {
                path: entry.path,
                what: What::Moved(to),
            });
        }
    }
    Ok(changes)
}

/// Whether the file or folder is open, and this process may close it.
fn is_ours_to_close(entry: &Entry) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let kind = entry.about.is_file() || entry.about.is_dir();
    kind && entry.is_open() && (me == 0 || entry.about.uid() == me)
}

/// Its mode without what others may.
fn closed(entry: &Entry) -> u32 {
    entry.mode() & 0o7700
}

/// Mends one thing. What is no longer as it was planned is left as it is.
///
/// # Errors
/// [`Error::Io`].
pub fn apply(patient: &Patient, change: &Change) -> Result<()> {
    let path = &change.path;
    let doing = || Error::io(change.told());
    match &change.what {
        What::Mode(_) => {
            let Some(entry) = Entry::at(path.clone()).filter(is_ours_to_close) else {
                return Ok(());
            };
            fs::set_permissions(path, fs::Permissions::from_mode(closed(&entry))).map_err(doing())
        }
        What::Folder => folder(path),
        What::Ballast => {
            let database = patient.file().unwrap_or(path);
            ballast::make(database).map(drop)
        }
        What::Moved(to) => {
            folder(file::folder_of(to))?;
            // A link to the new name and the end of the old one: nobody's place is taken.
            fs::hard_link(path, to).map_err(doing())?;
            fs::remove_file(path).map_err(doing())
        }
    }
}

fn folder(path: &Path) -> Result<()> {
    let making = || Error::io(format!("make the folder {}", path.display()));
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            let made = File::open(path).map_err(making())?;
            file::give_to_owner_of_folder(&made, path)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(making()(error)),
    }
}

/// Takes a snapshot of a database that can be read and is a file.
///
/// # Errors
/// As [`snapshots::take`].
pub fn back_up(patient: &Patient) -> Result<Option<Snapshot>> {
    let readable = patient
        .lacks(Needs::File)
        .or(patient.lacks(Needs::Database));
    if readable.is_some() {
        return Ok(None);
    }
    let app = patient.app()?;
    let place = snapshots::usual_place(app)?;
    snapshots::take(app, &place, &mut |_, _| Ok(())).map(Some)
}

/// Writes down what was mended.
///
/// # Errors
/// Those of the database.
pub fn record(app: &App, actor: &Actor, changes: &[Change]) -> Result<()> {
    let told: Vec<String> = changes.iter().take(100).map(Change::told).collect();
    let details = json!({ "changes": told, "count": changes.len() });
    app.write(actor, move |cx| {
        let event = Event::new("doctor.fixed", "installation");
        audit::record(cx, event.with(details.clone()))
    })
}
