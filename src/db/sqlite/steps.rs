//! A script run statement by statement: the engine itself says where each one ends.

use rusqlite::Batch;
use rusqlite::fallible_iterator::FallibleIterator as _;

use super::session::{Session, error};
use crate::db::steps::{Broken, Clocked, Step, blank, line, may_stand};

impl Session<'_> {
    pub(in crate::db) fn spill(self, may: bool) {
        // 1 is a file, 2 is the memory. Once the connection has used either for a table of its own,
        // it stays with that, and works as well.
        let _stays = self.pragma("temp_store", if may { 1 } else { 2 });
    }

    pub(in crate::db) fn steps(self, script: &str) -> Result<Vec<Step>, Broken> {
        let mut clocked = Clocked::start();
        let mut batch = Batch::new(self.connection, script);
        let mut at = 0;
        loop {
            let rest = script.get(at..).unwrap_or_default();
            let mut begin = line(1, script, at + blank(rest));
            let mut statement = match batch.next() {
                Ok(Some(statement)) => statement,
                Ok(None) => return Ok(clocked.done()),
                Err(source) => {
                    if let rusqlite::Error::SqlInputError { sql, offset, .. } = &source
                        && let Ok(offset) = usize::try_from(*offset)
                    {
                        // It was given what was left.
                        begin = line(1, script, script.len().saturating_sub(sql.len()) + offset);
                    }
                    return Err(clocked.broken(begin, error(source)));
                }
            };
            // Without parameters this is the text as it stands there.
            let text = statement.expanded_sql().unwrap_or_default();
            may_stand(&text).map_err(|source| clocked.broken(begin, source))?;
            let mut rows = statement.raw_query();
            while let Some(_row) = rows
                .next()
                .map_err(|source| clocked.broken(begin, error(source)))?
            {}
            clocked.ran(begin);
            at += rest.find(&text).unwrap_or(0) + text.len();
        }
    }
}
