//! The snapshots that are beside a database: what is there, whatever was written down of it.

use std::cmp::Reverse;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Manifest, Snapshot};
use crate::audit::{Head, Restore};
use crate::keys::Keys;
use crate::time::Timestamp;

/// How the names of snapshots begin that were taken before a migration: nobody takes them regularly.
const BEFORE_MIGRATIONS: &str = "pre-";

/// Files that are looked at.
const MOST: usize = 10_000;

/// The newest head of the audit log that the manifests in `folder` have noted with these keys, of
/// the snapshots that were begun up to `until`. What a restore has taken back nobody misses.
#[must_use]
pub fn noted(folder: &Path, keys: &Keys, until: Timestamp, restores: &[Restore]) -> Option<Head> {
    let found = files(folder).into_iter();
    let manifests = found.filter_map(|(_, path)| Manifest::of(&path).ok()?);
    let own = manifests.filter(|manifest| {
        let at = manifest.created_at;
        manifest.keys.as_ref() == Some(&keys.fingerprint)
            && at <= until
            && !restores.iter().any(|restore| restore.undid(at))
            && manifest.is_genuine(keys).unwrap_or(false)
    });
    let heads = own.filter_map(|manifest| manifest.audit_head);
    heads.max_by_key(|head| head.number)
}

/// The newest backup in the folder beside a database; none, if none is there. A snapshot that was
/// taken before a migration is no backup.
#[must_use]
pub fn newest(database: &Path) -> Option<Snapshot> {
    let mut found = files(&database.with_file_name("backups"));
    found.retain(|(_, path)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with(BEFORE_MIGRATIONS)
    });
    // Those that were written last are read first: one is enough.
    found.sort_by_key(|(written, _)| Reverse(*written));
    found.into_iter().find_map(|(_, path)| described(path))
}

/// Each database in the folder, and when it was written.
fn files(folder: &Path) -> Vec<(i64, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let files = entries.take(MOST).filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_database = path.extension().is_some_and(|ending| ending == "db");
        let about = path.symlink_metadata().ok()?;
        (is_database && about.is_file()).then(|| (about.mtime(), path))
    });
    files.collect()
}

/// What its manifest says, if that speaks of a file of this size from which something can be
/// restored.
fn described(path: PathBuf) -> Option<Snapshot> {
    let manifest = Manifest::of(&path).ok()??;
    let bytes = path.metadata().ok()?.len();
    let restorable = bytes == manifest.bytes && manifest.faults.is_empty();
    restorable.then_some(Snapshot { path, manifest })
}
