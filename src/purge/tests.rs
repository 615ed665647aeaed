use std::cell::Cell;

use super::*;
use crate::idempotency::Key;
use crate::throttle::Account;
use crate::tokens::NewToken;
use crate::{idempotency, sessions, throttle, tokens, users};

/// Now, in these tests: after every wall clock, so that the clock's mark decides.
const NOW: Timestamp = Timestamp(4_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);

fn app() -> App {
    let app = App::memory();
    app.clock().raise(NOW);
    app
}

fn operator() -> Actor {
    Actor::operator()
}

/// A token that lives for an hour, issued so long before now.
fn token(app: &App, before: Duration) -> tokens::TokenId {
    let issued = app.at(NOW.minus(before), &operator(), |cx| {
        tokens::create(cx, &NewToken::of(tokens::Kind::Temporary))
    });
    issued.unwrap().token.id
}

fn idempotency_key(app: &App, key: &str, before: Duration) {
    let key = Key::new("a", "POST /x", key, b"").unwrap();
    let kept = app.at(NOW.minus(before), &operator(), move |cx| {
        idempotency::keep(cx, &key, b"answer")
    });
    kept.unwrap();
}

/// Five tokens expired one to five hours ago, one revoked just now, one alive; a key that expired
/// and one that is remembered.
fn populated() -> App {
    let app = app();
    for hours in 2..=6 {
        token(&app, HOUR * hours);
    }
    let revoked = token(&app, HOUR / 2);
    let id = revoked.to_string();
    app.at(NOW, &operator(), move |cx| tokens::revoke(cx, &id, None))
        .unwrap();
    token(&app, HOUR / 2);
    idempotency_key(&app, "old", HOUR * 25);
    idempotency_key(&app, "new", HOUR);
    app
}

fn live_tokens(app: &App) -> u64 {
    let filter = tokens::Filter {
        state: Some(tokens::State::Active),
        ..tokens::Filter::default()
    };
    app.read(&operator(), |cx| tokens::count_matching(cx, &filter))
        .unwrap()
}

fn all_tokens(app: &App) -> u64 {
    app.read(&operator(), |cx| {
        tokens::count_matching(cx, &tokens::Filter::default())
    })
    .unwrap()
}

fn purge(app: &App, options: &Options) -> Report {
    run(app, &operator(), options, &|| false, &mut |_| {}).unwrap()
}

fn purge_rows(app: &App) -> Vec<audit::Entry> {
    let filter = audit::Filter {
        action: Some("purge.run".into()),
        ..audit::Filter::default()
    };
    let page = app.read(&operator(), |cx| audit::list(cx, &filter, None, 10));
    page.unwrap().items
}

fn hours(hours: u32) -> Period {
    Period(HOUR * hours)
}

#[test]
fn deletes_every_row_that_ended_and_no_live_one() {
    let app = populated();
    let report = purge(&app, &Options::default());
    assert_eq!((report.total, report.complete), (7, true));
    assert_eq!((all_tokens(&app), live_tokens(&app)), (1, 1));
    assert_eq!(purge(&app, &Options::default()).total, 0);
}

#[test]
fn a_plan_counts_what_a_run_then_deletes_and_deletes_nothing_itself() {
    let app = populated();
    let options = Options {
        grace: Some(hours(3)),
        ..Options::default()
    };
    let planned = plan(&app, &operator(), &options).unwrap();
    let token = KindPlan {
        kind: "token",
        expired: 5,
        revoked: 1,
        kept: 3,
        would_delete: 3,
        oldest: Some(NOW.minus(HOUR * 5)),
    };
    assert_eq!(planned.kinds[0], token);
    let keys = planned.kinds.iter().find(|it| it.kind == "idempotency_key");
    assert_eq!(keys.unwrap().kept, 1);
    assert_eq!((planned.total, planned.batches), (3, 1));
    assert_eq!(all_tokens(&app), 7);
    assert_eq!(purge(&app, &options).total, 3);
    assert_eq!(plan(&app, &operator(), &options).unwrap().total, 0);
}

