use super::*;
use crate::app::Who;
use crate::error::Error;
use crate::sessions::{self, Entry};
use crate::time::Timestamp;
use crate::tokens::NewToken;
use crate::users::NewUser;

/// An arbitrary instant; times below are counted from it.
const START: i64 = 1_795_000_000_000;

fn at<T: Send + 'static>(
    app: &App,
    after: i64,
    f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    app.at(Timestamp(START + after), &Actor::operator(), f)
}

fn user(app: &App, name: &str, roles: Vec<Role>) -> User {
    let new = NewUser {
        roles,
        ..NewUser::named(name.parse().unwrap())
    };
    users::create(app, &Actor::operator(), new).unwrap()
}

fn token(app: &App, new: NewToken) -> String {
    let issued = at(app, 0, move |cx| tokens::create(cx, &new)).unwrap();
    issued.token.id.to_string()
}

fn of_ivan(kind: Kind) -> NewToken {
    NewToken {
        owner: Some("ivan".into()),
        // Passwords are set by the clock on the wall.
        ttl: Some("30d".parse().unwrap()),
        ..NewToken::of(kind)
    }
}

/// `root`, an administrator, and `ivan` with a session, two API tokens and one temporary token.
fn app() -> App {
    let app = App::memory();
    user(&app, "root", vec![Role::Admin]);
    user(&app, "ivan", Vec::new());
    for kind in [Kind::Api, Kind::Api, Kind::Temporary] {
        token(&app, of_ivan(kind));
    }
    let lost = token(&app, of_ivan(Kind::Api));
    at(&app, 1, move |cx| tokens::revoke(cx, &lost, None)).unwrap();
    at(&app, 1, |cx| {
        let account = users::credentials(cx, "ivan")?.unwrap();
        let entry = Entry {
            admin: false,
            user_id: account.id,
            username: account.username,
            epoch: account.epoch,
            methods: vec!["password"],
            ip: None,
            client: None,
        };
        sessions::open(cx, &entry)
    })
    .unwrap();
    app
}

#[test]
fn each_verb_that_takes_access_away_tells_what_it_ended_and_only_once() {
    type Verb = fn(&App) -> Result<Changed>;
    let verbs: [Verb; 5] = [
        |app| at(app, 2, |cx| disable(cx, "ivan", None)),
        |app| at(app, 2, |cx| delete_if(cx, "ivan", None, |_| Ok(()))),
        |app| at(app, 2, |cx| promote(cx, "ivan", Role::Admin)),
        |app| at(app, 2, |cx| demote(cx, "ivan", Role::User)),
        |app| {
            let hash = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
            let hash = crate::password::PasswordHash::parse(hash)?;
            set_password(app, &Actor::operator(), "ivan", NewPassword::Hash(hash))
        },
    ];
    for (number, verb) in verbs.into_iter().enumerate() {
        let app = app();
        let changed = verb(&app).unwrap();
        assert_eq!(
            changed.ended.to_string(),
            "1 session, 2 API tokens, 1 temporary token",
            "verb {number}"
        );
        let json = serde_json::to_value(&changed).unwrap();
        assert_eq!(
            json["ended"],
            serde_json::json!({ "sessions": 1, "tokens": { "api": 2, "temporary": 1 } })
        );
        assert_eq!(json["username"], "ivan");
        // Deleted, it is not found; else there is nothing left to end.
        if let Ok(again) = verb(&app) {
            assert!(again.ended.is_nothing(), "verb {number}");
        }
    }
}

#[test]
fn who_may_not_change_accounts_does_not_learn_whether_there_is_one() {
    let app = app();
    let nobody = Actor::token("user:read");
    for name in ["ivan", "nobody"] {
        let refused = [
            app.write(&nobody, move |cx| disable(cx, name, None)),
            app.write(&nobody, move |cx| delete_if(cx, name, None, |_| Ok(()))),
            app.write(&nobody, move |cx| promote(cx, name, Role::Admin)),
            app.write(&nobody, move |cx| demote(cx, name, Role::User)),
            set_password(&app, &nobody, name, NewPassword::None),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(Error::Forbidden { .. })));
        }
    }
}

#[test]
fn people_who_delete_themselves_learn_what_that_ended() {
    let app = app();
    let ivan = at(&app, 2, |cx| users::get(cx, "ivan")).unwrap();
    let mut me = Actor::in_session(&ivan.id, false);
    if let Who::Session {
        authenticated_at, ..
    } = &mut me.who
    {
        *authenticated_at = Timestamp(START);
    }
    let changed = app.at(Timestamp(START + 3), &me, |cx| delete_own(cx, |_| Ok(())));
    let changed = changed.unwrap();
    assert_eq!(changed.user.id, ivan.id);
    assert_eq!(changed.ended.tokens, [(Kind::Api, 2), (Kind::Temporary, 1)]);
}

