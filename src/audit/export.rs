//! Handing out the log: the oldest rows first, each with the block that proves it.

use serde::Serialize;

use super::{Entry, Filter, store};
use crate::app::Cx;
use crate::error::{Error, Result};
use crate::scope::known;
use crate::secret::hex;

/// A row of the log, and its block.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The row.
    #[serde(flatten)]
    pub entry: Entry,
    /// The number of the block in which it was sealed.
    pub block: Option<i64>,
    /// That block's hash.
    pub block_hash: Option<String>,
}

/// The rows after `cursor`, at most `limit`, and where the next page begins.
///
/// # Errors
/// [`Error::Forbidden`] without `audit:read`; [`Error::Invalid`] for a cursor that is none.
pub fn export(
    cx: &mut Cx<'_, '_>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<Exported>, Option<String>)> {
    cx.actor.require(known::AUDIT_READ)?;
    let after = match cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::invalid("cursor", "is not one of this list"))?,
        // What somebody else added before all others shall be seen, too.
        None => i64::MIN,
    };
    let entries = store::after(cx.tx, &Filter::default(), after, limit)?;
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok((Vec::new(), None));
    };
    let next = Some(last.id.to_string());
    let seals = store::blocks::over(cx.tx, first.id, last.id)?;
    let mut seals = seals.iter().peekable();
    let exported = entries.into_iter().map(|entry| {
        while seals.next_if(|seal| seal.last_id < entry.id).is_some() {}
        let seal = seals.peek();
        Exported {
            block: seal.map(|seal| seal.number),
            block_hash: seal.map(|seal| hex(&seal.hash)),
            entry,
        }
    });
    Ok((exported.collect(), next))
}
