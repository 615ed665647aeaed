use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::app::{Actor, App};
use crate::audit::Filter as Wanted;
use crate::password::PasswordHash;
use crate::users::{self, NewPassword, NewUser, Role};

const T0: Timestamp = Timestamp(1_800_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// A hash that nothing fits: these tests never log in by it.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct House {
    app: App,
    user: String,
}

impl House {
    fn with(roles: &[Role]) -> Self {
        let app = App::memory();
        let mut new = NewUser::named("maria".parse().unwrap());
        new.password = NewPassword::Hash(PasswordHash::parse(HASH).unwrap());
        new.roles = roles.to_vec();
        let user = users::create(&app, &Actor::operator(), new).unwrap().id;
        let mut other = NewUser::named("root".parse().unwrap());
        other.roles = vec![Role::Admin];
        users::create(&app, &Actor::operator(), other).unwrap();
        Self { app, user }
    }

    fn new() -> Self {
        Self::with(&[Role::User])
    }

    fn open(&self, now: Timestamp) -> Turn {
        self.open_from(now, "203.0.113.7", "Firefox, Linux")
    }

    fn open_from(&self, now: Timestamp, ip: &str, client: &str) -> Turn {
        let (user, ip, client) = (self.user.clone(), ip.to_owned(), client.to_owned());
        let opened = self.app.at(now, &Actor::anonymous(), move |cx| {
            let account = users::credentials_of(cx, &user)?.unwrap();
            let entry = Entry {
                admin: account.roles.contains(&Role::Admin),
                user_id: account.id,
                username: account.username,
                epoch: account.epoch,
                methods: vec!["password"],
                ip: ip.parse().ok(),
                client: Some(client.clone()),
            };
            open(cx, &entry)
        });
        opened.unwrap()
    }

    fn mint(&self, turn: &Turn) -> Opened {
        super::mint(self.app.kit(), turn).unwrap()
    }

    /// As the HTTP edge does: the token's own proof, then the row.
    fn authenticate(&self, token: &str, now: Timestamp) -> Result<Authenticated> {
        let parsed = crate::jwt::Parsed::of(token).ok_or(Error::Unauthenticated)?;
        let (kid, kit) = (parsed.kid().to_owned(), self.app.kit());
        let key = kit.signers.known(&kid).ok_or(Error::Unauthenticated)?;
        let token = kit
            .signers
            .verify(token, &parsed, &key, &expected(kit), now);
        let token = token.ok_or(Error::Unauthenticated)?;
        self.app.at(now, &Actor::anonymous(), move |cx| {
            super::authenticate(cx, &token.claims, &kid)
        })
    }

    fn refresh(&self, token: &str, now: Timestamp) -> Refreshed {
        let presented = presented(&self.app.kit().keys, token).unwrap();
        let refresh = move |cx: &mut Cx<'_, '_>| refresh(cx, &presented);
        self.app.at(now, &Actor::anonymous(), refresh).unwrap()
    }

    fn next(&self, token: &str, now: Timestamp) -> Opened {
        match self.refresh(token, now) {
            Refreshed::Next(turn, _) => self.mint(&turn),
            other @ (Refreshed::Reused | Refreshed::Refused) => panic!("{other:?}"),
        }
    }

    fn state(&self, id: &str, now: Timestamp) -> State {
        let id = id.to_owned();
        let session = self.app.at(now, &Actor::operator(), move |cx| get(cx, &id));
        session.unwrap().state
    }

    fn actions(&self) -> Vec<String> {
        let list = |cx: &mut Cx<'_, '_>| audit::list(cx, &Wanted::default(), None, 200);
        let page = self.app.read(&Actor::operator(), list).unwrap();
        page.items.into_iter().map(|entry| entry.action).collect()
    }
}

fn is_refused<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Unauthenticated))
}

