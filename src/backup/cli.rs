//! `provost backup …`: backups at the shell.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::Backup;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::prompt::progress;
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::snapshots;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost backup create
  provost backup create -o /mnt/backup/provost.db --quiet
  provost backup create -o - | age -r RECIPIENT > provost.db.age")]
pub enum Command {
    /// Copy the database as it is now into a new file, beside a running daemon, and check the copy;
    /// for PostgreSQL, tell the command of its own tool
    Create(Create),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Create(create) => create.run(operator, out),
        }
    }
}

impl Record for Backup {
    const COLUMNS: &'static [&'static str] = &["path", "bytes", "sha256", "schema", "created_at"];

    fn id(&self) -> Cow<'_, str> {
        let path = self.path.as_deref().unwrap_or(Path::new("-"));
        path.display().to_string().into()
    }
}

/// The flags of `create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The new file, or - for standard output [default: a file named after the time, in the folder
    /// backups beside the database]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Create {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let (app, actor) = (operator.app(), operator.actor());
        let to_stdout = self.out.as_deref() == Some(Path::new("-"));
        if to_stdout && out.format().json {
            return Err(Error::Usage(
                "--json and the backup itself cannot both go to standard output".into(),
            ));
        }
        if to_stdout && out.terminal().stdout {
            return Err(Error::Usage(
                "a backup is nothing to look at: redirect it".into(),
            ));
        }
        let interrupt = Interrupt::watch()?;
        let bar = progress(out, "copying pages", 0);
        let mut tell = |left: u64, all: u64| {
            bar.set_length(all);
            bar.set_position(all.saturating_sub(left));
            if interrupt.seen() {
                return Err(Error::Cancelled);
            }
            Ok(())
        };
        let made = if to_stdout {
            super::stream(app, actor, &mut tell, &mut |piece| out.document(piece))
        } else {
            let path = self.out.map_or_else(|| snapshots::usual_place(app), Ok)?;
            super::create(app, actor, &path, &mut tell)
        };
        bar.finish_and_clear();
        let backup = made?;
        if to_stdout {
            out.message(format_args!(
                "{} bytes, sha256 {}",
                backup.bytes, backup.sha256
            ))?;
        } else {
            out.one(&backup)?;
        }
        out.message(format_args!(
            "the key file is not in it, and without that no token of it is good: keep a copy of {} elsewhere",
            app.config().key_file.display()
        ))?;
        Ok(Outcome::Done)
    }
}
