//! `provost token …`: the service functions of tokens at the shell.
//!
//! Invariant: a token is never taken from the command line, where every user of the machine and
//! the shell's history would see it; it comes from standard input, a file or a prompt.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use ipnet::IpNet;
use serde_json::{Map, Value as Json};

use super::{Filter, Kind, Lookup, NewToken, PATTERN, Reason, State, Token, prefixed};
use crate::cli::complete;
use crate::cli::flags::{ListArgs, count, network, value, word};
use crate::cli::output::{Output, Record, SecretFile};
use crate::cli::prompt;
use crate::cli::{Operator, Outcome, Site};
use crate::error::{Error, Result};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::time::{Lifetime, Period, Timestamp, When};
use crate::users;

mod enable;
mod revoke;
mod scan;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Issue a token; its text is shown once
    Create(Create),
    /// List tokens, the newest first
    List(List),
    /// Show one token by its id
    Show(Show),
    /// Tell everything about a token that somebody holds: its owner, its state, why it is refused
    #[command(after_help = "\
Examples:
  provost token lookup                      asks for the token without showing it
  provost token lookup - < token.txt
  provost token lookup --file token.txt --json
  provost token lookup --exit-code - < token.txt    for a script: exit status 9 when it is not good")]
    Lookup(LookUp),
    /// Take one use of a token; fails if it is not good
    #[command(after_help = "\
Examples:
  provost token consume                     asks for the token without showing it
  provost token consume - < token.txt       status 7 if it is not good")]
    Consume(Presented),
    /// Give tokens more time
    Renew(Renew),
    /// End tokens
    Revoke(revoke::Revoke),
    /// Let tokens be used again that a restored backup brought back
    Enable(enable::Enable),
    /// Find leaked tokens in files or standard input, and tell which of them are live
    Scan(scan::Scan),
    /// Print the pattern by which other scanners find tokens
    Pattern,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Create(command) => command.run(&site.operator(out)?, out),
            Self::List(command) => command.run(&site.operator(out)?, out),
            Self::Show(command) => command.run(&site.operator(out)?, out),
            Self::Lookup(command) => command.run(&site.operator(out)?, out),
            Self::Consume(command) => command.consume(&site.operator(out)?, out),
            Self::Renew(command) => command.run(&site.operator(out)?, out),
            Self::Revoke(command) => command.run(&site.operator(out)?, out),
            Self::Enable(command) => command.run(&site.operator(out)?, out),
            Self::Scan(command) => {
                let operator = (!command.offline).then(|| site.operator(out));
                command.run(operator.transpose()?.as_ref(), out)
            }
            Self::Pattern => out.line(PATTERN).map(|()| Outcome::Done),
        }
    }
}

impl Record for Token {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "state",
        "owner",
        "label",
        "scopes",
        "expires_at",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.to_string().into()
    }
}

impl Record for Lookup {
    const COLUMNS: &'static [&'static str] = &["reason", "id", "kind", "owner"];

    fn id(&self) -> Cow<'_, str> {
        match &self.token {
            Some(token) => token.id.to_string().into(),
            None => self.reason.as_str().into(),
        }
    }
}

/// The ids of tokens that begin as what is typed, for completions.
fn complete(typed: &OsStr) -> Vec<CompletionCandidate> {
    complete::with(typed, |cx, _| {
        let page = super::list(cx, &Filter::default(), None, complete::MOST)?;
        let candidate = |token: Token| {
            let help = token.label.map(Into::into);
            CompletionCandidate::new(token.id.to_string()).help(help)
        };
        Ok(page.items.into_iter().map(candidate).collect())
    })
}

/// The flags of `create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost token create --owner ci-bot --label deploy --scope course:read --ttl 30d --cidr 10.0.0.0/8
  provost token create --kind temporary --ttl 15m --max-uses 1 --quiet
  provost token create --label backup --out /etc/backup/token")]
