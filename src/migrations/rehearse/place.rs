//! Where a rehearsal is: a private folder beside the database, on the same disk, locked while it is
//! in use. What a run that was killed has left there is removed by the next one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::file;

/// The folder, locked; removed with everything in it when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    lock: File,
    removed: bool,
}

impl Place {
    /// Makes the folder for the database in `file`, empty.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if another process rehearses, [`Error::Io`].
    pub(super) fn make(file: &Path) -> Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(".rehearsal");
        let folder = PathBuf::from(name);
        let making = || Error::io(format!("make the folder {}", folder.display()));
        loop {
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(making()(error));
                }
                Ok(()) | Err(_) => {}
            }
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags(file::flags())
                .open(&folder);
            let lock = match opened {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(making())?,
            };
            lock.try_lock()
                .map_err(|_| Error::unavailable("another rehearsal is going on"))?;
            // Who held the lock before may have removed the folder.
            let (held, there) = (lock.metadata(), fs::symlink_metadata(&folder));
            if let (Ok(held), Ok(there)) = (held, there)
                && held.is_dir()
                && (held.dev(), held.ino()) == (there.dev(), there.ino())
            {
                let place = Self {
                    folder,
                    lock,
                    removed: false,
                };
                // The daemon's account has to be able to clean up what root has left.
                file::give_to_owner_of_folder(&place.lock, &place.folder)?;
                place.empty()?;
                return Ok(place);
            }
        }
    }

    /// A new, empty file in it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn file(&self) -> Result<PathBuf> {
        let path = self.folder.join("copy.db");
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        made.map_err(Error::io(format!("make {}", path.display())))?;
        Ok(path)
    }

    fn empty(&self) -> Result<()> {
        let cleaning = || Error::io(format!("empty the folder {}", self.folder.display()));
        for entry in fs::read_dir(&self.folder).map_err(cleaning())? {
            let path = entry.map_err(cleaning())?.path();
            fs::remove_file(path).map_err(cleaning())?;
        }
        Ok(())
    }

    /// Removes it, and tells if that fails: nobody wants a second copy of the data to stay.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn remove(mut self) -> Result<()> {
        let folder = self.folder.display();
        let removing = Error::io(format!("remove the folder {folder}"));
        fs::remove_dir_all(&self.folder).map_err(removing)?;
        // From now on it may be somebody else's.
        self.removed = true;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.removed {
            // What cannot be removed now, the next one removes.
            let _left = fs::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let database = home.path().join("x.db");
        let first = Place::make(&database).unwrap();
        let copy = first.file().unwrap();
        assert!(matches!(Place::make(&database), Err(Error::Unavailable(_))));
        assert!(copy.exists());
        drop(first);
        assert!(!copy.exists());
    }

    #[test]
    fn what_a_killed_one_has_left_is_removed_and_nothing_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("x.db.rehearsal");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("copy.db"), "left over").unwrap();
        fs::write(folder.join("copy.db-wal"), "left over").unwrap();
        let place = Place::make(&home.path().join("x.db")).unwrap();
        assert_eq!(fs::metadata(place.file().unwrap()).unwrap().len(), 0);
        place.remove().unwrap();
        assert!(!folder.exists());
        drop(Place::make(&home.path().join("x.db")).unwrap());
        assert!(!folder.exists());
    }
}