#[test]
fn an_access_token_is_good_as_long_as_its_session_and_no_longer_than_itself() {
    let house = House::new();
    let turn = house.open(T0);
    let opened = house.mint(&turn);
    let token = opened.access_token.expose();
    let found = house.authenticate(token, T0).unwrap();
    assert_eq!(
        (found.username.as_str(), found.roles.as_str()),
        ("maria", "user")
    );
    assert!(!found.admin);
    let late = T0.plus(30 * MINUTE).plus(Duration::from_secs(5));
    assert!(
        house
            .authenticate(token, late.minus(Duration::from_secs(1)))
            .is_ok()
    );
    assert!(is_refused(&house.authenticate(token, late)));
    let id = turn.session_id.clone();
    house
        .app
        .at(T0, &Actor::operator(), move |cx| {
            revoke(cx, &id[..8], Some("lost"))
        })
        .unwrap();
    assert!(is_refused(&house.authenticate(token, T0)));
    assert_eq!(house.state(&turn.session_id, T0), State::Revoked);
}

#[test]
fn the_times_of_the_tokens_are_those_of_the_turn_whenever_they_are_written() {
    let house = House::new();
    // The last millisecond of a second.
    let opened = house.mint(&house.open(T0.plus(Duration::from_millis(999))));
    assert_eq!(
        (opened.expires_in, opened.refresh_expires_in),
        (1800, 30 * 86_400)
    );
    let next = T0.plus(MINUTE);
    let opened = house.next(opened.refresh_token.expose(), next);
    let rest = 30 * 86_400 - 60;
    assert_eq!((opened.expires_in, opened.refresh_expires_in), (1800, rest));
}

