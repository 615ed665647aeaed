//! The courses' tables. Whether somebody is enrolled is read with the course itself: both decide
//! together whether it is there for them, and a point read is one statement.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::names::folded;
use super::pages::{Asked, Seen};
use super::sight::{Gate, Person, Tie};
use super::{Admission, Changes, Course, NewCourse, Slug, Stamp, State, Tag, Visibility};
use crate::db::{Row, Tx, Value};
use crate::error::Result;
use crate::time::Timestamp;
use crate::users::{Change, Locale, Role};

/// What decides who may do what, with [`TIE`].
const GATE: &str =
    "c.id, c.slug, c.version, c.updated_at, c.state, c.visibility, c.enrolment, c.owner_id";

/// Everything that is shown, in the order in which [`course`] reads it.
const SHOWN: &str = "c.id, c.slug, c.title, c.summary, c.language, c.state, c.visibility,
    c.enrolment, c.owner_id,
    (SELECT STRING_AGG(t.tag, ' ') FROM course_tags t WHERE t.course_id = c.id) AS tags,
    c.version, c.published_at, c.created_at, c.updated_at";

/// What somebody who asks is to a course; `$1` is the user.
const TIE: &str = "COALESCE((SELECT e.state FROM enrolments e
    WHERE e.course_id = c.id AND e.user_id = $1), 'none') AS tie";

/// What names a course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Slug(String),
    /// From the one id to the other, both included.
    Ids(String, String),
    /// A slug that could be the beginning of an id as well.
    Either(String, String, String),
}

/// The same columns, by each sort of key. Made once: they are read with every look at a course.
type Statements = LazyLock<[String; 3]>;

fn statements(columns: &str) -> [String; 3] {
    let by = |condition| {
        format!("SELECT {columns}, {TIE} FROM courses c WHERE {condition} ORDER BY c.id LIMIT 2")
    };
    [
        by("c.slug = $2"),
        by("c.id >= $2 AND c.id <= $3"),
        by("(c.slug = $2 OR (c.id >= $3 AND c.id <= $4))"),
    ]
}

/// At most two of the gates of courses with this key, the one with the slug first.
pub(super) fn gates(tx: &mut Tx<'_>, key: &Key, user: Option<&str>) -> Result<Vec<Gate>> {
    static GATES: Statements = LazyLock::new(|| statements(GATE));
    rows(tx, &GATES, key, user)?.iter().map(gate).collect()
}

/// The same with everything that is shown.
pub(super) fn courses(
    tx: &mut Tx<'_>,
    key: &Key,
    user: Option<&str>,
) -> Result<Vec<(Course, Gate)>> {
    static COURSES: Statements = LazyLock::new(|| statements(SHOWN));
    let rows = rows(tx, &COURSES, key, user)?;
    let both = rows.into_iter().map(|row| {
        let gate = gate(&row)?;
        Ok((course(row)?, gate))
    });
    both.collect()
}

fn rows(
    tx: &mut Tx<'_>,
    [slug, ids, either]: &[String; 3],
    key: &Key,
    user: Option<&str>,
) -> Result<Vec<Row>> {
    let (sql, texts): (&String, &[&String]) = match key {
        Key::Slug(text) => (slug, &[text]),
        Key::Ids(low, high) => (ids, &[low, high]),
        Key::Either(text, low, high) => (either, &[text, low, high]),
    };
    let texts = texts.iter().map(|it| it.as_str().into());
    let values: Vec<Value> = std::iter::once(user.into()).chain(texts).collect();
    tx.all(sql, &values)
}

/// Adds a draft. Returns false, changing nothing, if its slug is taken.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: &str,
    new: &NewCourse,
    owner: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let words = words(new.slug.as_str(), new.title.as_str(), new.summary.as_str());
    let changed = tx.run(
        "INSERT INTO courses (id, slug, title, summary, words, language, state, visibility,
                              enrolment, owner_id, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'draft', $7, $8, $9, 1, $10, $10)
         ON CONFLICT DO NOTHING",
        &[
            id.into(),
            new.slug.as_str().into(),
            new.title.as_str().into(),
            new.summary.as_str().into(),
            words.into(),
            new.language.as_ref().map(Locale::as_str).into(),
            new.visibility.as_str().into(),
            new.enrolment.as_str().into(),
            owner.into(),
            now.into(),
        ],
    )?;
    Ok(changed == 1)
}

