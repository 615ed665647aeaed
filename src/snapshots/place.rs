//! Where snapshots are, and how one gets its name.
//!
//! While it is made a copy has a temporary name and is locked (`flock`) by its maker: what carries
//! such a name and is locked by nobody is left over. Names are given under a lock on the folder,
//! the manifest's first, so that whoever sees the database sees its manifest.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use super::manifest::manifest_of;
use super::{Draft, Manifest, Snapshot, database};
use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::file;
use crate::time::Timestamp;

/// How the names of files begin and end that are being made.
const PREFIX: &str = ".provost-backup-";
const SUFFIX: &str = ".tmp";

/// The folder `backups` beside the database, which is made if it is not there.
///
/// # Errors
/// [`Error::Usage`] where the engine's own tools make backups, [`Error::Io`].
pub fn folder(app: &App) -> Result<PathBuf> {
    let folder = database(app, None)?.with_file_name("backups");
    let making = || Error::io(format!("make the folder {}", folder.display()));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {
            // A link may have been put in its place since.
            let flags = file::flags() | OFlags::DIRECTORY.bits().cast_signed();
            let made = File::options()
                .read(true)
                .custom_flags(flags)
                .open(&folder)
                .map_err(making())?;
            file::give_to_owner_of_folder(&made, &folder)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(making()(error)),
    }
    Ok(folder)
}

/// The same folder, whether it is there or not; none where the engine's own tools make backups.
#[must_use]
pub fn usual_folder(config: &Config) -> Option<PathBuf> {
    Some(config.db.file()?.with_file_name("backups"))
}

/// The name of a snapshot of the database at `database` that was begun `at`; of several in one
/// second, the `n`-th.
fn usual_name(database: &Path, at: &str, n: u32) -> String {
    let stem = database.file_stem().unwrap_or_default().to_string_lossy();
    match n {
        0 => format!("{stem}-{at}.db"),
        n => format!("{stem}-{at}-{n}.db"),
    }
}

/// Whether a snapshot of the database at `database` gets such a name if nobody names it.
#[must_use]
pub fn is_usual(path: &Path, database: &Path) -> bool {
    let blank = |text: &str| -> String {
        let blank = |c: char| if c.is_ascii_digit() { '0' } else { c };
        text.chars().map(blank).collect()
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let usual = blank(&usual_name(database, &compact(Timestamp(0)), 0));
    let name = blank(&name);
    let ending = usual
        .strip_suffix(".db")
        .and_then(|it| name.strip_prefix(it));
    match ending.and_then(|it| it.strip_suffix(".db")) {
        None => false,
        Some("") => true,
        Some(number) => number
            .strip_prefix('-')
            .is_some_and(|it| !it.is_empty() && it.chars().all(|c| c == '0')),
    }
}

/// `20261120T083400Z`: an instant as part of a file's name.
#[must_use]
pub fn compact(at: Timestamp) -> String {
    let text = at.to_string().replace(['-', ':'], "");
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{seconds}Z")
}

/// Refuses a name that is taken.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Io`].
pub fn vacant(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(Error::Exists { path: path.into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(format!("look at {}", path.display()))(error)),
    }
}

/// A file that is being made: readable by its owner alone from its first moment on, and locked.
pub(super) fn temporary(folder: &Path) -> Result<NamedTempFile> {
    let failed = || format!("make a file in {}", folder.display());
    loop {
        let made = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(folder);
        let file = made.map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                Error::invalid("out", format!("there is no folder {}", folder.display()))
            } else {
                Error::io(failed())(error)
            }
        })?;
        file.as_file().lock().map_err(Error::io(failed()))?;
        // Before it was locked, somebody may have taken it for left over.
        let made = file.as_file().metadata().map_err(Error::io(failed()))?;
        if made.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes what runs that were cut off have left in `folder`. That it cannot be removed keeps
/// nobody from making a snapshot.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && file::is_left_over(&entry.path()) {
            let _gone_already = fs::remove_file(entry.path());
        }
    }
}

/// Gives a draft and its manifest their names: `path`, which must be in the draft's folder.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Io`].
pub fn publish(draft: Draft, path: &Path) -> Result<Snapshot> {
    name(draft, file::folder_of(path), || {
        vacant(path)?;
        Ok(path.to_owned())
    })
}

