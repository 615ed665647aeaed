//! Sealing: rows become part of a block, beyond which they cannot be changed unseen.
//!
//! Ids grow with time, but not in the order of commits: another process may still be about to
//! commit a lower one. So first a ceiling is raised to the newest id, in a moment in which nobody
//! else writes, and no row is added at or below it any more ([`super::record`] takes a higher id).
//! What lies below is then read, hashed and signed beside everybody who writes, at leisure; whoever
//! comes after a crash goes on there.

use super::block::{self, Block, State};
use super::store::blocks as store;
use crate::app::{Actor, App, Cx};
use crate::error::{Error, Result};
use crate::scope::known;
use crate::secret::SignKey;

/// Rows of a block: retention drops the rows of a block as a whole, in one transaction.
pub(super) const ROWS: u32 = 500;

/// Blocks that are added in one transaction.
const BLOCKS: usize = 8;

/// What was sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// How many rows.
    pub rows: u64,
    /// In how many blocks.
    pub blocks: u64,
    /// Whether all rows are sealed that were there in the beginning.
    pub complete: bool,
}

/// Seals what is not sealed yet, some blocks at a time, until all is or `stop` says so.
///
/// # Errors
/// [`Error::Forbidden`] without `job:run`, or those of the database;
/// what was sealed before stays so.
pub fn seal(app: &App, actor: &Actor, stop: &dyn Fn() -> bool) -> Result<Sealed> {
    actor.require(known::JOB_RUN)?;
    let key = app.kit().keys.audit()?;
    let mut sealed = Sealed {
        complete: raise(app, actor)?,
        ..Sealed::default()
    };
    loop {
        let (state, blocks) = app.read(actor, |cx| next(cx, &key))?;
        let Some(added) = count(&blocks) else {
            return Ok(sealed);
        };
        let full = blocks.len() == BLOCKS;
        let key = app.kit().keys.audit()?;
        if !app.write(actor, move |cx| add(cx, &state, &blocks, &key))? {
            // Somebody else seals.
            sealed.complete = false;
            return Ok(sealed);
        }
        sealed.rows += added.rows;
        sealed.blocks += added.blocks;
        if !full {
            return Ok(sealed);
        }
        if stop() {
            sealed.complete = false;
            return Ok(sealed);
        }
    }
}

/// Raises the ceiling to the newest row. False if it had to stay where it is.
fn raise(app: &App, actor: &Actor) -> Result<bool> {
    let due = app.read(actor, |cx| {
        let newest = store::newest(cx.tx)?.unwrap_or(0);
        Ok(newest > store::ceiling(cx.tx)?)
    })?;
    if !due {
        return Ok(true);
    }
    app.write(actor, |cx| {
        cx.tx.lock(CHAIN)?;
        if !store::quiet(cx.tx)? {
            return Ok(false);
        }
        let state = trusted(cx)?;
        // Looked at once nobody can add a lower one any more.
        let newest = store::newest(cx.tx)?.unwrap_or(0);
        if newest > state.ceiling {
            let raised = State {
                ceiling: newest,
                ..state
            };
            store::set_state(cx.tx, &raised.signed(&cx.kit.keys.audit()?))?;
        }
        Ok(true)
    })
}

/// What whoever moves the end of the chain holds.
pub(super) const CHAIN: (&str, &str) = ("audit", "chain");

/// The end of the chain, which is signed anew when it moves: a forged one must not be.
///
/// # Errors
/// [`Error::Corrupt`] if it is not our own.
pub(super) fn trusted(cx: &mut Cx<'_, '_>) -> Result<State> {
    let refuse = |what: &str| {
        let reason = format!("{what}, so that the audit log cannot be sealed: see audit verify");
        Err(Error::Corrupt(reason))
    };
    let Some(state) = store::state(cx.tx)? else {
        if store::page(cx.tx, 0, 1)?.is_empty() {
            return Ok(State::default());
        }
        return refuse("the row of the table audit_head is gone");
    };
    if state.sealed_by != block::name(&cx.kit.keys.audit()?) || !state.is_signed() {
        return refuse("the row of the table audit_head was not signed with this key file");
    }
    Ok(state)
}

/// The next blocks, and what they follow.
fn next(cx: &mut Cx<'_, '_>, key: &SignKey) -> Result<(State, Vec<Block>)> {
    let start = trusted(cx)?;
    let (mut state, mut blocks) = (start.clone(), Vec::new());
    while blocks.len() < BLOCKS {
        let lines = store::lines(cx.tx, state.last_id, state.ceiling, ROWS)?;
        let Some(block) = Block::seal(&state, &lines, cx.now, key) else {
            break;
        };
        state = state.after(&block);
        blocks.push(block);
    }
    Ok((start, blocks))
}

fn count(blocks: &[Block]) -> Option<Sealed> {
    let entries = blocks.iter().map(|block| block.entries);
    let sealed = Sealed {
        rows: u64::try_from(entries.sum::<i64>()).ok()?,
        blocks: u64::try_from(blocks.len()).ok()?,
        complete: true,
    };
    (sealed.blocks > 0).then_some(sealed)
}

/// Adds the blocks that follow `start`, unless that is no longer the end of the chain.
fn add(cx: &mut Cx<'_, '_>, start: &State, blocks: &[Block], key: &SignKey) -> Result<bool> {
    cx.tx.lock(CHAIN)?;
    let mut state = trusted(cx)?;
    if state.hash != start.hash || state.number != start.number {
        return Ok(false);
    }
    for block in blocks {
        if !store::insert(cx.tx, block)? {
            let reason = format!("the audit log has a block {} after its end", block.number);
            return Err(Error::Corrupt(reason));
        }
        state = state.after(block);
    }
    store::set_state(cx.tx, &state.signed(key))?;
    Ok(true)
}

#[cfg(test)]
mod tests;
