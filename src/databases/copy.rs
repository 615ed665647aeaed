//! Everything from one database into another, and whether two hold the same.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::digest::{Digest, Sum};
use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::db::schema::{Table, in_order};
use crate::db::whole::Pages;
use crate::db::{Db, Tx, Value, clock};
use crate::error::{Error, Result};
use crate::migrations;

/// Tell how the tables of one database were made, and so belong to that one.
const HISTORIES: [&str; 2] = ["migrations", "team_migrations"];

/// Have rows from their making on, which the source's take the place of: the seals are those of the
/// events that were written down then.
const SEEDED: [&str; 4] = ["clock", "keyring", "audit_blocks", "audit_head"];

/// Where making a database and copying one are written down, and under which name.
const EVENTS: (&str, &str) = ("audit_events", "action");
const MADE: &str = "migration.applied";
const COPIED: &str = "db.copied";

/// What is going on; a number of rows goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Rows are read from the source and put into the target.
    Copying,
    /// Rows are read again, to be compared.
    Comparing,
}

/// Hears of rows that are done, and stops the work by an error.
pub type Tell<'t> = dyn FnMut(Phase, u64) -> Result<()> + 't;

/// What a copy would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The tables in the order in which they are copied, and their rows.
    pub tables: Vec<super::Count>,
    /// All of the rows.
    pub rows: u64,
}

/// How far the target of a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// There is no such file yet.
    Missing,
    /// It holds no tables yet.
    Blank,
    /// It has all tables, and nothing in them.
    Empty,
}

/// A table in two databases.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Its name.
    pub table: String,
    /// Its rows in the source.
    pub from_rows: u64,
    /// Its rows in the target.
    pub to_rows: u64,
    /// The sum of its rows' digests in the source.
    pub from_digest: Digest,
    /// The same in the target.
    pub to_digest: Digest,
    /// Whether both hold the same.
    pub equal: bool,
}

/// What came of a copy or a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The tables.
    pub tables: Vec<Compared>,
    /// All rows of the source.
    pub rows: u64,
    /// Whether every table holds the same. If not, a copy is not kept.
    pub equal: bool,
    /// How long it took.
    pub seconds: f64,
}

/// What a copy of `from` would hold.
///
/// # Errors
/// [`Error::SchemaDiffers`] naming `place`, or those of the database.
pub fn plan(from: &Db, place: &str) -> Result<Plan> {
    fits(from, place)?;
    from.export(|tx| {
        let tables = in_order(ours(tx)?)?.into_iter();
        let counted = tables.map(|table| {
            let rows = tx.count(&table)?;
            let table = table.name;
            Ok(super::Count { table, rows })
        });
        let tables = counted.collect::<Result<Vec<_>>>()?;
        let rows = tables.iter().map(|count| count.rows).sum();
        Ok(Plan { tables, rows })
    })
}

/// Whether everything can be copied into `to`.
///
/// # Errors
/// [`Error::NotEmpty`], [`Error::SchemaDiffers`], [`Error::ForeignDatabase`].
pub fn target(to: &Db, place: &str) -> Result<Target> {
    if migrations::schema(to)? == 0 {
        return Ok(Target::Blank);
    }
    fits(to, place)?;
    to.export(|tx| {
        let tables = ours(tx)?;
        must_be_empty(tx, &tables, place).map(|()| Target::Empty)
    })
}

/// Copies everything of `from` into `to`, whose tables are there and empty, and compares what is
/// there then. All of it is one transaction: whatever stops it leaves `to` as it was.
///
/// # Errors
/// [`Error::NotEmpty`], [`Error::Corrupt`] if the two are not built alike, what `tell` returns, or
/// those of the databases.
pub fn copy(
    (from, source): (&Db, &str),
    (to, place): (&App, &str),
    actor: &Actor,
    tell: &mut Tell<'_>,
) -> Result<Report> {
    let start = Instant::now();
    let mut report = None;
    let copied = from.export(|theirs| {
        // Nothing is to come before what was there.
        to.clock().raise(clock::mark(theirs)?);
        to.import(actor, |cx| {
            let tables = in_order(alike(theirs, cx.tx)?)?;
            must_be_empty(cx.tx, &tables, place)?;
            for table in tables.iter().rev() {
                cx.tx.clear(table)?;
            }
            let sums = fill(theirs, cx.tx, &tables, tell)?;
            let compared = tables.iter().zip(&sums).map(|(table, sum)| {
                let copied = walk(cx.tx, table, |_| true, &mut |n| tell(Phase::Comparing, n))?;
                Ok(compared(table, *sum, copied))
            });
            let told = told(compared.collect::<Result<_>>()?, start);
            let (equal, rows) = (told.equal, told.rows);
            report = Some(told);
            if !equal {
                return Err(Error::Corrupt("the copy differs from its source".into()));
            }
            let event =
                Event::new(COPIED, "database").with(json!({ "from": source, "rows": rows }));
            audit::record(cx, event)
        })
    });
    match (copied, report) {
        (Ok(()), Some(report)) => Ok(report),
        // What differs is told in full; it has been rolled back.
        (Err(Error::Corrupt(_)), Some(report)) if !report.equal => Ok(report),
        (Err(error), _) => Err(error),
        (Ok(()), None) => Err(Error::internal("a copy without a report")),
    }
}

/// Compares two databases, but for what a copy itself writes down in the target.
///
/// # Errors
/// As [`copy`].
pub fn verify(from: &Db, to: &Db, tell: &mut Tell<'_>) -> Result<Report> {
    let start = Instant::now();
    from.export(|theirs| {
        to.export(|own| {
            let tables = in_order(alike(theirs, own)?)?;
            let compared = tables.iter().map(|table| {
                let event = column_of_events(table);
                let keep = |row: &[Value]| !event.is_some_and(|at| holds(row, at, COPIED));
                let mut tell = |n| tell(Phase::Comparing, n);
                let one = walk(theirs, table, keep, &mut tell)?;
                let other = walk(own, table, keep, &mut tell)?;
                Ok(compared(table, one, other))
            });
            Ok(told(compared.collect::<Result<_>>()?, start))
        })
    })
}

