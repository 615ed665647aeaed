//! The bulk path: rows straight into the database, while nothing else has it open: into a file in
//! one transaction with one prepared statement, into a server by one `COPY` through `psql`.
//!
//! The digests are the library's own with the folder's key, so every token that is handed out
//! works. Nothing is written to the audit log: these tokens were never issued by anybody.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use provost::keys::Keys;
use provost::secret::random_base62;
use provost::time;
use provost::tokens::{self, Kind, SECRET, TokenId};
use rusqlite::{Connection, params};

use crate::Outcome;
use crate::cluster::Cluster;
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

/// Rows whose ids share a millisecond.
pub(crate) const EVERY: u64 = 1000;

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

impl Filled {
    /// Of so many rows the text of one is known.
    pub(crate) fn every(&self) -> u64 {
        every(self.rows)
    }
}

fn every(rows: u64) -> u64 {
    (rows / KNOWN).max(1)
}

/// A row of `tokens`: what is not named is null.
struct Row {
    id: i64,
    digest: [u8; 32],
    hint: String,
    created: i64,
    expires: i64,
}

/// Makes `rows` temporary tokens for the folder's key file and hands each to `put`.
fn make(
    folder: &Path,
    state: State,
    rows: u64,
    mut put: impl FnMut(&Row) -> Outcome<()>,
) -> Outcome<Filled> {
    let keys = Keys::load(&folder.join("provost.key"))?;
    let now = time::wall().0;
    let (created, expires) = match state {
        State::Live => (now - DAY, now + 30 * DAY),
        State::Expired => (now - 90 * DAY, now - 60 * DAY),
    };
    let mut known = Vec::new();
    for row in 0..rows {
        // Ids as the library makes them: milliseconds over 21 bits, growing.
        let at = created + i64::try_from(row / EVERY)?;
        let id = (at << 21) | (i64::try_from(row % EVERY)? << 11);
        let secret = random_base62::<SECRET>()?;
        put(&Row {
            id,
            digest: tokens::digest(&keys, Kind::Temporary, TokenId(id), secret.expose()),
            hint: secret.expose()[SECRET - 4..].to_owned(),
            created: at,
            expires: expires + at - created,
        })?;
        if row % every(rows) == 0 {
            let text = tokens::decimal(TokenId(id), &secret);
            known.push((id, text.expose().clone()));
        }
    }
    let order = (0..known.len()).map(|place| place * STRIDE % known.len());
    Ok(Filled {
        folder: folder.to_owned(),
        rows,
        id: known.first().ok_or("a database without rows")?.0,
        tokens: order.map(|place| known[place].1.clone()).collect(),
    })
}

/// Puts `rows` temporary tokens into the folder's database, which has none yet.
pub(crate) fn fill(folder: &Path, state: State, rows: u64) -> Outcome<Filled> {
    let mut connection = Connection::open(folder.join(DATABASE))?;
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare(
        "INSERT INTO tokens (id, kind, digest, hint, created_at, expires_at)
         VALUES (?1, 'temporary', ?2, ?3, ?4, ?5)",
    )?;
    let filled = make(folder, state, rows, |row| {
        let (created, expires) = (row.created, row.expires);
        insert.insert(params![row.id, row.digest, row.hint, created, expires])?;
        Ok(())
    })?;
    drop(insert);
    transaction.commit()?;
    // As a daemon leaves it: everything in the main file, statistics as they were.
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    Ok(filled)
}

/// Puts `rows` live tokens into the server's `database`, which has none yet, for the key file in
/// `folder`: one `COPY`.
pub(crate) fn copy(folder: &Path, cluster: &Cluster, database: &str, rows: u64) -> Outcome<Filled> {
    let into = "tokens (id, kind, digest, hint, created_at, expires_at)";
    cluster.copy(database, into, |input| {
        make(folder, State::Live, rows, |row| {
            write!(input, "{}\ttemporary\t\\\\x", row.id)?;
            for byte in row.digest {
                write!(input, "{byte:02x}")?;
            }
            writeln!(input, "\t{}\t{}\t{}", row.hint, row.created, row.expires)?;
            Ok(())
        })
    })
}

/// The answer to a `SELECT count(*)` on a folder's database.
pub(crate) fn count(folder: &Path, sql: &str) -> Outcome<u64> {
    let connection = Connection::open(folder.join(DATABASE))?;
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(count)?)
}
