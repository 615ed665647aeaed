//! Purging a million expired rows while the daemon goes on issuing at a fixed rate, against a bare
//! loop of batched deletes on a copy of the same files with the same writes in between.
//!
//! The writes are driven open-loop, so a batch that holds the writer shows in their latency.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::Deserialize;

use crate::Outcome;
use crate::client::{self, Leg, Pace, Requests};
use crate::fill;
use crate::report::{Finding, Goal, Side};
use crate::scenarios::Bench;
use crate::server::{self, DATABASE, Server};
use crate::spread::{Spread, thousands};

/// Writes a second beside the purge.
const WRITES: f64 = 300.0;
const JSON: &str = "content-type: application/json\r\n";
/// Rows in a batch of the bare loop: what performance.md found best.
const BATCH: u64 = 1_000;

/// Who purges.
#[derive(Clone, Copy)]
enum Way {
    /// The daemon itself, asked over HTTP: through the writer that it issues with.
    Daemon,
    /// `provost purge` beside the daemon, as a cron line does it.
    Shell,
}

/// What one purge came to.
struct Purge {
    rows_per_second: f64,
    during: Leg,
    before: Leg,
    longest_ms: f64,
}

/// As the purge itself reports it.
#[derive(Default, Deserialize)]
struct Report {
    total: u64,
    seconds: f64,
    longest_ms: f64,
    complete: bool,
}

impl Report {
    fn add(&mut self, part: &Self) {
        self.total += part.total;
        self.seconds += part.seconds;
        self.longest_ms = self.longest_ms.max(part.longest_ms);
        self.complete = part.complete;
    }
}

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let rows = bench.rows;
    let expired = bench.expired(rows)?;
    let mut findings = Vec::new();
    for way in [Way::Daemon, Way::Shell] {
        let mut limits = Vec::new();
        let mut purges = Vec::new();
        for pair in 0..bench.plan.pairs {
            let copy = bench.copy_of(&expired.folder, "purge-bare")?;
            limits.push(bare_loop(&copy)?);
            let copy = bench.copy_of(&expired.folder, "purge")?;
            let purge = purge(&copy, rows, way)?;
            eprintln!(
                "  pair {}: limit {:.0} rows/s, ours {:.0} rows/s, write p99 {:.2} ms, before {:.2} ms",
                pair + 1,
                limits[pair],
                purge.rows_per_second,
                purge.during.percentile(99.0),
                purge.before.percentile(99.0),
            );
            purges.push(purge);
        }
        findings.extend(found(way, rows, &limits, &purges));
    }
    Ok(findings)
}

fn found(way: Way, rows: u64, limits: &[f64], purges: &[Purge]) -> [Finding; 3] {
    let of = |pick: &dyn Fn(&Purge) -> f64| Spread::of(purges.iter().map(pick));
    let during = of(&|purge| purge.during.percentile(99.0));
    let before = of(&|purge| purge.before.percentile(99.0));
    let ratio = Spread::of(
        purges
            .iter()
            .zip(limits)
            .map(|(ours, limit)| ours.rows_per_second / limit),
    );
    let who = match way {
        Way::Daemon => "purge by the daemon",
        Way::Shell => "purge by the shell",
    };
    let what = format!("{who}, {} rows, {WRITES}/s writes", thousands(rows));
    let mut ours = Side::rate(of(&|purge| purge.rows_per_second));
    ours.p99_ms = Some(during);
    ours.failures = purges
        .iter()
        .map(|purge| purge.during.failures + purge.before.failures)
        .sum();
    ours.first_failure = purges
        .iter()
        .find_map(|purge| purge.during.first_failure.clone());
    let limit = Side::rate(Spread::of(limits.iter().copied()));
    let slowest = of(&|purge| purge.during.latency.max() as f64 / 1e6);
    [
        Finding::new(format!("{what} / bare batched deletes"), ratio, "")
            .goals(Goal::AtLeast(0.4), Goal::AtLeast(0.7))
            .sides(ours, limit),
        Finding::new(
            format!("{what}: write p99 / without"),
            of(&|purge| purge.during.percentile(99.0) / purge.before.percentile(99.0)),
            "×",
        )
        .goals(Goal::AtMost(2.0), Goal::AtMost(1.2))
        .note(format!(
            "write p99 {during} ms during, {before} ms without; the slowest {slowest} ms"
        )),
        Finding::new(
            format!("{what}: longest batch"),
            of(&|purge| purge.longest_ms),
            "ms",
        )
        .goals(Goal::AtMost(20.0), Goal::AtMost(6.0)),
    ]
}

