//! The tables of modules, lessons and progress.

use std::fmt::Write as _;

use super::{Changes, Completion, Lesson, Mark, NewLesson, Step};
use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::time::Timestamp;

const COLUMNS: &str = "l.id, c.slug AS course, m.slug AS module, m.title AS module_title, l.slug,
    l.title, l.position, l.version, l.created_at, l.updated_at, m.position AS module_position";

const JOINED: &str =
    "FROM lessons l JOIN modules m ON m.id = l.module_id JOIN courses c ON c.id = l.course_id";

/// A group of lessons.
pub(super) struct Module {
    pub(super) id: String,
    pub(super) slug: String,
    pub(super) title: String,
    pub(super) position: i64,
}

/// The lesson of a course with this slug.
pub(super) fn by_slug(tx: &mut Tx<'_>, course: &str, slug: &str) -> Result<Option<Lesson>> {
    let sql = format!("SELECT {COLUMNS} {JOINED} WHERE l.course_id = $1 AND l.slug = $2");
    let row = tx.first(&sql, &[course.into(), slug.into()])?;
    row.as_ref().map(lesson).transpose()
}

/// At most two of the lessons whose ids lie between these.
pub(super) fn between(tx: &mut Tx<'_>, low: &str, high: &str) -> Result<Vec<Lesson>> {
    let sql =
        format!("SELECT {COLUMNS} {JOINED} WHERE l.id >= $1 AND l.id <= $2 ORDER BY l.id LIMIT 2");
    let rows = tx.all(&sql, &[low.into(), high.into()])?;
    rows.iter().map(lesson).collect()
}

/// The text of a lesson.
pub(super) fn source(tx: &mut Tx<'_>, id: &str) -> Result<Option<String>> {
    let row = tx.first("SELECT source FROM lessons WHERE id = $1", &[id.into()])?;
    row.map(|row| row.text("source")).transpose()
}

/// The lessons of a course after this place, in their order.
pub(super) fn page(
    tx: &mut Tx<'_>,
    course: &str,
    after: (i64, i64),
    limit: u32,
) -> Result<Vec<Lesson>> {
    let sql = format!(
        "SELECT {COLUMNS} {JOINED}
         WHERE l.course_id = $1 AND (m.position, l.position) > ($2, $3)
         ORDER BY m.position, l.position, l.id LIMIT $4"
    );
    let values = [course.into(), after.0.into(), after.1.into(), limit.into()];
    tx.all(&sql, &values)?.iter().map(lesson).collect()
}

/// All lessons of a course with their texts, in their order.
pub(super) fn all(tx: &mut Tx<'_>, course: &str) -> Result<Vec<(Lesson, String)>> {
    let sql = format!(
        "SELECT {COLUMNS}, l.source {JOINED} WHERE l.course_id = $1
         ORDER BY m.position, l.position, l.id"
    );
    let rows = tx.all(&sql, &[course.into()])?;
    rows.iter()
        .map(|row| Ok((lesson(row)?, row.text("source")?)))
        .collect()
}

/// The modules of a course in their order.
pub(super) fn modules(tx: &mut Tx<'_>, course: &str) -> Result<Vec<Module>> {
    let rows = tx.all(
        "SELECT id, slug, title, position FROM modules WHERE course_id = $1 ORDER BY position, id",
        &[course.into()],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Module {
                id: row.text("id")?,
                slug: row.text("slug")?,
                title: row.text("title")?,
                position: row.int("position")?,
            })
        })
        .collect()
}

/// Adds a module.
pub(super) fn insert_module(
    tx: &mut Tx<'_>,
    id: &str,
    course: &str,
    (slug, title): (&str, &str),
    position: i64,
) -> Result<()> {
    tx.run(
        "INSERT INTO modules (id, course_id, slug, title, position) VALUES ($1, $2, $3, $4, $5)",
        &[
            id.into(),
            course.into(),
            slug.into(),
            title.into(),
            position.into(),
        ],
    )?;
    Ok(())
}

/// Gives a module another title and place.
pub(super) fn set_module(tx: &mut Tx<'_>, id: &str, title: &str, position: i64) -> Result<()> {
    tx.run(
        "UPDATE modules SET title = $2, position = $3 WHERE id = $1",
        &[id.into(), title.into(), position.into()],
    )?;
    Ok(())
}

/// Adds a lesson at the end of a module. Returns false, changing nothing, if its slug is taken.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: &str,
    (course, module): (&str, &str),
    new: &NewLesson,
    now: Timestamp,
) -> Result<bool> {
    tx.add(
        "INSERT INTO lessons (id, course_id, module_id, slug, title, position, source, version,
                              created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5,
                 (SELECT COALESCE(MAX(o.position), 0) + 1 FROM lessons o WHERE o.module_id = $3),
                 $6, 1, $7, $7)
         ON CONFLICT DO NOTHING",
        &[
            id.into(),
            course.into(),
            module.into(),
            new.slug.as_str().into(),
            new.title.as_str().into(),
            new.source.as_str().into(),
            now.into(),
        ],
    )
}

