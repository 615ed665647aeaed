//! Networks that are not answered.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Network, store};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::page::{self, Page};
use crate::reason;
use crate::scope::known;
use crate::time::{Lifetime, Period, Timestamp};

/// Each is read by every daemon once a second: more of them belong into a firewall.
const MOST: u64 = 10_000;

/// A network that is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Ban {
    /// Which.
    pub network: Network,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// A network to be banned.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBan {
    /// Which: in CIDR notation, or a single address.
    pub network: Network,
    /// For how long; until it is removed without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "7d")]
    pub ttl: Option<Lifetime>,
    /// Why, 1 to 200 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "guesses passwords")]
    pub reason: Option<String>,
    /// Ban it even if that may lock out everybody, or who asks for it.
    #[serde(default)]
    pub confirm: bool,
}

/// What banning `network` would do that its author may not have meant, to end "it holds". `own` is
/// the author's address, `proxies` those that are trusted.
#[must_use]
pub fn danger(network: Network, own: Option<IpAddr>, proxies: &[IpNet]) -> Option<&'static str> {
    let network = network.get();
    let loopback = ["127.0.0.0/8", "::1/128"].map(str::parse::<IpNet>);
    let mut loopback = loopback.into_iter().flatten();
    let meets = |other: IpNet| network.contains(&other) || other.contains(&network);
    let wide = match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 32,
    };
    if loopback.any(meets) {
        Some("this machine's own addresses")
    } else if wide {
        Some("a large part of the Internet")
    } else if proxies.iter().any(|proxy| network.contains(proxy)) {
        Some("a proxy that is trusted")
    } else if own.is_some_and(|ip| network.contains(&ip.to_canonical())) {
        Some("the address that this request comes from")
    } else {
        None
    }
}

/// Bans a network, or changes until when and why it is banned.
///
/// # Errors
/// [`Error::Forbidden`] without `limit:write`; [`Error::Invalid`] for a value against the rules, and
/// for a network that is dangerous to ban unless that is confirmed.
pub fn add(cx: &mut Cx<'_, '_>, new: &NewBan) -> Result<Ban> {
    cx.actor.require(known::LIMIT_WRITE)?;
    let proxies = &cx.kit.config.server.trusted_proxies;
    if let Some(what) = danger(new.network, cx.actor.ip, proxies).filter(|_| !new.confirm) {
        let reason = format!("holds {what}; to ban it all the same, confirm it");
        return Err(Error::invalid("network", reason));
    }
    reason::check(new.reason.as_deref())?;
    let expires_at = match new.ttl {
        Some(Lifetime::For(Period(Duration::ZERO))) => {
            return Err(Error::invalid("ttl", "must be longer than nothing"));
        }
        Some(Lifetime::For(period)) => Some(cx.now.plus(period.0)),
        Some(Lifetime::Never) | None => None,
    };
    if store::ban(cx.tx, new.network, cx.now)?.is_none() && store::count_bans(cx.tx)? >= MOST {
        let reason = format!("is one too many: there are {MOST} bans already");
        return Err(Error::invalid("network", reason));
    }
    let ban = Ban {
        network: new.network,
        reason: new.reason.clone(),
        created_at: cx.now,
        expires_at,
    };
    store::put_ban(cx.tx, &ban)?;
    let details = json!({ "expires_at": ban.expires_at, "reason": ban.reason });
    audit::record(
        cx,
        Event::new("ban.added", object(ban.network)).with(details),
    )?;
    Ok(ban)
}

fn object(network: Network) -> String {
    format!("network:{network}")
}

/// The ban of exactly this network.
///
/// # Errors
/// [`Error::Forbidden`] without `limit:read`; [`Error::NotFound`], also for one that expired.
pub fn get(cx: &mut Cx<'_, '_>, network: Network) -> Result<Ban> {
    cx.actor.require(known::LIMIT_READ)?;
    find(cx, network)
}

fn find(cx: &mut Cx<'_, '_>, network: Network) -> Result<Ban> {
    let ban = store::ban(cx.tx, network, cx.now)?;
    ban.ok_or_else(|| Error::NotFound {
        noun: "ban",
        // An address with colons is no token.
        given: network.to_string(),
    })
}

/// The bans that hold, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] without `limit:read`; [`Error::Invalid`] for a cursor that is none.
pub fn list(cx: &mut Cx<'_, '_>, cursor: Option<&str>, limit: u32) -> Result<Page<Ban>> {
    cx.actor.require(known::LIMIT_READ)?;
    let before = match cursor {
        Some(cursor) => page::place(cursor, '-')?,
        None => (Timestamp(i64::MAX), store::LAST),
    };
    let bans = store::bans(cx.tx, before, limit.saturating_add(1), cx.now)?;
    Ok(Page::cut(bans, limit, |ban| {
        format!("{}-{}", ban.created_at.0, ban.network)
    }))
}

/// Ends the ban of exactly this network, if `still` has nothing against it as it is.
///
/// # Errors
/// [`Error::Forbidden`] without `limit:write`; [`Error::NotFound`], also for one that expired; what
/// `still` returns.
pub fn remove(
    cx: &mut Cx<'_, '_>,
    network: Network,
    still: impl FnOnce(&Ban) -> Result<()>,
) -> Result<Ban> {
    cx.actor.require(known::LIMIT_WRITE)?;
    cx.tx.lock(("ban", &network.to_string()))?;
    let ban = find(cx, network)?;
    still(&ban)?;
    if store::remove_ban(cx.tx, network, cx.now)? {
        audit::record(cx, Event::new("ban.removed", object(network)))?;
    }
    Ok(ban)
}

/// Reads the bans that hold into the daemon's memory; returns how many there are.
///
/// # Errors
/// Those of the database; then those that were known stay.
pub fn read(app: &App, actor: &Actor) -> Result<usize> {
    let bans = app.read(actor, |cx| store::every_ban(cx.tx, cx.now))?;
    let count = bans.len();
    app.kit().bans.set(bans);
    Ok(count)
}
