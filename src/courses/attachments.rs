//! Files that belong to a course.
//!
//! Invariants: what sort of file it is, is found in its bytes and never believed from its name; no
//! file is larger than the settings allow, and a course has no more of them than its folder may
//! hold; a name belongs to one file of a course, and leads nowhere.

pub mod cli;
pub mod http;
mod store;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::json;

use super::{Gate, gate, manage};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::id;
use crate::page::Page;
use crate::secret::sha256_hex;
use crate::time::Timestamp;

/// The most files of a course, and the most bytes that they may have together: what is exported must
/// be small enough to be taken in again.
pub const FILES: i64 = 1000;
/// See [`FILES`].
pub const BYTES: i64 = 100 * 1024 * 1024;

/// What a file is called: letters, digits, `.`, `_` and `-` of ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AttachmentName(String);

impl AttachmentName {
    const MAX: usize = 100;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttachmentName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let good = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(word)
            && text
                .as_bytes()
                .first()
                .is_some_and(u8::is_ascii_alphanumeric);
        if good {
            return Ok(Self(text.to_owned()));
        }
        let rule = format!(
            "must be letters a-z, digits, '.', '_' and '-', begin with a letter or a digit, and have at most {} characters",
            Self::MAX
        );
        Err(Error::invalid("name", rule))
    }
}

impl fmt::Display for AttachmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A file without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Attachment {
    /// The id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What sort of file it is, as its bytes tell.
    #[schema(example = "image/png")]
    pub media_type: String,
    /// How many bytes it has.
    #[schema(minimum = 0)]
    pub size: i64,
    /// SHA-256 of them, in hexadecimal digits.
    pub sha256: String,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What sort of file these bytes are. What runs in a browser is only text.
fn media_type(bytes: &[u8]) -> &'static str {
    match infer::get(bytes).map(|kind| kind.mime_type()) {
        Some("text/html" | "text/xml" | "image/svg+xml") => "text/plain",
        Some(known) => known,
        None if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) => "text/plain",
        None => "application/octet-stream",
    }
}

/// Whether the course has this very file.
///
/// # Errors
/// Those of the database.
pub fn is_there(
    cx: &mut Cx<'_, '_>,
    gate: &Gate,
    name: &AttachmentName,
    bytes: &[u8],
) -> Result<bool> {
    let old = store::by_name(cx.tx, &gate.id, name.as_str())?;
    Ok(old.is_some_and(|old| old.sha256 == sha256_hex(bytes)))
}

/// Gives the course a file, in place of the one of this name.
///
/// # Errors
/// [`Error::Forbidden`] for who does not manage the course; [`Error::PayloadTooLarge`].
pub fn put(
    cx: &mut Cx<'_, '_>,
    gate: &Gate,
    name: &AttachmentName,
    bytes: &[u8],
) -> Result<Attachment> {
    gate.require_manager(cx.actor)?;
    let limit = cx.kit.config.courses.attachment_max;
    if bytes.len() > limit {
        return Err(Error::PayloadTooLarge { limit });
    }
    if !is_there(cx, gate, name, bytes)? {
        let size = i64::try_from(bytes.len()).map_err(Error::internal)?;
        check_room(cx, gate, name, size)?;
        let file = Attachment {
            id: id::entity(cx.now),
            name: name.as_str().to_owned(),
            media_type: media_type(bytes).to_owned(),
            size,
            sha256: sha256_hex(bytes),
            created_at: cx.now,
        };
        store::put(cx.tx, &gate.id, &file, bytes)?;
        let details =
            json!({ "name": file.name, "media_type": file.media_type, "size": file.size });
        let event = Event::new("attachment.stored", super::object(&gate.id));
        audit::record(cx, event.with(details))?;
    }
    let file = store::by_name(cx.tx, &gate.id, name.as_str())?;
    file.ok_or_else(|| Error::no_such("attachment", name.as_str()))
}

