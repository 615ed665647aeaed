use super::*;
use crate::app::{Actor, App};
use crate::keys::Keys;
use crate::time::Timestamp;

const MINUTE: i64 = 60_000;
/// An arbitrary instant; times below are counted from it.
pub(super) const START: i64 = 1_795_000_000_000;

pub(super) fn issue(app: &App, new: NewToken) -> Issued {
    app.at(Timestamp(START), &Actor::operator(), move |cx| {
        create(cx, &new)
    })
    .unwrap()
}

pub(super) fn text(issued: &Issued) -> String {
    prefixed(issued.token.kind, issued.token.id, &issued.secret)
        .expose()
        .clone()
}

pub(super) fn reason_at(app: &App, after: i64, text: &str) -> Reason {
    let text = text.to_owned();
    let found = app.at(Timestamp(START + after), &Actor::operator(), move |cx| {
        lookup(cx, &text)
    });
    found.unwrap().reason
}

pub(super) fn try_create(app: &App, actor: &Actor, new: NewToken) -> Result<Issued> {
    app.at(Timestamp(START), actor, move |cx| create(cx, &new))
}

pub(super) fn temporary() -> NewToken {
    NewToken::of(Kind::Temporary)
}

#[test]
fn a_token_is_good_until_the_millisecond_in_which_it_expires() {
    let app = App::memory();
    let token = text(&issue(&app, temporary()));
    assert_eq!(reason_at(&app, 60 * MINUTE - 1, &token), Reason::Ok);
    assert_eq!(reason_at(&app, 60 * MINUTE, &token), Reason::Expired);
}

#[test]
fn both_text_forms_are_accepted() {
    let app = App::memory();
    let issued = issue(&app, temporary());
    let older = decimal(issued.token.id, &issued.secret);
    assert_eq!(reason_at(&app, 0, older.expose()), Reason::Ok);
    assert_eq!(reason_at(&app, 0, &text(&issued)), Reason::Ok);
}

#[test]
fn a_wrong_secret_an_unknown_id_and_another_kind_are_unknown_and_a_typo_is_told() {
    let app = App::memory();
    let issued = issue(&app, temporary());
    let other = Secret::new("x".repeat(SECRET));
    let id = issued.token.id;
    assert_eq!(
        reason_at(&app, 0, decimal(id, &other).expose()),
        Reason::Unknown
    );
    assert_eq!(
        reason_at(&app, 0, decimal(TokenId(7), &issued.secret).expose()),
        Reason::Unknown
    );
    assert_eq!(
        reason_at(&app, 0, prefixed(Kind::Api, id, &issued.secret).expose()),
        Reason::Unknown
    );
    assert_eq!(
        reason_at(&app, 0, &(text(&issued)[..50].to_owned() + "_")),
        Reason::Unknown
    );
    let typo = text(&issued).replace(&issued.secret.expose()[..4], "0000");
    assert_eq!(reason_at(&app, 0, &typo), Reason::BadChecksum);
    assert_eq!(reason_at(&app, 0, ""), Reason::Unknown);
}

#[test]
fn a_revoked_token_is_dead_and_stays_so_when_it_is_revoked_again() {
    let app = App::memory();
    let issued = issue(&app, temporary());
    for at in [1, 2] {
        let id = issued.token.id.to_string();
        let ended = app
            .at(Timestamp(START + at), &Actor::operator(), move |cx| {
                revoke(cx, &id, Some("lost"))
            })
            .unwrap();
        assert_eq!(ended.revoked_at, Some(Timestamp(START + 1)));
    }
    assert_eq!(reason_at(&app, 3, &text(&issued)), Reason::Revoked);
    assert_eq!(
        reason_at(&app, 100 * 60 * MINUTE, &text(&issued)),
        Reason::Revoked
    );
}

