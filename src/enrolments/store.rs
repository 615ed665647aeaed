//! The enrolments' table.

use std::fmt::Write as _;

use super::{Enrolment, Filter, State};
use crate::db::{Row, Tx, Value};
use crate::error::Result;
use crate::time::Timestamp;

const SELECT: &str = "SELECT e.id, c.slug AS course, e.user_id, u.username, e.state, e.since,
           e.by_whom, e.created_at
    FROM enrolments e JOIN courses c ON c.id = e.course_id JOIN users u ON u.id = e.user_id";

/// The enrolment of `user` in the course.
pub(super) fn of(tx: &mut Tx<'_>, course: &str, user: &str) -> Result<Option<Enrolment>> {
    let sql = format!("{SELECT} WHERE e.course_id = $1 AND e.user_id = $2");
    let row = tx.first(&sql, &[course.into(), user.into()])?;
    row.as_ref().map(enrolment).transpose()
}

/// Makes an enrolment, or brings the one that there is into this state.
pub(super) fn put(
    tx: &mut Tx<'_>,
    id: &str,
    (course, user): (&str, &str),
    state: State,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    tx.run(
        "INSERT INTO enrolments (id, course_id, user_id, state, since, by_whom, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $5)
         ON CONFLICT (course_id, user_id)
         DO UPDATE SET state = excluded.state, since = excluded.since, by_whom = excluded.by_whom",
        &[
            id.into(),
            course.into(),
            user.into(),
            state.as_str().into(),
            now.into(),
            by.into(),
        ],
    )?;
    Ok(())
}

/// Enrolments before `before`, those that came last first: those of everybody, or of one.
pub(super) fn page(
    tx: &mut Tx<'_>,
    course: &str,
    (filter, only): (Filter, Option<&str>),
    before: (Timestamp, &str),
    limit: u32,
) -> Result<Vec<Enrolment>> {
    let mut sql = format!("{SELECT} WHERE e.course_id = $1 AND (e.created_at, e.id) < ($2, $3)");
    let mut values: Vec<Value> = vec![course.into(), before.0.into(), before.1.into()];
    let mut and = |column: &str, value: Value| {
        values.push(value);
        let _infallible = write!(sql, " AND {column} = ${}", values.len());
    };
    if let Some(state) = filter.state {
        and("e.state", state.as_str().into());
    }
    if let Some(user) = only {
        and("e.user_id", user.into());
    }
    values.push(limit.into());
    let _infallible = write!(
        sql,
        " ORDER BY e.created_at DESC, e.id DESC LIMIT ${}",
        values.len()
    );
    tx.all(&sql, &values)?.iter().map(enrolment).collect()
}

fn enrolment(row: &Row) -> Result<Enrolment> {
    Ok(Enrolment {
        id: row.text("id")?,
        course: row.text("course")?,
        user: row.text("user_id")?,
        username: row.text("username")?,
        state: State::read(row.str("state")?)?,
        since: row.time("since")?,
        by: row.text("by_whom")?,
        created_at: row.time("created_at")?,
    })
}