/// What is searched.
fn words(slug: &str, title: &str, summary: &str) -> String {
    folded(&format!("{slug}\n{title}\n{summary}"))
}

/// Gives a course these tags and no others.
pub(super) fn set_tags(tx: &mut Tx<'_>, id: &str, tags: &[Tag]) -> Result<()> {
    tx.run("DELETE FROM course_tags WHERE course_id = $1", &[id.into()])?;
    for tag in tags {
        tx.run(
            "INSERT INTO course_tags (course_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[id.into(), tag.as_str().into()],
        )?;
    }
    Ok(())
}

/// Writes `changes` into `old`; whose it is was looked up. Returns false, changing nothing, if
/// the slug belongs to another course, or there is no such course.
pub(super) fn set(
    tx: &mut Tx<'_>,
    old: &Course,
    changes: &Changes,
    owner: &Change<String>,
    now: Timestamp,
) -> Result<bool> {
    let mut sets = String::from("version = version + 1, updated_at = $2");
    let mut free = String::new();
    let mut values: Vec<Value> = vec![old.id.as_str().into(), now.into()];
    let mut write = |column: &str, value: Value| {
        values.push(value);
        let number = values.len();
        let _infallible = write!(sets, ", {column} = ${number}");
        number
    };
    if let Some(slug) = &changes.slug {
        let number = write("slug", slug.as_str().into());
        free = format!(
            " AND NOT EXISTS (SELECT 1 FROM courses o WHERE o.slug = ${number} AND o.id <> $1)"
        );
    }
    if let Some(title) = &changes.title {
        write("title", title.as_str().into());
    }
    if let Some(summary) = &changes.summary {
        write("summary", summary.as_str().into());
    }
    match &changes.language {
        Change::Keep => {}
        Change::Clear => {
            write("language", Value::Null);
        }
        Change::Set(language) => {
            write("language", language.as_str().into());
        }
    }
    if let Some(state) = changes.state {
        write("state", state.as_str().into());
        if state == State::Published && old.state != State::Published {
            write("published_at", now.into());
        }
    }
    if let Some(visibility) = changes.visibility {
        write("visibility", visibility.as_str().into());
    }
    if let Some(enrolment) = changes.enrolment {
        write("enrolment", enrolment.as_str().into());
    }
    match owner {
        Change::Keep => {}
        Change::Clear => {
            write("owner_id", Value::Null);
        }
        Change::Set(owner) => {
            write("owner_id", owner.as_str().into());
        }
    }
    write(
        "words",
        words(
            changes.slug.as_ref().map_or(&old.slug, Slug::as_str),
            changes.title.as_ref().map_or(&old.title, |it| it.as_str()),
            changes
                .summary
                .as_ref()
                .map_or(&old.summary, |it| it.as_str()),
        )
        .into(),
    );
    let sql = format!("UPDATE courses SET {sets} WHERE id = $1{free}");
    Ok(tx.run(&sql, &values)? == 1)
}

/// Deletes a course and what belongs to it. Returns false if there is none.
pub(super) fn delete(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    Ok(tx.run("DELETE FROM courses WHERE id = $1", &[id.into()])? == 1)
}

