//! The rehearsal: what is to be done to the data is done to a copy of it first, and looked at.
//!
//! `SQLite`: a copy of the file, in a private folder beside it that is gone afterwards. A server: the
//! data itself, in one transaction that is rolled back.

mod place;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::change::{Change, Done};
use super::lint::{Rule, accepts};
use super::untouched::Own;
use super::up::{Stage, Tell, spill};
use super::{Entry, Migration, Story};
use crate::app::{Actor, App};
use crate::config::DbUrl;
use crate::db::{Db, Role};
use crate::error::{Error, Result};
use crate::keys::Keys;
use place::Place;

/// How it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// On a copy.
    Copy,
    /// In a transaction that was rolled back.
    Transaction,
}

/// How trying it went: well, or it would be an error.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    /// How it was tried.
    pub form: Form,
    /// The size of the copy.
    pub bytes: Option<u64>,
    /// How long the statements took.
    pub seconds: f64,
    /// The migrations, and their statements.
    pub migrations: Vec<Timed>,
    /// What was looked at afterwards: `integrity`, `foreign_keys`.
    pub checks: Vec<&'static str>,
    /// Rows that are gone from tables that are still there.
    pub rows_lost: u64,
    /// Tables that have fewer rows than before, and how many are gone.
    pub lost: Vec<Rows>,
    /// Tables that are gone, and how many rows they had.
    pub dropped: Vec<Rows>,
}

/// A table, and a number of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// The table's name.
    pub table: String,
    /// How many.
    pub rows: u64,
}

/// A migration, and how long each of its statements took.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// Its name.
    pub name: String,
    /// The statements.
    pub statements: Vec<Statement>,
}

/// A statement, and how long it took.
#[derive(Clone, Debug, Serialize)]
pub struct Statement {
    /// Which one, from 1.
    pub number: usize,
    /// On which line it begins, from 1.
    pub line: usize,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

type Counts = Vec<(String, u64)>;

/// Tries `changes`. None where that would hold up the daemons that serve the database: on a server,
/// unless nobody else has it open.
///
/// # Errors
/// [`Error::MigrationFailed`]; [`Error::MigrationRefused`] if rows are lost by what is no removal,
/// or if what comes of it is damaged.
pub(super) fn rehearse(
    story: &Story,
    app: &App,
    actor: &Actor,
    (changes, alone): (&[Change], bool),
    tell: &mut Tell<'_>,
) -> Result<Option<Rehearsal>> {
    let rehearsal = match app.db().file() {
        Some(file) => in_a_copy(story, app, actor, (changes, file), tell)?,
        None if !alone => return Ok(None),
        None => in_a_transaction(story, app, actor, changes)?,
    };
    story.must_mean(changes, &rehearsal.lost)?;
    Ok(Some(rehearsal))
}

impl Story {
    /// Refuses to lose rows, unless a migration that names their table says that this is meant. What
    /// undoes a migration was asked to destroy.
    fn must_mean(&self, changes: &[Change], lost: &[Rows]) -> Result<()> {
        let applied = changes.iter().map(|change| match change {
            Change::Up(migration) => Some(migration),
            Change::Down(..) => None,
        });
        let Some(applied) = applied.collect::<Option<Vec<&Migration>>>() else {
            return Ok(());
        };
        let unmeant = lost.iter().filter(|gone| {
            let mut named = applied.iter().filter(|it| it.names(&gone.table)).peekable();
            let meant = |it: &&Migration| accepts(&it.up, Rule::DeleteRows);
            // What goes because another table's rows go is named nowhere.
            if named.peek().is_none() {
                !applied.iter().any(meant)
            } else {
                !named.any(meant)
            }
        });
        let told: Vec<String> = unmeant
            .map(|it| format!("{} of {}", it.rows, it.table))
            .collect();
        if told.is_empty() {
            return Ok(());
        }
        let files = applied.iter().filter(|it| {
            let mut tables = lost.iter();
            applied.len() == 1 || tables.any(|gone| it.names(&gone.table))
        });
        let files: Vec<String> = files.map(|it| self.file(&it.name)).collect();
        let place = if files.is_empty() {
            "the file that does it".to_owned()
        } else {
            files.join(" or ")
        };
        Err(Error::MigrationRefused(format!(
            "in the rehearsal rows were lost from tables that stay: {}; if that is meant, say so in {place}, \
             in a line of its own: -- lint: allow delete_rows: WHY",
            told.join(", ")
        )))
    }
}

fn in_a_copy(
    story: &Story,
    app: &App,
    actor: &Actor,
    (changes, file): (&[Change], &Path),
    tell: &mut Tell<'_>,
) -> Result<Rehearsal> {
    let place = Place::make(file)?;
    let path = place.file()?;
    app.db()
        .back_up(&path, &mut |left, all| tell(Stage::Copying(left, all)))?;
    let size = std::fs::metadata(&path);
    let size = size.map_err(Error::io(format!("look at {}", path.display())))?;
    let mut config = app.config().clone();
    config.db = DbUrl::Sqlite(path);
    let db = Db::open(&config.db, Role::Shell)?;
    // Migrations key nothing.
    let copy = App::new(config, Keys::ephemeral()?, db);
    spill(copy.db(), true)?;
    let look = || copy.db().export(|tx| Own::look(story, tx));
    let own = look()?;
    let before = copy.db().rows_by_table()?;
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        // The last moment to stop this.
        tell(Stage::Copying(0, 1))?;
        done.push(story.change(&copy, actor, change)?);
    }
    let after = copy.db().rows_by_table()?;
    Own::must_be(own.as_ref(), look()?.as_ref())?;
    let mut checks = Vec::new();
    for check in copy.db().examine()? {
        if let Some(found) = check.findings.first() {
            let (object, detail) = (&found.object, &found.detail);
            return Err(Error::MigrationRefused(format!(
                "after the rehearsal the check of {} finds {object}: {detail}",
                check.name
            )));
        }
        checks.push(check.name);
    }
    drop(copy);
    place.remove()?;
    Ok(Rehearsal {
        bytes: Some(size.len()),
        checks,
        ..told(story, Form::Copy, done, (&before, &after))
    })
}

