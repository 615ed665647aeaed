//! One step of the schema, forth or back: its statements, its row in the history, the stamp and its
//! row in the audit log are one transaction.

use std::time::Duration;

use serde_json::json;

use super::{Entry, Migration, State, Story, Whose, store};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::db::steps::{Broken, Step};
use crate::error::{Error, Result, Spot};
use crate::secret::sha256_hex;

/// What the first line of a reverse says that the database keeps, before its sum.
const SEAL: &str = "-- sha256 ";

/// A change of the schema by one migration.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// It is applied.
    Up(Migration),
    /// It is undone, by the SQL that the database keeps.
    Down(Entry, String),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) entry: Entry,
    pub(super) steps: Vec<Step>,
}

impl Change {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Up(migration) => &migration.name,
            Self::Down(entry, _) => &entry.name,
        }
    }

    /// The number of the migration that it applies, if it applies one.
    pub(super) fn applies(&self) -> Option<u32> {
        match self {
            Self::Up(migration) => Some(migration.number),
            Self::Down(..) => None,
        }
    }

    /// The schema after it.
    pub(super) fn leads_to(&self) -> u32 {
        match self {
            Self::Up(migration) => migration.number,
            Self::Down(entry, _) => entry.number.saturating_sub(1),
        }
    }
}

impl Story {
    /// What brings the schema from where `entries` say that it is up to `target`.
    pub(super) fn changes(&self, entries: &[Entry], target: u32) -> Vec<Change> {
        let pending = |number: u32| {
            let mut pending = entries.iter().filter(|it| it.state == State::Pending);
            number <= target && pending.any(|entry| entry.number == number)
        };
        let all = self.migrations().iter();
        let todo = all.filter(|migration| pending(migration.number));
        todo.cloned().map(Change::Up).collect()
    }

    /// Does one change, and commits it.
    ///
    /// # Errors
    /// [`Error::MigrationFailed`]; then nothing of it was done.
    pub(super) fn change(&self, app: &App, actor: &Actor, change: &Change) -> Result<Done> {
        let (story, todo) = (self.clone(), change.clone());
        app.write(actor, move |cx| story.change_in(cx, &todo))
            .map_err(|error| {
                if matches!(error, Error::MigrationFailed { .. }) {
                    error
                } else {
                    failed(change, COMMIT, error)
                }
            })
    }

    /// The same in an open transaction.
    pub(super) fn change_in(&self, cx: &mut Cx<'_, '_>, change: &Change) -> Result<Done> {
        let sql = match change {
            Change::Up(migration) => &*migration.up,
            Change::Down(_, reverse) => reverse,
        };
        let steps = cx.tx.steps(sql);
        let steps = steps.map_err(|broken| self.broken(change, broken))?;
        let took: Duration = steps.iter().map(|step| step.took).sum();
        let entry = match change {
            Change::Up(migration) => Entry {
                number: migration.number,
                name: migration.name.to_string(),
                state: State::Applied,
                applied_at: Some(cx.now),
                duration_ms: i64::try_from(took.as_millis()).ok(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                sha256: migration.sha256(),
            },
            Change::Down(entry, _) => Entry {
                state: State::Undone,
                duration_ms: i64::try_from(took.as_millis()).ok(),
                ..entry.clone()
            },
        };
        let action = match change {
            Change::Up(migration) => {
                let reverse = sealed(&entry, &migration.reverse());
                store::insert(cx.tx, self.table(), &entry, &reverse)?;
                "migration.applied"
            }
            Change::Down(..) => {
                store::remove(cx.tx, self.table(), entry.number)?;
                "migration.undone"
            }
        };
        if self.whose() == Whose::Provost {
            cx.tx.stamp(change.leads_to())?;
        }
        let event = Event::new(action, format!("{}{}", self.noun(), entry.name));
        let details = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "duration_ms": entry.duration_ms,
            "sha256": entry.sha256,
        });
        audit::record_in_any_schema(cx, event.with(details))?;
        Ok(Done { entry, steps })
    }

    /// How the audit log names the migrations of this story.
    pub(super) fn noun(&self) -> &'static str {
        match self.whose() {
            Whose::Provost => "migration:",
            Whose::Team => "team_migration:",
        }
    }

    fn broken(&self, change: &Change, broken: Broken) -> Error {
        let Broken {
            number,
            line,
            source,
        } = broken;
        let file = match change {
            Change::Up(migration) => Some(self.file(&migration.name)),
            // The first line is not the file's.
            Change::Down(..) => None,
        };
        let place = Spot {
            statement: Some(number),
            line: Some(line),
            file,
            ..COMMIT
        };
        failed(change, place, source)
    }
}

/// Where what has no statement fails.
const COMMIT: Spot = Spot {
    rehearsal: false,
    statement: None,
    file: None,
    line: None,
};

fn failed(change: &Change, place: Spot, source: Error) -> Error {
    Error::MigrationFailed {
        name: change.name().to_owned(),
        place: Box::new(place),
        kept: "nothing of it was done".to_owned(),
        source: Box::new(source),
    }
}

/// The reverse as the database keeps it: with a sum of it and of what it undoes, so that neither a
/// cut-off text nor another migration's is ever run.
fn sealed(entry: &Entry, reverse: &str) -> String {
    format!("{SEAL}{}\n{reverse}", sum(entry, reverse))
}

fn sum(entry: &Entry, reverse: &str) -> String {
    sha256_hex(format!("{} {}\n{reverse}", entry.name, entry.sha256).as_bytes())
}

impl Story {
    /// Whether the database's own reverse of `entry` is the one that was put there.
    ///
    /// # Errors
    /// [`Error::MigrationRefused`] if it is not.
    pub(super) fn unseal(&self, entry: &Entry, kept: &str) -> Result<()> {
        let refuse = || {
            let name = &entry.name;
            Err(Error::MigrationRefused(format!(
                "the reverse of {name} in the database is not the one that was put there"
            )))
        };
        if let Some(rest) = kept.strip_prefix(SEAL) {
            let good = rest
                .split_once('\n')
                .is_some_and(|(told, reverse)| told == sum(entry, reverse));
            return if good { Ok(()) } else { refuse() };
        }
        // From before there were sums: the text is in this binary.
        let mut own = self.migrations().iter();
        match own.find(|it| it.number == entry.number && it.name == entry.name) {
            Some(migration) if migration.reverse() == kept => Ok(()),
            _ => refuse(),
        }
    }
}
