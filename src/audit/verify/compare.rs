//! Which rows of a block are not what was sealed: by their marks.

use std::collections::BTreeMap;

use super::Fault;
use crate::audit::block::{Block, Line};

/// What differs, in the order of the ids; at least one thing, for the block's digest differs.
pub(super) fn differences(block: &Block, lines: &[Line]) -> Vec<(i64, Fault)> {
    let marked = block.marked().unwrap_or_default();
    let honest = i64::try_from(marked.len()) == Ok(block.entries);
    let mut rows: BTreeMap<i64, (Option<&[u8]>, Option<&Line>)> = BTreeMap::new();
    for (id, digest) in marked {
        rows.entry(id).or_default().0 = Some(digest);
    }
    for line in lines {
        rows.entry(line.id).or_default().1 = Some(line);
    }
    let differs = |(id, row): (i64, (Option<&[u8]>, Option<&Line>))| match row {
        (Some(digest), Some(line)) if line.is_marked(digest) => None,
        (Some(_), Some(_)) => Some((id, Fault::Altered)),
        (Some(_), None) => Some((id, Fault::Missing)),
        (None, _) => Some((id, Fault::Added)),
    };
    let differences: Vec<_> = rows.into_iter().filter_map(differs).collect();
    if honest && !differences.is_empty() {
        return differences;
    }
    // Whoever altered the marks as well keeps us from telling which row it was.
    vec![(block.first_id, Fault::Block)]
}
