use std::time::Duration;

use super::*;
use crate::app::{Actor, App};
use crate::error::Error;
use crate::purge;
use crate::time::{Lifetime, Period};
use crate::users::{self, NewUser};

const START: Timestamp = Timestamp(1_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a request without a credential does at `now`.
fn at<T: Send + 'static>(
    app: &App,
    now: Timestamp,
    f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> T {
    app.at(now, &Actor::anonymous(), f).unwrap()
}

fn fail(app: &App, account: &Account, now: Timestamp) {
    let account = account.clone();
    at(app, now, move |cx| failed(cx, &account));
}

fn succeed(app: &App, account: &Account, from: &str, now: Timestamp) {
    let (account, ip) = (account.clone(), Some(ip(from)));
    at(app, now, move |cx| succeeded(cx, &account, ip));
}

fn stand(app: &App, account: &Account, from: &str, now: Timestamp) -> Standing {
    let (account, ip) = (account.clone(), Some(ip(from)));
    at(app, now, move |cx| standing(cx, &account, ip))
}

/// Fails as often, each time when it may be tried again; returns when the last one was.
fn fail_patiently(app: &App, account: &Account, times: u32, start: Timestamp) -> Timestamp {
    let mut now = start;
    for _ in 0..times {
        let standing = stand(app, account, "192.0.2.99", now);
        now = standing.delayed_until.unwrap_or(now);
        fail(app, account, now);
    }
    now
}

fn limits(app: &App, now: Timestamp) -> Vec<Limit> {
    let listed = app.at(now, &Actor::operator(), |cx| {
        list(cx, users::name_of, None, 100)
    });
    listed.unwrap().items
}

fn names(app: &App, name: &str) -> Account {
    Account::name(&app.kit().keys, name)
}

/// A known user's account, and a name that nobody has.
fn both(app: &App) -> [Account; 2] {
    [Account::user("0198f3c2"), names(app, "nobody")]
}

#[test]
fn the_curve_is_five_free_then_doubling_to_fifteen_minutes_value_by_value() {
    let seconds = [
        0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900,
    ];
    for (failures, seconds) in seconds.into_iter().enumerate() {
        let failures = u32::try_from(failures).unwrap();
        assert_eq!(delay(failures), SECOND * seconds, "{failures}");
    }
    for failures in [70, 71, 72, 100, u32::MAX] {
        assert_eq!(delay(failures), CAP);
    }
    assert_eq!((FREE, OFF, RESET), (5, 100, DAY));
}

#[test]
fn the_database_follows_the_curve_for_accounts_and_for_names_that_nobody_has() {
    let app = App::memory();
    for account in both(&app) {
        let mut now = START;
        for failures in 1..OFF {
            fail(&app, &account, now);
            let told = stand(&app, &account, "192.0.2.1", now);
            let wait = delay(failures);
            let expected = Standing {
                delayed_until: Some(now.plus(wait)).filter(|_| wait > Duration::ZERO),
                off: false,
                known: false,
            };
            assert_eq!(told, expected, "{failures} of {account}");
            assert_eq!(told.may_try(), wait == Duration::ZERO);
            now = now.plus(wait);
            assert!(stand(&app, &account, "192.0.2.1", now).may_try());
        }
    }
}

#[test]
fn after_a_hundred_failures_in_a_row_no_password_is_good_until_somebody_clears_it() {
    let app = App::memory();
    for account in both(&app) {
        succeed(&app, &account, "192.0.2.1", START);
        let now = fail_patiently(&app, &account, OFF - 1, START);
        assert!(!stand(&app, &account, "192.0.2.1", now).off);
        let now = fail_patiently(&app, &account, 1, now);
        for later in [now, now.plus(CAP), now.plus(DAY * 365)] {
            let told = stand(&app, &account, "192.0.2.1", later);
            assert!(told.off && !told.may_try(), "{told:?}");
            assert_eq!(told.delayed_until, None);
        }
        // Neither a success, which cannot be by a password, nor a day without failures ends it.
        succeed(&app, &account, "192.0.2.1", now.plus(DAY * 2));
        fail(&app, &account, now.plus(DAY * 3));
        assert!(stand(&app, &account, "192.0.2.1", now.plus(DAY * 3)).off);
        let cleared = account.clone();
        assert!(at(&app, now, move |cx| clear(cx, &cleared)));
        let told = stand(&app, &account, "192.0.2.9", now);
        assert_eq!(told, Standing::default());
    }
    let reached = |action: &str| {
        let filter = audit::Filter {
            action: Some(action.into()),
            ..audit::Filter::default()
        };
        let entries = app.read(&Actor::operator(), |cx| audit::list(cx, &filter, None, 10));
        entries.unwrap().items.len()
    };
    assert_eq!((reached("limit.reached"), reached("limit.cleared")), (2, 2));
}

#[test]
fn a_day_without_failures_forgets_them_and_a_moment_less_does_not() {
    let app = App::memory();
    let account = Account::user("0198f3c2");
    let last = fail_patiently(&app, &account, 10, START);
    let day = last.plus(DAY);
    fail(&app, &account, Timestamp(day.0 - 1));
    let told = stand(&app, &account, "192.0.2.1", day);
    assert_eq!(
        told.delayed_until,
        Some(Timestamp(day.0 - 1).plus(delay(11)))
    );
    let day = day.plus(DAY);
    for _ in 0..FREE {
        fail(&app, &account, day);
        assert!(stand(&app, &account, "192.0.2.1", day).may_try());
    }
    fail(&app, &account, day);
    assert!(!stand(&app, &account, "192.0.2.1", day).may_try());
}

#[test]
fn a_success_forgets_the_failures_but_not_those_of_somebody_else_during_a_delay() {
    let app = App::memory();
    let account = Account::user("0198f3c2");
    let now = fail_patiently(&app, &account, 8, START);
    let free = now.plus(delay(8));
    succeed(&app, &account, "192.0.2.1", Timestamp(free.0 - 1));
    let other = stand(&app, &account, "198.51.100.1", Timestamp(free.0 - 1));
    assert_eq!(other.delayed_until, Some(free));
    succeed(&app, &account, "192.0.2.1", free);
    fail(&app, &account, free);
    let told = stand(&app, &account, "198.51.100.1", free);
    assert_eq!(told, Standing::default(), "it is the first again");
}

#[test]
fn from_a_network_of_its_own_an_account_is_not_kept_waiting_for_thirty_days() {
    let app = App::memory();
    let [account, other] = [Account::user("0198f3c2"), Account::user("0198f3c3")];
    succeed(&app, &account, "2001:db8:1:2::7", START);
    succeed(&app, &account, "192.0.2.1", START);
    let now = fail_patiently(&app, &account, 20, START);
    fail_patiently(&app, &other, 20, START);
    for (from, known) in [
        ("2001:db8:1:2:ffff::9", true),
        ("2001:db8:1:3::7", false),
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.2", false),
    ] {
        let told = stand(&app, &account, from, now);
        assert_eq!((told.known, told.may_try()), (known, known), "{from}");
        assert!(!stand(&app, &other, from, now).known, "of another account");
    }
    let nowhere = at(&app, now, {
        let account = account.clone();
        move |cx| standing(cx, &account, None)
    });
    assert!(!nowhere.known);
    let ends = START.plus(DAY * 30);
    assert!(stand(&app, &account, "192.0.2.1", Timestamp(ends.0 - 1)).known);
    assert!(!stand(&app, &account, "192.0.2.1", ends).known);
    succeed(&app, &account, "192.0.2.1", ends);
    assert!(stand(&app, &account, "192.0.2.1", ends.plus(DAY * 29)).known);
}

#[test]
fn a_name_is_the_same_however_it_is_typed_and_is_not_stored() {
    let app = App::memory();
    let name = names(&app, "maria");
    for same in [" Maria", "MARIA\n", "ｍａｒｉａ", "\u{3000}maria"] {
        assert_eq!(names(&app, same), name, "{same:?}");
    }
    assert_eq!(names(&app, "E\u{301}va"), names(&app, "éva"));
    assert_eq!(names(&app, "ﬁona"), names(&app, "FIONA"));
    assert_ne!(names(&app, "mario"), name);
    assert!(name.as_str().starts_with("name:") && name.as_str().len() == 37);
    assert!(!name.as_str().contains("maria"));
    assert_ne!(
        names(&App::memory(), "maria"),
        name,
        "of another installation"
    );
}

#[test]
fn the_list_shows_who_has_to_wait_now_and_who_is_off() {
    let app = App::memory();
    let new = NewUser::named("ivan".parse().unwrap());
    let ivan = users::create(&app, &Actor::operator(), new).unwrap();
    let account = Account::user(&ivan.id);
    let now = fail_patiently(&app, &account, 7, START);
    fail_patiently(&app, &names(&app, "typo"), 5, START);
    let mut off = START;
    while !stand(&app, &names(&app, "root"), "192.0.2.1", off).off {
        off = fail_patiently(&app, &names(&app, "root"), 1, off);
    }
    let listed = limits(&app, now);
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (listed[0].state, listed[0].failures, &listed[0].user),
        (State::Off, OFF, &None)
    );
    assert_eq!(listed[0].ends_at, None);
    let expected = Limit {
        account: account.to_string(),
        user: Some("ivan".into()),
        state: State::Delayed,
        failures: 7,
        last_at: now,
        ends_at: Some(now.plus(delay(7))),
    };
    assert_eq!(listed[1], expected);
    assert_eq!(limits(&app, now.plus(delay(7))).len(), 1);
    let page = |cursor: Option<String>| {
        let page = app.at(now, &Actor::operator(), move |cx| {
            list(cx, users::name_of, cursor.as_deref(), 1)
        });
        page.unwrap()
    };
    let first = page(None);
    let second = page(first.next);
    assert_eq!(
        [&first.items[0], &second.items[0]],
        [&listed[0], &listed[1]]
    );
    assert_eq!(second.next, None);
}

