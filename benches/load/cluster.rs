//! A PostgreSQL server of the driver's own: its folder, its process, gone with it.
//!
//! Every commit is on the disk before it is acknowledged, as in production; the rest is what fits a
//! machine that the server shares with its clients. Clients come over TCP, all in the same way.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Outcome;
use crate::server;

/// What is set beside the server's defaults.
const SETTINGS: &str = "fsync = on
synchronous_commit = on
shared_buffers = '256MB'
max_connections = 200
max_wal_size = '4GB'
checkpoint_timeout = '30min'
";

/// How long a start, a stop or a checkpoint may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Cluster {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Cluster {
    /// Makes one below `below` (or the system's folder) and starts it.
    pub(crate) fn start(below: Option<&Path>) -> Outcome<Self> {
        let folder = match below {
            Some(below) => tempfile::tempdir_in(below)?,
            None => tempfile::tempdir()?,
        };
        if let Some((user, group)) = account()? {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let data = folder.path().join("data");
        let mut command = as_server("initdb")?;
        command.args(["--locale=C", "--encoding=UTF8", "--auth=trust"]);
        command.args(["--username=postgres", "--pgdata"]).arg(&data);
        finished(&mut command)?;
        let mut file = File::options()
            .append(true)
            .open(data.join("postgresql.conf"))?;
        file.write_all(SETTINGS.as_bytes())?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::create(folder.path().join("log"))?;
        let mut command = as_server("postgres")?;
        command.arg("-D").arg(&data).args(["-h", "127.0.0.1"]);
        command.args(["-p", &port.to_string(), "-k"]);
        command.arg(folder.path()).stdout(log.try_clone()?);
        let child = command.stderr(log).spawn()?;
        let mut cluster = Self {
            folder,
            port,
            child,
        };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    fn wait_until_ready(&mut self) -> Outcome<()> {
        let start = Instant::now();
        while self.sql("postgres", "SELECT 1").is_err() {
            if self.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let said = fs::read_to_string(self.folder.path().join("log"))?;
                return Err(format!("PostgreSQL does not start: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// An empty database, replacing one of that name; its URL.
    pub(crate) fn database(&self, name: &str) -> Outcome<String> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {name}"))?;
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!(
            "postgres://postgres@127.0.0.1:{}/{name}",
            self.port
        ))
    }

    /// Runs a statement; what it printed, without a frame.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> Outcome<String> {
        let output = finished(self.psql(database)?.args(["-c", sql]))?;
        Ok(output.trim().to_owned())
    }

    /// Hands `write` the input of a `COPY … FROM STDIN`, then tidies up after so many new rows.
    pub(crate) fn copy<T>(
        &self,
        database: &str,
        into: &str,
        write: impl FnOnce(&mut BufWriter<ChildStdin>) -> Outcome<T>,
    ) -> Outcome<T> {
        let copy = format!("COPY {into} FROM STDIN");
        let mut command = self.psql(database)?;
        let mut child = command.args(["-c", &copy]).stdin(Stdio::piped()).spawn()?;
        let mut input = BufWriter::new(child.stdin.take().ok_or("psql has no input")?);
        let written = write(&mut input)?;
        drop(input.into_inner()?);
        if !child.wait()?.success() {
            return Err("psql could not copy".into());
        }
        for sql in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
            self.sql(database, sql)?;
        }
        Ok(written)
    }

    fn psql(&self, database: &str) -> Outcome<Command> {
        let mut command = self.client("psql", database)?;
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
        Ok(command)
    }

    /// One of PostgreSQL's own clients, connecting to a database here.
    pub(crate) fn client(&self, program: &str, database: &str) -> Outcome<Command> {
        let mut command = Command::new(found(program)?);
        command.env_clear().stdin(Stdio::null());
        let port = self.port.to_string();
        for (name, value) in [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &port),
            ("PGUSER", "postgres"),
            ("PGDATABASE", database),
        ] {
            command.env(name, value);
        }
        Ok(command)
    }

    /// CPU seconds of the server since its start, all of its processes together, those that have
    /// ended too.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        let mut seconds = server::cpu_with_ended(&self.child.id().to_string())?;
        for process in self.processes()? {
            // One that ends meanwhile is counted with the server itself next time.
            seconds += server::cpu(&process).unwrap_or_default();
        }
        Ok(seconds)
    }

    /// Waits until no more than `count` of its processes are left: those of clients that have gone.
    pub(crate) fn settle(&self, count: usize) -> Outcome<()> {
        let start = Instant::now();
        while self.processes()?.len() > count && start.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The ids of its processes: one for each connection, and some for the housework.
    pub(crate) fn processes(&self) -> Outcome<Vec<String>> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok(children.split_whitespace().map(str::to_owned).collect())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // "Fast": it ends its connections and writes everything down.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _gone_already = kill_process(pid, Signal::INT);
        }
        let _gone_already = self.child.wait();
    }
}

/// Whether this machine has what it takes.
pub(crate) fn is_installed() -> bool {
    ["initdb", "postgres", "psql", "pgbench"]
        .into_iter()
        .all(|program| found(program).is_ok())
}

/// Its version, or nothing.
pub(crate) fn version() -> String {
    let output = found("postgres").and_then(|file| finished(Command::new(file).arg("-V")));
    output.unwrap_or_default().trim().to_owned()
}

/// A program of PostgreSQL: on the `PATH`, or where Debian puts it, of the newest version there.
pub(crate) fn found(program: &str) -> Outcome<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, path.join("bin")))
        })
        .collect();
    versions.sort_unstable();
    // Debian's own first: what it puts on the `PATH` are scripts that choose a version.
    let debian = versions.into_iter().rev().map(|(_, folder)| folder);
    let path = search_path();
    debian
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{program} is not installed (Debian: postgresql)").into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver is no part of the program: where programs lie is its own affair"
)]
fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// Whom the server runs as: it refuses to be root. The account is the Debian package's.
fn account() -> Outcome<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let account = accounts
        .lines()
        .find_map(|line| line.strip_prefix("postgres:"))
        .ok_or("PostgreSQL cannot run as root, and there is no account postgres")?;
    let mut numbers = account.split(':').skip(1);
    let mut number = || -> Outcome<u32> { Ok(numbers.next().unwrap_or_default().parse()?) };
    Ok(Some((number()?, number()?)))
}

/// A program of PostgreSQL under the right account.
fn as_server(program: &str) -> Outcome<Command> {
    let program = found(program)?;
    let mut command = Command::new(&program);
    command.env_clear().current_dir("/").stdin(Stdio::null());
    command.env("PATH", program.parent().unwrap_or(&program));
    if let Some((user, group)) = account()? {
        command.uid(user).gid(group);
    }
    Ok(command)
}

/// Runs `command` to its end; its standard output.
pub(crate) fn finished(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}: {said}", output.status).into())
}
