//! Deleting, restoring and erasing accounts; what a session may do with them; registering.

use super::tests::{add, admin, as_operator, find, new};
use super::*;
use crate::app::{Actor, App};
use crate::config::Registration;
use crate::password::PasswordHash;

/// An arbitrary instant; times below are counted from it. The same as in `tests`.
const START: i64 = 1_795_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;

type Verb = fn(&mut Cx<'_, '_>) -> Result<User>;

/// An account with everything that says something of a person.
fn whole(name: &str) -> NewUser {
    let hash = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
    NewUser {
        email: format!("{name}@example.org").parse().ok(),
        phone: "+375291234567".parse().ok(),
        name: "Ivan Petrov".parse().ok(),
        locale: "be-BY".parse().ok(),
        meta: r#"{"pet":"cat"}"#.parse().ok(),
        password: NewPassword::Hash(PasswordHash::parse(hash).unwrap()),
        ..new(name)
    }
}

fn make(app: &App, new: NewUser) -> User {
    create(app, &Actor::operator(), new).unwrap()
}

fn gone(app: &App, after: i64, name: &'static str) -> Result<User> {
    as_operator(app, after, move |cx| delete(cx, name, Some("left")))
}

fn back(app: &App, after: i64, name: &'static str) -> Result<User> {
    as_operator(app, after, move |cx| restore(cx, name))
}

/// A session of `user` that was opened at [`START`].
fn session(user: &User, admin: bool) -> Actor {
    let mut actor = Actor::in_session(&user.id, admin);
    if let Who::Session {
        authenticated_at, ..
    } = &mut actor.who
    {
        *authenticated_at = Timestamp(START);
    }
    actor
}

fn names(app: &App, state: Option<State>) -> Vec<String> {
    let filter = Filter {
        state,
        ..Filter::default()
    };
    let page = as_operator(app, 0, move |cx| list(cx, &filter, None, 9)).unwrap();
    page.items.into_iter().map(|user| user.username).collect()
}

#[test]
fn a_deleted_account_is_found_only_by_who_looks_for_it_and_keeps_its_names() {
    let app = App::memory();
    add(&app, 0, admin("root"));
    add(&app, 1, whole("ivan"));
    let deleted = gone(&app, 5, "ivan").unwrap();
    assert_eq!(
        (deleted.state, deleted.deleted_at),
        (State::Deleted, Some(Timestamp(START + 5)))
    );
    assert_eq!(names(&app, None), ["root"]);
    assert_eq!(names(&app, Some(State::Deleted)), ["ivan"]);
    assert_eq!(find(&app, "ivan@example.org").unwrap(), deleted);
    let verbs: [Verb; 7] = [
        |cx| resolve(cx, "ivan"),
        |cx| update(cx, "ivan", &Changes::default()),
        |cx| rename(cx, "ivan", &"vanya".parse().unwrap()),
        |cx| disable(cx, "ivan", None),
        |cx| delete(cx, "ivan", None),
        |cx| grant(cx, "ivan", Role::Admin),
        |cx| revoke(cx, "ivan", Role::User),
    ];
    for verb in verbs {
        let refused = as_operator(&app, 6, verb);
        assert!(
            matches!(refused, Err(Error::NotFound { .. })),
            "{refused:?}"
        );
    }
    let refused = set_password(&app, &Actor::operator(), "ivan", NewPassword::None);
    assert!(matches!(refused, Err(Error::NotFound { .. })));
    let taken = create(&app, &Actor::operator(), new("Ivan"));
    assert!(matches!(taken, Err(Error::UsernameTaken)));
}

