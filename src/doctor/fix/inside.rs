//! Mending inside the database: indexes that are missing are made again, and rows that point to
//! nothing are moved into a file.
//!
//! Invariants: no row leaves the database that is not in the file, on the disk, before the commit;
//! all that is moved is one transaction; nothing is done in a database of which a page is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Change, What, folder};
use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::doctor::{Needs, Patient, leftovers, store};
use crate::error::{Error, Result};
use crate::file;
use crate::migrations::{self, Drift, Story};
use crate::snapshots::compact;

/// Rows that are looked for and moved together.
const BATCH: u32 = 1000;

/// Rows that are counted before anything is done.
const COUNTED: u32 = 100_000;

/// What can be mended inside, in order.
pub(super) fn plan(patient: &Patient) -> Result<Vec<Change>> {
    if patient.lacks(Needs::Schema).is_some() {
        return Ok(Vec::new());
    }
    let db = patient.app()?.db();
    let examined = db.examine()?;
    let damaged = examined
        .iter()
        .any(|it| it.name == "integrity" && !it.findings.is_empty());
    if damaged {
        return Ok(Vec::new());
    }
    let path = patient.file().unwrap_or(Path::new("database")).to_owned();
    let change = |what| Change::new(path.clone(), what);
    let mut changes: Vec<Change> = missing_indexes(patient)?
        .into_iter()
        .map(|sql| change(What::Index(sql)))
        .collect();
    if patient.file().is_some() {
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for stray in db.export(|tx| tx.strays(store::ORPHANS, COUNTED))? {
            *rows.entry(stray.table).or_default() += 1;
        }
        if !rows.is_empty() {
            changes.push(change(What::Rows {
                to: free_name(patient)?,
                rows,
            }));
        }
    }
    Ok(changes)
}

/// The statements that make the indexes which the migrations have made and that are not there.
fn missing_indexes(patient: &Patient) -> Result<Vec<String>> {
    let drifted = match migrations::drift(patient.app()?.db(), &Story::own()) {
        // A server's role need not be able to make the schema that is compared with.
        Err(Error::Config(_)) => return Ok(Vec::new()),
        drifted => drifted?,
    };
    let missing: BTreeSet<String> = drifted
        .into_iter()
        .filter(is_missing_index)
        .map(|it| it.name)
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    // As the migrations have it.
    let parts = migrations::made(migrations::needed())?.into_iter();
    let wanted = parts.filter(|it| it.sort == "index" && missing.contains(&it.name));
    Ok(wanted.map(|it| it.text).collect())
}

/// Whether it is an index that is not there. One that is there in another form somebody has to decide
/// about.
pub(in crate::doctor) fn is_missing_index(drift: &Drift) -> bool {
    drift.sort == "index" && drift.diff.lines().all(|line| line.starts_with('-'))
}

/// A file that nobody has, for rows that are moved.
fn free_name(patient: &Patient) -> Result<PathBuf> {
    let folder = patient.folder()?.join(leftovers::ASIDE);
    let at = compact(patient.now);
    let name = |n: u32| match n {
        0 => folder.join(format!("rows-{at}.jsonl")),
        n => folder.join(format!("rows-{at}-{n}.jsonl")),
    };
    let free = (0..1000)
        .map(name)
        .find(|it| it.symlink_metadata().is_err());
    free.ok_or_else(|| Error::Exists { path: name(0) })
}

/// Mends one thing inside.
///
/// # Errors
/// Those of the database, or [`Error::Io`]; the database is as it was then.
pub fn apply(app: &App, actor: &Actor, change: &Change) -> Result<()> {
    match &change.what {
        What::Index(sql) => app.import(actor, |cx| {
            cx.tx.script(sql)?;
            let event = Event::new("doctor.index_made", "database");
            audit::record(cx, event.with(json!({ "statement": sql })))
        }),
        What::Rows { to, .. } => {
            let aside = file::folder_of(to);
            let _is_ours = folder(aside)?;
            // It stays if that fails: whether a commit that failed is on the disk nobody knows.
            move_rows(app, actor, to)
        }
        What::Mode(_) | What::Folder | What::Ballast | What::Moved(_) => {
            Err(Error::internal("this is not inside the database"))
        }
    }
}

fn move_rows(app: &App, actor: &Actor, to: &Path) -> Result<()> {
    let writing = || Error::io(format!("write {}", to.display()));
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(file::flags())
        .open(to)
        .map_err(writing())?;
    file::give_to_owner_of_folder(&file, to)?;
    let mut lines = BufWriter::new(file);
    app.import_loosely(actor, |cx| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        // What pointed to a row that has gone points to nothing then.
        loop {
            let strays = cx.tx.strays(store::ORPHANS, BATCH)?;
            if strays.is_empty() {
                break;
            }
            // A row can be without several others.
            let mut seen = BTreeSet::new();
            for stray in strays {
                if !seen.insert((stray.table.clone(), stray.key_text())) {
                    continue;
                }
                writeln!(lines, "{}", stray.to_json()).map_err(writing())?;
                cx.tx.take_out(&stray)?;
                *counts.entry(stray.table).or_default() += 1;
            }
        }
        lines.flush().map_err(writing())?;
        for path in [to, file::folder_of(to)] {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(writing())?;
        }
        let details = json!({ "to": to, "rows": counts });
        audit::record(
            cx,
            Event::new("doctor.rows_moved", "database").with(details),
        )
    })
}
