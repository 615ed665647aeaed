use serde_json::Value as Json;

use super::*;
use crate::app::{Actor, App};
use crate::audit;
use crate::purge;

const START: Timestamp = Timestamp(1_795_000_000_000);
const HOUR: Duration = Duration::from_hours(1);

/// An app whose mail server nobody runs: port 9 is that of a service that has died out.
fn app() -> App {
    App::with(&[
        ("PROVOST_SMTP_HOST", "127.0.0.1"),
        ("PROVOST_SMTP_PORT", "9"),
        ("PROVOST_SMTP_TLS", "none"),
        ("PROVOST_SMTP_FROM", "desk@example.org"),
        ("PROVOST_SMTP_TIMEOUT", "1s"),
    ])
}

fn send(app: &App, to: &'static str) -> bool {
    send_at(app, to, app.clock().now())
}

fn send_at(app: &App, to: &'static str, now: Timestamp) -> bool {
    app.at(now, &Actor::anonymous(), move |cx| {
        let way = Way::Token(Secret::new("pvp_secret".into()));
        queue(
            cx,
            &Mail {
                to: Some(to).filter(|to| !to.is_empty()),
                letter: Letter::PasswordReset,
                way: Some(&way),
                ttl: HOUR,
            },
        )
    })
    .unwrap()
}

fn script(app: &App, sql: &str) {
    let sql = sql.to_owned();
    app.db().write(move |tx| tx.script(&sql)).unwrap();
}

fn number(app: &App, sql: &str) -> i64 {
    let row = app.db().read(|tx| tx.first(sql, &[]));
    row.unwrap().unwrap().int("n").unwrap()
}

fn deliver_now(app: &App) -> Delivered {
    deliver(app, &Actor::job("outbox.deliver"), &|| false).unwrap()
}

#[test]
fn without_a_mail_server_nothing_is_queued() {
    let app = App::memory();
    assert!(!send(&app, "maria@example.org"));
    assert_eq!(number(&app, "SELECT COUNT(*) AS n FROM outbox_messages"), 0);
    assert_eq!(deliver_now(&app), Delivered::default());
}

#[test]
fn what_waits_is_sealed() {
    let app = app();
    assert!(send(&app, "maria@example.org"));
    let sql = "SELECT sealed FROM outbox_messages WHERE id > 0 LIMIT 1";
    let row = app.db().read(|tx| tx.first(sql, &[])).unwrap().unwrap();
    let sealed = row.bytes("sealed").unwrap();
    assert!(!sealed.windows(4).any(|part| part == b"pvp_"));
    let (to, text) = app
        .at(START, &Actor::operator(), |cx| Ok(waiting(cx)))
        .unwrap()
        .remove(0);
    assert_eq!(to, "maria@example.org");
    assert!(text.contains("pvp_secret"));
}

#[test]
fn a_decoy_is_a_row_like_another_and_goes_nowhere() {
    let app = app();
    assert!(send(&app, ""));
    assert_eq!(number(&app, "SELECT COUNT(*) AS n FROM outbox_messages"), 1);
    assert_eq!(deliver_now(&app), Delivered::default());
}

#[test]
fn a_message_whose_row_was_changed_or_moved_is_not_sent() {
    let app = app();
    send(&app, "maria@example.org");
    script(
        &app,
        "UPDATE outbox_messages SET recipient = 'eve@example.org'",
    );
    let done = deliver_now(&app);
    assert_eq!((done.sent, done.failed), (0, 1));
    let log = app
        .read(&Actor::operator(), |cx| {
            audit::list(cx, &audit::Filter::default(), None, 1)
        })
        .unwrap();
    assert_eq!(log.items[0].action, "mail.failed");
    let details = log.items[0].details.clone().unwrap();
    assert_eq!(details["reason"], Json::from("it does not open"));
    assert!(
        !serde_json::to_string(&log.items)
            .unwrap()
            .contains("example.org")
    );
}