#[test]
fn failures_are_cleared_by_key_by_any_name_of_the_user_and_by_a_name_that_nobody_has() {
    let app = App::memory();
    let mut new = NewUser::named("ivan".parse().unwrap());
    new.email = Some("ivan@example.org".parse().unwrap());
    let ivan = users::create(&app, &Actor::operator(), new).unwrap();
    let account = Account::user(&ivan.id);
    let typo = names(&app, "typo@nowhere");
    let operator = Actor::operator();
    let try_lift = |who: &Actor, text: &str| {
        let text = text.to_owned();
        app.at(START, who, move |cx| lift(cx, users::id_of, &text))
    };
    for name in ["ivan", "IVAN@example.org", &ivan.id, account.as_str()] {
        fail_patiently(&app, &account, 6, START);
        assert!(try_lift(&operator, name).unwrap(), "{name}");
        assert_eq!(limits(&app, START).len(), 0);
        assert!(!try_lift(&operator, name).unwrap());
    }
    for name in ["Typo@nowhere", typo.as_str()] {
        fail_patiently(&app, &typo, 6, START);
        assert!(try_lift(&operator, name).unwrap(), "{name}");
    }
    let reader = Actor::token("limit:read");
    let refused = try_lift(&reader, "ivan");
    assert!(matches!(refused, Err(Error::Forbidden { needs }) if needs == "limit:write"));
    let stranger = app.at(START, &Actor::token("limit:write"), |cx| {
        list(cx, users::name_of, None, 1)
    });
    assert!(matches!(stranger, Err(Error::Forbidden { .. })));
    assert!(try_lift(&Actor::in_session("1", true), "ivan").is_ok());
}