#[test]
fn whatever_moves_the_accounts_epoch_ends_its_sessions_for_good() {
    type Change = fn(&mut Cx<'_, '_>, &str) -> Result<()>;
    let changes: [(&str, Change); 2] = [
        ("disable", |cx, user| {
            users::disable(cx, user, None)?;
            users::enable(cx, user).map(|_| ())
        }),
        ("everyone", |cx, _| users::end_everyone(cx).map(|_| ())),
    ];
    for (name, change) in changes {
        let house = House::new();
        let opened = house.mint(&house.open(T0));
        let user = house.user.clone();
        house
            .app
            .at(T0, &Actor::operator(), move |cx| change(cx, &user))
            .unwrap();
        let refused = house.authenticate(opened.access_token.expose(), T0);
        assert!(is_refused(&refused), "{name}");
        let refreshed = house.refresh(opened.refresh_token.expose(), T0);
        assert!(matches!(refreshed, Refreshed::Refused), "{name}");
        assert_eq!(
            house.state(&opened.session_id, T0),
            State::Revoked,
            "{name}"
        );
        let again = house.mint(&house.open(T0));
        assert!(
            house.authenticate(again.access_token.expose(), T0).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn a_session_is_not_opened_in_an_epoch_that_is_over() {
    let house = House::new();
    let user = house.user.clone();
    let opened = house.app.at(T0, &Actor::operator(), move |cx| {
        let account = users::credentials_of(cx, &user)?.unwrap();
        users::end_everyone(cx)?;
        let entry = Entry {
            user_id: account.id,
            username: account.username,
            epoch: account.epoch,
            admin: false,
            methods: vec!["password"],
            ip: None,
            client: None,
        };
        open(cx, &entry).map(|_| ())
    });
    assert!(is_refused(&opened));
}

#[test]
fn a_refresh_token_is_good_once_and_its_successor_is_the_same_for_a_moment() {
    let house = House::new();
    let first = house.mint(&house.open(T0));
    let at = T0.plus(MINUTE);
    let second = house.next(first.refresh_token.expose(), at);
    assert_ne!(first.refresh_token.expose(), second.refresh_token.expose());
    assert!(house.authenticate(second.access_token.expose(), at).is_ok());
    let again = house.next(
        first.refresh_token.expose(),
        at.plus(Duration::from_secs(9)),
    );
    assert_eq!(again.refresh_token.expose(), second.refresh_token.expose());
    let third = house.next(
        second.refresh_token.expose(),
        at.plus(Duration::from_secs(9)),
    );
    assert!(!house.actions().contains(&"session.refresh_reused".into()));
    // The child was used: now the grandparent is reuse, though it is within the time.
    let reused = house.refresh(
        first.refresh_token.expose(),
        at.plus(Duration::from_secs(9)),
    );
    assert!(matches!(reused, Refreshed::Reused));
    let dead = house.refresh(
        third.refresh_token.expose(),
        at.plus(Duration::from_secs(9)),
    );
    assert!(matches!(dead, Refreshed::Refused));
    assert!(is_refused(
        &house.authenticate(third.access_token.expose(), at)
    ));
    assert_eq!(
        house.actions()[..2],
        ["session.revoked", "session.refresh_reused"]
    );
}

#[test]
fn an_old_refresh_token_after_the_moment_ends_the_session() {
    let house = House::new();
    let first = house.mint(&house.open(T0));
    let second = house.next(first.refresh_token.expose(), T0);
    let late = T0.plus(Duration::from_secs(10));
    let reused = house.refresh(first.refresh_token.expose(), late);
    assert!(matches!(reused, Refreshed::Reused));
    let dead = house.refresh(second.refresh_token.expose(), late);
    assert!(matches!(dead, Refreshed::Refused));
}

#[test]
fn a_session_that_was_ended_in_whatever_way_is_not_refreshed() {
    type Change = fn(&mut Cx<'_, '_>, &Turn) -> Result<()>;
    let changes: [(&str, Change); 4] = [
        ("logout", |cx, turn| logout(cx, &turn.session_id)),
        ("disable", |cx, turn| {
            users::disable(cx, &turn.user_id, None).map(|_| ())
        }),
        ("everything", |cx, turn| {
            users::end_everything(cx, &turn.user_id)
        }),
        ("everyone", |cx, _| users::end_everyone(cx).map(|_| ())),
    ];
    for (name, change) in changes {
        let house = House::new();
        let turn = house.open(T0);
        let token = house.mint(&turn).refresh_token;
        let ended = turn.clone();
        house
            .app
            .at(T0, &Actor::operator(), move |cx| change(cx, &ended))
            .unwrap();
        let refused = house.refresh(token.expose(), T0);
        assert!(matches!(refused, Refreshed::Refused), "{name}: {refused:?}");
    }
}

#[test]
fn of_two_refreshes_with_the_same_token_the_second_gets_the_successor_of_the_first() {
    let house = House::new();
    let token = house.mint(&house.open(T0)).refresh_token;
    let turns = [(); 2].map(|()| match house.refresh(token.expose(), T0) {
        Refreshed::Next(turn, user) => {
            assert_eq!(user.id, turn.user_id);
            turn.generation
        }
        other @ (Refreshed::Reused | Refreshed::Refused) => panic!("{other:?}"),
    });
    assert_eq!(turns, [2, 2]);
    let rotations = house.actions().into_iter();
    let rotations = rotations.filter(|action| action == "session.refreshed");
    assert_eq!(rotations.count(), 1);
}

#[test]
fn who_logs_in_and_who_refreshes_is_the_actor_in_the_audit_log() {
    let house = House::new();
    let opened = house.mint(&house.open(T0));
    house.next(opened.refresh_token.expose(), T0);
    let list = |cx: &mut Cx<'_, '_>| audit::list(cx, &Wanted::default(), None, 200);
    let entries = house.app.read(&Actor::operator(), list).unwrap().items;
    for action in ["session.opened", "session.refreshed"] {
        let found = entries.iter().find(|entry| entry.action == action);
        let actor = &found.unwrap().actor;
        assert_eq!(*actor, format!("user:{}", opened.user_id), "{action}");
    }
}

#[test]
fn a_session_ends_when_it_rests_too_long_and_at_the_latest_after_its_whole_time() {
    for (roles, idle, whole) in [
        (vec![Role::User], 7 * DAY, 30 * DAY),
        (vec![Role::Admin], DAY / 2, 7 * DAY),
    ] {
        let house = House::with(&roles);
        let first = house.mint(&house.open(T0));
        let before = T0.plus(idle).minus(Duration::from_millis(1));
        assert_eq!(house.state(&first.session_id, before), State::Active);
        assert_eq!(
            house.state(&first.session_id, T0.plus(idle)),
            State::Expired
        );
        let refused = house.refresh(first.refresh_token.expose(), T0.plus(idle));
        assert!(matches!(refused, Refreshed::Refused));
        let mut token = first.refresh_token.expose().clone();
        let mut at = T0;
        while at.plus(idle / 2) < T0.plus(whole) {
            at = at.plus(idle / 2);
            token = house.next(&token, at).refresh_token.expose().clone();
        }
        let refused = house.refresh(&token, T0.plus(whole));
        assert!(matches!(refused, Refreshed::Refused), "{roles:?}");
    }
}

#[test]
fn of_more_sessions_than_allowed_the_oldest_ends() {
    let house = House::new();
    let ids: Vec<String> = (0..22_u32)
        .map(|n| house.open(T0.plus(n * MINUTE)).session_id)
        .collect();
    let now = T0.plus(30 * MINUTE);
    let states: Vec<State> = ids.iter().map(|id| house.state(id, now)).collect();
    assert_eq!(states[..2], [State::Revoked; 2]);
    assert!(states[2..].iter().all(|state| *state == State::Active));
}

#[test]
fn logins_at_the_same_moment_leave_no_more_sessions_than_allowed() {
    let house = House::new();
    for n in 0..18_u32 {
        house.open(T0.plus(n * MINUTE));
    }
    let now = T0.plus(30 * MINUTE);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| house.open(now));
        }
    });
    let user = house.user.clone();
    let live = house
        .app
        .at(now, &Actor::operator(), move |cx| live(cx, &user));
    assert_eq!(live.unwrap(), 20);
}

