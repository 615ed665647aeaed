use super::runner::{Plan, Turn, run_due, turn};
use super::*;
use crate::audit;
use crate::db::clock;
use crate::testing;
use crate::tokens::{self, NewToken};
use tokio_util::sync::CancellationToken;

/// Now, in these tests: after every wall clock, so that the clock's mark decides.
const NOW: Timestamp = Timestamp(4_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn app() -> App {
    let app = App::memory();
    app.clock().raise(NOW);
    app
}

fn later(app: &App, period: Duration) {
    app.clock().raise(app.clock().now().plus(period));
}

fn purge() -> &'static Job {
    Job::named("purge").unwrap()
}

fn run_purge(app: &App) -> Result<Run> {
    run_now(app, &Actor::operator(), "purge", Trigger::Shell, &|| false)
}

/// A process that claims the purge, and is not heard of any more.
fn claim_and_die(app: &App) -> String {
    app.write(&Actor::job("purge"), |cx| {
        let holder = "web1 pid 7 run 0";
        assert!(store::claim(
            cx.tx,
            "purge",
            None,
            holder,
            cx.now,
            cx.now.plus(MINUTE)
        )?);
        let run = Run {
            id: 1,
            job: "purge".into(),
            started_at: cx.now,
            finished_at: None,
            result: None,
            trigger: Trigger::Schedule,
            details: None,
        };
        assert!(store::insert_run(cx.tx, &run)?);
        Ok(holder.to_owned())
    })
    .unwrap()
}

fn runs(app: &App) -> Vec<Run> {
    let page = app.read(&Actor::operator(), |cx| history(cx, None, None, 100));
    page.unwrap().items
}

fn status_of(app: &App, name: &str) -> Status {
    let jobs = app.read(&Actor::operator(), list).unwrap();
    jobs.into_iter().find(|job| job.name == name).unwrap()
}

fn expired_token(app: &App) {
    app.at(NOW.minus(HOUR * 3), &Actor::operator(), |cx| {
        tokens::create(cx, &NewToken::of(tokens::Kind::Temporary))
    })
    .unwrap();
}

#[test]
fn every_job_has_a_name_of_its_own() {
    let mut names: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), JOBS.len());
    assert!(matches!(
        Job::named("none"),
        Err(Error::NotFound { noun: "job", .. })
    ));
}

#[test]
fn a_run_at_the_shell_does_the_work_and_is_in_the_history_and_in_the_audit_log() {
    let app = app();
    expired_token(&app);
    let run = run_purge(&app).unwrap();
    assert_eq!(run.result, Some(Finish::Ok));
    assert_eq!(run.details.as_ref().unwrap()["total"], 1);
    assert_eq!(runs(&app), [run]);
    let actions = app.read(&Actor::operator(), |cx| {
        audit::list(cx, &audit::Filter::default(), None, 2)
    });
    let actions: Vec<String> = actions
        .unwrap()
        .items
        .into_iter()
        .map(|e| e.action)
        .collect();
    assert_eq!(actions, ["purge.run", "job.run"]);
}

#[test]
fn a_job_that_runs_elsewhere_is_not_run_twice() {
    let app = app();
    let holder = claim_and_die(&app);
    let error = run_purge(&app).unwrap_err();
    assert_eq!(error.spec().exit, 10);
    assert!(error.to_string().contains(&holder), "{error}");
    assert_eq!(status_of(&app, "purge").running, Some(holder));
    let seen = Some(NOW);
    let turn = run_due(&app, purge(), seen, &|| false).unwrap();
    assert_eq!(turn, Turn::Elsewhere);
    assert_eq!(runs(&app).len(), 1);
}

#[test]
fn the_claim_of_a_dead_process_is_taken_over_and_its_run_has_failed() {
    let app = app();
    let dead = claim_and_die(&app);
    later(&app, MINUTE);
    assert_eq!(status_of(&app, "purge").running, None);
    run_purge(&app).unwrap();
    let results: Vec<_> = runs(&app).into_iter().map(|run| run.result).collect();
    assert_eq!(results, [Some(Finish::Ok), Some(Finish::Failed)]);
    // It was not dead after all: it has lost the job all the same.
    let renewed = app.write(&Actor::job("purge"), move |cx| {
        store::renew(cx.tx, "purge", &dead, cx.now.plus(HOUR))
    });
    assert!(!renewed.unwrap());
    run_purge(&app).unwrap();
}

