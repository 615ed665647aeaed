//! `provost token list --all --jsonl` against the `sqlite3` shell printing the same columns.

use std::process::Command;

use crate::Outcome;
use crate::program;
use crate::report::{Finding, Goal, Side};
use crate::scenarios::Bench;
use crate::server::{DATABASE, provost};
use crate::spread::{Spread, thousands};

/// The columns that the list shows, straight from the table, in the same order.
const SQL: &str = "SELECT id, kind, revoked_at, owner_id, label, scopes, created_at, expires_at,
    not_before, max_uses, used, last_used_at, revoked_at, cidr, meta, hint
    FROM tokens ORDER BY id DESC";

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let pairs = bench.plan.pairs;
    let filled = bench.filled(bench.rows)?;
    let database = filled.folder.join(DATABASE);
    let mut by_hand = Command::new("sqlite3");
    by_hand.arg("-json").arg(&database).arg(SQL);
    let mut plain = Command::new("sqlite3");
    plain.arg(&database).arg(SQL);
    let mut ours = provost(&filled.folder);
    ours.args(["token", "list", "--all", "--jsonl"]);
    let peak = program::peak_rss(&ours)?;
    let mut both = Vec::new();
    let mut plainly = Vec::new();
    for _ in 0..pairs {
        let limit = program::timed(&mut by_hand)?.as_secs_f64();
        let took = program::timed(&mut ours)?.as_secs_f64();
        both.push((limit, took));
        plainly.push(took / program::timed(&mut plain)?.as_secs_f64());
    }
    let of = |pick: &dyn Fn(&(f64, f64)) -> f64| Spread::of(both.iter().map(pick));
    let rows = filled.rows as f64;
    let what = format!("token list --all --jsonl, {} rows", thousands(filled.rows));
    Ok(vec![
        Finding::new(format!("{what} / sqlite3 -json"), of(&|(a, b)| b / a), "×")
            .goals(Goal::AtMost(3.0), Goal::AtMost(1.2))
            .sides(
                Side::rate(of(&|(_, b)| rows / b)).resident(peak),
                Side::rate(of(&|(a, _)| rows / a)),
            )
            .note(format!(
                "{} × sqlite3 in its own format, which is not JSON",
                Spread::of(plainly)
            )),
        Finding::new(format!("{what}, peak resident"), Spread::of([peak]), "MiB")
            .goals(Goal::AtMost(40.0), Goal::AtMost(40.0)),
    ])
}
