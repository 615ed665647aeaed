//! Trying the migrations on an empty database in memory, and looking at what comes out.

use std::collections::BTreeMap;

use super::{Finding, Rule, files, rules};
use crate::db::script::{Statement, statements};
use crate::db::shape::{Flaw, Part};
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::migrations::story::{Migration, Story, Whose};

/// What is the matter with the migrations, as an engine sees it; `found` is what was found before.
pub(super) fn try_out(story: &Story, first: u32, found: &[Finding]) -> Result<Vec<Finding>> {
    Db::memory()?.import(|tx| {
        if story.whose() == Whose::Team {
            Story::own().make(tx, |_| true)?;
        }
        let mut trial = Trial {
            tx,
            story,
            first,
            known: Vec::new(),
            findings: Vec::new(),
        };
        trial.run(found)?;
        Ok(trial.findings)
    })
}

struct Trial<'t, 'c> {
    tx: &'t mut Tx<'c>,
    story: &'t Story,
    first: u32,
    known: Vec<Flaw>,
    findings: Vec<Finding>,
}

impl Trial<'_, '_> {
    fn run(&mut self, found: &[Finding]) -> Result<()> {
        // Those were looked at when they were new. What one engine alone understands stops it here.
        let first = self.first;
        if self.story.make(self.tx, |number| number < first).is_err() {
            return Ok(());
        }
        self.known = self.tx.flaws()?;
        let mut applied: Vec<(&Migration, Vec<Part>)> = Vec::new();
        let new = self.story.migrations().iter();
        for migration in new.filter(|it| it.number >= first) {
            let has = |rule| {
                found
                    .iter()
                    .any(|it| it.number == migration.number && it.rule == rule)
            };
            // It would end the transaction in which all of this is tried.
            if has(Rule::Transaction) {
                break;
            }
            let before = self.tx.shape()?;
            let (up, _) = files(self.story, migration);
            let statements = statements(&migration.up);
            if !self.went_through(migration, &up, &statements, has(Rule::Shared)) {
                break;
            }
            self.look_at_tables(migration, &up, &statements)?;
            if self.story.whose() == Whose::Team && !own(&before).eq(own(&self.tx.shape()?)) {
                self.tell(
                    migration,
                    Rule::OwnTable.broken(&up, 1, "changes what belongs to provost"),
                );
            }
            applied.push((migration, before));
        }
        for (migration, before) in applied.into_iter().rev() {
            let shared = found
                .iter()
                .any(|it| it.number == migration.number && it.rule == Rule::Shared);
            let (_, down) = files(self.story, migration);
            let statements = statements(&migration.down);
            // That there is no way back was told by its text.
            if statements.is_empty() || !self.went_through(migration, &down, &statements, shared) {
                break;
            }
            let other = differing(&before, &self.tx.shape()?);
            if !other.is_empty() {
                let reason = format!("does not undo the .up.sql: {} differ", other.join(", "));
                let line = statements.first().map_or(1, |it| it.line);
                self.tell(migration, Rule::Down.broken(&down, line, reason));
                break;
            }
        }
        Ok(())
    }

    fn tell(&mut self, migration: &Migration, finding: Finding) {
        self.findings.push(Finding {
            number: migration.number,
            ..finding
        });
    }

    /// Whether the engine takes every statement. What is told to run on the other one alone is
    /// not looked at any further.
    fn went_through(
        &mut self,
        migration: &Migration,
        file: &str,
        statements: &[Statement<'_>],
        shared: bool,
    ) -> bool {
        for statement in statements {
            if let Err(error) = self.tx.script(statement.text) {
                if !shared {
                    let reason = format!("SQLite refuses it: {}", error.causes());
                    self.tell(migration, Rule::Engine.broken(file, statement.line, reason));
                }
                return false;
            }
        }
        true
    }

    /// Looks at what this migration has left without an index or a key.
    fn look_at_tables(
        &mut self,
        migration: &Migration,
        file: &str,
        statements: &[Statement<'_>],
    ) -> Result<()> {
        let flaws = self.tx.flaws()?;
        for flaw in flaws.iter().filter(|flaw| !self.known.contains(flaw)) {
            let table = flaw.table();
            let about = |it: &&Statement<'_>| {
                rules::target(it, "TABLE").is_some_and(|name| name.eq_ignore_ascii_case(table))
            };
            let line = statements.iter().find(about).map_or(1, |it| it.line);
            let finding = match flaw {
                Flaw::ForeignKey { columns, .. } => {
                    let columns = columns.join(", ");
                    let reason =
                        format!("no index of {table} begins with the foreign key ({columns})");
                    Rule::ForeignKey.broken(file, line, reason)
                }
                Flaw::NoKey { .. } => Rule::PrimaryKey.broken(
                    file,
                    line,
                    format!("the table {table} has no primary key"),
                ),
            };
            self.findings.push(Finding {
                number: migration.number,
                ..finding
            });
        }
        self.known = flaws;
        Ok(())
    }
}

/// The parts that belong to this program.
fn own(parts: &[Part]) -> impl Iterator<Item = &Part> {
    parts.iter().filter(|part| super::own::is_own(&part.table))
}

/// The names of the parts that are not the same.
fn differing(before: &[Part], after: &[Part]) -> Vec<String> {
    let named = |parts: &[Part]| -> BTreeMap<String, String> {
        let parts = parts.iter();
        parts
            .map(|it| (format!("{} {}", it.sort, it.name), it.text.clone()))
            .collect()
    };
    let (before, after) = (named(before), named(after));
    let gone = before
        .iter()
        .filter(|(name, text)| after.get(*name) != Some(text));
    let new = after.keys().filter(|name| !before.contains_key(*name));
    gone.map(|(name, _)| name).chain(new).cloned().collect()
}
