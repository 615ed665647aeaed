use super::*;
use crate::audit::{self, Event, Options};
use crate::db::Tx;
use crate::time::Timestamp;

/// After every wall clock, so that nothing else decides.
const NOW: Timestamp = Timestamp(4_000_000_000_000);

fn operator() -> Actor {
    Actor::operator()
}

fn record(app: &App, at: Timestamp, object: &str) {
    let object = object.to_owned();
    app.at(at, &operator(), move |cx| {
        audit::record(cx, Event::new("x.made", object.as_str()))
    })
    .unwrap();
}

fn fill(app: &App, rows: i64) {
    app.at(NOW, &operator(), move |cx| {
        (0..rows).try_for_each(|n| audit::record(cx, Event::new("x.made", format!("x:{n}"))))
    })
    .unwrap();
}

fn seal(app: &App) -> Sealed {
    super::seal(app, &operator(), &|| false).unwrap()
}

fn verified(app: &App) -> audit::Verified {
    let options = Options {
        keys: Some(&app.kit().keys),
        head: None,
    };
    audit::verify(app.db(), &options, &mut |_, _| Ok(())).unwrap()
}

fn state(app: &App) -> State {
    app.db().read(store::state).unwrap().unwrap_or_default()
}

fn insert(tx: &mut Tx<'_>, id: i64) -> Result<()> {
    let sql = "INSERT INTO audit_events (id, at, actor, action, object, result)
         VALUES ($1, 1, 'x', 'x.made', 'x:1', 'ok')";
    tx.run(sql, &[id.into()]).map(drop)
}

/// The rows that migrations have left.
fn rows(app: &App) -> u64 {
    app.db().read(|tx| store::count_after(tx, 0)).unwrap()
}

#[test]
fn a_log_that_nobody_touches_is_sealed_from_its_first_row_and_verifies() {
    let app = App::memory();
    let before = rows(&app);
    assert_eq!((verified(&app).unsealed, verified(&app).ok), (before, true));
    for n in 0..3 {
        record(&app, NOW, "x:1");
        let sealed = seal(&app);
        let rows = if n == 0 { before + 1 } else { 1 };
        let wanted = Sealed {
            rows,
            blocks: 1,
            complete: true,
        };
        assert_eq!(sealed, wanted);
    }
    let nothing = Sealed {
        complete: true,
        ..Sealed::default()
    };
    assert_eq!(seal(&app), nothing);
    record(&app, NOW, "x:2");
    let told = verified(&app);
    assert_eq!((told.ok, told.blocks, told.unsealed), (true, 3, 1));
    assert_eq!(told.rows, before + 3);
    assert_eq!(told.head.as_ref().map(|head| head.number), Some(3));
    assert_eq!(app.db().read(audit::head).unwrap(), told.head);
}

fn in_steps(count: i64) {
    let app = App::memory();
    // As before there were seals.
    app.db()
        .write(|tx| tx.script("DELETE FROM audit_head"))
        .unwrap();
    fill(&app, count);
    let all = rows(&app);
    let steps = u64::from(ROWS) * u64::try_from(BLOCKS).unwrap();
    let mut sealed = 0;
    loop {
        let step = super::seal(&app, &operator(), &|| true).unwrap();
        assert!(step.rows <= steps && step.blocks <= 8);
        assert!(verified(&app).ok);
        sealed += step.rows;
        if step.complete {
            break;
        }
    }
    assert_eq!(sealed, all);
    let told = verified(&app);
    assert_eq!((told.ok, told.rows, told.unsealed), (true, all, 0));
    assert_eq!(told.blocks, all.div_ceil(u64::from(ROWS)));
}

#[test]
fn a_long_log_is_sealed_in_steps() {
    in_steps(4_600);
}

#[test]
#[ignore = "takes a minute"]
fn a_log_of_a_hundred_thousand_rows_is_sealed_in_steps() {
    in_steps(100_000);
}

#[test]
fn what_comes_from_a_clock_that_is_behind_gets_an_id_above_what_is_sealed() {
    let app = App::memory();
    record(&app, NOW, "x:1");
    // Another process, whose clock is hours ahead.
    let ahead = app.db().read(store::newest).unwrap().unwrap() + (1 << 45);
    app.db().write(move |tx| insert(tx, ahead)).unwrap();
    seal(&app);
    assert_eq!(state(&app).ceiling, ahead);
    record(&app, NOW, "x:2");
    record(&app, NOW, "x:3");
    assert_eq!(app.db().read(store::newest).unwrap(), Some(ahead + 2));
    seal(&app);
    assert!(verified(&app).ok);
}

#[test]
fn no_row_is_added_below_the_ceiling_even_before_there_is_a_block() {
    let app = App::memory();
    record(&app, NOW, "x:1");
    assert!(raise(&app, &operator()).unwrap());
    let ceiling = state(&app).ceiling;
    let entry = |id| audit::Entry {
        id,
        at: NOW,
        actor: "x".into(),
        action: "x.made".into(),
        object: "x:2".into(),
        result: audit::Outcome::Ok,
        ip: None,
        request_id: None,
        details: None,
    };
    let add = |id| {
        let entry = entry(id);
        app.write(&operator(), move |cx| audit::store::insert(cx.tx, &entry))
    };
    // One engine finds that out only later, and gives up.
    assert!(!matches!(add(ceiling - 1), Ok(true)));
    assert!(!matches!(add(ceiling), Ok(true)));
    assert!(add(ceiling + 1).unwrap());
    // A crash came in between: the next run goes on where this one was.
    assert_eq!((verified(&app).ok, verified(&app).blocks), (true, 0));
    seal(&app);
    assert_eq!((verified(&app).ok, verified(&app).unsealed), (true, 0));
}

