//! The shell edge: the tree of commands, and `main`.
//!
//! A command parses, calls the same service functions as HTTP, and prints. Scripts depend on every
//! word and on the exit status: both are part of the public contract.

pub mod complete;
mod config;
pub mod flags;
mod generate;
mod health;
mod init;
pub mod interrupt;
mod json;
mod list;
pub mod operator;
pub mod output;
pub mod password;
pub mod prompt;
mod qr;
pub mod report;
mod serve;
pub(crate) mod setup;
mod site;
mod table;
mod trust;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::CompleteEnv;

pub use operator::Operator;
pub use site::{Site, printable};

use crate::config::arguments;
use crate::error::Result;
use crate::{
    access, attempts, audit, backup, courses, databases, doctor, enrolments, jobs, lessons,
    migrations, outbox, purge, quizzes, recovery, sessions, throttle, time, tokens, users,
};
use flags::Format;
use output::Output;

/// The whole command line.
#[derive(Debug, clap::Parser)]
#[command(
    name = "provost",
    bin_name = "provost",
    version,
    about = "Users, sessions and tokens for a small team",
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
    /// Manage accounts: who may sign in, and as what
    #[command(subcommand, visible_alias = "users")]
    User(users::cli::Command),
    /// See who is logged in, and end sessions
    #[command(subcommand, visible_alias = "sessions")]
    Session(sessions::cli::Command),
    /// See and rotate the keys that sign access tokens
    #[command(subcommand, visible_alias = "keys")]
    Key(sessions::cli::KeyCommand),
    /// Say whether a user or a token may do something, and why; exit status 0 for yes, 3 for no
    Can(access::cli::Can),
    /// See whose logins have to wait, and end that
    #[command(subcommand, visible_alias = "limits")]
    Limit(throttle::cli::Command),
    /// Ban networks: the daemon does not answer them
    #[command(subcommand, visible_alias = "bans")]
    Ban(throttle::cli::ban::Command),
    /// See the mail on its way, have it tried at once, and take it away
    #[command(subcommand)]
    Outbox(outbox::cli::Command),
    /// Manage courses: what there is to learn, for whom, and whose it is
    #[command(subcommand, visible_alias = "courses")]
    Course(courses::cli::Command),
    /// Manage the lessons of courses
    #[command(subcommand, visible_alias = "lessons")]
    Lesson(lessons::cli::Command),
    /// Manage the files of courses
    #[command(subcommand, visible_alias = "attachments")]
    Attachment(courses::attachments::cli::Command),
    /// Manage who takes which course
    #[command(subcommand, visible_alias = "enrolments")]
    Enrol(enrolments::cli::Command),
    /// See how far people have come with a course
    #[command(subcommand)]
    Progress(lessons::cli::progress::Command),
    /// Take over the accounts of one of the programs that this one replaces
    Import(users::cli::ImportFrom),
    /// Help yourself when nobody can get in
    #[command(subcommand)]
    Admin(recovery::cli::Admin),
    /// Look at quizzes, take them in from files and write them to files
    #[command(subcommand, visible_alias = "quizzes")]
    Quiz(quizzes::cli::Command),
    /// See what people did with quizzes, and grade it
    #[command(subcommand, visible_alias = "attempts")]
    Attempt(attempts::cli::Command),
    /// See what people have got for the quizzes of a course
    #[command(subcommand, visible_alias = "grades")]
    Grade(attempts::cli::GradeCommand),
    /// Hand out what people have learnt, for a learning record store (xAPI)
    #[command(subcommand)]
    Xapi(attempts::xapi::cli::Command),
    /// Delete what has ended, in short batches; for a person or a cron line
    Purge(purge::cli::Purge),
    /// See the periodic jobs, and run one now
    #[command(subcommand, visible_alias = "jobs")]
    Job(jobs::cli::Command),
    /// Look after the database's schema
    #[command(subcommand)]
    Migrate(migrations::cli::Command),
    /// Look at a database, check it, and move everything from one to another
    #[command(subcommand, visible_alias = "databases")]
    Db(databases::cli::Command),
    /// Make backups of the database
    #[command(subcommand, visible_alias = "backups")]
    Backup(backup::cli::Command),
    /// Put a backup in the place of the database
    Restore(backup::cli::Restore),
    /// See who did what, and prove it
    #[command(subcommand)]
    Audit(audit::cli::Command),
    /// Look at the installation from all sides: what is wrong with it, and what to do about it
    Doctor(doctor::cli::Doctor),
    /// Run the HTTP daemon
    Serve(serve::Serve),
    /// Ask a running daemon whether it is ready
    Health(health::Health),
    /// See, check and write settings
    #[command(subcommand)]
    Config(config::Command),
    /// Print the description of the HTTP API
    Openapi(generate::Openapi),
    /// Print the completions for a shell
    Completion(generate::Completion),
    /// Print the manual, or write all of its pages
    Man(generate::Man),
}

