//! A PostgreSQL cluster of a test's own: its folder, its server and its standby, gone with it.
//!
//! The server is a child of the test, started by itself and not by `pg_ctl`, so that the test knows
//! its process and it does not outlive an interrupted run. What `pg_ctl -m` names are signals to it.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::engine;

/// No start, stop or recovery of such a small cluster takes longer; a loaded machine included.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server with its data.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    port: u16,
    server: Child,
}

/// How a server is stopped: what `pg_ctl stop -m` calls it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Open transactions are ended, everything is written down.
    Fast,
    /// As in a crash: recovery comes with the next start.
    Immediate,
}

/// The cluster that tests use together as long as one of them needs it.
static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Cluster {
    /// A running server with these settings beside the usual ones. `None`, and a line that says so,
    /// where the machine has no PostgreSQL; a failure there if the tests were told to use it.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let Some(initdb) = program("initdb") else {
            assert!(
                engine::url().is_none(),
                "PROVOST_TEST_POSTGRES is set, but this machine has no initdb"
            );
            say("not tested: no initdb on this machine (Debian: apt-get install postgresql)");
            return None;
        };
        let folder = owned_folder();
        let data = folder.path().join("data");
        let mut command = as_server(&initdb);
        command.args(["--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync"]);
        command.args(["--no-instructions", "--username=postgres", "--pgdata"]);
        run(command.arg(&data));
        let usual = [("max_connections", "200"), ("shared_buffers", "32MB")];
        let settings = usual.iter().chain(settings);
        let lines: Vec<String> = settings
            .map(|(name, value)| format!("{name} = '{value}'\n"))
            .collect();
        append(&data.join("postgresql.conf"), &lines.concat());
        Some(Self::serve(folder))
    }

    /// The cluster that is shared by the tests that do it no harm.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return Some(cluster);
        }
        // What is lost with the machine's power is of no interest to those tests.
        let cluster = Arc::new(Self::start(&[
            ("fsync", "off"),
            ("max_connections", "500"),
        ])?);
        *shared = Arc::downgrade(&cluster);
        Some(cluster)
    }

    /// A standby that repeats what this server does. From now on a commit here waits until the
    /// standby has it on its disk.
    pub(crate) fn standby(&self) -> Self {
        let folder = owned_folder();
        let data = folder.path().join("data");
        let mut command = as_server(&program("pg_basebackup").unwrap());
        command.args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            "--pgdata",
        ]);
        run(command.arg(&data).args(["--dbname", &self.url("postgres")]));
        let standby = Self::serve(folder);
        for sql in [
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "ALTER SYSTEM SET synchronous_commit = 'on'",
            "SELECT pg_reload_conf()",
        ] {
            self.sql(sql);
        }
        let in_step = "SELECT COUNT(*)::text FROM pg_stat_replication WHERE sync_state = 'sync'";
        wait_until("the standby is in step", || self.sql(in_step) == "1");
        standby
    }

    /// Makes a standby the server that takes writes, and no other has to confirm them.
    pub(crate) fn promote(&self) {
        self.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
        assert_eq!(self.sql("SELECT pg_promote()::text"), "true");
    }

    fn serve(folder: tempfile::TempDir) -> Self {
        let port = free_port();
        let server = spawn(folder.path(), port);
        let mut cluster = Self {
            folder,
            port,
            server,
        };
        cluster.wait();
        cluster
    }

    /// Waits until it answers.
    fn wait(&mut self) {
        let url = self.url("postgres");
        let start = Instant::now();
        while let Err(error) = postgres::Client::connect(&url, postgres::NoTls) {
            let ended = self.server.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "PostgreSQL does not start: {error}\n{}",
                self.log()
            );
            pause();
        }
    }

    /// `127.0.0.1:40123`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of one of its databases; `postgres` is there from the start.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address())
    }

    /// What the server has written about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs one statement in the database `postgres`; returns the first column of its first row,
    /// which must be a text, or nothing.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        let done = self.try_sql(sql);
        done.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same for a statement that the server may refuse.
    pub(crate) fn try_sql(&self, sql: &str) -> Result<String, postgres::Error> {
        let mut client = postgres::Client::connect(&self.url("postgres"), postgres::NoTls)?;
        let rows = client.query(sql, &[])?;
        let first = rows.first().filter(|row| !row.is_empty());
        let text = first.map(|row| row.try_get::<_, Option<String>>(0));
        Ok(text.and_then(Result::ok).flatten().unwrap_or_default())
    }

    /// Stops the server and waits for its end.
    pub(crate) fn stop(&mut self, mode: Mode) {
        self.signal(match mode {
            Mode::Fast => "INT",
            Mode::Immediate => "QUIT",
        });
        self.server.wait().unwrap();
    }

    /// Starts the server again on its port and waits until it answers.
    pub(crate) fn start_again(&mut self) {
        self.server = spawn(self.folder.path(), self.port);
        self.wait();
    }

    /// `pg_ctl restart -m immediate`.
    pub(crate) fn crash_and_restart(&mut self) {
        self.stop(Mode::Immediate);
        self.start_again();
    }

    /// It takes connections and answers nobody, as a machine that has gone away, until the guard
    /// is dropped. Then it goes on where it was.
    #[must_use]
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        self.signal_all("STOP");
        Frozen(self)
    }

    fn signal(&self, name: &str) {
        let pid = self.server.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// To the server and to each of its processes: one for each connection, and some more.
    fn signal_all(&self, name: &str) {
        // The first stops making new ones before the others are counted.
        self.signal(name);
        let pid = self.server.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let children = children.split_whitespace();
        // One may be gone meanwhile.
        let mut command = Command::new("kill");
        command
            .args(["-s", name])
            .args(children)
            .stderr(Stdio::null());
        let _ = command.status();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.server.try_wait(), Ok(None)) {
            // A kill would leave its processes and shared memory behind.
            self.stop(Mode::Immediate);
        }
    }
}

