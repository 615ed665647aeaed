use super::*;
use crate::app::{Actor, App};
use crate::time::{Lifetime, Period, Timestamp};
use crate::tokens::tests::{START, issue, reason_at, temporary, text, try_create};
use crate::tokens::{
    Filter, Issued, Kind, NewToken, Reason, State, authenticate, check, consume, count_matching,
    introspect, list, renew, revoke,
};
use crate::users;

fn then<T: Send + 'static>(
    app: &App,
    f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    app.at(Timestamp(START + 9), &Actor::operator(), f)
}

/// What a restore does to tokens and accounts.
fn restored(app: &App, api: ApiTokens) -> TakenBack {
    then(app, move |cx| {
        let taken = take_back(cx, api, None)?;
        users::end_everyone(cx)?;
        Ok(taken)
    })
    .unwrap()
}

fn owned(app: &App, kind: Kind) -> Issued {
    let new = NewToken {
        owner: Some("ivan".into()),
        max_uses: Some(5),
        ..NewToken::of(kind)
    };
    issue(app, new)
}

fn with_ivan() -> App {
    let app = App::memory();
    let ivan = users::NewUser::named("ivan".parse().unwrap());
    users::create(&app, &Actor::operator(), ivan).unwrap();
    app
}

#[test]
fn what_ended_with_all_that_its_owner_had_is_not_suspended_as_well() {
    let app = with_ivan();
    owned(&app, Kind::Api);
    then(&app, users::end_everyone).unwrap();
    let kept = issue(&app, NewToken::of(Kind::Api));
    assert_eq!(restored(&app, ApiTokens::Suspend).suspended, 1);
    assert_eq!(reason_at(&app, 10, &text(&kept)), Reason::Suspended);
}

#[test]
fn what_a_backup_brings_back_is_refused_everywhere_until_it_is_enabled() {
    let app = with_ivan();
    let (his, nobodys) = (owned(&app, Kind::Api), issue(&app, NewToken::of(Kind::Api)));
    let passing = [owned(&app, Kind::Temporary), issue(&app, temporary())];
    assert_eq!(
        restored(&app, ApiTokens::Suspend),
        TakenBack {
            suspended: 2,
            ended: 2,
            revoked: 0
        }
    );
    for token in &passing {
        assert_eq!(reason_at(&app, 10, &text(token)), Reason::Revoked);
    }
    for token in [&his, &nobodys] {
        let text = text(token);
        assert_eq!(reason_at(&app, 10, &text), Reason::Suspended);
        let checked = then(&app, move |cx| {
            Ok((
                check(cx, &text)?.is_ok(),
                authenticate(cx, &text).is_ok(),
                introspect(cx, &text)?.is_some(),
                consume(cx, &text)?.reason,
            ))
        });
        assert_eq!(checked.unwrap(), (false, false, false, Reason::Suspended));
    }
    let waiting = || Filter {
        state: Some(State::Suspended),
        ..Filter::default()
    };
    let page = then(&app, move |cx| list(cx, &waiting(), None, 9)).unwrap();
    let shown: Vec<_> = page.items.iter().map(|it| it.suspended_at).collect();
    assert_eq!(shown, [Some(Timestamp(START + 9)); 2]);
    let id = his.token.id.to_string();
    let enabled = then(&app, move |cx| enable(cx, &id)).unwrap();
    assert_eq!((enabled.state, enabled.suspended_at), (State::Active, None));
    assert_eq!(reason_at(&app, 10, &text(&his)), Reason::Ok);
    let ids = then(&app, |cx| enable_some(cx, TokenId(0), 9)).unwrap();
    assert_eq!(ids, [nobodys.token.id]);
    assert_eq!(reason_at(&app, 10, &text(&nobodys)), Reason::Ok);
    assert_eq!(
        then(&app, move |cx| count_matching(cx, &waiting())).unwrap(),
        0
    );
}

#[test]
fn what_had_ended_before_the_backup_cannot_be_enabled() {
    let app = with_ivan();
    let ended = owned(&app, Kind::Api);
    then(&app, |cx| {
        let ivan = users::resolve(cx, "ivan")?;
        users::end_everything(cx, &ivan.id)
    })
    .unwrap();
    let revoked = issue(&app, NewToken::of(Kind::Api));
    let id = revoked.token.id.to_string();
    then(&app, move |cx| revoke(cx, &id, None)).unwrap();
    let short = try_create(
        &app,
        &Actor::operator(),
        NewToken {
            ttl: Some(Lifetime::For(Period(std::time::Duration::from_secs(1)))),
            ..NewToken::of(Kind::Api)
        },
    )
    .unwrap();
    restored(&app, ApiTokens::Suspend);
    for (token, reason) in [
        (&ended, Reason::Revoked),
        (&revoked, Reason::Revoked),
        (&short, Reason::Expired),
    ] {
        assert_eq!(reason_at(&app, 2000, &text(token)), reason);
    }
    let id = short.token.id.to_string();
    let late = app.at(Timestamp(START + 2000), &Actor::operator(), move |cx| {
        enable(cx, &id)
    });
    assert!(matches!(late, Err(Error::Invalid { field: "token", .. })));
    let none = app.at(Timestamp(START + 2000), &Actor::operator(), |cx| {
        enable_some(cx, TokenId(0), 9)
    });
    assert_eq!(none.unwrap(), []);
}

#[test]
fn a_suspended_token_stays_so_when_it_is_renewed_and_ends_when_it_is_revoked() {
    let app = with_ivan();
    let his = owned(&app, Kind::Api);
    restored(&app, ApiTokens::Suspend);
    let id = his.token.id.to_string();
    let renewed = then(&app, move |cx| renew(cx, &id, None)).unwrap();
    assert_eq!(renewed.state, State::Suspended);
    let id = his.token.id.to_string();
    let ended = then(&app, move |cx| revoke(cx, &id, None)).unwrap();
    assert_eq!(ended.state, State::Revoked);
}

#[test]
fn api_tokens_that_are_kept_are_as_good_as_before() {
    let app = with_ivan();
    let (his, passing) = (owned(&app, Kind::Api), owned(&app, Kind::Temporary));
    assert_eq!(restored(&app, ApiTokens::Keep).suspended, 0);
    assert_eq!(reason_at(&app, 10, &text(&his)), Reason::Ok);
    assert_eq!(reason_at(&app, 10, &text(&passing)), Reason::Revoked);
}
