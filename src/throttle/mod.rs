//! The throttle: accounts whose logins fail are asked to wait, and networks can be banned.
//!
//! Invariants: a name that nobody has is delayed exactly as an account is, so that nobody learns
//! which names there are (security.md, rule 50); no number of failures but [`OFF`] in a row stops
//! the owner of an account who comes from a network of theirs (rule 52); of a name and of a network
//! only a MAC is stored, but for an address that is blocked. Addresses that ask for too much are the
//! business of [`crate::rate`].

mod addresses;
mod bans;
pub mod cli;
mod curve;
pub mod http;
mod network;
mod purge;
mod store;

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

pub use addresses::{block, check_address};
pub use bans::{Ban, NewBan, add, danger, get, list as bans, read as read_bans, remove};
pub use curve::{CAP, FREE, OFF, RESET, delay};
pub use network::Network;
pub use purge::{Ended, count_ended, delete_ended, oldest_ended};

use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::Result;
use crate::keys::Keys;
use crate::page::{self, Page};
use crate::rate;
use crate::scope::known;
use crate::secret::hex;
use crate::time::Timestamp;

/// Whose failures are counted: an account, however its owner calls it, a name that nobody has, or an
/// address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account(String);

impl Account {
    /// The account with this id.
    #[must_use]
    pub fn user(id: &str) -> Self {
        Self(format!("user:{id}"))
    }

    /// A name that nobody has, in the spelling by which it would be found if somebody had it.
    /// What people type there may be anything, a password too: only its MAC is kept.
    #[must_use]
    pub fn name(keys: &Keys, name: &str) -> Self {
        let mac = keys
            .throttle
            .sign(&[b"name\0", rate::canonical(name).as_bytes()]);
        let (half, _) = mac.split_at(16);
        Self(format!("name:{}", hex(half)))
    }

    /// The account whose key this is, if it is one.
    fn with_key(text: &str) -> Option<Self> {
        if let Some(Ok(ip)) = text.strip_prefix("ip:").map(str::parse) {
            return Some(Self::address(Some(ip)));
        }
        let ours = ["user:", "name:", "ip:"]
            .iter()
            .any(|sort| text.starts_with(sort));
        ours.then(|| Self(text.to_owned()))
    }

    /// The key: `user:<id>`, `name:<MAC>` or `ip:<address>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn user_id(&self) -> Option<&str> {
        self.0.strip_prefix("user:")
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a password may be tried now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Until when nobody may try; `None` if they may, or if it is off.
    pub delayed_until: Option<Timestamp>,
    /// Too many failures in a row: no password is good until somebody clears it.
    pub off: bool,
    /// Whether the network is one from which this account logged in of late.
    pub known: bool,
}

impl Standing {
    /// Whether a password shall be looked at: from a known network also while others wait.
    #[must_use]
    pub const fn may_try(&self) -> bool {
        !self.off && (self.known || self.delayed_until.is_none())
    }
}

/// How `account` stands for who comes from `ip`. One statement.
///
/// # Errors
/// Those of the database.
pub fn standing(cx: &mut Cx<'_, '_>, account: &Account, ip: Option<IpAddr>) -> Result<Standing> {
    let network = ip.map(|ip| mac(&cx.kit.keys, account, ip));
    let facts = store::standing(cx.tx, account, network)?;
    let row = facts.failures.unwrap_or_default();
    let off = row.count >= OFF;
    Ok(Standing {
        delayed_until: Some(row.delayed_until).filter(|until| !off && *until > cx.now),
        off,
        known: facts
            .known_at
            .is_some_and(|at| at > cx.now.minus(curve::KNOWN)),
    })
}

/// The same, and nobody else's attempt at the account is judged before this transaction has ended:
/// for who counts a failure by it. Of attempts that began together only as many are looked at as
/// of attempts one after the other.
///
/// # Errors
/// Those of the database.
pub fn judge(cx: &mut Cx<'_, '_>, account: &Account, ip: Option<IpAddr>) -> Result<Standing> {
    cx.tx.lock(("login", account.as_str()))?;
    standing(cx, account, ip)
}

/// What is stored of a network: it is of no use for another account.
fn mac(keys: &Keys, account: &Account, ip: IpAddr) -> [u8; 32] {
    let network = rate::network(ip).to_string();
    keys.throttle.sign(&[
        b"network\0",
        account.as_str().as_bytes(),
        b"\0",
        network.as_bytes(),
    ])
}

/// Counts a failure, and sets until when the next one has to wait: one guarded statement, so that
/// many at once are all counted.
///
/// # Errors
/// Those of the database.
pub fn failed(cx: &mut Cx<'_, '_>, account: &Account) -> Result<()> {
    let failures = store::fail(cx.tx, account, cx.now)?;
    if failures == OFF {
        let event = Event::new("limit.reached", account.as_str());
        let details = serde_json::json!({ "failures": failures });
        audit::record(cx, event.with(details))?;
    }
    Ok(())
}

