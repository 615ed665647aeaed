//! Addresses from which logins failed under too many names (security.md, rule 51): a block is a row
//! beside the delays of accounts, so that every daemon knows of it and an operator can end it.

use std::net::IpAddr;

use serde_json::json;

use super::{Account, OFF, store};
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::rate::{self, Sprayed};

impl Account {
    /// The address, as limits see it; those who come by a Unix socket without one are one.
    #[must_use]
    pub fn address(ip: Option<IpAddr>) -> Self {
        let network = ip.map(rate::network);
        Self(network.map_or("ip:unix".into(), |network| format!("ip:{network}")))
    }

    /// Whether it stands for an address.
    pub(super) fn is_address(&self) -> bool {
        self.0.starts_with("ip:")
    }
}

/// Refuses an address that is blocked. One statement.
///
/// # Errors
/// [`Error::RateLimited`] until the block is over; those of the database.
pub fn check_address(cx: &mut Cx<'_, '_>, ip: Option<IpAddr>) -> Result<()> {
    let until = store::delayed_until(cx.tx, &Account::address(ip))?;
    match until.filter(|until| *until > cx.now) {
        Some(until) => Err(Error::RateLimited {
            retry_after: until.since(cx.now),
        }),
        None => Ok(()),
    }
}

/// Blocks an address.
///
/// # Errors
/// Those of the database.
pub fn block(cx: &mut Cx<'_, '_>, ip: Option<IpAddr>, sprayed: Sprayed) -> Result<()> {
    let address = Account::address(ip);
    // So many as an account that is off has would never be purged.
    let names = u32::try_from(sprayed.names).unwrap_or(OFF).min(OFF - 1);
    let until = cx.now.plus(sprayed.block);
    store::block(cx.tx, &address, names, cx.now, until)?;
    let details = json!({ "names": sprayed.names, "until": until });
    let event = Event::new("limit.reached", address.as_str());
    audit::record(cx, event.with(details))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::{Actor, App};
    use crate::throttle::{State, clear, lift, list, purge};
    use crate::time::Timestamp;
    use crate::users;

    const START: Timestamp = Timestamp(1_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn at<T: Send + 'static>(
        app: &App,
        after: Duration,
        f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        app.at(START.plus(after), &Actor::operator(), f)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn blocked(app: &App, from: &str, after: Duration) -> Option<Duration> {
        let ip = ip(from);
        match at(app, after, move |cx| check_address(cx, ip)) {
            Err(Error::RateLimited { retry_after }) => Some(retry_after),
            other => {
                other.unwrap();
                None
            }
        }
    }

    fn block_for(app: &App, from: &str, names: usize, block: Duration) {
        let (ip, sprayed) = (ip(from), Sprayed { names, block });
        at(app, Duration::ZERO, move |cx| super::block(cx, ip, sprayed)).unwrap();
    }

    #[test]
    fn a_block_holds_for_its_network_until_it_is_over() {
        let app = App::memory();
        let hour = Duration::from_hours(1);
        block_for(&app, "2001:db8:1:2:3::4", 16, hour);
        assert_eq!(blocked(&app, "2001:db8:1:2:9::9", hour / 2), Some(hour / 2));
        assert_eq!(blocked(&app, "2001:db8:1:3::4", hour / 2), None);
        assert_eq!(blocked(&app, "2001:db8:1:2:3::4", hour), None);
        assert!(at(&app, Duration::ZERO, |cx| check_address(cx, None)).is_ok());
    }

    #[test]
    fn a_block_is_listed_and_cleared_as_it_is_typed() {
        let app = App::memory();
        let listed = |app: &App| {
            let page = at(app, DAY, |cx| list(cx, users::name_of, None, 10));
            page.unwrap().items
        };
        for given in ["203.0.113.7", "ip:203.0.113.7", "::ffff:203.0.113.7"] {
            block_for(&app, "203.0.113.7", 2000, DAY * 2);
            let [limit] = &listed(&app)[..] else {
                panic!("one block");
            };
            assert_eq!(limit.account, "ip:203.0.113.7");
            assert_eq!((limit.state, limit.failures), (State::Blocked, 99));
            assert_eq!(limit.ends_at, Some(START.plus(DAY * 2)));
            let given = given.to_owned();
            let found = at(&app, DAY, move |cx| lift(cx, users::id_of, &given));
            assert!(found.unwrap());
            assert!(listed(&app).is_empty());
            assert_eq!(blocked(&app, "203.0.113.7", DAY), None);
        }
    }

    #[test]
    fn a_block_that_lasts_longer_than_failures_are_remembered_is_not_purged() {
        let app = App::memory();
        block_for(&app, "203.0.113.7", 1000, DAY * 20);
        let purged = |after: Duration| {
            at(&app, after, move |cx| {
                purge::delete_ended(cx.tx, purge::Ended::Failures, cx.now, 9)
            })
        };
        assert_eq!(purged(DAY * 19).unwrap(), 0);
        assert_eq!(purged(DAY * 21).unwrap(), 1);
        let gone = at(&app, DAY, |cx| {
            clear(cx, &Account::address(ip("203.0.113.7")))
        });
        assert!(!gone.unwrap());
    }
}
