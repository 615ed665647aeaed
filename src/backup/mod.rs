//! Backups: whole copies of the database, made beside everybody who works on it.
//!
//! Invariants: a backup under its name is complete and was checked (security.md, rule 79); nothing
//! is ever overwritten; the key file is not in it, and only its owner reads it.

pub mod cli;

use std::borrow::Cow;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::file;
use crate::secret::hex;
use crate::time::Timestamp;

/// A backup that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// The file; none if it went to standard output.
    pub path: Option<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file, as hexadecimal digits.
    pub sha256: String,
    /// The schema of the database in it.
    pub schema: u32,
    /// When it was begun: what was committed before is in it.
    pub created_at: Timestamp,
}

/// Hears how much is left of how much, and stops the work by an error.
pub type Tell<'t> = dyn FnMut(u64, u64) -> Result<()> + 't;

/// Where a backup is written if nobody says: a new file in the folder `backups` beside the
/// database, which is made if it is not there.
///
/// # Errors
/// [`Error::Usage`] where the engine's own tools make backups, [`Error::Io`].
pub fn usual_place(app: &App) -> Result<PathBuf> {
    let database = file_of(app, None)?;
    let folder = database.with_file_name("backups");
    let making = || Error::io(format!("make the folder {}", folder.display()));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {
            let made = File::open(&folder).map_err(making())?;
            file::give_to_owner_of_folder(&made, &folder)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(making()(error)),
    }
    let name = database.file_stem().unwrap_or_default().to_string_lossy();
    let at = compact(app.clock().now());
    Ok(folder.join(format!("{name}-{at}.db")))
}

/// Makes a backup in the new file `path`, and writes that down in the audit log.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Corrupt`] if the copy does not stand its check; [`Error::Usage`]
/// where the engine's own tools make backups.
pub fn create(app: &App, actor: &Actor, path: &Path, tell: &mut Tell<'_>) -> Result<Backup> {
    file_of(app, Some(path))?;
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.into() });
    }
    let (file, mut backup) = copy(app, file::folder_of(path), tell)?;
    file::give_to_owner_of_folder(file.as_file(), path)?;
    file::keep(file, path)?;
    backup.path = Some(path.to_owned());
    record(app, actor, &backup)?;
    Ok(backup)
}

/// Makes a backup and hands it over piece by piece.
///
/// # Errors
/// As [`create`], or what `to` returns.
pub fn stream(
    app: &App,
    actor: &Actor,
    tell: &mut Tell<'_>,
    to: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Backup> {
    // Where the database has room, there is room for its copy.
    let folder = file_of(app, Some(Path::new("-")))?
        .parent()
        .unwrap_or(Path::new("."));
    let (file, backup) = copy(app, folder, tell)?;
    read(file.path(), to)?;
    record(app, actor, &backup)?;
    Ok(backup)
}

/// A copy under a name of its own, gone when it is dropped.
fn copy(app: &App, folder: &Path, tell: &mut Tell<'_>) -> Result<(NamedTempFile, Backup)> {
    let created_at = app.clock().now();
    let failed = format!("make a file in {}", folder.display());
    // Readable by its owner alone from its first moment on.
    let made = tempfile::Builder::new()
        .prefix(".backup-")
        .tempfile_in(folder);
    let file = made.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Error::invalid("out", format!("there is no folder {}", folder.display()))
        } else {
            Error::io(failed)(error)
        }
    })?;
    app.db().back_up(file.path(), tell)?;
    let mut hash = Sha256::new();
    let mut bytes = 0_u64;
    read(file.path(), &mut |piece| {
        hash.update(piece);
        bytes += u64::try_from(piece.len()).unwrap_or(0);
        Ok(())
    })?;
    let backup = Backup {
        path: None,
        bytes,
        sha256: hex(&hash.finalize()),
        schema: app.db().identity()?.schema,
        created_at,
    };
    Ok((file, backup))
}

fn read(path: &Path, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let failed = || Error::io(format!("read {}", path.display()));
    let mut file = File::open(path).map_err(failed())?;
    let mut piece = vec![0; 256 * 1024];
    loop {
        let n = file.read(&mut piece).map_err(failed())?;
        match piece.get(..n) {
            None | Some([]) => return Ok(()),
            Some(read) => to(read)?,
        }
    }
}

fn record(app: &App, actor: &Actor, backup: &Backup) -> Result<()> {
    let path = backup.path.as_deref().unwrap_or(Path::new("-"));
    let object = format!("backup:{}", path.display());
    let details = json!({ "bytes": backup.bytes, "sha256": backup.sha256 });
    app.write(actor, move |cx| {
        let event = Event::new("backup.created", object.clone());
        audit::record(cx, event.with(details.clone()))
    })
}

/// The database's file.
fn file_of<'a>(app: &'a App, out: Option<&Path>) -> Result<&'a Path> {
    app.config()
        .db
        .file()
        .map_or_else(|| Err(Error::Usage(advice(app, out)?)), Ok)
}

/// What to do where the server has its own tool, for a backup into `out`.
fn advice(app: &App, out: Option<&Path>) -> Result<String> {
    let about = app.db().about()?;
    let mut settings = about.settings.iter();
    let schema = settings.find(|(name, value)| *name == "schema" && value != "public");
    let schema = schema.map_or(String::new(), |(_, schema)| format!(" --schema={schema}"));
    let url = app.config().db.for_tools().unwrap_or_default();
    let file = match out {
        Some(out) => format!(" --file={}", word(&out.display().to_string())),
        None => format!(" --file=provost-{}.dump", compact(app.clock().now())),
    };
    // Without a file it writes to standard output.
    let file = if out == Some(Path::new("-")) {
        ""
    } else {
        &file
    };
    Ok(format!(
        "backups of PostgreSQL are made by its own tool; run: \
         pg_dump --format=custom{schema}{file} '{url}'"
    ))
}

/// A word as a shell reads it.
fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', "'\\''")).into()
    }
}

/// `20261120T083400Z`: an instant as part of a file's name.
fn compact(at: Timestamp) -> String {
    let text = at.to_string().replace(['-', ':'], "");
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{seconds}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_fits_into_the_name_of_a_file() {
        assert_eq!(compact(Timestamp(1_795_163_640_123)), "20261120T083400Z");
    }
}