#[test]
fn a_claim_that_is_renewed_holds() {
    let app = app();
    let holder = claim_and_die(&app);
    later(&app, MINUTE / 2);
    let renewed = app.write(&Actor::job("purge"), move |cx| {
        store::renew(cx.tx, "purge", &holder, cx.now.plus(MINUTE))
    });
    assert!(renewed.unwrap());
    later(&app, MINUTE / 2);
    assert!(matches!(run_purge(&app), Err(Error::JobRunning { .. })));
}

#[test]
fn a_job_runs_when_it_is_due_and_not_before() {
    let app = app();
    let schedule = Schedule::Every(Period(HOUR));
    let plan = Plan {
        schedule: &schedule,
        jitter: 255,
        started: NOW,
    };
    let wait = || turn(&app, purge(), &plan, &|| false).unwrap();
    assert_eq!(wait(), HOUR / 10);
    later(&app, HOUR / 10);
    assert_eq!(wait(), Duration::ZERO);
    assert_eq!(runs(&app).len(), 1);
    assert_eq!(wait(), HOUR + HOUR / 10);
    later(&app, HOUR + HOUR / 10);
    assert_eq!(wait(), Duration::ZERO);
    assert_eq!(runs(&app).len(), 2);
}

#[test]
fn a_job_that_another_process_has_begun_meanwhile_is_left_alone() {
    let app = app();
    run_purge(&app).unwrap();
    let turn = run_due(&app, purge(), None, &|| false).unwrap();
    assert_eq!(turn, Turn::Elsewhere);
    assert_eq!(runs(&app).len(), 1);
}

fn broken(reach: Reach) -> &'static Job {
    Box::leak(Box::new(Job {
        name: "broken",
        about: "panics",
        reach,
        at_stop: false,
        of_file: false,
        reads_only: false,
        work: |_, _, _| panic!("as it shall"),
    }))
}

#[test]
fn a_job_that_panics_has_failed_and_lets_go_of_its_claim() {
    let app = app();
    let job = broken(Reach::Alone(|config| &config.purge.schedule));
    for n in 1..=2 {
        let seen = app.read(&Actor::job("x"), |cx| store::state(cx.tx, "broken"));
        let turn = run_due(&app, job, seen.unwrap().last_at, &|| false).unwrap();
        assert_eq!((turn, runs(&app).len()), (Turn::Ran, n));
        later(&app, MINUTE);
    }
    let run = runs(&app).remove(0);
    assert_eq!(run.result, Some(Finish::Failed));
    assert_eq!(run.details.unwrap()["error"], "internal");
}

#[test]
fn of_what_every_daemon_does_for_itself_only_failures_are_in_the_history() {
    let app = app();
    let work = |job| runner::work_each(&app, job, Trigger::Schedule, false, &|| false);
    let (_, outcome) = work(Job::named("clock.mark").unwrap()).unwrap();
    assert!(outcome.is_ok());
    assert_eq!(runs(&app), []);
    let (_, outcome) = work(broken(Reach::Each(MINUTE))).unwrap();
    assert!(outcome.is_err());
    assert_eq!(runs(&app)[0].result, Some(Finish::Failed));
}

#[test]
fn a_history_keeps_the_newest_runs_of_each_job() {
    let app = app();
    for _ in 0..3 {
        run_purge(&app).unwrap();
    }
    let all = runs(&app);
    app.write(&Actor::operator(), |cx| store::trim(cx.tx, "purge", 2))
        .unwrap();
    assert_eq!(runs(&app), all[..2]);
    app.write(&Actor::operator(), |cx| store::trim(cx.tx, "purge", 2))
        .unwrap();
    assert_eq!(runs(&app).len(), 2);
}

#[test]
fn a_history_is_read_page_by_page() {
    let app = app();
    for _ in 0..3 {
        run_purge(&app).unwrap();
    }
    let read = |cursor: Option<String>| {
        app.read(&Actor::operator(), |cx| {
            history(cx, Some("purge"), cursor.as_deref(), 2)
        })
        .unwrap()
    };
    let first = read(None);
    let second = read(first.next);
    assert_eq!((first.items.len(), second.items.len()), (2, 1));
    assert_eq!(second.next, None);
}

#[test]
fn seeing_and_running_jobs_takes_a_scope_each() {
    let app = app();
    let reader = Actor::token("job:read");
    assert!(app.read(&reader, list).is_ok());
    assert!(app.read(&Actor::token("job:run"), list).is_err());
    let run = |actor: &Actor| run_now(&app, actor, "purge", Trigger::Api, &|| false);
    assert!(matches!(run(&reader), Err(Error::Forbidden { .. })));
    assert!(matches!(
        run(&Actor::anonymous()),
        Err(Error::Unauthenticated)
    ));
    assert!(run(&Actor::token("job:run")).is_ok());
}