#[test]
fn a_token_can_be_used_exactly_as_often_as_was_said() {
    let app = App::memory();
    let token = text(&issue(
        &app,
        NewToken {
            max_uses: Some(2),
            ..temporary()
        },
    ));
    let mut reasons = Vec::new();
    for _ in 0..3 {
        let token = token.clone();
        let used = app.at(Timestamp(START + 1), &Actor::operator(), move |cx| {
            consume(cx, &token)
        });
        reasons.push(used.unwrap().reason);
    }
    assert_eq!(reasons, [Reason::Ok, Reason::Ok, Reason::UsedUp]);
    assert_eq!(reason_at(&app, 1, &token), Reason::UsedUp);
}

#[test]
fn looking_a_token_up_takes_no_use() {
    let app = App::memory();
    let token = text(&issue(
        &app,
        NewToken {
            max_uses: Some(1),
            ..temporary()
        },
    ));
    for _ in 0..3 {
        assert_eq!(reason_at(&app, 1, &token), Reason::Ok);
    }
}

#[test]
fn a_token_is_not_good_before_its_time() {
    let app = App::memory();
    let from = Some(Timestamp(START + MINUTE));
    let token = text(&issue(
        &app,
        NewToken {
            not_before: from,
            ..temporary()
        },
    ));
    assert_eq!(reason_at(&app, MINUTE - 1, &token), Reason::NotYet);
    assert_eq!(reason_at(&app, MINUTE, &token), Reason::Ok);
}

#[test]
fn lives_outside_of_the_rules_are_refused() {
    let app = App::memory();
    let refused = |kind, ttl: &str, actor: &Actor| {
        let new = NewToken {
            ttl: Some(ttl.parse().unwrap()),
            ..NewToken::of(kind)
        };
        matches!(
            try_create(&app, actor, new),
            Err(Error::Invalid { field: "ttl", .. })
        )
    };
    let (operator, program) = (Actor::operator(), Actor::token("token:create"));
    assert!(refused(Kind::Temporary, "never", &operator));
    assert!(refused(Kind::Temporary, "31d", &operator));
    assert!(refused(Kind::Temporary, "0s", &operator));
    assert!(refused(Kind::Api, "366d", &operator));
    assert!(refused(Kind::Api, "never", &program));
    assert!(!refused(Kind::Api, "never", &operator));
    assert!(!refused(Kind::Api, "365d", &program));
}

#[test]
fn a_program_gives_away_only_scopes_that_it_has() {
    let app = App::memory();
    let with = |scope: &str| NewToken {
        scopes: vec![scope.parse().unwrap()],
        ..NewToken::of(Kind::Api)
    };
    let program = Actor::token("token:create course:*");
    assert!(try_create(&app, &program, with("course:read")).is_ok());
    let refused = try_create(&app, &program, with("user:read")).unwrap_err();
    assert!(matches!(refused, Error::Forbidden { needs } if needs == "user:read"));
    assert!(try_create(&app, &Actor::token("course:*"), with("course:read")).is_err());
    assert!(matches!(
        try_create(&app, &Actor::anonymous(), temporary()),
        Err(Error::Unauthenticated)
    ));
}

#[test]
fn renewing_moves_the_end_of_a_good_token_and_refuses_one_that_has_ended() {
    let app = App::memory();
    let issued = issue(&app, temporary());
    let renew_at = |after: i64| {
        let id = issued.token.id.to_string();
        app.at(Timestamp(START + after), &Actor::operator(), move |cx| {
            renew(cx, &id, None)
        })
    };
    let renewed = renew_at(30 * MINUTE).unwrap();
    assert_eq!(renewed.expires_at, Some(Timestamp(START + 90 * MINUTE)));
    assert!(matches!(renew_at(90 * MINUTE), Err(Error::Invalid { .. })));
    assert_eq!(
        reason_at(&app, 90 * MINUTE, &text(&issued)),
        Reason::Expired
    );
}

