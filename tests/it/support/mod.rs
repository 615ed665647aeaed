//! The program as a person at a shell meets it: the real binary, a home of its own, and nothing
//! of this test's environment.
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use provost::app::{Actor, Who};
use serde_json::Value;

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod engine;
pub(crate) mod fault;
pub(crate) mod files;
pub(crate) mod smtp;

use engine::{Schema, Sql};

/// The program.
pub(crate) const PROVOST: &str = env!("CARGO_BIN_EXE_provost");

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A shell with a home of its own, whose data folder is `home/data`. The database is a file there,
/// or a schema of its own on the server that the tests were told to use.
pub(crate) struct Shell {
    home: tempfile::TempDir,
    schema: Option<Schema>,
    variables: Vec<(String, String)>,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
    /// Its exit status.
    pub(crate) status: i32,
}

impl Shell {
    /// A shell where nothing is set up.
    pub(crate) fn bare() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            schema: engine::url().map(|server| Schema::new(&server)),
            variables: Vec::new(),
        }
    }

    /// The same with a schema of its own on this server, whatever the other tests run on.
    pub(crate) fn on(server: &str) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            schema: Some(Schema::new(server)),
            variables: Vec::new(),
        }
    }

    /// A shell after `provost init`.
    pub(crate) fn new() -> Self {
        Self::bare().after_init()
    }

    /// The same, and its daemon does not slow down those who ask for much.
    pub(crate) fn unthrottled() -> Self {
        Self::new().without_throttle()
    }

    /// The same after `provost init`.
    pub(crate) fn after_init(self) -> Self {
        self.ok(&["init"]);
        self
    }

    /// The same, and its daemon does not slow down those who ask for much.
    pub(crate) fn without_throttle(self) -> Self {
        let limits = [
            "ISSUE_PER_SECOND",
            "API_PER_SECOND",
            "LOGIN_PER_MINUTE",
            "REFRESH_PER_MINUTE",
            "SPRAY_NAMES",
        ];
        limits.iter().fold(self, |shell, limit| {
            shell.with(&format!("PROVOST_THROTTLE_{limit}"), "0")
        })
    }

    /// The same with one more environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the home folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The database file, for tests that are only about `SQLite`.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("data/provost.db")
    }

    /// The URL of the database, for one on PostgreSQL.
    pub(crate) fn schema_url(&self) -> Option<String> {
        self.schema.as_ref().map(Schema::url)
    }

    /// A connection to the database that does not pass through the program.
    #[track_caller]
    pub(crate) fn sql(&self) -> Sql {
        match self.schema_url() {
            Some(url) => Sql::postgres(&url),
            None => Sql::Sqlite(files::open(&self.database())),
        }
    }

    /// The program with these arguments, not started yet.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.here(PROVOST);
        command.args(arguments);
        command
    }

    /// A line for `sh` that finds the program on its `PATH`, not started yet.
    pub(crate) fn line(&self, line: &str) -> Command {
        let folder = Path::new(PROVOST).parent().unwrap().display();
        let mut command = self.here("sh");
        command
            .args(["-c", line])
            .env("PATH", format!("{folder}:{PATH}"));
        command
    }

    /// Another program in this home.
    fn here(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.home.path())
            .env("PROVOST_DATA_DIR", self.path("data"))
            .env("PROVOST_CONFIG", "")
            .envs(self.schema_url().map(|url| ("PROVOST_DB", url)))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs the program with `input` on its standard input.
    pub(crate) fn run_with<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: impl AsRef<[u8]>,
    ) -> Ran {
        Ran::with_input(&mut self.command(arguments), input)
    }

    /// Runs the program, which must succeed; returns its standard output without the last line end.
    #[track_caller]
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.stdout.trim_end_matches('\n').to_owned()
    }

    /// Runs the program with `--json`, which must succeed; returns the document.
    #[track_caller]
    pub(crate) fn json<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Value {
        let mut all: Vec<&OsStr> = vec![OsStr::new("--json")];
        all.extend(arguments.iter().map(AsRef::as_ref));
        let text = self.ok(&all);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs the program, which must fail with `status`; returns its standard error.
    #[track_caller]
    pub(crate) fn fails<S: AsRef<OsStr>>(&self, status: i32, arguments: &[S]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status, status, "{ran:?}");
        ran.stderr
    }

    /// Starts `provost serve` on a free TCP port and waits until it listens.
    pub(crate) fn serve(&self) -> Daemon {
        self.serve_with(&["--listen", "127.0.0.1:0"])
    }

    /// Starts `provost serve` with these flags and waits until it listens.
    pub(crate) fn serve_with(&self, flags: &[&str]) -> Daemon {
        let mut arguments = vec!["serve"];
        arguments.extend(flags);
        Daemon::start(&mut self.command(&arguments))
    }
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Runs a command to its end with `input` on its standard input.
    pub(crate) fn with_input(command: &mut Command, input: impl AsRef<[u8]>) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.as_ref().to_vec();
        // A program that does not read its input must not stop the test.
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        Self::from(output)
    }

    /// Runs a command that has to end by itself in this time: a daemon that must not start.
    #[track_caller]
    pub(crate) fn within(time: Duration, command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = piped.spawn().unwrap();
        let pid = child.id().to_string();
        let (tell, told) = std::sync::mpsc::channel();
        let waiter = std::thread::spawn(move || tell.send(child.wait_with_output().unwrap()));
        let ended = told.recv_timeout(time);
        if ended.is_err() {
            let _ = Command::new("kill").args(["-s", "KILL", &pid]).status();
        }
        let _ = waiter.join().unwrap();
        ended
            .unwrap_or_else(|_| panic!("{command:?} did not end in {time:?}"))
            .into()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<std::process::Output> for Ran {
    fn from(output: std::process::Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            status: output.status.code().unwrap_or(-1),
        }
    }
}