/// Courses of a page, the newest first.
pub(super) fn page(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Course>> {
    let rows = listed(tx, SHOWN, asked)?;
    rows.into_iter().map(course).collect()
}

/// The same, as little of them as tells whether they changed.
pub(super) fn seen(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Seen>> {
    let columns = "c.id, c.version, c.updated_at, c.created_at,
        CASE WHEN c.owner_id IS NULL THEN 0 ELSE 1 END AS owned";
    let rows = listed(tx, columns, asked)?;
    let seen = rows.into_iter().map(|mut row| {
        Ok(Seen {
            stamp: Stamp {
                id: row.take_text("id")?,
                version: row.int("version")?,
                updated_at: row.time("updated_at")?,
                owned: row.int("owned")? == 1,
            },
            created_at: row.time("created_at")?,
        })
    });
    seen.collect()
}

/// The rows of a page: of all courses, or of those that are there for a person.
fn listed(tx: &mut Tx<'_>, columns: &str, asked: &Asked<'_>) -> Result<Vec<Row>> {
    let &Asked {
        filter,
        user,
        person,
        owner,
        before,
        limit,
    } = asked;
    let mut sql = String::from("SELECT ");
    sql.push_str(columns);
    sql.push_str(" FROM courses c WHERE (c.created_at, c.id) < ($1, $2)");
    let mut values: Vec<Value> = vec![before.0.into(), before.1.into()];
    if person.is_some() || filter.enrolled {
        // The third.
        values.push(user.into());
    }
    if let Some(person) = person {
        sql.push_str(" AND ");
        sql.push_str(&there_for(person));
    }
    if filter.enrolled {
        sql.push_str(
            " AND EXISTS (SELECT 1 FROM enrolments e
              WHERE e.course_id = c.id AND e.user_id = $3 AND e.state = 'active')",
        );
    }
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace("$N", &format!("${}", values.len())));
    };
    if let Some(state) = filter.state {
        and("c.state = $N", state.as_str().into());
    }
    if let Some(tag) = &filter.tag {
        let condition =
            "EXISTS (SELECT 1 FROM course_tags t WHERE t.course_id = c.id AND t.tag = $N)";
        and(condition, tag.as_str().into());
    }
    if let Some(language) = &filter.language {
        and("c.language = $N", language.as_str().into());
    }
    if let Some(owner) = owner {
        and("c.owner_id = $N", owner.into());
    }
    if let Some(part) = &filter.q {
        let part = folded(part)
            .replace('!', "!!")
            .replace('%', "!%")
            .replace('_', "!_");
        and("c.words LIKE $N ESCAPE '!'", format!("%{part}%").into());
    }
    values.push(limit.into());
    let _infallible = write!(
        sql,
        " ORDER BY c.created_at DESC, c.id DESC LIMIT ${}",
        values.len()
    );
    tx.all(&sql, &values)
}

/// The rule of [`Gate::visible`] for a person, `$3`, in words of the engine.
fn there_for(person: Person<'_>) -> String {
    let mut open = String::from("c.visibility = 'public'");
    for role in Role::ALL {
        if person.has(role) {
            let word = Visibility::Role(role).as_str();
            let _infallible = write!(open, " OR c.visibility = '{word}'");
        }
    }
    let own = if person.has(Role::Author) {
        "c.owner_id = $3 OR "
    } else {
        ""
    };
    format!(
        "({own}(c.state = 'published' AND ({open} OR EXISTS (SELECT 1 FROM enrolments e
          WHERE e.course_id = c.id AND e.user_id = $3 AND e.state <> 'withdrawn'))))"
    )
}

fn gate(row: &Row) -> Result<Gate> {
    Ok(Gate {
        id: row.text("id")?,
        slug: row.text("slug")?,
        version: row.int("version")?,
        updated_at: row.time("updated_at")?,
        state: row.str("state")?.parse()?,
        visibility: row.str("visibility")?.parse()?,
        enrolment: row.str("enrolment")?.parse::<Admission>()?,
        owner: row.opt_text("owner_id")?,
        tie: match row.str("tie")? {
            "invited" => Tie::Invited,
            "active" => Tie::Enrolled,
            _ => Tie::None,
        },
    })
}

fn course(mut row: Row) -> Result<Course> {
    Ok(Course {
        id: row.take_text("id")?,
        slug: row.take_text("slug")?,
        title: row.take_text("title")?,
        summary: row.take_text("summary")?,
        language: row.take_opt_text("language")?,
        state: row.str("state")?.parse()?,
        visibility: row.str("visibility")?.parse()?,
        enrolment: row.str("enrolment")?.parse()?,
        owner: row.take_opt_text("owner_id")?,
        tags: tags(row.take_opt_text("tags")?.as_deref().unwrap_or_default()),
        version: row.int("version")?,
        published_at: row.opt_time("published_at")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Tags as the engine joins them: in no order.
fn tags(joined: &str) -> Vec<String> {
    let mut tags: Vec<String> = joined.split(' ').map(str::to_owned).collect();
    tags.retain(|tag| !tag.is_empty());
    tags.sort_unstable();
    tags
}