#[test]
fn a_session_that_has_rested_too_long_takes_the_place_of_no_good_one() {
    let house = House::new();
    let oldest = house.open(T0).session_id;
    for n in 1..20_u32 {
        house.open(T0.plus(n * MINUTE));
    }
    let now = T0.plus(8 * DAY);
    let seen = vec![(oldest.clone(), now.minus(DAY))];
    let write = move |cx: &mut Cx<'_, '_>| write_seen(cx, &seen);
    house.app.at(now, &Actor::job("test"), write).unwrap();
    house.open(now);
    assert_eq!(house.state(&oldest, now), State::Active);
}

#[test]
fn seeing_a_session_is_noted_once_a_minute_and_keeps_it_open() {
    let house = House::new();
    let opened = house.mint(&house.open(T0));
    let token = opened.access_token.expose();
    for (after, noted) in [(59, 0), (60, 1), (61, 1)] {
        let at = T0.plus(Duration::from_secs(after));
        house.authenticate(token, at).unwrap();
        let seen = house.app.kit().seen.take();
        assert_eq!(seen.len(), noted, "{after}");
        house
            .app
            .at(at, &Actor::job("test"), move |cx| write_seen(cx, &seen))
            .unwrap();
        if noted == 1 {
            break;
        }
    }
    let at = T0.plus(MINUTE).plus(7 * DAY).minus(MINUTE);
    assert_eq!(house.state(&opened.session_id, at), State::Active);
}

#[test]
fn people_see_and_end_their_own_sessions_only() {
    let house = House::new();
    let mine = house.open(T0);
    let (other, third) = (house.open(T0), house.open(T0));
    let me = Actor::in_session(&house.user, false);
    let stranger = Actor::in_session("01a1fa17-4a6c-72ab-bbc5-91dadd3c7daf", false);
    let own = house.app.at(T0, &me, |cx| list_own(cx, None, 50)).unwrap();
    assert_eq!(own.items.len(), 3);
    let theirs = house.app.at(T0, &stranger, |cx| list_own(cx, None, 50));
    assert!(theirs.unwrap().items.is_empty());
    let id = mine.session_id.clone();
    let refused = house.app.at(T0, &stranger, move |cx| revoke_own(cx, &id));
    assert!(matches!(refused, Err(Error::NotFound { .. })));
    let id = other.session_id.clone();
    house
        .app
        .at(T0, &me, move |cx| revoke_own(cx, &id))
        .unwrap();
    assert_eq!(house.state(&other.session_id, T0), State::Revoked);
    assert_eq!(house.state(&mine.session_id, T0), State::Active);
    let mut asking = me.clone();
    if let Who::Session { id, .. } = &mut asking.who {
        id.clone_from(&mine.session_id);
    }
    let ended = house.app.at(T0, &asking, |cx| revoke_all_own(cx, true));
    assert_eq!(ended.unwrap(), 1);
    assert_eq!(house.state(&third.session_id, T0), State::Revoked);
    assert_eq!(house.state(&mine.session_id, T0), State::Active);
    for verb in [
        house.app.at(T0, &me, |cx| {
            list(cx, &Filter::default(), None, 9).map(|_| ())
        }),
        house.app.at(T0, &me, |cx| {
            revoke_all(cx, "maria", None, None).map(|_| ())
        }),
        house.app.at(T0, &me, |cx| list_keys(cx).map(|_| ())),
        house.app.at(T0, &me, |cx| rotate(cx, true).map(|_| ())),
    ] {
        assert!(matches!(verb, Err(Error::Forbidden { .. })), "{verb:?}");
    }
}

