//! Mending what can be mended without a decision: modes, missing folders, the ballast, files that
//! nobody will finish, indexes that are missing, rows that point to nothing.
//!
//! Invariants: nothing is deleted and nothing is taken away from anybody but access that nobody
//! should have; what was mended is not found again; what cannot be mended keeps nothing else from
//! being mended.

mod inside;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, linkat};
use rustix::io::Errno;
use serde::Serialize;
use serde_json::json;

use super::files::{Entry, folders, is_our_folder, of_backups, of_database};
use super::{Needs, Patient, leftovers, shown};
use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::backup;
use crate::db::ballast;
use crate::error::{Error, Result};
use crate::file;
use crate::snapshots;

pub use inside::apply as apply_inside;
pub(super) use inside::is_missing_index;

/// One thing that is mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The file or folder.
    pub path: PathBuf,
    /// What happens to it.
    pub what: What,
    /// Why it did not happen, if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
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
    /// An index is made in it, by this statement.
    Index(String),
    /// Rows that point to nothing are moved out of it.
    Rows {
        /// Into this file, as JSON lines.
        to: PathBuf,
        /// How many there were of each table when it was planned. What points to these goes along.
        rows: BTreeMap<String, u64>,
    },
}

impl Change {
    fn new(path: PathBuf, what: What) -> Self {
        Self {
            path,
            what,
            failed: None,
        }
    }

    /// Whether it happens inside the database, and not to a file.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self.what, What::Index(_) | What::Rows { .. })
    }

    /// For people, as an order.
    #[must_use]
    pub fn told(&self) -> String {
        let path = shown(&self.path);
        match &self.what {
            What::Mode(mode) => format!("chmod {mode} {path}"),
            What::Folder => format!("mkdir {path}"),
            What::Ballast => format!("make {path}"),
            What::Moved(to) => format!("mv {path} {}", shown(to)),
            What::Index(statement) => statement.clone(),
            What::Rows { to, rows } => {
                let told: Vec<String> = rows
                    .iter()
                    .map(|(table, rows)| format!("{rows} of {table}"))
                    .collect();
                let (told, to) = (told.join(", "), shown(to));
                format!("move rows that point to nothing, and what points to them, to {to}: {told}")
            }
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
    entries.dedup_by(|a, b| a.path == b.path);
    let closes = |entry: &Entry| is_ours_to_close(patient, entry);
    for entry in entries.into_iter().filter(closes) {
        let mode = format!("{:04o}", closed(&entry));
        changes.push(Change::new(entry.path, What::Mode(mode)));
    }
    let Some(database) = patient.file().filter(|file| file.exists()) else {
        changes.extend(inside::plan(patient)?);
        return Ok(changes);
    };
    let missing = |path: PathBuf| path.symlink_metadata().is_err().then_some(path);
    changes.extend(
        missing(database.with_file_name("backups")).map(|path| Change::new(path, What::Folder)),
    );
    let room = file::disk(file::folder_of(database));
    if room.is_some_and(|disk| disk.free >= ballast::BYTES.saturating_add(ballast::ROOM)) {
        let ballast = missing(ballast::place(database));
        changes.extend(ballast.map(|path| Change::new(path, What::Ballast)));
    }
    for entry in leftovers::left(patient)? {
        let to = leftovers::aside(patient, &entry)?;
        if to.symlink_metadata().is_err() {
            changes.push(Change::new(entry.path, What::Moved(to)));
        }
    }
    changes.extend(inside::plan(patient)?);
    Ok(changes)
}

/// Whether the file or folder is open, is of this installation, and this process may close it. Root
/// closes only what belongs to the database's account: others may have put something in its place.
fn is_ours_to_close(patient: &Patient, entry: &Entry) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let whose = patient
        .file()
        .and_then(|file| Some(fs::metadata(file).ok()?.uid()));
    let owner = entry.about.uid();
    let ours = match (me, whose) {
        (0, Some(whose)) => owner == whose,
        (0, None) => entry.about.is_dir() || entry.about.nlink() == 1,
        (me, _) => owner == me,
    };
    let kind = entry.about.is_file() || entry.about.is_dir() && is_our_folder(patient, entry);
    kind && entry.is_open() && ours
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
            // A link may have been put there since: what is changed is what was looked at.
            let waits_for_nobody = OFlags::NONBLOCK.bits().cast_signed();
            let opened = File::options()
                .read(true)
                .custom_flags(file::flags() | waits_for_nobody)
                .open(path);
            let opened = match opened {
                Err(error) if is_another_now(&error) => return Ok(()),
                opened => opened.map_err(doing())?,
            };
            let entry = Entry {
                path: path.clone(),
                about: opened.metadata().map_err(doing())?,
            };
            if !is_ours_to_close(patient, &entry) {
                return Ok(());
            }
            let mode = fs::Permissions::from_mode(closed(&entry));
            opened.set_permissions(mode).map_err(doing())
        }
        What::Folder => folder(path).map(drop),
        What::Ballast => {
            let database = patient.file().unwrap_or(path);
            ballast::make(database).map(drop)
        }
        What::Moved(to) => {
            let aside = folder(file::folder_of(to))?;
            let name = to.file_name().unwrap_or_default();
            // A link to the new name and the end of the old one: nobody's place is taken.
            match linkat(CWD, path, &aside, name, AtFlags::empty()) {
                // Whoever made a backup meanwhile has swept it away.
                Err(Errno::NOENT) => return Ok(()),
                linked => linked.map_err(|error| doing()(error.into()))?,
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                removed => removed.map_err(doing()),
            }
        }
        What::Index(_) | What::Rows { .. } => Err(Error::internal("this is inside the database")),
    }
}

