//! Verifying: the log against its blocks, the blocks against each other, the last against the head.
//!
//! Invariants: it never holds more than a few blocks; each step is a snapshot of its own, so that
//! the log is verified beside those who write, seal and drop. What it cannot tell it says.

mod compare;

use serde::Serialize;

use super::block::{self, Block, Head, START, State};
use super::restores::restores;
use super::seal::ROWS;
use super::store::blocks as store;
use crate::db::{Db, Tx};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::secret::hex;
use crate::time::Timestamp;

/// Blocks of a step.
const BLOCKS: u32 = 8;

/// Findings that are told one by one.
const MOST: usize = 100;

/// What to verify by.
#[derive(Clone, Debug, Default)]
pub struct Options<'k> {
    /// The keys with which the log was sealed. Without them the signatures are held against the
    /// keys that the blocks name.
    pub keys: Option<&'k Keys>,
    /// A head that was noted before: it has to be there still.
    pub head: Option<Head>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Whether all is as it was sealed.
    pub ok: bool,
    /// Rows that were held against their blocks.
    pub rows: u64,
    /// All blocks.
    pub blocks: u64,
    /// Of these, the ones whose rows are gone after their time.
    pub dropped: u64,
    /// Rows that are not sealed yet.
    pub unsealed: u64,
    /// When the oldest of these was written.
    pub unsealed_since: Option<Timestamp>,
    /// When the first block was sealed.
    pub sealed_since: Option<Timestamp>,
    /// The newest block.
    pub head: Option<Head>,
    /// The public key with which it is sealed.
    pub sealed_by: Option<String>,
    /// What its signatures are worth.
    pub signatures: Trust,
    /// What cannot be right, the first of it first; at most a hundred.
    pub findings: Vec<Finding>,
}

/// What a good signature proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It was made with the key file.
    Proven,
    /// It was made with the key that the block names, which whoever forges a block names, too: the
    /// key file was not there.
    Unproven,
}

/// Something that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The block at fault, or the one in which a row is missing or too much.
    pub block: i64,
    /// The row at fault, or of a block the first.
    #[serde(serialize_with = "crate::id::as_text")]
    pub id: i64,
    /// What is wrong.
    pub fault: Fault,
    /// The same for people.
    pub detail: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A row is not what it was.
    Altered,
    /// A row is gone.
    Missing,
    /// A row is there that was not.
    Added,
    /// A block is not what it was, or not there.
    Block,
    /// A signature is not of the key.
    Signature,
    /// The end of the chain is not where it was.
    Head,
}

