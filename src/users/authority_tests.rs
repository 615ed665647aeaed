//! What a program may not do to administrators, and a person only after a login of just now.

use super::tests::{HASH, START, actions, add, admin, new};
use super::*;
use crate::app::{Actor, App};
use crate::password::PasswordHash;

type Verb = (&'static str, fn(&App, &Actor) -> Result<()>);

fn write(
    app: &App,
    actor: &Actor,
    mut f: impl FnMut(&mut Cx<'_, '_>) -> Result<User> + Send + 'static,
) -> Result<()> {
    app.at(Timestamp(START + 5), actor, move |cx| f(cx).map(drop))
}

fn hash() -> NewPassword {
    NewPassword::Hash(PasswordHash::parse(HASH).unwrap())
}

/// Each verb that decides who gets into the account of `maria`.
const VERBS: [Verb; 10] = [
    ("email", |app, actor| {
        let email = Change::Set("eve@example.org".parse().unwrap());
        let changes = Changes {
            email,
            ..Changes::default()
        };
        write(app, actor, move |cx| update(cx, "maria", &changes))
    }),
    ("phone", |app, actor| {
        let phone = Change::Clear;
        let changes = Changes {
            phone,
            ..Changes::default()
        };
        write(app, actor, move |cx| update(cx, "maria", &changes))
    }),
    ("rename", |app, actor| {
        write(app, actor, |cx| rename(cx, "maria", &"m".parse().unwrap()))
    }),
    ("password", |app, actor| {
        let hashed = hash_password(app, &Actor::operator(), "maria", hash())?;
        write(app, actor, move |cx| put_password(cx, &hashed))
    }),
    ("disable", |app, actor| {
        write(app, actor, |cx| disable(cx, "maria", None))
    }),
    ("enable", |app, actor| {
        write(app, actor, |cx| enable(cx, "maria"))
    }),
    ("delete", |app, actor| {
        write(app, actor, |cx| delete(cx, "maria", None))
    }),
    ("restore", |app, actor| {
        write(app, actor, |cx| restore(cx, "maria"))
    }),
    ("grant", |app, actor| {
        write(app, actor, |cx| grant(cx, "maria", Role::User))
    }),
    ("revoke", |app, actor| {
        write(app, actor, |cx| revoke(cx, "maria", Role::User))
    }),
];

/// `root`, an administrator, and `maria`.
fn app(maria: NewUser) -> App {
    let app = App::memory();
    add(&app, 0, admin("root"));
    add(&app, 0, maria);
    app
}

/// An administrator who logged in so many minutes before.
fn person(minutes: i64) -> Actor {
    let mut actor = Actor::in_session("x", true);
    if let Who::Session {
        authenticated_at, ..
    } = &mut actor.who
    {
        *authenticated_at = Timestamp(START + 5 - minutes * 60_000);
    }
    actor
}

fn is_forbidden(refused: Result<()>) -> bool {
    matches!(refused, Err(Error::Forbidden { needs }) if needs == "role:admin")
}

#[test]
fn no_token_decides_who_gets_into_the_account_of_an_administrator() {
    for (what, verb) in VERBS {
        let token = Actor::token("user:* role:admin");
        let app = app(admin("maria"));
        let before = actions(&app);
        assert!(is_forbidden(verb(&app, &token)), "{what}");
        assert_eq!(actions(&app), before, "{what}");
        let old = verb(&app, &person(11));
        assert!(matches!(old, Err(Error::ReauthenticationNeeded)), "{what}");
        for may in [person(9), Actor::operator(), Actor::job("test")] {
            let app = self::app(admin("maria"));
            assert!(verb(&app, &may).is_ok(), "{what} by {may}");
        }
    }
}

#[test]
fn a_token_looks_after_everybody_elses_account() {
    for (what, verb) in VERBS {
        let app = app(new("maria"));
        verb(&app, &Actor::token("user:write")).expect(what);
    }
}

#[test]
fn nobody_hashes_a_password_for_who_may_not_set_it() {
    let app = app(admin("maria"));
    let refused = hash_password(&app, &Actor::token("user:write"), "maria", hash());
    assert!(is_forbidden(refused.map(drop)));
}

#[test]
fn a_password_is_not_set_for_who_became_an_administrator_meanwhile() {
    let app = app(new("maria"));
    let token = Actor::token("user:write");
    let hashed = hash_password(&app, &token, "maria", hash()).unwrap();
    let operator = Actor::operator();
    write(&app, &operator, |cx| grant(cx, "maria", Role::Admin)).unwrap();
    let late = write(&app, &token, move |cx| put_password(cx, &hashed));
    assert!(is_forbidden(late));
}

#[test]
fn no_token_makes_an_administrator_or_a_second_one_of_itself() {
    let app = app(new("maria"));
    let token = Actor::token("user:write");
    let made = create(&app, &token, admin("eve")).map(drop);
    assert!(is_forbidden(made));
    for owner in [None, Some(find::id_of)] {
        let mut token = token.clone();
        if let (Some(id_of), Who::Token { owner, .. }) = (owner, &mut token.who) {
            *owner = app
                .read(&Actor::operator(), |cx| id_of(cx, "root"))
                .unwrap();
        }
        let given = write(&app, &token, |cx| grant(cx, "maria", Role::Admin));
        assert!(is_forbidden(given));
    }
    create(&app, &token, new("eve")).unwrap();
}
