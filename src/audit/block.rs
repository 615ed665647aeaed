//! Blocks of the log, and the chain that they form: pure, nothing here knows a database.
//!
//! Each row is written down in one form that does not depend on the engine, and hashed; a block's
//! hash is over those of its rows and over the hash of the block before it, and is signed. So the
//! chain can be followed when the rows of old blocks are gone. The head, signed too, says where the
//! chain ends and how far rows are gone.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::db::Value;
use crate::error::Error;
use crate::secret::{SignKey, has_signed, hex};
use crate::time::Timestamp;

/// What is hashed and what is signed, each for one purpose: neither can stand for another.
const BLOCK: &[u8] = b"provost/v1/audit/block\0";
const SEAL: &[u8] = b"provost/v1/audit/seal\0";
const HEAD: &[u8] = b"provost/v1/audit/head\0";

/// What stands in the first block for the hash of the one before it.
const NOTHING: [u8; 32] = [0; 32];

/// The id before every row's: this program gives none but positive ones.
pub(super) const START: i64 = 0;

/// How much of a row's digest its mark holds. It only helps to find a row: whether all are right is
/// told by the whole digests.
const MARK: usize = 8;

/// A row in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: i64,
    digest: [u8; 32],
}

impl Line {
    /// The row with these values, in the order of the table's columns.
    pub(super) fn new(id: i64, values: &[Value]) -> Self {
        let mut hash = Sha256::new();
        for value in values {
            match value {
                Value::Null => hash.update([0]),
                Value::Int(int) => {
                    hash.update([1]);
                    hash.update(int.to_be_bytes());
                }
                Value::Text(text) => put(&mut hash, 2, text.as_bytes()),
                Value::Bytes(bytes) => put(&mut hash, 3, bytes),
            }
        }
        let digest = hash.finalize().into();
        Self { id, digest }
    }

    fn mark(&self) -> impl Iterator<Item = u8> {
        let digest = self.digest.into_iter().take(MARK);
        self.id.to_be_bytes().into_iter().chain(digest)
    }
}

/// The length stands before the bytes: no two rows are written down alike.
fn put(hash: &mut Sha256, sort: u8, bytes: &[u8]) {
    hash.update([sort]);
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(bytes);
}

/// Rows that were sealed together. What is stored may be of any length: somebody else may have
/// written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// 1, 2, 3, …
    pub(super) number: i64,
    pub(super) first_id: i64,
    pub(super) last_id: i64,
    /// How many rows.
    pub(super) entries: i64,
    /// Over the digests of its rows, in the order of their ids.
    pub(super) rows_sha256: Vec<u8>,
    /// The id of each row and a part of its digest; nothing once the rows are gone.
    pub(super) marks: Option<Vec<u8>>,
    pub(super) sealed_at: Timestamp,
    /// The hash of the block before.
    pub(super) previous: Vec<u8>,
    pub(super) hash: Vec<u8>,
    /// The public key of the signature.
    pub(super) sealed_by: String,
    pub(super) signature: Vec<u8>,
}

impl Block {
    /// The block of these rows, which follow `state`; none without rows.
    pub(super) fn seal(
        state: &State,
        lines: &[Line],
        at: Timestamp,
        key: &SignKey,
    ) -> Option<Self> {
        let (first, last) = (lines.first()?, lines.last()?);
        let mut block = Self {
            number: state.number.checked_add(1)?,
            first_id: first.id,
            last_id: last.id,
            entries: i64::try_from(lines.len()).ok()?,
            rows_sha256: rows_sha256(lines),
            marks: Some(marks(lines)),
            sealed_at: at,
            previous: state.hash.clone(),
            hash: Vec::new(),
            sealed_by: name(key),
            signature: Vec::new(),
        };
        block.hash = block.computed();
        block.signature = key.sign(&block.sealed());
        Some(block)
    }

