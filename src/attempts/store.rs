//! The tables of attempts, answers and allowances.

use std::fmt::Write as _;
use std::time::Duration;

use super::model::{Allowance, Filter, Row, State};
use crate::db::{Row as Record, Tx, Value};
use crate::error::{Error, Result};
use crate::quizzes::{Place, Points};
use crate::time::{Period, Timestamp};

const COLUMNS: &str =
    "t.id, t.quiz_id, t.user_id, u.username, t.number, t.seed, t.shuffled, t.state,
    t.started_at, t.deadline, t.closes_at, t.abandons, t.ended_at, t.timed_out, t.points, t.most";

fn attempt(row: &Record) -> Result<Row> {
    Ok(Row {
        id: row.text("id")?,
        quiz_id: row.text("quiz_id")?,
        user_id: row.text("user_id")?,
        username: row.text("username")?,
        number: u32::try_from(row.int("number")?).map_err(Error::internal)?,
        seed: row.int("seed")?,
        shuffled: row.flag("shuffled")?,
        state: State::stored(row.str("state")?)?,
        started_at: row.time("started_at")?,
        deadline: row.opt_time("deadline")?,
        closes_at: row.opt_time("closes_at")?,
        abandons: row.flag("abandons")?,
        ended_at: row.opt_time("ended_at")?,
        timed_out: row.flag("timed_out")?,
        points: row.opt_int("points")?.map(Points::of),
        most: Points::of(row.int("most")?),
    })
}

/// At most two attempts whose ids are in the range.
pub(super) fn with_ids(tx: &mut Tx<'_>, low: &str, high: &str) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM attempts t JOIN users u ON u.id = t.user_id
         WHERE t.id >= $1 AND t.id <= $2 ORDER BY t.id LIMIT 2"
    );
    let rows = tx.all(&sql, &[low.into(), high.into()])?;
    rows.iter().map(attempt).collect()
}

/// All attempts of a person at a quiz, the first one first.
pub(super) fn of_person(tx: &mut Tx<'_>, quiz: &str, user: &str) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM attempts t JOIN users u ON u.id = t.user_id
         WHERE t.quiz_id = $1 AND t.user_id = $2 ORDER BY t.number"
    );
    let rows = tx.all(&sql, &[quiz.into(), user.into()])?;
    rows.iter().map(attempt).collect()
}

/// Attempts at a quiz, of one person or of all, before `before`, the newest first, as they stand
/// at `now`. `user` is the id of whom `filter` names.
pub(super) fn page(
    tx: &mut Tx<'_>,
    quiz: &str,
    (filter, user): (&Filter, Option<&str>),
    now: Timestamp,
    before: (Timestamp, &str),
    limit: u32,
) -> Result<Vec<Row>> {
    let (place, id) = before;
    let mut values: Vec<Value> = vec![quiz.into(), place.into(), id.into(), limit.into()];
    let mut asked = String::new();
    if let Some(user) = user {
        values.push(user.into());
        let _infallible = write!(asked, " AND t.user_id = ${}", values.len());
    }
    if let Some(state) = filter.state {
        // What is overdue nobody has written down.
        let late = match state {
            State::InProgress => Some("(t.deadline IS NULL OR t.deadline >= $N)"),
            State::Overdue => Some("t.deadline < $N"),
            State::Submitted | State::Abandoned => None,
        };
        let stored = match state {
            State::Overdue => State::InProgress,
            State::InProgress | State::Submitted | State::Abandoned => state,
        };
        values.push(stored.as_str().into());
        let _infallible = write!(asked, " AND t.state = ${}", values.len());
        if let Some(late) = late {
            values.push(now.into());
            asked.push_str(" AND ");
            asked.push_str(&late.replace("$N", &format!("${}", values.len())));
        }
    }
    if filter.waiting {
        asked.push_str(" AND t.state = 'submitted' AND t.points IS NULL");
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM attempts t JOIN users u ON u.id = t.user_id
         WHERE t.quiz_id = $1 AND (t.started_at, t.id) < ($2, $3){asked}
         ORDER BY t.started_at DESC, t.id DESC LIMIT $4"
    );
    let rows = tx.all(&sql, &values)?;
    rows.iter().map(attempt).collect()
}