#[test]
fn a_list_finds_what_each_filter_asks_for() {
    let house = House::new();
    let old = house.open_from(T0, "203.0.113.7", "Firefox, Linux");
    let new = house.open_from(T0.plus(DAY), "198.51.100.9", "Safari, macOS");
    let now = T0.plus(DAY).plus(MINUTE);
    let found = |filter: Filter| -> Vec<String> {
        let page = house.app.at(now, &Actor::operator(), move |cx| {
            list(cx, &filter, None, 50)
        });
        page.unwrap().items.into_iter().map(|it| it.id).collect()
    };
    let (old, new) = (old.session_id, new.session_id);
    assert_eq!(found(Filter::default()), [new.clone(), old.clone()]);
    for (filter, ids) in [
        (
            Filter {
                user: Some("MARIA".into()),
                ..Filter::default()
            },
            vec![new.clone(), old.clone()],
        ),
        (
            Filter {
                ip: "203.0.113.0/24".parse().ok(),
                ..Filter::default()
            },
            vec![old.clone()],
        ),
        (
            Filter {
                client: Some("safari*".into()),
                ..Filter::default()
            },
            vec![new.clone()],
        ),
        (
            Filter {
                idle_since: Some(T0.plus(MINUTE)),
                ..Filter::default()
            },
            vec![old.clone()],
        ),
        (
            Filter {
                created_before: Some(T0.plus(MINUTE)),
                ..Filter::default()
            },
            vec![old.clone()],
        ),
        (
            Filter {
                state: Some(State::Revoked),
                ..Filter::default()
            },
            vec![],
        ),
    ] {
        assert_eq!(found(filter.clone()), ids, "{filter:?}");
    }
}

#[test]
fn a_list_of_pages_has_every_session_once() {
    let house = House::new();
    let ids: BTreeSet<String> = (0..15).map(|_| house.open(T0).session_id).collect();
    let filter = Filter {
        state: Some(State::Active),
        ..Filter::default()
    };
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let (filter, from) = (filter.clone(), cursor.clone());
        let page = house
            .app
            .at(T0, &Actor::operator(), move |cx| {
                list(cx, &filter, from.as_deref(), 4)
            })
            .unwrap();
        seen.extend(page.items.into_iter().map(|it| it.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 15);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), ids);
}

#[test]
fn a_new_key_is_published_before_it_signs_and_the_old_one_is_accepted_after() {
    let house = House::new();
    let opened = house.mint(&house.open(T0));
    let keys_at = |now: Timestamp| {
        let keys = house.app.at(now, &Actor::operator(), list_keys).unwrap();
        keys.into_iter().map(|key| key.state).collect::<Vec<_>>()
    };
    assert_eq!(keys_at(T0), [KeyState::Active]);
    let rotation = house
        .app
        .at(T0, &Actor::operator(), |cx| rotate(cx, false))
        .unwrap();
    assert_eq!(rotation.signs_from, T0.plus(10 * MINUTE));
    assert_eq!(rotation.accepted_until, T0.plus(45 * MINUTE));
    assert_eq!(keys_at(T0), [KeyState::Next, KeyState::Active]);
    let published = house.app.at(T0, &Actor::anonymous(), jwks).unwrap();
    assert_eq!(published.len(), 2);
    let again = house.app.at(T0, &Actor::operator(), |cx| rotate(cx, false));
    assert!(matches!(again, Err(Error::Invalid { .. })));
    let after = T0.plus(10 * MINUTE);
    assert_eq!(keys_at(after), [KeyState::Active, KeyState::Retiring]);
    assert!(
        house
            .authenticate(opened.access_token.expose(), after)
            .is_ok()
    );
    let next = house.next(opened.refresh_token.expose(), after);
    let kid = |token: &str| crate::jwt::Parsed::of(token).unwrap().kid().to_owned();
    assert_eq!(kid(next.access_token.expose()), rotation.id);
    let late = T0.plus(45 * MINUTE);
    assert_eq!(keys_at(late), [KeyState::Active, KeyState::Retired]);
    let published = house.app.at(late, &Actor::anonymous(), jwks).unwrap();
    assert_eq!(published.len(), 1);
}