    /// The hash that a block with these contents has.
    pub(super) fn computed(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(BLOCK);
        for number in [
            self.number,
            self.first_id,
            self.last_id,
            self.entries,
            self.sealed_at.0,
        ] {
            hash.update(number.to_be_bytes());
        }
        put(&mut hash, 3, &self.previous);
        put(&mut hash, 3, &self.rows_sha256);
        hash.finalize().to_vec()
    }

    fn sealed(&self) -> Vec<u8> {
        [SEAL, &self.hash].concat()
    }

    /// Whether the key that it names has signed it.
    pub(super) fn is_signed(&self) -> bool {
        signed(&self.sealed_by, &self.sealed(), &self.signature)
    }

    /// Whether it is what was sealed, whoever did that.
    pub(super) fn is_sound(&self) -> bool {
        self.computed() == self.hash && self.is_signed()
    }

    /// Whether these are its rows, as they were.
    pub(super) fn holds(&self, lines: &[Line]) -> bool {
        i64::try_from(lines.len()) == Ok(self.entries)
            && lines.first().map(|line| line.id) == Some(self.first_id)
            && lines.last().map(|line| line.id) == Some(self.last_id)
            && rows_sha256(lines) == self.rows_sha256
            && self.marks.as_deref() == Some(&*marks(lines))
    }

    /// What its marks say of each row, if they can be read.
    pub(super) fn marked(&self) -> Option<Vec<(i64, &[u8])>> {
        let marks = self.marks.as_deref()?.chunks(8 + MARK);
        let marked = marks.map(|mark| {
            let (id, digest) = mark.split_first_chunk::<8>()?;
            Some((i64::from_be_bytes(*id), digest))
        });
        marked.collect()
    }
}

impl Line {
    /// Whether it is the row of which this is the mark.
    pub(super) fn is_marked(&self, digest: &[u8]) -> bool {
        self.digest.get(..MARK) == Some(digest)
    }
}

fn rows_sha256(lines: &[Line]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.digest);
    }
    hash.finalize().to_vec()
}

fn marks(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(Line::mark).collect()
}

/// How a key is called: by its public half, with which its signatures can be checked.
pub(super) fn name(key: &SignKey) -> String {
    URL_SAFE_NO_PAD.encode(key.public())
}

fn signed(by: &str, message: &[u8], signature: &[u8]) -> bool {
    URL_SAFE_NO_PAD
        .decode(by)
        .is_ok_and(|public| has_signed(&public, message, signature))
}

/// Where the chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// No row is added any more with an id up to this one.
    pub(super) ceiling: i64,
    /// The newest block; 0 before the first.
    pub(super) number: i64,
    pub(super) last_id: i64,
    pub(super) hash: Vec<u8>,
    /// Up to this block the rows are gone.
    pub(super) dropped: i64,
    pub(super) sealed_by: String,
    pub(super) signature: Vec<u8>,
}

impl Default for State {
    /// Of a log of which nothing was sealed.
    fn default() -> Self {
        Self {
            ceiling: 0,
            number: 0,
            last_id: START,
            hash: NOTHING.to_vec(),
            dropped: 0,
            sealed_by: String::new(),
            signature: Vec::new(),
        }
    }
}

impl State {
    /// The same after `block`, not signed yet.
    pub(super) fn after(&self, block: &Block) -> Self {
        Self {
            number: block.number,
            last_id: block.last_id,
            hash: block.hash.clone(),
            ..self.clone()
        }
    }

    /// The same, signed.
    pub(super) fn signed(mut self, key: &SignKey) -> Self {
        self.sealed_by = name(key);
        self.signature = key.sign(&self.message());
        self
    }

    /// The ceiling is not part of it: it rises before there is anything to sign, and a wrong one
    /// lets nothing through, for a row that was added below a block's end differs from the block.
    fn message(&self) -> Vec<u8> {
        let numbers = [self.number, self.last_id, self.dropped];
        let numbers = numbers.map(i64::to_be_bytes).concat();
        [HEAD, &numbers, &self.hash].concat()
    }

