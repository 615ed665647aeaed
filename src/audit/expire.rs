//! Retention: rows that were sealed for long enough go, a block at a time; their blocks stay, and
//! the signed head says how far rows are gone.

use serde_json::json;

use super::seal::{CHAIN, ROWS, trusted};
use super::store::blocks as store;
use super::{Event, record};
use crate::app::Cx;
use crate::error::Result;
use crate::time::Timestamp;

/// Blocks that are looked at together.
const BLOCKS: u32 = 16;

/// How many rows there are that could go at `until`, and since when the first of them could.
///
/// # Errors
/// Those of the database.
pub fn old(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<(u64, Option<Timestamp>)> {
    let Some(retention) = cx.kit.config.audit.retention else {
        return Ok((0, None));
    };
    let (rows, oldest) = store::kept(cx.tx, until.minus(retention))?;
    Ok((rows, oldest.map(|at| at.plus(retention))))
}

/// Since when the first row could go, of those that could at `until`.
///
/// # Errors
/// Those of the database.
pub fn oldest_old(cx: &mut Cx<'_, '_>, until: Timestamp) -> Result<Option<Timestamp>> {
    let Some(retention) = cx.kit.config.audit.retention else {
        return Ok(None);
    };
    let oldest = store::oldest_kept(cx.tx, until.minus(retention))?;
    Ok(oldest.map(|at| at.plus(retention)))
}

/// Deletes the rows of the oldest blocks that could go at `until`: `most` of them, and what is left
/// of the last block, which goes as a whole. A block whose rows are not what was sealed stays, and all after it: what somebody
/// did to them must not be covered up. Returns how many rows went.
///
/// # Errors
/// Those of the database.
pub fn delete_old(cx: &mut Cx<'_, '_>, until: Timestamp, most: u32) -> Result<u64> {
    let Some(retention) = cx.kit.config.audit.retention else {
        return Ok(0);
    };
    let (until, most) = (until.minus(retention), u64::from(most));
    if store::oldest_kept(cx.tx, until)?.is_none() {
        return Ok(0);
    }
    cx.tx.lock(CHAIN)?;
    let mut state = trusted(cx)?;
    let mut after = store::end_of(cx.tx, state.dropped)?;
    let (mut deleted, before) = (0, state.dropped);
    'all: while deleted < most {
        let blocks = store::page(cx.tx, state.dropped, BLOCKS)?;
        if blocks.is_empty() {
            break;
        }
        for old in blocks {
            if old.sealed_at > until || deleted >= most {
                break 'all;
            }
            let lines = store::lines(cx.tx, after, old.last_id, ROWS + 1)?;
            if old.number != state.dropped + 1 || !old.is_sound() || !old.holds(&lines) {
                let block = old.number;
                tracing::error!(block, "the audit log was altered: see audit verify");
                break 'all;
            }
            deleted += store::drop_rows(cx.tx, after, &old)?;
            state.dropped = old.number;
            after = old.last_id;
        }
    }
    if state.dropped > before {
        let key = cx.kit.keys.audit()?;
        let number = state.dropped;
        store::set_state(cx.tx, &state.signed(&key))?;
        let details = json!({ "rows": deleted, "until_id": after.to_string() });
        record(
            cx,
            Event::new("audit.dropped", format!("block:{number}")).with(details),
        )?;
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests;
