//! Where the engine's own tools make copies: which command does it.

use std::borrow::Cow;
use std::path::Path;

use super::place::compact;
use crate::app::App;
use crate::error::{Error, Result};

/// The database's file, of which a copy is to be made in `out`.
///
/// # Errors
/// [`Error::Usage`] with the command of the server's own tool, if there is no file.
pub fn database<'a>(app: &'a App, out: Option<&Path>) -> Result<&'a Path> {
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
#[must_use]
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', "'\\''")).into()
    }
}
