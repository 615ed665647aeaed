//! `provost outbox …`: mail on its way, at the shell.

use std::borrow::Cow;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{Listed, State};
use crate::cli::flags::{ListArgs, word};
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome, complete};
use crate::error::{Error, Result};

/// Messages that are looked for, or taken care of, in one transaction.
const STEP: u32 = 200;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the mail that waits, was sent or was given up, the newest first
    #[command(after_help = "\
What is done with is listed until it is purged. What the mail says is never shown: the links in it are
as good as passwords, and it is forgotten once it is sent or given up.

Examples:
  provost outbox list --state waiting
  provost outbox list --fields recipient,attempts,last_error")]
    List {
        /// Only in this state
        #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str))]
        state: Option<State>,
        /// Form and length
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one message: to whom, about what, how often it was tried, and what the server said
    Show {
        /// The id
        #[arg(add = ArgValueCompleter::new(complete_id))]
        id: String,
    },
    /// Have mail that waits be tried at once
    #[command(after_help = "\
A daemon looks for mail every 5 seconds; without one, send it with: provost job run outbox.deliver

Examples:
  provost outbox retry 3764759491320198700
  provost outbox retry --all")]
    Retry(Those),
    /// Take mail away; a link in it stays good until its time is over
    #[command(after_help = "\
Examples:
  provost outbox delete 3764759491320198700
  provost outbox delete --state failed --yes
  provost outbox delete --all --dry-run")]
    Delete {
        /// Which
        #[command(flatten)]
        those: Those,
        /// Those in this state
        #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str), conflicts_with = "ids")]
        state: Option<State>,
        /// Only tell which
        #[arg(long)]
        dry_run: bool,
        /// The answer
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// Which messages.
#[derive(Debug, clap::Args)]
pub struct Those {
    /// The ids
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete_id))]
    ids: Vec<String>,
    /// All of them; with retry all that wait
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

/// The ids of messages that begin as what is typed, for completions.
fn complete_id(typed: &OsStr) -> Vec<CompletionCandidate> {
    complete::with(typed, |cx, _| {
        let page = super::list(cx, None, None, complete::MOST)?;
        let candidate = |message: Listed| {
            CompletionCandidate::new(message.id.to_string()).help(Some(message.recipient.into()))
        };
        Ok(page.items.into_iter().map(candidate).collect())
    })
}

impl Record for Listed {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "recipient",
        "template",
        "state",
        "attempts",
        "created_at",
        "next_at",
        "last_error",
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.id.to_string())
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List { state, list } => out.list(&list, |cursor, limit| {
                operator.read(|cx| super::list(cx, state, cursor, limit))
            })?,
            Self::Show { id } => out.one(&operator.read(|cx| super::get(cx, &id))?)?,
            Self::Retry(those) => retry(&those, operator, out)?,
            Self::Delete {
                those,
                state,
                dry_run,
                confirm,
            } => delete(those, state, dry_run, confirm, operator, out)?,
        }
        Ok(Outcome::Done)
    }
}

fn retry(those: &Those, operator: &Operator, out: &mut Output) -> Result<()> {
    let mut messages = those.find(Some(State::Waiting), operator)?;
    // What is being sent needs no hurry.
    messages.retain(|message| !message.sending || !those.all);
    let mut retried = Vec::new();
    for ids in chunks(&messages) {
        retried.extend(operator.write(move |cx| super::retry(cx, &ids))?);
    }
    if operator.app().config().smtp.is_none() {
        out.warn("no mail is sent without smtp.host")?;
    }
    told(&retried, "due now:", out)
}

fn delete(
    those: Those,
    state: Option<State>,
    dry_run: bool,
    confirm: Confirm,
    operator: &Operator,
    out: &mut Output,
) -> Result<()> {
    let named = !those.ids.is_empty();
    let those = Those {
        all: those.all || state.is_some(),
        ..those
    };
    let messages = those.find(state, operator)?;
    if dry_run {
        return told(&messages, "would delete", out);
    }
    let count = u64::try_from(messages.len()).map_err(Error::internal)?;
    // One id, typed out, is no slip.
    if !named || count > 1 || confirm.yes.is_some() {
        confirm.ask(out, &format!("delete {}", counted(messages.len())), count)?;
    }
    let mut deleted = Vec::new();
    for ids in chunks(&messages) {
        deleted.extend(operator.write(move |cx| super::delete(cx, &ids))?);
    }
    told(&deleted, "deleted", out)
}

impl Those {
    fn find(&self, state: Option<State>, operator: &Operator) -> Result<Vec<Listed>> {
        if self.ids.is_empty() && !self.all {
            return Err(Error::Usage(
                "name messages by their ids, as provost outbox list shows them, or say --all"
                    .into(),
            ));
        }
        let mut found = Vec::new();
        for id in &self.ids {
            found.push(operator.read(|cx| super::get(cx, id))?);
        }
        if !self.all {
            return Ok(found);
        }
        let mut cursor: Option<String> = None;
        loop {
            let page = operator.read(|cx| super::list(cx, state, cursor.as_deref(), STEP))?;
            found.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }
}

fn chunks(messages: &[Listed]) -> Vec<Vec<String>> {
    let step = usize::try_from(STEP).unwrap_or(usize::MAX);
    let ids = |some: &[Listed]| some.iter().map(|message| message.id.to_string()).collect();
    messages.chunks(step).map(ids).collect()
}

fn counted(count: usize) -> String {
    if count == 1 {
        "1 message".into()
    } else {
        format!("{count} messages")
    }
}

/// What was done to which.
fn told(messages: &[Listed], done: &str, out: &mut Output) -> Result<()> {
    if out.format().json {
        return out.value(&messages);
    }
    if out.format().quiet {
        for message in messages {
            out.line(message.id())?;
        }
        return Ok(());
    }
    out.line(format!("{done} {}", counted(messages.len())))
}