#[test]
fn the_list_tells_the_last_run_and_the_next() {
    let app = app();
    let run = run_purge(&app).unwrap();
    let status = status_of(&app, "purge");
    assert_eq!(status.last_at, Some(run.started_at));
    assert_eq!(status.last_result, Some(Finish::Ok));
    assert_eq!(status.next_at, Some(run.started_at.plus(HOUR)));
    assert_eq!(status.running, None);
}

#[test]
fn uses_that_cannot_be_written_are_kept_for_the_next_time() {
    let app = app();
    for token in 0..1200 {
        app.kit().uses.note(token, NOW);
    }
    app.db()
        .write(|tx| tx.script("ALTER TABLE tokens RENAME TO gone"))
        .unwrap();
    let job = || chores::last_used(&app, &Actor::job("x"), &|| false);
    assert!(job().is_err());
    app.db()
        .write(|tx| tx.script("ALTER TABLE gone RENAME TO tokens"))
        .unwrap();
    let uses = app.kit().uses.take();
    assert_eq!(uses.len(), 1200);
}

#[test]
fn the_mark_follows_the_clock() {
    let app = App::memory();
    let before = crate::time::wall();
    chores::clock_mark(&app, &Actor::job("x"), &|| false).unwrap();
    let mark = app.db().read(crate::db::clock::mark).unwrap();
    assert!(mark >= before);
    assert!(app.clock().now() >= mark);
}

#[test]
fn a_daemon_that_stops_writes_the_uses_that_it_has_noted() {
    let app = app();
    let token = app
        .write(&Actor::operator(), |cx| {
            tokens::create(cx, &NewToken::of(tokens::Kind::Api))
        })
        .unwrap();
    let id = token.token.id;
    app.read(&Actor::operator(), |cx| {
        tokens::note_use(cx, id);
        Ok(())
    })
    .unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    testing::run(run(app.clone(), stop));
    let token = app.read(&Actor::operator(), |cx| tokens::get(cx, &id.to_string()));
    assert_eq!(token.unwrap().last_used_at, Some(NOW));
}

#[test]
fn the_loop_runs_what_every_daemon_does_for_itself_at_once() {
    let app = App::memory();
    let stop = CancellationToken::new();
    std::thread::scope(|scope| {
        let daemon = scope.spawn(|| testing::run(run(app.clone(), stop.clone())));
        while app.db().read(crate::db::clock::mark).unwrap() == Timestamp(0) {
            std::thread::yield_now();
        }
        stop.cancel();
        daemon.join().unwrap();
    });
}

#[test]
fn nothing_is_purged_by_a_clock_that_leapt_ahead() {
    let app = app();
    expired_token(&app);
    app.clock().leap();
    let run = run_purge(&app).unwrap();
    assert_eq!(run.result, Some(Finish::Partial));
    let left = app.db().read(tokens::any).unwrap();
    assert!(left, "a row that may be alive was deleted");
}

#[test]
fn a_clock_that_leapt_ahead_is_believed_once_an_operator_says_so() {
    let app = App::memory();
    app.clock().leap();
    let mark = || chores::clock_mark(&app, &Actor::job("clock.mark"), &|| false).unwrap();
    assert_ne!(mark().details["jumped"], serde_json::Value::Null);
    assert!(app.clock().jumped());
    // A mark from before the leap says nothing.
    let now = crate::time::wall();
    let before = now.minus(Duration::from_hours(2));
    app.db().write(move |tx| clock::raise(tx, before)).unwrap();
    assert_ne!(mark().details["jumped"], serde_json::Value::Null);
    app.db().write(move |tx| clock::raise(tx, now)).unwrap();
    assert_eq!(mark().details["jumped"], serde_json::Value::Null);
    assert!(!app.clock().jumped());
}

#[test]
fn a_flood_of_refusals_is_one_row_when_its_minute_is_over() {
    let app = app();
    for _ in 0..12 {
        let denials = &app.kit().denials;
        denials.note(&Actor::anonymous(), "GET /x", &Error::Unauthenticated, NOW);
    }
    let counted = |stopping: bool| {
        chores::last_used(&app, &Actor::job("x"), &|| stopping).unwrap();
        let filter = audit::Filter {
            action: Some("request.denied".into()),
            ..audit::Filter::default()
        };
        let page = app.read(&Actor::operator(), |cx| audit::list(cx, &filter, None, 9));
        page.unwrap().items
    };
    assert!(counted(false).is_empty());
    let rows = counted(true);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].details, Some(serde_json::json!({ "more": 2 })));
    assert_eq!(rows[0].object, "route:GET /x");
}