/// Whether nothing has the name any more, or a link has.
fn is_another_now(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Makes a folder, or opens the one that is there; a link to one is refused.
fn folder(path: &Path) -> Result<File> {
    let making = || Error::io(format!("make the folder {}", path.display()));
    let made = match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        made => made.map(|()| true).map_err(making())?,
    };
    let folder = File::options()
        .read(true)
        .custom_flags(file::flags() | OFlags::DIRECTORY.bits().cast_signed())
        .open(path)
        .map_err(making())?;
    if made {
        file::give_to_owner_of_folder(&folder, path)?;
    }
    Ok(folder)
}

/// Makes a backup of a database that can be read and is a file; returns where it is, and why a
/// restore would refuse it, which may be what is to be mended. For want of the key file or of this
/// program's schema there is no backup, and it is copied as it is.
///
/// # Errors
/// As [`backup::create`].
pub fn back_up(patient: &Patient) -> Result<Option<(PathBuf, Vec<String>)>> {
    let readable = patient
        .lacks(Needs::File)
        .or(patient.lacks(Needs::Database));
    if readable.is_some() {
        return Ok(None);
    }
    let sealable = matches!(patient.key, Some(Ok(_)));
    if !sealable || patient.lacks(Needs::Schema).is_some() {
        return copy(patient).map(|path| Some((path, Vec::new())));
    }
    let made = backup::create_unrecorded(patient.app()?, &mut |_, _| Ok(()))?;
    Ok(made.path.map(|path| (path, made.faults)))
}

/// Copies the database as it is, whatever is wrong with it; returns where the copy is.
///
/// # Errors
/// [`Error::Io`], or those of the database.
pub fn copy(patient: &Patient) -> Result<PathBuf> {
    let aside = patient.folder()?.join(leftovers::ASIDE);
    let _is_ours = folder(&aside)?;
    let making = || Error::io(format!("make a copy in {}", aside.display()));
    let made = tempfile::Builder::new()
        .prefix(".provost-copy-")
        .tempfile_in(&aside);
    let made = made.map_err(making())?;
    patient
        .app()?
        .db()
        .back_up(made.path(), &mut |_, _| Ok(()))?;
    let at = snapshots::compact(patient.now);
    let path = aside.join(format!("before-fix-{at}.db"));
    file::give_to_owner_of_folder(made.as_file(), &path)?;
    file::keep(made, &path)?;
    Ok(path)
}

/// Writes down what was mended.
///
/// # Errors
/// Those of the database.
pub fn record(app: &App, actor: &Actor, changes: &[Change]) -> Result<()> {
    let done = changes.iter().filter(|change| change.failed.is_none());
    let told: Vec<String> = done.clone().take(100).map(Change::told).collect();
    let details = json!({ "changes": told, "count": done.count() });
    app.write(actor, move |cx| {
        let event = Event::new("doctor.fixed", "installation");
        audit::record(cx, event.with(details.clone()))
    })
}
