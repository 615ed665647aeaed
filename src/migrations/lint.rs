//! What a person should look at before a migration runs: what loses data, stands in everybody's
//! way, or works on one of the two engines only.
//!
//! Invariants: a finding names the file, the line, the reason and what to do instead. Most can be
//! accepted, by a comment in the same file that says why (`-- lint: allow drop_table: empty since
//! 3`); without a reason it does not count. What would break a promise of this program cannot.

mod columns;
mod finding;
mod own;
mod rules;
mod shared;
mod tried;

use std::collections::BTreeMap;

use finding::RULES;
pub use finding::{Finding, Rule};
pub(super) use own::{is_own, writes};

use super::folder::Folder;
use super::{Migration, Story};
use crate::db::script::{Kind, statements, tokens};
use crate::error::Result;

/// What is to be looked at in the migrations of a story, in the order of files and lines.
///
/// # Errors
/// Those of the database in memory on which they are tried.
pub fn lint(story: &Story) -> Result<Vec<Finding>> {
    lint_from(story, 0)
}

/// The same from the migration with this number on: those before it were applied, and only make
/// what the others stand on.
///
/// # Errors
/// As [`lint`].
pub fn lint_from(story: &Story, first: u32) -> Result<Vec<Finding>> {
    let (mut all, mut accepted) = (Vec::new(), BTreeMap::new());
    let asked = story.migrations().iter();
    for migration in asked.filter(|it| it.number >= first) {
        let (up, down) = files(story, migration);
        let (mut rules, mut found) = allowances(&up, &migration.up);
        let (more, bad) = allowances(&down, &migration.down);
        rules.extend(more);
        found.extend(bad);
        found.extend(rules::look(
            &up,
            &migration.up,
            rules::Side::Up(story.whose()),
        ));
        found.extend(rules::look(
            &down,
            &migration.down,
            rules::Side::Down(story.whose()),
        ));
        if statements(&migration.up).is_empty() {
            found.push(Rule::File.broken(&up, 1, "has no statement"));
        } else if statements(&migration.down).is_empty() {
            found.push(Rule::Down.broken(&down, 1, "is missing or empty: nothing leads back"));
        }
        accepted.insert(migration.number, rules);
        let number = migration.number;
        all.extend(found.into_iter().map(|it| Finding { number, ..it }));
    }
    let tried = tried::try_out(story, first, &all)?;
    all.extend(tried);
    all.retain(|it| {
        let rules = accepted.get(&it.number);
        !(it.rule.can_be_meant() && rules.is_some_and(|rules| rules.contains(&it.rule)))
    });
    Ok(settled(all))
}

/// What is to be looked at in a folder: its files, and then [`lint`].
///
/// # Errors
/// As [`Folder::read`] and [`lint`].
pub fn lint_folder(folder: &Folder) -> Result<Vec<Finding>> {
    let mut all = folder.findings.clone();
    all.extend(lint(&folder.story())?);
    Ok(settled(all))
}

/// What is to be looked at in one file that stands alone: it is not tried, as nobody knows what
/// has to be there before it.
#[must_use]
pub fn lint_file(file: &str, text: &str) -> Vec<Finding> {
    let side = if file.ends_with(".down.sql") {
        rules::Side::Down(super::Whose::Team)
    } else {
        rules::Side::Up(super::Whose::Team)
    };
    let (accepted, mut found) = allowances(file, text);
    found.extend(rules::look(file, text, side));
    found.retain(|it| !(it.rule.can_be_meant() && accepted.contains(&it.rule)));
    settled(found)
}

/// Whether a text says that what this rule finds is meant so.
pub(super) fn accepts(text: &str, rule: Rule) -> bool {
    let (accepted, _) = allowances("", text);
    accepted.contains(&rule)
}

/// In the order of files and lines, each once.
fn settled(mut all: Vec<Finding>) -> Vec<Finding> {
    all.sort_by(|a, b| (&a.file, a.line, a.rule).cmp(&(&b.file, b.line, b.rule)));
    all.dedup();
    all
}

/// The names of a migration's two files.
fn files(story: &Story, migration: &Migration) -> (String, String) {
    let up = story.file(&migration.name);
    let down = format!("{}.down.sql", up.strip_suffix(".up.sql").unwrap_or(&up));
    (up, down)
}

/// The rules that the comments of a file accept, and the comments that accept nothing.
fn allowances(file: &str, text: &str) -> (Vec<Rule>, Vec<Finding>) {
    let (mut accepted, mut bad) = (Vec::new(), Vec::new());
    for token in tokens(text).filter(|it| it.kind == Kind::Comment) {
        let Some(wish) = token
            .text
            .trim_start_matches('-')
            .trim()
            .strip_prefix("lint:")
        else {
            continue;
        };
        let wish = wish.trim().strip_prefix("allow ").unwrap_or_default();
        let (name, reason) = wish.split_once(':').unwrap_or((wish, ""));
        let rule = RULES.into_iter().find(|rule| rule.name() == name.trim());
        let refusal = match rule {
            None => Some(format!("no rule is called {:?}", name.trim())),
            Some(rule) if !rule.can_be_meant() => {
                Some(format!("{} cannot be accepted", rule.name()))
            }
            Some(_) if reason.trim().is_empty() => {
                Some("says no reason, and does not count".into())
            }
            Some(rule) => {
                accepted.push(rule);
                None
            }
        };
        bad.extend(refusal.map(|reason| Rule::Allow.broken(file, token.line, reason)));
    }
    (accepted, bad)
}

#[cfg(test)]
mod tests;
