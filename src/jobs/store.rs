//! The tables of jobs and of their runs.

use super::{Finish, Run, Trigger};
use crate::db::{Row, Tx};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// A job's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) last_at: Option<Timestamp>,
    pub(super) holder: Option<String>,
    pub(super) held_until: Option<Timestamp>,
}

/// The row of `job`; an empty one if it never ran.
pub(super) fn state(tx: &mut Tx<'_>, job: &str) -> Result<State> {
    let row = tx.first(
        "SELECT last_at, holder, held_until FROM jobs WHERE name = $1",
        &[job.into()],
    )?;
    let state = row.map(|row| {
        Ok(State {
            last_at: row.opt_time("last_at")?,
            holder: row.opt_text("holder")?,
            held_until: row.opt_time("held_until")?,
        })
    });
    state.unwrap_or_else(|| Ok(State::default()))
}

/// Gives the job to `holder`. Returns false, changing nothing, if somebody else holds it, or has
/// begun it since `seen`.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    job: &str,
    seen: Option<Timestamp>,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    tx.run(
        "INSERT INTO jobs (name) VALUES ($1) ON CONFLICT (name) DO NOTHING",
        &[job.into()],
    )?;
    let changed = tx.run(
        "UPDATE jobs SET last_at = $4, holder = $3, held_until = $5
         WHERE name = $1 AND (holder IS NULL OR held_until <= $4)
           AND (last_at = $2 OR (last_at IS NULL AND CAST($2 AS BIGINT) IS NULL))",
        &[
            job.into(),
            seen.into(),
            holder.into(),
            now.into(),
            until.into(),
        ],
    )?;
    Ok(changed == 1)
}

/// Holds the job for longer. Returns false, changing nothing, if it is no longer `holder`'s.
pub(super) fn renew(tx: &mut Tx<'_>, job: &str, holder: &str, until: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "UPDATE jobs SET held_until = $3 WHERE name = $1 AND holder = $2",
        &[job.into(), holder.into(), until.into()],
    )?;
    Ok(changed == 1)
}

/// Lets the job go, if it is still `holder`'s.
pub(super) fn release(tx: &mut Tx<'_>, job: &str, holder: &str) -> Result<()> {
    tx.run(
        "UPDATE jobs SET holder = NULL, held_until = NULL WHERE name = $1 AND holder = $2",
        &[job.into(), holder.into()],
    )?;
    Ok(())
}

/// Adds a run. Returns false, changing nothing, if its id is taken.
pub(super) fn insert_run(tx: &mut Tx<'_>, run: &Run) -> Result<bool> {
    let changed = tx.run(
        "INSERT INTO job_runs (id, job, started_at, finished_at, result, trigger_kind, details)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        &[
            run.id.into(),
            run.job.as_str().into(),
            run.started_at.into(),
            run.finished_at.into(),
            run.result.map(Finish::as_str).into(),
            run.trigger.as_str().into(),
            run.details.as_ref().map(ToString::to_string).into(),
        ],
    )?;
    Ok(changed == 1)
}

/// Says how a run ended.
pub(super) fn finish_run(tx: &mut Tx<'_>, run: &Run) -> Result<()> {
    tx.run(
        "UPDATE job_runs SET finished_at = $2, result = $3, details = $4 WHERE id = $1",
        &[
            run.id.into(),
            run.finished_at.into(),
            run.result.map(Finish::as_str).into(),
            run.details.as_ref().map(ToString::to_string).into(),
        ],
    )?;
    Ok(())
}

/// Ends the runs of `job` that nobody will end any more.
pub(super) fn fail_unfinished(
    tx: &mut Tx<'_>,
    job: &str,
    now: Timestamp,
    details: &str,
) -> Result<()> {
    tx.run(
        "UPDATE job_runs SET finished_at = $2, result = 'failed', details = $3
         WHERE job = $1 AND result IS NULL",
        &[job.into(), now.into(), details.into()],
    )?;
    Ok(())
}

/// Keeps the newest `keep` runs of `job`.
pub(super) fn trim(tx: &mut Tx<'_>, job: &str, keep: u32) -> Result<u64> {
    tx.run(
        "DELETE FROM job_runs WHERE job = $1 AND id <= (
           SELECT id FROM job_runs WHERE job = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
        &[job.into(), keep.into()],
    )
}

const COLUMNS: &str = "id, job, started_at, finished_at, result, trigger_kind, details";

/// Runs with an id below `below`, the newest first; of one job or of all.
pub(super) fn page(tx: &mut Tx<'_>, job: Option<&str>, below: i64, limit: u32) -> Result<Vec<Run>> {
    let rows = match job {
        Some(job) => tx.all(
            &format!(
                "SELECT {COLUMNS} FROM job_runs WHERE job = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
            ),
            &[job.into(), below.into(), limit.into()],
        ),
        None => tx.all(
            &format!("SELECT {COLUMNS} FROM job_runs WHERE id < $1 ORDER BY id DESC LIMIT $2"),
            &[below.into(), limit.into()],
        ),
    };
    rows?.iter().map(run).collect()
}

fn run(row: &Row) -> Result<Run> {
    let result = row.opt_text("result")?;
    let details = row.opt_text("details")?;
    Ok(Run {
        id: row.int("id")?,
        job: row.text("job")?,
        started_at: row.time("started_at")?,
        finished_at: row.opt_time("finished_at")?,
        result: result.map(|text| Finish::parse(&text)).transpose()?,
        trigger: Trigger::parse(&row.text("trigger_kind")?)?,
        details: details
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(Error::internal)?,
    })
}