#[test]
fn only_the_kinds_that_are_named_are_purged() {
    let app = populated();
    let only = |name: &str| Options {
        only: vec![name.to_owned()],
        ..Options::default()
    };
    assert_eq!(purge(&app, &only("idempotency_key")).total, 1);
    assert_eq!(all_tokens(&app), 7);
    let error = plan(&app, &operator(), &only("course")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "only: has no kind \"course\"; the kinds are token, session, idempotency_key, user, \
         login_failure, known_network, ban, mail, audit_event"
    );
}

#[test]
fn a_run_leaves_an_audit_row_of_each_kind_and_none_if_it_found_nothing() {
    let app = populated();
    purge(&app, &Options::default());
    purge(&app, &Options::default());
    let rows = purge_rows(&app);
    let details = |row: &audit::Entry| row.details.clone().unwrap();
    let deleted: Vec<_> = rows
        .iter()
        .map(|row| details(row)["deleted"].clone())
        .collect();
    let wanted = [json!({ "idempotency_key": 1 }), json!({ "token": 6 })];
    assert_eq!(deleted, wanted);
}

#[test]
fn a_time_box_ends_a_run_after_its_batch_and_the_next_run_goes_on() {
    let app = populated();
    let options = Options {
        batch: Some(2),
        max_time: Some(Period(Duration::ZERO)),
        ..Options::default()
    };
    for _ in 0..3 {
        let report = purge(&app, &options);
        assert_eq!((report.total, report.complete), (2, false));
    }
    assert_eq!(all_tokens(&app), 1);
    assert_eq!(purge_rows(&app).len(), 3);
}

#[test]
fn a_run_that_is_stopped_keeps_and_reports_what_it_did() {
    let app = populated();
    let options = Options {
        batch: Some(1),
        ..Options::default()
    };
    let gone = Cell::new(0);
    let report = run(&app, &operator(), &options, &|| gone.get() >= 3, &mut |n| {
        gone.set(n);
    })
    .unwrap();
    assert_eq!((report.total, report.complete), (3, false));
    assert_eq!(report.kinds[0].deleted, 3);
    assert_eq!(all_tokens(&app), 4);
    let report = run(&app, &operator(), &options, &|| true, &mut |_| {}).unwrap();
    assert_eq!((report.total, report.batches), (0, 0));
}

#[test]
fn batches_are_no_larger_than_they_may_be() {
    let app = populated();
    let options = Options {
        batch: Some(4),
        ..Options::default()
    };
    let mut steps = Vec::new();
    run(&app, &operator(), &options, &|| false, &mut |n| {
        steps.push(n);
    })
    .unwrap();
    // Kinds of which nothing has ended add nothing.
    steps.dedup();
    assert_eq!(steps, [4, 6, 7]);
    for batch in [0, 5001] {
        let options = Options {
            batch: Some(batch),
            ..Options::default()
        };
        assert!(plan(&app, &operator(), &options).is_err());
    }
}

#[test]
fn a_deleted_account_is_erased_once_it_cannot_be_restored() {
    let app = app();
    let day = Duration::from_hours(24);
    let name = crate::users::NewUser::named("ivan".parse().unwrap());
    users::create(&app, &operator(), name).unwrap();
    app.at(NOW.minus(day * 8), &operator(), |cx| {
        users::delete(cx, "ivan", None)
    })
    .unwrap();
    let options = |days: u32| Options {
        only: vec!["user".into()],
        grace: Some(Period(day * days)),
        ..Options::default()
    };
    let late = lag(&app, &operator(), &options(0)).unwrap();
    assert_eq!((late.seconds, late.kind), (24 * 3600, Some("user")));
    let plan = plan(&app, &operator(), &options(2)).unwrap();
    assert_eq!((plan.kinds[0].kept, plan.total), (1, 0));
    assert_eq!(purge(&app, &options(2)).total, 0);
    assert_eq!(purge(&app, &options(0)).total, 1);
    assert_eq!(purge(&app, &options(0)).total, 0);
    let name = crate::users::NewUser::named("ivan".parse().unwrap());
    users::create(&app, &operator(), name).unwrap();
}