#[test]
fn all_are_cleared_in_batches() {
    let app = App::memory();
    for n in 0..5 {
        let account = Account::user(&format!("u{n}"));
        for _ in 0..6 {
            fail(&app, &account, START);
        }
    }
    let operator = Actor::operator();
    let some = || app.at(START, &operator, |cx| lift_some(cx, 3)).unwrap();
    assert_eq!(app.at(START, &operator, count).unwrap(), 5);
    assert_eq!((some(), some(), some()), (3, 2, 0));
}

fn ban(network: &str) -> NewBan {
    NewBan {
        network: network.parse().unwrap(),
        ttl: None,
        reason: None,
        confirm: false,
    }
}

fn add_at(app: &App, now: Timestamp, new: NewBan) -> Result<Ban> {
    app.at(now, &Actor::operator(), move |cx| add(cx, &new))
}

fn listed(app: &App, now: Timestamp) -> Vec<String> {
    let page = app.at(now, &Actor::operator(), |cx| bans(cx, None, 10));
    let bans = page.unwrap().items.into_iter();
    bans.map(|ban| ban.network.to_string()).collect()
}

#[test]
fn an_expired_ban_is_no_ban() {
    let app = App::memory();
    let hour = NewBan {
        ttl: Some(Lifetime::For(Period(HOUR))),
        ..ban("203.0.113.7/24")
    };
    add_at(&app, START, hour).unwrap();
    add_at(&app, START.plus(SECOND), ban("2001:db8::/32")).unwrap();
    assert_eq!(listed(&app, START), ["2001:db8::/32", "203.0.113.0/24"]);
    let end = START.plus(HOUR);
    assert_eq!(listed(&app, end), ["2001:db8::/32"]);
    let gone = app.at(end, &Actor::operator(), |cx| {
        remove(cx, "203.0.113.0/24".parse()?, |_| Ok(()))
    });
    assert!(matches!(gone, Err(Error::NotFound { .. })));
    let again = add_at(&app, end, ban("203.0.113.0/24")).unwrap();
    assert_eq!((again.created_at, again.expires_at), (end, None));
    app.clock().raise(end);
    assert_eq!(read_bans(&app, &Actor::job("x")).unwrap(), 2);
    let holds = |ip: &str| app.kit().bans.hold(ip.parse().unwrap(), || end);
    assert!(holds("203.0.113.200") && holds("2001:db8::1") && !holds("203.0.114.1"));
    app.at(end, &Actor::operator(), |cx| {
        remove(cx, "203.0.113.0/24".parse()?, |_| Ok(()))
    })
    .unwrap();
    assert_eq!(read_bans(&app, &Actor::job("x")).unwrap(), 1);
    assert!(
        !app.kit()
            .bans
            .hold("203.0.113.200".parse().unwrap(), || end)
    );
}

