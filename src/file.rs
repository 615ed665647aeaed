//! Files of ours beside others': never reached through a link, never inherited by a child, and,
//! where root makes them in the folder of a service's account, that account's (security.md,
//! rule 71).

use std::fs::{File, metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Gid, OFlags, Uid};
use tempfile::NamedTempFile;

use crate::error::{Error, OPEN, Result};

/// For `OpenOptions::custom_flags`.
#[must_use]
pub fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed()
}

/// Whether the file or folder at `path` is one that nobody works on any more: whoever makes one
/// locks it (`flock`).
#[must_use]
pub fn is_left_over(path: &Path) -> bool {
    let opened = File::options()
        .read(true)
        .custom_flags(flags() | OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    opened.is_ok_and(|file| {
        let plain = file.metadata().is_ok_and(|it| it.is_file() || it.is_dir());
        plain && file.try_lock().is_ok()
    })
}

/// What root makes in the folder of a service's account belongs to that account: the daemon could
/// not open it otherwise. `neighbour` is a path in that folder.
///
/// # Errors
/// [`Error::Io`] if the owner cannot be found out, or the file not given away.
pub fn give_to_owner_of_folder(file: &File, neighbour: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = folder_of(neighbour);
    let doing = || {
        Error::io(format!(
            "give a new file to the owner of {}",
            folder.display()
        ))
    };
    let owner = metadata(folder).map_err(doing())?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    rustix::fs::fchown(file, Some(user), Some(group)).map_err(|error| doing()(error.into()))
}

/// What a disk has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Left for ordinary users.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

/// The disk under `folder`; `None` where nobody knows.
#[must_use]
pub fn disk(folder: &Path) -> Option<Disk> {
    let about = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
    Some(Disk {
        free: bytes(about.f_bavail),
        size: bytes(about.f_blocks),
    })
}

/// The folder in which `path` is, or is to be.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Gives a file that was written under another name in the folder of `path` its own: it is there
/// whole or not at all, also after a loss of power, and takes nobody's place.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Io`].
pub fn keep(file: NamedTempFile, path: &Path) -> Result<()> {
    let writing = || Error::io(format!("write {}", path.display()));
    file.as_file().sync_all().map_err(writing())?;
    file.persist_noclobber(path).map_err(|failed| {
        if failed.error.kind() == ErrorKind::AlreadyExists {
            Error::Exists { path: path.into() }
        } else {
            Error::io(format!("make {}", path.display()))(failed.error)
        }
    })?;
    let folder = folder_of(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(Error::io(format!("write {}", folder.display())))
}

/// Refuses a file with a secret in it that others may read, or that is somebody else's.
///
/// # Errors
/// [`Error::KeyFile`] saying why.
pub fn check_secret(path: &Path, file: &File) -> Result<()> {
    let refuse = |reason: String| Error::KeyFile {
        path: path.into(),
        reason,
    };
    let metadata = file.metadata().map_err(|error| refuse(error.to_string()))?;
    let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return Err(refuse("is not a regular file".into()));
    }
    if mode & 0o077 != 0 {
        return Err(refuse(format!("{OPEN} (mode {mode:04o})")));
    }
    // Root may use anybody's file: an operator works with sudo on the daemon's.
    if owner != own && own != 0 {
        return Err(refuse(format!("belongs to uid {owner}, not to uid {own}")));
    }
    Ok(())
}
