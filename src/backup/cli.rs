//! `provost backup …` and `provost restore`: backups at the shell.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use serde_json::json;

use super::{Against, Backup, Keep, Kept, State, Verified};
use crate::cli::flags::ListArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::prompt::{Confirm, progress};
use crate::cli::{Operator, Outcome, Site};
use crate::error::{Error, Result};
use crate::file::folder_of;
use crate::keys::Keys;
use crate::page::Page;
use crate::time::{relative, wall};

mod restore;

pub use restore::Restore;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost backup create
  provost backup create -o /mnt/backup/provost.db --quiet
  provost backup create -o - | age -r RECIPIENT > provost.db.age
  provost backup list
  provost backup verify /mnt/backup/provost.db          status 13 if it is not good
  provost restore /mnt/backup/provost.db --dry-run")]
pub enum Command {
    /// Copy the database as it is now into a new file, beside a running daemon, and check the copy;
    /// for PostgreSQL, tell the command of its own tool
    Create(Create),
    /// List the backups in the usual folder, the newest first; also with the database gone
    List(List),
    /// Look through a backup as a whole: is it the file that was made, is it sound, is it ours
    Verify(Verify),
    /// Delete backups, each with its manifest
    Delete(Delete),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Create(create) => create.run(&site.operator(out)?, out),
            Self::List(list) => list.run(site, out),
            Self::Verify(verify) => verify.run(site, out),
            Self::Delete(delete) => delete.run(&site.operator(out)?, out),
        }
    }
}

/// The flags of `list`.
#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

impl List {
    fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let kept = kept(site, out)?;
        let told = kept.iter().filter_map(|it| {
            let reason = it.reason.as_ref()?;
            let path = it.path.display();
            match it.state {
                State::Complete => None,
                State::Faulty => Some(format!("provost restore refuses {path}: {reason}")),
                State::Broken => Some(format!("{path} is broken: {reason}")),
            }
        });
        let told: Vec<String> = told.collect();
        out.list(&self.list, |cursor, limit| page(&kept, cursor, limit))?;
        for line in told {
            out.warn(line)?;
        }
        Ok(Outcome::Done)
    }
}

/// So many backups after the one that is called `cursor`.
fn page(kept: &[Kept], cursor: Option<&str>, limit: u32) -> Result<Page<Kept>> {
    let unknown = || Error::invalid("cursor", "names no backup that is there");
    let place = |name: &str| kept.iter().position(|it| it.id() == name);
    let rest = match cursor {
        Some(name) => place(name)
            .and_then(|at| kept.get(at + 1..))
            .ok_or_else(unknown)?,
        None => kept,
    };
    let limit = usize::try_from(limit).map_err(Error::internal)?;
    let items: Vec<Kept> = rest.iter().take(limit).cloned().collect();
    let more = rest.len() > items.len();
    let next = items.last().filter(|_| more).map(|it| it.id().into_owned());
    Ok(Page { items, next })
}

/// The backups. Whoever has lost the database needs them most.
fn kept(site: &Site, out: &mut Output) -> Result<Vec<Kept>> {
    let config = site.config(out)?;
    let there = super::there(&config)?;
    let operator = Operator::open(config, site.on_behalf_of());
    match operator.and_then(|it| super::list(it.app(), it.actor())) {
        Ok(kept) => Ok(kept),
        Err(error) if there.is_empty() => Err(error),
        Err(error) => {
            let causes = error.causes();
            let mark = if causes.is_empty() { "" } else { ": " };
            out.warn(format_args!("{error}{mark}{causes}"))?;
            Ok(there)
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

impl Record for Kept {
    const COLUMNS: &'static [&'static str] = &[
        "created_at",
        "state",
        "schema",
        "bytes",
        "sha256",
        "verified_at",
        "path",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.path.display().to_string().into()
    }
}

/// The flags of `create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The new file, or - for standard output [default: a file named after the time, in the folder
    /// backups beside the database]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Then keep only the newest N of the backups in that folder that are named after the time
    #[arg(long, value_name = "N", conflicts_with = "out", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
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
            super::create(app, actor, self.out.as_deref(), &mut tell)
        };
        bar.finish_and_clear();
        let backup = made?;
        if to_stdout {
            out.message(format_args!(
                "{} bytes, sha256 {}",
                backup.bytes, backup.sha256
            ))?;
        } else if out.format().json || out.format().quiet {
            out.one(&backup)?;
        } else {
            // What is wrong is told below.
            out.value(&json!({
                "path": backup.path, "bytes": backup.bytes, "sha256": backup.sha256,
                "schema": backup.schema, "created_at": backup.created_at,
            }))?;
        }
        if let Some(keep) = self.keep {
            let keep = Keep::Newest(usize::try_from(keep).map_err(Error::internal)?);
            for path in super::prune(app, actor, &keep)? {
                out.message(format_args!("deleted {}", path.display()))?;
            }
        }
        for finding in &backup.audit {
            out.warn(format_args!(
                "the audit log is not as it was sealed: {finding}"
            ))?;
        }
        for fault in &backup.faults {
            out.warn(format_args!(
                "provost restore will refuse this backup: {fault}"
            ))?;
        }
        out.message(format_args!(
            "the key file is not in it, and without that no token of it is good: keep a copy of {} elsewhere",
            app.config().key_file.display()
        ))?;
        Ok(if backup.faults.is_empty() {
            Outcome::Done
        } else {
            Outcome::Findings
        })
    }
}