#[test]
fn a_network_whose_ban_may_lock_out_everybody_has_to_be_confirmed() {
    let app = App::memory();
    for network in [
        "0.0.0.0/0",
        "::/0",
        "128.0.0.0/1",
        "2000::/3",
        "127.0.0.1",
        "127.0.0.0/8",
        "127.1.2.0/24",
        "::1",
        "::ffff:127.0.0.1",
        "::/96",
    ] {
        let refused = add_at(&app, START, ban(network));
        assert!(
            matches!(&refused, Err(Error::Invalid { field: "network", reason, .. }) if reason.contains("confirm it")),
            "{network}: {refused:?}"
        );
        let sure = NewBan {
            confirm: true,
            ..ban(network)
        };
        add_at(&app, START, sure).unwrap();
    }
    for network in ["10.0.0.0/8", "2001:db8::/32", "203.0.113.7"] {
        add_at(&app, START, ban(network)).unwrap();
    }
    let own = Actor {
        ip: Some(ip("::ffff:198.51.100.7")),
        ..Actor::token("limit:write")
    };
    let mine = ban("198.51.100.0/24");
    let refused = app.at(START, &own, move |cx| add(cx, &mine));
    assert!(refused.unwrap_err().to_string().contains("comes from"));
    let proxies = ["10.1.0.0/16".parse().unwrap()];
    let network = "10.0.0.0/8".parse().unwrap();
    assert_eq!(
        danger(network, None, &proxies),
        Some("a proxy that is trusted")
    );
    assert_eq!(danger("10.1.2.3".parse().unwrap(), None, &proxies), None);
}

