//! Attempts that are over.

use crate::attempts::State;
use crate::db::{Row, Tx};
use crate::error::Result;
use crate::quizzes::Points;
use crate::time::Timestamp;

/// An attempt that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) username: String,
    pub(super) state: State,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) points: Option<Points>,
    pub(super) most: Points,
}

/// Attempts at a quiz that ended in a time, in the order in which they began and behind `after`.
pub(super) fn over(
    tx: &mut Tx<'_>,
    quiz: &str,
    (since, until): (Timestamp, Timestamp),
    after: &(Timestamp, String),
    limit: u32,
) -> Result<Vec<Over>> {
    let rows = tx.all(
        "SELECT t.id, t.user_id, u.username, t.state, t.started_at, t.ended_at, t.points, t.most
         FROM attempts t JOIN users u ON u.id = t.user_id
         WHERE t.quiz_id = $1 AND (t.started_at, t.id) > ($2, $3)
           AND t.state <> 'in_progress' AND t.ended_at >= $4 AND t.ended_at < $5
         ORDER BY t.started_at, t.id LIMIT $6",
        &[
            quiz.into(),
            after.0.into(),
            after.1.as_str().into(),
            since.into(),
            until.into(),
            limit.into(),
        ],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Over> {
    Ok(Over {
        id: row.text("id")?,
        user: row.text("user_id")?,
        username: row.text("username")?,
        state: State::stored(row.str("state")?)?,
        started_at: row.time("started_at")?,
        ended_at: row.time("ended_at")?,
        points: row.opt_int("points")?.map(Points::of),
        most: Points::of(row.int("most")?),
    })
}
