//! `provost limit …`: whose logins have to wait.

use std::borrow::Cow;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::Limit;
use crate::cli::flags::ListArgs;
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::users;

pub mod ban;

/// Accounts ended in one transaction.
const BATCH: u32 = 500;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List who has to wait now, and who is off until that is cleared
    #[command(after_help = "\
After 5 failed logins in a row an account has to wait 1, 2, 4, … s and at most 15 minutes before a
password is looked at again; after 100 no password is good until it is cleared. A success or a day
without failures ends it. Who comes from a network from which the account logged in within 30 days
need not wait. A name that nobody has is treated alike, and is listed by a key alone.

An address from which logins failed under too many names (throttle.spray_names) is blocked for a \
while, and listed with its key, ip:203.0.113.7. Other limits of client addresses are kept in the \
daemon's memory (settings throttle.*); they end by themselves within an hour and are not listed.

Examples:
  provost limit list
  provost limit list --json --fields user,state,ends_at")]
    List(ListArgs),
    /// Forget the failures of an account, or of all that have to wait
    Clear(Clear),
}

/// Whose failures are forgotten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost limit clear ivan
  provost limit clear ivan@example.org
  provost limit clear name:3f0a5c7e9b1d2f4a6c8e0b2d4f6a8c0e
  provost limit clear 203.0.113.7
  provost limit clear --all --dry-run")]
pub struct Clear {
    /// User name, e-mail address, phone number or id; the key that `limit list` shows; a client's
    /// address; or a name that nobody has, as it was typed
    #[arg(value_name = "ACCOUNT", required_unless_present = "all", conflicts_with = "all",
        add = ArgValueCompleter::new(users::cli::complete))]
    account: Option<String>,
    /// Everybody who has to wait or is off now
    #[arg(long)]
    all: bool,
    /// With --all: only tell how many there are
    #[arg(long, conflicts_with = "account")]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirm,
}

/// What `clear` did, or, with `--dry-run`, would do.
#[derive(Debug, Serialize)]
struct Cleared {
    #[serde(skip_serializing_if = "Option::is_none")]
    cleared: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_clear: Option<u64>,
}

impl Record for Limit {
    const COLUMNS: &'static [&'static str] =
        &["user", "state", "failures", "last_at", "ends_at", "account"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.account)
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List(form) => out.list(&form, |cursor, limit| {
                operator.read(|cx| super::list(cx, users::name_of, cursor, limit))
            })?,
            Self::Clear(clear) => match clear.account {
                Some(account) => one(&account, &clear.confirm, operator, out)?,
                None => all(clear.dry_run, &clear.confirm, operator, out)?,
            },
        }
        Ok(Outcome::Done)
    }
}

fn one(account: &str, confirm: &Confirm, operator: &Operator, out: &mut Output) -> Result<()> {
    // One account, typed out, is no slip.
    if confirm.yes.is_some() {
        confirm.ask(out, &format!("clear the failures of {account}"), 1)?;
    }
    let cleared = operator.write({
        let account = users::spelling(account);
        move |cx| super::lift(cx, users::id_of, &account)
    })?;
    if !cleared {
        out.message(format_args!("{account} has no failures"))?;
    }
    told(u64::from(cleared), false, out)
}

fn all(dry_run: bool, confirm: &Confirm, operator: &Operator, out: &mut Output) -> Result<()> {
    let count = operator.read(super::count)?;
    if dry_run {
        return told(count, true, out);
    }
    confirm.ask(
        out,
        &format!("clear the failures of {}", counted(count)),
        count,
    )?;
    let mut done = 0;
    // Never more than was agreed to, even if others fail meanwhile.
    while done < count {
        let most = BATCH.min(u32::try_from(count - done).unwrap_or(BATCH));
        let cleared = operator.write(move |cx| super::lift_some(cx, most))?;
        if cleared == 0 {
            break;
        }
        done += cleared;
    }
    told(done, false, out)
}

fn counted(count: u64) -> String {
    if count == 1 {
        "1 account".into()
    } else {
        format!("{count} accounts")
    }
}

fn told(count: u64, dry_run: bool, out: &mut Output) -> Result<()> {
    if out.format().json {
        return out.value(&Cleared {
            cleared: (!dry_run).then_some(count),
            would_clear: dry_run.then_some(count),
        });
    }
    if out.format().quiet {
        return Ok(());
    }
    let verb = if dry_run { "would clear" } else { "cleared" };
    out.line(format!("{verb} {}", counted(count)))
}
