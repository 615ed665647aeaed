//! What belongs to this program while a team's migrations are tried: it stays as it was.

use super::lint::is_own;
use super::{Story, Whose};
use crate::db::Tx;
use crate::db::shape::Part;
use crate::error::{Error, Result};

/// What keeps account of the migrations themselves.
const ACCOUNTS: [&str; 4] = [
    "audit_events",
    "audit_blocks",
    "audit_head",
    "team_migrations",
];

/// What there is of this program's own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Own {
    parts: Vec<Part>,
    rows: Vec<(String, u64)>,
}

impl Own {
    /// Looks at it, if the story is a team's.
    pub(super) fn look(story: &Story, tx: &mut Tx<'_>) -> Result<Option<Self>> {
        if story.whose() == Whose::Provost {
            return Ok(None);
        }
        let counted = |table: &str| is_own(table) && !ACCOUNTS.contains(&table);
        let (mut parts, mut rows) = (tx.shape()?, tx.rows_by_table()?);
        parts.retain(|part| is_own(&part.table) && part.table != "team_migrations");
        rows.retain(|(table, _)| counted(table));
        Ok(Some(Self { parts, rows }))
    }

    /// Refuses what has changed it.
    ///
    /// # Errors
    /// [`Error::MigrationRefused`].
    pub(super) fn must_be(before: Option<&Self>, after: Option<&Self>) -> Result<()> {
        let (Some(before), Some(after)) = (before, after) else {
            return Ok(());
        };
        let part = before.parts.iter().find(|it| !after.parts.contains(it));
        let part = part.or_else(|| after.parts.iter().find(|it| !before.parts.contains(it)));
        let table = after.rows.iter().find(|it| !before.rows.contains(it));
        let touched = part
            .map(|it| format!("the {} {}", it.sort, it.name))
            .or_else(|| table.map(|it| format!("the rows of {}", it.0)));
        touched.map_or(Ok(()), |what| {
            Err(Error::MigrationRefused(format!(
                "in the rehearsal it changed {what}, which belongs to provost"
            )))
        })
    }
}
