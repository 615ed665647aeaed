//! A whole copy of an `SQLite` file beside everybody who works on it (security.md, rule 79).

use std::path::Path;
use std::sync::PoisonError;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::deadline::nap;
use super::session::{Session, error};
use super::{Access, Sqlite, connect};
use crate::error::{Error, Result};

/// Pages copied at once: the time between two looks at ^C.
const STEP: i32 = 1024;

impl Sqlite {
    pub(in crate::db) fn back_up(
        &self,
        file: &Path,
        tell: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<()> {
        match (&self.access, &self.path) {
            (Access::Direct(connection), _) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                copy(&connection, file, tell)
            }
            (Access::Served { .. }, Some(path)) => copy(&connect(path)?, file, tell),
            (Access::Served { .. }, None) => Err(Error::internal("a daemon has a file")),
        }
    }
}

fn copy(
    source: &Connection,
    file: &Path,
    tell: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut copy = Connection::open_with_flags(file, flags).map_err(error)?;
    // Nothing is there that could be rolled back, and whoever keeps the file syncs it: without a
    // journal, a copy that is cut off leaves one file and not two.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        .map_err(error)?;
    Session::new(source).snapshot(|tx| {
        // What has read is bound to its snapshot: no commit makes the copy begin anew, as it
        // would between two steps that each look at the newest state.
        tx.first("SELECT 1 AS n FROM sqlite_schema LIMIT 1", &[])?;
        let backup = Backup::new(source, &mut copy).map_err(error)?;
        let mut waited = 0_i32;
        loop {
            let step = backup.step(STEP).map_err(error)?;
            if step == StepResult::Done {
                return Ok(());
            }
            if step != StepResult::More && !nap(waited) {
                return Err(Error::unavailable("the database stays locked"));
            }
            waited = if step == StepResult::More {
                0
            } else {
                waited + 1
            };
            let progress = backup.progress();
            let pages = |pages: i32| u64::try_from(pages).unwrap_or(0);
            tell(pages(progress.remaining), pages(progress.pagecount))?;
        }
    })?;
    copy.close().map_err(|(_, source)| error(source))
}
