//! Staging: a copy of a backup beside the database, whose bytes are verified where nobody else can
//! change them any more.
//!
//! It lies in a folder of its own, locked (`flock`) by its maker; a folder that is locked by nobody
//! is left over, and the next run removes it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::verify::{Against, Verified, examine};
use crate::error::{Error, Result};
use crate::file::{folder_of, give_to_owner_of_folder};
use crate::keys::Keys;
use crate::secret::hex;
use crate::snapshots::Manifest;

/// How the names of such folders begin.
const PREFIX: &str = ".provost-restore-";

/// A copy of a good backup beside the database whose place it is to take.
#[derive(Debug)]
pub struct Staged {
    pub(super) database: PathBuf,
    /// What was found out about it: nothing that is wrong but with its audit log.
    pub verified: Verified,
    /// What is wrong with the audit log, and was when the backup was made.
    pub audit: Vec<String>,
    _folder: TempDir,
    _lock: File,
}

/// Copies the backup `from` beside the database at `live`, and verifies the copy. `from` may be `-`
/// for standard input.
///
/// # Errors
/// [`Error::BackupDamaged`], [`Error::KeyFile`] if it belongs to another key file,
/// [`Error::SchemaNewer`]; [`Error::Usage`] if there is nothing to hold it against; whatever `tell`
/// returns, which hears of each piece.
pub fn stage(
    from: &Path,
    live: &Path,
    sha256: Option<&str>,
    keys: (&Keys, &Path),
    tell: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Staged> {
    let piped = from == Path::new("-");
    let opening = || Error::io(format!("read {}", from.display()));
    let manifest = if piped {
        Ok(None)
    } else {
        match Manifest::of(from) {
            Err(Error::Corrupt(reason)) => Err(reason),
            read => Ok(read?),
        }
    };
    let source: Box<dyn Read> = if piped {
        Box::new(std::io::stdin().lock())
    } else {
        let metadata = fs::metadata(from).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                Error::no_such("backup", &from.display().to_string())
            } else {
                opening()(error)
            }
        })?;
        let same =
            |other: fs::Metadata| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino());
        // A database is never opened like any file (security.md, rule 61).
        if fs::metadata(live).is_ok_and(same) {
            return Err(Error::invalid("file", "is the database itself"));
        }
        Box::new(File::open(from).map_err(opening())?)
    };
    sweep(folder_of(live));
    let (folder, lock) = make(live)?;
    let database = folder.path().join(live.file_name().unwrap_or_default());
    let (bytes, digest) = copy(source, &database, live, tell)?;
    let against = Against {
        sha256,
        keys: Some(keys.0),
    };
    let sealed = manifest.as_ref().is_ok_and(Option::is_some);
    let verified = examine(&database, manifest, (bytes, digest), against)?;
    let found = verified.checks.iter().flat_map(|check| &check.findings);
    // Of a file that is as it was made, an altered event is no reason to be without a database.
    let (audit, faults): (Vec<_>, Vec<_>) = found.partition(|it| sealed && it.check == "audit");
    if let Some(fault) = faults.first() {
        if fault.check == "keys" {
            return Err(Error::KeyFile {
                path: keys.1.to_owned(),
                reason: "is not the one to which the backup belongs; put a copy of the right one in its place".into(),
            });
        }
        return Err(Error::BackupDamaged {
            path: from.to_owned(),
            reason: format!("{}: {}", fault.check, fault.detail),
        });
    }
    let audit = audit.into_iter().map(|it| it.detail.clone()).collect();
    Ok(Staged {
        database,
        verified,
        audit,
        _folder: folder,
        _lock: lock,
    })
}

/// A folder beside the database, locked.
fn make(live: &Path) -> Result<(TempDir, File)> {
    let making = || Error::io(format!("make a folder beside {}", live.display()));
    loop {
        let made = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(folder_of(live))
            .map_err(making())?;
        let lock = File::open(made.path()).map_err(making())?;
        lock.lock().map_err(making())?;
        // Before it was locked, somebody may have taken it for left over.
        if made.path().exists() {
            return Ok((made, lock));
        }
    }
}

/// Removes what runs that were cut off have left. That it cannot be removed is no reason to stop.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let is_folder = entry.file_type().is_ok_and(|it| it.is_dir());
        if ours
            && is_folder
            && let Ok(lock) = File::open(entry.path())
            && lock.try_lock().is_ok()
        {
            let _gone_already = fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies everything, and returns how much that is and its SHA-256.
fn copy(
    mut from: Box<dyn Read>,
    to: &Path,
    live: &Path,
    tell: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(u64, String)> {
    let writing = || Error::io(format!("write {}", to.display()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(writing())?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; 256 * 1024];
    loop {
        let n = match from.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.map_err(Error::io("read the backup"))?,
        };
        let Some(read @ [_, ..]) = piece.get(..n) else {
            break;
        };
        hash.update(read);
        file.write_all(read).map_err(writing())?;
        bytes += u64::try_from(read.len()).unwrap_or(0);
        tell(bytes)?;
    }
    give_to_owner_of_folder(&file, live)?;
    Ok((bytes, hex(&hash.finalize())))
}