pub struct Create {
    /// What it is for: api authenticates a program, temporary proves one thing for a while
    #[arg(long, value_name = "KIND", default_value = "api", value_parser = word(Kind::OPEN, Kind::as_str))]
    kind: Kind,
    /// The user it belongs to: id, user name, e-mail or phone [default: nobody]
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    owner: Option<String>,
    /// A name for people
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// What it may do; may be repeated [default: nothing]
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = value::<Scope>)]
    scopes: Vec<Scope>,
    #[arg(long, value_name = "TIME", help = TTL, value_parser = value::<Lifetime>)]
    ttl: Option<Lifetime>,
    /// How often it may be used [default: any number]
    #[arg(long, value_name = "N", value_parser = count(u32::MAX))]
    max_uses: Option<u32>,
    /// When it starts being good: RFC 3339, or +2d from now [default: at once]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    not_before: Option<When>,
    /// The network from which it may be used [default: any]
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    cidr: Option<IpNet>,
    /// A JSON object to remember with it, at most 4096 bytes
    #[arg(long, value_name = "JSON", value_parser = object)]
    meta: Option<Map<String, Json>>,
    /// Write the token to this new file, readable by its owner alone, instead of showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const TTL: &str = "How long it is good: 90s 15m 12h 30d 4w, or never for an API token [default: \
    90d for api, 60m for temporary: the settings tokens.api_ttl and tokens.temporary_ttl]";

fn object(text: &str) -> Result<Map<String, Json>, String> {
    serde_json::from_str(text).map_err(|error| format!("must be a JSON object: {error}"))
}

impl Create {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let mut new = NewToken {
            kind: self.kind,
            owner: self.owner,
            label: self.label,
            scopes: self.scopes,
            ttl: self.ttl,
            max_uses: self.max_uses,
            not_before: None,
            cidr: self.cidr,
            meta: self.meta,
        };
        let not_before = self.not_before;
        let file = self.out.as_deref().map(SecretFile::reserve).transpose()?;
        let issued = operator.write(move |cx| {
            new.not_before = not_before.map(|when| when.from(cx.now));
            super::create(cx, &new)
        })?;
        let text = prefixed(issued.token.kind, issued.token.id, &issued.secret);
        out.created(&issued.token, "token", &text, file)?;
        Ok(Outcome::Done)
    }
}

/// Which tokens: flags of `list` and `revoke`.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "which", multiple = true)]
pub struct Which {
    /// Only those of this user: id, user name, e-mail or phone
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    owner: Option<String>,
    /// Only those for this
    #[arg(long, value_name = "KIND", value_parser = word(Kind::ALL, Kind::as_str))]
    kind: Option<Kind>,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str))]
    state: Option<State>,
    /// Only those with this label; a * at the end stands for any rest
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Only those with this scope
    #[arg(long, value_name = "SCOPE", value_parser = value::<Scope>)]
    scope: Option<Scope>,
    /// Only those that are good now and will have expired so long from now: 14d
    #[arg(long, value_name = "TIME", value_parser = value::<Period>)]
    expiring: Option<Period>,
    /// Only those issued before: RFC 3339, now, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    created_before: Option<When>,
    /// Only those issued then or later: RFC 3339, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    created_after: Option<When>,
}

impl Which {
    /// Whether no filter was given, which would mean every token there is.
    fn is_none(&self) -> bool {
        let Self {
            owner,
            kind,
            state,
            label,
            scope,
            expiring,
            created_before,
            created_after,
        } = self;
        owner.is_none()
            && kind.is_none()
            && state.is_none()
            && label.is_none()
            && scope.is_none()
            && expiring.is_none()
            && created_before.is_none()
            && created_after.is_none()
    }

    fn filter(self, now: Timestamp) -> Filter {
        Filter {
            kind: self.kind,
            owner: self.owner,
            label: self.label,
            state: self.state,
            scope: self.scope,
            expiring: self.expiring,
            created_before: self.created_before.map(|when| when.from(now)),
            created_after: self.created_after.map(|when| when.from(now)),
        }
    }
}

/// The flags of `list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost token list --owner ci-bot
  provost token list --expiring 14d --exit-code --quiet     a line for cron: exit status 9 when any will expire
  provost token list --state revoked --all --jsonl")]
pub struct List {
    #[command(flatten)]
    which: Which,
    /// End with status 9 if any token is listed
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    form: ListArgs,
}

