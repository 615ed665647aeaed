//! What happens to tokens when everything that their owner had opened is ended.

use super::tests::{START, issue, reason_at, temporary, text, try_create};
use super::*;
use crate::app::{Actor, App};
use crate::time::Timestamp;

/// A token of `ivan`, and one of `maria`, who is not touched by what is done to him.
fn owned(app: &App) -> (Issued, Issued) {
    let of = |name: &'static str| {
        let new = users::NewUser::named(name.parse().unwrap());
        users::create(app, &Actor::operator(), new).unwrap();
        let owner = Some(name.to_owned());
        let max_uses = Some(5);
        issue(
            app,
            NewToken {
                owner,
                max_uses,
                ..NewToken::of(Kind::Api)
            },
        )
    };
    (of("ivan"), of("maria"))
}

#[test]
fn whatever_ends_what_an_account_opened_ends_its_tokens_for_good() {
    type Verb = fn(&App) -> Result<()>;
    fn write(app: &App, f: fn(&mut Cx<'_, '_>) -> Result<()>) -> Result<()> {
        app.at(Timestamp(START + 7), &Actor::operator(), f)
    }
    let verbs: [(&str, Verb); 5] = [
        ("disable", |app| {
            write(app, |cx| {
                users::disable(cx, "ivan", None)?;
                users::enable(cx, "ivan").map(drop)
            })
        }),
        ("grant", |app| {
            write(app, |cx| {
                users::grant(cx, "ivan", users::Role::Admin).map(drop)
            })
        }),
        ("revoke", |app| {
            write(app, |cx| {
                users::revoke(cx, "ivan", users::Role::User).map(drop)
            })
        }),
        ("password", |app| {
            let hash = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
            let hash = crate::password::PasswordHash::parse(hash)?;
            let password = users::NewPassword::Hash(hash);
            users::set_password(app, &Actor::operator(), "ivan", password).map(drop)
        }),
        ("everything", |app| {
            write(app, |cx| {
                let id = users::resolve(cx, "ivan")?.id;
                users::end_everything(cx, &id)
            })
        }),
    ];
    for (verb, end) in verbs {
        let app = App::memory();
        let (his, hers) = owned(&app);
        end(&app).unwrap();
        assert_eq!(reason_at(&app, 9, &text(&his)), Reason::Revoked, "{verb}");
        assert_eq!(reason_at(&app, 9, &text(&hers)), Reason::Ok, "{verb}");
        let anonymous = Actor::anonymous();
        let presented = text(&his);
        let refused = app.at(Timestamp(START + 9), &anonymous, move |cx| {
            authenticate(cx, &presented)
        });
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{verb}");
        // What is issued afterwards is good.
        let new = NewToken {
            owner: Some("ivan".into()),
            ..NewToken::of(Kind::Api)
        };
        let next = issue(&app, new);
        assert_eq!(reason_at(&app, 9, &text(&next)), Reason::Ok, "{verb}");
    }
}

/// What `f` makes of it as an operator, nine milliseconds later.
fn then<T: Send + 'static>(
    app: &App,
    f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    app.at(Timestamp(START + 9), &Actor::operator(), f)
}