/// The flags of `verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The SHA-256 that the file must have; needed where there is no manifest beside it
    #[arg(long, value_name = "HEX", value_parser = sum)]
    sha256: Option<String>,
}

impl Verify {
    fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let config = site.config(out)?;
        // Elsewhere than at home a backup can be looked through without the key file.
        let keys = config.key_file.exists();
        let keys = keys.then(|| Keys::load(&config.key_file)).transpose()?;
        let against = Against {
            sha256: self.sha256.as_deref(),
            keys: keys.as_ref(),
        };
        let verified = super::verify(&self.file, against)?;
        if verified.is_of_other_keys() {
            return Err(super::other_keys(&config.key_file));
        }
        let good = verified.fault().is_none();
        if good && let Ok(operator) = Operator::open(config, site.on_behalf_of()) {
            let real = self.file.canonicalize();
            let path = real.as_deref().unwrap_or(&self.file);
            let (app, actor) = (operator.app(), operator.actor());
            if let Err(error) = super::record_verified(app, actor, path, &verified.sha256) {
                out.warn(format_args!(
                    "that it is good could not be written down: {error}"
                ))?;
            }
        }
        told(verified, site, out)?;
        Ok(if good {
            Outcome::Done
        } else {
            Outcome::Corrupt
        })
    }
}

/// A backup in one line.
fn described(it: &Verified) -> String {
    let at = it.created_at.map_or("unknown age".to_owned(), |at| {
        format!("{at} ({})", relative(at, wall()))
    });
    let schema = it
        .schema
        .map_or("?".to_owned(), |schema| schema.to_string());
    let (bytes, sha256) = (DecimalBytes(it.bytes), &it.sha256);
    format!("backup of {at}: {bytes}, schema {schema}, sha256 {sha256}")
}

/// Prints what was found out about a backup.
fn told(verified: Verified, site: &Site, out: &mut Output) -> Result<()> {
    let good = verified.fault().is_none();
    if out.format().json {
        return out.value(&json!({ "ok": good, "backup": verified }));
    }
    out.message(described(&verified))?;
    if !out.format().quiet {
        for check in &verified.checks {
            let told = match check.findings.len() {
                0 if check.skipped => format!("skipped: {}", check.about),
                0 => format!("ok: {}", check.about),
                1 => "1 finding".to_owned(),
                several => format!("{several} findings"),
            };
            out.line(format!("{:12}  {told}", check.name))?;
        }
    }
    if !good {
        let findings = verified.checks.into_iter().flat_map(|it| it.findings);
        out.table(findings.collect())?;
        let flags = site.flags();
        out.message(format_args!(
            "hint: take another one: provost{flags} backup list"
        ))?;
    }
    Ok(())
}

/// A SHA-256 as people copy it, for `value_parser`.
fn sum(text: &str) -> Result<String, String> {
    let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "must have 64 hexadecimal digits".to_owned())
}

/// The flags of `delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The backups
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    confirm: Confirm,
}

impl Delete {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        for file in &self.files {
            super::recognised(operator.app().config(), file)?;
        }
        let count = u64::try_from(self.files.len()).map_err(Error::internal)?;
        let backups = if count == 1 { "backup" } else { "backups" };
        let what = format!("delete {count} {backups}");
        self.confirm.ask(out, &what, count)?;
        for file in &self.files {
            // A link is deleted, not what it leads to.
            let folder = folder_of(file).canonicalize().ok();
            let real = folder.zip(file.file_name()).map(|(it, name)| it.join(name));
            let path = real.as_deref().unwrap_or(file);
            super::delete(operator.app(), operator.actor(), path)?;
        }
        if out.format().json {
            out.value(&json!({ "deleted": count }))?;
        } else if !out.format().quiet {
            out.line(format!("deleted {count} {backups}"))?;
        }
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_goes_on_after_the_backup_that_was_shown_last() {
        let one = |n: u32| Kept {
            path: format!("/b/{n}.db").into(),
            created_at: None,
            state: State::Complete,
            reason: None,
            schema: None,
            bytes: None,
            sha256: None,
            verified_at: None,
        };
        let kept: Vec<Kept> = (1..=5).map(one).collect();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = page(&kept, cursor.as_deref(), 2).unwrap();
            seen.extend(page.items.into_iter().map(|it| it.path));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(
            seen,
            kept.iter().map(|it| it.path.clone()).collect::<Vec<_>>()
        );
        assert!(page(&kept, Some("/b/6.db"), 2).is_err());
    }
}