fn in_a_transaction(
    story: &Story,
    app: &App,
    actor: &Actor,
    changes: &[Change],
) -> Result<Rehearsal> {
    app.rehearse(actor, |cx| {
        let own = Own::look(story, cx.tx)?;
        let before = cx.tx.rows_by_table()?;
        let done = changes.iter().map(|change| story.change_in(cx, change));
        let done = done.collect::<Result<_>>()?;
        let after = cx.tx.rows_by_table()?;
        Own::must_be(own.as_ref(), Own::look(story, cx.tx)?.as_ref())?;
        Ok(told(story, Form::Transaction, done, (&before, &after)))
    })
}

fn told(
    story: &Story,
    form: Form,
    done: Vec<Done>,
    (before, after): (&Counts, &Counts),
) -> Rehearsal {
    let took: Duration = done.iter().flat_map(|it| &it.steps).map(|it| it.took).sum();
    let (mut lost, mut dropped) = (Vec::new(), Vec::new());
    // What keeps account of the migrations is no data that could be lost.
    let data = before.iter().filter(|(table, _)| table != story.table());
    for (table, had) in data {
        let has = after.iter().find(|(name, _)| name == table);
        let table = table.clone();
        match has {
            None => dropped.push(Rows { table, rows: *had }),
            Some((_, has)) if has < had => lost.push(Rows {
                table,
                rows: had - has,
            }),
            Some(_) => {}
        }
    }
    Rehearsal {
        form,
        bytes: None,
        seconds: took.as_secs_f64(),
        migrations: done.into_iter().map(timed).collect(),
        checks: Vec::new(),
        rows_lost: lost.iter().map(|it| it.rows).sum(),
        lost,
        dropped,
    }
}

fn timed(done: Done) -> Timed {
    let statements = done.steps.into_iter().map(|step| Statement {
        number: step.number,
        line: step.line,
        ms: step.took.as_secs_f64() * 1000.0,
    });
    Timed {
        name: done.entry.name,
        statements: statements.collect(),
    }
}

impl Change {
    /// What is known of it before it is done.
    pub(super) fn entry(&self) -> Entry {
        match self {
            Self::Up(migration) => migration.pending(),
            Self::Down(entry, _) => entry.clone(),
        }
    }
}
