//! What a person should look at before a migration runs: what loses data, stands in everybody's
//! way, or works on one of the two engines only.
//!
//! Invariants: a finding names the file, the line, the reason and what to do instead. Most can be
//! accepted, by a comment in the same file that says why (`-- lint: allow drop_table: empty since
//! 3`); without a reason it does not count. What would break a promise of this program cannot.

mod columns;
mod own;
mod rules;
mod shared;
mod tried;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

pub(super) use own::is_own;

use super::folder::Folder;
use super::{Migration, Story};
use crate::db::script::{Kind, statements, tokens};
use crate::error::Result;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The rule.
    pub rule: Rule,
    /// What is the matter, as a sentence without its subject.
    pub reason: String,
    /// What to do.
    pub advice: &'static str,
    /// The number of the migration; 0 for what is the matter with the folder.
    pub number: u32,
}

/// A rule of the lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A table goes, with all of its rows.
    DropTable,
    /// A column goes, with what is in it.
    DropColumn,
    /// Every row of a table goes.
    DeleteRows,
    /// A column that existing rows cannot have.
    NotNull,
    /// Every row of a table is written anew while everybody waits.
    Rewrite,
    /// A foreign key whose columns no index begins with.
    ForeignKey,
    /// What the two engines do not share.
    Shared,
    /// What would end the migration's transaction, or cannot be in one.
    Transaction,
    /// A column of a type that one engine does not have.
    ColumnType,
    /// A table whose rows cannot be told apart.
    PrimaryKey,
    /// A table of this program in a team's migration.
    OwnTable,
    /// The engine refuses it.
    Engine,
    /// There is no way back, or it leads elsewhere.
    Down,
    /// A number is missing or taken twice.
    Number,
    /// A file that cannot be read as a migration.
    File,
    /// A comment that accepts nothing.
    Allow,
}

/// Every rule.
const RULES: [Rule; 16] = [
    Rule::DropTable,
    Rule::DropColumn,
    Rule::DeleteRows,
    Rule::NotNull,
    Rule::Rewrite,
    Rule::ForeignKey,
    Rule::Shared,
    Rule::Transaction,
    Rule::ColumnType,
    Rule::PrimaryKey,
    Rule::OwnTable,
    Rule::Engine,
    Rule::Down,
    Rule::Number,
    Rule::File,
    Rule::Allow,
];

impl Rule {
    /// The one table: name, whether a comment can accept it, what to do.
    const fn spec(self) -> (&'static str, bool, &'static str) {
        match self {
            Self::DropTable => (
                "drop_table",
                true,
                "let one release pass in which nothing uses it, then say why nobody misses it",
            ),
            Self::DropColumn => (
                "drop_column",
                true,
                "let one release pass in which nothing uses it, then say why nobody misses it",
            ),
            Self::DeleteRows => (
                "delete_rows",
                true,
                "delete with a WHERE, or say why nobody misses them",
            ),
            Self::NotNull => (
                "not_null",
                true,
                "give it a DEFAULT, or add it without NOT NULL and fill it first",
            ),
            Self::Rewrite => (
                "rewrite",
                true,
                "add a column beside it and fill that in batches, or say why the table stays small",
            ),
            Self::ForeignKey => (
                "foreign_key",
                true,
                "create an index that begins with these columns: each deletion of a parent reads the whole table",
            ),
            Self::Shared => (
                "shared",
                true,
                "write it in words that SQLite and PostgreSQL share, or say on which one this runs",
            ),
            Self::Transaction => (
                "transaction",
                false,
                "leave it out: each migration is one transaction, which the program begins and ends",
            ),
            Self::ColumnType => (
                "column_type",
                false,
                "use INTEGER, TEXT or BLOB: times are INTEGER milliseconds, flags INTEGER CHECK (x IN (0, 1)), JSON is TEXT",
            ),
            Self::PrimaryKey => (
                "primary_key",
                false,
                "give it a PRIMARY KEY: db copy walks through every table in the order of its key",
            ),
            Self::OwnTable => (
                "own_table",
                false,
                "use a table of your own that REFERENCES it",
            ),
            Self::Engine => ("engine", false, "correct it: it would fail"),
            Self::Down => (
                "down",
                true,
                "write a .down.sql that undoes the .up.sql, in reverse order",
            ),
            Self::Number => (
                "number",
                false,
                "number the files 0001, 0002, … without a gap",
            ),
            Self::File => (
                "file",
                false,
                "correct the file; nothing in it was looked at",
            ),
            Self::Allow => (
                "allow",
                false,
                "write: -- lint: allow RULE: why this is no harm here",
            ),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().0
    }

    /// The finding that breaks it.
    pub(super) fn broken(self, file: &str, line: usize, reason: impl Into<String>) -> Finding {
        Finding {
            file: file.to_owned(),
            line,
            rule: self,
            reason: reason.into(),
            advice: self.spec().2,
            number: 0,
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is to be looked at in the migrations of a story, in the order of files and lines.
///
/// # Errors
/// Those of the database in memory on which they are tried.
pub fn lint(story: &Story) -> Result<Vec<Finding>> {
    let (mut all, mut accepted) = (Vec::new(), BTreeMap::new());
    for migration in story.migrations() {
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
    let tried = tried::try_out(story, &all)?;
    all.extend(tried);
    all.retain(|it| {
        let rules = accepted.get(&it.number);
        !(it.rule.spec().1 && rules.is_some_and(|rules| rules.contains(&it.rule)))
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
    found.retain(|it| !(it.rule.spec().1 && accepted.contains(&it.rule)));
    settled(found)
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
            Some(rule) if !rule.spec().1 => Some(format!("{} cannot be accepted", rule.name())),
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
