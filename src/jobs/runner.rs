//! Running jobs: one claim at a time for those that run alone, a row in the history, and the loop
//! of the daemon.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::schedule::{due, spread};
use super::{Done, Finish, JOBS, Job, Reach, Run, Trigger, store};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::config::Schedule;
use crate::error::{Error, Result};
use crate::scope::known;
use crate::time::Timestamp;

/// How long a claim holds without being renewed: then its process counts as dead.
const HOLD: Duration = Duration::from_mins(1);

/// How often a claim is renewed.
const RENEW: Duration = Duration::from_secs(20);

/// Runs that are kept of each job.
const KEEP: u32 = 1000;

/// The longest sleep at once: the wall clock may be set meanwhile.
const NAP: Duration = Duration::from_mins(1);

/// What came of asking for a job.
enum Claim {
    /// It is ours, until it is released or the claim is no longer renewed.
    Ours { run: Run, holder: String },
    /// Somebody else runs it.
    Held { holder: String },
}

fn claim(cx: &mut Cx<'_, '_>, job: &Job, trigger: Trigger) -> Result<Claim> {
    let before = store::state(cx.tx, job.name)?;
    let mut run = begin(cx, job, trigger)?;
    let holder = holder(run.id);
    let until = cx.now.plus(HOLD);
    if !store::claim(cx.tx, job.name, before.last_at, &holder, cx.now, until)? {
        let holder = store::state(cx.tx, job.name)?.holder;
        return Ok(Claim::Held {
            holder: holder.unwrap_or_else(|| "it has just ended".into()),
        });
    }
    // Whoever began and did not end has lost the claim: only a dead process does.
    let dead = json!({ "message": "its process ended before the job did" });
    store::fail_unfinished(cx.tx, job.name, cx.now, &dead.to_string())?;
    while !store::insert_run(cx.tx, &run)? {
        run.id = cx.kit.serials.next(cx.now)?;
    }
    Ok(Claim::Ours { run, holder })
}

fn begin(cx: &Cx<'_, '_>, job: &Job, trigger: Trigger) -> Result<Run> {
    Ok(Run {
        id: cx.kit.serials.next(cx.now)?,
        job: job.name.to_owned(),
        started_at: cx.now,
        finished_at: None,
        result: None,
        trigger,
        details: None,
    })
}

/// Names this process, and this claim of it: two claims of one process are not the same.
fn holder(run: i64) -> String {
    let host = whoami::hostname().unwrap_or_else(|_| "?".into());
    format!("{host} pid {} run {run}", std::process::id())
}

/// Works on a job that was claimed, renewing the claim, and releases it.
fn work_alone(
    app: &App,
    job: &'static Job,
    mut run: Run,
    holder: &str,
    stop: &dyn Fn() -> bool,
) -> (Run, Result<Done>) {
    let lost = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        let lost = &lost;
        scope.spawn(move || {
            while ended.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
                match renew(app, job, holder) {
                    Ok(true) => {}
                    Ok(false) => lost.store(true, Ordering::Relaxed),
                    Err(error) => tracing::warn!(job = job.name, %error, "cannot renew the claim"),
                }
            }
        });
        let outcome = work(app, job, &|| stop() || lost.load(Ordering::Relaxed));
        drop(working);
        outcome
    });
    let (name, ours) = (job.name, holder.to_owned());
    let finished = app.write(&Actor::job(name), {
        let (mut run, ending) = (run.clone(), ending(&outcome));
        move |cx| {
            end(&mut run, cx.now, &ending);
            store::finish_run(cx.tx, &run)?;
            store::release(cx.tx, name, &ours)?;
            store::trim(cx.tx, name, KEEP)?;
            Ok(run.clone())
        }
    });
    match finished {
        Ok(finished) => run = finished,
        Err(error) => {
            tracing::error!(job = name, %error, "cannot write down how the job ended");
            end(&mut run, app.clock().now(), &ending(&outcome));
        }
    }
    (run, outcome)
}

fn renew(app: &App, job: &'static Job, holder: &str) -> Result<bool> {
    let holder = holder.to_owned();
    app.write(&Actor::job(job.name), move |cx| {
        store::renew(cx.tx, job.name, &holder, cx.now.plus(HOLD))
    })
}

/// Does the job's work; a panic is an error like another.
fn work(app: &App, job: &'static Job, stop: &dyn Fn() -> bool) -> Result<Done> {
    let actor = Actor::job(job.name);
    let outcome = catch_unwind(AssertUnwindSafe(|| (job.work)(app, &actor, stop)))
        .unwrap_or_else(|_| Err(Error::internal("the job panicked")));
    if let Err(error) = &outcome {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(job = job.name, %error, cause, "the job failed");
    }
    outcome
}

