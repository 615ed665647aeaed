//! Drift: what a database is made of against what its history says, as a diff.

use std::collections::BTreeMap;

use serde::Serialize;
use similar::TextDiff;

use super::{State, Story, Whose};
use crate::db::Db;
use crate::db::shape::Part;
use crate::error::Result;

/// A part of the database that is not as the migrations have made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// What it is: `table`, `index`, `view`, `trigger`.
    pub sort: String,
    /// Its name.
    pub name: String,
    /// The table that it belongs to.
    pub table: String,
    /// From what it should be to what it is, line by line, with `-` and `+`.
    pub diff: String,
}

/// Compares what the applied migrations of the story make with what is there. Tables that the story
/// does not know are somebody else's, and no drift.
///
/// # Errors
/// As [`Story::verify`], or those of the database.
pub fn drift(db: &Db, story: &Story) -> Result<Vec<Drift>> {
    let entries = story.verify(db)?;
    let applied = |number| {
        let mut entries = entries.iter();
        entries.any(|it| it.number == number && it.state == State::Applied)
    };
    let expected = db.aside(|tx| {
        if story.whose() == Whose::Team {
            // Its tables may point to ours.
            Story::own().make(tx, |_| true)?;
        }
        let before = tx.shape()?;
        story.make(tx, applied)?;
        let mut parts = tx.shape()?;
        parts.retain(|part| !before.contains(part));
        Ok(parts)
    })?;
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general enough over the transaction's life"
    )]
    let real = db.export(|tx| tx.shape())?;
    Ok(compared(&expected, &real))
}

/// What differs, by table and name.
fn compared(expected: &[Part], real: &[Part]) -> Vec<Drift> {
    type Key<'p> = (&'p str, &'p str, &'p str);
    fn key(part: &Part) -> Key<'_> {
        (&part.table, &part.sort, &part.name)
    }
    let mut parts: BTreeMap<Key<'_>, (&str, &str)> = BTreeMap::new();
    for part in expected {
        parts.entry(key(part)).or_default().0 = &part.text;
    }
    let known = |table: &str| expected.iter().any(|part| part.is_of(table));
    for part in real.iter().filter(|part| known(&part.table)) {
        parts.entry(key(part)).or_default().1 = &part.text;
    }
    let differing = parts.into_iter().filter(|(_, (should, is))| should != is);
    let told = differing.map(|((table, sort, name), (should, is))| Drift {
        sort: sort.to_owned(),
        name: name.to_owned(),
        table: table.to_owned(),
        diff: diff(should, is),
    });
    told.collect()
}

fn diff(should: &str, is: &str) -> String {
    // Every line ends in the same way, or the last one would differ for that.
    let lines = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{text}\n")
        }
    };
    let (should, is) = (lines(should), lines(is));
    let diff = TextDiff::from_lines(&should, &is);
    let changes = diff
        .iter_all_changes()
        .map(|change| format!("{}{}", change.tag(), change.value()));
    changes.collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    #[test]
    fn a_new_database_has_not_drifted() {
        assert_eq!(drift(App::memory().db(), &Story::own()).unwrap(), []);
    }

    #[test]
    fn a_database_in_which_nothing_is_has_not_drifted() {
        assert_eq!(drift(&Db::fresh(), &Story::own()).unwrap(), []);
    }

    #[test]
    fn what_was_changed_by_hand_is_told_line_by_line() {
        let app = App::memory();
        app.db()
            .write(|tx| {
                tx.script(
                    "ALTER TABLE bans ADD COLUMN note TEXT;
                     DROP INDEX users_created_idx;
                     CREATE INDEX by_hand ON bans (reason);
                     CREATE TABLE theirs (id TEXT PRIMARY KEY);
                     CREATE INDEX theirs_idx ON theirs (id);",
                )
            })
            .unwrap();
        let found = drift(app.db(), &Story::own()).unwrap();
        let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["by_hand", "bans", "users_created_idx"], "{found:?}");
        assert!(found[0].diff.starts_with('+'), "{found:?}");
        assert!(found[2].diff.starts_with('-'), "{found:?}");
        let changed: Vec<&str> = found[1]
            .diff
            .lines()
            .filter(|it| it.starts_with('+'))
            .collect();
        assert!(
            changed.iter().any(|line| line.contains("note")),
            "{found:?}"
        );
        assert!(
            found[1].diff.lines().any(|it| it.starts_with(' ')),
            "{found:?}"
        );
    }
}