#[test]
fn a_ban_needs_the_scope_a_printable_reason_and_a_time_that_is_one() {
    let app = App::memory();
    let refused = app.at(START, &Actor::token("limit:read"), |cx| {
        add(cx, &ban("192.0.2.1"))
    });
    assert!(matches!(refused, Err(Error::Forbidden { needs }) if needs == "limit:write"));
    for reason in ["", "a\nb", &"x".repeat(201)] {
        let new = NewBan {
            reason: Some(reason.into()),
            ..ban("192.0.2.1")
        };
        assert!(matches!(
            add_at(&app, START, new),
            Err(Error::Invalid {
                field: "reason",
                ..
            })
        ));
    }
    let none = NewBan {
        ttl: Some(Lifetime::For(Period(Duration::ZERO))),
        ..ban("192.0.2.1")
    };
    assert!(add_at(&app, START, none).is_err());
    assert!(listed(&app, START).is_empty());
}

#[test]
fn a_purge_deletes_what_need_not_be_remembered_and_nothing_else() {
    let app = App::memory();
    // After every wall clock, so that the clock's mark decides.
    let now = Timestamp(4_000_000_000_000);
    app.clock().raise(now);
    let month = now.minus(DAY * 30);
    let [old, new, off] = ["old", "new", "off"].map(Account::user);
    fail(&app, &old, now.minus(DAY));
    fail(&app, &new, Timestamp(now.minus(DAY).0 + 1));
    for _ in 0..OFF {
        fail(&app, &off, month);
    }
    succeed(&app, &old, "192.0.2.1", month);
    succeed(&app, &new, "192.0.2.1", Timestamp(month.0 + 1));
    for (network, before) in [("192.0.2.1", HOUR * 2), ("192.0.2.2", HOUR / 2)] {
        let new = NewBan {
            ttl: Some(Lifetime::For(Period(HOUR))),
            ..ban(network)
        };
        add_at(&app, now.minus(before), new).unwrap();
    }
    add_at(&app, month, ban("192.0.2.3")).unwrap();
    // The first failures are forgotten with the success.
    fail(&app, &old, now.minus(DAY));
    let options = purge::Options::default();
    let operator = Actor::operator();
    let planned = purge::plan(&app, &operator, &options).unwrap();
    let of = |kind: &str| planned.kinds.iter().find(|plan| plan.kind == kind).unwrap();
    assert_eq!(of("login_failure").oldest, Some(now));
    assert_eq!(of("known_network").oldest, Some(now));
    assert_eq!(of("ban").oldest, Some(now.minus(HOUR)));
    let lag = purge::lag(&app, &operator, &options).unwrap();
    assert_eq!((lag.kind, lag.seconds), (Some("ban"), 3600));
    let report = purge::run(&app, &operator, &options, &|| false, &mut |_| {}).unwrap();
    let deleted: Vec<_> = report
        .kinds
        .iter()
        .map(|kind| (kind.kind, kind.deleted))
        .filter(|(_, deleted)| *deleted > 0)
        .collect();
    let expected = [("login_failure", 1), ("known_network", 1), ("ban", 1)];
    assert_eq!(deleted, expected);
    assert!(stand(&app, &off, "192.0.2.1", now).off);
    assert!(stand(&app, &new, "192.0.2.1", now).known);
    assert_eq!(listed(&app, now), ["192.0.2.2/32", "192.0.2.3/32"]);
}

#[test]
fn many_failures_at_once_are_all_counted() {
    let app = App::memory();
    let account = Account::user("0198f3c2");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    fail(&app, &account, START);
                }
            });
        }
    });
    assert_eq!(limits(&app, START)[0].failures, 40);
}