/// A server that says nothing.
pub(crate) struct Frozen<'a>(&'a Cluster);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.signal_all("CONT");
    }
}

/// Waits for something that another process does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        pause();
    }
}

/// Tells whoever runs the tests, who does not see what a test prints that passes.
pub(crate) fn say(text: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    // Not a macro that prints: what those print of a test that passes is thrown away. And at once,
    // so that nobody else writes in between.
    let line = format!("{name}: {text}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Between two questions whether it is time; no guess at how long it takes.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// A program of PostgreSQL: on the `PATH`, or where Debian puts it, of the newest version there.
fn program(name: &str) -> Option<PathBuf> {
    let path = engine::variable("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, path.join("bin")))
        })
        .collect();
    versions.sort_unstable();
    folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    let files = folders.into_iter().map(|folder| folder.join(name));
    files.into_iter().find(|file| file.is_file())
}

/// Whom the server runs as: PostgreSQL refuses to be root. The account is the Debian package's.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let mut accounts = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let account = accounts.find(|fields| fields[0] == "postgres");
    // The Debian package makes it.
    let account = account.unwrap_or_else(|| panic!("PostgreSQL cannot run as root: no postgres"));
    Some((account[2].parse().unwrap(), account[3].parse().unwrap()))
}

/// A folder that belongs to whom the server runs as.
fn owned_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    if let Some((user, group)) = account() {
        chown(folder.path(), Some(user), Some(group)).unwrap();
    }
    folder
}

/// A program of PostgreSQL under the right account, with nothing of this test's environment.
fn as_server(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").stdin(Stdio::null());
    let path: OsString = program.parent().unwrap().into();
    command.env("PATH", path);
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    command
}

fn spawn(folder: &Path, port: u16) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    let mut command = as_server(&program("postgres").unwrap());
    command.arg("-D").arg(folder.join("data"));
    command.args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"]);
    command
        .arg(folder)
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command.spawn().unwrap()
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn append(file: &Path, text: &str) {
    let mut file = fs::File::options().append(true).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