#[test]
fn a_token_that_ended_with_its_owners_others_is_shown_found_and_counted_as_revoked() {
    let app = App::memory();
    let (his, _) = owned(&app);
    let owner = then(&app, |cx| users::resolve(cx, "ivan")).unwrap().id;
    let live = {
        let owner = owner.clone();
        then(&app, move |cx| live_of(cx, &owner)).unwrap()
    };
    assert_eq!(live, [(Kind::Api, 1)]);
    app.at(Timestamp(START + 7), &Actor::operator(), |cx| {
        users::disable(cx, "ivan", None)
    })
    .unwrap();
    assert_eq!(then(&app, move |cx| live_of(cx, &owner)).unwrap(), []);
    for state in State::ALL {
        let filter = Filter {
            state: Some(state),
            owner: Some("ivan".into()),
            ..Filter::default()
        };
        let (shown, counted, left) = then(&app, move |cx| {
            Ok((
                list(cx, &filter, None, 9)?.items,
                count_matching(cx, &filter)?,
                count_revocable(cx, &filter)?,
            ))
        })
        .unwrap();
        let expected = usize::from(state == State::Revoked);
        assert_eq!(
            (shown.len(), counted, left),
            (expected, u64::try_from(expected).unwrap(), 0)
        );
        assert!(shown.iter().all(|token| token.state == state
            && token.revoked_at == Some(Timestamp(START + 7))));
    }
    // Neither more time nor a use is to be had of it, and it cannot be ended again.
    let id = his.token.id.to_string();
    let renewed = {
        let id = id.clone();
        then(&app, move |cx| renew(cx, &id, None))
    };
    assert!(matches!(
        renewed,
        Err(Error::Invalid { field: "token", .. })
    ));
    let presented = text(&his);
    let used = then(&app, move |cx| consume(cx, &presented)).unwrap();
    assert_eq!(used.reason, Reason::Revoked);
    let id = his.token.id;
    assert!(then(&app, move |cx| take_use(cx, id)).is_err());
    let again = then(&app, move |cx| revoke(cx, &id.to_string(), None)).unwrap();
    assert_eq!(again.revoked_at, Some(Timestamp(START + 7)));
}

#[test]
fn a_token_of_a_disabled_owner_cannot_be_issued() {
    let app = App::memory();
    owned(&app);
    then(&app, |cx| users::disable(cx, "ivan", None)).unwrap();
    let new = NewToken {
        owner: Some("ivan".into()),
        ..temporary()
    };
    let refused = try_create(&app, &Actor::operator(), new);
    assert!(matches!(
        refused,
        Err(Error::Invalid { field: "owner", .. })
    ));
}

#[test]
fn purging_deletes_what_ended_with_its_owners_others_once_and_nothing_of_anybody_else() {
    let app = App::memory();
    let (_, hers) = owned(&app);
    // One that expired before, and one that is revoked: each is counted once.
    let ttl = Some("1s".parse().unwrap());
    let owner = Some("ivan".to_owned());
    issue(
        &app,
        NewToken {
            owner: owner.clone(),
            ttl,
            ..temporary()
        },
    );
    let lost = issue(
        &app,
        NewToken {
            owner,
            ..temporary()
        },
    );
    let lost = lost.token.id.to_string();
    then(&app, move |cx| revoke(cx, &lost, None)).unwrap();
    let (at, operator) = (Timestamp(START + 2000), Actor::operator());
    app.at(at, &operator, |cx| users::disable(cx, "ivan", None))
        .unwrap();
    // What he opens afterwards is alive.
    let next = app.at(at, &operator, |cx| {
        users::enable(cx, "ivan")?;
        let new = NewToken {
            owner: Some("ivan".into()),
            ..NewToken::of(Kind::Api)
        };
        create(cx, &new)
    });
    let next = next.unwrap().token.id;
    let gone = |until: i64| {
        let until = Timestamp(START + until);
        app.at(until, &operator, move |cx| gone(cx, None, until))
            .unwrap()
    };
    assert_eq!((gone(1999).expired, gone(1999).revoked), (1, 1));
    assert_eq!((gone(2000).expired, gone(2000).revoked), (1, 2));
    let delete = |until: i64| {
        let until = Timestamp(START + until);
        app.at(until, &operator, move |cx| delete_gone(cx, None, until, 9))
            .unwrap()
    };
    assert_eq!((delete(1999), delete(2000), delete(9000)), (2, 1, 0));
    let left = then(&app, |cx| list(cx, &Filter::default(), None, 9)).unwrap();
    let left: Vec<TokenId> = left.items.iter().map(|token| token.id).collect();
    assert_eq!(left, [next, hers.token.id]);
}
