use super::create::insert;
use super::*;
use crate::app::{Actor, App, Kit};
use crate::password::PasswordHash;

/// An arbitrary instant; times below are counted from it.
pub(super) const START: i64 = 1_795_000_000_000;
/// bcrypt of "correct horse battery staple", so that most tests need not hash.
pub(super) const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";

pub(super) fn as_operator<T: Send + 'static>(
    app: &App,
    after: i64,
    f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    app.at(Timestamp(START + after), &Actor::operator(), f)
}

pub(super) fn new(username: &str) -> NewUser {
    NewUser::named(username.parse().unwrap())
}

pub(super) fn admin(username: &str) -> NewUser {
    NewUser {
        roles: vec![Role::Admin],
        ..new(username)
    }
}

pub(super) fn add(app: &App, after: i64, new: NewUser) -> User {
    as_operator(app, after, move |cx| insert(cx, &new, "none", None)).unwrap()
}

fn try_add(app: &App, new: NewUser) -> Result<User> {
    create(app, &Actor::operator(), new)
}

pub(super) fn find(app: &App, text: &str) -> Result<User> {
    let text = text.to_owned();
    as_operator(app, 0, move |cx| get(cx, &text))
}

fn change(app: &App, user: &str, changes: Changes) -> Result<User> {
    let user = user.to_owned();
    as_operator(app, 5, move |cx| update(cx, &user, &changes))
}

/// Actions and details in the log about users, the oldest first.
fn log(app: &App) -> Vec<(String, String)> {
    let filter = audit::Filter {
        object: Some("user:*".into()),
        ..audit::Filter::default()
    };
    let log = as_operator(app, 0, move |cx| audit::list(cx, &filter, None, 100)).unwrap();
    let rows = log.items.into_iter().rev();
    rows.map(|row| (row.action, row.details.unwrap_or_default().to_string()))
        .collect()
}

pub(super) fn actions(app: &App) -> Vec<String> {
    log(app).into_iter().map(|(action, _)| action).collect()
}

#[test]
fn a_new_account_is_active_ordinary_and_without_a_password_unless_told_otherwise() {
    let app = App::memory();
    let user = add(&app, 0, new("Maria"));
    assert_eq!(
        (user.state, user.roles.as_slice()),
        (State::Active, &[Role::User][..])
    );
    assert_eq!(
        (user.username.as_str(), user.has_password),
        ("Maria", false)
    );
    assert_eq!(
        (user.created_at, user.updated_at),
        (Timestamp(START), Timestamp(START))
    );
    assert_eq!(find(&app, &user.id).unwrap(), user);
}

#[test]
fn refuses_a_second_account_for_the_same_name_address_or_number() {
    let app = App::memory();
    let full = |username: &str, email: &str, phone: &str| NewUser {
        email: Some(email.parse().unwrap()),
        phone: Some(phone.parse().unwrap()),
        ..new(username)
    };
    try_add(&app, full("maria", "m@x.org", "+375291234567")).unwrap();
    let refused = |new| try_add(&app, new).unwrap_err();
    assert!(matches!(
        refused(full("MARIA", "n@x.org", "+375291234560")),
        Error::UsernameTaken
    ));
    assert!(matches!(
        refused(full("ivan", "M@X.org", "+375291234560")),
        Error::EmailTaken
    ));
    assert!(matches!(
        refused(full("ivan", "n@x.org", "+375 29 123-45-67")),
        Error::PhoneTaken
    ));
    assert_eq!(actions(&app), ["user.created"]);
}

#[test]
fn changing_to_what_belongs_to_somebody_else_is_refused_and_to_ones_own_is_not() {
    let app = App::memory();
    for name in ["maria", "ivan"] {
        let email = format!("{name}@x.org").parse().ok();
        add(&app, 0, NewUser { email, ..new(name) });
    }
    let email = |text: &str| Changes {
        email: Change::Set(text.parse().unwrap()),
        ..Changes::default()
    };
    assert!(matches!(
        change(&app, "ivan", email("Maria@x.org")),
        Err(Error::EmailTaken)
    ));
    let to = |name: &'static str| {
        as_operator(&app, 1, move |cx| {
            rename(cx, "ivan", &name.parse().unwrap())
        })
    };
    assert!(matches!(to("Maria"), Err(Error::UsernameTaken)));
    assert_eq!(to("IVAN").unwrap().username, "IVAN");
    assert_eq!(find(&app, "ivan").unwrap().username, "IVAN");
}

