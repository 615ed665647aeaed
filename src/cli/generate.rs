//! What is made from the tree of commands and the routes: man pages, completions, the API's
//! description. `man/` and `completions/` are committed; a test fails when they are stale.

mod man;

use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::env::Shells;

use super::output::Output;
use super::{Outcome, Site};
use crate::error::{Error, Result};
use crate::http;

/// Print the description of the HTTP API: the document that the daemon serves at /openapi.json
#[derive(Debug, clap::Args)]
pub(super) struct Openapi {
    /// Print YAML [default: JSON]
    #[arg(long)]
    yaml: bool,
}

impl Openapi {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let api = http::openapi(&site.config(out)?);
        let text = if self.yaml {
            api.to_yaml().map_err(Error::internal)?
        } else {
            api.to_pretty_json().map_err(Error::internal)? + "\n"
        };
        out.document(text).map(|()| Outcome::Done)
    }
}

/// The shells, with the names of their files.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "provost.bash"),
    ("zsh", "_provost"),
    ("fish", "provost.fish"),
];

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The script asks the program itself, so that user names and ids complete, too.

Examples:
  provost completion bash > ~/.local/share/bash-completion/completions/provost
  provost completion zsh > ~/.local/share/zsh/site-functions/_provost
  provost completion fish > ~/.config/fish/completions/provost.fish
  provost completion --out completions          all of them")]
pub(super) struct Completion {
    /// The shell
    #[arg(value_parser = SHELLS.map(|(shell, _)| shell), required_unless_present = "out")]
    shell: Option<String>,
    /// Write the scripts for all shells into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "shell")]
    out: Option<PathBuf>,
}

impl Completion {
    pub(super) fn run(self, out: &mut Output) -> Result<Outcome> {
        if let Some(shell) = self.shell {
            out.document(script(&shell)?)?;
        }
        if let Some(folder) = self.out {
            for (shell, name) in SHELLS {
                write(&folder, name, &script(shell)?)?;
            }
        }
        Ok(Outcome::Done)
    }
}

fn script(shell: &str) -> Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(shell)
        .ok_or_else(|| Error::internal("no such shell"))?;
    let mut script = Vec::new();
    shell
        .write_registration("COMPLETE", "provost", "provost", "provost", &mut script)
        .map_err(Error::io("make the completions"))?;
    Ok(script)
}

/// Print the manual
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost man | man -l -                        read it
  provost man token | man -l -                  the page of a noun
  provost man --out man                         write all pages")]
pub(super) struct Man {
    /// The noun whose page to print [default: the program's page]
    #[arg(value_name = "NOUN", conflicts_with = "out")]
    noun: Option<String>,
    /// Write all pages into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, out: &mut Output) -> Result<Outcome> {
        let pages = man::pages()?;
        if let Some(folder) = self.out {
            for (name, page) in pages {
                write(&folder, &format!("{name}.1"), page.as_bytes())?;
            }
            return Ok(Outcome::Done);
        }
        let wanted = match self.noun {
            Some(noun) => format!("provost-{noun}"),
            None => "provost".into(),
        };
        let page = pages.into_iter().find(|(name, _)| *name == wanted);
        let (_, page) = page.ok_or_else(|| Error::no_such("page", &wanted))?;
        out.document(page).map(|()| Outcome::Done)
    }
}

fn write(folder: &Path, name: &str, text: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(Error::io(format!("write {}", path.display())))
}