impl Command {
    fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Init(command) => command.run(site, out),
            Self::Token(command) => command.run(site, out),
            Self::User(command) => command.run(&site.operator(out)?, out),
            Self::Session(command) => command.run(&site.operator(out)?, out),
            Self::Key(command) => command.run(&site.operator(out)?, out),
            Self::Can(command) => command.run(&site.operator(out)?, out),
            Self::Limit(command) => command.run(&site.operator(out)?, out),
            Self::Ban(command) => command.run(&site.operator(out)?, out),
            Self::Outbox(command) => command.run(&site.operator(out)?, out),
            Self::Course(command) => command.run(&site.operator(out)?, out),
            Self::Lesson(command) => command.run(&site.operator(out)?, out),
            Self::Attachment(command) => command.run(&site.operator(out)?, out),
            Self::Enrol(command) => command.run(&site.operator(out)?, out),
            Self::Progress(command) => command.run(&site.operator(out)?, out),
            Self::Import(command) => command.run(&site.operator(out)?, out),
            Self::Admin(command) => command.run(&site.operator(out)?, out),
            Self::Quiz(command) => command.run(&site.operator(out)?, out),
            Self::Attempt(command) => command.run(&site.operator(out)?, out),
            Self::Grade(command) => command.run(&site.operator(out)?, out),
            Self::Xapi(command) => command.run(&site.operator(out)?, out),
            Self::Purge(command) => command.run(&site.operator(out)?, out),
            Self::Job(command) => command.run(&site.operator(out)?, out),
            Self::Migrate(command) => command.run(site, out),
            Self::Db(command) => command.run(site, out),
            Self::Backup(command) => command.run(site, out),
            Self::Restore(command) => command.run(site, out),
            Self::Audit(command) => command.run(site, out),
            Self::Doctor(command) => command.run(site, out),
            Self::Serve(command) => command.run(site, out),
            Self::Health(command) => command.run(site, out),
            Self::Config(command) => command.run(site, out),
            Self::Openapi(command) => command.run(site, out),
            Self::Completion(command) => command.run(out),
            Self::Man(command) => command.run(out),
        }
    }
}

/// The exit statuses, for the manual and the README: number, name, meaning.
pub const EXIT_STATUS: &[(&str, &str, &str)] = &[
    (
        "0",
        "ok",
        "done, also when there was nothing to do or the reader of the pipe has gone",
    ),
    ("1", "error", "unexpected failure"),
    (
        "2",
        "usage",
        "bad flags, a bad value, or it would have to ask and there is no terminal",
    ),
    ("3", "denied", "not allowed; provost can: no"),
    (
        "4",
        "cancelled",
        "the person said no, or ^C before any change",
    ),
    ("5", "not_found", "no such object"),
    (
        "6",
        "conflict",
        "exists already, the target is not empty, or the number differs from --yes=N",
    ),
    ("7", "invalid", "refused by a rule; nothing changed"),
    ("8", "rate_limited", "too many requests"),
    (
        "9",
        "findings",
        "--exit-code, --check, doctor: something is pending, expiring, leaking or wrong",
    ),
    ("10", "busy", "held by another process, safe to try again"),
    (
        "11",
        "schema",
        "the database's schema does not fit this program",
    ),
    (
        "12",
        "partial",
        "the time box was reached, it was interrupted, or rows were refused; run it again to go on",
    ),
    (
        "13",
        "corrupt",
        "the database or its history is damaged, or a copy differs from its source",
    ),
];

/// The program: parses the command line, runs the command, and chooses the exit status.
#[must_use]
pub fn main() -> ExitCode {
    harden();
    // Ends the program when a shell asks for completions; otherwise looks at one variable.
    CompleteEnv::with_factory(command)
        .bin("provost")
        .completer("provost")
        .complete();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            let words: Vec<_> = arguments().collect();
            let others = usage::others(command(), &words, &error);
            return report::report_usage(&error, &others, asked_for_json());
        }
    };
    let format = cli.format;
    let mut out = Output::new(format, time::wall());
    let result = cli.command.run(&cli.site, &mut out);
    match out.close(result) {
        Ok(outcome) => outcome.into(),
        Err(error) => report::report(&error, format, &cli.site.flags()),
    }
}

/// The tree of commands, as help, completions and man pages see it.
fn command() -> clap::Command {
    // `provost help token` is enough; `provost token help` would hide a verb of that name.
    Cli::command().mut_subcommands(|noun| noun.disable_help_subcommand(true))
}

fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches_from(arguments())?)
}

/// Whether a command line that makes no sense still asks for JSON.
fn asked_for_json() -> bool {
    let mut words = arguments().take_while(|word| word != "--");
    words.any(|word| word == "--json")
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
    /// It was asked whether something is allowed, and it is not: 3.
    Denied,
    /// The schema is not the one that this program knows: 11.
    Schema,
    /// The time is over; run it again to go on: 12.
    Partial,
    /// Something was found that cannot be right: 13.
    Corrupt,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Denied => 3,
            Outcome::Findings => 9,
            Outcome::Schema => 11,
            Outcome::Partial => 12,
            Outcome::Corrupt => 13,
        })
    }
}
