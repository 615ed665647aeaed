//! Storage that fails: system calls of a running daemon, made to fail by strace.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Daemon, Shell};

/// Calls of a running daemon that fail, from [`Fault::begin`] to [`Fault::end`].
pub(crate) struct Fault {
    strace: Child,
    log: PathBuf,
}

impl Fault {
    /// From now on `calls` fail with `error`. `None` where strace is missing or not permitted.
    pub(crate) fn begin(shell: &Shell, daemon: &Daemon, calls: &str, error: &str) -> Option<Self> {
        let log = shell.path("strace.log");
        let mut strace = Command::new("strace")
            .args(["-f", "-o", log.to_str()?, "-p", &daemon.pid().to_string()])
            .args(["-e", "trace=close,fsync,fdatasync,pwrite64"])
            .args(["-e", &format!("inject={calls}:error={error}")])
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut told = BufReader::new(strace.stderr.take()?);
        let mut line = String::new();
        while told.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if line.contains("attached") {
                // It says so of every later thread, and somebody has to listen.
                std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
                return Some(Self { strace, log });
            }
        }
        let _ = strace.wait();
        eprintln!("not tested, strace cannot be used here: {line}");
        None
    }

    /// The calls work again. Returns the log of them, a line each.
    pub(crate) fn end(mut self) -> Vec<String> {
        let pid = self.strace.id().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &pid]).status();
        assert!(sent.unwrap().success());
        self.strace.wait().unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// The file on which this call works: `123 pwrite64(12, …` is about 12.
pub(crate) fn descriptor(call: &str) -> Option<&str> {
    let (_, rest) = call.split_once('(')?;
    rest.split([',', ')', ' ']).next()
}
