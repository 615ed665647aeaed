//! The bulk path: rows straight into the database file, in one transaction with one prepared
//! statement, while nothing else has it open.
//!
//! The digests are the library's own with the folder's key, so every token that is handed out
//! works. Nothing is written to the audit log: these tokens were never issued by anybody.

use std::path::{Path, PathBuf};

use provost::keys::Keys;
use provost::secret::random_base62;
use provost::time;
use provost::tokens::{self, Kind, SECRET, TokenId};
use rusqlite::Connection;

use crate::Outcome;
use crate::server::DATABASE;

/// Tokens of which the text is kept: enough that each request asks for another row.
const KNOWN: u64 = 100_000;

/// A stride that is prime to any number of tokens kept: visits all of them, in no order.
const STRIDE: usize = 61_843;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// What the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Good for a month.
    Live,
    /// Expired so long ago that a purge takes them.
    Expired,
}

/// A filled data folder.
pub(crate) struct Filled {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// Rows in `tokens`.
    pub(crate) rows: u64,
    /// Some of the tokens in the older service's form, evenly from the whole table, in no order.
    pub(crate) tokens: Vec<String>,
    /// The id of the first of them.
    pub(crate) id: i64,
}

/// Puts `rows` temporary tokens into the folder's database, which has none yet.
pub(crate) fn fill(folder: &Path, state: State, rows: u64) -> Outcome<Filled> {
    let keys = Keys::load(&folder.join("provost.key"))?;
    let mut connection = Connection::open(folder.join(DATABASE))?;
    let now = time::wall().0;
    let (created, expires) = match state {
        State::Live => (now - DAY, now + 30 * DAY),
        State::Expired => (now - 90 * DAY, now - 60 * DAY),
    };
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare(
        "INSERT INTO tokens (id, kind, digest, hint, created_at, expires_at)
         VALUES (?1, 'temporary', ?2, ?3, ?4, ?5)",
    )?;
    let every = (rows / KNOWN).max(1);
    let mut known = Vec::new();
    for row in 0..rows {
        // Ids as the library makes them: milliseconds over 21 bits, growing.
        let at = created + i64::try_from(row / 1000)?;
        let id = (at << 21) | (i64::try_from(row % 1000)? << 11);
        let secret = random_base62::<SECRET>()?;
        let digest = tokens::digest(&keys, Kind::Temporary, TokenId(id), secret.expose());
        let hint = &secret.expose()[SECRET - 4..];
        insert.insert(rusqlite::params![
            id,
            digest,
            hint,
            at,
            expires + at - created
        ])?;
        if row % every == 0 {
            let text = tokens::decimal(TokenId(id), &secret);
            known.push((id, text.expose().clone()));
        }
    }
    drop(insert);
    transaction.commit()?;
    // As a daemon leaves it: everything in the main file, statistics as they were.
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    let order = (0..known.len()).map(|place| place * STRIDE % known.len());
    Ok(Filled {
        folder: folder.to_owned(),
        rows,
        id: known.first().ok_or("a database without rows")?.0,
        tokens: order.map(|place| known[place].1.clone()).collect(),
    })
}

/// The answer to a `SELECT count(*)` on a folder's database.
pub(crate) fn count(folder: &Path, sql: &str) -> Outcome<u64> {
    let connection = Connection::open(folder.join(DATABASE))?;
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(count)?)
}