    /// Whether the key that it names has signed it.
    pub(super) fn is_signed(&self) -> bool {
        signed(&self.sealed_by, &self.message(), &self.signature)
    }

    /// What to note of it.
    pub(super) fn head(&self) -> Option<Head> {
        (self.number > 0).then(|| Head {
            number: self.number,
            hash: hex(&self.hash),
        })
    }
}

/// The newest block: its number and its hash, as `12:9f2c…`. Noted elsewhere, it shows later
/// whether what was there then is there still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head {
    /// Its number.
    pub number: i64,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid("head", "is not NUMBER:HASH, as audit verify prints it");
        let (number, hash) = text.split_once(':').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        let digits = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || number < 1 {
            return Err(wrong());
        }
        let hash = hash.to_ascii_lowercase();
        Ok(Self { number, hash })
    }
}

impl TryFrom<String> for Head {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    fn line(id: i64, text: &str) -> Line {
        Line::new(id, &[id.into(), text.into()])
    }

    #[test]
    fn rows_that_differ_in_sort_place_or_length_differ_in_their_digest() {
        let text = |text: &str| Value::from(text);
        let rows: [&[Value]; 7] = [
            &[text("ab"), text("c")],
            &[text("a"), text("bc")],
            &[text("a\u{2}b"), text("c")],
            &[text("c"), text("ab")],
            &[text(""), Value::Null],
            &[Value::Null, text("")],
            &[Value::Int(0), text("")],
        ];
        for (at, one) in rows.iter().enumerate() {
            for other in &rows[..at] {
                assert_ne!(Line::new(1, one), Line::new(1, other), "{one:?} {other:?}");
            }
        }
    }

    /// The form is for ever: what was sealed by one version is checked by all later ones.
    #[test]
    fn a_block_is_hashed_in_a_form_that_does_not_change() {
        let key = SignKey::new(&[7; 32]).unwrap();
        let lines = [line(1, "a"), line(2, "é")];
        let block = Block::seal(&State::default(), &lines, Timestamp(1_000), &key).unwrap();
        assert_eq!(
            hex(&block.rows_sha256),
            "4752e7c1f1c530987ada3ba50a76bd6cff82b33231ac5a03177ff71afb1e5720"
        );
        assert_eq!(
            hex(&block.hash),
            "aea06321b4a19f5114803b1dee6c2ef4898abe3c321bdfb882ab2b8d7087a891"
        );
    }

    #[test]
    fn a_block_and_a_head_are_signed_with_their_contents_and_not_for_each_other() {
        let key = Keys::ephemeral().unwrap().audit().unwrap();
        let block = Block::seal(&State::default(), &[line(1, "a")], Timestamp(1), &key).unwrap();
        let state = State::default().after(&block).signed(&key);
        assert!(block.is_signed() && state.is_signed());
        let other = State {
            dropped: 1,
            ..state.clone()
        };
        assert!(!other.is_signed());
        let other = State {
            signature: block.signature.clone(),
            ..state
        };
        assert!(!other.is_signed());
        let other = Block {
            hash: NOTHING.to_vec(),
            ..block.clone()
        };
        assert!(!other.is_signed());
        let other = Block {
            sealed_by: name(&Keys::ephemeral().unwrap().audit().unwrap()),
            ..block
        };
        assert!(!other.is_signed());
    }

    #[test]
    fn a_head_reads_back_as_it_is_written() {
        let head: Head = format!("12:{}", "0F".repeat(32)).parse().unwrap();
        assert_eq!(head.to_string(), format!("12:{}", "0f".repeat(32)));
        let json = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<Head>(&json).unwrap(), head);
        for wrong in ["", "12", "12:0f", "x:0f", &format!("0:{}", "0f".repeat(32))] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }
}