fn asked(app: &App, line: &str) -> Result<Verdict> {
    let mut words = line.split(' ');
    let mut word = || words.next().map(str::to_owned);
    let question = Question {
        subject: word().unwrap(),
        action: word().unwrap().parse().unwrap(),
        object: word().filter(|word| word != "-"),
        from: word().map(|ip| ip.parse().unwrap()),
    };
    at(app, 5, move |cx| can(cx, &question))
}

/// The steps that stand in the way.
fn obstacles(app: &App, line: &str) -> Vec<&'static str> {
    let verdict = asked(app, line).unwrap();
    let steps = verdict.steps.iter().filter(|step| !step.passed);
    let obstacles: Vec<_> = steps.map(|step| step.rule).collect();
    assert_eq!(verdict.allowed, obstacles.is_empty(), "{verdict:?}");
    obstacles
}

#[test]
fn an_administrator_may_do_everything_and_others_nothing_that_has_a_scope() {
    let app = app();
    assert_eq!(obstacles(&app, "root user:write"), [""; 0]);
    assert_eq!(obstacles(&app, "root course:anything"), [""; 0]);
    assert_eq!(obstacles(&app, "ivan user:write"), ["roles"]);
    assert_eq!(obstacles(&app, "user:ivan user:write root"), ["roles"]);
    assert_eq!(obstacles(&app, "ivan user:write user:ivan"), ["roles"]);
    at(&app, 2, |cx| disable(cx, "ivan", Some("on leave"))).unwrap();
    assert_eq!(obstacles(&app, "ivan user:write ivan"), ["state", "roles"]);
    let told = asked(&app, "ivan user:write").unwrap();
    assert_eq!(told.subject, "user:ivan");
    assert_eq!(told.steps[0].found, "the account is disabled: on leave");
    at(&app, 3, |cx| users::delete(cx, "ivan", None)).unwrap();
    assert_eq!(obstacles(&app, "ivan user:read ivan"), ["state", "roles"]);
}

#[test]
fn a_token_may_do_what_its_scopes_say_from_where_it_may_while_it_is_good() {
    let app = app();
    let bound = token(
        &app,
        NewToken {
            scopes: vec!["course:*".parse().unwrap()],
            cidr: "10.0.0.0/8".parse().ok(),
            ..of_ivan(Kind::Api)
        },
    );
    let asks = |rest: &str| obstacles(&app, &format!("{bound} {rest}"));
    assert_eq!(asks("course:read"), [""; 0]);
    assert_eq!(asks("user:read"), ["scopes"]);
    assert_eq!(asks("course:read - 10.1.2.3"), [""; 0]);
    assert_eq!(asks("course:read - 11.1.2.3"), ["network"]);
    let guest = token(&app, NewToken::of(Kind::Temporary));
    let line = format!("token:{guest} course:read");
    assert_eq!(obstacles(&app, &line), ["kind", "scopes"]);
    at(&app, 2, |cx| disable(cx, "ivan", None)).unwrap();
    assert_eq!(asks("course:read"), ["state", "epoch"]);
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    let app = app();
    let nobody = asked(&app, "nobody user:read").unwrap_err();
    assert_eq!(nobody.to_string(), "no such user or token: nobody");
    assert!(matches!(
        asked(&app, "root user:read nobody"),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        asked(&app, "root course:read ivan"),
        Err(Error::Invalid {
            field: "object",
            ..
        })
    ));
    let question = Question {
        subject: "root".into(),
        action: "user:read".parse().unwrap(),
        object: None,
        from: None,
    };
    let refused = app.read(&Actor::token("user:read"), |cx| can(cx, &question));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
}

#[test]
fn disabling_somebody_who_invited_tells_that_the_invitation_ended() {
    let app = App::memory();
    user(&app, "root", vec![Role::Admin]);
    let boss = user(&app, "boss", vec![Role::Admin]);
    app.at(Timestamp(0), &Actor::in_session(&boss.id, true), |cx| {
        crate::recovery::invite(cx, &"anna@example.org".parse()?, &[], None)
    })
    .unwrap();
    let changed = at(&app, -START + 1, |cx| disable(cx, "boss", None)).unwrap();
    assert_eq!(changed.ended.to_string(), "1 invitation");
}
