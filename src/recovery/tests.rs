use super::*;
use crate::app::Who;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::tokens::Reason;
use crate::users::{NewUser, Role};

const START: i64 = 1_795_000_000_000;
const MINUTE: i64 = 60_000;
pub(super) const PASSWORD: &str = "correct horse battery staple";

fn at(minutes: i64) -> Timestamp {
    Timestamp(START + minutes * MINUTE)
}

/// An app that sends mail, where `root` is the administrator and `maria` an ordinary user.
pub(super) fn app() -> App {
    app_with(&[("PROVOST_THROTTLE_ADDRESS_PER_HOUR", "0")])
}

fn app_with(more: &[(&str, &str)]) -> App {
    let usual = [
        ("PROVOST_SMTP_HOST", "127.0.0.1"),
        ("PROVOST_SMTP_TLS", "none"),
        ("PROVOST_SMTP_FROM", "desk@example.org"),
        ("PROVOST_SERVER_PUBLIC_URL", "https://auth.example.org"),
        ("PROVOST_AUTH_RESET_URL", "/reset#{token}"),
        ("PROVOST_PASSWORD_HASH_SLOTS", "1"),
    ];
    let app = App::with(&[&usual[..], more].concat());
    for (name, email, role) in [
        ("root", "root@example.org", Role::Admin),
        ("maria", "maria@example.org", Role::User),
    ] {
        let new = NewUser {
            email: Some(email.parse().unwrap()),
            roles: vec![role],
            ..NewUser::named(name.parse().unwrap())
        };
        users::create(&app, &Actor::operator(), new).unwrap();
    }
    app
}

pub(super) fn id(app: &App, name: &str) -> String {
    let name = name.to_owned();
    let user = app.read(&Actor::operator(), |cx| users::get(cx, &name));
    user.unwrap().id
}

/// A session of a user who has just logged in.
pub(super) fn fresh(app: &App, name: &str) -> Actor {
    Actor {
        who: Who::Session {
            id: "0".into(),
            user: id(app, name),
            username: "x".into(),
            roles: "user".into(),
            admin: false,
            authenticated_at: Timestamp(i64::MAX),
        },
        ..Actor::anonymous()
    }
}

pub(super) fn number(app: &App, sql: &str) -> i64 {
    let row = app.db().read(|tx| tx.first(sql, &[]));
    row.unwrap().unwrap().int("n").unwrap()
}

pub(super) fn script(app: &App, sql: &str) {
    let sql = sql.to_owned();
    app.db().write(move |tx| tx.script(&sql)).unwrap();
}

fn epoch(app: &App, name: &str) -> i64 {
    let sql = format!("SELECT security_epoch AS n FROM users WHERE username_key = '{name}'");
    number(app, &sql)
}

/// The token in the last mail to this address.
fn mailed(app: &App, to: &str) -> Option<String> {
    let mails = app.write(&Actor::operator(), |cx| Ok(outbox::waiting(cx)));
    let (_, text) = mails.unwrap().into_iter().rev().find(|mail| mail.0 == to)?;
    let (_, token) = tokens::find(text.as_bytes()).next()?;
    Some(token.to_owned())
}

fn forget(app: &App, login: &str) -> Option<String> {
    forgot(app, &Actor::anonymous(), login).unwrap();
    mailed(app, "maria@example.org")
}

fn reset_with(app: &App, token: &str, password: &str) -> Result<()> {
    let token = Secret::new(token.to_owned());
    reset(app, &Actor::anonymous(), &token, password.parse().unwrap())
}

pub(super) fn is_bad<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result.unwrap_err(), Error::Invalid { field: "token", .. })
}

const TABLES: [&str; 6] = [
    "users",
    "tokens",
    "audit_events",
    "outbox_messages",
    "idempotency_keys",
    "totp_factors",
];

fn rows(app: &App) -> [i64; 6] {
    TABLES.map(|table| number(app, &format!("SELECT COUNT(*) AS n FROM {table}")))
}