type Ending = (Finish, Json);

fn ending(outcome: &Result<Done>) -> Ending {
    match outcome {
        Ok(done) if done.complete => (Finish::Ok, done.details.clone()),
        Ok(done) => (Finish::Partial, done.details.clone()),
        Err(error) => (
            Finish::Failed,
            json!({ "error": error.spec().code, "message": error.to_string() }),
        ),
    }
}

fn end(run: &mut Run, at: Timestamp, (result, details): &Ending) {
    run.finished_at = Some(at);
    run.result = Some(*result);
    run.details = Some(details.clone());
}

/// Works on a job of [`Reach::Each`], and writes a row for it if it failed or `always`.
pub(super) fn work_each(
    app: &App,
    job: &'static Job,
    trigger: Trigger,
    always: bool,
    stop: &dyn Fn() -> bool,
) -> Result<(Option<Run>, Result<Done>)> {
    let started_at = app.clock().now();
    let outcome = work(app, job, stop);
    // Who stops does not wait a second time for a database that does not answer.
    let in_vain = stop() && matches!(outcome, Err(Error::Unavailable(_)));
    if in_vain || (outcome.is_ok() && !always) {
        return Ok((None, outcome));
    }
    let ending = ending(&outcome);
    let run = app.write(&Actor::job(job.name), move |cx| {
        let mut run = begin(cx, job, trigger)?;
        run.started_at = started_at;
        end(&mut run, cx.now, &ending);
        while !store::insert_run(cx.tx, &run)? {
            run.id = cx.kit.serials.next(cx.now)?;
        }
        store::trim(cx.tx, job.name, KEEP)?;
        Ok(run)
    })?;
    Ok((Some(run), outcome))
}

/// Runs the job of that name now, with a daemon or without one, and waits for its end.
///
/// # Errors
/// [`Error::Forbidden`] without `job:run`; [`Error::NotFound`]; [`Error::JobRunning`] if it runs
/// already; or what the job itself failed of.
pub fn run_now(
    app: &App,
    actor: &Actor,
    name: &str,
    trigger: Trigger,
    stop: &dyn Fn() -> bool,
) -> Result<Run> {
    actor.require(known::JOB_RUN)?;
    let job = Job::named(name)?;
    let event = Event::new("job.run", format!("job:{name}"));
    let alone = matches!(job.reach, Reach::Alone(_));
    let claimed = app.write(actor, move |cx| {
        let claimed = if alone {
            Some(claim(cx, job, trigger)?)
        } else {
            None
        };
        if !matches!(claimed, Some(Claim::Held { .. })) {
            audit::record(cx, event.clone())?;
        }
        Ok(claimed)
    })?;
    let (run, outcome) = match claimed {
        Some(Claim::Held { holder }) => {
            return Err(Error::JobRunning {
                job: job.name,
                holder,
            });
        }
        Some(Claim::Ours { run, holder }) => {
            let (run, outcome) = work_alone(app, job, run, &holder, stop);
            (Some(run), outcome)
        }
        None => work_each(app, job, trigger, true, stop)?,
    };
    outcome?;
    run.ok_or_else(|| Error::internal("a run without a row"))
}

/// What came of a job whose time had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It ran here.
    Ran,
    /// Somebody else runs it now, or has begun it since `seen`.
    Elsewhere,
}

/// Runs a job whose time has come, unless somebody else has begun it since it was `seen`.
pub(super) fn run_due(
    app: &App,
    job: &'static Job,
    seen: Option<Timestamp>,
    stop: &dyn Fn() -> bool,
) -> Result<Turn> {
    let claimed = app.write(&Actor::job(job.name), move |cx| {
        if store::state(cx.tx, job.name)?.last_at == seen {
            claim(cx, job, Trigger::Schedule).map(Some)
        } else {
            Ok(None)
        }
    })?;
    match claimed {
        Some(Claim::Ours { run, holder }) => {
            // A failure is in the log and in the history; the loop goes on.
            let _told = work_alone(app, job, run, &holder, stop);
            Ok(Turn::Ran)
        }
        Some(Claim::Held { .. }) | None => Ok(Turn::Elsewhere),
    }
}