/// Whether one more file fits beside those with other names.
fn check_room(cx: &mut Cx<'_, '_>, gate: &Gate, name: &AttachmentName, size: i64) -> Result<()> {
    let (files, bytes) = store::others(cx.tx, &gate.id, name.as_str())?;
    if files >= FILES {
        let rule = format!("has {FILES} files, and may have no more");
        return Err(Error::invalid("course", rule));
    }
    if bytes.saturating_add(size) > BYTES {
        let rule =
            format!("may have no more than {BYTES} bytes in files, and has {bytes} in others");
        return Err(Error::invalid("course", rule));
    }
    Ok(())
}

/// As [`put`], for the course that `course` names, and only if `still` has nothing against what is
/// there under that name. Tells, too, whether nothing was.
///
/// # Errors
/// As [`manage`] and [`put`]; what `still` returns.
pub fn put_if(
    cx: &mut Cx<'_, '_>,
    course: &str,
    name: &AttachmentName,
    bytes: &[u8],
    still: impl FnOnce(Option<&Attachment>) -> Result<()>,
) -> Result<(Attachment, bool)> {
    let gate = manage(cx, course)?;
    let old = store::by_name(cx.tx, &gate.id, name.as_str())?;
    still(old.as_ref())?;
    let file = put(cx, &gate, name, bytes)?;
    Ok((file, old.is_none()))
}

/// Lets the actor pass if they may give the course files: before anything of a file is read.
///
/// # Errors
/// As [`manage`].
pub fn may_put(cx: &mut Cx<'_, '_>, course: &str) -> Result<()> {
    gate(cx, course)?.require_manager(cx.actor)
}

/// Deletes a file, if `still` has nothing against it as it is.
///
/// # Errors
/// As [`manage`]; [`Error::NotFound`]; what `still` returns.
pub fn delete_if(
    cx: &mut Cx<'_, '_>,
    course: &str,
    name: &str,
    still: impl FnOnce(&Attachment) -> Result<()>,
) -> Result<Attachment> {
    let gate = manage(cx, course)?;
    let file = store::by_name(cx.tx, &gate.id, name)?;
    let file = file.ok_or_else(|| Error::no_such("attachment", name))?;
    still(&file)?;
    store::delete(cx.tx, &file.id)?;
    let event = Event::new("attachment.deleted", super::object(&gate.id));
    audit::record(cx, event.with(json!({ "name": file.name })))?;
    Ok(file)
}

/// The files of a course by name.
///
/// # Errors
/// As [`gate`]; [`Error::NotFound`] for who may not read the course.
pub fn list(
    cx: &mut Cx<'_, '_>,
    course: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Attachment>> {
    let gate = readable(cx, course)?;
    let after = cursor.unwrap_or_default();
    let files = store::page(cx.tx, &gate.id, after, limit.saturating_add(1))?;
    Ok(Page::cut(files, limit, |file| file.name.clone()))
}

fn readable(cx: &mut Cx<'_, '_>, course: &str) -> Result<Gate> {
    let gate = gate(cx, course)?;
    if gate.readable(cx.actor)? {
        Ok(gate)
    } else {
        Err(Error::no_such("course", course))
    }
}

/// A file without its bytes.
///
/// # Errors
/// As [`list`]; [`Error::NotFound`].
pub fn show(cx: &mut Cx<'_, '_>, course: &str, name: &str) -> Result<Attachment> {
    let gate = readable(cx, course)?;
    let file = store::by_name(cx.tx, &gate.id, name)?;
    file.ok_or_else(|| Error::no_such("attachment", name))
}

/// A file and its bytes.
///
/// # Errors
/// As [`show`].
pub fn get(cx: &mut Cx<'_, '_>, course: &str, name: &str) -> Result<(Attachment, Vec<u8>)> {
    let file = show(cx, course, name)?;
    let bytes = store::bytes(cx.tx, &file.id)?;
    let bytes = bytes.ok_or_else(|| Error::no_such("attachment", name))?;
    Ok((file, bytes))
}

/// All files of a course with their bytes: for who copies it, which the caller checks.
///
/// # Errors
/// Those of the database.
pub fn all(cx: &mut Cx<'_, '_>, gate: &Gate) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for file in store::page(cx.tx, &gate.id, "", u32::MAX)? {
        let bytes = store::bytes(cx.tx, &file.id)?.unwrap_or_default();
        files.push((file.name, bytes));
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