#[test]
fn whoever_forgot_the_password_gets_a_link_and_chooses_another() {
    let app = app();
    let token = forget(&app, "MARIA").unwrap();
    assert!(token.starts_with("pvp_"));
    let before = epoch(&app, "maria");
    reset_with(&app, &token, PASSWORD).unwrap();
    assert_eq!(epoch(&app, "maria"), before + 1);
    let hashes = "SELECT COUNT(*) AS n FROM users WHERE password_hash IS NOT NULL";
    assert_eq!(number(&app, hashes), 1);
    let proved = "SELECT COUNT(*) AS n FROM users WHERE email_verified_at IS NOT NULL";
    assert_eq!(number(&app, proved), 1, "it came by mail");
    assert!(is_bad(reset_with(&app, &token, PASSWORD)), "once");
    let mails = app
        .write(&Actor::operator(), |cx| Ok(outbox::waiting(cx)))
        .unwrap();
    assert!(mails[0].1.contains("https://auth.example.org/reset#pvp_"));
    assert!(mails[1].1.contains("was changed"));
}

#[test]
fn what_a_new_password_ended_says_when() {
    let app = app();
    let (maria, hash) = (
        id(&app, "maria"),
        "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    );
    let hash = crate::password::PasswordHash::parse(hash).unwrap();
    let operator = Actor::operator();
    app.at(at(0), &operator, |cx| {
        let owner = Some("maria".to_owned());
        let new = tokens::NewToken {
            owner,
            ..tokens::NewToken::of(Kind::Api)
        };
        tokens::create(cx, &new)
    })
    .unwrap();
    app.at(at(5), &operator, move |cx| {
        users::replace_password(cx, &maria, Some(&hash))
    })
    .unwrap();
    let (tokens, gone) = app
        .at(at(9), &operator, |cx| {
            let all = tokens::list(cx, &tokens::Filter::default(), None, 9)?;
            Ok((all.items, tokens::gone(cx, None, at(5))?.revoked))
        })
        .unwrap();
    assert_eq!(tokens[0].revoked_at, Some(at(5)));
    assert_eq!(gone, 1, "it can be purged");
}

#[test]
fn a_name_that_nobody_has_writes_as_many_rows_and_sends_nothing() {
    let app = app();
    let grown = |login: &str| {
        let before = rows(&app);
        forgot(&app, &Actor::anonymous(), login).unwrap();
        let after = rows(&app);
        std::array::from_fn::<_, 6, _>(|table| after[table] - before[table])
    };
    let known = grown("maria@example.org");
    assert_eq!(known, [0, 1, 2, 1, 0, 0]);
    let waiting = || {
        let mails = app.write(&Actor::operator(), |cx| Ok(outbox::waiting(cx)));
        mails.unwrap().len()
    };
    let before = waiting();
    script(
        &app,
        "UPDATE users SET state = 'disabled' WHERE username = 'root'",
    );
    for nobody in [
        "nobody",
        "nobody@example.org",
        "+375291234567",
        "root",
        "",
        "a b",
        &"x".repeat(300),
    ] {
        assert_eq!(grown(nobody), known, "{nobody}");
    }
    script(
        &app,
        "UPDATE users SET email = NULL WHERE username = 'maria'",
    );
    assert_eq!(grown("maria"), known, "somebody without an address");
    assert_eq!(waiting(), before);
    let live = "SELECT COUNT(*) AS n FROM tokens WHERE revoked_at IS NULL";
    assert_eq!(number(&app, live), 1, "the others open nothing");
}

#[test]
fn an_id_is_no_name_to_ask_by() {
    let app = app();
    let id = id(&app, "maria");
    assert_eq!(forget(&app, &id), None);
}

#[test]
fn a_link_ends_with_its_time_its_use_its_address_and_whatever_ends_all() {
    type Way = (&'static str, fn(&App));
    let app = app();
    let ways: [Way; 5] = [
        ("expired", |app| {
            script(app, "UPDATE tokens SET expires_at = 1");
        }),
        ("another reset", |app| {
            let other = forget(app, "maria").unwrap();
            reset_with(app, &other, PASSWORD).unwrap();
        }),
        ("another address", |app| {
            script(
                app,
                "UPDATE users SET email = 'm@example.org' WHERE username = 'maria'",
            );
        }),
        ("everything ended", |app| {
            let id = id(app, "maria");
            app.write(&Actor::operator(), move |cx| users::end_everything(cx, &id))
                .unwrap();
        }),
        ("disabled", |app| {
            app.write(&Actor::operator(), |cx| users::disable(cx, "maria", None))
                .unwrap();
        }),
    ];
    for (what, end) in ways {
        script(&app, "DELETE FROM outbox_messages; DELETE FROM tokens;
            UPDATE users SET email = 'maria@example.org', state = 'active' WHERE username = 'maria'");
        let token = forget(&app, "maria").unwrap();
        end(&app);
        assert!(is_bad(reset_with(&app, &token, PASSWORD)), "{what}");
    }
}

#[test]
fn of_many_who_use_one_link_at_once_one_sets_the_password() {
    let app = app();
    let token = forget(&app, "maria").unwrap();
    let done = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..20)
            .map(|n| {
                let (app, token) = (&app, &token);
                scope.spawn(move || reset_with(app, token, &format!("{PASSWORD} {n}")).is_ok())
            })
            .collect();
        let ended = tries.into_iter().map(|one| one.join().unwrap());
        ended.filter(|done| *done).count()
    });
    assert_eq!(done, 1);
    assert_eq!(epoch(&app, "maria"), 1);
}

