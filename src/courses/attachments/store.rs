//! The table of attachments.

use super::Attachment;
use crate::db::{Row, Tx};
use crate::error::Result;

const COLUMNS: &str = "id, name, media_type, size, sha256, created_at";

/// The file of a course with this name, without its bytes.
pub(super) fn by_name(tx: &mut Tx<'_>, course: &str, name: &str) -> Result<Option<Attachment>> {
    let sql = format!("SELECT {COLUMNS} FROM attachments WHERE course_id = $1 AND name = $2");
    let row = tx.first(&sql, &[course.into(), name.into()])?;
    row.as_ref().map(attachment).transpose()
}

/// The files of a course behind `after` by name, without their bytes.
pub(super) fn page(
    tx: &mut Tx<'_>,
    course: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<Attachment>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM attachments WHERE course_id = $1 AND name > $2
         ORDER BY name LIMIT $3"
    );
    let rows = tx.all(&sql, &[course.into(), after.into(), limit.into()])?;
    rows.iter().map(attachment).collect()
}

/// How many files with other names than this the course has, and how many bytes they have.
pub(super) fn others(tx: &mut Tx<'_>, course: &str, name: &str) -> Result<(i64, i64)> {
    let row = tx.first(
        "SELECT CAST(COUNT(*) AS BIGINT) AS files, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes
         FROM attachments WHERE course_id = $1 AND name <> $2",
        &[course.into(), name.into()],
    )?;
    row.map_or(Ok((0, 0)), |row| Ok((row.int("files")?, row.int("bytes")?)))
}

/// Deletes a file.
pub(super) fn delete(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.run("DELETE FROM attachments WHERE id = $1", &[id.into()])?;
    Ok(())
}

/// The bytes of a file.
pub(super) fn bytes(tx: &mut Tx<'_>, id: &str) -> Result<Option<Vec<u8>>> {
    let row = tx.first("SELECT bytes FROM attachments WHERE id = $1", &[id.into()])?;
    row.map(|row| row.bytes("bytes").map(<[u8]>::to_vec))
        .transpose()
}

/// Stores a file in place of the one of its name.
pub(super) fn put(tx: &mut Tx<'_>, course: &str, file: &Attachment, bytes: &[u8]) -> Result<()> {
    tx.run(
        "INSERT INTO attachments (id, course_id, name, media_type, size, sha256, bytes, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (course_id, name)
         DO UPDATE SET media_type = excluded.media_type, size = excluded.size,
                       sha256 = excluded.sha256, bytes = excluded.bytes, created_at = excluded.created_at",
        &[
            file.id.as_str().into(),
            course.into(),
            file.name.as_str().into(),
            file.media_type.as_str().into(),
            file.size.into(),
            file.sha256.as_str().into(),
            bytes.into(),
            file.created_at.into(),
        ],
    )?;
    Ok(())
}

fn attachment(row: &Row) -> Result<Attachment> {
    Ok(Attachment {
        id: row.text("id")?,
        name: row.text("name")?,
        media_type: row.text("media_type")?,
        size: row.int("size")?,
        sha256: row.text("sha256")?,
        created_at: row.time("created_at")?,
    })
}
