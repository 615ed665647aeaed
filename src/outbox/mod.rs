//! Mail on its way: written down with the change that it tells of, sent later by a job.
//!
//! Invariants: what is queued is committed with its reason or not at all; a message at rest is
//! sealed to its own row, and its text is forgotten when it is sent or given up; two processes never
//! send one message, because whoever sends it has claimed it by one guarded statement; the network
//! is never waited for inside a transaction; nobody is written to after the message has expired.

pub mod cli;
mod deliver;
mod letters;
mod manage;
mod smtp;
mod store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use deliver::{Delivered, deliver};
pub use letters::{Letter, Way};
pub use manage::{Listed, State, delete, get, list, retry};

use crate::app::Cx;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::time::{Period, Timestamp};

fn object(id: i64) -> String {
    format!("mail:{id}")
}

/// Mail to be sent.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// The address; without one it is a decoy, which costs as much and goes nowhere.
    pub to: Option<&'a str>,
    /// What it says.
    pub letter: Letter,
    /// Where it leads.
    pub way: Option<&'a Way>,
    /// How long it is worth reading.
    pub ttl: Duration,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Content {
    subject: String,
    text: String,
}

/// Whether mail can be sent at all. If not, the operator is told once what to do instead.
#[must_use]
pub fn is_on(config: &Config) -> bool {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if config.smtp.is_none() && !TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "no mail is sent without smtp.host; hand out links with: provost user login-link"
        );
    }
    config.smtp.is_some()
}

/// Queues a message; nothing without a mail server. Returns whether it was.
///
/// # Errors
/// Those of the database.
pub fn queue(cx: &mut Cx<'_, '_>, mail: &Mail<'_>) -> Result<bool> {
    let config = &cx.kit.config;
    if !is_on(config) {
        return Ok(false);
    }
    let title = &config.app.title;
    let text = mail
        .letter
        .text(title, mail.way.map(|way| (way, Period(mail.ttl))));
    let content = Content {
        subject: mail.letter.subject(title),
        text: text.expose().clone(),
    };
    let plain = Secret::new(serde_json::to_vec(&content).map_err(Error::internal)?);
    let mut row = store::Message {
        id: 0,
        recipient: mail.to.unwrap_or_default().to_owned(),
        template: mail.letter.name().to_owned(),
        sealed: Vec::new(),
        created_at: cx.now,
        expires_at: cx.now.plus(mail.ttl),
        attempts: 0,
    };
    loop {
        row.id = cx.kit.serials.next(cx.now)?;
        row.sealed = cx.kit.keys.outbox.seal(&row.about(), plain.expose())?;
        // Another process can have taken the same id in the same millisecond.
        if store::insert(cx.tx, &row)? {
            return Ok(true);
        }
    }
}

/// How many messages are done with or have expired by `until`, and since when the first of them.
///
/// # Errors
/// Those of the database.
pub fn gone(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    let done = store::count_done(cx.tx, until)?;
    let expired = store::count_expired(cx.tx, until)?;
    let oldest = [done.1, expired.1].into_iter().flatten().min();
    Ok((done.0 + expired.0, oldest))
}

/// Since when the first of them is: a look-up, not a count.
///
/// # Errors
/// Those of the database.
pub fn oldest_gone(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let done = store::first_done(cx.tx, until)?;
    let expired = store::first_expired(cx.tx, until)?;
    Ok([done, expired].into_iter().flatten().min())
}

/// Deletes at most `most` of them; returns how many. Less than `most` means that nothing is left.
///
/// # Errors
/// Those of the database.
pub fn delete_gone(cx: &mut Cx<'_, '_>, until: Timestamp, most: u32) -> Result<u64> {
    let done = store::delete_done(cx.tx, until, most)?;
    let rest = most.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX));
    if rest == 0 {
        return Ok(done);
    }
    Ok(done + store::delete_expired(cx.tx, until, rest)?)
}

/// Deletes what waits to be sent; returns how many messages that were. For a database that was put
/// back to where it was earlier: they may have been sent since, and their links are dead.
///
/// # Errors
/// Those of the database.
pub fn drop_waiting(cx: &mut Cx<'_, '_>) -> Result<u64> {
    store::delete_waiting(cx.tx)
}

/// Deletes what was or is to be sent to somebody who is being erased, but for an invitation that
/// waits: that is for whoever has the address now.
///
/// # Errors
/// Those of the database.
pub fn forget(cx: &mut Cx<'_, '_>, email: &str) -> Result<u64> {
    store::delete_to(cx.tx, email, Letter::Invitation.name())
}

/// What waits to be sent: address and text of each, the oldest first.
#[cfg(test)]
pub(crate) fn waiting(cx: &mut Cx<'_, '_>) -> Vec<(String, String)> {
    let messages = store::waiting(cx.tx).unwrap();
    let read = |message: store::Message| {
        let plain = cx.kit.keys.outbox.open(&message.about(), &message.sealed);
        let content: Content = serde_json::from_slice(plain.unwrap().expose()).unwrap();
        (message.recipient, content.text)
    };
    messages.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests;