#[test]
fn a_compromised_key_ends_everything_at_once() {
    let house = House::new();
    let opened = house.mint(&house.open(T0));
    let rotation = house
        .app
        .at(T0, &Actor::operator(), |cx| rotate(cx, true))
        .unwrap();
    assert_eq!((rotation.signs_from, rotation.ended_accounts), (T0, 2));
    assert!(is_refused(
        &house.authenticate(opened.access_token.expose(), T0)
    ));
    let refreshed = house.refresh(opened.refresh_token.expose(), T0);
    assert!(matches!(refreshed, Refreshed::Refused));
    let again = house.mint(&house.open(T0));
    assert!(house.authenticate(again.access_token.expose(), T0).is_ok());
}

#[test]
fn a_new_key_leaves_a_shared_secret_alone() {
    let house = House::new();
    house.open(T0);
    let accepted = house.app.at(T0, &Actor::operator(), |cx| {
        let shared = crate::jwt::Algorithm::Hs256;
        store::keys::insert(cx.tx, "shared", shared, T0, T0)?;
        rotate(cx, false)?;
        let keys = store::keys::all(cx.tx)?.into_iter();
        let until = keys.map(|key| (key.algorithm == shared, key.accepted_until.is_some()));
        Ok(until.collect::<BTreeSet<_>>())
    });
    // The new one, the old one, and the other that is no key of ours.
    let kinds = BTreeSet::from([(false, false), (false, true), (true, false)]);
    assert_eq!(accepted.unwrap(), kinds);
}

#[test]
fn a_key_is_rotated_by_itself_after_ninety_days() {
    let house = House::new();
    house.open(T0);
    for (day, due) in [(0, false), (89, false), (90, true), (90, false)] {
        let now = T0.plus(day * DAY);
        let rotated = house.app.at(now, &Actor::job("test"), rotate_if_due);
        assert_eq!(rotated.unwrap(), due, "day {day}");
    }
}

#[test]
fn purging_takes_what_has_ended_and_nothing_else() {
    let house = House::new();
    let mut states = Vec::new();
    for n in 0..6 {
        let turn = house.open(T0.plus(n * 2 * DAY));
        states.push(turn.session_id);
    }
    let revoked = states[5].clone();
    house
        .app
        .at(T0.plus(10 * DAY), &Actor::operator(), move |cx| {
            revoke(cx, &revoked, None)
        })
        .unwrap();
    let now = T0.plus(12 * DAY);
    let live: BTreeSet<String> = states
        .iter()
        .filter(|id| house.state(id, now) == State::Active)
        .cloned()
        .collect();
    assert_eq!(live.len(), 2);
    let (expired, ended, oldest) = house
        .app
        .at(now, &Actor::operator(), move |cx| gone(cx, now))
        .unwrap();
    assert_eq!((expired, ended), (3, 1));
    assert_eq!(oldest, Some(T0));
    let deleted = house
        .app
        .at(now, &Actor::operator(), move |cx| delete_gone(cx, now, 100))
        .unwrap();
    assert_eq!(deleted, 4);
    for id in &live {
        assert_eq!(house.state(id, now), State::Active);
    }
}

#[test]
fn a_login_finds_the_account_by_each_of_its_names_and_never_by_an_id() {
    let app = App::memory();
    let mut new = NewUser::named("Maria".parse().unwrap());
    new.email = Some("maria@example.org".parse().unwrap());
    new.phone = Some("+375291234567".parse().unwrap());
    new.password = NewPassword::Hash(PasswordHash::parse(HASH).unwrap());
    let id = users::create(&app, &Actor::operator(), new).unwrap().id;
    let found = |name: &str| {
        let login = Login {
            name: name.to_owned(),
            otp: None,
            ip: None,
            client: None,
        };
        let attempt = app.at(T0, &Actor::anonymous(), move |cx| begun(cx, &login));
        attempt.unwrap().hash().is_some()
    };
    for name in ["maria", " MARIA ", "Maria@Example.org", "+375 29 123-45-67"] {
        assert!(found(name), "{name}");
    }
    for name in ["", "nobody", id.as_str(), &id[..8]] {
        assert!(!found(name), "{name}");
    }
}

