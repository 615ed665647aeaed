//! `provost token scan`: finds leaked tokens and tells which of them are live.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::flags::ListArgs;
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::page::Page;
use crate::tokens::leaks::{Leak, Leaks};
use crate::tokens::{Kind, Reason, TokenId, lookup, parse};

/// The flags of `scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends with status 9 if one of the tokens found is live. Secrets are never shown.

Examples:
  git diff --cached | provost token scan
  provost token scan --offline $(git ls-files)      without a database: every token found counts")]
pub struct Scan {
    /// Files to look through; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Do not ask the database which tokens are live
    #[arg(long)]
    pub(super) offline: bool,
}

/// A token that was found.
#[derive(Debug, Serialize)]
struct Finding {
    file: String,
    line: u64,
    id: TokenId,
    kind: Option<Kind>,
    /// Whether it is good; null if that was not asked.
    reason: Option<Reason>,
}

impl Record for Finding {
    const COLUMNS: &'static [&'static str] = &["file", "line", "id", "kind", "reason"];

    fn id(&self) -> Cow<'_, str> {
        self.id.to_string().into()
    }
}

impl Scan {
    pub(super) fn run(self, operator: Option<&Operator>, out: &mut Output) -> Result<Outcome> {
        let mut leaks = self.files.iter().flat_map(|file| Leaks::open(file));
        let mut findings = leaks
            .by_ref()
            .map(|leak| leak.and_then(|leak| finding(&leak, operator)))
            .peekable();
        if findings.peek().is_none() && !out.format().json {
            out.message("no tokens found")?;
            return Ok(Outcome::Done);
        }
        let (mut any, mut live) = (false, false);
        let all = ListArgs {
            all: true,
            ..ListArgs::default()
        };
        out.list(&all, |_, most| {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let items: Vec<Finding> = findings.by_ref().take(most).collect::<Result<_>>()?;
            any |= !items.is_empty();
            live |= items
                .iter()
                .any(|item| item.reason.is_none_or(|reason| reason == Reason::Ok));
            let next = findings.peek().map(|_| String::new());
            Ok(Page { items, next })
        })?;
        Ok(if any && live {
            Outcome::Findings
        } else {
            Outcome::Done
        })
    }
}

fn finding(leak: &Leak, operator: Option<&Operator>) -> Result<Finding> {
    let (id, kind) = match parse(leak.token.expose()) {
        Ok(presented) => (presented.id, presented.kind),
        Err(_) => return Err(Error::internal("a leak that is no token")),
    };
    let found = operator
        .map(|operator| operator.read(|cx| lookup(cx, leak.token.expose())))
        .transpose()?;
    Ok(Finding {
        file: leak.file.clone(),
        line: leak.line,
        id,
        kind,
        reason: found.map(|found| found.reason),
    })
}