#[test]
fn a_short_prefix_of_an_id_finds_the_token_and_a_shared_one_is_ambiguous() {
    let app = App::memory();
    let issued = issue(&app, temporary());
    let find = |prefix: String| {
        app.at(Timestamp(START), &Actor::operator(), move |cx| {
            get(cx, &prefix)
        })
    };
    let id = issued.token.id.to_string();
    assert_eq!(find(id[..6].to_owned()).unwrap().id, issued.token.id);
    issue(&app, temporary());
    assert!(matches!(
        find(id[..6].to_owned()),
        Err(Error::Ambiguous { .. })
    ));
    assert_eq!(find(id.clone()).unwrap().id, issued.token.id);
    assert!(matches!(find("000000".into()), Err(Error::NotFound { .. })));
    assert!(matches!(
        find(id[..5].to_owned()),
        Err(Error::NotFound { .. })
    ));
}

/// One token in each state that needs no owner, at `START + 2 * MINUTE`.
fn one_of_each(app: &App) {
    let ttl = |text: &str| Some(text.parse().unwrap());
    issue(
        app,
        NewToken {
            label: Some("good".into()),
            ..temporary()
        },
    );
    issue(
        app,
        NewToken {
            label: Some("old".into()),
            ttl: ttl("1m"),
            ..temporary()
        },
    );
    issue(
        app,
        NewToken {
            not_before: Some(Timestamp(START + 10 * MINUTE)),
            ..temporary()
        },
    );
    let spent = text(&issue(
        app,
        NewToken {
            max_uses: Some(1),
            ..temporary()
        },
    ));
    app.at(Timestamp(START + 1), &Actor::operator(), move |cx| {
        consume(cx, &spent)
    })
    .unwrap();
    let lost = issue(app, temporary()).token.id.to_string();
    app.at(Timestamp(START + 1), &Actor::operator(), move |cx| {
        revoke(cx, &lost, None)
    })
    .unwrap();
}

#[test]
fn the_filter_by_state_agrees_with_the_state_that_is_shown() {
    let app = App::memory();
    one_of_each(&app);
    let now = Timestamp(START + 2 * MINUTE);
    for state in State::ALL {
        let filter = Filter {
            state: Some(state),
            ..Filter::default()
        };
        let page = app
            .at(now, &Actor::operator(), move |cx| {
                list(cx, &filter, None, 50)
            })
            .unwrap();
        assert!(
            page.items.iter().all(|token| token.state == state),
            "{state:?}"
        );
        let missing = [State::OwnerDisabled, State::Suspended].contains(&state);
        let expected = usize::from(!missing);
        assert_eq!(page.items.len(), expected, "{state:?}");
    }
}

#[test]
fn tokens_are_found_by_label_kind_scope_and_approaching_end() {
    let app = App::memory();
    one_of_each(&app);
    let scopes = vec!["a:b".parse().unwrap(), "c_d:e".parse().unwrap()];
    issue(
        &app,
        NewToken {
            scopes,
            ..NewToken::of(Kind::Api)
        },
    );
    let count = |filter: Filter| {
        app.at(
            Timestamp(START + 2 * MINUTE),
            &Actor::operator(),
            move |cx| count_matching(cx, &filter),
        )
        .unwrap()
    };
    let label = |label: &str| Filter {
        label: Some(label.into()),
        ..Filter::default()
    };
    assert_eq!(count(label("good")), 1);
    assert_eq!(count(label("g*")), 1);
    assert_eq!(count(label("%*")), 0);
    assert_eq!(
        count(Filter {
            kind: Some(Kind::Api),
            ..Filter::default()
        }),
        1
    );
    let scope = |scope: &str| Filter {
        scope: Some(scope.parse().unwrap()),
        ..Filter::default()
    };
    assert_eq!(count(scope("c_d:e")), 1);
    assert_eq!(count(scope("cxd:e")), 0);
    let expiring = |text: &str| Filter {
        expiring: Some(text.parse().unwrap()),
        ..Filter::default()
    };
    assert_eq!(count(expiring("10m")), 0);
    assert_eq!(count(expiring("1h")), 1);
}

