//! The tables of quizzes and questions.

use super::model::{Place, Row as Quiz};
use super::{Question, Settings};
use crate::db::{Row, Tx};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// A quiz is read with the number of its questions; what they are worth is in their JSON.
const COLUMNS: &str = "z.id, z.course_id, z.slug, z.settings, z.created_at, z.updated_at,
    (SELECT CAST(COUNT(*) AS BIGINT) FROM questions n WHERE n.quiz_id = z.id AND n.retired_at IS NULL)
        AS questions";

fn quiz(row: &Row) -> Result<Quiz> {
    Ok(Quiz {
        id: row.text("id")?,
        course_id: row.text("course_id")?,
        slug: row.text("slug")?,
        settings: parsed(row.str("settings")?)?,
        questions: u64::try_from(row.int("questions")?).map_err(Error::internal)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn parsed<T: serde::de::DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(Error::internal)
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// At most two quizzes whose ids are in the range.
pub(super) fn with_ids(tx: &mut Tx<'_>, low: &str, high: &str) -> Result<Vec<Quiz>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM quizzes z WHERE z.id >= $1 AND z.id <= $2 ORDER BY z.id LIMIT 2"
    );
    let rows = tx.all(&sql, &[low.into(), high.into()])?;
    rows.iter().map(quiz).collect()
}

/// The quiz of a course with this slug.
pub(super) fn with_slug(tx: &mut Tx<'_>, course: &str, slug: &str) -> Result<Option<Quiz>> {
    let sql = format!("SELECT {COLUMNS} FROM quizzes z WHERE z.course_id = $1 AND z.slug = $2");
    let row = tx.first(&sql, &[course.into(), slug.into()])?;
    row.as_ref().map(quiz).transpose()
}

/// Quizzes of a course behind `after`, in the order of their slugs.
pub(super) fn page(tx: &mut Tx<'_>, course: &str, after: &str, limit: u32) -> Result<Vec<Quiz>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM quizzes z WHERE z.course_id = $1 AND z.slug > $2
         ORDER BY z.slug LIMIT $3"
    );
    let rows = tx.all(&sql, &[course.into(), after.into(), limit.into()])?;
    rows.iter().map(quiz).collect()
}

/// Adds a quiz without questions.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: &str,
    course: &str,
    slug: &str,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    let added = tx.add(
        "INSERT INTO quizzes (id, course_id, slug, settings, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING",
        &[
            id.into(),
            course.into(),
            slug.into(),
            text(settings)?.into(),
            now.into(),
        ],
    )?;
    once(added)
}

/// What was looked for before it was added, under the lock of its course, cannot have been there.
fn once(added: bool) -> Result<()> {
    if added {
        Ok(())
    } else {
        Err(Error::internal("what was not there is there"))
    }
}

/// Gives a quiz other settings.
pub(super) fn set(tx: &mut Tx<'_>, id: &str, settings: &Settings, now: Timestamp) -> Result<()> {
    tx.run(
        "UPDATE quizzes SET settings = $2, updated_at = $3 WHERE id = $1",
        &[id.into(), text(settings)?.into(), now.into()],
    )?;
    Ok(())
}

/// The questions that a quiz asks, in the author's order.
pub(super) fn questions(tx: &mut Tx<'_>, quiz: &str) -> Result<Vec<Place>> {
    let rows = tx.all(
        "SELECT id, position, question FROM questions
         WHERE quiz_id = $1 AND retired_at IS NULL ORDER BY position, id",
        &[quiz.into()],
    )?;
    let place = |row: &Row| {
        Ok(Place {
            id: row.text("id")?,
            position: u32::try_from(row.int("position")?).map_err(Error::internal)?,
            question: parsed(row.str("question")?)?,
        })
    };
    rows.iter().map(place).collect()
}

/// Adds a question.
pub(super) fn add_question(
    tx: &mut Tx<'_>,
    id: &str,
    quiz: &str,
    position: u32,
    question: &Question,
    now: Timestamp,
) -> Result<()> {
    let added = tx.add(
        "INSERT INTO questions (id, quiz_id, name, position, question, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING",
        &[
            id.into(),
            quiz.into(),
            question.name.as_str().into(),
            position.into(),
            text(question)?.into(),
            now.into(),
        ],
    )?;
    once(added)
}

/// Corrects a question where it is.
pub(super) fn set_question(
    tx: &mut Tx<'_>,
    id: &str,
    position: u32,
    question: &Question,
    now: Timestamp,
) -> Result<()> {
    tx.run(
        "UPDATE questions SET position = $2, question = $3, updated_at = $4 WHERE id = $1",
        &[
            id.into(),
            position.into(),
            text(question)?.into(),
            now.into(),
        ],
    )?;
    Ok(())
}

/// Asks a question no more. One that was never asked is deleted.
pub(super) fn retire(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<()> {
    let deleted = tx.run(
        "DELETE FROM questions WHERE id = $1
           AND NOT EXISTS (SELECT 1 FROM answers a WHERE a.question_id = $1)",
        &[id.into()],
    )?;
    if deleted == 0 {
        tx.run(
            "UPDATE questions SET retired_at = $2 WHERE id = $1",
            &[id.into(), now.into()],
        )?;
    }
    Ok(())
}