#[test]
fn a_password_against_the_rules_leaves_the_link_as_good_as_before() {
    let app = app();
    let token = forget(&app, "maria").unwrap();
    for bad in ["short", "qwerty123456", "maria-maria-2026"] {
        let refused = reset_with(&app, &token, bad).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::Invalid {
                    field: "password",
                    ..
                }
            ),
            "{refused}"
        );
    }
    reset_with(&app, &token, PASSWORD).unwrap();
}

#[test]
fn a_link_is_good_for_its_own_purpose_only() {
    let app = app();
    let operator = Actor::operator();
    let reset_link = forget(&app, "maria").unwrap();
    let (_, invitation, _) = app
        .write(&operator, |cx| {
            invite(cx, &"anna@example.org".parse()?, &[], None)
        })
        .unwrap();
    let (_, login, _) = app
        .write(&operator, |cx| login_link(cx, "maria", Order::default()))
        .unwrap();
    let maria = fresh(&app, "maria");
    ask_again(&app, &maria).unwrap();
    let verify = mailed(&app, "maria@example.org").unwrap();
    for text in [&reset_link, invitation.expose(), login.expose(), &verify] {
        let is_reset = *text == reset_link;
        assert!(
            is_reset || is_bad(reset_with(&app, text, PASSWORD)),
            "{text}"
        );
        let shown = text.clone();
        let verified = app.write(&Actor::anonymous(), move |cx| {
            verify_email(cx, &shown)?;
            Err::<(), _>(Error::Cancelled)
        });
        assert_eq!(matches!(verified, Err(Error::Cancelled)), *text == verify);
        let token = Secret::new(text.clone());
        let new = NewUser::named("eve".parse().unwrap());
        let is_invitation = text == invitation.expose();
        let entered = prepare_invited(&app, &Actor::anonymous(), token, new).is_ok();
        assert_eq!(entered, is_invitation, "{text}");
        // Nor do the API and its general questions take it (rule 18).
        let shown = text.clone();
        let opened = app.write(&Actor::anonymous(), move |cx| {
            tokens::authenticate(cx, &shown)
        });
        assert!(matches!(opened, Err(Error::Unauthenticated)));
        let shown = text.clone();
        let (asked, consumed, looked) = app
            .write(&operator, move |cx| {
                Ok((
                    tokens::introspect(cx, &shown)?.is_some(),
                    tokens::consume(cx, &shown)?.reason,
                    tokens::lookup(cx, &shown)?.reason,
                ))
            })
            .unwrap();
        assert_eq!(
            (asked, consumed, looked),
            (false, Reason::Unknown, Reason::Ok)
        );
        let renewed = app.write(&operator, {
            let id = text[4..15].to_owned();
            move |cx| tokens::renew(cx, &id, None)
        });
        assert!(renewed.is_err(), "{text}");
    }
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_open()) {
        let made = app.write(&operator, move |cx| {
            tokens::create(cx, &tokens::NewToken::of(kind))
        });
        assert!(
            matches!(made, Err(Error::Invalid { field: "kind", .. })),
            "{kind}"
        );
    }
}

#[test]
fn an_address_is_confirmed_by_the_link_that_was_sent_to_it() {
    let app = app();
    let maria = fresh(&app, "maria");
    ask_again(&app, &maria).unwrap();
    let first = mailed(&app, "maria@example.org").unwrap();
    ask_again(&app, &maria).unwrap();
    let second = mailed(&app, "maria@example.org").unwrap();
    let verify = |token: &str| {
        let token = token.to_owned();
        app.write(&Actor::anonymous(), move |cx| verify_email(cx, &token))
    };
    assert!(is_bad(verify(&first)), "a newer one was sent");
    verify(&second).unwrap();
    assert!(is_bad(verify(&second)), "once");
    let again = ask_again(&app, &maria).unwrap_err();
    assert!(again.to_string().contains("confirmed already"), "{again}");
    let anonymous = ask_again(&app, &Actor::anonymous());
    assert!(matches!(anonymous, Err(Error::Unauthenticated)));
}