/// Every row of every table, as text.
fn everything(app: &App) -> String {
    const TABLES: [&str; 11] = [
        "users",
        "user_roles",
        "sessions",
        "totp_factors",
        "recovery_codes",
        "tokens",
        "login_failures",
        "known_networks",
        "outbox_messages",
        "audit_events",
        "idempotency_keys",
    ];
    let rows = TABLES.map(|table| {
        let columns = match table {
            "users" => "id || username || COALESCE(email, '')",
            "user_roles" => "user_id || role",
            "sessions" => "user_id || COALESCE(ip, '') || COALESCE(client, '')",
            "totp_factors" | "recovery_codes" => "user_id",
            "tokens" => "COALESCE(owner_id, '') || COALESCE(label, '')",
            "login_failures" | "known_networks" => "account",
            "outbox_messages" => "recipient",
            "audit_events" => "action || object || COALESCE(details, '')",
            _ => "''",
        };
        let sql = format!("SELECT {columns} AS it FROM {table}");
        let rows = app.db().read(|tx| tx.all(&sql, &[])).unwrap();
        let row = |row: &crate::db::Row| format!("{table} {}\n", row.text("it").unwrap());
        rows.iter().map(row).collect::<String>()
    });
    rows.concat()
}

fn with_address(name: &str) -> crate::users::NewUser {
    crate::users::NewUser {
        email: Some(format!("{name}@example.org").parse().unwrap()),
        ..crate::users::NewUser::named(name.parse().unwrap())
    }
}

/// Somebody of whom every slice knows something since `then`; returns the id.
fn known_everywhere(app: &App, then: Timestamp, name: &str) -> String {
    let id = users::create(app, &operator(), with_address(name))
        .unwrap()
        .id;
    let (of, name) = (id.clone(), name.to_owned());
    let ip = Some("192.0.2.7".parse().unwrap());
    app.at(then, &operator(), move |cx| {
        let account = users::credentials_of(cx, &of)?.unwrap();
        let entry = sessions::Entry {
            user_id: account.id,
            username: account.username,
            epoch: account.epoch,
            admin: false,
            methods: vec!["password"],
            ip,
            client: Some(format!("Browser of {name}")),
        };
        sessions::open(cx, &entry)?;
        throttle::succeeded(cx, &Account::user(&of), ip)?;
        throttle::failed(cx, &Account::user(&of))?;
        let token = NewToken {
            owner: Some(of.clone()),
            label: Some(format!("laptop of {name}")),
            ..NewToken::of(tokens::Kind::Api)
        };
        tokens::create(cx, &token)?;
        let order = crate::recovery::Order {
            mail: true,
            ..crate::recovery::Order::default()
        };
        crate::recovery::login_link(cx, &of, order)?;
        users::rename(cx, &of, &format!("{name}2").parse()?)
    })
    .unwrap();
    let mut person = Actor::in_session(&id, false);
    if let crate::app::Who::Session {
        authenticated_at, ..
    } = &mut person.who
    {
        *authenticated_at = Timestamp(i64::MAX);
    }
    app.at(then, &person, crate::factors::enrol).unwrap();
    id
}