#[test]
fn two_spellings_of_a_name_are_counted_as_one_whether_somebody_has_it_or_not() {
    for known in [false, true] {
        for (one, two) in [
            ("maria", " ＭＡＲＩＡ "),
            ("maria@example.org", "ｍaria＠Example.org"),
            ("+375291234567", "+375 29 123-45-67"),
        ] {
            let app = App::memory();
            if known {
                let mut new = NewUser::named("maria".parse().unwrap());
                new.email = Some("maria@example.org".parse().unwrap());
                new.phone = Some("+375291234567".parse().unwrap());
                users::create(&app, &Actor::operator(), new).unwrap();
            }
            let waits = ([one; 6].into_iter().chain([two])).map(|name| {
                let login = Login {
                    name: name.to_owned(),
                    otp: None,
                    ip: None,
                    client: None,
                };
                let wrong = crate::password::Verdict {
                    matches: false,
                    rehashed: None,
                    owed: Duration::ZERO,
                };
                let answer = app.at(T0, &Actor::anonymous(), move |cx| {
                    let attempt = begun(cx, &login)?;
                    finish(cx, &attempt, &wrong)
                });
                match answer.unwrap() {
                    Err(Error::InvalidCredentials { retry_after }) => retry_after.is_some(),
                    other => panic!("{other:?}"),
                }
            });
            let waits: Vec<bool> = waits.collect();
            assert_eq!(waits.last(), Some(&true), "{two} {known}");
        }
    }
}

fn verdict(matches: bool) -> crate::password::Verdict {
    crate::password::Verdict {
        matches,
        rehashed: None,
        owed: Duration::ZERO,
    }
}

fn login(name: &str) -> Login {
    Login {
        name: name.to_owned(),
        otp: None,
        ip: None,
        client: None,
    }
}

/// How many failures are counted for the one who has to wait.
fn failures(app: &App) -> u32 {
    let list = |cx: &mut Cx<'_, '_>| crate::throttle::list(cx, users::name_of, None, 10);
    let page = app.at(T0, &Actor::operator(), list).unwrap();
    page.items.iter().map(|limit| limit.failures).sum()
}

#[test]
fn attempts_that_begin_together_are_counted_no_more_often_than_the_curve_allows() {
    for name in ["maria", "nobody"] {
        let house = House::new();
        let anyone = Actor::anonymous();
        let begin = || house.app.at(T0, &anyone, |cx| begun(cx, &login(name)));
        let attempts: Vec<Attempt> = (0..60).map(|_| begin().unwrap()).collect();
        let last = begin().unwrap();
        std::thread::scope(|scope| {
            for some in attempts.chunks(10) {
                let (house, anyone) = (&house, &anyone);
                scope.spawn(move || {
                    for attempt in some {
                        let attempt = attempt.clone();
                        let finish =
                            move |cx: &mut Cx<'_, '_>| finish(cx, &attempt, &verdict(false));
                        assert!(house.app.at(T0, anyone, finish).unwrap().is_err());
                    }
                });
            }
        });
        assert_eq!(failures(&house.app), crate::throttle::FREE + 1, "{name}");
        // Nor is the right password good that was on its way.
        let answer = house
            .app
            .at(T0, &anyone, move |cx| finish(cx, &last, &verdict(true)));
        let refused = matches!(
            answer.unwrap(),
            Err(Error::InvalidCredentials {
                retry_after: Some(_)
            })
        );
        assert!(refused, "{name}");
    }
}

#[test]
fn a_password_is_not_changed_by_guesses_that_begin_together() {
    let house = House::new();
    let owner = Actor::in_session(&house.user, false);
    let begin = || house.app.at(T0, &owner, |cx| begin_change(cx, &login("")));
    let attempts: Vec<Attempt> = (0..20).map(|_| begin().unwrap()).collect();
    let last = begin().unwrap();
    for attempt in attempts {
        let refuse = move |cx: &mut Cx<'_, '_>| refuse_change(cx, &attempt);
        house.app.at(T0, &owner, refuse).unwrap();
    }
    assert_eq!(failures(&house.app), crate::throttle::FREE + 1);
    let hash = PasswordHash::parse(HASH).unwrap();
    let change = move |cx: &mut Cx<'_, '_>| change_password(cx, &last, &hash);
    let answer = house.app.at(T0, &owner, change).unwrap();
    assert!(matches!(answer, Err(Error::InvalidCredentials { .. })));
    assert_eq!(house.actions()[0], "user.password_change_failed");
}

