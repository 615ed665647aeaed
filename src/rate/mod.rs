//! Limits that hold in this process and may be forgotten at a restart, and the banned networks.
//!
//! Invariants: the clock is monotonic, memory is bounded, a refusal says honestly when to come back
//! (security.md, rule 53; RFC 6585 §4). An address stands for its network: see [`network`].

mod bans;
mod buckets;
mod memory;
mod spray;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use unicode_normalization::UnicodeNormalization as _;

pub use bans::Bans;
pub use buckets::{Buckets, Policy, Quota};
pub use spray::Sprayed;

use crate::error::Result;
use spray::{Rule, Spray};

/// More keys than this are not remembered.
const KEYS: usize = if cfg!(test) { 1_600 } else { 100_000 };

/// An address as limits see it: one IPv4 address, or the /64 that one IPv6 customer has.
#[must_use]
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The longest name that is told apart from others, in characters: no name that is one is longer.
const NAME: usize = 256;

/// A name as limits see it: without blanks around it, without regard to case and to ways of writing
/// the same letter (security.md, rule 50). Whatever is too long to be one is the same: a part of it
/// could be somebody's.
#[must_use]
pub fn canonical(name: &str) -> String {
    let name = name.trim();
    if name.chars().nth(NAME).is_some() {
        return String::new();
    }
    // Lower-casing can undo the normalisation (İ becomes i and a combining dot): once more.
    let folded = name.nfkc().collect::<String>();
    folded.trim().to_lowercase().nfkc().collect()
}

/// The limits of the daemon.
#[derive(Debug)]
pub struct Rates {
    /// Tokens issued without a credential, by address.
    pub issue: Buckets<IpAddr>,
    /// Requests of a program or of a person, by the token or the session.
    pub api: Buckets<u64>,
    /// Attempts to log in, by address.
    pub login: Buckets<IpAddr>,
    /// Registrations, by address.
    pub register: Buckets<IpAddr>,
    /// Requests for a new password or another mail, by address.
    pub reset: Buckets<IpAddr>,
    /// The same, by the mail address or phone number that they would reach.
    pub address: Buckets<u64>,
    /// Refreshes, by session.
    pub refresh: Buckets<u64>,
    spray: Spray,
    hasher: RandomState,
}

impl Rates {
    /// The limits that the settings ask for.
    #[must_use]
    pub fn new(settings: &crate::config::Throttle) -> Self {
        let per_second = Quota::per_second;
        let login = Quota::per_minute(settings.login_per_minute, settings.login_burst);
        let refresh = settings.refresh_per_minute;
        Self {
            issue: Buckets::new(
                "issue",
                per_second(settings.issue_per_second, settings.issue_burst),
            ),
            api: Buckets::new(
                "api",
                per_second(settings.api_per_second, settings.api_burst),
            ),
            login: Buckets::new("login", login),
            register: Buckets::new("register", Quota::per_hour(settings.register_per_hour)),
            reset: Buckets::new("reset", Quota::per_hour(settings.reset_per_hour)),
            address: Buckets::new("address", Quota::per_hour(settings.address_per_hour)),
            refresh: Buckets::new("refresh", Quota::per_minute(refresh, refresh)),
            spray: Spray::new(Rule {
                names: settings.spray_names,
                window: settings.spray_window.0,
                block: settings.spray_block.0,
            }),
            hasher: RandomState::new(),
        }
    }

