//! Moving what was committed from the log into the main file: the daemon's writer does it by itself.
//!
//! `SQLite` would do it inside of a commit, a thousand pages at once: all who wait for that commit
//! would wait some milliseconds longer, and so would those behind them. So it is done after they
//! were answered, and in pieces that take little longer than a commit. That also keeps the log
//! short, where each read has to look first.

use std::cell::Cell;

use rusqlite::Connection;

use super::session::{Session, error};
use crate::error::Result;

/// Pages in the log that are worth a checkpoint: two flushes, while a commit needs one.
const ENOUGH: i32 = 100;

thread_local! {
    /// Pages in the log after this thread's last commit.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// Makes checkpoints the business of the thread that writes with `connection`.
pub(super) fn take_over(connection: &Connection) -> Result<()> {
    Session::new(connection).pragma("wal_autocheckpoint", 0)?;
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(pages);
        Ok(())
    }));
    Ok(())
}

/// Makes a checkpoint if the commits of this thread have left enough to do. Waits for nobody.
pub(super) fn when_due(connection: &Connection) -> Result<()> {
    if PAGES.replace(0) < ENOUGH {
        return Ok(());
    }
    let sql = "PRAGMA wal_checkpoint(PASSIVE)";
    let mut checkpoint = connection.prepare_cached(sql).map_err(error)?;
    checkpoint.query_row([], |_| Ok(())).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::sqlite::{create, log_bytes};

    #[test]
    fn a_log_of_many_commits_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let connection = create(&path).unwrap();
        take_over(&connection).unwrap();
        connection.execute_batch("CREATE TABLE texts (t)").unwrap();
        let sql = "INSERT INTO texts VALUES (zeroblob(20000))";
        let write = || Session::new(&connection).command(sql).unwrap();
        for _ in 0..100 {
            write();
            when_due(&connection).unwrap();
        }
        let kept = log_bytes(&path);
        for _ in 0..100 {
            write();
        }
        // Without it a log only grows.
        assert!(log_bytes(&path) > 4 * kept, "{kept}");
    }
}