/// Attempts in progress that had to close before `now`, the longest overdue first.
pub(super) fn due(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<String>> {
    let rows = tx.all(
        "SELECT id FROM attempts WHERE state = 'in_progress' AND closes_at < $1
         ORDER BY closes_at LIMIT $2",
        &[now.into(), limit.into()],
    )?;
    rows.iter().map(|row| row.text("id")).collect()
}

/// Attempts at a quiz that are over, behind `after`, in the order of their ids.
pub(super) fn over(tx: &mut Tx<'_>, quiz: &str, after: &str, limit: u32) -> Result<Vec<String>> {
    let rows = tx.all(
        "SELECT id FROM attempts WHERE quiz_id = $1 AND state = 'submitted' AND id > $2
         ORDER BY id LIMIT $3",
        &[quiz.into(), after.into(), limit.into()],
    )?;
    rows.iter().map(|row| row.text("id")).collect()
}

/// Adds an attempt.
pub(super) fn insert(tx: &mut Tx<'_>, row: &Row) -> Result<()> {
    tx.run(
        "INSERT INTO attempts (id, quiz_id, user_id, number, seed, shuffled, state, started_at,
                               deadline, closes_at, abandons, timed_out, most)
         VALUES ($1, $2, $3, $4, $5, $6, 'in_progress', $7, $8, $9, $10, 0, $11)",
        &[
            row.id.as_str().into(),
            row.quiz_id.as_str().into(),
            row.user_id.as_str().into(),
            row.number.into(),
            row.seed.into(),
            i64::from(row.shuffled).into(),
            row.started_at.into(),
            row.deadline.into(),
            row.closes_at.into(),
            i64::from(row.abandons).into(),
            row.most.stored()?.into(),
        ],
    )?;
    Ok(())
}

/// Gives an attempt a question.
pub(super) fn ask(tx: &mut Tx<'_>, attempt: &str, question: &str, position: u32) -> Result<()> {
    let added = tx.add(
        "INSERT INTO answers (attempt_id, question_id, position, seq) VALUES ($1, $2, $3, 0)
         ON CONFLICT DO NOTHING",
        &[attempt.into(), question.into(), position.into()],
    )?;
    if added {
        Ok(())
    } else {
        Err(Error::internal("a question that is asked twice"))
    }
}

/// A question of an attempt, and what was answered.
pub(super) struct Answered {
    pub(super) place: Place,
    pub(super) seq: i64,
    pub(super) answer: Option<String>,
    pub(super) saved_at: Option<Timestamp>,
    pub(super) points: Option<Points>,
    pub(super) graded_by: Option<String>,
    pub(super) comment: Option<String>,
}

const ANSWERS: &str = "SELECT q.id, a.position, q.question, a.seq, a.answer, a.saved_at, a.points,
        a.graded_by, a.comment
    FROM answers a JOIN questions q ON q.id = a.question_id WHERE a.attempt_id = $1";

fn answered(row: &Record) -> Result<Answered> {
    Ok(Answered {
        place: Place {
            id: row.text("id")?,
            position: u32::try_from(row.int("position")?).map_err(Error::internal)?,
            question: serde_json::from_str(row.str("question")?).map_err(Error::internal)?,
        },
        seq: row.int("seq")?,
        answer: row.opt_text("answer")?,
        saved_at: row.opt_time("saved_at")?,
        points: row.opt_int("points")?.map(Points::of),
        graded_by: row.opt_text("graded_by")?,
        comment: row.opt_text("comment")?,
    })
}

/// All questions of an attempt, in the order in which they are shown.
pub(super) fn answers(tx: &mut Tx<'_>, attempt: &str) -> Result<Vec<Answered>> {
    let sql = format!("{ANSWERS} ORDER BY a.position");
    let rows = tx.all(&sql, &[attempt.into()])?;
    rows.iter().map(answered).collect()
}

/// One of them.
pub(super) fn answer(tx: &mut Tx<'_>, attempt: &str, question: &str) -> Result<Option<Answered>> {
    let sql = format!("{ANSWERS} AND a.question_id = $2");
    let row = tx.first(&sql, &[attempt.into(), question.into()])?;
    row.as_ref().map(answered).transpose()
}

/// Stores an answer, if it is newer than what is there.
pub(super) fn save(
    tx: &mut Tx<'_>,
    attempt: &str,
    question: &str,
    seq: i64,
    answer: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.run(
        "UPDATE answers SET seq = $3, answer = $4, saved_at = $5
         WHERE attempt_id = $1 AND question_id = $2 AND seq < $3",
        &[
            attempt.into(),
            question.into(),
            seq.into(),
            answer.into(),
            now.into(),
        ],
    )?;
    Ok(())
}