/// A running `provost serve`, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    /// What it listens on: `127.0.0.1:40123` or `unix:/path`.
    pub(crate) address: String,
    /// Whether it speaks TLS there.
    secure: bool,
    log: Arc<(Mutex<Lines>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

/// What a daemon has written to standard error.
#[derive(Default)]
struct Lines {
    text: String,
    ended: bool,
}

impl Daemon {
    /// Starts `command` and waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut daemon = Self::started(command);
        let told = daemon.wait_for_log("listening on ");
        let rest = told.split("listening on ").nth(1).unwrap();
        let end = rest.find(['"', '\n', ' ']).unwrap_or(rest.len());
        let address = rest.get(..end).unwrap();
        daemon.secure = address.starts_with("https://");
        let address = address.split("://").last().unwrap();
        address.clone_into(&mut daemon.address);
        daemon
    }

    /// Starts `command` and does not wait for it; the address is not known.
    pub(crate) fn started(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new((Mutex::new(Lines::default()), Condvar::new()));
        // Somebody has to read on, or the daemon's log fills the pipe.
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                let mut line = String::new();
                while stderr.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                    log.0
                        .lock()
                        .unwrap()
                        .text
                        .push_str(&std::mem::take(&mut line));
                    log.1.notify_all();
                }
                log.0.lock().unwrap().ended = true;
                log.1.notify_all();
            }
        });
        Self {
            child,
            address: String::new(),
            secure: false,
            log,
            reader: Some(reader),
        }
    }

    /// Waits until its log has a line with `text`; returns all of the log up to there.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let lines = self.log.0.lock().unwrap();
        let going_on = |lines: &mut Lines| {
            !(lines.ended || lines.text.lines().any(|line| line.contains(text)))
        };
        let lines = self.log.1.wait_while(lines, going_on).unwrap();
        let told = lines.text.clone();
        drop(lines);
        assert!(
            told.contains(text),
            "the daemon ended without {text:?}: {told}"
        );
        told
    }

    /// Waits until it answers on a Unix socket.
    pub(crate) fn wait_for(&mut self, socket: &Path) {
        while UnixStream::connect(socket).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended: {}", self.log());
            std::thread::yield_now();
        }
        self.address = format!("unix:{}", socket.display());
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `http://127.0.0.1:40123` or `https://127.0.0.1:40123`, for a daemon on TCP.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// What it has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().text.clone()
    }

    /// Sends a signal: `TERM`, `HUP`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Asks it to stop and waits for its end; returns the exit status and all of its log.
    pub(crate) fn stop(mut self) -> (i32, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end; returns the exit status and all of its log.
    pub(crate) fn wait(&mut self) -> (i32, String) {
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.log())
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        self.wait();
    }

    /// Sends one HTTP request on a connection of its own; returns status and body.
    #[track_caller]
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = String::new();
        if let Some(path) = self.address.strip_prefix("unix:") {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            stream.read_to_string(&mut answer).unwrap();
        } else {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            stream.read_to_string(&mut answer).unwrap();
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Waits until `/readyz` says that the daemon is ready again; false if it does not in time.
    pub(crate) fn is_ready_within(&self, time: Duration) -> bool {
        let start = Instant::now();
        loop {
            if self.get("/readyz").0 == 200 {
                return true;
            }
            if start.elapsed() > time {
                return false;
            }
            // Not a guess at how long it takes: only the pause between two questions.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `GET path`; returns status and body.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "", "")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody at the shell, for tests that call service functions by themselves.
pub(crate) fn operator() -> Actor {
    Actor {
        who: Who::Operator {
            account: "os:0/root@test".into(),
            on_behalf_of: None,
        },
        ip: None,
        request: None,
    }
}

/// The mode of the file at `path`.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