#[test]
fn of_two_who_seal_at_once_one_does() {
    let app = App::memory();
    record(&app, NOW, "x:1");
    raise(&app, &operator()).unwrap();
    let key = app.kit().keys.audit().unwrap();
    let (start, blocks) = app.read(&operator(), |cx| next(cx, &key)).unwrap();
    for first in [true, false] {
        let (start, blocks) = (start.clone(), blocks.clone());
        let key = app.kit().keys.audit().unwrap();
        let added = app.write(&operator(), move |cx| add(cx, &start, &blocks, &key));
        assert_eq!(added.unwrap(), first);
    }
    assert_eq!((verified(&app).ok, verified(&app).blocks), (true, 1));
}

#[test]
fn the_end_of_a_chain_that_somebody_moved_is_not_signed_anew() {
    for sql in [
        "UPDATE audit_head SET number = 1, last_id = 1",
        "UPDATE audit_head SET dropped = 1",
        "UPDATE audit_head SET sealed_by = 'x'",
        "DELETE FROM audit_head",
    ] {
        let app = App::memory();
        for _ in 0..2 {
            record(&app, NOW, "x:1");
            seal(&app);
        }
        app.db().write(move |tx| tx.script(sql)).unwrap();
        record(&app, NOW, "x:2");
        let sealed = super::seal(&app, &operator(), &|| false);
        assert!(
            matches!(sealed, Err(Error::Corrupt(_))),
            "{sql}: {sealed:?}"
        );
        assert!(!verified(&app).ok, "{sql}");
    }
}

#[test]
fn only_who_may_run_jobs_may_seal() {
    let app = App::memory();
    let actor = Actor::token("audit:read");
    let refused = super::seal(&app, &actor, &|| false);
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
}

#[test]
fn adding_a_row_looks_at_no_more_than_one_row_of_the_seals() {
    let app = App::memory();
    if app.db().has_many_writers() {
        return;
    }
    let plan = app.db().read(|tx| {
        let sql = "EXPLAIN QUERY PLAN
            INSERT INTO audit_events (id, at, actor, action, object, result)
            SELECT 1, 1, 'x', 'x', 'x', 'ok'
            WHERE 1 > COALESCE((SELECT ceiling FROM audit_head WHERE id = 1), 0)";
        tx.all(sql, &[])
    });
    let steps: Vec<String> = plan
        .unwrap()
        .iter()
        .map(|row| row.text("detail").unwrap())
        .collect();
    let look = "SEARCH audit_head USING INTEGER PRIMARY KEY (rowid=?)";
    assert!(steps.iter().any(|step| step == look), "{steps:?}");
}

/// On a server, where others write at the same time.
mod among_others {
    use super::*;

    #[test]
    fn the_ceiling_does_not_pass_a_row_that_is_not_committed_yet() {
        let app = App::memory();
        if !app.db().has_many_writers() {
            return;
        }
        record(&app, NOW, "x:1");
        let before = state(&app).ceiling;
        let newest = app.db().read(store::newest).unwrap().unwrap();
        app.db()
            .import(|tx| {
                insert(tx, newest - 1)?;
                assert!(!raise(&app, &operator()).unwrap());
                assert!(!seal(&app).complete);
                Ok(())
            })
            .unwrap();
        assert_eq!(state(&app).ceiling, before);
        assert!(seal(&app).complete);
        assert_eq!((verified(&app).ok, verified(&app).unsealed), (true, 0));
    }

    #[test]
    fn the_ceiling_leaves_the_wait_for_locks_as_it_was() {
        let app = App::memory();
        if !app.db().has_many_writers() {
            return;
        }
        let wait = |tx: &mut Tx<'_>| {
            let sql = "SELECT current_setting('lock_timeout') AS wait";
            tx.first(sql, &[])?.unwrap().text("wait")
        };
        let (before, after) = app
            .db()
            .write(move |tx| {
                let before = wait(tx)?;
                assert!(store::quiet(tx)?);
                Ok((before, wait(tx)?))
            })
            .unwrap();
        assert_ne!(before, "0");
        assert_eq!(before, after);
    }

    #[test]
    fn a_row_that_waited_while_the_ceiling_rose_comes_out_above_it() {
        let app = App::memory();
        if !app.db().has_many_writers() {
            return;
        }
        record(&app, NOW, "x:1");
        seal(&app);
        let ceiling = state(&app).ceiling + 1_000_000;
        std::thread::scope(|scope| {
            app.db()
                .import(|tx| {
                    assert!(store::quiet(tx)?);
                    let late = scope.spawn(|| record(&app, NOW, "x:late"));
                    let waits = "SELECT COUNT(*) AS n FROM pg_locks l JOIN pg_class c
                          ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
                         WHERE NOT l.granted AND c.relname = 'audit_events'
                           AND n.nspname = current_schema()";
                    while tx.first(waits, &[])?.unwrap().int("n")? == 0 {
                        assert!(!late.is_finished(), "nobody had to wait");
                    }
                    let sql = "UPDATE audit_head SET ceiling = $1";
                    tx.run(sql, &[ceiling.into()]).map(drop)
                })
                .unwrap();
        });
        assert_eq!(app.db().read(store::newest).unwrap(), Some(ceiling + 1));
        seal(&app);
        assert_eq!((verified(&app).ok, verified(&app).unsealed), (true, 0));
    }
}