/// Writes what an answer has earned.
pub(super) fn set_points(
    tx: &mut Tx<'_>,
    attempt: &str,
    question: &str,
    points: Option<Points>,
    by: Option<&str>,
    comment: Option<&str>,
) -> Result<()> {
    tx.run(
        "UPDATE answers SET points = $3, graded_by = $4, comment = $5
         WHERE attempt_id = $1 AND question_id = $2",
        &[
            attempt.into(),
            question.into(),
            points.map(Points::stored).transpose()?.into(),
            by.into(),
            comment.into(),
        ],
    )?;
    Ok(())
}

/// Writes how an attempt stands, as `row` has it.
pub(super) fn set(tx: &mut Tx<'_>, row: &Row) -> Result<()> {
    tx.run(
        "UPDATE attempts SET state = $2, deadline = $3, closes_at = $4, ended_at = $5,
                timed_out = $6, points = $7, most = $8
         WHERE id = $1",
        &[
            row.id.as_str().into(),
            row.state.as_str().into(),
            row.deadline.into(),
            row.closes_at.into(),
            row.ended_at.into(),
            i64::from(row.timed_out).into(),
            row.points.map(Points::stored).transpose()?.into(),
            row.most.stored()?.into(),
        ],
    )?;
    Ok(())
}

/// What a person is allowed beyond others.
pub(super) fn allowance(tx: &mut Tx<'_>, quiz: &str, user: &str) -> Result<Allowance> {
    let row = tx.first(
        "SELECT extra_time, extra_attempts FROM allowances WHERE quiz_id = $1 AND user_id = $2",
        &[quiz.into(), user.into()],
    )?;
    let Some(row) = row else {
        return Ok(Allowance::default());
    };
    let millis = u64::try_from(row.int("extra_time")?).map_err(Error::internal)?;
    Ok(Allowance {
        extra_time: Period(Duration::from_millis(millis)),
        extra_attempts: u32::try_from(row.int("extra_attempts")?).map_err(Error::internal)?,
    })
}

/// Allows a person so much.
pub(super) fn allow(tx: &mut Tx<'_>, quiz: &str, user: &str, allowance: &Allowance) -> Result<()> {
    let millis = i64::try_from(allowance.extra_time.0.as_millis()).map_err(Error::internal)?;
    tx.run(
        "INSERT INTO allowances (quiz_id, user_id, extra_time, extra_attempts)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (quiz_id, user_id)
         DO UPDATE SET extra_time = excluded.extra_time, extra_attempts = excluded.extra_attempts",
        &[
            quiz.into(),
            user.into(),
            millis.into(),
            allowance.extra_attempts.into(),
        ],
    )?;
    Ok(())
}

/// What decides a grade: all attempts of one person at one quiz.
pub(super) struct Series {
    pub(super) user_id: String,
    pub(super) username: String,
    pub(super) quiz_id: String,
    pub(super) slug: String,
    pub(super) settings: String,
    pub(super) attempts: Vec<Row>,
}

/// Whose attempts at which quizzes of a course there are, behind `after`.
pub(super) fn series(
    tx: &mut Tx<'_>,
    course: &str,
    after: (&str, &str),
    limit: u32,
) -> Result<Vec<Series>> {
    let rows = tx.all(
        "SELECT DISTINCT t.user_id, u.username, t.quiz_id, z.slug, z.settings
         FROM quizzes z JOIN attempts t ON t.quiz_id = z.id JOIN users u ON u.id = t.user_id
         WHERE z.course_id = $1 AND (t.user_id, t.quiz_id) > ($2, $3)
         ORDER BY t.user_id, t.quiz_id LIMIT $4",
        &[course.into(), after.0.into(), after.1.into(), limit.into()],
    )?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let (user_id, quiz_id) = (row.text("user_id")?, row.text("quiz_id")?);
        all.push(Series {
            attempts: of_person(tx, &quiz_id, &user_id)?,
            username: row.text("username")?,
            slug: row.text("slug")?,
            settings: row.text("settings")?,
            user_id,
            quiz_id,
        });
    }
    Ok(all)
}