#[test]
fn what_is_not_named_stays_and_what_is_cleared_goes() {
    let app = App::memory();
    let name: Option<FullName> = "Maria Petrova".parse().ok();
    let phone = "+375291234567".parse().ok();
    let old = add(
        &app,
        0,
        NewUser {
            phone,
            name,
            ..new("maria")
        },
    );
    let changes = Changes {
        email: Change::Set("m@x.org".parse().unwrap()),
        phone: Change::Clear,
        ..Changes::default()
    };
    let after = change(&app, "maria", changes).unwrap();
    assert_eq!(
        after,
        User {
            email: Some("m@x.org".into()),
            phone: None,
            updated_at: Timestamp(START + 5),
            ..old
        }
    );
    let last = log(&app).pop().unwrap();
    assert_eq!(last.0, "user.updated");
    assert_eq!(last.1, r#"{"changed":["email","phone"]}"#);
}

#[test]
fn doing_what_is_done_already_changes_nothing_and_leaves_no_trace() {
    let app = App::memory();
    add(&app, 0, admin("root"));
    let email = "m@x.org".parse().ok();
    add(
        &app,
        0,
        NewUser {
            email,
            ..new("maria")
        },
    );
    as_operator(&app, 1, |cx| disable(cx, "maria", Some("left"))).unwrap();
    let before = (find(&app, "maria").unwrap(), actions(&app));
    let changes = Changes {
        email: Change::Set("M@x.org".parse().unwrap()),
        phone: Change::Clear,
        name: Change::Clear,
        locale: Change::Clear,
        meta: Change::Clear,
    };
    change(&app, "maria", changes).unwrap();
    as_operator(&app, 9, |cx| {
        rename(cx, "maria", &"maria".parse().unwrap())?;
        disable(cx, "maria", Some("another reason"))?;
        enable(cx, "root")?;
        grant(cx, "maria", Role::User)?;
        revoke(cx, "maria", Role::Admin)
    })
    .unwrap();
    set_password(&app, &Actor::operator(), "maria", NewPassword::None).unwrap();
    assert_eq!((find(&app, "maria").unwrap(), actions(&app)), before);
}

#[test]
fn an_enabled_administrator_always_remains() {
    let app = App::memory();
    add(&app, 0, admin("first"));
    add(&app, 1, admin("second"));
    add(&app, 2, new("ivan"));
    let disable = |name: &'static str| as_operator(&app, 3, move |cx| disable(cx, name, None));
    let demote = |name: &'static str| as_operator(&app, 3, move |cx| revoke(cx, name, Role::Admin));
    disable("first").unwrap();
    assert!(matches!(disable("second"), Err(Error::LastAdmin)));
    assert!(matches!(demote("second"), Err(Error::LastAdmin)));
    // Disabled administrators do not count, so that one of them is free to lose the role.
    demote("first").unwrap();
    disable("ivan").unwrap();
    as_operator(&app, 4, |cx| enable(cx, "first")).unwrap();
    assert!(matches!(disable("second"), Err(Error::LastAdmin)));
    as_operator(&app, 4, |cx| grant(cx, "first", Role::Admin)).unwrap();
    demote("second").unwrap();
    assert!(matches!(disable("first"), Err(Error::LastAdmin)));
}

#[test]
fn all_administrators_cannot_be_disabled_in_one_transaction_either() {
    let app = App::memory();
    add(&app, 0, admin("first"));
    add(&app, 1, admin("second"));
    let both = as_operator(&app, 2, |cx| {
        disable(cx, "first", None)?;
        disable(cx, "second", None)
    });
    assert!(matches!(both, Err(Error::LastAdmin)));
    assert_eq!(find(&app, "first").unwrap().state, State::Active);
}

#[test]
fn a_disabled_account_says_why_until_it_is_enabled() {
    let app = App::memory();
    add(&app, 0, new("ivan"));
    let off = as_operator(&app, 1, |cx| disable(cx, "ivan", Some("left the company"))).unwrap();
    assert_eq!(off.state, State::Disabled);
    assert_eq!(off.disabled_reason.as_deref(), Some("left the company"));
    let on = as_operator(&app, 2, |cx| enable(cx, "ivan")).unwrap();
    assert_eq!((on.state, on.disabled_reason), (State::Active, None));
    assert_eq!(
        actions(&app),
        ["user.created", "user.disabled", "user.enabled"]
    );
    for reason in [String::new(), "a\nb".into(), "x".repeat(201)] {
        let refused = as_operator(&app, 3, move |cx| disable(cx, "ivan", Some(&reason)));
        assert!(matches!(
            refused,
            Err(Error::Invalid {
                field: "reason",
                ..
            })
        ));
    }
}

fn verified(app: &App, user: &str, password: &str) -> bool {
    let user = find(app, user).unwrap();
    let stored = as_operator(app, 0, move |cx| store::password_hash(cx.tx, &user.id)).unwrap();
    let Kit { hasher, .. } = app.kit();
    let verdict = hasher.verify(&password.parse().unwrap(), stored.as_ref());
    verdict.unwrap().matches
}

#[test]
fn a_chosen_password_is_stored_as_a_hash_and_can_be_replaced_and_taken_away() {
    let app = App::memory();
    let text = |text: &str| NewPassword::Text(text.parse().unwrap());
    let password = text("correct horse battery staple");
    let user = try_add(
        &app,
        NewUser {
            password,
            ..new("maria")
        },
    )
    .unwrap();
    assert!(user.has_password);
    assert!(verified(&app, "maria", "correct horse battery staple"));
    let set = |password| set_password(&app, &Actor::operator(), "maria", password).unwrap();
    set(text("another long password"));
    assert!(verified(&app, "maria", "another long password"));
    set(NewPassword::Hash(PasswordHash::parse(HASH).unwrap()));
    assert!(verified(&app, "maria", "correct horse battery staple"));
    assert!(!set(NewPassword::None).has_password);
    assert!(!verified(&app, "maria", "correct horse battery staple"));
    let log = log(&app);
    assert_eq!(log.len(), 4);
    let all = format!("{log:?}");
    assert!(!all.contains("staple") && !all.contains("argon2") && !all.contains("$2b"));
}

#[test]
fn a_password_that_is_easy_to_guess_is_refused_before_anything_is_written() {
    let app = App::memory();
    for text in [
        "short",
        "qwerty123456",
        "petrova-maria",
        "375291234567",
        "provost12345",
    ] {
        let refused = try_add(
            &app,
            NewUser {
                name: "Maria Petrova".parse().ok(),
                phone: "+375291234567".parse().ok(),
                password: NewPassword::Text(text.parse().unwrap()),
                ..new("mp")
            },
        );
        assert!(
            matches!(
                refused,
                Err(Error::Invalid {
                    field: "password",
                    ..
                })
            ),
            "{text}"
        );
    }
    add(&app, 0, new("petrovna"));
    let own = NewPassword::Text("Petrovna2026".parse().unwrap());
    let refused = set_password(&app, &Actor::operator(), "petrovna", own);
    assert!(matches!(
        refused,
        Err(Error::Invalid {
            field: "password",
            ..
        })
    ));
    assert_eq!(actions(&app), ["user.created"]);
}

#[test]
fn every_verb_asks_for_its_scope() {
    let app = App::memory();
    add(&app, 0, admin("root"));
    add(&app, 0, new("maria"));
    let read = |actor: &Actor| {
        let attempts = [
            app.at(Timestamp(START), actor, |cx| get(cx, "maria"))
                .map(drop),
            app.at(Timestamp(START), actor, |cx| grants(cx, "maria"))
                .map(drop),
            app.at(Timestamp(START), actor, |cx| {
                list(cx, &Filter::default(), None, 1)
            })
            .map(drop),
        ];
        attempts.map(|attempt| attempt.is_ok())
    };
    let write = |actor: &Actor| {
        let at = Timestamp(START);
        let hash = NewPassword::Hash(PasswordHash::parse(HASH).unwrap());
        let other = "m".parse::<Username>().unwrap();
        let attempts = [
            create(&app, actor, new("another")).map(drop),
            set_password(&app, actor, "maria", hash).map(drop),
            app.at(at, actor, |cx| update(cx, "maria", &Changes::default()))
                .map(drop),
            app.at(at, actor, |cx| revoke(cx, "maria", Role::User))
                .map(drop),
            app.at(at, actor, |cx| grant(cx, "maria", Role::User))
                .map(drop),
            app.at(at, actor, |cx| disable(cx, "maria", None)).map(drop),
            app.at(at, actor, |cx| enable(cx, "maria")).map(drop),
            app.at(at, actor, move |cx| rename(cx, "maria", &other))
                .map(drop),
        ];
        attempts.map(|attempt| attempt.is_ok())
    };
    let (reader, writer) = (Actor::token("user:read"), Actor::token("user:write"));
    assert_eq!((read(&reader), write(&reader)), ([true; 3], [false; 8]));
    assert_eq!(read(&writer), [false; 3]);
    assert_eq!(read(&Actor::anonymous()), [false; 3]);
    assert_eq!(write(&Actor::anonymous()), [false; 8]);
    assert_eq!(actions(&app).len(), 2);
    assert_eq!(write(&writer), [true; 8]);
}

#[test]
fn each_change_leaves_one_row_in_the_log() {
    let app = App::memory();
    add(&app, 0, admin("root"));
    as_operator(&app, 1, |cx| {
        rename(cx, "root", &"boss".parse().unwrap())?;
        grant(cx, "boss", Role::User)
    })
    .unwrap();
    as_operator(&app, 2, |cx| revoke(cx, "boss", Role::User)).unwrap();
    let expected = [
        ("user.created", r#"{"roles":["admin"],"password":"none"}"#),
        ("user.updated", r#"{"changed":["username"]}"#),
        ("user.role_granted", r#"{"role":"user"}"#),
        ("user.role_revoked", r#"{"role":"user"}"#),
    ];
    let expected = expected.map(|(action, details)| (action.to_owned(), details.to_owned()));
    assert_eq!(log(&app), expected);
    let user = find(&app, "boss").unwrap();
    assert_eq!(user.updated_at, Timestamp(START + 2));
    let grants = as_operator(&app, 2, |cx| grants(cx, "boss")).unwrap();
    let granted_at = Timestamp(START);
    assert_eq!(
        grants,
        [Grant {
            role: Role::Admin,
            granted_at
        }]
    );
}
