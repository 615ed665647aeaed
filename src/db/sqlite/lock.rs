//! Who has the database file open: advisory locks (`flock`) on two files beside it.
//!
//! `<db>.lock` is held shared by everyone and exclusively by maintenance that replaces or rewrites
//! the file (security.md, rule 62). `<db>.pid` is held exclusively by the one daemon and carries
//! its process id. The kernel releases both when a process dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::db::whole::READING;
use crate::error::{Error, Result};
use crate::file::{flags, give_to_owner_of_folder};

/// How long a command waits for maintenance to end, and maintenance for commands.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a daemon tries to become the one: whoever looks for it holds its lock for an instant.
const MOMENT: Duration = Duration::from_millis(500);

/// The locks that this process holds.
#[derive(Debug)]
pub(super) struct Locks {
    database: PathBuf,
    shared: File,
    daemon: Option<File>,
}

impl Locks {
    /// Takes the shared lock on `database`, and the daemon's when `daemon` is set.
    pub(super) fn take(database: &Path, daemon: bool) -> Result<Self> {
        let daemon = if daemon {
            Some(become_daemon(database)?)
        } else {
            None
        };
        let shared = open(&beside(database, "lock"))?;
        wait(
            || shared.try_lock_shared(),
            PATIENCE,
            "maintenance is going on",
        )?;
        Ok(Self {
            database: database.to_owned(),
            shared,
            daemon,
        })
    }

    /// Takes the shared lock for who makes nothing, not even the file to lock: `None` if it is not
    /// there.
    pub(super) fn visit(database: &Path) -> Result<Option<Self>> {
        let path = beside(database, "lock");
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags())
            .open(&path);
        let shared = match opened {
            Ok(shared) => shared,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format!("open {}", path.display()))(error)),
        };
        let why = "maintenance is going on";
        wait(|| shared.try_lock_shared(), PATIENCE, why)?;
        Ok(Some(Self {
            database: database.to_owned(),
            shared,
            daemon: None,
        }))
    }

    /// Whether some daemon, this process or another, serves the database.
    pub(super) fn daemon_runs(&self) -> bool {
        self.daemon.is_some() || running_daemon(&self.database).is_some()
    }

    /// Writes beside this daemon's process id that it answers reads alone.
    pub(super) fn call_reading(&self) -> Result<()> {
        let Some(mut file) = self.daemon.as_ref() else {
            return Ok(());
        };
        let path = beside(&self.database, "pid");
        writeln!(file, "{READING}").map_err(Error::io(format!("write {}", path.display())))
    }

    /// Whether the other daemon that serves the database answers reads alone.
    pub(super) fn other_daemon_only_reads(&self) -> bool {
        let told = std::fs::read_to_string(beside(&self.database, "pid"));
        told.is_ok_and(|told| told.lines().any(|line| line == READING))
    }

    /// The process id of the daemon that serves the database, if that is another process.
    pub(super) fn other_daemon(&self) -> Option<u32> {
        if self.daemon.is_some() {
            return None;
        }
        running_daemon(&self.database)
    }

    /// Runs `f` with the exclusive lock, then goes back to the shared one.
    pub(super) fn exclusively<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.daemon.is_none()
            && let Some(pid) = running_daemon(&self.database)
        {
            return Err(Error::DaemonRunning { pid });
        }
        // Waiting for it gives up the shared one (flock(2)): another file may be put there meanwhile.
        let before = which(&self.database);
        let why = "other commands are using the database";
        let result = match wait(|| self.shared.try_lock(), PATIENCE, why) {
            Ok(()) if which(&self.database) == before => f(),
            Ok(()) => Err(Error::unavailable(
                "another command has put another file in the place of the database; run it again",
            )),
            Err(error) => Err(error),
        };
        wait(
            || self.shared.try_lock_shared(),
            PATIENCE,
            "maintenance is going on",
        )?;
        result
    }
}

/// Which file has the database's name; none, if none has.
fn which(database: &Path) -> Option<(u64, u64)> {
    let about = std::fs::metadata(database).ok()?;
    Some((about.dev(), about.ino()))
}

/// Takes the daemon's lock and writes this process's id into it.
fn become_daemon(database: &Path) -> Result<File> {
    let path = beside(database, "pid");
    let mut file = open(&path)?;
    match wait(|| file.try_lock(), MOMENT, "") {
        Ok(()) => {}
        Err(Error::Unavailable(_)) => {
            return Err(Error::DaemonRunning {
                pid: read_pid(&mut file).unwrap_or(0),
            });
        }
        Err(error) => return Err(error),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Error::io(format!("write {}", path.display())))?;
    Ok(file)
}

/// The process id of the daemon that serves `database`, if one does.
pub(super) fn running_daemon(database: &Path) -> Option<u32> {
    // Opened without creating: asking must leave nothing behind.
    let mut file = File::open(beside(database, "pid")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read_pid(&mut file).unwrap_or(0)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn beside(database: &Path, extension: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags())
        .open(path)
        .map_err(Error::io(format!("open {}", path.display())))?;
    give_to_owner_of_folder(&file, path)?;
    Ok(file)
}

/// Tries `lock` until it succeeds or `patience` ends. `flock` itself has no deadline.
fn wait(
    lock: impl Fn() -> Result<(), TryLockError>,
    patience: Duration,
    why: &'static str,
) -> Result<()> {
    let start = Instant::now();
    loop {
        match lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return Err(Error::unavailable(why)),
            Err(TryLockError::Error(error)) => {
                return Err(Error::io("lock the database")(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_second_daemon_is_told_the_first_ones_pid() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let first = Locks::take(&database, true).unwrap();
        let second = Locks::take(&database, true).unwrap_err();
        assert!(matches!(second, Error::DaemonRunning { pid } if pid == std::process::id()));
        drop(first);
        Locks::take(&database, true).unwrap();
    }

    #[test]
    fn maintenance_is_refused_while_a_daemon_serves() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let command = Locks::take(&database, false).unwrap();
        command.exclusively(|| Ok(())).unwrap();
        let daemon = Locks::take(&database, true).unwrap();
        assert!(matches!(
            command.exclusively(|| Ok(())),
            Err(Error::DaemonRunning { .. })
        ));
        assert!(command.daemon_runs());
        drop(daemon);
        command.exclusively(|| Ok(())).unwrap();
    }

    #[test]
    fn a_command_that_looks_for_the_daemon_does_not_keep_it_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        drop(Locks::take(&database, true).unwrap());
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ours = running_daemon(&database);
                }
            });
            let starts: Vec<_> = (0..50)
                .map(|_| Locks::take(&database, true).map(drop))
                .collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(starts.iter().all(Result::is_ok), "{starts:?}");
        });
    }

    #[test]
    fn a_lock_file_is_not_looked_for_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let other = folder.path().join("other");
        std::fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, beside(&database, "pid")).unwrap();
        assert!(matches!(
            Locks::take(&database, true),
            Err(Error::Io { .. })
        ));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
        let database = folder.path().join("x.db");
        drop(Locks::take(&database, true).unwrap());
        for name in ["lock", "pid"] {
            let made = std::fs::metadata(beside(&database, name)).unwrap();
            assert_eq!((made.uid(), made.gid()), (65534, 65534), "{name}");
        }
    }
}