/// The loop of the daemon: runs every job when it is due, until `stop`, and returns when the last
/// one that runs has ended. With `jobs.enabled = false` only those run that look after this process.
pub async fn run(app: App, stop: CancellationToken) {
    let mut cycles = JoinSet::new();
    // Set once the database was found not to answer while the daemon stops.
    let lost = CancellationToken::new();
    let here = |job: &&Job| job.is_for(app.config()) && (!app.is_read_only() || job.reads_only);
    for job in JOBS.iter().filter(here) {
        match job.reach {
            Reach::Shared(_) if !app.config().jobs.enabled => {}
            Reach::Each(period) | Reach::Shared(period) => {
                let (stop, lost) = (stop.clone(), lost.clone());
                cycles.spawn(every(app.clone(), job, period, stop, lost));
            }
            Reach::Alone(schedule) if app.config().jobs.enabled => {
                let schedule = schedule(app.config()).clone();
                cycles.spawn(alone(app.clone(), job, schedule, stop.clone()));
            }
            Reach::Alone(_) => {}
        }
    }
    while let Some(ended) = cycles.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a job's loop ended");
        }
    }
}

async fn every(
    app: App,
    job: &'static Job,
    period: Duration,
    stop: CancellationToken,
    lost: CancellationToken,
) {
    while !stop.is_cancelled() {
        step(&app, job, &stop, &lost).await;
        sleep(period + spread(period, jitter()), &stop).await;
    }
    // Each that tries would wait as long again.
    if job.at_stop && !lost.is_cancelled() {
        step(&app, job, &stop, &lost).await;
    }
}

async fn step(app: &App, job: &'static Job, stop: &CancellationToken, lost: &CancellationToken) {
    let (app, asked) = (app.clone(), stop.clone());
    let stopped = move || asked.is_cancelled();
    let ran = blocking(job, move || {
        work_each(&app, job, Trigger::Schedule, false, &stopped).map(|(_, outcome)| outcome)
    });
    let unanswered = match ran.await {
        Some(Err(error)) => {
            tracing::warn!(job = job.name, %error, "cannot write down that the job failed");
            matches!(error, Error::Unavailable(_))
        }
        Some(Ok(Err(Error::Unavailable(_)))) => true,
        Some(Ok(_)) | None => false,
    };
    if unanswered && stop.is_cancelled() {
        lost.cancel();
    }
}

async fn alone(app: App, job: &'static Job, schedule: Schedule, stop: CancellationToken) {
    let (jitter, started) = (jitter(), app.clock().now());
    while !stop.is_cancelled() {
        let (asked, own_stop) = (app.clone(), stop.clone());
        let schedule = schedule.clone();
        // Looked up again each time: another process may have run it meanwhile.
        let turn = blocking(job, move || {
            let stop = move || own_stop.is_cancelled();
            let plan = Plan {
                schedule: &schedule,
                jitter,
                started,
            };
            turn(&asked, job, &plan, &stop)
        });
        let wait = match turn.await {
            Some(Ok(wait)) => wait.min(NAP),
            Some(Err(error)) => {
                tracing::warn!(job = job.name, %error, "cannot look whether the job is due");
                NAP
            }
            None => NAP,
        };
        sleep(wait, &stop).await;
    }
}

/// When a job shall run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) jitter: u8,
    /// Since when the loop waits: what a job that never ran counts from.
    pub(super) started: Timestamp,
}

/// Runs the job if it is due; returns how long it is until it may be due again.
pub(super) fn turn(
    app: &App,
    job: &'static Job,
    plan: &Plan<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<Duration> {
    let (now, last) = app.read(&Actor::job(job.name), |cx| {
        Ok((cx.now, store::state(cx.tx, job.name)?.last_at))
    })?;
    let from = if last.is_some() { now } else { plan.started };
    match due(plan.schedule, last, from, plan.jitter) {
        None => Ok(NAP),
        Some(at) if at > now => Ok(at.since(now)),
        Some(_) => match run_due(app, job, last, stop)? {
            Turn::Ran => Ok(Duration::ZERO),
            Turn::Elsewhere => Ok(NAP),
        },
    }
}

/// Runs `f` off the async workers. `None` if it panicked, which is logged.
async fn blocking<T: Send + 'static>(
    job: &'static Job,
    f: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let ended = tokio::task::spawn_blocking(f).await;
    if let Err(error) = &ended {
        tracing::error!(job = job.name, %error, "the job's thread failed");
    }
    ended.ok()
}

async fn sleep(period: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(period) => {}
    }
}

/// A random number; where there is none, everything happens at once, and nothing worse.
fn jitter() -> u8 {
    let mut byte = [0_u8];
    let _none = getrandom::fill(&mut byte);
    let [byte] = byte;
    byte
}
