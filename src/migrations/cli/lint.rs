//! `provost migrate lint` and `new`, which open no database.

use std::borrow::Cow;
use std::path::PathBuf;

use serde_json::json;

use super::Of;
use crate::cli::Outcome;
use crate::cli::output::{Output, Record};
use crate::error::{Error, Result};
use crate::escape;
use crate::migrations::lint::{Finding, lint, lint_file, lint_folder};
use crate::migrations::{Folder, Story, create, read_file};

/// The flags of `lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What loses data, makes everybody wait, cannot be in a transaction, or works on one of SQLite and
PostgreSQL only. A folder is also tried on an empty database in memory, there and back. A comment
with a reason accepts a finding:

  -- lint: allow drop_table: nothing has used it since release 4

Examples:
  provost migrate lint --dir migrations
  provost migrate lint migrations/0003_prices.up.sql")]
pub struct Lint {
    /// Files to look at, each by itself
    #[arg(value_name = "FILE", conflicts_with = "dir", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    of: Of,
}

impl Record for Finding {
    const COLUMNS: &'static [&'static str] = &["file", "line", "rule", "reason", "advice"];

    fn id(&self) -> Cow<'_, str> {
        format!("{}:{}:{}", self.file, self.line, self.rule.name()).into()
    }
}

impl Lint {
    pub(super) fn run(self, out: &mut Output) -> Result<Outcome> {
        let found = if let Some(dir) = self.of.dir() {
            lint_folder(&Folder::read(dir)?)?
        } else if self.files.is_empty() {
            lint(&Story::own())?
        } else {
            let mut found = Vec::new();
            for path in &self.files {
                found.extend(lint_file(&path.display().to_string(), &read_file(path)?));
            }
            found
        };
        let outcome = if found.is_empty() {
            Outcome::Done
        } else {
            Outcome::Findings
        };
        if out.format().json || out.format().quiet {
            out.table(found)?;
        } else if found.is_empty() {
            out.message("nothing to look at")?;
        } else {
            tell(&found, out)?;
        }
        Ok(outcome)
    }
}

/// As compilers tell it: a person's editor knows where to go.
pub(in crate::migrations) fn tell(found: &[Finding], out: &mut Output) -> Result<()> {
    for it in found {
        let (file, line, rule) = (&it.file, it.line, it.rule.name());
        out.line(format!("{file}:{line}: {rule}: {}", it.reason))?;
        out.line(format!("    {}", it.advice))?;
        if let Some(comment) = &it.accept {
            out.line(format!("    meant so? in a line of its own: {comment}"))?;
        }
    }
    Ok(())
}

/// The flags of `new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost migrate new add_orders
  provost migrate new add_orders --dir db/migrations")]
pub struct New {
    /// What it does, in one word: lower-case letters, digits and '_'
    #[arg(value_name = "NAME")]
    name: String,
    /// The folder, made if it is missing
    #[arg(long, value_name = "DIR", default_value = "migrations", value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

impl New {
    pub(super) fn run(self, out: &mut Output) -> Result<Outcome> {
        let dir = self.dir.to_str().ok_or_else(|| {
            Error::invalid("dir", "must be UTF-8, as its name stands in every report")
        })?;
        let [up, down] = create(&self.dir, &self.name)?;
        if out.format().json {
            out.value(&json!({ "up": up, "down": down }))?;
            return Ok(Outcome::Done);
        }
        for path in [up, down] {
            out.line(path.display().to_string())?;
        }
        let dir = escape::word(dir);
        out.message(format_args!(
            "when they are written: provost migrate lint --dir {dir}, then: provost migrate up --dir {dir}"
        ))?;
        Ok(Outcome::Done)
    }
}
