//! Up: what is pending is tried on a copy of the data, the data is copied away, and only then is it
//! changed.
//!
//! Invariants: up to the first commit nothing is changed, whatever stops it; each migration is
//! there as a whole or not at all, so that there is no state to be mended and nothing to be forced.

use std::path::PathBuf;

use serde::Serialize;

use super::change::Change;
use super::lint::{Finding, Rule, lint_from};
use super::rehearse::{Rehearsal, rehearse};
use super::{Entry, State, Story, Whose, faults};
use crate::app::{Actor, App};
use crate::db::Db;
use crate::error::{Error, Result, Spot};
use crate::snapshots::{self, Draft};

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The schema to come to, if not the newest.
    pub to: Option<u32>,
    /// Only try it; works beside a daemon.
    pub dry_run: bool,
}

/// What goes on, as it happens.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'r> {
    /// These are to be applied, or undone; their sums are good.
    Pending(&'r [Entry]),
    /// The texts of these hold nothing that nobody has accepted.
    Linted(&'r [u32]),
    /// The database is copied: bytes or pages that are left, of so many.
    Copying(u64, u64),
    /// All of them were tried.
    Rehearsed(&'r Rehearsal),
    /// They were not, and why.
    Unrehearsed(&'r str),
    /// The data was copied away.
    Kept(&'r Kept),
    /// It was not, and why.
    Unkept(&'r str),
    /// The next one will be done now: the last moment to stop.
    Changing(&'r str),
}

/// Hears what goes on, and stops it by an error.
pub type Tell<'t> = dyn FnMut(Stage<'_>) -> Result<()> + 't;

/// The copy of the data as it was before.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
    /// Why a restore would refuse it: the database is not as it should be. Nothing, if all is well.
    pub faults: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The schema before.
    pub from: u32,
    /// The schema now; in a trial, the one that it would be.
    pub to: u32,
    /// It was only tried.
    pub dry_run: bool,
    /// What was to be applied, or undone.
    pub pending: Vec<Entry>,
    /// How trying it went.
    pub rehearsal: Option<Rehearsal>,
    /// The copy of the data as it was before.
    pub snapshot: Option<Kept>,
    /// What was applied, or undone.
    pub done: Vec<Entry>,
    /// It was stopped before the last one.
    pub stopped: bool,
}

impl Story {
    /// Applies what is pending, while nobody else has the database open.
    ///
    /// # Errors
    /// As [`Story::verify`]; [`Error::MigrationFailed`], [`Error::MigrationRefused`],
    /// [`Error::LintRefused`];
    /// [`Error::Invalid`] if there is no such schema to come to; [`Error::DaemonRunning`]; what
    /// `tell` returns. Up to the first migration that was applied nothing was changed.
    pub fn migrate(
        &self,
        app: &App,
        actor: &Actor,
        wish: Wish,
        tell: &mut Tell<'_>,
    ) -> Result<Report> {
        self.alone(app, actor, wish.dry_run, tell, &|| {
            let entries = self.verify(app.db())?;
            let from = reached(&entries);
            let to = self.aim(&entries, wish.to)?;
            Ok((from, self.changes(&entries, to)))
        })
    }

    /// Works out what is to be done, and does it, while nobody else has the database open.
    pub(super) fn alone(
        &self,
        app: &App,
        actor: &Actor,
        dry_run: bool,
        tell: &mut Tell<'_>,
        todo: &dyn Fn() -> Result<(u32, Vec<Change>)>,
    ) -> Result<Report> {
        // A copy can be made beside anybody, and a look at what is pending as well.
        let beside = dry_run && (app.db().file().is_some() || !app.db().daemons()?.is_empty());
        let mut go = || self.perform(app, actor, todo()?, (dry_run, !beside), tell);
        let done = if beside {
            Some(go()?)
        } else {
            // Looked at under the lock: of five that start at once, four find nothing left to do.
            app.db().exclusively_if(|| Ok(!todo()?.1.is_empty()), go)?
        };
        match done {
            Some(report) => Ok(report),
            None => Ok(Report::nothing(todo()?.0, dry_run)),
        }
    }

    fn perform(
        &self,
        app: &App,
        actor: &Actor,
        (from, changes): (u32, Vec<Change>),
        (dry_run, alone): (bool, bool),
        tell: &mut Tell<'_>,
    ) -> Result<Report> {
        let Some(last) = changes.last() else {
            return Ok(Report::nothing(from, dry_run));
        };
        let mut report = Report {
            to: last.leads_to(),
            pending: changes.iter().map(Change::entry).collect(),
            ..Report::nothing(from, dry_run)
        };
        tell(Stage::Pending(&report.pending))?;
        let unchanged = format!("the database is unchanged at version {from}");
        // What nobody has used yet holds nothing that could be lost.
        if self.whose() == Whose::Team || from > 0 {
            self.must_be_clean(&changes, tell)?;
            room(app)?;
            let rehearsal = rehearse(self, app, actor, (&changes, alone), tell)
                .map_err(|error| placed(error, true, &unchanged))?;
            match &rehearsal {
                Some(rehearsal) => tell(Stage::Rehearsed(rehearsal))?,
                None => tell(Stage::Unrehearsed(
                    "daemons serve this database, whose tables it would lock",
                ))?,
            }
            report.rehearsal = rehearsal;
            if !dry_run {
                report.snapshot = keep(app, &changes, report.to.max(from), tell)?;
            } else if undoes(&changes) && app.db().file().is_some() {
                // Only to be refused as the real run would be: the copy is gone at once.
                drop(draft(app, &changes, tell)?);
            }
        }
        if dry_run {
            return Ok(report);
        }
        spill(app.db(), true)?;
        let mut kept = unchanged;
        for change in &changes {
            match tell(Stage::Changing(change.name())) {
                Ok(()) => {}
                Err(_) if !report.done.is_empty() => {
                    report.stopped = true;
                    break;
                }
                Err(stop) => return Err(stop),
            }
            let snapshot = report.snapshot.as_ref();
            let copy = snapshot.map_or(String::new(), |it| {
                format!("; snapshot {}", it.path.display())
            });
            let done = self
                .change(app, actor, change)
                .map_err(|error| placed(error, false, &format!("{kept}{copy}")))?;
            let now = change.leads_to();
            kept = format!("the database is at version {now}");
            report.to = now;
            report.done.push(done.entry);
        }
        // A daemon goes on with the same connection.
        spill(app.db(), false)?;
        Ok(report)
    }
}

impl Story {
    /// Refuses what a person should look at first and has not accepted.
    fn must_be_clean(&self, changes: &[Change], tell: &mut Tell<'_>) -> Result<()> {
        let pending: Vec<u32> = changes.iter().filter_map(Change::applies).collect();
        if pending.is_empty() {
            return Ok(());
        }
        let first = pending.iter().min().copied().unwrap_or(0);
        let mut found = lint_from(self, first)?;
        found.retain(|it| pending.contains(&it.number));
        // What nothing can accept comes first, and before all what is not the team's.
        found.sort_by_key(|it| (it.rule != Rule::OwnTable, it.accept.is_some()));
        if !found.is_empty() {
            let faults = found.iter().map(Finding::fault).collect();
            return Err(Error::LintRefused { faults });
        }
        tell(Stage::Linted(&pending))
    }
}

impl Report {
    fn nothing(from: u32, dry_run: bool) -> Self {
        Self {
            from,
            to: from,
            dry_run,
            pending: Vec::new(),
            rehearsal: None,
            snapshot: None,
            done: Vec::new(),
            stopped: false,
        }
    }
}

/// The newest of what was applied.
pub(super) fn reached(entries: &[Entry]) -> u32 {
    let applied = entries.iter().filter(|it| it.state != State::Pending);
    applied.map(|entry| entry.number).max().unwrap_or(0)
}

/// [`crate::db::Tx::spill`], by a transaction of its own.
pub(super) fn spill(db: &Db, may: bool) -> Result<()> {
    db.write(move |tx| {
        tx.spill(may);
        Ok(())
    })
}

/// Says where a migration failed, and what is there now.
fn placed(error: Error, rehearsal: bool, now: &str) -> Error {
    let Error::MigrationFailed {
        name,
        place,
        source,
        ..
    } = error
    else {
        return error;
    };
    Error::MigrationFailed {
        name,
        place: Box::new(Spot {
            rehearsal,
            ..*place
        }),
        kept: now.to_owned(),
        source,
    }
}

/// Refuses to begin on a disk on which there is no room for two copies (security.md, rule 77).
fn room(app: &App) -> Result<()> {
    let about = app.db().about()?;
    let bytes = about.bytes.saturating_add(about.log_bytes.unwrap_or(0));
    about.disk_free.map_or(Ok(()), |free| enough(bytes, free))
}

fn enough(bytes: u64, free: u64) -> Result<()> {
    let needed = bytes.saturating_mul(22) / 10;
    if free >= needed {
        return Ok(());
    }
    Err(Error::MigrationRefused(format!(
        "trying it and keeping a copy takes {needed} bytes on the database's disk, where {free} are free"
    )))
}

/// Copies the data away. What is about to be destroyed must be there to be restored.
fn keep(app: &App, changes: &[Change], schema: u32, tell: &mut Tell<'_>) -> Result<Option<Kept>> {
    if app.db().file().is_none() {
        tell(Stage::Unkept(
            "a copy of a database on a server is made by its own tool, pg_dump",
        ))?;
        return Ok(None);
    }
    let at = snapshots::compact(app.clock().now());
    let folder = snapshots::folder(app)?;
    let name = |n: u32| match n {
        0 => folder.join(format!("pre-{schema:04}-{at}.db")),
        n => folder.join(format!("pre-{schema:04}-{at}-{n}.db")),
    };
    // A second attempt in the same second.
    let path = (0..1000).map(name).find(|path| !path.exists());
    let path = path.ok_or_else(|| Error::internal("no name is left for a snapshot"))?;
    let (mut draft, faults) = draft(app, changes, tell)?;
    if !faults.is_empty() {
        draft.blame(faults.clone(), &app.kit().keys)?;
    }
    let taken = snapshots::publish(draft, &path)?;
    let kept = Kept {
        path: taken.path,
        bytes: taken.manifest.bytes,
        sha256: taken.manifest.sha256,
        faults,
    };
    tell(Stage::Kept(&kept))?;
    Ok(Some(kept))
}

/// A copy of the database that has no name yet, and why `provost restore` would refuse it.
///
/// # Errors
/// [`Error::MigrationRefused`] if it would, and something is to go away.
fn draft(app: &App, changes: &[Change], tell: &mut Tell<'_>) -> Result<(Draft, Vec<String>)> {
    let folder = snapshots::folder(app)?;
    let copying = &mut |left, all| tell(Stage::Copying(left, all));
    let draft = snapshots::draft(app, &folder, copying)?;
    let faults = faults(draft.path(), &draft.manifest, &app.kit().keys)?;
    match faults.first() {
        Some(first) if undoes(changes) => Err(Error::MigrationRefused(format!(
            "what goes away could not be brought back, for provost restore would refuse the copy of it \
             ({first}); mend that first"
        ))),
        Some(_) | None => Ok((draft, faults)),
    }
}

/// Whether something is to go away.
fn undoes(changes: &[Change]) -> bool {
    changes.iter().any(|it| matches!(it, Change::Down(..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_room_for_two_copies_nothing_is_begun() {
        enough(1000, 2200).unwrap();
        let refused = enough(1000, 2199).unwrap_err();
        assert!(matches!(refused, Error::MigrationRefused(why) if why.contains("2200 bytes")));
    }
}