#[test]
fn revoking_many_goes_on_until_nothing_is_left() {
    let app = App::memory();
    for _ in 0..5 {
        issue(
            &app,
            NewToken {
                label: Some("deploy".into()),
                ..temporary()
            },
        );
    }
    issue(&app, temporary());
    let (mut sizes, mut last) = (Vec::new(), TokenId(0));
    loop {
        let filter = Filter {
            label: Some("deploy".into()),
            ..Filter::default()
        };
        let ended = app
            .at(Timestamp(START), &Actor::operator(), move |cx| {
                revoke_some(cx, &filter, None, last, 2)
            })
            .unwrap();
        sizes.push(ended.len());
        let Some(end) = ended.last() else { break };
        assert!(*end > last);
        last = *end;
    }
    assert_eq!(sizes, [2, 2, 1, 0]);
}

#[test]
fn purging_deletes_what_has_ended_and_never_a_live_token() {
    let app = App::memory();
    one_of_each(&app);
    let (operator, until) = (Actor::operator(), Timestamp(START + 2 * MINUTE));
    let planned = app
        .at(until, &operator, move |cx| gone(cx, None, until))
        .unwrap();
    assert_eq!((planned.expired, planned.revoked), (2, 1));
    assert_eq!(planned.oldest, Some(Timestamp(START + 1)));
    let delete = |most| {
        app.at(until, &operator, move |cx| {
            delete_gone(cx, None, until, most)
        })
        .unwrap()
    };
    assert_eq!((delete(2), delete(2), delete(2)), (2, 1, 0));
    let left = app
        .at(until, &operator, |cx| {
            list(cx, &Filter::default(), None, 50)
        })
        .unwrap();
    let states: Vec<State> = left.items.iter().map(|token| token.state).collect();
    assert_eq!(states, [State::NotYet, State::Active]);
}

#[test]
fn uses_are_noted_at_most_once_a_minute() {
    let app = App::memory();
    let id = issue(&app, NewToken::of(Kind::Api)).token.id;
    let noted = |after: i64| {
        let uses = [(id.0, Timestamp(START + after))];
        app.at(Timestamp(START + after), &Actor::operator(), move |cx| {
            write_uses(cx, &uses)
        })
        .unwrap()
    };
    assert_eq!((noted(0), noted(MINUTE), noted(MINUTE + 1)), (1, 0, 1));
}

#[test]
fn a_counted_api_token_cannot_be_overspent_and_a_temporary_one_cannot_call_the_api() {
    let app = App::memory();
    let api = issue(
        &app,
        NewToken {
            max_uses: Some(1),
            ..NewToken::of(Kind::Api)
        },
    );
    let text_of_api = text(&api);
    let checked = app
        .at(Timestamp(START), &Actor::anonymous(), move |cx| {
            authenticate(cx, &text_of_api)
        })
        .unwrap();
    assert!(checked.counted);
    let id = api.token.id;
    let take = || {
        app.at(Timestamp(START), &Actor::anonymous(), move |cx| {
            take_use(cx, id)
        })
    };
    assert!(take().is_ok());
    assert!(matches!(take(), Err(Error::Unauthenticated)));
    let guest = text(&issue(&app, temporary()));
    let refused = app.at(Timestamp(START), &Actor::anonymous(), move |cx| {
        authenticate(cx, &guest)
    });
    assert!(matches!(refused, Err(Error::Unauthenticated)));
}

