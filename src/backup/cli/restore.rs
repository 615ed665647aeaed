//! `provost restore`: a backup in the place of the database.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{described, sum};
use crate::backup::{self, Changes, Options, Plan, Restored, Rows, Staged, TakenBack, Verified};
use crate::cli::flags::ListArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::prompt::{Confirm, progress};
use crate::cli::{Outcome, Site, operator};
use crate::config::Config;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::escape;
use crate::keys::Keys;
use crate::migrations;
use crate::page::Page;
use crate::tokens::ApiTokens;

/// Accounts that are named on standard error; `--json` has them all.
const NAMED: usize = 20;

/// The flags of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The backup is copied beside the database and looked through there, as by `provost backup verify`.
What was revoked, rotated or used up since it was made must not be good again: every session, link
and temporary token of it is dead, waiting mail is dropped, recovery codes and API tokens that the
database knows as used up or revoked are so for good, and the other API tokens are suspended until
`provost token enable`. Then it takes the place of the database, which is kept beside it. Whoever is
interrupted runs the same again. No daemon may be running, but for --dry-run.

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
    /// Suspend no API token: those go on that the database knows as good, and, where there is no
    /// database to ask, also those that were revoked since the backup
    #[arg(long)]
    keep_tokens: bool,
    #[command(flatten)]
    confirm: Confirm,
    /// Do it all on a copy that is thrown away, and tell what would be done
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
        let live = backup::live(&config, &file)?.to_owned();
        // Before anything that takes time.
        if !self.dry_run && live.parent().is_some_and(Path::exists) {
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
        let actor = operator::actor(site.on_behalf_of());
        if self.dry_run {
            let backup = staged.verified.clone();
            let plan = backup::plan(staged, &config, &actor, self.options())?;
            return self.planned(&backup, plan, site, out);
        }
        let what = format!("put this backup in the place of {}", live.display());
        self.confirm.ask(out, &what, 1)?;
        if interrupt.seen() {
            return Err(Error::Cancelled);
        }
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
            if let Some(sha256) = restored.old.as_ref().and_then(|old| old.sha256.as_ref()) {
                out.line(format!("sha256        {sha256}"))?;
            }
            if restored.from_schema != restored.schema {
                let (from, to) = (restored.from_schema, restored.schema);
                out.line(format!("schema        {from} → {to}"))?;
            }
            lines(&restored.taken_back, out)?;
        }
        changed(&restored.changes, out)?;
        self.warn(&restored.taken_back, site, out)?;
        if let Some(old) = &restored.old {
            let path = old.path.display().to_string();
            match old.faults.first() {
                None => out.message(format_args!(
                    "to go back: provost{} restore {}",
                    site.flags(),
                    escape::word(&path)
                ))?,
                Some(fault) => out.warn(format_args!(
                    "provost restore will refuse the old database, {path}: {fault}"
                ))?,
            }
        }
        out.message(format_args!(
            "the key file is not in a backup; {} goes with this database",
            config.key_file.display()
        ))
    }

    /// What would be done.
    fn planned(
        &self,
        backup: &Verified,
        plan: Plan,
        site: &Site,
        out: &mut Output,
    ) -> Result<Outcome> {
        if out.format().json {
            out.value(&json!({ "ok": true, "backup": backup, "plan": plan }))?;
            return Ok(Outcome::Done);
        }
        if !out.format().quiet {
            out.line("a restore would do this:")?;
            out.line(format!("database      {}", plan.database.display()))?;
            out.line(match &plan.kept {
                Some(kept) => format!("kept          {}", kept.display()),
                None => "kept          nothing: there is no database".to_owned(),
            })?;
            if !plan.migrations.is_empty() {
                let (from, to) = (plan.from_schema, plan.schema);
                let names = plan.migrations.join(", ");
                out.line(format!("schema        {from} → {to}: {names}"))?;
            }
            lines(&plan.taken_back, out)?;
            let differ = |rows: &Rows| rows.now != rows.backup;
            let rows: Vec<Rows> = plan.rows.into_iter().filter(differ).collect();
            if rows.is_empty() {
                out.line("rows          as many in each table as there are now")?;
            } else if rows.iter().all(|it| it.now.is_none()) {
                out.line("rows of the backup's tables:")?;
                let fields = ["table", "backup"].map(str::to_owned).to_vec();
                let args = ListArgs {
                    fields,
                    ..ListArgs::default()
                };
                let page = Page {
                    items: rows,
                    next: None,
                };
                let mut page = Some(page);
                out.list(&args, |_, _| {
                    page.take()
                        .ok_or_else(|| Error::internal("one page is all"))
                })?;
            } else {
                out.line("rows of the tables that have more or fewer now:")?;
                out.table(rows)?;
            }
        }
        changed(&plan.changes, out)?;
        self.warn(&plan.taken_back, site, out)?;
        if let Some(daemon) = plan.daemon {
            out.message(format_args!("{daemon}, which has to be stopped first"))?;
        }
        out.message("nothing was changed")?;
        Ok(Outcome::Done)
    }

    fn warn(&self, done: &TakenBack, site: &Site, out: &mut Output) -> Result<()> {
        if done.all_codes && done.spent_codes > 0 {
            out.message(
                "which recovery codes were used or replaced since the backup, nobody can tell here: all of them are spent, whoever needs some renews them",
            )?;
        }
        let flags = site.flags();
        if self.keep_tokens {
            // What was asked for the recovery codes was asked for the tokens.
            let since = if done.all_codes {
                ", and with them every one that was revoked since"
            } else {
                ""
            };
            return out.warn(format_args!(
                "API tokens of the backup are good{since}: look at each with provost{flags} token list, and revoke what must not be"
            ));
        }
        if done.suspended_tokens > 0 {
            out.message(format_args!(
                "API tokens are refused until they are enabled: provost{flags} token list --state suspended, provost{flags} token enable ID"
            ))?;
        }
        Ok(())
    }
}

