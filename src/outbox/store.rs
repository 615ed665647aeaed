//! The table of mail on its way.

pub(super) mod listed;

use crate::db::{Row, Tx, Value};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: i64,
    pub(super) recipient: String,
    pub(super) template: String,
    pub(super) sealed: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) attempts: u32,
}

impl Message {
    /// What it is sealed to: its own row, and what decides about that.
    pub(super) fn about(&self) -> Vec<u8> {
        format!(
            "outbox\0{}\0{}\0{}\0{}",
            self.id, self.recipient, self.template, self.expires_at.0
        )
        .into_bytes()
    }
}

/// Adds a message; one without a recipient is done with at once. Returns false, changing nothing,
/// if its id is taken.
pub(super) fn insert(tx: &mut Tx<'_>, message: &Message) -> Result<bool> {
    let decoy = message.recipient.is_empty();
    let changed = tx.run(
        "INSERT INTO outbox_messages (id, recipient, template, sealed, created_at, expires_at,
                                      next_at, attempts, done_at, result)
         VALUES ($1, $2, $3, $4, $5, $6, $5, 0, $7, $8) ON CONFLICT (id) DO NOTHING",
        &[
            message.id.into(),
            message.recipient.as_str().into(),
            message.template.as_str().into(),
            Value::from(&*message.sealed),
            message.created_at.into(),
            message.expires_at.into(),
            decoy.then_some(message.created_at).into(),
            decoy.then_some("decoy").into(),
        ],
    )?;
    Ok(changed == 1)
}

/// The ids of at most `most` messages whose time has come and that nobody holds.
pub(super) fn due(tx: &mut Tx<'_>, now: Timestamp, most: u32) -> Result<Vec<i64>> {
    let rows = tx.all(
        "SELECT id FROM outbox_messages WHERE done_at IS NULL AND next_at <= $1
           AND (held_until IS NULL OR held_until <= $1) ORDER BY next_at LIMIT $2",
        &[now.into(), most.into()],
    )?;
    rows.iter().map(|row| row.int("id")).collect()
}

/// Takes a message for sending until `until`, unless somebody else has it or it is not due. The
/// number of the attempt tells this claim from every other.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    id: i64,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Message>> {
    let claimed = tx.run(
        "UPDATE outbox_messages SET held_until = $3, attempts = attempts + 1
         WHERE id = $1 AND done_at IS NULL AND next_at <= $2
           AND (held_until IS NULL OR held_until <= $2)",
        &[id.into(), now.into(), until.into()],
    )?;
    if claimed == 0 {
        return Ok(None);
    }
    let row = tx.first(
        "SELECT id, recipient, template, sealed, created_at, expires_at, attempts
         FROM outbox_messages WHERE id = $1",
        &[id.into()],
    )?;
    row.as_ref().map(message).transpose()
}

fn message(row: &Row) -> Result<Message> {
    Ok(Message {
        id: row.int("id")?,
        recipient: row.text("recipient")?,
        template: row.text("template")?,
        sealed: row.bytes("sealed")?.to_vec(),
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        attempts: u32::try_from(row.int("attempts")?).map_err(Error::internal)?,
    })
}

/// Ends a message, whose text nobody needs any more. Returns false, changing nothing, if the claim
/// was lost meanwhile.
pub(super) fn finish(
    tx: &mut Tx<'_>,
    message: &Message,
    result: &'static str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE outbox_messages SET done_at = $3, result = $4, last_error = $5, sealed = $6,
                                    held_until = NULL
         WHERE id = $1 AND attempts = $2 AND done_at IS NULL",
        &[
            message.id.into(),
            message.attempts.into(),
            now.into(),
            result.into(),
            reason.into(),
            Value::Bytes(Vec::new()),
        ],
    )?;
    Ok(changed == 1)
}