#[test]
fn a_message_that_waited_too_long_is_given_up_and_forgotten() {
    let app = app();
    send(&app, "maria@example.org");
    script(&app, "UPDATE outbox_messages SET expires_at = 5");
    assert_eq!(deliver_now(&app).failed, 1);
    let left = "SELECT COUNT(*) AS n FROM outbox_messages WHERE LENGTH(sealed) > 0";
    assert_eq!(number(&app, left), 0, "the text is gone");
    assert_eq!(deliver_now(&app), Delivered::default(), "once is enough");
    let run = purge::run(
        &app,
        &Actor::operator(),
        &purge::Options {
            only: vec!["mail".into()],
            ..purge::Options::default()
        },
        &|| false,
        &mut |_| {},
    );
    assert_eq!(run.unwrap().total, 1);
}

#[test]
fn what_nobody_sent_in_time_is_purged_and_what_waits_is_not() {
    let app = app();
    send_at(&app, "maria@example.org", START);
    let at = |ms: i64| Timestamp(START.0 + ms);
    let in_time = app.at(START, &Actor::operator(), move |cx| {
        Ok((
            gone(cx, at(0))?,
            oldest_gone(cx, at(0))?,
            delete_gone(cx, at(0), 9)?,
        ))
    });
    assert_eq!(in_time.unwrap(), ((0, None), None, 0));
    let hour = 3_600_000;
    let late = app.at(START, &Actor::operator(), move |cx| {
        Ok((
            gone(cx, at(hour))?,
            oldest_gone(cx, at(hour))?,
            delete_gone(cx, at(hour), 9)?,
        ))
    });
    assert_eq!(late.unwrap(), ((1, Some(at(hour))), Some(at(hour)), 1));
}

#[test]
fn a_server_that_cannot_be_reached_is_tried_later_and_once_for_all() {
    let app = app();
    for _ in 0..3 {
        send(&app, "maria@example.org");
    }
    let done = deliver_now(&app);
    assert_eq!((done.sent, done.postponed, done.failed), (0, 1, 0));
    let tried = "SELECT COUNT(*) AS n FROM outbox_messages WHERE attempts > 0";
    assert_eq!(number(&app, tried), 1, "the others would find the same");
    assert_eq!(deliver_now(&app).postponed, 1, "the next one's turn");
    assert_eq!(number(&app, tried), 2, "the first one waits");
}

#[test]
fn only_who_may_run_jobs_may_deliver() {
    let refused = deliver(&app(), &Actor::anonymous(), &|| false);
    assert!(matches!(refused, Err(Error::Unauthenticated)));
}

#[test]
fn mail_is_looked_after_by_who_may_see_and_run_jobs_and_pages_go_on() {
    let app = app();
    for n in 0..3 {
        send(&app, ["a@example.org", "b@example.org", ""][n]);
    }
    let page = |cursor: Option<&str>| {
        let page = app.read(&Actor::token("job:read"), |cx| list(cx, None, cursor, 1));
        page.unwrap()
    };
    let first = page(None);
    let second = page(first.next.as_deref());
    assert_eq!(
        (first.items[0].recipient.as_str(), second.next),
        ("b@example.org", None)
    );
    let mail = &second.items[0];
    assert_eq!(
        (mail.recipient.as_str(), mail.state),
        ("a@example.org", State::Waiting)
    );
    let ids = vec![mail.id.to_string()];
    for who in ["job:read", "job:run"] {
        let actor = Actor::token(who);
        let may_read = who == "job:read";
        assert_eq!(
            app.read(&actor, |cx| list(cx, None, None, 1)).is_ok(),
            may_read
        );
        assert_eq!(app.read(&actor, |cx| get(cx, &ids[0])).is_ok(), may_read);
        let again = ids.clone();
        let retried = app.write(&actor, move |cx| retry(cx, &again));
        assert_eq!(retried.is_ok(), !may_read);
    }
    let reader = Actor::token("job:read");
    let gone = ids.clone();
    let refused = app.write(&reader, move |cx| delete(cx, &gone));
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
    let done = app.write(&Actor::token("job:run"), move |cx| delete(cx, &ids));
    assert_eq!(done.unwrap().len(), 1);
    let bad = app.read(&reader, |cx| list(cx, None, Some("x"), 1));
    assert!(matches!(
        bad,
        Err(Error::Invalid {
            field: "cursor",
            ..
        })
    ));
}
