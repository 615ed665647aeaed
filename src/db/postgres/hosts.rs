//! The hosts of a URL, each with settings of its own: the library tries them in turn, but it waits
//! without end for one that accepts a connection and then says nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};

use crate::error::{Error, Result};

/// One host or several, of which one takes writes.
#[derive(Debug)]
pub(super) struct Hosts {
    each: Vec<Config>,
    /// The one that took writes the last time: the others need not be waited for first.
    first: AtomicUsize,
}

impl Hosts {
    /// The hosts that `all` names.
    ///
    /// # Errors
    /// [`Error::Config`] for lists of different lengths.
    pub(super) fn of(all: &Config) -> Result<Self> {
        let (names, addresses) = (all.get_hosts().len(), all.get_hostaddrs().len());
        let many = names.max(addresses);
        if names.min(addresses) > 0 && names != addresses {
            return Err(Error::Config(format!(
                "db names {names} hosts and {addresses} addresses"
            )));
        }
        let ports = all.get_ports().len();
        if ports > 1 && ports != many {
            return Err(Error::Config(format!(
                "db names {many} hosts and {ports} ports"
            )));
        }
        let first = if all.get_load_balance_hosts() == LoadBalanceHosts::Random {
            usize::from(random())
        } else {
            0
        };
        Ok(Self {
            each: (0..many).map(|place| one(all, place)).collect(),
            first: AtomicUsize::new(first.checked_rem(many).unwrap_or(0)),
        })
    }

    /// The same hosts, whether they take writes or not.
    pub(super) fn of_another(&self) -> Self {
        let any = |host: &Config| {
            let mut host = host.clone();
            host.target_session_attrs(TargetSessionAttrs::Any);
            host
        };
        Self {
            each: self.each.iter().map(any).collect(),
            first: AtomicUsize::new(self.first.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.each.len()
    }

    /// Each of them once, with its number, in the order in which to try them.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = (usize, &Config)> {
        let first = self.first.load(Ordering::Relaxed);
        let all = self.each.iter().enumerate().cycle();
        all.skip(first).take(self.each.len())
    }

    /// Notes that this one takes writes.
    pub(super) fn prefer(&self, place: usize) {
        self.first.store(place, Ordering::Relaxed);
    }

    /// All of them, for people.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.each.iter().map(name).collect();
        names.join(", ")
    }
}

/// What the one host of `config` is called.
pub(super) fn name(config: &Config) -> String {
    let port = config.get_ports().first().unwrap_or(&5432);
    match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
        (Some(Host::Unix(folder)), _) => format!("{} (port {port})", folder.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => String::new(),
    }
}

/// The settings of `all`, with one of its hosts.
fn one(all: &Config, place: usize) -> Config {
    let mut one = Config::new();
    match all.get_hosts().get(place) {
        Some(Host::Tcp(name)) => drop(one.host(name)),
        Some(Host::Unix(folder)) => drop(one.host_path(folder)),
        None => {}
    }
    if let Some(address) = all.get_hostaddrs().get(place) {
        one.hostaddr(*address);
    }
    let ports = all.get_ports();
    if let Some(port) = ports.get(place).or(ports.first()) {
        one.port(*port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(name) = all.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    if let Some(time) = all.get_connect_timeout() {
        one.connect_timeout(*time);
    }
    if let Some(time) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(*time);
    }
    if let Some(time) = all.get_keepalives_interval() {
        one.keepalives_interval(time);
    }
    if let Some(times) = all.get_keepalives_retries() {
        one.keepalives_retries(times);
    }
    one.keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .target_session_attrs(all.get_target_session_attrs())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .load_balance_hosts(all.get_load_balance_hosts());
    one
}

fn random() -> u8 {
    let mut byte = [0];
    let _none = getrandom::fill(&mut byte);
    let [byte] = byte;
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Result<Hosts> {
        Hosts::of(&url.parse().unwrap())
    }

    #[test]
    fn each_host_has_all_that_the_url_says_and_its_own_port() {
        let url = "postgres://app:hunter2@a:1,%2Frun,c:3/db?options=-cx%3Dy&connect_timeout=2\
            &tcp_user_timeout=3&keepalives=0&keepalives_idle=4&keepalives_interval=5\
            &keepalives_retries=6&application_name=us&sslmode=require&channel_binding=disable\
            &target_session_attrs=read-write&load_balance_hosts=random";
        let found = hosts(url).unwrap();
        for (config, own) in found.each.iter().zip(["a:1", "%2Frun", "c:3"]) {
            let alone: Config = url.replace("a:1,%2Frun,c:3", own).parse().unwrap();
            assert_eq!(*config, alone, "{own}");
        }
        assert_eq!(found.names(), "a:1, /run (port 5432), c:3");
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        for url in [
            "postgres://a,b/db?hostaddr=127.0.0.1",
            "postgres://a,b,c/db?port=1,2",
        ] {
            let Err(Error::Config(_)) = hosts(url) else {
                panic!("{url}");
            };
        }
    }

    #[test]
    fn the_one_that_took_writes_is_tried_first_and_each_once() {
        let hosts = hosts("postgres://a,b,c/db").unwrap();
        let order = || -> Vec<usize> { hosts.in_turn().map(|(place, _)| place).collect() };
        assert_eq!(order(), [0, 1, 2]);
        hosts.prefer(2);
        assert_eq!(order(), [2, 0, 1]);
    }
}