/// Which accounts were made or changed since the backup.
fn changed(changes: &Changes, out: &mut Output) -> Result<()> {
    if let Some(reason) = &changes.unknown {
        return out.warn(format_args!(
            "nobody can tell which accounts were made or changed since the backup: {reason}"
        ));
    }
    let listed = changes.changed.as_deref().unwrap_or_default();
    match changes.changed_count.unwrap_or(0) {
        0 => return out.message("no account was made or changed since the backup"),
        1 => out.message(
            "1 account was made or changed since the backup, look at it (password, roles, whether it is disabled):",
        )?,
        count => out.message(format_args!(
            "{count} accounts were made or changed since the backup, look at each (passwords, roles, who is disabled):"
        ))?,
    }
    for it in listed.iter().take(NAMED) {
        let (name, state) = (&it.username, it.state.as_str());
        out.message(format_args!(
            "  {name}, {state} when it was changed {}",
            it.updated_at
        ))?;
    }
    match changes.changed_count {
        Some(count) if usize::try_from(count) != Ok(listed.len()) => out.message(format_args!(
            "  … and more: --json has the first {}, the database that is kept has them all",
            listed.len()
        )),
        _ if listed.len() > NAMED => out.message("  … and more: --json has them all"),
        _ => Ok(()),
    }
}

impl Record for Rows {
    const COLUMNS: &'static [&'static str] = &["table", "now", "backup"];

    fn id(&self) -> Cow<'_, str> {
        self.table.as_str().into()
    }
}

/// What is about to be restored.
fn tell(staged: &Staged, out: &mut Output) -> Result<()> {
    let schema = staged.verified.schema.unwrap_or(0);
    let sound = if staged.audit.is_empty() {
        "everything in it is sound"
    } else {
        "everything in it but the audit log is sound"
    };
    out.message(format_args!("{}; {sound}", described(&staged.verified)))?;
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