#[test]
fn a_new_address_is_asked_to_be_confirmed_and_the_old_ones_link_is_dead() {
    let app = app();
    let maria = fresh(&app, "maria");
    ask_again(&app, &maria).unwrap();
    let old = mailed(&app, "maria@example.org").unwrap();
    script(
        &app,
        "UPDATE users SET email = 'm@example.org' WHERE username = 'maria'",
    );
    let shown = old.clone();
    let dead = app.write(&Actor::anonymous(), move |cx| verify_email(cx, &shown));
    assert!(is_bad(dead));
    app.write(&maria, |cx| {
        let user = users::resolve(cx, "maria")?;
        address_changed(cx, Some("maria@example.org"), &user)
    })
    .unwrap();
    let new = mailed(&app, "m@example.org").unwrap();
    app.write(&Actor::anonymous(), move |cx| verify_email(cx, &new))
        .unwrap();
}

#[test]
fn whoever_is_invited_makes_an_account_with_the_address_and_roles_of_the_invitation() {
    let app = app();
    let operator = Actor::operator();
    let (invitation, token, page) = app
        .write(&operator, |cx| {
            invite(
                cx,
                &"anna@example.org".parse()?,
                &[Role::Admin, Role::User],
                None,
            )
        })
        .unwrap();
    assert_eq!((invitation.mailed, page.is_some()), (true, false));
    assert_eq!(mailed(&app, "anna@example.org").unwrap(), *token.expose());
    let new = || NewUser {
        password: users::NewPassword::Text(PASSWORD.parse().unwrap()),
        ..NewUser::named("anna".parse().unwrap())
    };
    let register = |new: NewUser| {
        let anonymous = Actor::anonymous();
        let invited = prepare_invited(&app, &anonymous, token.clone(), new)?;
        app.write(&anonymous, move |cx| register_invited(cx, &invited))
    };
    let other = NewUser {
        email: Some("eve@example.org".parse().unwrap()),
        ..new()
    };
    assert!(matches!(
        register(other),
        Err(Error::Invalid { field: "email", .. })
    ));
    let clash = NewUser {
        username: "maria".parse().unwrap(),
        ..new()
    };
    assert!(matches!(register(clash), Err(Error::UsernameTaken)));
    let anna = register(new()).unwrap();
    assert_eq!(anna.email.as_deref(), Some("anna@example.org"));
    assert_eq!(anna.roles, [Role::Admin, Role::User]);
    assert!(anna.has_password);
    assert!(anna.email_verified);
    let twice = NewUser {
        username: "anna2".parse().unwrap(),
        ..new()
    };
    assert!(is_bad(register(twice)));
    let again = app.write(&operator, |cx| {
        invite(cx, &"anna@example.org".parse()?, &[], None)
    });
    assert!(matches!(again, Err(Error::EmailTaken)));
}

#[test]
fn no_token_invites_an_administrator_or_makes_a_login_link_for_one() {
    let app = app();
    let token = Actor::token("user:write");
    let refused =
        |error: Error| matches!(error, Error::Forbidden { needs } if needs == "role:admin");
    let invited = app.write(&token, |cx| {
        invite(cx, &"a@example.org".parse()?, &[Role::Admin], None)
    });
    assert!(refused(invited.unwrap_err()));
    let let_in = app.write(&token, |cx| login_link(cx, "root", Order::default()));
    assert!(refused(let_in.unwrap_err()));
    app.write(&token, |cx| {
        invite(cx, &"a@example.org".parse()?, &[Role::User], None)?;
        login_link(cx, "maria", Order::default())
    })
    .unwrap();
}

