//! Messages as the operator looks at them, and what he does about them. A decoy is none: it stands for
//! somebody whom there is not.

use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::outbox::{Listed, State};
use crate::time::Timestamp;

const COLUMNS: &str =
    "id, recipient, template, created_at, expires_at, next_at, attempts, held_until,
    done_at, result, last_error";

/// Messages below the id `below`, the newest first.
pub(in crate::outbox) fn page(
    tx: &mut Tx<'_>,
    state: Option<State>,
    below: i64,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Listed>> {
    let such = match state {
        None => "",
        Some(State::Waiting) => " AND done_at IS NULL",
        Some(State::Sent) => " AND result = 'sent'",
        Some(State::Failed) => " AND result = 'failed'",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox_messages WHERE id < $1 AND recipient <> ''{such}
         ORDER BY id DESC LIMIT $2"
    );
    let rows = tx.all(&sql, &[below.into(), limit.into()])?;
    rows.iter().map(|row| listed(row, now)).collect()
}

/// One of them.
pub(in crate::outbox) fn by_id(tx: &mut Tx<'_>, id: i64, now: Timestamp) -> Result<Option<Listed>> {
    let sql = format!("SELECT {COLUMNS} FROM outbox_messages WHERE id = $1 AND recipient <> ''");
    let row = tx.first(&sql, &[id.into()])?;
    row.map(|row| listed(&row, now)).transpose()
}

fn listed(row: &Row, now: Timestamp) -> Result<Listed> {
    let done_at = row.opt_time("done_at")?;
    let state = match row.opt_text("result")?.as_deref() {
        None => State::Waiting,
        Some("sent") => State::Sent,
        Some(_) => State::Failed,
    };
    let held = row.opt_time("held_until")?.is_some_and(|until| until > now);
    Ok(Listed {
        id: row.int("id")?,
        recipient: row.text("recipient")?,
        template: row.text("template")?,
        state,
        attempts: u32::try_from(row.int("attempts")?).map_err(Error::internal)?,
        sending: held && done_at.is_none(),
        created_at: row.time("created_at")?,
        next_at: Some(row.time("next_at")?).filter(|_| done_at.is_none()),
        expires_at: row.time("expires_at")?,
        done_at,
        last_error: row.opt_text("last_error")?,
    })
}

/// Has a message that waits be due now. Returns false, changing nothing, if it does not wait, or is
/// being sent.
pub(in crate::outbox) fn hasten(tx: &mut Tx<'_>, id: i64, now: Timestamp) -> Result<bool> {
    let changed = tx.run(
        "UPDATE outbox_messages SET next_at = $2
         WHERE id = $1 AND done_at IS NULL AND (held_until IS NULL OR held_until <= $2)",
        &[id.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Deletes a message. Returns false, changing nothing, if there is none, or it is being sent.
pub(in crate::outbox) fn delete(tx: &mut Tx<'_>, id: i64, now: Timestamp) -> Result<bool> {
    let values: [Value; 2] = [id.into(), now.into()];
    let changed = tx.run(
        "DELETE FROM outbox_messages
         WHERE id = $1 AND (done_at IS NOT NULL OR held_until IS NULL OR held_until <= $2)",
        &values,
    )?;
    Ok(changed == 1)
}
