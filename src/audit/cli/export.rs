//! `provost audit export`: the whole log, each row with its seal.

use std::borrow::Cow;

use crate::audit::{Exported, export};
use crate::cli::flags::{ListArgs, value};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::page::Page;
use crate::time::When;

/// Rows read at once.
const PAGE: u32 = 1000;

/// The flags of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The oldest entries first, all of them, as they are read: nothing is held back. Each tells the number
and the hash of the block in which it was sealed; for what is not sealed yet they are null. With the
last of these a copy on another machine proves the log later:
  provost audit verify --head BLOCK:BLOCK_HASH

Examples:
  provost audit export --jsonl > audit.jsonl
  provost audit export --jsonl --since -1d | ssh log@example.org 'cat >> audit.jsonl'")]
pub struct Export {
    /// Print one JSON object a line [default: a table]
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
    /// Not before: RFC 3339, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    since: Option<When>,
    /// Before: RFC 3339, now, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    until: Option<When>,
}

impl Record for Exported {
    const COLUMNS: &'static [&'static str] =
        &["at", "actor", "action", "object", "result", "block"];

    fn id(&self) -> Cow<'_, str> {
        self.entry.id.to_string().into()
    }
}

impl Export {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let now = operator.now();
        let since = self.since.map(|when| when.from(now));
        let until = self.until.map(|when| when.from(now));
        let form = ListArgs {
            jsonl: self.jsonl,
            all: true,
            ..ListArgs::default()
        };
        out.list(&form, |cursor, _| {
            let (mut items, next) = operator.read(|cx| export(cx, cursor, PAGE))?;
            items.retain(|row| {
                let at = row.entry.at;
                since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
            });
            Ok(Page { items, next })
        })?;
        Ok(Outcome::Done)
    }
}
