//! `provost restore`: a backup in the place of the database.

use std::path::PathBuf;

use indicatif::DecimalBytes;
use serde_json::json;

use super::sum;
use crate::backup::{self, Options, Restored, Staged, TakenBack};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::prompt::{Confirm, progress};
use crate::cli::{Outcome, Site, operator};
use crate::config::Config;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::migrations;
use crate::tokens::ApiTokens;

/// Accounts that are named on standard error; `--json` has them all.
const NAMED: usize = 20;

/// The flags of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The backup is copied beside the database and looked through there, as by `provost backup verify`.
What was revoked, rotated or used up since it was made must not be good again: every session, link
and temporary token of it is dead, waiting mail is dropped, and API tokens are suspended until
`provost token enable`. Then it takes the place of the database, which is kept beside it. Whoever is
interrupted runs the same again. No daemon may be running.

Examples:
  provost restore /var/lib/provost/backups/provost-20261120T083400Z.db --dry-run
  age -d -i key.txt provost.db.age | provost restore - --sha256 9f2c… --yes
  provost restore --in-place                  after pg_restore")]
pub struct Restore {
    /// The backup, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "in_place")]
    file: Option<PathBuf>,
    /// The SHA-256 that the file must have; needed where there is no manifest beside it
    #[arg(long, value_name = "HEX", value_parser = sum)]
    sha256: Option<String>,
    /// Another tool has put a backup into the database: end what must not be good again
    #[arg(long, conflicts_with_all = ["file", "sha256", "dry_run"])]
    in_place: bool,
    /// Let the backup's API tokens be good again, also those that were revoked since
    #[arg(long)]
    keep_tokens: bool,
    #[command(flatten)]
    confirm: Confirm,
    /// Only look through the backup, and tell what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Restore {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(mut self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let Some(file) = self.file.take() else {
            return self.here(site, out);
        };
        let config = site.config(out)?;
        let live = backup::live(&config)?.to_owned();
        // Before anything that takes time.
        if live.parent().is_some_and(std::path::Path::exists) {
            Db::refuse_daemon(&live)?;
        }
        let keys = Keys::load(&config.key_file)?;
        let interrupt = Interrupt::watch()?;
        let bar = progress(out, "copying", 0);
        let staged = backup::stage(
            &file,
            &live,
            self.sha256.as_deref(),
            (&keys, &config.key_file),
            &mut |bytes| {
                bar.set_position(bytes);
                if interrupt.seen() {
                    return Err(Error::Cancelled);
                }
                Ok(())
            },
        );
        bar.finish_and_clear();
        let staged = staged?;
        tell(&staged, out)?;
        if self.dry_run {
            if out.format().json {
                out.value(&json!({ "ok": true, "backup": staged.verified }))?;
            }
            return Ok(Outcome::Done);
        }
        let what = format!("put this backup in the place of {}", live.display());
        self.confirm.ask(out, &what, 1)?;
        if interrupt.seen() {
            return Err(Error::Cancelled);
        }
        let actor = operator::actor(site.on_behalf_of());
        let restored = backup::restore(&staged, &config, &actor, self.options())?;
        self.report(&restored, site, &config, out)?;
        Ok(Outcome::Done)
    }

    fn options(&self) -> Options {
        Options {
            api_tokens: if self.keep_tokens {
                ApiTokens::Keep
            } else {
                ApiTokens::Suspend
            },
        }
    }

    /// After another tool has done its part.
    fn here(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let operator = site.operator(out)?;
        let place = operator.app().config().db.to_string();
        let what = format!("end every session and suspend every API token of {place}");
        self.confirm.ask(out, &what, 1)?;
        let done = backup::in_place(operator.app(), operator.actor(), self.options())?;
        if out.format().json {
            out.value(&done)?;
        } else if !out.format().quiet {
            lines(&done, out)?;
        }
        self.warn(&done, site, out)?;
        Ok(Outcome::Done)
    }

    fn report(
        &self,
        restored: &Restored,
        site: &Site,
        config: &Config,
        out: &mut Output,
    ) -> Result<()> {
        if out.format().json {
            out.value(restored)?;
        } else if !out.format().quiet {
            out.line(format!("database      {}", restored.database.display()))?;
            for kept in &restored.kept {
                out.line(format!("kept          {}", kept.display()))?;
            }
            if restored.from_schema != restored.schema {
                let (from, to) = (restored.from_schema, restored.schema);
                out.line(format!("schema        {from} → {to}"))?;
            }
            lines(&restored.taken_back, out)?;
        }
        match &restored.changed {
            None => out.message("what was changed since the backup, nobody can tell here")?,
            Some(changed) if changed.is_empty() => {
                out.message("no account was made or changed since the backup")?;
            }
            Some(changed) => {
                out.message(format_args!(
                    "{} accounts were made or changed since the backup, look at each (passwords, roles, who is disabled):",
                    changed.len()
                ))?;
                for it in changed.iter().take(NAMED) {
                    let (name, state) = (&it.username, it.state.as_str());
                    out.message(format_args!(
                        "  {name}, {state} when it was changed {}",
                        it.updated_at
                    ))?;
                }
                if changed.len() > NAMED {
                    out.message("  … and more: --json has them all")?;
                }
            }
        }
        self.warn(&restored.taken_back, site, out)?;
        out.message(format_args!(
            "the key file is not in a backup; {} goes with this database",
            config.key_file.display()
        ))
    }

    fn warn(&self, done: &TakenBack, site: &Site, out: &mut Output) -> Result<()> {
        if done.all_codes && done.spent_codes > 0 {
            out.message(
                "which recovery codes were used or replaced since the backup, nobody can tell here: all of them are spent, whoever needs some renews them",
            )?;
        }
        let flags = site.flags();
        if self.keep_tokens {
            return out.warn(
                "the backup's API tokens are good again, and with them every one that was revoked \
                 since: look at each with provost token list, and revoke what must not be",
            );
        }
        if done.suspended_tokens > 0 {
            out.message(format_args!(
                "API tokens are refused until they are enabled: provost{flags} token list --state suspended, provost{flags} token enable ID"
            ))?;
        }
        Ok(())
    }
}

/// What is about to be restored.
fn tell(staged: &Staged, out: &mut Output) -> Result<()> {
    let it = &staged.verified;
    let at = it
        .created_at
        .map_or("unknown".to_owned(), |at| at.to_string());
    let schema = it.schema.unwrap_or(0);
    let sound = if staged.audit.is_empty() {
        "everything in it is sound"
    } else {
        "everything in it but the audit log is sound"
    };
    out.message(format_args!(
        "backup of {at}: {}, schema {schema}, sha256 {}; {sound}",
        DecimalBytes(it.bytes),
        it.sha256
    ))?;
    for finding in &staged.audit {
        out.warn(format_args!(
            "the audit log was altered before the backup was made: {finding}"
        ))?;
    }
    let needed = migrations::needed();
    if schema < needed {
        out.message(format_args!(
            "it is brought from schema {schema} to {needed}"
        ))?;
    }
    Ok(())
}

fn lines(done: &TakenBack, out: &mut Output) -> Result<()> {
    for (label, count) in [
        ("API tokens suspended", done.suspended_tokens),
        ("API tokens revoked", done.revoked_tokens),
        ("other tokens ended", done.ended_tokens),
        ("accounts logged out", done.ended_accounts),
        ("waiting mail dropped", done.dropped_mail),
        ("recovery codes spent", done.spent_codes),
        ("answers forgotten", done.forgotten_keys),
    ] {
        out.line(format!("{label:20}  {count}"))?;
    }
    Ok(())
}
