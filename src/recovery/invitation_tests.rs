//! With whom an invitation ends.

use super::tests::{PASSWORD, app, fresh, id, is_bad};
use super::*;
use crate::app::Who;
use crate::users::{NewPassword, NewUser, Role};

/// A session of the second administrator there is.
fn boss(app: &App) -> Actor {
    let new = NewUser {
        roles: vec![Role::Admin],
        ..NewUser::named("boss".parse().unwrap())
    };
    users::create(app, &Actor::operator(), new).unwrap();
    let mut boss = fresh(app, "boss");
    if let Who::Session { admin, .. } = &mut boss.who {
        *admin = true;
    }
    boss
}

/// An API token of somebody who invites people.
fn program(app: &App, name: &str) -> Actor {
    let mut program = Actor::token("user:write");
    if let Who::Token { owner, .. } = &mut program.who {
        *owner = Some(id(app, name));
    }
    program
}

fn invited_by(app: &App, actor: &Actor) -> Secret<String> {
    let made = app.write(actor, |cx| {
        invite(cx, &"anna@example.org".parse()?, &[], None)
    });
    made.unwrap().1
}

fn register(app: &App, token: &Secret<String>) -> Result<User> {
    let anonymous = Actor::anonymous();
    let new = NewUser {
        password: NewPassword::Text(PASSWORD.parse().unwrap()),
        ..NewUser::named("anna".parse().unwrap())
    };
    let invited = prepare_invited(app, &anonymous, token.clone(), new)?;
    app.write(&anonymous, move |cx| register_invited(cx, &invited))
}

fn write<T: Send + 'static>(
    app: &App,
    f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> T {
    app.write(&Actor::operator(), f).unwrap()
}

#[test]
fn an_invitation_ends_with_whatever_ends_what_its_inviter_has_open() {
    type Verb = fn(&App);
    let verbs: [(&str, Verb); 5] = [
        ("disabled", |app| {
            write(app, |cx| users::disable(cx, "boss", None).map(drop));
        }),
        ("deleted", |app| {
            write(app, |cx| users::delete(cx, "boss", None).map(drop));
        }),
        ("demoted", |app| {
            write(app, |cx| users::revoke(cx, "boss", Role::Admin).map(drop));
        }),
        ("ended", |app| {
            let boss = id(app, "boss");
            write(app, move |cx| users::end_everything(cx, &boss));
        }),
        ("enabled again", |app| {
            write(app, |cx| users::disable(cx, "boss", None).map(drop));
            write(app, |cx| users::enable(cx, "boss").map(drop));
        }),
    ];
    for (what, end) in verbs {
        let app = app();
        let by_session = invited_by(&app, &boss(&app));
        let by_token = invited_by(&app, &program(&app, "boss"));
        end(&app);
        assert!(is_bad(register(&app, &by_session)), "{what}, by a session");
        assert!(is_bad(register(&app, &by_token)), "{what}, by a token");
    }
}

#[test]
fn an_invitation_that_ends_between_the_two_halves_makes_no_account() {
    let app = app();
    let token = invited_by(&app, &boss(&app));
    let anonymous = Actor::anonymous();
    let new = NewUser::named("anna".parse().unwrap());
    let invited = prepare_invited(&app, &anonymous, token, new).unwrap();
    write(&app, |cx| users::disable(cx, "boss", None).map(drop));
    let made = app.write(&anonymous, move |cx| register_invited(cx, &invited));
    assert!(is_bad(made));
}

#[test]
fn an_invitation_from_the_shell_ends_with_nobody() {
    let app = app();
    boss(&app);
    let token = invited_by(&app, &Actor::operator());
    write(&app, |cx| users::disable(cx, "boss", None).map(drop));
    let anna = register(&app, &token).unwrap();
    assert_eq!(anna.email.as_deref(), Some("anna@example.org"));
}

#[test]
fn an_invitation_is_good_while_its_inviter_is() {
    let app = app();
    let token = invited_by(&app, &boss(&app));
    register(&app, &token).unwrap();
}