#[test]
fn only_who_may_write_users_invites_or_lets_in_and_not_for_long() {
    let app = app();
    for actor in [
        Actor::anonymous(),
        Actor::session("x", false),
        Actor::token("user:read"),
    ] {
        let invited = app.write(&actor, |cx| {
            invite(cx, &"a@example.org".parse()?, &[], None)
        });
        assert!(matches!(
            invited,
            Err(Error::Forbidden { .. } | Error::Unauthenticated)
        ));
        let let_in = app.write(&actor, |cx| login_link(cx, "maria", Order::default()));
        assert!(matches!(
            let_in,
            Err(Error::Forbidden { .. } | Error::Unauthenticated)
        ));
        let rescued = rescue(&app, &actor, Some("maria"), With::Password);
        assert!(matches!(rescued, Err(Error::Forbidden { .. })));
    }
    let rescued = rescue(
        &app,
        &Actor::session("x", true),
        Some("maria"),
        With::Password,
    );
    assert!(
        matches!(rescued, Err(Error::Forbidden { .. })),
        "not over HTTP"
    );
    let operator = Actor::operator();
    let ttl = |text: &str| Some(text.parse().unwrap());
    for (life, good) in [("30d", true), ("31d", false), ("30s", false)] {
        let life = ttl(life);
        let made = app.write(&operator, move |cx| {
            invite(cx, &"a@example.org".parse()?, &[], life)
        });
        assert_eq!(made.is_ok(), good);
    }
    for (life, good) in [("1h", true), ("61m", false), ("0s", false)] {
        let order = Order {
            ttl: ttl(life),
            mail: false,
        };
        let made = app.write(&operator, move |cx| login_link(cx, "maria", order));
        assert_eq!(made.is_ok(), good, "{life}");
    }
}

#[test]
fn a_login_link_is_for_an_account_that_can_be_used_and_may_go_by_mail() {
    let app = app();
    let operator = Actor::operator();
    let order = Order {
        ttl: None,
        mail: true,
    };
    let (link, token, _) = app
        .at(at(0), &operator, move |cx| login_link(cx, "maria", order))
        .unwrap();
    assert_eq!((link.username.as_str(), link.expires_at), ("maria", at(15)));
    assert_eq!(mailed(&app, "maria@example.org").unwrap(), *token.expose());
    app.write(&operator, |cx| users::disable(cx, "maria", None))
        .unwrap();
    let refused = app.write(&operator, |cx| login_link(cx, "maria", Order::default()));
    assert!(matches!(refused, Err(Error::Invalid { field: "user", .. })));
}

#[test]
fn the_rescue_mends_whatever_keeps_an_administrator_out() {
    let app = app();
    let operator = Actor::operator();
    app.write(&operator, |cx| users::disable(cx, "maria", None))
        .unwrap();
    let before = epoch(&app, "maria");
    let plan = app
        .read(&operator, |cx| {
            plan_rescue(cx, Some("maria"), With::Password)
        })
        .unwrap();
    assert_eq!(plan.steps.len(), 4, "{:?}", plan.steps);
    let rescued = rescue(&app, &operator, Some("maria"), With::Password).unwrap();
    assert_eq!(rescued.user.roles, [Role::Admin, Role::User]);
    assert_eq!(rescued.user.state, State::Active);
    assert!(epoch(&app, "maria") > before);
    assert_eq!(rescued.secret.expose().len(), 24);
    assert!(!format!("{rescued:?}").contains(rescued.secret.expose()));
    let log = app.read(&operator, |cx| {
        let filter = audit::Filter {
            action: Some("admin.rescued".into()),
            ..audit::Filter::default()
        };
        audit::list(cx, &filter, None, 9)
    });
    assert_eq!(log.unwrap().items.len(), 1);
}

#[test]
fn the_rescue_makes_an_administrator_where_there_is_none_of_that_name() {
    let app = app();
    let operator = Actor::operator();
    let rescued = rescue(&app, &operator, Some("olga"), With::LoginLink).unwrap();
    assert_eq!(rescued.user.roles, [Role::Admin]);
    assert!(!rescued.user.has_password);
    assert!(rescued.secret.expose().starts_with("pvl_"));
    let unnamed = rescue(&app, &operator, None, With::Password).unwrap_err();
    assert!(unnamed.to_string().contains("several"), "{unnamed}");
    let odd = rescue(&app, &operator, Some("no@example.org"), With::Password);
    assert!(matches!(odd, Err(Error::NotFound { .. })));
    app.write(&operator, |cx| users::revoke(cx, "olga", Role::Admin))
        .unwrap();
    let only = rescue(&app, &operator, None, With::Password).unwrap();
    assert_eq!(only.user.username, "root");
}

