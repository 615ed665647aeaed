//! Whether the database is there, before anything opens it: opening a file makes it.

use std::path::Path;

use crate::config::DbUrl;
use crate::error::{Error, Result};

/// Refuses a file that is not there, and one without a byte beside its key file: setting up makes
/// the key file last, so what was in the database is lost. A server is there or cannot be reached.
///
/// # Errors
/// [`Error::DatabaseMissing`] beside a key file, else [`Error::NotSetUp`].
pub fn require(url: &DbUrl, key_file: &Path) -> Result<()> {
    let Some(path) = url.file() else {
        return Ok(());
    };
    // Only looked at, never opened: see security.md, rule 61.
    let bytes = path.metadata().ok().map(|about| about.len());
    let path = path.to_owned();
    match (bytes, key_file.exists()) {
        (Some(1..), _) | (Some(0), false) => Ok(()),
        (_, true) => Err(Error::DatabaseMissing {
            path,
            key_file: None,
        }),
        (None, false) => Err(Error::NotSetUp { path }),
    }
}
