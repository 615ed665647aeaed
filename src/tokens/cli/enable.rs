//! `provost token enable`: tokens that a restored backup brought back.

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::{complete, public};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::tokens::{self, Filter, State, TokenId};

/// Tokens enabled in one transaction.
const BATCH: u32 = 500;

/// The flags of `enable`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
After a backup was restored, no API token is good: one of them may have been revoked since the
backup was made, for a reason that nobody should have to remember. Look at each that is to live on.

Examples:
  provost token list --state suspended
  provost token enable 0LqP3xYz8Ab
  provost token enable --all --yes=12")]
pub struct Enable {
    /// The tokens' ids, or the first 6 characters of each or more
    #[arg(value_name = "ID", required_unless_present = "all", add = ArgValueCompleter::new(complete))]
    ids: Vec<String>,
    /// Every suspended token
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    confirm: Confirm,
    /// Only tell what would be enabled
    #[arg(long)]
    dry_run: bool,
}

/// What `enable` did, or, with `--dry-run`, would do.
#[derive(Debug, Serialize)]
struct Enabled {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_enable: Option<u64>,
}

impl Enable {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        if self.all {
            self.every(operator, out)
        } else {
            self.named(operator, out)
        }
    }

    fn named(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        for id in &self.ids {
            public(id)?;
        }
        let mut ids = operator.read(|cx| {
            let found = self.ids.iter().map(|id| tokens::get(cx, id));
            let waiting =
                found.filter(|it| it.as_ref().map_or(true, |it| it.suspended_at.is_some()));
            waiting
                .map(|token| Ok(token?.id))
                .collect::<Result<Vec<TokenId>>>()
        })?;
        ids.sort_unstable();
        ids.dedup();
        let count = u64::try_from(ids.len()).map_err(Error::internal)?;
        if self.dry_run {
            return told(out, count, true);
        }
        // One id, typed out, is no slip.
        if count > 1 || self.confirm.yes.is_some() {
            self.confirm
                .ask(out, &format!("enable {count} tokens"), count)?;
        }
        operator.write(move |cx| {
            for id in &ids {
                tokens::enable(cx, &id.to_string())?;
            }
            Ok(())
        })?;
        told(out, count, false)
    }

    fn every(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let filter = Filter {
            state: Some(State::Suspended),
            ..Filter::default()
        };
        let count = operator.read(|cx| tokens::count_matching(cx, &filter))?;
        if self.dry_run {
            return told(out, count, true);
        }
        self.confirm
            .ask(out, &format!("enable {count} tokens"), count)?;
        let interrupt = Interrupt::watch()?;
        let (mut done, mut last) = (0, TokenId(0));
        while done < count && !interrupt.seen() {
            let most = BATCH.min(u32::try_from(count - done).unwrap_or(BATCH));
            let ids = operator.write(move |cx| tokens::enable_some(cx, last, most))?;
            let Some(end) = ids.last() else { break };
            last = *end;
            done += u64::try_from(ids.len()).map_err(Error::internal)?;
        }
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

fn told(out: &mut Output, count: u64, dry: bool) -> Result<Outcome> {
    if out.format().json {
        out.value(&Enabled {
            enabled: (!dry).then_some(count),
            would_enable: dry.then_some(count),
        })?;
    } else if !out.format().quiet {
        let verb = if dry { "would enable" } else { "enabled" };
        let tokens = if count == 1 { "token" } else { "tokens" };
        out.line(format!("{verb} {count} {tokens}"))?;
    }
    Ok(Outcome::Done)
}