/// As the HTTP edge does, with two looks.
fn begun(cx: &mut Cx<'_, '_>, login: &Login) -> Result<Attempt> {
    let account = users::credentials(cx, &login.name)?;
    begin(cx, login, account.as_ref())
}

#[test]
fn a_refused_login_writes_one_row_whoever_it_names_also_while_it_has_to_wait() {
    let house = House::new();
    let verdict = |matches| crate::password::Verdict {
        matches,
        rehashed: None,
        owed: Duration::ZERO,
    };
    // After five failures nobody looks at the password any more.
    for name in ["maria"; 8].into_iter().chain(["nobody"; 8]) {
        let login = Login {
            name: name.to_owned(),
            otp: None,
            ip: None,
            client: None,
        };
        let before = house.actions().len();
        let answer = house.app.at(T0, &Actor::anonymous(), move |cx| {
            let attempt = begun(cx, &login)?;
            finish(cx, &attempt, &verdict(false))
        });
        assert!(matches!(
            answer.unwrap(),
            Err(Error::InvalidCredentials { .. })
        ));
        assert_eq!(house.actions().len(), before + 1, "{name}");
    }
}

#[test]
fn a_second_factor_is_asked_for_after_a_right_password_and_each_code_is_good_once() {
    let house = House::new();
    let now = house.app.clock().now();
    let mut owner = Actor::in_session(&house.user, false);
    if let Who::Session {
        authenticated_at, ..
    } = &mut owner.who
    {
        *authenticated_at = now;
    }
    let enrolment = house.app.at(now, &owner, crate::factors::enrol).unwrap();
    let secret = totp_rs::Secret::try_from_base32(enrolment.secret.expose()).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let code = |at: Timestamp| {
        let seconds = u64::try_from(at.0 / 1000).unwrap();
        totp.generate(seconds).to_string()
    };
    let first = code(now);
    house
        .app
        .at(now, &owner, move |cx| crate::factors::confirm(cx, &first))
        .unwrap();
    let later = now.plus(MINUTE);
    let log_in = |password: bool, otp: Option<String>| {
        let login = Login {
            name: "maria".into(),
            otp: otp.map(crate::secret::Secret::new),
            ip: None,
            client: None,
        };
        let verdict = crate::password::Verdict {
            matches: password,
            rehashed: None,
            owed: Duration::ZERO,
        };
        let answer = house.app.at(later, &Actor::anonymous(), move |cx| {
            let attempt = begun(cx, &login)?;
            finish(cx, &attempt, &verdict)
        });
        answer.unwrap()
    };
    let wrong_password = log_in(false, Some(code(later)));
    assert!(matches!(
        wrong_password,
        Err(Error::InvalidCredentials { .. })
    ));
    assert!(matches!(log_in(true, None), Err(Error::OtpRequired)));
    assert_eq!(house.actions()[0], "session.otp_asked");
    let wrong_code = log_in(true, Some("000000".into()));
    assert!(matches!(wrong_code, Err(Error::InvalidCredentials { .. })));
    let turn = log_in(true, Some(code(later))).unwrap();
    let id = turn.session_id;
    let session = house
        .app
        .at(later, &Actor::operator(), move |cx| get(cx, &id));
    assert_eq!(session.unwrap().methods, ["password", "otp"]);
    let again = log_in(true, Some(code(later)));
    assert!(matches!(again, Err(Error::InvalidCredentials { .. })));
}

#[test]
fn what_has_ended_with_everything_is_not_ended_again() {
    let house = House::new();
    house.open(T0);
    let user = house.user.clone();
    house
        .app
        .at(T0, &Actor::operator(), move |cx| {
            users::end_everything(cx, &user)
        })
        .unwrap();
    house.open(T0);
    let me = Actor::in_session(&house.user, false);
    let ended = house.app.at(T0, &me, |cx| revoke_all_own(cx, false));
    assert_eq!(ended.unwrap(), 1);
}

#[test]
fn a_key_that_was_dropped_before_it_signed_does_not_stand_in_the_way_of_the_next() {
    let house = House::new();
    house.open(T0);
    for compromised in [false, true, false] {
        house
            .app
            .at(T0, &Actor::operator(), move |cx| rotate(cx, compromised))
            .unwrap();
    }
}