/// Verifies the log in `db`. `tell` hears after each step how many blocks of how many are done, and
/// ends it by an error. A database from before the first block has nothing that could be wrong.
///
/// # Errors
/// What `tell` returns, or those of the database; what is wrong with the log is a finding.
pub fn verify(
    db: &Db,
    options: &Options<'_>,
    tell: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Verified> {
    let key = options.keys.map(Keys::audit).transpose()?;
    let mut walk = Walk::new(key.as_ref().map(block::name));
    if !db.read(store::has_blocks)? {
        return Ok(walk.told);
    }
    loop {
        let (more, of) = db.read(|tx| walk.step(tx, options.head.as_ref()))?;
        tell(walk.told.blocks, of.max(walk.told.blocks))?;
        if !more {
            walk.told.ok = walk.told.findings.is_empty();
            break;
        }
    }
    if let Some(noted) = &options.head
        && let Some(finding) = walk.told.noted_is_missing(noted)
        && let Some(restore) = db.read(restores)?.first()
    {
        finding.detail = format!(
            "block {} was noted and is not there: either it was noted before the database was \
             restored at {}, which took back what came after the backup, or the log was rewritten",
            noted.number, restore.at
        );
    }
    Ok(walk.told)
}

impl Verified {
    /// What says that a head which was noted is not there.
    fn noted_is_missing(&mut self, noted: &Head) -> Option<&mut Finding> {
        let mut findings = self.findings.iter_mut();
        findings.find(|it| it.fault == Fault::Head && it.block == noted.number)
    }
}

/// How far it has come.
struct Walk {
    /// The block before the next one.
    number: i64,
    last_id: i64,
    hash: Vec<u8>,
    /// Whether the head that was noted has been met.
    met: bool,
    told: Verified,
}

impl Walk {
    fn new(key: Option<String>) -> Self {
        let start = State::default();
        Self {
            number: start.number,
            last_id: start.last_id,
            hash: start.hash,
            met: false,
            told: Verified {
                ok: true,
                rows: 0,
                blocks: 0,
                dropped: 0,
                unsealed: 0,
                unsealed_since: None,
                sealed_since: None,
                head: None,
                signatures: if key.is_some() {
                    Trust::Proven
                } else {
                    Trust::Unproven
                },
                sealed_by: key,
                findings: Vec::new(),
            },
        }
    }

    /// Looks at the next blocks; tells whether there are more, and how many there should be.
    fn step(&mut self, tx: &mut Tx<'_>, noted: Option<&Head>) -> Result<(bool, u64)> {
        let state = store::state(tx)?;
        let dropped = state.as_ref().map_or(0, |state| state.dropped);
        if self.told.blocks == 0
            && let Some(id) = store::first_until(tx, START)?
        {
            let detail = "this row was added before the first: no row has such an id";
            self.find(1, id, Fault::Added, detail);
        }
        let blocks = store::page(tx, self.number, BLOCKS)?;
        let more = blocks.len() == usize::try_from(BLOCKS).unwrap_or(0);
        for block in blocks {
            self.block(&block, noted);
            if block.number <= dropped {
                self.told.dropped += 1;
                self.no_rows(tx, &block)?;
            } else {
                self.rows(tx, &block)?;
            }
            self.number = block.number;
            self.last_id = self.last_id.max(block.last_id);
            self.hash = block.hash;
        }
        if !more {
            self.end(tx, state.as_ref(), noted)?;
        }
        let number = state.map_or(0, |state| state.number);
        Ok((more, u64::try_from(number).unwrap_or(0)))
    }

    fn find(&mut self, block: i64, id: i64, fault: Fault, detail: impl Into<String>) {
        if self.told.findings.len() < MOST {
            let detail = detail.into();
            self.told.findings.push(Finding {
                block,
                id,
                fault,
                detail,
            });
        }
    }

    /// Holds a block against the one before it, and against its own hash and signature.
    fn block(&mut self, block: &Block, noted: Option<&Head>) {
        let (number, id) = (block.number, block.first_id);
        self.told.blocks += 1;
        self.told.sealed_since = self.told.sealed_since.or(Some(block.sealed_at));
        let next = self.number.saturating_add(1);
        if number != next {
            let gone = if number == next + 1 {
                format!("block {next} is gone")
            } else {
                format!("blocks {next} to {} are gone", number - 1)
            };
            self.find(next, self.last_id, Fault::Block, gone);
        } else if block.previous != self.hash {
            let detail = "does not follow the block before it";
            self.find(number, id, Fault::Block, detail);
        }
        if id <= self.last_id || block.last_id < id {
            self.find(
                number,
                id,
                Fault::Block,
                "does not begin after the block before it",
            );
        }
        if block.computed() != block.hash {
            self.find(number, id, Fault::Block, "the block itself was altered");
        } else if !block.is_signed() {
            self.find(number, id, Fault::Signature, "its signature is not good");
        } else if !self.is_own(&block.sealed_by) {
            let detail = "was signed with another key than that of the key file";
            self.find(number, id, Fault::Signature, detail);
        }
        if let Some(noted) = noted
            && noted.number == number
        {
            self.met = true;
            if noted.hash != hex(&block.hash) {
                let detail = "is not the one that was noted: the log was rewritten";
                self.find(number, id, Fault::Head, detail);
            }
        }
    }

    /// Whether it may have signed the log. Without the key file, whoever signed the first block may.
    fn is_own(&mut self, key: &str) -> bool {
        self.told.sealed_by.get_or_insert_with(|| key.to_owned()) == key
    }

    /// Looks for rows where they are gone after their time.
    fn no_rows(&mut self, tx: &mut Tx<'_>, block: &Block) -> Result<()> {
        if let Some(id) = store::first_between(tx, self.last_id, block.last_id)? {
            let detail = "this row was added where rows are gone after their time";
            self.find(block.number, id, Fault::Added, detail);
        }
        Ok(())
    }

    /// Holds the rows of a block against it.
    fn rows(&mut self, tx: &mut Tx<'_>, block: &Block) -> Result<()> {
        let lines = match store::lines(tx, self.last_id, block.last_id, 2 * ROWS) {
            Ok(lines) => lines,
            // A value that this program has not written.
            Err(Error::Corrupt(_) | Error::Internal(_)) => {
                let id = self.unreadable(tx, block)?;
                self.find(block.number, id, Fault::Altered, "this row cannot be read");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if block.holds(&lines) {
            self.told.rows += u64::try_from(lines.len()).unwrap_or(0);
            return Ok(());
        }
        for (id, fault) in compare::differences(block, &lines) {
            let detail = match fault {
                Fault::Altered => "this row is not what was sealed",
                Fault::Missing => "this row was sealed and is gone",
                Fault::Added => "this row was added later",
                Fault::Block | Fault::Signature | Fault::Head => {
                    "its rows are not what was sealed, and the marks that tell which were altered, too"
                }
            };
            self.find(block.number, id, fault, detail);
        }
        Ok(())
    }

    /// The first row of a block that cannot be read.
    fn unreadable(&self, tx: &mut Tx<'_>, block: &Block) -> Result<i64> {
        let mut after = self.last_id;
        while let Some(id) = store::first_between(tx, after, block.last_id)? {
            if store::lines(tx, after, id, 1).is_err() {
                return Ok(id);
            }
            after = id;
        }
        Ok(block.first_id)
    }

    /// Holds the end of the chain against what is written down of it.
    fn end(&mut self, tx: &mut Tx<'_>, state: Option<&State>, noted: Option<&Head>) -> Result<()> {
        let (number, id) = (self.number, self.last_id);
        match state {
            None if number == 0 => {}
            None => self.find(
                number,
                id,
                Fault::Head,
                "the row that tells where the log ends is gone",
            ),
            Some(state) => self.head(state),
        }
        if let Some(noted) = noted
            && !self.met
        {
            let detail = format!(
                "block {} was noted and is not there: the log was cut off",
                noted.number
            );
            self.find(noted.number, id, Fault::Head, detail);
        }
        self.told.unsealed = store::count_after(tx, id)?;
        self.told.unsealed_since = store::oldest_after(tx, id)?;
        self.told.head = state.and_then(State::head);
        Ok(())
    }

    fn head(&mut self, state: &State) {
        let (number, id) = (self.number, self.last_id);
        if !state.is_signed() || !self.is_own(&state.sealed_by) {
            let detail = "what is written down of the log's end is not signed with the key";
            self.find(state.number, id, Fault::Signature, detail);
        }
        if state.number > number {
            let next = number.saturating_add(1);
            let detail = format!(
                "blocks {next} to {} are gone: the log was cut off",
                state.number
            );
            self.find(next, id, Fault::Head, detail);
        } else if state.number != number || state.hash != self.hash {
            let detail = format!("the log should end with block {}", state.number);
            self.find(number, id, Fault::Head, detail);
        } else if number > 0 && state.last_id != id {
            self.find(number, id, Fault::Head, "the log should end elsewhere");
        }
    }
}

#[cfg(test)]
mod tests;
