//! Taking in accounts that were made elsewhere: from files, and from the databases of the programs
//! that this one replaces.
//!
//! Two steps. [`check`] reads everything, looks at every value by the same rules as for an account
//! made here, finds what would collide, and lays what is good aside in a file that has no name.
//! [`write()`] puts that into the database.
//!
//! Invariants: every refused row is told, with its line and the member at fault; a row is taken as a
//! whole or not at all; without `keep_going` so is the source. Then all of it is one transaction:
//! nobody ever sees a half of it, and a crash leaves none. It holds the writer for no longer than the
//! bare inserting takes, because everything else was done before; a daemon goes on reading, and its
//! writes wait. With `keep_going` the rows go in short transactions, with gaps for the daemon.

mod fields;
mod names;
mod old;
mod reader;
mod spool;
mod store;

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

pub use old::{Kind, OldUsers};
pub use reader::{Form, Lines};

use fields::Ready;
use names::Seen;
use spool::Spool;

use super::{Role, object};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Refusal, Result};
use crate::id;
use crate::scope::known;

/// Rows that are looked up or written together.
const BATCH: usize = 100;

/// Where accounts come from.
pub trait Source {
    /// What it is, for the audit log: `csv`, `s2`.
    fn kind(&self) -> &'static str;

    /// The next row; none at the end.
    ///
    /// # Errors
    /// If it cannot be read on. A row that makes no sense is no error.
    fn next(&mut self) -> Result<Option<Record>>;
}

/// A row as it was found.
#[derive(Debug)]
pub struct Record {
    line: u64,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Members(Vec<(fields::Field, fields::Given)>),
    /// It cannot be read.
    Broken(Refusal),
    /// Not even where it ends is known: nothing behind it can be read either.
    Cut(Refusal),
}

/// What happens, for who shows it.
#[derive(Debug)]
pub enum Told<'a> {
    /// So many rows were read.
    Read(u64),
    /// One was refused.
    Refused(&'a Refusal),
    /// So many accounts were made.
    Written(u64),
}

/// Hears what happens, and stops the work by an error.
pub type Tell<'t> = dyn FnMut(Told<'_>) -> Result<()> + 't;

/// A source that was read and looked at.
#[derive(Debug)]
pub struct Checked {
    /// Its rows.
    pub rows: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of the others, with the role of an administrator.
    pub administrators: u64,
    kind: &'static str,
    spool: Spool,
}

impl Checked {
    /// Rows that can be taken in.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.rows.saturating_sub(self.refused)
    }
}

/// What came of an import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Rows that were read.
    pub rows: u64,
    /// Accounts that were made.
    pub imported: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// Whether nothing else is left to be done.
    pub complete: bool,
    /// The last line that was taken in, where it was stopped before the end.
    pub last_line: Option<u64>,
}

/// Reads all of `source` and looks at it; changes nothing.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; what `tell` returns; those of the source and of the
/// database.
pub fn check(
    app: &App,
    actor: &Actor,
    source: &mut dyn Source,
    tell: &mut Tell<'_>,
) -> Result<Checked> {
    actor.require(known::USER_WRITE)?;
    let mut checked = Checked {
        rows: 0,
        refused: 0,
        administrators: 0,
        kind: source.kind(),
        spool: Spool::new(app)?,
    };
    let (mut seen, mut more) = (Seen::default(), true);
    let today = app.clock().now();
    while more {
        let (mut good, mut refused) = (Vec::with_capacity(BATCH), Vec::new());
        let mut rows = 0;
        while more && rows < BATCH {
            let Some(record) = source.next()? else {
                more = false;
                break;
            };
            rows += 1;
            let members = match record.found {
                Found::Members(members) => members,
                Found::Broken(refusal) => {
                    refused.push(refusal);
                    continue;
                }
                Found::Cut(refusal) => {
                    refused.push(refusal);
                    more = false;
                    continue;
                }
            };
            let (row, mut faults) = fields::read(record.line, &members, today);
            // Also for a row that is refused: whose the name is must be settled anyway.
            faults.extend(seen.meet(&row));
            if faults.is_empty() {
                good.push(row);
            } else {
                refused.append(&mut faults);
            }
        }
        if !good.is_empty() {
            let taken = app.read(actor, |cx| taken(cx, &good))?;
            refused.extend(taken);
        }
        refused.sort_by_key(|refusal| refusal.line);
        good.retain(|row| !refused.iter().any(|refusal| refusal.line == row.line));
        for row in &good {
            checked.administrators += u64::from(row.roles.contains(&Role::Admin));
            checked.spool.put(row)?;
        }
        let read = count(rows);
        checked.rows += read;
        checked.refused += read.saturating_sub(count(good.len()));
        for refusal in &refused {
            tell(Told::Refused(refusal))?;
        }
        tell(Told::Read(read))?;
    }
    Ok(checked)
}

/// Makes the accounts that [`check`] found good: all of them, or none, or, with `keep_going`, those
/// whose names nobody has taken meanwhile.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::RowsRefused`]; what `tell` returns, unless
/// with `keep_going` something was kept already; those of the database.
pub fn write(
    app: &App,
    actor: &Actor,
    checked: Checked,
    keep_going: bool,
    tell: &mut Tell<'_>,
) -> Result<Report> {
    actor.require(known::USER_WRITE)?;
    if keep_going {
        write_in_steps(app, actor, checked, tell)
    } else {
        write_at_once(app, actor, checked, tell)
    }
}

