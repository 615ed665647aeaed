//! `provost user export`: all accounts, for another program or for an import elsewhere.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::NamedTempFile;

use crate::cli::flags::word;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::prompt::progress;
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::file;
use crate::users::export::{self, Exported, Options};
use crate::users::import::Form;

/// The flags of `user export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What comes out can be taken in by provost user import: the same accounts under the same ids, without
their hashes unless --with-hashes was given. Deleted accounts are left out.

Examples:
  provost user export -o people.csv
  provost user export --format jsonl | jq -r .email
  provost user export --with-hashes -o /root/people.jsonl")]
pub struct Export {
    /// In which form [default: as the name of the file ends, else csv]
    #[arg(long, value_parser = word(Form::ALL, Form::as_str))]
    format: Option<Form>,
    /// With the hashes of the passwords, which can be guessed against; never to a terminal
    #[arg(long)]
    with_hashes: bool,
    /// The new file, readable by its owner alone [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let path = self.out.as_deref().filter(|path| path.as_os_str() != "-");
        let options = Options {
            form: self.format.unwrap_or_else(|| usual(path)),
            hashes: self.with_hashes,
        };
        if path.is_none() && out.format().json {
            return Err(Error::Usage(
                "--json and the accounts themselves cannot both go to standard output; for JSON use \
                 --format jsonl"
                    .into(),
            ));
        }
        if path.is_none() && options.hashes && out.terminal().stdout {
            return Err(Error::Usage(
                "hashes are nothing for a terminal: redirect them, or use -o FILE".into(),
            ));
        }
        let done = match path {
            None => write(options, operator, out, &mut |out, piece| {
                out.document(piece)
            })?,
            Some(path) => to_file(path, options, operator, out)?,
        };
        match done.deleted {
            0 => {}
            1 => out.message("1 deleted account is left out")?,
            deleted => out.message(format_args!("{deleted} deleted accounts are left out"))?,
        }
        Ok(Outcome::Done)
    }
}

fn usual(path: Option<&Path>) -> Form {
    let end = path.and_then(|path| path.extension()?.to_str());
    match end {
        Some("jsonl" | "ndjson") => Form::Jsonl,
        Some(_) | None => Form::Csv,
    }
}

/// What is under the name is whole: until then it has another one, and goes if anything fails.
fn to_file(
    path: &Path,
    options: Options,
    operator: &Operator,
    out: &mut Output,
) -> Result<Exported> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.into() });
    }
    let folder = file::folder_of(path);
    let writing = || Error::io(format!("write {}", path.display()));
    // Readable by its owner alone from its first moment on.
    let mut export = NamedTempFile::with_prefix_in(".export-", folder).map_err(writing())?;
    let done = write(options, operator, out, &mut |_, piece| {
        export.write_all(piece).map_err(writing())
    })?;
    file::keep(export, path)?;
    let Exported { users, deleted } = done;
    if out.format().json {
        let (form, hashes) = (options.form.as_str(), options.hashes);
        let told = json!({ "path": path, "users": users, "deleted": deleted, "format": form,
            "hashes": hashes });
        out.value(&told)?;
    } else {
        let what = if users == 1 { "account" } else { "accounts" };
        out.message(format_args!("{users} {what} in {}", path.display()))?;
    }
    Ok(done)
}

type Put<'p> = dyn FnMut(&mut Output, &[u8]) -> Result<()> + 'p;

fn write(
    options: Options,
    operator: &Operator,
    out: &mut Output,
    put: &mut Put<'_>,
) -> Result<Exported> {
    let (app, actor) = (operator.app(), operator.actor());
    let interrupt = Interrupt::watch()?;
    let mut bar = progress(out, "exporting", 0);
    if !bar.is_hidden() {
        bar = progress(out, "exporting", export::count(app, actor)?);
    }
    let done = export::export(app, actor, options, &mut |piece, users| {
        put(out, piece)?;
        bar.inc(users);
        if interrupt.seen() {
            return Err(Error::Cancelled);
        }
        Ok(())
    });
    bar.finish_and_clear();
    done
}