#[test]
fn a_deleted_account_comes_back_as_it_was_until_it_is_too_late() {
    let app = App::memory();
    let before = add(&app, 0, whole("ivan"));
    gone(&app, 5, "ivan").unwrap();
    let after = back(&app, 5 + 7 * DAY - 1, "ivan").unwrap();
    assert!(after.epoch > before.epoch, "what it had opened stays ended");
    let same = User {
        updated_at: after.updated_at,
        epoch: after.epoch,
        ..before
    };
    assert_eq!(after, same);
    assert_eq!(back(&app, 9, "ivan").unwrap(), after);
    as_operator(&app, 10, |cx| disable(cx, "ivan", Some("on leave"))).unwrap();
    gone(&app, 20, "ivan").unwrap();
    let after = back(&app, 30, "ivan").unwrap();
    assert_eq!(after.state, State::Disabled);
    assert_eq!(after.disabled_reason.as_deref(), Some("on leave"));
    gone(&app, 40, "ivan").unwrap();
    let late = back(&app, 40 + 7 * DAY, "ivan");
    assert!(matches!(late, Err(Error::Invalid { field: "user", .. })));
    assert!(matches!(
        back(&app, 40, "nobody"),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn who_wants_to_enable_a_deleted_account_is_told_that_it_is_deleted() {
    let app = App::memory();
    make(&app, whole("ivan"));
    gone(&app, DAY, "ivan").unwrap();
    let refused = as_operator(&app, DAY, |cx| enable(cx, "ivan")).unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
    assert!(refused.to_string().contains("deleted"), "{refused}");
    assert_eq!(find(&app, "ivan").unwrap().state, State::Deleted);
    let refused = as_operator(&app, DAY, |cx| enable(cx, "nobody")).unwrap_err();
    assert!(matches!(refused, Error::NotFound { .. }), "{refused:?}");
}

#[test]
fn the_last_administrator_is_not_deleted_and_a_disabled_one_is() {
    let app = App::memory();
    add(&app, 0, admin("first"));
    add(&app, 1, admin("second"));
    as_operator(&app, 2, |cx| disable(cx, "second", None)).unwrap();
    assert!(matches!(gone(&app, 3, "first"), Err(Error::LastAdmin)));
    gone(&app, 4, "second").unwrap();
    // Deleted ones do not count either.
    add(&app, 5, admin("third"));
    gone(&app, 6, "third").unwrap();
    assert!(matches!(gone(&app, 7, "first"), Err(Error::LastAdmin)));
    let own = app.at(
        Timestamp(START + 8),
        &session(&find(&app, "first").unwrap(), true),
        |cx| delete_own(cx, |_| Ok(())),
    );
    assert!(matches!(own, Err(Error::LastAdmin)));
}

#[test]
fn after_the_period_nothing_of_the_person_is_left_and_the_names_are_free() {
    let app = App::memory();
    add(&app, 0, admin("root"));
    let ivan = make(&app, whole("ivan"));
    add(&app, 1, new("maria"));
    gone(&app, 5, "ivan").unwrap();
    let at = |after: i64| Timestamp(START + after);
    let planned = |after| as_operator(&app, after, move |cx| erasable(cx, at(after))).unwrap();
    let oldest =
        |after| as_operator(&app, after, move |cx| oldest_erasable(cx, at(after))).unwrap();
    let erase = |after| as_operator(&app, after, move |cx| erase_some(cx, at(after), 10)).unwrap();
    let (early, due) = (5 + 7 * DAY - 1, 5 + 7 * DAY);
    assert_eq!((planned(early), oldest(early)), ((0, None), None));
    assert_eq!(erase(early).len(), 0);
    assert_eq!(planned(due), (1, Some(at(due))));
    assert_eq!(oldest(due), Some(at(due)));
    let erased = erase(due);
    assert_eq!((erased.len(), &erased[0].id), (1, &ivan.id));
    assert_eq!((planned(due), erase(due).len()), ((0, None), 0));

    let left = find(&app, &ivan.id).unwrap();
    let pseudonym = format!("deleted-{}", &ivan.id[..8]);
    let nothing = User {
        username: pseudonym,
        email: None,
        phone: None,
        name: None,
        locale: None,
        meta: None,
        roles: Vec::new(),
        has_password: false,
        state: State::Deleted,
        deleted_at: Some(at(5)),
        updated_at: at(due),
        epoch: left.epoch,
        ..ivan.clone()
    };
    assert_eq!(left, nothing);
    assert_eq!(names(&app, Some(State::Deleted)), [""; 0]);
    assert!(back(&app, due, "ivan").is_err());
    let id: &'static str = ivan.id.clone().leak();
    assert!(matches!(back(&app, due, id), Err(Error::Invalid { .. })));
    make(&app, whole("ivan"));
}

#[test]
fn two_accounts_of_the_same_minute_are_erased_though_their_pseudonyms_are_alike() {
    let app = App::memory();
    for name in ["ivan", "maria"] {
        add(&app, 0, new(name));
    }
    gone(&app, 1, "ivan").unwrap();
    gone(&app, 1, "maria").unwrap();
    let late = Timestamp(START + 30 * DAY);
    let erased = as_operator(&app, 30 * DAY, move |cx| erase_some(cx, late, 10)).unwrap();
    assert_eq!(erased.len(), 2);
}

#[test]
fn people_change_their_own_account_and_nobody_elses() {
    let app = App::memory();
    let ivan = add(&app, 0, whole("ivan"));
    let maria = add(&app, 1, new("maria"));
    let me = session(&ivan, false);
    let changes = Changes {
        name: Change::Set("Vanya".parse().unwrap()),
        locale: Change::Set("en-gb".parse().unwrap()),
        meta: Change::Set("{\"pet\":\"dog\"}".parse().unwrap()),
        phone: Change::Clear,
        ..Changes::default()
    };
    let at = Timestamp(START + 60_000);
    let named = {
        let changes = changes.clone();
        app.at(at, &me, move |cx| update_own(cx, &changes, |_| Ok(())))
    };
    let named = named.unwrap();
    assert_eq!(named.id, ivan.id);
    assert_eq!(named.name.as_deref(), Some("Vanya"));
    assert_eq!(named.locale.as_deref(), Some("en-GB"));
    assert_eq!(named.meta.as_ref().unwrap()["pet"], "dog");
    assert_eq!(named.phone, None);
    let own = app.at(at, &me, super::own).unwrap();
    assert_eq!(own, named);
    let hers = maria.id.clone();
    let refused = app.at(at, &me, move |cx| update(cx, &hers, &changes));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
    for refused in [
        app.at(at, &me, |cx| get(cx, "maria")).map(drop),
        app.at(at, &me, |cx| delete(cx, "maria", None)).map(drop),
        app.at(at, &me, |cx| grant(cx, "ivan", Role::Admin))
            .map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Forbidden { .. })));
    }
    // A token is no person, but may say whose it is.
    let of = |scopes: &str| {
        let mut actor = Actor::token(scopes);
        if let Who::Token { owner, .. } = &mut actor.who {
            *owner = Some(ivan.id.clone());
        }
        actor
    };
    let shown = app.at(at, &of("user:read"), super::own).unwrap();
    assert_eq!(shown, named);
    assert!(app.at(at, &of("course:read"), super::own).is_err());
    let refused = app.at(at, &of("user:*"), |cx| delete_own(cx, |_| Ok(())));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
}

