use std::time::Duration;

use super::*;
use crate::app::{Actor, App};
use crate::audit::{Fault, Filter, Options, Verified, list, seal, verify};
use crate::db::Tx;

const DAY: Duration = Duration::from_hours(24);

/// After every wall clock, so that the clock's mark decides.
const START: Timestamp = Timestamp(4_000_000_000_000);

/// Rows are kept for 30 days; the second and the third block are sealed 10 days after the one before.
fn log() -> App {
    let app = App::with(&[("PROVOST_AUDIT_RETENTION", "30d")]);
    for days in [0, 10, 20] {
        app.clock().raise(START.plus(DAY * days));
        for n in 0..4 {
            let object = format!("x:{days}-{n}");
            app.write(&Actor::operator(), move |cx| {
                record(cx, Event::new("x.made", object.as_str()))
            })
            .unwrap();
        }
        seal(&app, &Actor::operator(), &|| false).unwrap();
    }
    app
}

fn at_day(app: &App, day: u32) {
    app.clock().raise(START.plus(DAY * day));
}

fn delete(app: &App, most: u32) -> u64 {
    app.write(&Actor::operator(), move |cx| delete_old(cx, cx.now, most))
        .unwrap()
}

fn counted(app: &App) -> (u64, Option<Timestamp>) {
    app.read(&Actor::operator(), |cx| {
        let counted = old(cx, cx.now)?;
        assert_eq!(counted.1, oldest_old(cx, cx.now)?);
        Ok(counted)
    })
    .unwrap()
}

fn verified(app: &App) -> Verified {
    let options = Options {
        keys: Some(&app.kit().keys),
        head: None,
    };
    verify(app.db(), &options, &mut |_, _| Ok(())).unwrap()
}

fn run(app: &App, sql: &'static str) {
    app.db().write(move |tx| tx.script(sql)).unwrap();
}

fn rows(tx: &mut Tx<'_>) -> Result<u64> {
    store::count_after(tx, i64::MIN)
}

#[test]
fn rows_go_a_block_at_a_time_when_they_are_old_and_the_chain_goes_on() {
    let app = log();
    at_day(&app, 29);
    assert_eq!((counted(&app), delete(&app, 1000)), ((0, None), 0));
    at_day(&app, 31);
    let first = verified(&app).rows - 8;
    assert_eq!(counted(&app), (first, Some(START.plus(DAY * 30))));
    assert_eq!(delete(&app, 1), first);
    assert_eq!((counted(&app), delete(&app, 1000)), ((0, None), 0));
    let told = verified(&app);
    assert_eq!((told.ok, told.dropped, told.blocks), (true, 1, 3));
    assert_eq!((told.rows, told.unsealed), (8, 1));
    // It is in the log, and sealed there.
    let filter = Filter {
        action: Some("audit.dropped".into()),
        ..Filter::default()
    };
    let page = app.read(&Actor::operator(), |cx| list(cx, &filter, None, 10));
    let entry = page.unwrap().items.remove(0);
    assert_eq!(entry.object, "block:1");
    assert_eq!(entry.details.unwrap()["rows"], first);
    seal(&app, &Actor::operator(), &|| false).unwrap();
    at_day(&app, 51);
    assert_eq!(delete(&app, 5), 8);
    let told = verified(&app);
    assert_eq!((told.ok, told.dropped, told.rows), (true, 3, 1));
    assert_eq!(app.db().read(rows).unwrap(), 2);
}

#[test]
fn without_a_retention_no_row_goes() {
    let app = App::memory();
    seal(&app, &Actor::operator(), &|| false).unwrap();
    app.clock().raise(START.plus(DAY * 36_500));
    assert_eq!((counted(&app), delete(&app, 1000)), ((0, None), 0));
}

#[test]
fn rows_that_somebody_deletes_or_puts_back_are_found_before_and_after() {
    let app = log();
    at_day(&app, 31);
    delete(&app, 1000);
    let found = |sql: &'static str| {
        run(&app, sql);
        let told = verified(&app);
        let first = told.findings.first().map(|it| (it.block, it.fault));
        first
    };
    let back = "INSERT INTO audit_events (id, at, actor, action, object, result)
         VALUES (7, 1, 'x', 'x', 'x', 'ok')";
    assert_eq!(found(back), Some((1, Fault::Added)));
    assert_eq!(found("DELETE FROM audit_events WHERE id = 7"), None);
    let gone = "DELETE FROM audit_events WHERE object = 'x:10-2'";
    assert_eq!(found(gone), Some((2, Fault::Missing)));
}

#[test]
fn a_block_whose_rows_were_altered_is_kept_with_all_that_follow() {
    let app = log();
    run(
        &app,
        "UPDATE audit_events SET actor = 'y' WHERE object = 'x:10-2'",
    );
    at_day(&app, 100);
    let first = verified(&app).rows - 4;
    assert_eq!(delete(&app, 1000), first);
    assert_eq!(delete(&app, 1000), 0);
    let told = verified(&app);
    assert_eq!((told.dropped, told.findings[0].fault), (1, Fault::Altered));
}