#[test]
fn a_token_bound_to_a_network_is_refused_elsewhere() {
    let app = App::memory();
    let cidr = Some("10.0.0.0/8".parse().unwrap());
    let token = text(&issue(
        &app,
        NewToken {
            cidr,
            ..NewToken::of(Kind::Api)
        },
    ));
    let from = |ip: Option<&str>| {
        let actor = Actor {
            ip: ip.map(|ip| ip.parse().unwrap()),
            ..Actor::anonymous()
        };
        let token = token.clone();
        app.at(Timestamp(START), &actor, move |cx| authenticate(cx, &token))
            .is_ok()
    };
    assert!(from(Some("10.1.2.3")));
    assert!(from(Some("::ffff:10.1.2.3")));
    assert!(!from(Some("11.1.2.3")));
    assert!(!from(None));
}

#[test]
fn the_stored_digest_is_bound_to_key_kind_id_and_secret() {
    let (keys, others) = (Keys::ephemeral().unwrap(), Keys::ephemeral().unwrap());
    let one = digest(&keys, Kind::Api, TokenId(12), "3x");
    assert_ne!(one, digest(&others, Kind::Api, TokenId(12), "3x"));
    assert_ne!(one, digest(&keys, Kind::Temporary, TokenId(12), "3x"));
    assert_ne!(one, digest(&keys, Kind::Api, TokenId(1), "23x"));
    assert_eq!(one, keys.token.sign(&[b"provost/v1/api\x0012\x003x"]));
}

#[test]
fn every_change_leaves_one_audit_row_without_the_secret() {
    let app = App::memory();
    let issued = issue(
        &app,
        NewToken {
            label: Some("deploy".into()),
            ..temporary()
        },
    );
    let id = issued.token.id.to_string();
    app.at(Timestamp(START), &Actor::operator(), move |cx| {
        revoke(cx, &id, Some("lost"))
    })
    .unwrap();
    let filter = audit::Filter {
        action: Some("token.*".into()),
        ..audit::Filter::default()
    };
    let log = app
        .at(Timestamp(START), &Actor::operator(), move |cx| {
            audit::list(cx, &filter, None, 9)
        })
        .unwrap();
    let actions: Vec<&str> = log
        .items
        .iter()
        .map(|entry| entry.action.as_str())
        .collect();
    assert_eq!(actions, ["token.revoked", "token.created"]);
    assert!(
        !serde_json::to_string(&log)
            .unwrap()
            .contains(issued.secret.expose())
    );
}

#[test]
fn labels_that_begin_alike_in_another_case_are_others() {
    let app = App::memory();
    for label in ["ci-a", "CI-b"] {
        issue(
            &app,
            NewToken {
                label: Some(label.into()),
                ..temporary()
            },
        );
    }
    let filter = Filter {
        label: Some("ci-*".into()),
        ..Filter::default()
    };
    let count = app.at(Timestamp(START), &Actor::operator(), move |cx| {
        count_matching(cx, &filter)
    });
    assert_eq!(count.unwrap(), 1);
}

#[test]
fn a_token_counts_as_issued_when_it_is_kept_and_a_bad_one_as_seen_whatever_comes_of_it() {
    let app = App::memory();
    let (issued, seen) = (
        app.kit().metrics.tokens_issued.clone(),
        app.kit().metrics.tokens_validated.clone(),
    );
    let count = |of: &prometheus_client::metrics::family::Family<_, _>, kind| {
        let counter: &prometheus_client::metrics::counter::Counter =
            &of.get_or_create(&crate::metrics::KindLabel { kind });
        counter.get()
    };
    let failed: Result<()> = app.at(Timestamp(START), &Actor::operator(), |cx| {
        create(cx, &temporary())?;
        check(cx, "nothing")?.map_err(|_| Error::Unauthenticated)?;
        Ok(())
    });
    assert!(matches!(failed, Err(Error::Unauthenticated)));
    assert_eq!(
        (count(&issued, "temporary"), count(&seen, "unknown")),
        (0, 1)
    );
    issue(&app, temporary());
    assert_eq!(
        (count(&issued, "temporary"), count(&seen, "unknown")),
        (1, 1)
    );
}