fn write_at_once(
    app: &App,
    actor: &Actor,
    mut checked: Checked,
    tell: &mut Tell<'_>,
) -> Result<Report> {
    let mut report = Report {
        rows: checked.rows,
        refused: checked.refused,
        ..Report::default()
    };
    if checked.refused > 0 {
        return Err(refused(&report, Vec::new()));
    }
    checked.spool.rewind()?;
    app.import(actor, |cx| {
        loop {
            let rows = checked.spool.take(BATCH)?;
            if rows.is_empty() {
                break;
            }
            let faults = insert(cx, &rows)?;
            if !faults.is_empty() {
                report.refused = count(faults.len());
                for fault in &faults {
                    tell(Told::Refused(fault))?;
                }
                return Err(refused(&report, faults));
            }
            report.imported += count(rows.len());
            tell(Told::Written(count(rows.len())))?;
        }
        report.complete = true;
        record(cx, checked.kind, &report)
    })?;
    Ok(report)
}

fn write_in_steps(
    app: &App,
    actor: &Actor,
    mut checked: Checked,
    tell: &mut Tell<'_>,
) -> Result<Report> {
    let mut report = Report {
        rows: checked.rows,
        refused: checked.refused,
        complete: true,
        ..Report::default()
    };
    checked.spool.rewind()?;
    loop {
        let rows = checked.spool.take(BATCH)?;
        let Some(last) = rows.last().map(|row| row.line) else {
            break;
        };
        let (start, all) = (Instant::now(), count(rows.len()));
        let faults = app.write(actor, move |cx| insert(cx, &rows))?;
        let written = all.saturating_sub(count(faults.len()));
        report.imported += written;
        report.refused += count(faults.len());
        let heard = faults
            .iter()
            .try_for_each(|fault| tell(Told::Refused(fault)))
            .and_then(|()| tell(Told::Written(written)));
        if heard.is_err() {
            report.complete = false;
            report.last_line = Some(last);
            break;
        }
        if app.db().is_guest() {
            // As long as it was kept waiting, the daemon may write alone.
            std::thread::sleep(start.elapsed().clamp(GAP, LONGEST_GAP));
        }
    }
    let (kind, told) = (checked.kind, report.clone());
    app.write(actor, move |cx| record(cx, kind, &told))?;
    Ok(report)
}

const GAP: Duration = Duration::from_millis(2);
const LONGEST_GAP: Duration = Duration::from_millis(50);

fn refused(report: &Report, errors: Vec<Refusal>) -> Error {
    Error::RowsRefused {
        rows: report.rows,
        refused: report.refused,
        errors,
    }
}

/// Makes these accounts. Returns why some of them could not be made.
fn insert(cx: &mut Cx<'_, '_>, rows: &[Ready]) -> Result<Vec<Refusal>> {
    let fresh = |row: &Ready| row.id.clone().unwrap_or_else(|| id::entity(cx.now));
    let ids: Vec<String> = rows.iter().map(fresh).collect();
    let made = store::insert(cx.tx, &ids, rows, cx.now)?;
    let all = made.len() == rows.len();
    let (mut there, mut left) = (Vec::with_capacity(rows.len()), Vec::new());
    for (id, row) in ids.iter().zip(rows) {
        if all || made.contains(id) {
            there.push((id.as_str(), row));
        } else {
            left.push(row);
        }
    }
    store::grant(cx.tx, &there, cx.now)?;
    for (id, row) in there {
        let password = if row.hash.is_some() { "hash" } else { "none" };
        let details = json!({ "roles": row.roles, "password": password, "imported": true });
        audit::record(cx, Event::new("user.created", object(id)).with(details))?;
    }
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let left: Vec<Ready> = left.into_iter().cloned().collect();
    let mut faults = taken(cx, &left)?;
    // Two accounts can have taken one name each.
    faults.dedup_by_key(|fault| fault.line);
    explained(&left, &faults)?;
    Ok(faults)
}

/// Who was not made has a name that somebody has. A row of which that is not so must not get lost:
/// it is told as what it is, and nothing is committed.
fn explained(left: &[Ready], faults: &[Refusal]) -> Result<()> {
    let lost = |row: &&Ready| !faults.iter().any(|fault| fault.line == row.line);
    match left.iter().find(lost) {
        Some(row) => Err(Error::internal(format!(
            "the account on line {} was not made, and nobody has its names",
            row.line
        ))),
        None => Ok(()),
    }
}

/// Which of these rows have a name that somebody in the database has.
fn taken(cx: &mut Cx<'_, '_>, rows: &[Ready]) -> Result<Vec<Refusal>> {
    let mut faults = Vec::new();
    for unique in names::UNIQUE {
        let of = |row: &Ready| unique.of(row).map(str::to_owned);
        let wanted: Vec<String> = rows.iter().filter_map(of).collect();
        if wanted.is_empty() {
            continue;
        }
        for (name, owner) in store::owners(cx.tx, unique, &wanted)? {
            let clash = rows.iter().filter(|row| unique.of(row) == Some(&name));
            faults.extend(clash.map(|row| Refusal {
                line: row.line,
                field: unique.field(),
                reason: format!("belongs to an account that is there already: {owner}"),
            }));
        }
    }
    faults.sort_by_key(|fault| fault.line);
    Ok(faults)
}

/// The import as a whole in the log, beside each of its accounts.
fn record(cx: &mut Cx<'_, '_>, kind: &'static str, report: &Report) -> Result<()> {
    let details = json!({
        "from": kind, "rows": report.rows, "imported": report.imported, "refused": report.refused,
        "complete": report.complete,
    });
    audit::record(cx, Event::new("user.imported", "users").with(details))
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
