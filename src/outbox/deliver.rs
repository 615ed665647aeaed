//! Sending what is due: claim, send, write down how it went; a transaction before and one after.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::smtp::{Sent, Server};
use super::store::Message;
use super::{Content, object, store};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::Result;
use crate::metrics::KindLabel;
use crate::scope::known;
use crate::time::Timestamp;

/// Messages looked for at once.
const SOME: u32 = 20;

/// The wait after the first failure; each further one doubles it, up to the longest.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_hours(1);

/// A server that says no for good is asked so often: some say it and mean something else.
const REFUSALS: u32 = 3;

/// A claim holds for so many answers of the server, each as late as it may be: more than one
/// message takes.
const ANSWERS: u32 = 20;

/// What a delivery did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// Messages that the server took.
    pub sent: u64,
    /// Messages that are tried again later.
    pub postponed: u64,
    /// Messages that were given up.
    pub failed: u64,
}

/// Sends what is due, until nothing is left, the server cannot be reached or `stop` says so.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden) without `job:run`; those of the database;
/// [`Error::Io`](crate::error::Error::Io) for a password file that cannot be read.
pub fn deliver(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Delivered> {
    actor.require(known::JOB_RUN)?;
    let mut done = Delivered::default();
    let Some(settings) = &app.config().smtp else {
        return Ok(done);
    };
    let hold = settings.timeout.0.saturating_mul(ANSWERS);
    let mut server: Option<Server<'_>> = None;
    loop {
        let due = app.read(actor, |cx| store::due(cx.tx, cx.now, SOME))?;
        if due.is_empty() {
            return Ok(done);
        }
        let server = match &server {
            Some(server) => server,
            None => server.insert(Server::new(settings)?),
        };
        for id in due {
            if stop() {
                return Ok(done);
            }
            let claimed = app.write(actor, move |cx| claim(cx, id, hold))?;
            let (message, content) = match claimed {
                Claim::Ours(message, content) => (message, content),
                Claim::Ended => {
                    count(app, "failed");
                    done.failed += 1;
                    continue;
                }
                Claim::Elsewhere => continue,
            };
            let sent = server.send(&message, &content)?;
            let unreachable = matches!(sent, Sent::Unreachable { .. });
            match settle(app, actor, message, sent)? {
                "sent" => done.sent += 1,
                "failed" => done.failed += 1,
                _ => done.postponed += 1,
            }
            if unreachable {
                // The others would find the same; they stay due.
                return Ok(done);
            }
        }
    }
}

/// What came of asking for a message.
enum Claim {
    /// It is ours for a while.
    Ours(Message, Content),
    /// It was given up: its time is over, or it does not open.
    Ended,
    /// Somebody else has it.
    Elsewhere,
}

fn claim(cx: &mut Cx<'_, '_>, id: i64, hold: Duration) -> Result<Claim> {
    let Some(message) = store::claim(cx.tx, id, cx.now, cx.now.plus(hold))? else {
        return Ok(Claim::Elsewhere);
    };
    if message.expires_at <= cx.now {
        give_up(cx, &message, "it has expired")?;
        return Ok(Claim::Ended);
    }
    let opened = cx.kit.keys.outbox.open(&message.about(), &message.sealed);
    let content = opened.ok().and_then(|plain| {
        let content: serde_json::Result<Content> = serde_json::from_slice(plain.expose());
        content.ok()
    });
    if let Some(content) = content {
        return Ok(Claim::Ours(message, content));
    }
    // Changed or moved by hand, or sealed with another key file.
    tracing::error!(mail = message.id, "a message does not open");
    give_up(cx, &message, "it does not open")?;
    Ok(Claim::Ended)
}

fn give_up(cx: &mut Cx<'_, '_>, message: &Message, reason: &str) -> Result<()> {
    if store::finish(cx.tx, message, "failed", Some(reason), cx.now)? {
        let details = json!({
            "template": message.template, "attempts": message.attempts, "reason": reason,
        });
        let event = Event::new("mail.failed", object(message.id)).with(details);
        audit::record(cx, event.ended(audit::Outcome::Failed))?;
    }
    Ok(())
}

/// Writes down how it went; returns that as a word.
fn settle(app: &App, actor: &Actor, message: Message, sent: Sent) -> Result<&'static str> {
    let template = message.template.clone();
    let id = message.id;
    if let Sent::Refused { reason, .. } | Sent::Unreachable { reason } = &sent {
        tracing::warn!(mail = id, template, reason, "mail was not sent");
    }
    let word = app.write(actor, move |cx| match &sent {
        Sent::Yes => {
            if store::finish(cx.tx, &message, "sent", None, cx.now)? {
                let details = json!({ "template": message.template, "attempts": message.attempts });
                audit::record(cx, Event::new("mail.sent", object(id)).with(details))?;
            }
            Ok("sent")
        }
        Sent::Refused {
            for_good: true,
            reason,
        } if message.attempts >= REFUSALS => {
            give_up(cx, &message, reason)?;
            Ok("failed")
        }
        Sent::Refused { reason, .. } | Sent::Unreachable { reason } => {
            let next_at = next(cx.now, message.attempts);
            if next_at >= message.expires_at {
                give_up(cx, &message, reason)?;
                return Ok("failed");
            }
            store::postpone(cx.tx, &message, reason, next_at)?;
            Ok("postponed")
        }
    })?;
    count(app, word);
    Ok(word)
}

fn next(now: Timestamp, attempts: u32) -> Timestamp {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    now.plus(FIRST.saturating_mul(doubled).min(LONGEST))
}

fn count(app: &App, kind: &'static str) {
    let mails = &app.kit().metrics.mails;
    mails.get_or_create(&KindLabel { kind }).inc();
}
