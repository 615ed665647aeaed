//! What work that was cut off has left behind: copies and new files that never got their name.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{Entry, inside};
use super::{Patient, Seen, shown};
use crate::error::Result;
use crate::file;

/// What begins so is on its way to another name.
const UNFINISHED: [&str; 4] = [".provost-backup-", ".provost-restore-", ".ballast-", ".tmp"];

/// The folder of a restore that was cut off begins so, that of a rehearsal ends so; there is a whole
/// copy of the database in each.
const RESTORE: &str = ".provost-restore-";
const REHEARSAL: &str = ".rehearsal";

/// Whatever is younger may still be worked on.
const OLD: Duration = Duration::from_hours(1);

/// Where such files are put by [`super::fix`].
pub(super) const ASIDE: &str = "aside";

/// Files that nobody will finish.
pub(super) fn left(patient: &Patient) -> Result<Vec<Entry>> {
    let folder = patient.folder()?;
    let backups = folder.join("backups");
    let mut all = inside(&folder);
    all.extend(inside(&backups));
    let oldest = patient.now.minus(OLD).0 / 1000;
    all.retain(|entry| {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
        let begun = UNFINISHED.iter().any(|start| name.starts_with(start));
        let old = entry.about.is_file() && entry.about.mtime() < oldest;
        // A backup of a large database takes longer than that, and is locked meanwhile.
        begun && old && file::is_left_over(&entry.path)
    });
    Ok(all)
}

/// Folders with copies of the database that nobody will finish.
fn copies(patient: &Patient) -> Result<Vec<Entry>> {
    let mut rehearsal = patient
        .file()
        .map(Path::as_os_str)
        .unwrap_or_default()
        .to_owned();
    rehearsal.push(REHEARSAL);
    let mut all = inside(&patient.folder()?);
    all.retain(|entry| {
        let name = entry.path.file_name().unwrap_or_default();
        let ours = name.to_string_lossy().starts_with(RESTORE)
            || Path::new(&rehearsal).file_name() == Some(name);
        ours && entry.about.is_dir() && file::is_left_over(&entry.path)
    });
    Ok(all)
}

/// Where a file is put that nobody will finish; its name stays, and takes nobody's place.
pub(super) fn aside(patient: &Patient, entry: &Entry) -> Result<PathBuf> {
    let folder = patient.folder()?.join(ASIDE);
    Ok(folder.join(entry.path.file_name().unwrap_or_default()))
}

/// Whether there are any.
pub(super) fn leftovers(patient: &Patient) -> Result<Seen> {
    let (left, copies) = (left(patient)?, copies(patient)?);
    if let Some(copy) = copies.first() {
        let name = copy.path.display();
        let about = format!("{name} holds a copy of the database, of work that was cut off");
        return Ok(Seen::warn(about, format!("rm -r {}", shown(&copy.path))));
    }
    let Some((first, others)) = left.split_first() else {
        return Ok(Seen::ok("no work that was cut off has left files behind"));
    };
    let more = match others.len() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let about = format!("{}{more} was never finished", first.path.display());
    Ok(Seen::warn(about, patient.run("doctor --fix")))
}
