//! The banned networks as the daemon knows them: the one copy of database rows that is kept in
//! memory. Every request is held against it, and asking the database each time would cost more than
//! most requests do; it is read again every second, off their path.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use ipnet::IpNet;

use crate::time::Timestamp;

/// The networks that are not answered.
#[derive(Debug, Default)]
pub struct Bans {
    any: AtomicBool,
    networks: RwLock<Networks>,
}

#[derive(Debug, Default)]
struct Networks {
    /// Until when; for ever, if there is no instant.
    until: HashMap<IpNet, Option<Timestamp>>,
    /// The lengths of their prefixes, each once: an address is looked up once for each.
    lengths: Vec<u8>,
}

impl Bans {
    /// Puts `networks` in place of those that were known. Each has no bit set behind its prefix.
    pub fn set(&self, networks: Vec<(IpNet, Option<Timestamp>)>) {
        let mut lengths: Vec<u8> = networks.iter().map(|(net, _)| net.prefix_len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let networks = Networks {
            until: networks.into_iter().collect(),
            lengths,
        };
        let any = !networks.until.is_empty();
        *self
            .networks
            .write()
            .unwrap_or_else(PoisonError::into_inner) = networks;
        self.any.store(any, Ordering::Release);
    }

    /// Whether `ip` is banned at the instant that `now` tells.
    pub fn hold(&self, ip: IpAddr, now: impl FnOnce() -> Timestamp) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let (ip, now) = (ip.to_canonical(), now());
        let networks = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        networks.lengths.iter().any(|length| {
            let network = IpNet::new(ip, *length).map(|network| network.trunc());
            let until = network
                .ok()
                .and_then(|network| networks.until.get(&network));
            until.is_some_and(|until| until.is_none_or(|until| until > now))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(bans: &Bans, ip: &str, now: i64) -> bool {
        bans.hold(ip.parse().unwrap(), || Timestamp(now))
    }

    #[test]
    fn an_address_is_banned_by_any_network_that_holds_it_until_that_ends() {
        let bans = Bans::default();
        assert!(!holds(&bans, "203.0.113.7", 0));
        let network = |text: &str| text.parse::<IpNet>().unwrap();
        bans.set(vec![
            (network("203.0.113.0/24"), Some(Timestamp(1000))),
            (network("198.51.100.7/32"), None),
            (network("2001:db8::/32"), None),
        ]);
        for (ip, now, banned) in [
            ("203.0.113.7", 999, true),
            ("203.0.113.7", 1000, false),
            ("::ffff:203.0.113.7", 0, true),
            ("203.0.112.7", 0, false),
            ("198.51.100.7", i64::MAX, true),
            ("198.51.100.8", 0, false),
            ("2001:db8:ffff::1", 0, true),
            ("2001:db9::1", 0, false),
        ] {
            assert_eq!(holds(&bans, ip, now), banned, "{ip} at {now}");
        }
        bans.set(Vec::new());
        assert!(!holds(&bans, "198.51.100.7", 0));
    }
}
