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

use crate::error::{Error, Result};

/// How long a command waits for maintenance to end, and maintenance for commands.
const PATIENCE: Duration = Duration::from_secs(5);

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
        wait(|| shared.try_lock_shared(), "maintenance is going on")?;
        Ok(Self {
            database: database.to_owned(),
            shared,
            daemon,
        })
    }

    /// Whether some daemon, this process or another, serves the database.
    pub(super) fn daemon_runs(&self) -> bool {
        self.daemon.is_some() || running_daemon(&self.database).is_some()
    }

    /// Runs `f` with the exclusive lock, then goes back to the shared one.
    pub(super) fn exclusively<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.daemon.is_none()
            && let Some(pid) = running_daemon(&self.database)
        {
            return Err(Error::DaemonRunning { pid });
        }
        wait(
            || self.shared.try_lock(),
            "other commands are using the database",
        )?;
        let result = f();
        wait(|| self.shared.try_lock_shared(), "maintenance is going on")?;
        result
    }
}

/// Takes the daemon's lock and writes this process's id into it.
fn become_daemon(database: &Path) -> Result<File> {
    let path = beside(database, "pid");
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::DaemonRunning {
                pid: read_pid(&mut file).unwrap_or(0),
            });
        }
        Err(TryLockError::Error(error)) => {
            return Err(Error::io(format!("lock {}", path.display()))(error));
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Error::io(format!("write {}", path.display())))?;
    Ok(file)
}

/// The process id of the daemon that serves `database`, if one does.
fn running_daemon(database: &Path) -> Option<u32> {
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
    text.trim().parse().ok()
}

fn beside(database: &Path, extension: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn open(path: &Path) -> Result<File> {
    let failed = || Error::io(format!("open {}", path.display()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            give_to_owner_of_folder(&file, path).map_err(failed())?;
            Ok(file)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => options
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed()),
        Err(error) => Err(failed()(error)),
    }
}

/// What root makes in the folder of a service's account belongs to that account: the daemon could
/// not open it otherwise. `path` is in that folder. `SQLite` does the same with its own files.
pub(crate) fn give_to_owner_of_folder(file: &File, path: &Path) -> std::io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = std::fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
    let user = rustix::fs::Uid::from_raw(folder.uid());
    let group = rustix::fs::Gid::from_raw(folder.gid());
    rustix::fs::fchown(file, Some(user), Some(group))?;
    Ok(())
}

/// Tries `lock` until it succeeds or patience ends. `flock` itself has no deadline.
fn wait(lock: impl Fn() -> Result<(), TryLockError>, why: &'static str) -> Result<()> {
    let start = Instant::now();
    loop {
        match lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
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
}