/// Lets a message go until it is tried again. Returns false, changing nothing, if the claim was lost.
pub(super) fn postpone(
    tx: &mut Tx<'_>,
    message: &Message,
    reason: &str,
    next_at: Timestamp,
) -> Result<bool> {
    let changed = tx.run(
        "UPDATE outbox_messages SET next_at = $3, last_error = $4, held_until = NULL
         WHERE id = $1 AND attempts = $2 AND done_at IS NULL",
        &[
            message.id.into(),
            message.attempts.into(),
            next_at.into(),
            reason.into(),
        ],
    )?;
    Ok(changed == 1)
}

fn counted(row: Option<Row>) -> Result<(u64, Option<Timestamp>)> {
    let row = row.ok_or_else(|| Error::internal("a count without a row"))?;
    Ok((
        u64::try_from(row.int("n")?).map_err(Error::internal)?,
        row.opt_time("oldest")?,
    ))
}

/// Those that are done with.
pub(super) fn count_done(tx: &mut Tx<'_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    counted(tx.first(
        "SELECT COUNT(*) AS n, MIN(done_at) AS oldest FROM outbox_messages WHERE done_at <= $1",
        &[until.into()],
    )?)
}

/// Those that nobody sent in time.
pub(super) fn count_expired(tx: &mut Tx<'_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    counted(tx.first(
        "SELECT COUNT(*) AS n, MIN(expires_at) AS oldest FROM outbox_messages
         WHERE done_at IS NULL AND expires_at <= $1",
        &[until.into()],
    )?)
}

/// The first that was done with.
pub(super) fn first_done(tx: &mut Tx<'_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let row = tx.first(
        "SELECT done_at AS at FROM outbox_messages WHERE done_at <= $1 ORDER BY done_at LIMIT 1",
        &[until.into()],
    )?;
    row.map(|row| row.time("at")).transpose()
}

/// The first that nobody sent in time.
pub(super) fn first_expired(tx: &mut Tx<'_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let row = tx.first(
        "SELECT expires_at AS at FROM outbox_messages
         WHERE done_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT 1",
        &[until.into()],
    )?;
    row.map(|row| row.time("at")).transpose()
}

/// Deletes all messages that wait.
pub(super) fn delete_waiting(tx: &mut Tx<'_>) -> Result<u64> {
    tx.run(
        "DELETE FROM outbox_messages WHERE done_at IS NULL AND next_at >= 0",
        &[],
    )
}

/// Deletes those that are done with.
pub(super) fn delete_done(tx: &mut Tx<'_>, until: Timestamp, most: u32) -> Result<u64> {
    tx.run(
        "DELETE FROM outbox_messages WHERE done_at <= $1 AND id IN (
           SELECT id FROM outbox_messages WHERE done_at <= $1 ORDER BY done_at LIMIT $2)",
        &[until.into(), most.into()],
    )
}

/// Deletes those to an address, but for those about `kept` that wait.
pub(super) fn delete_to(tx: &mut Tx<'_>, email: &str, kept: &str) -> Result<u64> {
    tx.run(
        "DELETE FROM outbox_messages
         WHERE recipient = $1 AND (done_at IS NOT NULL OR template <> $2)",
        &[email.into(), kept.into()],
    )
}

/// Deletes those that nobody sent in time.
pub(super) fn delete_expired(tx: &mut Tx<'_>, until: Timestamp, most: u32) -> Result<u64> {
    tx.run(
        "DELETE FROM outbox_messages WHERE done_at IS NULL AND expires_at <= $1 AND id IN (
           SELECT id FROM outbox_messages WHERE done_at IS NULL AND expires_at <= $1
           ORDER BY expires_at LIMIT $2)",
        &[until.into(), most.into()],
    )
}

/// Everything that is not done with, the oldest first.
#[cfg(test)]
pub(super) fn waiting(tx: &mut Tx<'_>) -> Result<Vec<Message>> {
    let rows = tx.all(
        "SELECT id, recipient, template, sealed, created_at, expires_at, attempts
         FROM outbox_messages WHERE done_at IS NULL AND id > $1 ORDER BY id",
        &[0_i64.into()],
    )?;
    rows.iter().map(message).collect()
}
