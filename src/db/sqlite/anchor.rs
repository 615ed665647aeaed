//! A reader that reads nothing: it keeps its lock, so that others need not take theirs.
//!
//! Each read of `SQLite` locks the newest mark of the write-ahead log and unlocks it again: two
//! system calls under a mutex that all connections of the process share, and for which the
//! daemon's workers wait. While one connection of the process holds that lock, the others only
//! count themselves. So the writer, while it has nothing to write, keeps one reader open.
//!
//! Invariant: it is let go before anything is written, and moves to the newest mark often; else it
//! would keep the log from being emptied (security.md, rule 58). What others read does not depend
//! on it: their snapshots are their own.

use std::path::PathBuf;

use rusqlite::Connection;

use super::connect;
use super::session::Session;
use crate::error::Result;

/// The connection, and whether it holds the lock.
pub(super) struct Anchor {
    path: PathBuf,
    connection: Option<Connection>,
    held: bool,
}

impl Anchor {
    /// An anchor for the database at `path` that holds nothing yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: None,
            held: false,
        }
    }

    /// Takes the newest mark, in the place of what it held. Without it reads are slower and
    /// nothing else, so a failure is not worth a word: those who read for a purpose will tell.
    pub(super) fn renew(&mut self) {
        self.let_go();
        self.held = self.take().is_ok();
        if !self.held {
            self.connection = None;
        }
    }

    fn take(&mut self) -> Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.path)?),
        };
        let session = Session::new(connection);
        session.command("BEGIN")?;
        // The lock is taken by the first statement that reads.
        session.number("PRAGMA user_version").map(drop)
    }

    /// Holds nothing any more.
    pub(super) fn let_go(&mut self) {
        if !std::mem::take(&mut self.held) {
            return;
        }
        let connection = self.connection.as_ref();
        let ended = connection.map(|connection| Session::new(connection).command("ROLLBACK"));
        if !matches!(ended, Some(Ok(()))) {
            // Closing it gives back whatever it has.
            self.connection = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::db::sqlite::{create, log_bytes};
    use crate::db::{Db, Role, Tidy};

    /// Whether this process has a mark locked for reading, as the system lists its locks.
    fn a_mark_is_held(path: &Path) -> bool {
        let mut marks = path.as_os_str().to_owned();
        marks.push("-shm");
        let file = format!(":{}", std::fs::metadata(marks).unwrap().ino());
        let own = std::process::id().to_string();
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(3);
            let [sort, process, place, from] = [(); 4].map(|()| fields.next().unwrap());
            // Five marks, from the byte 123 on (`UNIX_SHM_BASE` and `WAL_READ_LOCK`).
            let mark = from.parse().is_ok_and(|byte| (123..128).contains(&byte));
            sort == "READ" && process == own && place.ends_with(&file) && mark
        })
    }

    #[test]
    fn an_anchor_holds_its_mark_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let other = create(&path).unwrap();
        let mut anchor = Anchor::new(path.clone());
        anchor.renew();
        assert!(a_mark_is_held(&path));
        // What others do meanwhile takes nothing away from it.
        Session::new(&other).number("PRAGMA user_version").unwrap();
        assert!(a_mark_is_held(&path));
        anchor.let_go();
        assert!(!a_mark_is_held(&path));
    }

    #[test]
    fn a_renewed_anchor_does_not_keep_the_log_from_being_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let other = create(&path).unwrap();
        other.busy_handler(None).unwrap();
        other.execute_batch("CREATE TABLE numbers (n)").unwrap();
        let mut anchor = Anchor::new(path.clone());
        anchor.renew();
        let empty = || Session::new(&other).number("PRAGMA wal_checkpoint(TRUNCATE)");
        assert_eq!(empty().unwrap(), 1);
        assert!(log_bytes(&path) > 0);
        anchor.renew();
        assert_eq!(empty().unwrap(), 0);
        assert_eq!(log_bytes(&path), 0);
    }

    #[test]
    fn an_idle_daemon_holds_a_mark_and_its_log_can_be_emptied_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let db = Db::open_file(&path, Role::Daemon).unwrap();
        db.write(|tx| tx.script("CREATE TABLE numbers (n INTEGER) STRICT"))
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while !a_mark_is_held(&path) {
            assert!(Instant::now() < patience);
            std::thread::yield_now();
        }
        db.tidy(Tidy::Full).unwrap();
        assert_eq!(log_bytes(&path), 0);
    }
}
