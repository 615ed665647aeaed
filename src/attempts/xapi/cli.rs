//! `provost xapi …`: what people have learnt, for a learning record store.

use std::borrow::Cow;

use clap_complete::engine::ArgValueCompleter;

use super::{Statement, Walk, Wanted};
use crate::cli::flags::{ListArgs, value};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::courses;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::time::{Timestamp, When};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print who completed which lesson and handed in which quiz, as statements of xAPI
    Export(Export),
}

/// The flags of `xapi export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Statements of xAPI 1.0.3: completed (a lesson), submitted, scored and abandoned (an attempt at a
quiz). A statement has the same id every time, so that a store may be given it twice; points that
became others by a regrading are another statement. Attempts under way are left out.

Examples:
  provost xapi export --jsonl > statements.jsonl
  provost xapi export --jsonl --course intro-to-sql --since -1d
  provost xapi export --json | jq .items | curl -sS -u KEY:SECRET https://lrs.example.org/xapi/statements \\
    -H 'X-Experience-API-Version: 1.0.3' -H 'Content-Type: application/json' -d @-")]
pub struct Export {
    /// Print one statement a line; with --json instead, all of them as one document
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
    /// Only of this course: slug, id, or the first 6 characters of the id or more
    #[arg(long, value_name = "COURSE", add = ArgValueCompleter::new(courses::cli::complete))]
    course: Option<String>,
    /// Not before: RFC 3339, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    since: Option<When>,
    /// Before: RFC 3339, now, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    until: Option<When>,
    /// What the names of people and things begin with; ids depend on it [default: the public URL of the settings]
    #[arg(long, value_name = "URL", value_parser = address)]
    base: Option<String>,
}

fn address(text: &str) -> Result<String, String> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let plain = |c: char| c.is_ascii_graphic() && !r#"<>"\^`{|}"#.contains(c);
    match rest {
        Some(rest) if !rest.is_empty() && text.chars().all(plain) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        Some(_) | None => Err("must be like https://learn.example.org".to_owned()),
    }
}

impl Record for Statement {
    const COLUMNS: &'static [&'static str] = &["timestamp", "actor", "verb", "object"];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// As [`Walk::next`], and those of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let Self::Export(export) = self;
        export.run(operator, out)
    }
}

impl Export {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        if !self.jsonl && !out.format().json && !out.format().quiet {
            return Err(Error::Usage(
                "a statement is no row of a table: say --jsonl, or --json for one document".into(),
            ));
        }
        let configured = operator.app().config().server.public_url.clone();
        let base = self.base.or(configured).ok_or_else(|| {
            Error::Usage(
                "statements name people and things by an address: give it with --base URL, or set \
                 server.public_url"
                    .into(),
            )
        })?;
        let now = operator.now();
        let since = self.since.map_or(Timestamp(0), |when| when.from(now));
        let until = self
            .until
            .map_or(Timestamp(i64::MAX), |when| when.from(now));
        let mut walk = Walk::new(Wanted {
            course: self.course,
            during: (since, until),
            base,
        });
        let form = ListArgs {
            jsonl: self.jsonl,
            all: true,
            ..ListArgs::default()
        };
        out.list(&form, |_, _| {
            let found = operator.read(|cx| walk.next(cx))?;
            let next = found.is_some().then(|| "more".to_owned());
            let items = found.unwrap_or_default();
            Ok(Page { items, next })
        })?;
        Ok(Outcome::Done)
    }
}