    /// Takes one token's issue from the bucket of `ip`.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_issue(&self, ip: Option<IpAddr>) -> Result<Option<u32>> {
        self.issue.take(&key(ip))
    }

    /// Takes one attempt to log in from the bucket of `ip`.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_login(&self, ip: Option<IpAddr>) -> Result<Option<u32>> {
        self.login.take(&key(ip))
    }

    /// Takes one registration from the bucket of `ip`.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_register(&self, ip: Option<IpAddr>) -> Result<Option<u32>> {
        self.register.take(&key(ip))
    }

    /// Takes one request for a new password from the bucket of `ip`.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_reset(&self, ip: Option<IpAddr>) -> Result<Option<u32>> {
        self.reset.take(&key(ip))
    }

    /// Takes one message to `address`, a mail address or a phone number in the spelling by which it
    /// is found.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_address(&self, address: &str) -> Result<Option<u32>> {
        self.address.take(&self.hash(&canonical(address)))
    }

    /// Takes one request with the API token of this id.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_token(&self, token: i64) -> Result<Option<u32>> {
        self.api.take(&self.hasher.hash_one(token))
    }

    /// Takes one request with the session.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_session(&self, session: &str) -> Result<Option<u32>> {
        self.api.take(&self.hash(session))
    }

    /// Takes one refresh of the session.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited).
    pub fn take_refresh(&self, session: &str) -> Result<Option<u32>> {
        self.refresh.take(&self.hash(session))
    }

    /// Notes that a login failed from `ip` under `name`, in the spelling by which it is found, whether
    /// anybody has it or not. Says so if it was one too many: the address is to be blocked.
    pub fn sprayed(&self, ip: Option<IpAddr>, name: &str) -> Option<Sprayed> {
        self.spray.note(key(ip), self.hash(&canonical(name)))
    }

    /// What is remembered of a text: it says nothing to who reads this process's memory.
    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }
}

/// The network of `ip`; those who come by a Unix socket without an address are one.
fn key(ip: Option<IpAddr>) -> IpAddr {
    ip.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), network)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    #[test]
    fn an_ipv6_customer_has_one_bucket_and_mapped_ipv4_is_ipv4() {
        let one: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let two: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        assert_eq!(network(one), network(two));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn names_that_read_the_same_are_the_same() {
        for same in [" Maria ", "ＭＡＲＩＡ", "maria", "\u{a0}maria\t"] {
            assert_eq!(canonical(same), "maria", "{same:?}");
        }
        assert_eq!(canonical("E\u{301}A"), canonical("éa"));
        assert_eq!(canonical("℡"), "tel");
        assert_ne!(canonical("maria"), canonical("mario"));
        assert_eq!(canonical(&"x".repeat(NAME)).len(), NAME);
        let padded = format!("maria{}x", " ".repeat(NAME));
        assert_eq!(canonical(&padded), "", "not the part that is a name");
    }

    #[test]
    fn the_limits_are_those_of_the_design_unless_it_is_said_otherwise() {
        let app = App::memory();
        let rates = &app.kit().rates;
        let told = [
            rates.issue.policy(),
            rates.api.policy(),
            rates.login.policy(),
            rates.register.policy(),
            rates.reset.policy(),
            rates.address.policy(),
            rates.refresh.policy(),
        ];
        let told = told.map(|policy| {
            let Policy {
                name,
                burst,
                window,
            } = policy.unwrap();
            format!("{name} {burst} in {window} s")
        });
        let rule_51 = [
            "issue 500 in 10 s",
            "api 400 in 2 s",
            "login 10 in 60 s",
            "register 20 in 3600 s",
            "reset 20 in 3600 s",
            "address 5 in 3600 s",
            "refresh 30 in 60 s",
        ];
        assert_eq!(told, rule_51);
    }

    #[test]
    fn each_limit_has_buckets_of_its_own() {
        let app = App::memory();
        let rates = &app.kit().rates;
        let ip = Some(IpAddr::from([192, 0, 2, 1]));
        while rates.take_login(ip).is_ok() {}
        assert!(rates.take_register(ip).is_ok() && rates.take_reset(ip).is_ok());
        assert!(rates.take_login(None).is_ok());
        while rates.take_address("Ivan@example.org").is_ok() {}
        assert!(rates.take_address(" IVAN@example.org").is_err());
        assert!(rates.take_address("anna@example.org").is_ok());
        while rates.take_refresh("one").is_ok() {}
        assert!(rates.take_refresh("two").is_ok());
        while rates.take_token(1).is_ok() {}
        assert!(rates.take_token(2).is_ok() && rates.take_session("1").is_ok());
        while rates.take_session("one").is_ok() {}
        assert!(rates.take_session("two").is_ok());
        for name in 0..15 {
            assert_eq!(rates.sprayed(ip, &format!("name{name}")), None);
            assert_eq!(rates.sprayed(ip, &format!("NAME{name} ")), None);
            assert_eq!(rates.sprayed(None, &format!("name{name}")), None);
        }
        assert!(rates.sprayed(ip, "name15").is_some());
    }
}
