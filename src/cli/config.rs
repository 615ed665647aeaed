//! `provost config …`: what the settings are, where each comes from, and a file to start with.

use std::borrow::Cow;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::output::{Output, Record, new_file};
use super::{Outcome, Site};
use crate::config::{Config, SettingRow};
use crate::error::{Error, Result};
use crate::http::tls::Pair;
use crate::time::wall;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost config show --origin
  provost config init --out /etc/provost/provost.toml")]
pub(super) enum Command {
    /// Show every setting with its value
    Show {
        /// Also tell where each value comes from: a default, a file's line, a variable, a flag
        #[arg(long)]
        origin: bool,
    },
    /// Check the settings, and the certificate if they name one, without doing anything
    Check,
    /// Write a settings file in which every setting is explained and none is changed
    Init {
        /// Write to this new file [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

impl Record for SettingRow {
    const COLUMNS: &'static [&'static str] = &["name", "value", "origin"];

    fn id(&self) -> Cow<'_, str> {
        self.name.into()
    }
}

/// A setting without where it comes from.
#[derive(Debug, Serialize)]
struct Plain {
    name: &'static str,
    value: String,
}

impl Record for Plain {
    const COLUMNS: &'static [&'static str] = &["name", "value"];

    fn id(&self) -> Cow<'_, str> {
        self.name.into()
    }
}

#[derive(Debug, Serialize)]
struct Checked<'a> {
    config_file: Option<&'a Path>,
    warnings: &'a [String],
}

impl Command {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Show { origin } => show(&site.config(out)?, origin, out)?,
            Self::Check => check(&site.config(out)?, out)?,
            Self::Init { out: None } => out.document(Config::template())?,
            Self::Init { out: Some(path) } => {
                write(&path)?;
                out.message(format_args!("wrote {}", path.display()))?;
            }
        }
        Ok(Outcome::Done)
    }
}

fn show(config: &Config, origin: bool, out: &mut Output) -> Result<()> {
    if origin {
        return out.table(config.rows().to_vec());
    }
    let plain = config.rows().iter().map(|row| Plain {
        name: row.name,
        value: row.value.clone(),
    });
    out.table(plain.collect())
}

fn check(config: &Config, out: &mut Output) -> Result<()> {
    let mut warnings = config.warnings.clone();
    if let Some(files) = &config.tls
        && let Some(warning) = Pair::load(files)?.warning(wall())
    {
        out.warn(&warning)?;
        warnings.push(warning);
    }
    if out.format().json {
        return out.value(&Checked {
            config_file: config.config_file.as_deref(),
            warnings: &warnings,
        });
    }
    match &config.config_file {
        Some(file) => out.message(format_args!("{} is good", file.display())),
        None => out.message("there is no settings file; the defaults are good"),
    }
}

/// Settings are no secret, and the daemon's account must be able to read what root wrote here. (A
/// password among them is refused for as long as others may read the file.)
const READABLE: u32 = 0o644;

fn write(path: &Path) -> Result<()> {
    let mut file = new_file(path)?;
    file.write_all(Config::template().as_bytes())
        .and_then(|()| file.set_permissions(Permissions::from_mode(READABLE)))
        .and_then(|()| file.sync_all())
        .map_err(Error::io(format!("write {}", path.display())))
}
