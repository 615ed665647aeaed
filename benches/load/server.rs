//! The processes under test: the bare-hyper baseline and the daemon, each started here, asked for
//! its CPU time and memory, and stopped again when dropped.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::client;

/// The release binary that this driver was built with.
pub(crate) const PROVOST: &str = env!("CARGO_BIN_EXE_provost");

/// The database in a data folder.
pub(crate) const DATABASE: &str = "provost.db";

/// Clock ticks in a second as `/proc` counts them: 100 on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the bare-hyper baseline.
    pub(crate) fn bare() -> Outcome<Self> {
        let mut child = Command::new(this_program()?)
            .arg("--bare")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the child has no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse()?;
        Ok(Self { child, address })
    }

    /// Starts the daemon on the files in `folder` with everything on but the limits for each
    /// address, and waits until it is ready. Its log goes to `daemon.log` beside them.
    pub(crate) fn daemon(folder: &Path) -> Outcome<Self> {
        Self::daemon_with(folder, &[])
    }

    /// As [`Server::daemon`], with further settings from the environment.
    pub(crate) fn daemon_with(folder: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        // Bound and let go: the daemon takes the port a moment later, and nobody else is about.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log_path = folder.join("daemon.log");
        let log = File::create(&log_path)?;
        let child = provost(folder)
            .args(["serve", "--listen", &address.to_string()])
            .env("PROVOST_THROTTLE_ISSUE_PER_SECOND", "0")
            .env("PROVOST_THROTTLE_API_PER_SECOND", "0")
            .env("PROVOST_SERVER_MAX_CONNECTIONS_PER_IP", "2048")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut server = Self { child, address };
        server.wait_until_ready(&log_path)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, log: &Path) -> Outcome<()> {
        let patience = Instant::now() + Duration::from_mins(1);
        let request = "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
        loop {
            if matches!(client::once(self.address, request), Ok((200, _))) {
                return Ok(());
            }
            let stopped = self.child.try_wait()?;
            if stopped.is_some() || Instant::now() > patience {
                let said = std::fs::read_to_string(log)?;
                return Err(format!("the daemon does not get ready: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// CPU seconds used since the start, user and system.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        cpu(&self.child.id().to_string())
    }

    /// Resident memory now, in MiB.
    pub(crate) fn rss(&self) -> Outcome<f64> {
        self.status_mib("VmRSS:")
    }

    /// The most memory that was ever resident, in MiB.
    pub(crate) fn peak_rss(&self) -> Outcome<f64> {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, name: &str) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next());
        Ok(kib
            .ok_or("no such line in /proc/…/status")?
            .parse::<f64>()?
            / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked politely first, so that the daemon closes its database and the next leg starts on
        // whole files; the baseline has no say in the matter.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _gone_already = kill_process(pid, Signal::TERM);
        }
        let patience = Instant::now() + Duration::from_secs(12);
        while Instant::now() < patience {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// CPU seconds that a process (its id, or `self`) has used, user and system.
pub(crate) fn cpu(process: &str) -> Outcome<f64> {
    used(process, &[11, 12])
}

/// As [`cpu`], with those of its children that have ended.
pub(crate) fn cpu_with_ended(process: &str) -> Outcome<f64> {
    used(process, &[11, 12, 13, 14])
}

fn used(process: &str, places: &[usize]) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the name in parentheses and may hold spaces: count from behind it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/…/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let mut ticks = 0.0;
    for place in places {
        let field = fields.get(*place).ok_or("/proc/…/stat is too short")?;
        ticks += field.parse::<f64>()?;
    }
    Ok(ticks / TICKS)
}

/// This driver's own executable, for the parts that run as processes of their own.
pub(crate) fn this_program() -> Outcome<PathBuf> {
    Ok(std::env::current_exe()?)
}

/// The binary, looking at nothing but `folder`.
pub(crate) fn provost(folder: &Path) -> Command {
    let mut command = Command::new(PROVOST);
    command.env_clear();
    command.env("HOME", folder);
    command.env("PROVOST_DATA_DIR", folder);
    command
}

/// Runs the binary to its end; its standard output.
pub(crate) fn run<I, S>(folder: &Path, arguments: I) -> Outcome<String>
where
    I: IntoIterator<Item = S>,
    S: Into<OsString>,
{
    run_with(folder, &[], arguments)
}

/// As [`run`], with further settings from the environment.
pub(crate) fn run_with<I, S>(
    folder: &Path,
    settings: &[(&str, &str)],
    arguments: I,
) -> Outcome<String>
where
    I: IntoIterator<Item = S>,
    S: Into<OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let mut command = provost(folder);
    command.envs(settings.iter().copied()).args(&arguments);
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("provost {arguments:?}: {}: {said}", output.status).into())
}
