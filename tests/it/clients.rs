//! The service as programs meet it that others wrote: proxies, libraries, a browser. Each test needs
//! one of them and says so where it is missing; under `.ci/clients` all of them must be there.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::cluster::{pause, say};
use crate::support::{Ran, Shell, engine};

mod browser;
mod gateways;
mod stub;
mod tokens;

/// Everybody's.
const PASSWORD: &str = "correct horse battery staple";

/// Nothing that these tests start takes longer; a loaded machine included.
const PATIENCE: Duration = Duration::from_mins(1);

/// The folder that `.ci/clients` has made.
fn kit() -> Option<PathBuf> {
    engine::variable("PROVOST_TEST_CLIENTS").map(PathBuf::from)
}

/// A program on the `PATH`, or where Debian hides it from those who are not root.
fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = engine::variable("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        missing(&format!(
            "no {name} on this machine (Debian: apt-get install {package})"
        ));
    }
    found
}

fn missing(what: &str) {
    assert!(
        kit().is_none(),
        "PROVOST_TEST_CLIENTS is set, but there is {what}"
    );
    say(&format!("not tested: {what}"));
}

/// Somebody and an administrator.
fn people(shell: &Shell) {
    for name in [&["maria"][..], &["root", "--admin"]] {
        let command = [&["user", "create", "--password-stdin"], name].concat();
        let made = shell.run_with(&command, PASSWORD);
        assert_eq!(made.status, 0, "{made:?}");
    }
}

/// What runs a script that uses somebody's library.
struct Interpreter {
    program: PathBuf,
    /// Where Node.js looks for libraries.
    modules: Option<PathBuf>,
}

impl Interpreter {
    /// Python with these modules.
    fn python(modules: &[&str]) -> Option<Self> {
        let program = match kit() {
            Some(folder) => folder.join("python/bin/python"),
            None => program("python3", "python3")?,
        };
        let mut command = Command::new(&program);
        let has = command
            .arg("-c")
            .arg(format!("import {}", modules.join(",")));
        let has = has.output().is_ok_and(|done| done.status.success());
        if !has {
            missing(&format!(
                "no Python with {} (.ci/clients has it)",
                modules.join(", ")
            ));
        }
        has.then_some(Self {
            program,
            modules: None,
        })
    }

    /// Node.js with this module, which nothing but `.ci/clients` installs.
    fn node(module: &str) -> Option<Self> {
        let modules = kit().map(|folder| folder.join("node_modules"));
        let modules = modules.filter(|folder| folder.join(module).is_dir());
        if modules.is_none() {
            missing(&format!("no Node.js with {module} (.ci/clients has it)"));
            return None;
        }
        Some(Self {
            program: program("node", "nodejs")?,
            modules,
        })
    }

    /// The script, not started yet.
    fn command(&self, shell: &Shell, script: &str, arguments: &[&str]) -> Command {
        // Beside its libraries, where Node.js looks for them.
        let file = shell.path("script.mjs");
        fs::write(&file, script).unwrap();
        let link = shell.path("node_modules");
        if let (Some(modules), false) = (&self.modules, link.exists()) {
            std::os::unix::fs::symlink(modules, link).unwrap();
        }
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", shell.path(""))
            .env("TMPDIR", shell.path(""))
            .current_dir(shell.path(""))
            .stdin(Stdio::null())
            .arg(file)
            .args(arguments);
        command
    }

    /// Runs the script to its end.
    fn run(&self, shell: &Shell, script: &str, arguments: &[&str]) -> Ran {
        Ran::within(PATIENCE, &mut self.command(shell, script, arguments))
    }
}

/// A program that runs beside the test and is killed with it.
struct Beside(Child);

impl Beside {
    /// Starts it and waits until it takes connections at `address`.
    fn start(command: &mut Command, log: &Path, address: &str) -> Self {
        let said = File::create(log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut beside = Self(command.stderr(said).spawn().unwrap());
        while TcpStream::connect(address).is_err() {
            let ended = beside.0.try_wait().unwrap();
            let said = fs::read_to_string(log).unwrap();
            assert!(ended.is_none(), "{command:?} ended: {said}");
            pause();
        }
        beside
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