/// Purges while the daemon issues.
fn purge(folder: &Path, rows: u64, way: Way) -> Outcome<Purge> {
    let caller = server::run(
        folder,
        [
            "token",
            "create",
            "--kind",
            "api",
            "--scope",
            "purge:run",
            "--label",
            "load",
            "--quiet",
        ],
    )?;
    let mut writes = Requests::expecting(200, r#""token":""#);
    writes.push_body("POST", "/app/token", JSON, "{}");
    // The one on schedule must not come first.
    let daemon = Server::daemon_with(folder, &[("PROVOST_PURGE_SCHEDULE", "0 0 29 2 *")])?;
    let pace = Pace {
        connections: 16,
        per_second: WRITES,
    };
    let write =
        |length, stop: &AtomicBool| client::open(daemon.address, &writes, pace, length, stop);
    let never = AtomicBool::new(false);
    write(Duration::from_secs(1), &never)?;
    let before = write(Duration::from_secs(5), &never)?;
    let done = AtomicBool::new(false);
    let (during, report) = std::thread::scope(|scope| -> Outcome<_> {
        let writing = scope.spawn(|| write(Duration::from_mins(10), &done));
        let report = match way {
            Way::Daemon => ask(&daemon, caller.trim()),
            Way::Shell => beside(folder),
        };
        done.store(true, Ordering::Relaxed);
        let during = writing.join().map_err(|_| "a client thread panicked")??;
        Ok((during, report?))
    })?;
    drop(daemon);
    let left = fill::count(
        folder,
        "SELECT count(*) FROM tokens WHERE expires_at < (unixepoch() - 86400) * 1000",
    )?;
    if left > 0 || !report.complete || report.total < rows {
        return Err(format!(
            "{} of {rows} rows were purged, {left} are left",
            report.total
        )
        .into());
    }
    Ok(Purge {
        rows_per_second: rows as f64 / report.seconds,
        during,
        before,
        longest_ms: report.longest_ms,
    })
}

/// Has a command purge beside the daemon.
fn beside(folder: &Path) -> Outcome<Report> {
    let report = server::run(folder, ["purge", "--json"])?;
    Ok(serde_json::from_str(&report)?)
}

/// Has the daemon purge until all is done: a request does so for ten seconds at most.
fn ask(daemon: &Server, caller: &str) -> Outcome<Report> {
    let request = format!(
        "POST /api/v1/purge HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {caller}\r\n\
         {JSON}content-length: 2\r\n\r\n{{}}"
    );
    let mut whole = Report::default();
    while !whole.complete {
        let (status, answer) = client::once(daemon.address, &request)?;
        if status != 200 && status != 202 {
            return Err(format!("the purge answered {status}: {answer}").into());
        }
        whole.add(&serde_json::from_str(&answer)?);
    }
    Ok(whole)
}

/// Rows a second of the least that a purge has to do.
fn bare_loop(folder: &Path) -> Outcome<f64> {
    let connection = Connection::open(folder.join(DATABASE))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         CREATE TABLE written (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;",
    )?;
    let mut insert = connection.prepare("INSERT INTO written (at) VALUES (?1)")?;
    let mut delete = connection.prepare(
        "DELETE FROM tokens WHERE id IN
         (SELECT id FROM tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    )?;
    let now = provost::time::wall().0;
    let begin = Instant::now();
    let (mut deleted, mut written) = (0_u64, 0_u64);
    loop {
        // What is due is committed together, as a group commit would: a slow disk must not leave
        // the loop with nothing but catching up.
        let due = begin.elapsed().as_secs_f64() * WRITES;
        if (written as f64) < due {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            while (written as f64) < due {
                insert.insert([now])?;
                written += 1;
            }
            connection.execute_batch("COMMIT")?;
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        delete.raw_bind_parameter(1, now)?;
        delete.raw_bind_parameter(2, i64::try_from(BATCH)?)?;
        let count = u64::try_from(delete.raw_execute()?)?;
        connection.execute_batch("COMMIT")?;
        deleted += count;
        if count < BATCH {
            return Ok(deleted as f64 / begin.elapsed().as_secs_f64());
        }
    }
}