/// Gives a draft that was made in [`folder`] and its manifest the usual names, after the time.
///
/// # Errors
/// [`Error::Io`].
pub fn publish_usual(app: &App, draft: Draft) -> Result<Snapshot> {
    let database = database(app, None)?;
    let folder = folder(app)?;
    let at = compact(draft.manifest.created_at);
    name(draft, &folder, || {
        let mut names = (0..1000).map(|n| folder.join(usual_name(database, &at, n)));
        // Others may have been begun in the same second.
        let free = |path: &PathBuf| vacant(path).and(vacant(&manifest_of(path))).is_ok();
        names
            .find(free)
            .ok_or_else(|| Error::internal("no name is left for a snapshot"))
    })
}

/// Puts its manifest beside a file that is there.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Io`].
pub fn attach(path: &Path, manifest: &Manifest) -> Result<()> {
    file::keep(
        written(manifest, file::folder_of(path))?,
        &manifest_of(path),
    )
}

/// A manifest in a file of `folder` that has no name yet.
fn written(manifest: &Manifest, folder: &Path) -> Result<NamedTempFile> {
    let mut text = temporary(folder)?;
    text.write_all(manifest.text()?.as_bytes())
        .map_err(Error::io(format!("write {}", text.path().display())))?;
    file::give_to_owner_of_folder(text.as_file(), text.path())?;
    Ok(text)
}

/// Gives a draft and its manifest their names in `folder`: what `choose` says, which nobody else
/// can take meanwhile.
fn name(draft: Draft, folder: &Path, choose: impl FnOnce() -> Result<PathBuf>) -> Result<Snapshot> {
    let Draft { file, manifest } = draft;
    let text = written(&manifest, folder)?;
    file::give_to_owner_of_folder(file.as_file(), file.path())?;
    let _alone = lock(folder)?;
    let path = choose()?;
    let beside = manifest_of(&path);
    if is_manifest(&beside) {
        // Of a run that was cut off before the database had its name: there is none.
        fs::remove_file(&beside).map_err(Error::io(format!("remove {}", beside.display())))?;
    }
    file::keep(text, &beside)?;
    if let Err(error) = file::keep(file, &path) {
        let _nothing_to_describe = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(Snapshot { path, manifest })
}

/// Whether a manifest is at `path`, and nothing else.
fn is_manifest(path: &Path) -> bool {
    let plain = path.symlink_metadata().is_ok_and(|it| it.is_file());
    plain && fs::read(path).is_ok_and(|text| Manifest::parse(&text).is_ok())
}

/// Holds the folder until it is dropped, against others who give names in it.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let locked = || -> io::Result<File> {
        let file = File::open(folder)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(Error::io(format!("lock the folder {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_fits_into_the_name_of_a_file() {
        assert_eq!(compact(Timestamp(1_795_163_640_123)), "20261120T083400Z");
    }

    #[test]
    fn the_usual_names_are_known_again_and_no_others() {
        for (name, usual) in [
            ("/b/provost-20251231T235959Z.db", true),
            ("/b/provost-20251231T235959Z-1.db", true),
            ("/b/provost-20251231T235959Z-12.db", true),
            ("/b/provost-20251231T235959Z-.db", false),
            ("/b/provost-20251231T235959Z1.db", false),
            ("/b/provost-20251231T235959Z-x.db", false),
            ("/b/provost-before-the-move.db", false),
            ("/b/pre-0013-20261120T083400Z.db", false),
            ("/b/provost-20261120T083400Z.db.json", false),
        ] {
            let database = Path::new("/b/provost.db");
            assert_eq!(is_usual(Path::new(name), database), usual, "{name}");
        }
    }

    #[test]
    fn only_what_is_left_over_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let held = temporary(folder.path()).unwrap();
        let left = temporary(folder.path()).unwrap().keep().unwrap();
        drop(left.0);
        let other = folder.path().join(".provost-backup-of-mine.db");
        fs::write(&other, "mine").unwrap();
        sweep(folder.path());
        assert!(held.path().exists() && other.exists());
        assert!(!left.1.exists());
    }
}
