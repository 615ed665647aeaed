//! `provost ban …`: networks that the daemon does not answer.

use std::borrow::Cow;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde_json::json;

use crate::cli::flags::{ListArgs, value};
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome, complete, printable};
use crate::error::Result;
use crate::throttle::{self, Ban, Network, NewBan};
use crate::time::Lifetime;

/// Networks that the daemon does not answer: every request from there gets 403, whatever it asks for
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Ban a network, or change until when and why it is banned
    Add(Add),
    /// List the bans that hold, the newest first
    #[command(after_help = "\
Examples:
  provost ban list
  provost ban list --quiet --all                    the networks alone, for a firewall")]
    List(ListArgs),
    /// End bans
    Remove(Remove),
}

/// The flags of `add`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A running daemon reads the bans once a second, and then answers every request from there with 403.
The address that counts is that of the client, behind the proxies that are trusted (the setting
server.trusted_proxies); GET /api/v1/whoami/ip tells it. Requests by a Unix socket have none and are
never refused. A network that holds this machine's own addresses, a trusted proxy or a large part of
the Internet is only banned after a question, or with --yes.

Examples:
  provost ban add 203.0.113.7 --ttl 7d --reason \"guesses passwords\"
  provost ban add 2001:db8:1:2::/64")]
pub struct Add {
    /// The network in CIDR notation, or a single address
    #[arg(value_name = "NETWORK", value_parser = value::<Network>)]
    network: Network,
    /// For how long: 90s 15m 12h 7d 4w, or never [default: never]
    #[arg(long, value_name = "D", value_parser = value::<Lifetime>)]
    ttl: Option<Lifetime>,
    /// Why; the list of bans and the audit log keep it
    #[arg(long, value_name = "TEXT", value_parser = printable)]
    reason: Option<String>,
    /// The answer, when the network is one that may lock out everybody
    #[command(flatten)]
    confirm: Confirm,
}

/// Whose bans end.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// The networks, as `ban list` shows them
    #[arg(required = true, value_name = "NETWORK", value_parser = value::<Network>,
        add = ArgValueCompleter::new(complete))]
    networks: Vec<Network>,
}

impl Record for Ban {
    const COLUMNS: &'static [&'static str] = &["network", "reason", "created_at", "expires_at"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.network.to_string())
    }
}

/// The networks that are banned and begin as what is typed, for completions.
fn complete(typed: &OsStr) -> Vec<CompletionCandidate> {
    complete::with(typed, |cx, _| {
        let page = throttle::bans(cx, None, complete::MOST)?;
        let candidate = |ban: Ban| {
            let help = ban.reason.map(Into::into);
            CompletionCandidate::new(ban.network.to_string()).help(help)
        };
        Ok(page.items.into_iter().map(candidate).collect())
    })
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Add(add) => add.run(operator, out)?,
            Self::List(form) => out.list(&form, |cursor, limit| {
                operator.read(|cx| throttle::bans(cx, cursor, limit))
            })?,
            Self::Remove(Remove { networks }) => remove(networks, operator, out)?,
        }
        Ok(Outcome::Done)
    }
}

impl Add {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        let Self {
            network,
            ttl,
            reason,
            confirm,
        } = self;
        let proxies = &operator.app().config().server.trusted_proxies;
        let danger = throttle::danger(network, None, proxies);
        if let Some(what) = danger {
            let what = format!("ban {network}, which holds {what}");
            confirm.ask(out, &what, 1)?;
        } else if confirm.yes.is_some() {
            confirm.ask(out, &format!("ban {network}"), 1)?;
        }
        let new = NewBan {
            network,
            ttl,
            reason,
            confirm: danger.is_some(),
        };
        out.one(&operator.write(move |cx| throttle::add(cx, &new))?)
    }
}

/// All or none: half a list would have to be sorted out by hand.
fn remove(networks: Vec<Network>, operator: &Operator, out: &mut Output) -> Result<()> {
    let removed = operator.write(move |cx| {
        let remove = |network: &Network| throttle::remove(cx, *network, |_| Ok(()));
        networks.iter().map(remove).collect::<Result<Vec<_>>>()
    })?;
    if out.format().json {
        return out.value(&json!({ "removed": removed.len() }));
    }
    for ban in &removed {
        out.message(format_args!("{} is no longer banned", ban.network))?;
    }
    Ok(())
}
