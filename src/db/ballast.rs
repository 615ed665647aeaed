//! The ballast: 32 MiB beside an `SQLite` file that can be given back when the disk is full, so that
//! there is room to clear up (security.md, rule 60).
//!
//! Invariant: it is made whole or not at all, and only where enough is left besides.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::file;

/// How much it holds, in bytes.
pub const BYTES: u64 = 32 * 1024 * 1024;

/// What must be left on the disk beside it, in bytes: below that the disk counts as nearly full.
pub const ROOM: u64 = 256 * 1024 * 1024;

/// Where the ballast of the database in the file `database` is.
#[must_use]
pub fn place(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".ballast");
    name.into()
}

/// How many bytes it holds; `None` if there is none.
#[must_use]
pub fn held(database: &Path) -> Option<u64> {
    let about = fs::symlink_metadata(place(database)).ok()?;
    about.is_file().then_some(about.len())
}

/// Makes it if there is none and enough is left. Returns whether it was made.
///
/// # Errors
/// [`Error::Io`].
pub fn make(database: &Path) -> Result<bool> {
    let path = place(database);
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let folder = file::folder_of(&path);
    if file::disk(folder).is_none_or(|disk| disk.free < BYTES + ROOM) {
        return Ok(false);
    }
    let making = || Error::io(format!("make {}", path.display()));
    // Readable by its owner alone from its first moment on.
    let made = tempfile::Builder::new()
        .prefix(".ballast-")
        .tempfile_in(folder);
    let mut made = made.map_err(making())?;
    reserve(made.as_file_mut()).map_err(making())?;
    file::give_to_owner_of_folder(made.as_file(), &path)?;
    match file::keep(made, &path) {
        // Somebody else was faster.
        Err(Error::Exists { .. }) => Ok(false),
        kept => kept.map(|()| true),
    }
}

fn reserve(file: &mut fs::File) -> io::Result<()> {
    match fallocate(&*file, FallocateFlags::empty(), 0, BYTES) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            let zeros = vec![0; 64 * 1024];
            let mut left = BYTES;
            while left > 0 {
                file.write_all(&zeros)?;
                left = left.saturating_sub(64 * 1024);
            }
            Ok(())
        }
        reserved => reserved.map_err(io::Error::from),
    }
}

/// Gives it back to the disk. Returns how many bytes that were; `None` if there is none.
///
/// # Errors
/// [`Error::Io`].
pub fn release(database: &Path) -> Result<Option<u64>> {
    let Some(bytes) = held(database) else {
        return Ok(None);
    };
    let path = place(database);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        removed => removed
            .map(|()| Some(bytes))
            .map_err(Error::io(format!("remove {}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn it_takes_its_room_is_made_once_and_given_back_once() {
        let folder = tempfile::tempdir().unwrap();
        if file::disk(folder.path()).unwrap().free < BYTES + ROOM {
            return;
        }
        let database = folder.path().join("x.db");
        assert!(make(&database).unwrap());
        assert!(!make(&database).unwrap());
        let about = place(&database).metadata().unwrap();
        assert_eq!(
            (about.len(), about.permissions().mode() & 0o777),
            (BYTES, 0o600)
        );
        // Not a hole: it is there to take the room.
        assert!(about.blocks() * 512 >= BYTES, "{}", about.blocks());
        assert_eq!(release(&database).unwrap(), Some(BYTES));
        assert_eq!(release(&database).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_in_its_place_is_neither_replaced_nor_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (database, other) = (folder.path().join("x.db"), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, place(&database)).unwrap();
        assert!(!make(&database).unwrap());
        assert_eq!((held(&database), release(&database).unwrap()), (None, None));
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }
}
