//! Counts connections, in all and by address; asked only when one begins or ends.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use super::server::Limits;

/// How many may come in.
pub(super) struct Gate {
    most: usize,
    most_per_ip: usize,
    trusted: Vec<IpNet>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    /// Bounded by `all`: an address without a connection has no entry.
    by_ip: HashMap<IpAddr, usize>,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.connections,
            most_per_ip: limits.connections_per_ip,
            trusted: limits.trusted.clone(),
            counts: Mutex::default(),
        }
    }

    /// What connections of this address are counted under.
    fn key(&self, ip: Option<IpAddr>) -> Option<IpAddr> {
        let ip = ip.filter(|ip| !self.trusted.iter().any(|net| net.contains(ip)))?;
        Some(match ip {
            IpAddr::V4(_) => ip,
            // A /64 is what one customer gets.
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        })
    }

    /// The right to one connection, unless there are too many.
    pub(super) fn enter(self: &Arc<Self>, ip: Option<IpAddr>) -> Option<Ticket> {
        let key = self.key(ip);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= self.most {
            return None;
        }
        if let Some(key) = key {
            let count = counts.by_ip.get(&key).copied().unwrap_or_default();
            if count >= self.most_per_ip {
                return None;
            }
            counts.by_ip.insert(key, count.saturating_add(1));
        }
        counts.all = counts.all.saturating_add(1);
        Some(Ticket {
            gate: Arc::clone(self),
            key,
        })
    }

    fn leave(&self, key: Option<IpAddr>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        let Some(key) = key else { return };
        if let Some(count) = counts.by_ip.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_ip.remove(&key);
            }
        }
    }
}

/// The right to one connection, given back on drop.
pub(super) struct Ticket {
    gate: Arc<Gate>,
    key: Option<IpAddr>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.leave(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(trusted: &str) -> Arc<Gate> {
        Arc::new(Gate::new(&Limits {
            connections: 4,
            connections_per_ip: 2,
            trusted: vec![trusted.parse().unwrap()],
            ..Limits::default()
        }))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let gate = gate("10.0.0.0/8");
        let _one = gate.enter(Some(ip("2001:db8::1"))).unwrap();
        let two = gate.enter(Some(ip("2001:db8::ffff:2"))).unwrap();
        assert!(gate.enter(Some(ip("2001:db8::3"))).is_none());
        let _other = gate.enter(Some(ip("2001:db8:0:1::1"))).unwrap();
        drop(two);
        assert!(gate.enter(Some(ip("2001:db8::3"))).is_some());
    }

    #[test]
    fn proxies_and_unix_sockets_count_only_in_all() {
        let gate = gate("10.0.0.0/8");
        let one = || gate.enter(Some(ip("10.1.2.3")));
        let tickets = [one(), one(), one(), gate.enter(None)];
        assert!(tickets.iter().all(Option::is_some));
        assert!(one().is_none());
        drop(tickets);
        assert!(gate.counts.lock().unwrap().by_ip.is_empty());
        assert_eq!(gate.counts.lock().unwrap().all, 0);
    }
}