/// # Errors
/// [`Error::SchemaDiffers`] naming `place`, [`Error::ForeignDatabase`].
pub(super) fn fits(db: &Db, place: &str) -> Result<()> {
    let (schema, binary) = (migrations::schema(db)?, migrations::needed());
    if schema == binary {
        return Ok(());
    }
    Err(Error::SchemaDiffers {
        place: place.to_owned(),
        schema,
        binary,
    })
}

/// The tables whose rows are copied.
fn ours(tx: &mut Tx<'_>) -> Result<Vec<Table>> {
    let mut tables = tx.schema()?;
    tables.retain(|table| !HISTORIES.contains(&table.name.as_str()));
    Ok(tables)
}

/// The tables of both databases, which have to be built alike.
fn alike(one: &mut Tx<'_>, other: &mut Tx<'_>) -> Result<Vec<Table>> {
    let (ones, others) = (ours(one)?, ours(other)?);
    let odd = |all: &[Table], among: &[Table]| {
        let odd = all.iter().find(|table| !among.contains(table));
        odd.map(|table| table.name.clone())
    };
    if let Some(table) = odd(&ones, &others).or_else(|| odd(&others, &ones)) {
        let has = |all: &[Table]| all.iter().any(|it| it.name == table);
        return Err(Error::Corrupt(if has(&ones) && has(&others) {
            format!("table {table} is not the same in both databases")
        } else {
            // What the program needs is in both of them by now.
            format!(
                "table {table} is in one of the databases only; a team's own are made by: \
                 provost migrate up --dir DIR"
            )
        }));
    }
    Ok(ones)
}

/// Refuses a target that holds more than its making has left there.
fn must_be_empty(tx: &mut Tx<'_>, tables: &[Table], place: &str) -> Result<()> {
    // The events last: whatever else is there says more.
    let (events, others): (Vec<&Table>, Vec<&Table>) = tables
        .iter()
        .filter(|table| !SEEDED.contains(&table.name.as_str()))
        .partition(|table| column_of_events(table).is_some());
    for table in others.into_iter().chain(events) {
        let event = column_of_events(table);
        let mut pages = Pages::of(table)?;
        loop {
            let rows = pages.next(tx)?;
            let made = |row: &Vec<Value>| event.is_some_and(|at| holds(row, at, MADE));
            if rows.iter().any(|row| !made(row)) {
                return Err(Error::NotEmpty {
                    place: place.to_owned(),
                    table: table.name.clone(),
                });
            }
            if rows.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

/// Where the name of an event stands, in the table that has them.
fn column_of_events(table: &Table) -> Option<usize> {
    let (name, column) = EVENTS;
    (table.name == name).then(|| table.place(column))?
}

fn holds(row: &[Value], at: usize, text: &str) -> bool {
    matches!(row.get(at), Some(Value::Text(it)) if it == text)
}

/// Copies all rows; adds up those of the source, table by table.
fn fill(
    from: &mut Tx<'_>,
    to: &mut Tx<'_>,
    tables: &[Table],
    tell: &mut Tell<'_>,
) -> Result<Vec<Sum>> {
    let mut fill = |table: &Table| {
        let mut sum = Sum::default();
        let mut pages = Pages::of(table)?;
        loop {
            let rows = pages.next(from)?;
            if rows.is_empty() {
                return whole(from, table, sum);
            }
            for row in &rows {
                sum.add(row);
            }
            to.fill(table, &rows)?;
            tell(Phase::Copying, u64::try_from(rows.len()).unwrap_or(0))?;
        }
    };
    tables.iter().map(&mut fill).collect()
}

/// Adds up the rows that are to be kept.
fn walk(
    tx: &mut Tx<'_>,
    table: &Table,
    keep: impl Fn(&[Value]) -> bool,
    tell: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Sum> {
    let (mut sum, mut left_out) = (Sum::default(), 0);
    let mut pages = Pages::of(table)?;
    loop {
        let rows = pages.next(tx)?;
        if rows.is_empty() {
            let seen = Sum {
                rows: sum.rows + left_out,
                ..sum
            };
            return whole(tx, table, seen).map(|_| sum);
        }
        for row in &rows {
            if keep(row) {
                sum.add(row);
            } else {
                left_out += 1;
            }
        }
        tell(u64::try_from(rows.len()).unwrap_or(0))?;
    }
}

/// A damaged index hides rows from whoever follows it: the count knows them.
fn whole(tx: &mut Tx<'_>, table: &Table, sum: Sum) -> Result<Sum> {
    let there = tx.count(table)?;
    if there == sum.rows {
        return Ok(sum);
    }
    let (name, seen) = (&table.name, sum.rows);
    Err(Error::Corrupt(format!(
        "table {name} has {there} rows, and {seen} can be found by their key"
    )))
}

fn compared(table: &Table, from: Sum, to: Sum) -> Compared {
    Compared {
        table: table.name.clone(),
        from_rows: from.rows,
        to_rows: to.rows,
        from_digest: from.digest,
        to_digest: to.digest,
        equal: from == to,
    }
}

fn told(tables: Vec<Compared>, start: Instant) -> Report {
    Report {
        rows: tables.iter().map(|table| table.from_rows).sum(),
        equal: tables.iter().all(|table| table.equal),
        tables,
        seconds: start.elapsed().as_secs_f64(),
    }
}
