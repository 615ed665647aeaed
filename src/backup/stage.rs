//! Staging: a copy of a backup beside the database, whose bytes are verified where nobody else can
//! change them any more.
//!
//! It lies in a folder of its own, locked (`flock`) by its maker: of several restores of one database
//! at once only the first goes on. A folder that is locked by nobody is left over, and the next run
//! removes it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::verify::{Against, Verified, examine, other_keys};
use crate::error::{Error, Result};
use crate::file::{flags, folder_of, give_to_owner_of_folder};
use crate::keys::Keys;
use crate::secret::hex;
use crate::snapshots::Manifest;

/// How the names of such folders begin.
const PREFIX: &str = ".provost-restore-";

/// A copy of a good backup beside the database whose place it is to take.
#[derive(Debug)]
pub struct Staged {
    pub(super) from: PathBuf,
    pub(super) database: PathBuf,
    /// What was found out about it: nothing that is wrong but with its audit log.
    pub verified: Verified,
    /// What is wrong with the audit log, and was when the backup was made.
    pub audit: Vec<String>,
    _folder: Folder,
}

/// A folder beside the database, locked; gone when it is dropped.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _the_next_run_removes_it = fs::remove_dir_all(&self.path);
    }
}

/// Copies the backup `from` beside the database at `live`, and verifies the copy. `from` may be `-`
/// for standard input.
///
/// # Errors
/// [`Error::BackupDamaged`], [`Error::KeyFile`] if it belongs to another key file,
/// [`Error::SchemaNewer`]; [`Error::Usage`] if there is nothing to hold it against; `Unavailable`
/// while another restore of the database goes on; whatever `tell` returns, which hears of each
/// piece.
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
    let folder = make(live)?;
    let database = folder.path.join(live.file_name().unwrap_or_default());
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
        if verified.is_of_other_keys() {
            return Err(other_keys(keys.1));
        }
        return Err(Error::BackupDamaged {
            path: from.to_owned(),
            reason: format!("{}: {}", fault.check, fault.detail),
        });
    }
    let audit = audit.into_iter().map(|it| it.detail.clone()).collect();
    Ok(Staged {
        from: from.to_owned(),
        database,
        verified,
        audit,
        _folder: folder,
    })
}

/// Makes the folder beside the database, which has the same name for all.
fn make(live: &Path) -> Result<Folder> {
    let mut name = OsString::from(PREFIX);
    name.push(live.file_name().unwrap_or_default());
    let path = folder_of(live).join(name);
    let making = || Error::io(format!("make the folder {}", path.display()));
    loop {
        let made = match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            made => made.map(|()| true).map_err(making())?,
        };
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags() | OFlags::DIRECTORY.bits().cast_signed())
            .open(&path);
        let lock = match opened {
            // Somebody took it for left over, or has finished.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.map_err(making())?,
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let place = live.display();
                let reason = format!("another restore of {place} is going on");
                return Err(Error::unavailable(reason));
            }
            Err(TryLockError::Error(error)) => return Err(making()(error)),
        }
        let own = lock.metadata().map_err(making())?;
        let same = |named: fs::Metadata| (named.dev(), named.ino()) == (own.dev(), own.ino());
        if !fs::symlink_metadata(&path).is_ok_and(same) {
            continue;
        }
        if made {
            give_to_owner_of_folder(&lock, &path)?;
            return Ok(Folder { path, _lock: lock });
        }
        // Left over; what is in it, and whose it is, nobody knows.
        fs::remove_dir_all(&path).map_err(making())?;
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
