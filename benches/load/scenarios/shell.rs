//! Whole processes: `provost --version` and `provost token lookup -`, against the `sqlite3` shell
//! running the same look-up.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::program;
use crate::report::{Finding, Goal, Side};
use crate::scenarios::Bench;
use crate::server::{DATABASE, provost};
use crate::spread::{Spread, thousands};

/// Runs of each program in one leg.
const RUNS: u32 = 40;

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let pairs = bench.plan.pairs;
    let filled = bench.filled(bench.rows)?;
    let token = filled.tokens.first().ok_or("the database has no token")?;
    let id = filled.id;
    let stdin = filled.folder.join("token.txt");
    std::fs::write(&stdin, token)?;
    let database = filled.folder.join(DATABASE);
    let by_hand = || {
        let mut command = Command::new("sqlite3");
        command.arg(&database);
        command.arg(format!("SELECT * FROM tokens WHERE id = {id}"));
        average(&mut command, Path::new("/dev/null"))
    };
    let version = || {
        average(
            provost(&filled.folder).arg("--version"),
            Path::new("/dev/null"),
        )
    };
    let lookup = || {
        average(
            provost(&filled.folder).args(["token", "lookup", "-"]),
            &stdin,
        )
    };
    let peak = program::peak_rss(
        provost(&filled.folder)
            .args(["token", "lookup", "--file"])
            .arg(&stdin),
    );
    let rows = thousands(filled.rows);
    let title = format!("provost token lookup -, {rows} rows / sqlite3");
    let list = average(
        provost(&filled.folder).args(["token", "list", "--limit", "50"]),
        Path::new("/dev/null"),
    )?;
    Ok(vec![
        compare(
            "provost --version / sqlite3 look-up",
            pairs,
            by_hand,
            version,
        )?
        .goals(Goal::AtMost(3.0), Goal::AtMost(1.5)),
        compare(&title, pairs, by_hand, lookup)?
            .goals(Goal::AtMost(5.0), Goal::AtMost(1.5))
            .note(peak.map_or_else(
                |error| format!("peak memory unknown: {error}"),
                |mib| format!("peak memory {mib:.1} MiB"),
            )),
        Finding::new(
            format!("provost token list --limit 50, {rows} rows"),
            Spread::of([list * 1e3]),
            "ms",
        )
        .goals(Goal::AtMost(50.0), Goal::AtMost(50.0)),
    ])
}

fn compare(
    what: &str,
    pairs: usize,
    limit: impl Fn() -> Outcome<f64>,
    ours: impl Fn() -> Outcome<f64>,
) -> Outcome<Finding> {
    let mut both = Vec::new();
    for _ in 0..pairs {
        both.push((limit()?, ours()?));
    }
    let of = |pick: fn(&(f64, f64)) -> f64| Spread::of(both.iter().map(pick));
    Ok(Finding::new(what, of(|(limit, ours)| ours / limit), "×")
        .sides(
            Side::rate(of(|(_, ours)| 1.0 / ours)),
            Side::rate(of(|(limit, _)| 1.0 / limit)),
        )
        .note(format!("{} ms a process", of(|(_, ours)| ours * 1e3))))
}

/// Seconds from start to end, the mean of many runs.
fn average(command: &mut Command, stdin: &Path) -> Outcome<f64> {
    let mut seconds = 0.0;
    for _ in 0..RUNS {
        command.stdin(Stdio::from(File::open(stdin)?));
        seconds += program::timed(command)?.as_secs_f64();
    }
    Ok(seconds / f64::from(RUNS))
}