#[test]
fn with_an_account_goes_what_the_other_slices_know_of_its_person() {
    let app = App::with(&[
        ("PROVOST_SMTP_HOST", "127.0.0.1"),
        ("PROVOST_SMTP_TLS", "none"),
        ("PROVOST_SMTP_FROM", "desk@example.org"),
    ]);
    app.clock().raise(NOW);
    let then = NOW.minus(Duration::from_hours(24 * 8));
    let root = crate::users::NewUser {
        roles: vec![users::Role::Admin],
        ..with_address("root")
    };
    users::create(&app, &operator(), root).unwrap();
    let ids = ["ivan", "anna"].map(|name| known_everywhere(&app, then, name));
    app.at(then, &operator(), |cx| users::delete(cx, "ivan2", None))
        .unwrap();
    let before = everything(&app);
    assert!(before.contains("laptop of ivan") && before.contains("Browser of ivan"));
    purge(
        &app,
        &Options {
            only: vec!["user".into()],
            grace: Some(Period(Duration::ZERO)),
            ..Options::default()
        },
    );
    let after = everything(&app);
    let left = |text: &str| -> Vec<&str> {
        let rows = after.lines().filter(|row| row.contains(text));
        rows.map(|row| row.split(' ').next().unwrap()).collect()
    };
    assert_eq!(left("ivan"), [""; 0], "{after}");
    let mut tables = left(&ids[0]);
    tables.dedup();
    assert_eq!(tables, ["users", "audit_events"], "{after}");
    assert_eq!(left("anna").len(), 4, "nobody else's\n{after}");
    let factors = after.lines().filter(|row| row.starts_with("totp_factors"));
    assert_eq!(factors.count(), 1);
}

#[test]
fn whoever_may_not_purge_may_not_look_either() {
    let app = populated();
    for actor in [Actor::token("token:revoke"), Actor::anonymous()] {
        let options = Options::default();
        assert!(run(&app, &actor, &options, &|| false, &mut |_| {}).is_err());
        assert!(plan(&app, &actor, &options).is_err());
        assert!(lag(&app, &actor, &options).is_err());
    }
    assert_eq!(all_tokens(&app), 7);
    let actor = Actor::token("purge:run");
    assert!(run(&app, &actor, &Options::default(), &|| false, &mut |_| {}).is_ok());
}

#[test]
fn every_batch_leaves_its_row_so_that_a_crash_after_it_hides_nothing() {
    let app = populated();
    let options = Options {
        only: vec!["token".into()],
        batch: Some(4),
        ..Options::default()
    };
    // Looked at from between the batches: what is gone by now is told by now.
    let mut told = Vec::new();
    let mut look = |gone| told.push((gone, purge_rows(&app).len()));
    run(&app, &operator(), &options, &|| false, &mut look).unwrap();
    assert_eq!(told, [(4, 1), (6, 2)]);
    let deleted = |row: &audit::Entry| row.details.as_ref().unwrap()["deleted"]["token"].clone();
    let rows: Vec<_> = purge_rows(&app).iter().map(deleted).collect();
    assert_eq!(rows, [2, 4]);
}

#[test]
fn the_lag_is_the_time_for_which_the_oldest_row_is_overdue_after_its_grace() {
    let app = populated();
    let with_grace = |hours: u32| Options {
        grace: Some(Period(HOUR * hours)),
        ..Options::default()
    };
    let late = lag(&app, &operator(), &with_grace(1)).unwrap();
    assert_eq!((late.seconds, late.kind), (4 * 3600, Some("token")));
    assert_eq!(app.kit().metrics.purge_lag.get(), 4 * 3600);
    assert_eq!(lag(&app, &operator(), &with_grace(6)).unwrap().seconds, 0);
    purge(&app, &Options::default());
    let none = lag(&app, &operator(), &Options::default()).unwrap();
    assert_eq!((none.seconds, none.oldest), (0, None));
}

#[test]
fn the_estimate_grows_with_rows_batches_and_rests() {
    let second = Duration::from_secs(1);
    assert!(estimate(0, 0, second).abs() < f64::EPSILON);
    let plain = estimate(100_000, 100, Duration::ZERO);
    assert!((estimate(100_000, 100, second) - plain - 99.0).abs() < 0.01);
    assert!(estimate(1_000_000, 1000, Duration::ZERO) > plain);
}

#[test]
fn a_refusal_does_not_repeat_a_long_name() {
    let options = Options {
        only: vec!["x".repeat(10_000)],
        ..Options::default()
    };
    let refused = plan(&app(), &operator(), &options).unwrap_err();
    assert!(refused.to_string().len() < 200, "{refused}");
}
