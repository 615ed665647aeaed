//! The files of a course, from a folder or a ZIP archive, held in memory.
//!
//! Invariants (security.md §2.8, for archives and folders alike): no more than so many files, no
//! more than so many bytes, and of an archive no more than a hundred times its own size, counted
//! while they are read and not as it claims; no name leads out of the course; no link is followed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Component, Path};

use crate::error::{Error, Fault, Result};

/// The most files, and the most bytes that they may have together: more than the files that a course
/// may have besides its text (`courses::attachments`), so that what is exported can be taken in.
const FILES: usize = 5000;
const BYTES: u64 = 160 * 1024 * 1024;
/// How many times larger than an archive what is in it may be, and from which size on that counts.
const RATIO: u64 = 100;
const SMALL: u64 = 1024 * 1024;

/// The files by their names below the folder of the course, with `/` between the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// Reads a folder or an archive.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::FilesRefused`] for what is too large, or leads elsewhere.
    pub fn open(path: &Path) -> Result<Self> {
        let reading = || Error::io(format!("read {}", path.display()));
        if fs::metadata(path).map_err(reading())?.is_dir() {
            let mut files = Self::default();
            files.folder(path, "", &mut BYTES.clone())?;
            return Ok(files);
        }
        let file = fs::File::open(path).map_err(reading())?;
        let mut bytes = Vec::new();
        file.take(BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(reading())?;
        Self::archive(&bytes).map_err(|error| called(path, error))
    }

    fn folder(&mut self, path: &Path, prefix: &str, left: &mut u64) -> Result<()> {
        let reading = |path: &Path| Error::io(format!("read {}", path.display()));
        for entry in fs::read_dir(path).map_err(reading(path))? {
            let entry = entry.map_err(reading(path))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(refused(prefix, "holds a name that is not UTF-8"));
            };
            // What version control and editors leave behind.
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            let below = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(reading(&path))?;
            if kind.is_dir() {
                self.folder(&path, &format!("{below}/"), left)?;
            } else if kind.is_file() {
                let file = fs::File::open(&path).map_err(reading(&path))?;
                let bytes = limited(file, left).map_err(reading(&path))?;
                self.add(below, bytes)?;
            } else {
                return Err(refused(&below, "is neither a file nor a folder"));
            }
        }
        Ok(())
    }

    /// Reads an archive.
    ///
    /// # Errors
    /// As [`Files::open`].
    pub fn archive(bytes: &[u8]) -> Result<Self> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let broken = |error| {
            refused(
                "",
                &format!("is neither a folder nor a ZIP archive: {error}"),
            )
        };
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        if archive.len() > FILES {
            return Err(refused("", &format!("holds more than {FILES} files")));
        }
        let mut left = BYTES.min(SMALL.max(size.saturating_mul(RATIO)));
        let mut files = Self::default();
        for place in 0..archive.len() {
            let entry = archive.by_index(place).map_err(broken)?;
            let name = entry.name().map_err(broken)?.into_owned();
            if entry.is_dir() {
                continue;
            }
            if entry.is_symlink() || !is_inside(&name) {
                return Err(refused(&name, "leads out of the archive"));
            }
            let hidden = name.split('/').any(|part| part.starts_with('.'));
            let bytes = limited(entry, &mut left)
                .map_err(|error| refused(&name, &format!("cannot be unpacked: {error}")))?;
            if !hidden {
                files.add(name, bytes)?;
            }
        }
        Ok(files.below_one_folder())
    }

    fn add(&mut self, name: String, bytes: Vec<u8>) -> Result<()> {
        if self.0.len() >= FILES {
            return Err(refused(
                &name,
                &format!("is one of more than {FILES} files"),
            ));
        }
        if self.0.contains_key(&name) {
            return Err(refused(&name, "is there twice"));
        }
        self.0.insert(name, bytes);
        Ok(())
    }

    /// Most programs pack a folder, not what is in it.
    fn below_one_folder(mut self) -> Self {
        if self.0.contains_key("course.toml") {
            return self;
        }
        let first = self.0.keys().next().and_then(|name| name.split_once('/'));
        let Some(folder) = first.map(|(folder, _)| format!("{folder}/")) else {
            return self;
        };
        if self.0.keys().all(|name| name.starts_with(&folder)) {
            let files = std::mem::take(&mut self.0).into_iter();
            let short = |name: String| {
                name.strip_prefix(&folder)
                    .map_or(name.clone(), str::to_owned)
            };
            self.0 = files.map(|(name, bytes)| (short(name), bytes)).collect();
        }
        self
    }
}

/// Reads to the end, but no more than is `left`.
fn limited(from: impl Read, left: &mut u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(left.saturating_add(1)).read_to_end(&mut bytes)?;
    *left = left
        .checked_sub(u64::try_from(read).unwrap_or(u64::MAX))
        .ok_or_else(|| std::io::Error::other("it is larger than a course may be"))?;
    Ok(bytes)
}

/// Whether a name in an archive stays in the folder.
fn is_inside(name: &str) -> bool {
    let normal = |part| matches!(part, Component::Normal(_));
    !name.contains(['\\', '\0', ':']) && Path::new(name).components().all(normal)
}

/// What is wrong with an archive as a whole is told under its name.
fn called(path: &Path, mut error: Error) -> Error {
    if let Error::FilesRefused { faults } = &mut error {
        for fault in faults.iter_mut().filter(|fault| fault.file.is_empty()) {
            fault.file = path.display().to_string();
        }
    }
    error
}

fn refused(file: &str, reason: &str) -> Error {
    Error::FilesRefused {
        faults: vec![Fault::new(file, 0, reason)],
    }
}
