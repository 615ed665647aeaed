//! `provost token revoke`: one, several, or all that a filter finds.

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::{Which, complete, public};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::prompt::{self, Confirm};
use crate::cli::{Operator, Outcome, printable};
use crate::error::{Error, Result};
use crate::tokens::{self, Token, TokenId};

/// Tokens ended in one transaction.
const BATCH: u32 = 500;

/// The flags of `revoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost token revoke 0LqP3xYz8Ab --reason \"laptop lost\"
  provost token revoke --owner ivan --dry-run
  provost token revoke --label 'ci-*' --yes=12")]
pub struct Revoke {
    /// The tokens' ids, or the first 6 characters of each or more
    #[arg(value_name = "ID", conflicts_with = "which", add = ArgValueCompleter::new(complete))]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", value_parser = printable)]
    reason: Option<String>,
    #[command(flatten)]
    confirm: Confirm,
    /// Only tell what would be revoked
    #[arg(long)]
    dry_run: bool,
}

/// What `revoke` did, or, with `--dry-run`, would do.
#[derive(Debug, Serialize)]
struct Revoked {
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_revoke: Option<u64>,
}

impl Revoke {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match (self.ids.is_empty(), self.which.is_none()) {
            (true, true) => Err(Error::Usage(
                "say which tokens: by their ids, or by a filter such as --owner or --label".into(),
            )),
            (true, false) => self.by_filter(operator, out),
            (false, _) => self.by_id(operator, out),
        }
    }

    fn by_id(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        for id in &self.ids {
            public(id)?;
        }
        let mut found: Vec<Token> = operator.read(|cx| {
            let found = self.ids.iter().map(|id| tokens::get(cx, id));
            found.collect::<Result<_>>()
        })?;
        found.sort_unstable_by_key(|token| token.id);
        found.dedup_by_key(|token| token.id);
        for token in found.iter().filter(|token| token.revoked_at.is_some()) {
            out.message(format_args!("{} is revoked already", token.id))?;
        }
        let live = found.iter().filter(|token| token.revoked_at.is_none());
        let ids: Vec<TokenId> = live.map(|token| token.id).collect();
        let count = u64::try_from(ids.len()).map_err(Error::internal)?;
        if self.dry_run {
            return told(out, count, true);
        }
        // One id, typed out, is no slip.
        if count > 1 || self.confirm.yes.is_some() {
            let what = format!("revoke {}", counted(count));
            self.confirm.ask(out, &what, count)?;
        }
        let reason = self.reason;
        let done = operator.write(move |cx| {
            let mut done = Vec::new();
            for id in &ids {
                let before = tokens::get(cx, &id.to_string())?;
                tokens::revoke(cx, &id.to_string(), reason.as_deref())?;
                if before.revoked_at.is_none() {
                    done.push(*id);
                }
            }
            Ok(done)
        })?;
        quiet_ids(out, &done)?;
        told(
            out,
            u64::try_from(done.len()).map_err(Error::internal)?,
            false,
        )
    }

    fn by_filter(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let filter = self.which.filter(operator.now());
        let count = operator.read(|cx| tokens::count_revocable(cx, &filter))?;
        if self.dry_run {
            return told(out, count, true);
        }
        let what = format!("revoke {}", counted(count));
        self.confirm.ask(out, &what, count)?;
        let interrupt = Interrupt::watch()?;
        let bar = prompt::progress(out, "revoking", count);
        let (mut done, mut last) = (0, TokenId(0));
        // Never more than was agreed to, even if others issue tokens meanwhile.
        while done < count && !interrupt.seen() {
            let most = BATCH.min(u32::try_from(count - done).unwrap_or(BATCH));
            let (filter, reason) = (filter.clone(), self.reason.clone());
            let ids = operator
                .write(move |cx| tokens::revoke_some(cx, &filter, reason.as_deref(), last, most))?;
            let Some(end) = ids.last() else { break };
            last = *end;
            quiet_ids(out, &ids)?;
            let ended = u64::try_from(ids.len()).map_err(Error::internal)?;
            bar.inc(ended);
            done += ended;
        }
        bar.finish_and_clear();
        if interrupt.seen() && done == 0 {
            return Err(Error::Cancelled);
        }
        told(out, done, false)?;
        if interrupt.seen() && done < count {
            out.message("interrupted: run it again to go on")?;
            return Ok(Outcome::Partial);
        }
        Ok(Outcome::Done)
    }
}

fn counted(count: u64) -> String {
    if count == 1 {
        "1 token".into()
    } else {
        format!("{count} tokens")
    }
}

fn quiet_ids(out: &mut Output, ids: &[TokenId]) -> Result<()> {
    if out.format().quiet && !out.format().json {
        for id in ids {
            out.line(id.to_string())?;
        }
    }
    Ok(())
}

fn told(out: &mut Output, count: u64, dry: bool) -> Result<Outcome> {
    if out.format().json {
        out.value(&Revoked {
            revoked: (!dry).then_some(count),
            would_revoke: dry.then_some(count),
        })?;
    } else if !out.format().quiet {
        let verb = if dry { "would revoke" } else { "revoked" };
        out.line(format!("{verb} {}", counted(count)))?;
    }
    Ok(Outcome::Done)
}
