//! Snapshots: whole copies of the database in files, each with a manifest that says what is in it.
//!
//! Invariants: a snapshot under its name is complete, was checked and has its manifest, also after a
//! loss of power (security.md, rule 79); nothing is ever overwritten; the key file is not in it, and
//! only its owner reads it. What a run that was cut off has left is removed by the next one.

mod beside;
mod manifest;
mod place;
mod tools;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

pub use beside::{is_before_migration, newest, noted, require};
pub use manifest::{FORMAT, Manifest, manifest_of};
pub use place::{attach, compact, folder, is_usual, publish, publish_usual, usual_folder, vacant};
pub use tools::{database, word};

use crate::app::App;
use crate::audit::{self, Head};
use crate::db::{Db, keyring};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::secret::hex;
use crate::time::Timestamp;

/// Hears how much is left of how much, and stops the work by an error.
pub type Tell<'t> = dyn FnMut(u64, u64) -> Result<()> + 't;

/// A snapshot that was taken.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
}

/// A copy that was checked and has no name yet; gone when it is dropped.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    /// What is in it.
    pub manifest: Manifest,
}

/// Copies the database into a file in `folder` that has no name yet, beside everybody who works on
/// it, and checks the copy.
///
/// # Errors
/// [`Error::Corrupt`] if the copy does not stand its check; [`Error::Io`]; what `tell` returns.
pub fn draft(app: &App, folder: &Path, tell: &mut Tell<'_>) -> Result<Draft> {
    place::sweep(folder);
    let created_at = app.clock().now();
    let file = place::temporary(folder)?;
    app.db().back_up(file.path(), tell)?;
    let manifest = describe(file.path(), created_at, &app.kit().keys)?;
    Ok(Draft { file, manifest })
}

/// Checks a database that nobody writes, and writes its manifest, with the seal of these keys.
///
/// # Errors
/// [`Error::Corrupt`] if it does not stand its check; [`Error::Io`].
pub fn describe(path: &Path, created_at: Timestamp, own: &Keys) -> Result<Manifest> {
    let (schema, engine, tables, keys, audit_head) = {
        let copy = Db::open_still(path)?;
        sound(&copy)?;
        let (schema, engine) = (copy.identity()?.schema, copy.facts().engine);
        let tables = counts(&copy)?;
        (schema, engine, tables, keys(&copy)?, audit_head(&copy)?)
    };
    let (bytes, sha256) = digest(path)?;
    let manifest = Manifest {
        format: FORMAT,
        provost: env!("CARGO_PKG_VERSION").to_owned(),
        engine,
        schema,
        created_at,
        bytes,
        sha256,
        tables,
        keys,
        audit_head,
        faults: Vec::new(),
        mac: String::new(),
    };
    manifest.signed(own)
}

impl Draft {
    /// Where the copy is as long as it has no name.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Writes into the manifest why nothing can be restored from it as it is.
    ///
    /// # Errors
    /// None that can happen: a manifest can always be written.
    pub fn blame(&mut self, faults: Vec<String>, keys: &Keys) -> Result<()> {
        let manifest = Manifest {
            faults,
            ..self.manifest.clone()
        };
        self.manifest = manifest.signed(keys)?;
        Ok(())
    }

    /// Hands the copy over piece by piece.
    ///
    /// # Errors
    /// [`Error::Io`], or what `to` returns.
    pub fn read(&self, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        read(self.file.path(), to)
    }
}

/// Refuses a database in which anything is damaged.
fn sound(db: &Db) -> Result<()> {
    for check in db.examine()? {
        if let Some(found) = check.findings.first() {
            let (object, detail) = (&found.object, &found.detail);
            return Err(Error::Corrupt(format!("{object}: {detail}")));
        }
    }
    Ok(())
}

/// How many rows each table has.
///
/// # Errors
/// Those of the database.
pub fn counts(db: &Db) -> Result<std::collections::BTreeMap<String, u64>> {
    Ok(db.rows_by_table()?.into_iter().collect())
}

/// The fingerprint of the key file to which the database belongs; none, if it was never used.
///
/// # Errors
/// Those of the database.
pub fn keys(db: &Db) -> Result<Option<String>> {
    db.read(|tx| {
        if tx.tables()?.iter().any(|table| table == "keyring") {
            keyring::fingerprint(tx)
        } else {
            Ok(None)
        }
    })
}

/// The newest block of the audit log, if the schema has any.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method's path is not general enough over the transaction's life"
)]
fn audit_head(db: &Db) -> Result<Option<Head>> {
    let tables = db.read(|tx| tx.tables())?;
    if tables.iter().any(|table| table == "audit_head") {
        db.read(audit::head)
    } else {
        Ok(None)
    }
}

/// The size of a file that no database has open, and the SHA-256 of it.
///
/// # Errors
/// [`Error::Io`].
pub fn digest(path: &Path) -> Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut bytes = 0_u64;
    read(path, &mut |piece| {
        hash.update(piece);
        bytes += u64::try_from(piece.len()).unwrap_or(0);
        Ok(())
    })?;
    Ok((bytes, hex(&hash.finalize())))
}

fn read(path: &Path, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let failed = || Error::io(format!("read {}", path.display()));
    let mut file = File::open(path).map_err(failed())?;
    let mut piece = vec![0; 256 * 1024];
    loop {
        let n = match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(failed())?,
        };
        match piece.get(..n) {
            None | Some([]) => return Ok(()),
            Some(read) => to(read)?,
        }
    }
}

#[cfg(test)]
mod tests;
