//! `provost session …` and `provost key …`: the service functions of sessions at the shell.

use std::borrow::Cow;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use ipnet::IpNet;
use serde::Serialize;

use super::{Filter, Session, State};
use crate::cli::flags::{ListArgs, network, value, word};
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome, complete, printable};
use crate::error::{Error, Result};
use crate::time::{Period, Timestamp, When};
use crate::users;

mod key;

pub use key::Command as KeyCommand;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List who is logged in, the newest first
    List(List),
    /// Show one session by its id
    Show(Show),
    /// End sessions: what was opened with them is refused at once
    Revoke(Revoke),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List(command) => command.run(operator, out),
            Self::Show(command) => command.run(operator, out),
            Self::Revoke(command) => command.run(operator, out),
        }
    }
}

impl Record for Session {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user",
        "created_at",
        "last_seen_at",
        "ip",
        "client",
        "methods",
        "state",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

/// The ids of sessions that begin as what is typed, for completions.
fn complete_id(typed: &OsStr) -> Vec<CompletionCandidate> {
    complete::with(typed, |cx, _| {
        let page = super::list(cx, &Filter::default(), None, complete::MOST)?;
        let candidate =
            |session: Session| CompletionCandidate::new(session.id).help(Some(session.user.into()));
        Ok(page.items.into_iter().map(candidate).collect())
    })
}

/// Which sessions: flags of `list` and `revoke`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Which {
    /// Only those of this user: id, user name, e-mail or phone
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    user: Option<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str))]
    state: Option<State>,
    /// Only those opened from this network or address
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    ip: Option<IpNet>,
    /// Only those opened with a program whose name fits, in any case; * stands for any characters
    #[arg(long, value_name = "PATTERN")]
    client: Option<String>,
    /// Only those not used for so long: 30m 12h 7d
    #[arg(long, value_name = "TIME", value_parser = value::<Period>)]
    idle: Option<Period>,
    /// Only those opened before: RFC 3339, now, or -2d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, value_parser = value::<When>)]
    created_before: Option<When>,
}

impl Which {
    /// Whether no filter was given, which would mean everybody.
    fn is_none(&self) -> bool {
        let Self {
            user,
            state,
            ip,
            client,
            idle,
            created_before,
        } = self;
        user.is_none()
            && state.is_none()
            && ip.is_none()
            && client.is_none()
            && idle.is_none()
            && created_before.is_none()
    }

    fn filter(self, now: Timestamp) -> Filter {
        Filter {
            user: self.user,
            state: self.state,
            ip: self.ip,
            client: self.client,
            idle_since: self.idle.map(|idle| now.minus(idle.0)),
            created_before: self.created_before.map(|when| when.from(now)),
        }
    }
}

/// The flags of `list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost session list --user ivan
  provost session list --client 'Firefox*' --ip 203.0.113.0/24
  provost session list --idle 3d --all --jsonl")]
pub struct List {
    #[command(flatten)]
    which: Which,
    /// Also those that have ended, until they are purged
    #[arg(long, conflicts_with = "state")]
    ended: bool,
    #[command(flatten)]
    form: ListArgs,
}

impl List {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        // One instant for all pages: a session that ends meanwhile must not shift them.
        let mut filter = self.which.filter(operator.now());
        if !self.ended {
            filter.state.get_or_insert(State::Active);
        }
        out.list(&self.form, |cursor, limit| {
            operator.read(|cx| super::list(cx, &filter, cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// The argument of `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The session's id, or the first 6 characters of it or more
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete_id))]
    id: String,
}

impl Show {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let session = operator.read(|cx| super::get(cx, &self.id))?;
        out.one(&session).map(|()| Outcome::Done)
    }
}

/// The flags of `revoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost session revoke 0198f3c2
  provost session revoke --user ivan --except 0198f3c2 --reason \"laptop lost\" --yes
  provost session revoke --all --yes")]
pub struct Revoke {
    /// The sessions' ids, or the first 6 characters of each or more
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete_id))]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Everybody's
    #[arg(long)]
    all: bool,
    /// But not this one: its id, or the first 6 characters of it or more
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete_id))]
    except: Option<String>,
    /// Why, for the audit log and whoever looks through the list
    #[arg(long, value_name = "TEXT", value_parser = printable)]
    reason: Option<String>,
    /// Only tell what would be revoked
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirm,
}

/// Sessions that are looked for, or ended, in one transaction.
const STEP: u32 = 200;

/// What `revoke` did, or, with `--dry-run`, would do.
#[derive(Debug, Serialize)]
struct Revoked {
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_revoke: Option<usize>,
}

impl Revoke {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let ids = self.find(operator)?;
        if self.dry_run {
            return told(out, &ids, true);
        }
        let count = u64::try_from(ids.len()).map_err(Error::internal)?;
        // One id, typed out, is no slip.
        if self.ids.is_empty() || count > 1 || self.confirm.yes.is_some() {
            self.confirm
                .ask(out, &format!("revoke {}", counted(ids.len())), count)?;
        }
        let mut ended = Vec::new();
        for some in ids.chunks(usize::try_from(STEP).map_err(Error::internal)?) {
            let (some, reason) = (some.to_vec(), self.reason.clone());
            let done =
                operator.write(move |cx| super::revoke_these(cx, &some, reason.as_deref()))?;
            ended.extend(done);
        }
        told(out, &ended, false)
    }

    /// The open sessions that are meant.
    fn find(&self, operator: &Operator) -> Result<Vec<String>> {
        let by_filter = self.all || !self.which.is_none();
        if self.ids.is_empty() != by_filter {
            return Err(Error::Usage(
                "name sessions by their ids, or by flags such as --user, or say --all; not both"
                    .into(),
            ));
        }
        let except = match &self.except {
            Some(id) => Some(operator.read(|cx| super::get(cx, id))?.id),
            None => None,
        };
        let mut found = Vec::new();
        for id in &self.ids {
            found.push(operator.read(|cx| super::get(cx, id))?);
        }
        if by_filter {
            let mut filter = self.which.clone().filter(operator.now());
            filter.state.get_or_insert(State::Active);
            let mut cursor: Option<String> = None;
            loop {
                let page = operator.read(|cx| super::list(cx, &filter, cursor.as_deref(), STEP))?;
                found.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        found.retain(|session| session.state == State::Active);
        let mut ids: Vec<String> = found.into_iter().map(|session| session.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| Some(id) != except.as_ref());
        Ok(ids)
    }
}

fn counted(count: usize) -> String {
    if count == 1 {
        "1 session".into()
    } else {
        format!("{count} sessions")
    }
}

fn told(out: &mut Output, ids: &[String], dry: bool) -> Result<Outcome> {
    let format = out.format();
    if format.json {
        out.value(&Revoked {
            revoked: (!dry).then_some(ids.len()),
            would_revoke: dry.then_some(ids.len()),
        })?;
    } else if format.quiet {
        for id in ids {
            out.line(id)?;
        }
    } else {
        let verb = if dry { "would revoke" } else { "revoked" };
        out.line(format!("{verb} {}", counted(ids.len())))?;
    }
    Ok(Outcome::Done)
}