/// Remembers the network of `ip`, and forgets the failures: unless the account is delayed, which
/// then is because of somebody else, who must not get free tries by it (security.md, rule 49).
///
/// # Errors
/// Those of the database.
pub fn succeeded(cx: &mut Cx<'_, '_>, account: &Account, ip: Option<IpAddr>) -> Result<()> {
    store::forget_unless_delayed(cx.tx, account, cx.now)?;
    if let Some(ip) = ip {
        let network = mac(&cx.kit.keys, account, ip);
        store::know(cx.tx, account, network, cx.now)?;
    }
    Ok(())
}

/// Forgets the failures of `account`, whoever asks: its password was just set anew, or somebody who
/// may said so. Returns whether there were any.
///
/// # Errors
/// Those of the database.
pub fn clear(cx: &mut Cx<'_, '_>, account: &Account) -> Result<bool> {
    let cleared = store::forget(cx.tx, account)?;
    if cleared {
        audit::record(cx, Event::new("limit.cleared", account.as_str()))?;
    }
    Ok(cleared)
}

/// Forgets the failures and the networks of somebody who is being erased.
///
/// # Errors
/// Those of the database.
pub fn forget(cx: &mut Cx<'_, '_>, account: &Account) -> Result<()> {
    store::forget(cx.tx, account)?;
    store::forget_networks(cx.tx, account).map(drop)
}

/// An account, a name that nobody has, or an address, whose logins are not looked at now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Limit {
    /// The key: `user:` and an id, `name:` and a code that stands for a name nobody has, or `ip:` and
    /// an address.
    #[schema(example = "user:0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")]
    pub account: String,
    /// The user name, if it is an account's.
    #[schema(example = "ivan")]
    pub user: Option<String>,
    /// Whether it ends by itself.
    pub state: State,
    /// Failures, one after the other; of an address, the names under which logins failed, at most 99.
    pub failures: u32,
    /// When the last one was.
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Timestamp,
    /// When the delay ends; null for what is off.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
}

/// What is the matter with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LimitState)]
pub enum State {
    /// It has to wait.
    Delayed,
    /// No password is good until somebody clears it.
    Off,
    /// From the address logins failed under too many names: nobody may log in from there.
    Blocked,
}

/// What the edges know and this slice, which stands below users, does not: the id of the user whom
/// a text names, or the name of the user who has an id.
pub type Users = fn(&mut Cx<'_, '_>, &str) -> Result<Option<String>>;

/// Who is off, blocked or delayed now: first who is off, then who waits for longest.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden) without `limit:read`; [`Error::Invalid`](crate::error::Error::Invalid) for a cursor that is none.
pub fn list(
    cx: &mut Cx<'_, '_>,
    name: Users,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Limit>> {
    cx.actor.require(known::LIMIT_READ)?;
    let below = match cursor {
        Some(cursor) => page::place(cursor, '.')?,
        None => (Timestamp(i64::MAX), store::LAST),
    };
    let rows = store::page(cx.tx, below, limit.saturating_add(1), cx.now)?;
    let page = Page::cut(rows, limit, |(account, row)| {
        format!("{}.{account}", row.delayed_until.0)
    });
    let items = page.items.into_iter().map(|(account, row)| {
        let user = match account.user_id() {
            Some(id) => name(cx, id)?,
            None => None,
        };
        let off = row.count >= OFF;
        let state = match (off, account.is_address()) {
            (true, _) => State::Off,
            (false, true) => State::Blocked,
            (false, false) => State::Delayed,
        };
        Ok(Limit {
            account: account.0,
            user,
            state,
            failures: row.count,
            last_at: row.last_at,
            ends_at: Some(row.delayed_until).filter(|_| !off),
        })
    });
    Ok(Page {
        items: items.collect::<Result<_>>()?,
        next: page.next,
    })
}

/// Forgets the failures of the account that `text` names: by its key, as its owner calls it, or by
/// the address. Anything else is a name that nobody has. Returns whether there were any.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden) without `limit:write`; [`Error::Ambiguous`](crate::error::Error::Ambiguous).
pub fn lift(cx: &mut Cx<'_, '_>, id: Users, text: &str) -> Result<bool> {
    cx.actor.require(known::LIMIT_WRITE)?;
    let account = match Account::with_key(text) {
        Some(account) => account,
        None => match id(cx, text)? {
            Some(id) => Account::user(&id),
            None => match text.parse() {
                Ok(ip) => Account::address(Some(ip)),
                Err(_) => Account::name(&cx.kit.keys, text),
            },
        },
    };
    clear(cx, &account)
}

/// How many are off or delayed now.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden) without `limit:read`.
pub fn count(cx: &mut Cx<'_, '_>) -> Result<u64> {
    cx.actor.require(known::LIMIT_READ)?;
    store::count(cx.tx, cx.now)
}

/// Forgets the failures of at most `most` of those who are off or delayed now; returns how many
/// these were. Less than `most` means that nobody is left.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden) without `limit:write`.
pub fn lift_some(cx: &mut Cx<'_, '_>, most: u32) -> Result<u64> {
    cx.actor.require(known::LIMIT_WRITE)?;
    let below = (Timestamp(i64::MAX), store::LAST);
    let rows = store::page(cx.tx, below, most, cx.now)?;
    let mut lifted = 0;
    for (account, _) in rows {
        lifted += u64::from(clear(cx, &account)?);
    }
    Ok(lifted)
}

#[cfg(test)]
mod tests;
