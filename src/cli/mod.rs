//! The shell edge: the tree of commands, and `main`.
//!
//! A command parses, calls the same service functions as HTTP, and prints. Scripts depend on every
//! word and on the exit status: both are part of the public contract.

pub mod flags;
mod init;
pub mod interrupt;
mod json;
mod list;
pub mod operator;
pub mod output;
pub mod prompt;
pub mod report;
mod setup;
mod site;
mod table;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

pub use operator::Operator;
pub use site::{Site, printable};

use crate::error::Result;
use crate::{jobs, purge, time, tokens};
use flags::Format;
use output::Output;

/// The whole command line.
#[derive(Debug, clap::Parser)]
#[command(
    name = "provost",
    version,
    about = "Users, sessions and tokens for a small team",
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    site: Site,
    #[command(flatten)]
    format: Format,
}

const LONG_ABOUT: &str = "\
Users, sessions and tokens for a small team: one program that runs as an HTTP daemon over one \
SQLite file, and as the command line that manages the same file directly, whether the daemon is \
up or down.";

const EXAMPLES: &str = "\
Examples:
  provost init                                 set up the data folder, the key file and the database
  provost token create --label deploy          issue an API token
  provost token list --expiring 14d            tokens that will end soon";

/// The nouns: one line each.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Set up the data folder, the key file and the database; safe to repeat
    Init(init::Init),
    /// Issue, check, list, renew and revoke tokens
    #[command(subcommand, visible_alias = "tokens")]
    Token(tokens::cli::Command),
    /// Delete what has expired, was revoked or is used up
    Purge(purge::cli::Purge),
    /// See the scheduled jobs and their history, and run one now
    #[command(subcommand, visible_alias = "jobs")]
    Job(jobs::cli::Command),
}

impl Command {
    fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Init(command) => command.run(site, out),
            Self::Token(command) => command.run(site, out),
            Self::Purge(command) => command.run(&site.operator(out)?, out),
            Self::Job(command) => command.run(&site.operator(out)?, out),
        }
    }
}

/// The program: parses the command line, runs the command, and chooses the exit status.
#[must_use]
pub fn main() -> ExitCode {
    harden();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return report::report_usage(&error, asked_for_json()),
    };
    let format = cli.format;
    let mut out = Output::new(format, time::wall());
    let result = cli.command.run(&cli.site, &mut out);
    match out.close(result) {
        Ok(outcome) => outcome.into(),
        Err(error) => report::report(&error, format),
    }
}

/// The tree of commands, as help, completions and man pages see it.
fn command() -> clap::Command {
    // `provost help token` is enough; `provost token help` would hide a verb of that name.
    Cli::command().mut_subcommands(|noun| noun.disable_help_subcommand(true))
}

fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

/// Whether a command line that makes no sense still asks for JSON.
fn asked_for_json() -> bool {
    let matches = command().ignore_errors(true).try_get_matches();
    matches.is_ok_and(|matches| matches.get_flag("json"))
}

/// Files that only their owner reads, and no memory image on disk: it would hold keys
/// (security.md, rules 71 and 73).
fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Where the kernel refuses there is nothing better to do than to go on.
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing to do: exit status 0.
    Done,
    /// Something was found that was asked for: 9.
    Findings,
    /// The time is over; run it again to go on: 12.
    Partial,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Findings => 9,
            Outcome::Partial => 12,
        })
    }
}