impl List {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        // One instant for all pages: a token that expires meanwhile must not shift them.
        let filter = self.which.filter(operator.now());
        let mut any = false;
        out.list(&self.form, |cursor, limit| {
            let page = operator.read(|cx| super::list(cx, &filter, cursor, limit))?;
            any |= !page.items.is_empty();
            Ok(page)
        })?;
        Ok(if any && self.exit_code {
            Outcome::Findings
        } else {
            Outcome::Done
        })
    }
}

/// The argument of `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The token's id, or the first 6 characters of it or more
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete))]
    id: String,
}

impl Show {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let id = public(&self.id)?;
        let token = operator.read(|cx| super::get(cx, id))?;
        out.one(&token).map(|()| Outcome::Done)
    }
}

/// The id that is meant. Somebody who pastes a whole token is told, and helped to its id.
fn public(text: &str) -> Result<&str> {
    if text.len() < 6 {
        // Looked for it would only be "no such token", though it may well begin one.
        let rule = "must be 11 base62 characters, or at least the first 6";
        return Err(Error::invalid("id", rule));
    }
    match super::parse(text) {
        Ok(presented) => Err(Error::Usage(format!(
            "that is a token, not an id; it is in the shell's history now. Its id is {}",
            presented.id
        ))),
        Err(_) => Ok(text),
    }
}

/// How `lookup` and `consume` get the token.
#[derive(Debug, clap::Args)]
pub struct Presented {
    /// `-` reads the token from standard input [default: ask for it without showing it]
    #[arg(value_name = "TOKEN", conflicts_with = "file")]
    token: Option<String>,
    /// Read the token from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Presented {
    fn read(&self, out: &mut Output) -> Result<Secret<String>> {
        match (self.token.as_deref(), &self.file) {
            (Some("-"), _) => prompt::secret_from_stdin(),
            (Some(_), _) => Err(Error::Usage(
                "a token on the command line can be seen by every user of this machine and stays \
                 in the shell's history; give it by - (standard input) or --file, and revoke this one"
                    .into(),
            )),
            (None, Some(file)) => prompt::secret_from_file(file),
            (None, None) => prompt::password(out, "Token", "- (standard input) or --file"),
        }
    }

    fn consume(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let text = self.read(out)?;
        let found = operator.write(move |cx| super::consume(cx, text.expose()))?;
        if found.reason != Reason::Ok {
            let reason = format!("is refused: {}", found.reason.as_str());
            return Err(Error::invalid("token", reason));
        }
        out.one(&found).map(|()| Outcome::Done)
    }
}

/// The flags of `lookup`.
#[derive(Debug, clap::Args)]
pub struct LookUp {
    #[command(flatten)]
    presented: Presented,
    /// End with status 9 if the token is not good
    #[arg(long)]
    exit_code: bool,
}

impl LookUp {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let text = self.presented.read(out)?;
        let found = operator.read(|cx| super::lookup(cx, text.expose()))?;
        out.one(&found)?;
        Ok(if self.exit_code && found.reason != Reason::Ok {
            Outcome::Findings
        } else {
            Outcome::Done
        })
    }
}

/// The flags of `renew`.
#[derive(Debug, clap::Args)]
pub struct Renew {
    /// The tokens' ids, or the first 6 characters of each or more
    #[arg(value_name = "ID", required = true, add = ArgValueCompleter::new(complete))]
    ids: Vec<String>,
    /// How long they are good from now: 15m 12h 30d, or never [default: as for a new token]
    #[arg(long, value_name = "TIME", value_parser = value::<Lifetime>)]
    ttl: Option<Lifetime>,
}

impl Renew {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        for id in &self.ids {
            public(id)?;
        }
        // All or none: half a list renewed would have to be sorted out by hand.
        let named = self.ids.len();
        let mut tokens = operator.write(move |cx| {
            let renewed = self.ids.iter().map(|id| super::renew(cx, id, self.ttl));
            renewed.collect::<Result<Vec<_>>>()
        })?;
        // The form follows from the command line alone: scripts rely on it.
        match tokens.pop() {
            Some(token) if named == 1 => out.one(&token)?,
            last => {
                tokens.extend(last);
                out.table(tokens)?;
            }
        }
        Ok(Outcome::Done)
    }
}
