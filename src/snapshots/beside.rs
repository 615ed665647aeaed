//! The snapshots that are beside a database: what is there, whatever was written down of it.

use std::cmp::Reverse;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Manifest, Snapshot, is_usual, manifest_of};
use crate::audit::{Head, Restore};
use crate::config::Config;
use crate::db;
use crate::error::{Error, Result};
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

/// Refuses a place where the database is not, as [`db::require`] does; and one where there are
/// backups of it, but neither the database nor its key file: nothing new begins beside them.
///
/// # Errors
/// [`Error::DatabaseMissing`], else [`Error::NotSetUp`].
pub fn require(config: &Config) -> Result<()> {
    let key_file = &config.key_file;
    if let Some(path) = config.db.file()
        && path.metadata().map_or(0, |it| it.len()) == 0
        && !key_file.exists()
        && are_there(path)
    {
        return Err(Error::DatabaseMissing {
            path: path.to_owned(),
            key_file: Some(key_file.clone()),
        });
    }
    db::require(&config.db, key_file)
}

/// Whether there are snapshots of the database beside it.
fn are_there(database: &Path) -> bool {
    let found = files(&database.with_file_name("backups"));
    found.iter().any(|(_, path)| {
        let ours = is_usual(path, database) || is_before_migration(path);
        ours && manifest_of(path).exists()
    })
}

/// Whether a snapshot was taken before a migration, as its name says.
#[must_use]
pub fn is_before_migration(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with(BEFORE_MIGRATIONS)
}

/// The newest backup in the folder beside a database; none, if none is there. A snapshot that was
/// taken before a migration is no backup.
#[must_use]
pub fn newest(database: &Path) -> Option<Snapshot> {
    let mut found = files(&database.with_file_name("backups"));
    found.retain(|(_, path)| !is_before_migration(path));
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
