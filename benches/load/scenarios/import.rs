//! Importing 100,000 accounts with bcrypt hashes from a file, against a bare loop of prepared
//! inserts that puts the same rows into the same tables in one transaction.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::Outcome;
use crate::program;
use crate::report::{Finding, Goal, Side};
use crate::scenarios::Bench;
use crate::server::{DATABASE, provost};
use crate::spread::{Spread, thousands};

/// Accounts in the file.
const ACCOUNTS: u64 = 100_000;

/// The tables into which an import writes, in the order that their references want.
const TABLES: [&str; 3] = ["users", "user_roles", "audit_events"];

/// What one import came to.
struct Import {
    bare: f64,
    ours: f64,
    peak_mib: f64,
}

/// Measures it.
pub(crate) fn run(bench: &mut Bench) -> Outcome<Vec<Finding>> {
    let empty = bench.fresh("import-empty")?;
    let file = empty.join("people.csv");
    std::fs::write(&file, accounts()?)?;
    let mut all = Vec::new();
    for pair in 0..bench.plan.pairs {
        let folder = bench.copy_of(&empty, "import")?;
        let begin = Instant::now();
        let mut import = provost(&folder);
        import.args(["user", "import", "--yes"]).arg(&file);
        let peak_mib = program::peak_rss(&import)?;
        let ours = begin.elapsed().as_secs_f64();
        let target = bench.copy_of(&empty, "import-bare")?;
        let bare = bare_loop(&folder, &target)?;
        eprintln!(
            "  pair {}: bare inserts {bare:.2} s, ours {ours:.2} s",
            pair + 1
        );
        all.push(Import {
            bare,
            ours,
            peak_mib,
        });
    }
    let of = |pick: &dyn Fn(&Import) -> f64| Spread::of(all.iter().map(pick));
    let what = format!("provost user import, {} accounts", thousands(ACCOUNTS));
    let rate = |seconds: f64| ACCOUNTS as f64 / seconds;
    let peak = of(&|import| import.peak_mib);
    Ok(vec![
        Finding::new(
            format!("{what} / bare prepared inserts"),
            of(&|import| import.bare / import.ours),
            "",
        )
        .goals(Goal::AtLeast(0.5), Goal::AtLeast(0.6))
        .sides(
            Side::rate(of(&|import| rate(import.ours))),
            Side::rate(of(&|import| rate(import.bare))),
        ),
        Finding::new(what.clone(), of(&|import| import.ours), "s")
            .goals(Goal::AtMost(60.0), Goal::AtMost(10.0)),
        Finding::new(format!("{what}: peak memory"), peak, "MiB")
            .goals(Goal::AtMost(100.0), Goal::AtMost(90.0)),
    ])
}

/// The file, as the older programs would write it.
fn accounts() -> Outcome<String> {
    let mut text = String::from(
        "id,username,email,phone,hashed_password,fio,created_at,is_superuser,is_verified\n",
    );
    let mut state = 1_u64;
    for n in 0..ACCOUNTS {
        // In no order, as people's names are.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let name = format!("user{:x}.{n}", state >> 24);
        writeln!(
            text,
            "{n},{name},{name}@example.org,+37529{n:07},\
             $2b$12${n:021}u7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG,Иван Иванович {n},\
             2024-01-02 03:04:05.123+00,f,t"
        )?;
    }
    Ok(text)
}

/// Seconds that the least takes: the rows that `from` has got, into `to`.
fn bare_loop(from: &Path, to: &Path) -> Outcome<f64> {
    let from = Connection::open(from.join(DATABASE))?;
    let to = Connection::open(to.join(DATABASE))?;
    to.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -65536; DELETE FROM audit_events;",
    )?;
    let mut tables = Vec::new();
    for table in TABLES {
        let mut select = from.prepare(&format!("SELECT * FROM {table} ORDER BY rowid"))?;
        let width = select.column_count();
        let mut rows = select.raw_query();
        let mut values: Vec<Vec<Value>> = Vec::new();
        while let Some(row) = rows.next()? {
            values.push(
                (0..width)
                    .map(|place| row.get(place))
                    .collect::<Result<_, _>>()?,
            );
        }
        tables.push((table, width, values));
    }
    let begin = Instant::now();
    to.execute_batch("BEGIN IMMEDIATE")?;
    for (table, width, rows) in &tables {
        let places = vec!["?"; *width].join(", ");
        let mut insert = to.prepare(&format!("INSERT INTO {table} VALUES ({places})"))?;
        for row in rows {
            insert.insert(rusqlite::params_from_iter(row))?;
        }
    }
    to.execute_batch("COMMIT")?;
    Ok(begin.elapsed().as_secs_f64())
}