/// Writes `changes`. Returns false, changing nothing, if the slug belongs to another lesson of the
/// course.
pub(super) fn set(
    tx: &mut Tx<'_>,
    (id, course): (&str, &str),
    changes: &Changes,
    now: Timestamp,
) -> Result<bool> {
    let mut sets = String::from("version = version + 1, updated_at = $2");
    let mut free = String::new();
    let mut values: Vec<Value> = vec![id.into(), now.into()];
    if let Some(slug) = &changes.slug {
        values.extend([slug.as_str().into(), course.into()]);
        sets.push_str(", slug = $3");
        free.push_str(
            " AND NOT EXISTS (SELECT 1 FROM lessons o
              WHERE o.course_id = $4 AND o.slug = $3 AND o.id <> $1)",
        );
    }
    let mut write = |column: &str, value: &str| {
        values.push(value.into());
        let _infallible = write!(sets, ", {column} = ${}", values.len());
    };
    if let Some(title) = &changes.title {
        write("title", title.as_str());
    }
    if let Some(source) = &changes.source {
        write("source", source.as_str());
    }
    let sql = format!("UPDATE lessons SET {sets} WHERE id = $1{free}");
    Ok(tx.run(&sql, &values)? == 1)
}

/// Makes a new version of a lesson.
pub(super) fn touch(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<()> {
    tx.run(
        "UPDATE lessons SET version = version + 1, updated_at = $2 WHERE id = $1",
        &[id.into(), now.into()],
    )?;
    Ok(())
}

/// Deletes a lesson.
pub(super) fn delete(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.run("DELETE FROM lessons WHERE id = $1", &[id.into()])?;
    Ok(())
}

/// The id of the module in which a lesson stands.
pub(super) fn module_of(tx: &mut Tx<'_>, id: &str) -> Result<String> {
    let row = tx.first("SELECT module_id FROM lessons WHERE id = $1", &[id.into()])?;
    row.ok_or_else(|| Error::no_such("lesson", id))?
        .text("module_id")
}

/// The ids of a module's lessons in their order, and their places.
pub(super) fn order(tx: &mut Tx<'_>, module: &str) -> Result<Vec<(String, i64)>> {
    let rows = tx.all(
        "SELECT id, position FROM lessons WHERE module_id = $1 ORDER BY position, id",
        &[module.into()],
    )?;
    rows.iter()
        .map(|row| Ok((row.text("id")?, row.int("position")?)))
        .collect()
}

/// Gives a lesson its place.
pub(super) fn set_position(tx: &mut Tx<'_>, id: &str, module: &str, position: i64) -> Result<()> {
    tx.run(
        "UPDATE lessons SET module_id = $2, position = $3 WHERE id = $1",
        &[id.into(), module.into(), position.into()],
    )?;
    Ok(())
}

/// Notes how far a user has come. Returns false, changing nothing, if it is so already.
pub(super) fn mark(
    tx: &mut Tx<'_>,
    (user, lesson): (&str, &str),
    to: Step,
    now: Timestamp,
) -> Result<bool> {
    let changed = if to == Step::NotStarted {
        tx.run(
            "DELETE FROM progress WHERE user_id = $1 AND lesson_id = $2",
            &[user.into(), lesson.into()],
        )?
    } else {
        tx.run(
            "INSERT INTO progress (user_id, lesson_id, state, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, lesson_id) DO UPDATE SET state = excluded.state, at = excluded.at
             WHERE progress.state <> excluded.state",
            &[user.into(), lesson.into(), to.as_str().into(), now.into()],
        )?
    };
    Ok(changed == 1)
}

/// How far a user has come, lesson by lesson in their order.
pub(super) fn marks(tx: &mut Tx<'_>, course: &str, user: &str) -> Result<Vec<Mark>> {
    let rows = tx.all(
        "SELECT l.id, l.slug, l.title, COALESCE(p.state, 'not_started') AS state, p.at
         FROM lessons l JOIN modules m ON m.id = l.module_id
              LEFT JOIN progress p ON p.lesson_id = l.id AND p.user_id = $2
         WHERE l.course_id = $1 ORDER BY m.position, l.position, l.id",
        &[course.into(), user.into()],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Mark {
                id: row.text("id")?,
                lesson: row.text("slug")?,
                title: row.text("title")?,
                state: Step::read(&row.text("state")?)?,
                at: row.opt_time("at")?,
            })
        })
        .collect()
}

/// Who completed a lesson in a time, in the order of their ids and behind `after`.
pub(super) fn completions(
    tx: &mut Tx<'_>,
    lesson: &str,
    (since, until): (Timestamp, Timestamp),
    after: &str,
    limit: u32,
) -> Result<Vec<Completion>> {
    let rows = tx.all(
        "SELECT p.user_id, u.username, p.at FROM progress p JOIN users u ON u.id = p.user_id
         WHERE p.lesson_id = $1 AND p.user_id > $2 AND p.state = 'completed'
           AND p.at >= $3 AND p.at < $4
         ORDER BY p.user_id LIMIT $5",
        &[
            lesson.into(),
            after.into(),
            since.into(),
            until.into(),
            limit.into(),
        ],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Completion {
                user: row.text("user_id")?,
                username: row.text("username")?,
                at: row.time("at")?,
            })
        })
        .collect()
}

/// Forgets how far a user has come with a course; returns with how many lessons.
pub(super) fn forget(tx: &mut Tx<'_>, course: &str, user: &str) -> Result<u64> {
    tx.run(
        "DELETE FROM progress WHERE user_id = $2 AND lesson_id IN
           (SELECT l.id FROM lessons l WHERE l.course_id = $1)",
        &[course.into(), user.into()],
    )
}

fn lesson(row: &Row) -> Result<Lesson> {
    Ok(Lesson {
        id: row.text("id")?,
        course: row.text("course")?,
        module: row.text("module")?,
        module_title: row.text("module_title")?,
        slug: row.text("slug")?,
        title: row.text("title")?,
        position: row.int("position")?,
        version: row.int("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        module_position: row.int("module_position")?,
    })
}
