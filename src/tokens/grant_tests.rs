//! What a token may give to the tokens that it makes and renews.

use std::time::Duration;

use super::*;
use crate::app::{Actor, App};
use crate::time::Timestamp;

const START: Timestamp = Timestamp(1_795_000_000_000);
const HOUR: Duration = Duration::from_hours(1);

/// A token that ends in two hours and may be used from 10.0.0.0/8.
fn giver() -> Actor {
    let mut actor = Actor::token("token:create token:renew token:read");
    if let Who::Token {
        expires_at, cidr, ..
    } = &mut actor.who
    {
        *expires_at = Some(START.plus(2 * HOUR));
        *cidr = Some("10.0.0.0/8".parse().unwrap());
    }
    actor
}

fn api(ttl: Option<Duration>, scope: &str, cidr: Option<&str>) -> NewToken {
    NewToken {
        scopes: vec![scope.parse().unwrap()],
        ttl: ttl.map(|ttl| Lifetime::For(Period(ttl))),
        cidr: cidr.map(|cidr| cidr.parse().unwrap()),
        ..NewToken::of(Kind::Api)
    }
}

fn make(app: &App, actor: &Actor, new: NewToken) -> Result<Token> {
    app.at(START, actor, move |cx| create(cx, &new))
        .map(|issued| issued.token)
}

fn field(result: Result<Token>) -> &'static str {
    match result {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_a_token_makes_ends_no_later_than_itself() {
    let app = App::memory();
    let lasting = |ttl| make(&app, &giver(), api(ttl, "token:read", None));
    assert_eq!(
        lasting(Some(HOUR)).unwrap().expires_at,
        Some(START.plus(HOUR))
    );
    assert_eq!(
        lasting(None).unwrap().expires_at,
        Some(START.plus(2 * HOUR))
    );
    assert_eq!(field(lasting(Some(3 * HOUR))), "ttl");
}

#[test]
fn what_a_token_makes_stays_within_its_network() {
    let app = App::memory();
    let from = |cidr| make(&app, &giver(), api(None, "token:read", cidr));
    let net = |token: Token| token.cidr.unwrap().to_string();
    assert_eq!(net(from(None).unwrap()), "10.0.0.0/8");
    assert_eq!(net(from(Some("10.1.0.0/16")).unwrap()), "10.1.0.0/16");
    for beyond in ["0.0.0.0/0", "192.168.0.0/16", "::/0"] {
        assert_eq!(field(from(Some(beyond))), "cidr", "{beyond}");
    }
}

#[test]
fn a_token_renews_only_what_it_could_have_made() {
    let app = App::memory();
    let mine = make(&app, &giver(), api(Some(HOUR), "token:read", None)).unwrap();
    let renew_as = |actor: &Actor, token: &Token, ttl: Option<Duration>| {
        let (id, ttl) = (
            token.id.to_string(),
            ttl.map(|ttl| Lifetime::For(Period(ttl))),
        );
        app.at(START, actor, move |cx| renew(cx, &id, ttl))
    };
    assert_eq!(field(renew_as(&giver(), &mine, Some(3 * HOUR))), "ttl");
    let renewed = renew_as(&giver(), &mine, None).unwrap();
    assert_eq!(renewed.expires_at, Some(START.plus(2 * HOUR)));
    let operator = Actor::operator();
    let stronger = make(&app, &operator, api(Some(HOUR), "audit:read", None)).unwrap();
    let refused = renew_as(&giver(), &stronger, Some(HOUR));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
    let longer = make(&app, &operator, api(Some(9 * HOUR), "token:read", None)).unwrap();
    assert_eq!(field(renew_as(&giver(), &longer, None)), "ttl");
    renew_as(&operator, &longer, None).unwrap();
}

#[test]
fn an_old_session_neither_makes_a_token_nor_gives_one_more_time() {
    let app = App::memory();
    let token = make(&app, &Actor::operator(), api(None, "token:read", None)).unwrap();
    let id = token.id.to_string();
    for (minutes, fresh) in [(10, true), (11, false)] {
        let mut actor = Actor::in_session("x", true);
        if let Who::Session {
            authenticated_at, ..
        } = &mut actor.who
        {
            *authenticated_at = START.minus(Duration::from_mins(minutes));
        }
        let made = make(&app, &actor, api(None, "token:read", None));
        let id = id.clone();
        let renewed = app.at(START, &actor, move |cx| renew(cx, &id, None));
        for result in [made, renewed] {
            let refused = matches!(result, Err(Error::ReauthenticationNeeded));
            assert_eq!((result.is_ok(), refused), (fresh, !fresh), "{minutes}");
        }
    }
}

/// The id of a user of this name.
fn user(app: &App, name: &str) -> String {
    let new = users::NewUser::named(name.parse().unwrap());
    users::create(app, &Actor::operator(), new).unwrap().id
}

fn of(owner: Option<&str>) -> NewToken {
    NewToken {
        owner: owner.map(str::to_owned),
        ..api(None, "token:read", None)
    }
}

#[test]
fn what_a_token_makes_belongs_to_whom_it_belongs_itself() {
    let app = App::memory();
    let ivan = user(&app, "ivan");
    user(&app, "maria");
    let owned = |id: Option<&str>| {
        let mut actor = giver();
        if let Who::Token { owner, .. } = &mut actor.who {
            *owner = id.map(str::to_owned);
        }
        actor
    };
    let (his, nobodys) = (owned(Some(&ivan)), owned(None));
    for named in [None, Some("ivan"), Some(ivan.as_str())] {
        let token = make(&app, &his, of(named)).unwrap();
        assert_eq!(token.owner.as_deref(), Some("ivan"), "{named:?}");
    }
    assert_eq!(make(&app, &nobodys, of(None)).unwrap().owner, None);
    for (actor, named) in [
        (&his, "maria"),
        (&his, "nobody"),
        (&nobodys, "ivan"),
        (&nobodys, "nobody"),
    ] {
        // Nor does it learn who exists.
        let refused = make(&app, actor, of(Some(named)));
        let told = matches!(refused, Err(Error::Forbidden { needs }) if needs == "role:admin");
        assert!(told, "{named}");
    }
    let mut admin = Actor::in_session(&ivan, true);
    if let Who::Session {
        authenticated_at, ..
    } = &mut admin.who
    {
        *authenticated_at = START;
    }
    for actor in [admin, Actor::operator()] {
        let token = make(&app, &actor, of(Some("maria"))).unwrap();
        assert_eq!(token.owner.as_deref(), Some("maria"));
        assert_eq!(make(&app, &actor, of(None)).unwrap().owner, None);
    }
}

#[test]
fn what_a_token_makes_ends_with_what_its_owner_has_open() {
    let app = App::memory();
    let ivan = user(&app, "ivan");
    let mut actor = giver();
    if let Who::Token { owner, .. } = &mut actor.who {
        *owner = Some(ivan);
    }
    let made = make(&app, &actor, of(None)).unwrap();
    let id = made.id.to_string();
    let after = app.at(START, &Actor::operator(), move |cx| {
        users::disable(cx, "ivan", None)?;
        users::enable(cx, "ivan")?;
        get(cx, &id)
    });
    assert_eq!(after.unwrap().state, State::Revoked);
}