#[test]
fn another_address_is_not_verified() {
    let app = App::memory();
    let ivan = add(&app, 0, whole("ivan"));
    let id = ivan.id.clone();
    as_operator(&app, 1, move |cx| store::verify_email(cx.tx, &id, cx.now)).unwrap();
    assert!(find(&app, "ivan").unwrap().email_verified);
    let change = |to: &str| {
        let changes = Changes {
            email: Change::Set(to.parse().unwrap()),
            ..Changes::default()
        };
        let me = session(&ivan, false);
        app.at(Timestamp(START + 2), &me, move |cx| {
            update_own(cx, &changes, |_| Ok(()))
        })
        .unwrap()
    };
    assert!(change("Ivan@example.org").email_verified);
    assert!(!change("vanya@example.org").email_verified);
}

#[test]
fn what_a_stolen_session_must_not_do_takes_a_login_of_the_last_ten_minutes() {
    let verbs: [(&str, Verb); 9] = [
        ("grant", |cx| grant(cx, "ivan", Role::Admin)),
        ("revoke", |cx| revoke(cx, "ivan", Role::User)),
        ("disable", |cx| disable(cx, "ivan", None)),
        ("enable", |cx| enable(cx, "ivan")),
        ("delete", |cx| delete(cx, "ivan", None)),
        ("restore", |cx| restore(cx, "ivan")),
        ("e-mail", |cx| {
            let changes = Changes {
                email: Change::Set("x@example.org".parse().unwrap()),
                ..Changes::default()
            };
            update(cx, "maria", &changes)
        }),
        ("administrator", |cx| insert_as(cx, vec![Role::Admin])),
        ("self", |cx| delete_own(cx, |_| Ok(()))),
    ];
    let app = App::memory();
    let root = add(&app, 0, admin("root"));
    add(&app, 0, admin("second"));
    add(&app, 0, new("ivan"));
    add(&app, 0, new("maria"));
    let me = session(&root, true);
    let minutes = |minutes: i64| Timestamp(START + minutes * 60_000);
    for (name, verb) in verbs {
        let late = app.at(Timestamp(minutes(10).0 + 1), &me, verb);
        assert!(matches!(late, Err(Error::ReauthenticationNeeded)), "{name}");
    }
    for (name, verb) in verbs {
        let done = app.at(minutes(10), &me, verb);
        assert!(done.is_ok(), "{name}: {done:?}");
    }
    // What is not dangerous needs none.
    let named = app.at(minutes(60), &me, |cx| {
        let changes = Changes {
            name: Change::Set("Maria".parse().unwrap()),
            ..Changes::default()
        };
        update(cx, "maria", &changes)?;
        insert_as(cx, Vec::new())
    });
    assert!(named.is_ok(), "{named:?}");
}

/// Makes an account as the second half of [`create`] does.
fn insert_as(cx: &mut Cx<'_, '_>, roles: Vec<Role>) -> Result<User> {
    let name = format!("new-{}", roles.len());
    let prepared = Prepared::plain(NewUser {
        roles,
        ..new(&name)
    });
    create_prepared(cx, &prepared)
}

fn open_to(registration: Registration) -> App {
    let word = match registration {
        Registration::Open => "open",
        Registration::Closed => "closed",
        Registration::Invitation => "invitation",
    };
    App::with(&[("PROVOST_AUTH_REGISTRATION", word)])
}

#[test]
fn everybody_makes_an_ordinary_account_for_themselves_if_that_is_allowed() {
    let register = |app: &App| {
        let wanted = NewUser {
            roles: vec![Role::Admin],
            ..whole("ivan")
        };
        let prepared = prepare_registration(app, &Actor::anonymous(), wanted)?;
        app.write(&Actor::anonymous(), move |cx| {
            create_prepared(cx, &prepared)
        })
    };
    let app = open_to(Registration::Open);
    assert_eq!(register(&app).unwrap().roles, [Role::User]);
    assert!(matches!(register(&app), Err(Error::UsernameTaken)));
    let closed = register(&open_to(Registration::Closed));
    assert!(matches!(closed, Err(Error::RegistrationClosed)));
    let invited = register(&open_to(Registration::Invitation));
    assert!(matches!(invited, Err(Error::InvitationNeeded)));
    let admin = prepare(&app, &Actor::anonymous(), new("root"));
    assert!(matches!(admin, Err(Error::Unauthenticated)));
}