#[test]
fn no_link_is_in_the_log() {
    let app = app();
    let token = forget(&app, "maria").unwrap();
    reset_with(&app, &token, PASSWORD).unwrap();
    let log = app
        .read(&Actor::operator(), |cx| {
            audit::list(cx, &audit::Filter::default(), None, 200)
        })
        .unwrap();
    let log = serde_json::to_string(&log.items).unwrap();
    assert!(log.contains("user.password_reset"));
    for hidden in [&token[15..45], PASSWORD, "example.org", "argon2"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}

fn arrival(token: &Secret<String>, otp: Option<&str>) -> Arrival {
    Arrival {
        token: token.clone(),
        otp: otp.map(|otp| Secret::new(otp.to_owned())),
        ip: None,
        client: None,
    }
}

pub(super) fn come(app: &App, token: &Secret<String>, otp: Option<&str>) -> Result<Result<()>> {
    let arrival = arrival(token, otp);
    app.write(&Actor::anonymous(), move |cx| {
        enter(cx, &arrival).map(|answer| answer.map(|_| ()))
    })
}

pub(super) fn let_in(app: &App) -> Secret<String> {
    let made = app.write(&Actor::operator(), |cx| {
        login_link(cx, "maria", Order::default())
    });
    made.unwrap().1
}

#[test]
fn a_login_link_opens_one_session() {
    let app = app();
    let token = let_in(&app);
    come(&app, &token, None).unwrap().unwrap();
    assert!(is_bad(come(&app, &token, None)));
    assert_eq!(number(&app, "SELECT COUNT(*) AS n FROM sessions"), 1);
    let methods = "SELECT COUNT(*) AS n FROM sessions WHERE methods = 'login_link'";
    assert_eq!(number(&app, methods), 1);
    let token = let_in(&app);
    let opened = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| matches!(come(&app, &token, None), Ok(Ok(())))))
            .collect();
        let ended = tries.into_iter().map(|one| one.join().unwrap());
        ended.filter(|done| *done).count()
    });
    assert_eq!(opened, 1);
}

#[test]
fn a_login_link_does_not_replace_the_second_factor() {
    let app = app();
    let maria = fresh(&app, "maria");
    let enrolment = app.write(&maria, crate::factors::enrol).unwrap();
    let secret = totp_rs::Secret::try_from_base32(enrolment.secret.expose()).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let seconds = u64::try_from(app.clock().now().0 / 1000).unwrap();
    let code = totp.generate(seconds).to_string();
    let codes = app
        .write(&maria, move |cx| crate::factors::confirm(cx, &code))
        .unwrap();
    let token = let_in(&app);
    let asked = come(&app, &token, None);
    assert!(matches!(asked, Err(Error::OtpRequired)));
    come(&app, &token, Some(codes[0].expose()))
        .unwrap()
        .unwrap();
    let token = let_in(&app);
    let wrong = come(&app, &token, Some("000000")).unwrap();
    assert!(matches!(wrong, Err(Error::InvalidCredentials { .. })));
    assert!(
        is_bad(come(&app, &token, Some(codes[1].expose()))),
        "it is used up"
    );
}

#[test]
fn an_address_gets_five_messages_an_hour_by_whatever_name_they_are_asked_for() {
    let app = app_with(&[]);
    let mails = || {
        let mails = app.write(&Actor::operator(), |cx| Ok(outbox::waiting(cx)));
        mails.unwrap().len()
    };
    let ask = |login: &str| forgot(&app, &Actor::anonymous(), login);
    for _ in 0..5 {
        ask("maria").unwrap();
    }
    assert_eq!(mails(), 5);
    assert!(matches!(ask("Maria"), Err(Error::RateLimited { .. })));
    // What was asked for by one name must not show by another: it would say whose that is.
    for _ in 0..5 {
        ask("nobody@example.org").unwrap();
    }
    assert!(matches!(
        ask("nobody@example.org"),
        Err(Error::RateLimited { .. })
    ));
    for _ in 0..5 {
        ask("maria@example.org").unwrap();
    }
    assert_eq!(mails(), 5);
}

#[test]
fn unlocking_ends_the_delay_of_an_account() {
    let app = app();
    let maria = id(&app, "maria");
    let fail = maria.clone();
    app.write(&Actor::operator(), move |cx| {
        for _ in 0..7 {
            throttle::failed(cx, &Account::user(&fail))?;
        }
        Ok(())
    })
    .unwrap();
    let free = || {
        let account = Account::user(&maria);
        let standing = app.read(&Actor::operator(), |cx| {
            throttle::standing(cx, &account, None)
        });
        standing.unwrap().may_try()
    };
    assert!(!free());
    let by = |actor: Actor| app.write(&actor, |cx| unlock(cx, "maria").map(|(_, done)| done));
    assert!(matches!(
        by(Actor::session(&maria, false)),
        Err(Error::Forbidden { .. })
    ));
    assert!(by(Actor::operator()).unwrap());
    assert!(free());
    assert!(!by(Actor::operator()).unwrap());
}
