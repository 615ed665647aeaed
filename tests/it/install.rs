//! `install.sh`, run for real into temporary folders with a stand-in for the program.
//!
//! Each test has its own small checkout: the script and `deploy/` are the real ones, the man pages
//! and completions are stand-ins, so that nothing here depends on what was built before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const UNITS: [&str; 4] = [
    "provost.service",
    "provost.socket",
    "provost-purge.service",
    "provost-purge.timer",
];

/// A checkout to install from, and a place to install to.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for name in ["install.sh"]
            .into_iter()
            .map(str::to_owned)
            .chain(UNITS.map(|unit| format!("deploy/{unit}")))
        {
            bench.write(
                &format!("checkout/{name}"),
                &fs::read_to_string(Path::new(ROOT).join(&name)).unwrap(),
            );
        }
        bench.write("checkout/man/provost.1", "the program");
        bench.write("checkout/man/provost-token.1", "tokens");
        bench.write("checkout/completions/provost.bash", "bash");
        bench.write("checkout/completions/_provost", "zsh");
        bench.write("checkout/completions/provost.fish", "fish");
        bench.program("new", "provost 1.0.0");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A program that says `version` when asked.
    fn program(&self, name: &str, version: &str) {
        self.write(name, &format!("#!/bin/sh\necho '{version}'\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs the script as a person would, from another folder and without this test's environment.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .arg(self.path("checkout/install.sh"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"));
        command
    }

    fn install(&self) -> String {
        ok(&self.run(&["--prefix", "to", "--binary", "new"]))
    }

    /// Every file under `name`, with its mode and text.
    fn files(&self, name: &str) -> BTreeMap<String, (u32, String)> {
        let root = self.path(name);
        let mut found = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
                let key = path.strip_prefix(&root).unwrap().display().to_string();
                found.insert(key, (mode, fs::read_to_string(&path).unwrap()));
            }
        }
        found
    }

    fn names(&self, name: &str) -> Vec<String> {
        self.files(name).into_keys().collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn refused(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    text(&output.stderr)
}

const INSTALLED: [&str; 7] = [
    "bin/provost",
    "share/bash-completion/completions/provost",
    "share/fish/vendor_completions.d/provost.fish",
    "share/man/man1/provost-token.1",
    "share/man/man1/provost.1",
    "share/provost/installed-files",
    "share/zsh/site-functions/_provost",
];

#[test]
fn puts_program_manual_and_completions_in_place() {
    let bench = Bench::new();
    let said = bench.install();
    assert_eq!(bench.names("to"), INSTALLED);
    let files = bench.files("to");
    assert_eq!(files["bin/provost"].0, 0o755);
    assert_eq!(files["share/man/man1/provost.1"].0, 0o644);
    assert_eq!(files["share/zsh/site-functions/_provost"].1, "zsh");
    assert!(said.contains("is not on your PATH"), "{said}");
}

#[test]
fn may_be_repeated_and_upgrades_in_place() {
    let bench = Bench::new();
    bench.install();
    let first = bench.files("to");
    bench.install();
    assert_eq!(bench.files("to"), first);

    bench.program("new", "provost 2.0.0");
    bench.install();
    assert!(bench.files("to")["bin/provost"].1.contains("2.0.0"));
}

#[test]
fn replaces_a_program_that_is_running() {
    let bench = Bench::new();
    bench.install();
    let opened = fs::File::open(bench.path("to/bin/provost")).unwrap();
    bench.program("new", "provost 2.0.0");
    bench.install();
    let kept = std::io::read_to_string(opened).unwrap();
    assert!(
        kept.contains("1.0.0"),
        "the open file was written over: {kept}"
    );
}

#[test]
fn removes_what_is_no_longer_shipped() {
    let bench = Bench::new();
    bench.install();
    fs::remove_file(bench.path("checkout/man/provost-token.1")).unwrap();
    bench.install();
    assert!(!bench.path("to/share/man/man1/provost-token.1").exists());
}

#[test]
fn uninstall_removes_its_own_files_and_no_other() {
    let bench = Bench::new();
    bench.install();
    bench.write("to/bin/other", "mine");
    bench.write("to/share/man/man1/provost-notes.1", "mine, too");
    bench.write("home/.local/share/provost/provost.db", "data");
    let said = ok(&bench.run(&["--prefix", "to", "--uninstall"]));
    assert_eq!(
        bench.names("to"),
        ["bin/other", "share/man/man1/provost-notes.1"]
    );
    assert!(bench.path("home/.local/share/provost/provost.db").exists());
    assert!(said.contains(".local/share/provost (data"), "{said}");

    let again = ok(&bench.run(&["--prefix", "to", "--uninstall"]));
    assert!(again.contains("nothing to remove"), "{again}");
}

#[test]
fn a_dry_run_changes_nothing_and_names_everything() {
    let bench = Bench::new();
    let said = ok(&bench.run(&["--prefix", "to", "--binary", "new", "--dry-run"]));
    assert!(!bench.path("to").exists());
    for name in INSTALLED.iter().filter(|name| !name.ends_with("files")) {
        assert!(said.contains(name), "{name} in {said}");
    }
    bench.install();
    let before = bench.files("to");
    ok(&bench.run(&["--prefix", "to", "--uninstall", "--dry-run"]));
    assert_eq!(bench.files("to"), before);
}

#[test]
fn a_system_install_prepares_a_daemon_with_its_own_path() {
    let bench = Bench::new();
    let staged = |arguments: &[&str]| {
        let root = bench.path("root");
        let mut command = bench.command(arguments);
        ok(&command.env("DESTDIR", root).output().unwrap())
    };
    let install = ["--system", "--prefix", "/opt/provost", "--binary", "new"];
    let said = staged(&install);
    assert!(said.contains("systemctl enable --now"), "{said}");
    let files = bench.files("root");
    for unit in UNITS {
        let (mode, unit_text) = &files[&format!("etc/systemd/system/{unit}")];
        assert_eq!(*mode, 0o644);
        assert!(!unit_text.contains("/usr/local/bin"), "{unit}");
    }
    let service = &files["etc/systemd/system/provost.service"].1;
    assert!(service.contains("\nExecStart=/opt/provost/bin/provost serve --migrate\n"));
    assert_eq!(files["etc/provost/provost.toml"].0, 0o640);
    let data = bench.path("root/var/lib/provost").metadata().unwrap();
    assert_eq!(data.permissions().mode() & 0o7777, 0o700);

    // Settings that a person changed stay; a run without --system leaves the units.
    bench.write("root/etc/provost/provost.toml", "changed = true");
    staged(&install);
    staged(&["--prefix", "/opt/provost", "--binary", "new"]);
    let files = bench.files("root");
    assert_eq!(files["etc/provost/provost.toml"].1, "changed = true");
    assert!(files.contains_key("etc/systemd/system/provost.service"));

    let said = staged(&["--prefix", "/opt/provost", "--uninstall"]);
    assert_eq!(bench.names("root"), ["etc/provost/provost.toml"]);
    assert!(bench.path("root/var/lib/provost").exists());
    assert!(said.contains("var/lib/provost (data"), "{said}");
}

#[test]
fn refuses_a_file_that_is_not_provost() {
    let bench = Bench::new();
    bench.program("other", "something 1.0");
    let said = refused(&bench.run(&["--prefix", "to", "--binary", "other"]), 2);
    assert!(said.contains("does not run here as provost"), "{said}");
    let said = refused(&bench.run(&["--prefix", "to", "--binary", "absent"]), 2);
    assert!(said.contains("cargo build --release --locked"), "{said}");
    assert!(!bench.path("to").exists());
}

#[test]
fn an_error_says_what_to_do() {
    let bench = Bench::new();
    let said = refused(&bench.run(&["--prefix", "to"]), 2);
    assert!(
        said.contains("no Cargo.toml") && said.contains("--binary FILE"),
        "{said}"
    );
    let said = refused(&bench.run(&["--prefx", "to"]), 2);
    assert!(
        said.contains("--prefx") && said.contains("--help"),
        "{said}"
    );
    let said = refused(&bench.run(&["--binary"]), 2);
    assert!(said.contains("--binary needs a value"), "{said}");
    bench.write("file", "in the way");
    let said = refused(&bench.run(&["--prefix", "file", "--binary", "new"]), 3);
    assert!(said.contains("--prefix"), "{said}");
    let system = ["--system", "--prefix", "/a b", "--binary", "new"];
    let said = refused(&bench.run(&system), 2);
    assert!(said.contains("systemd unit"), "{said}");
}

#[test]
fn leaves_no_temporary_file_behind() {
    let bench = Bench::new();
    fs::create_dir(bench.path("scratch")).unwrap();
    for arguments in [
        ["--prefix", "to", "--binary", "new"],
        ["--prefix", "checkout/install.sh", "--binary", "new"],
    ] {
        let mut command = bench.command(&arguments);
        command
            .env("TMPDIR", bench.path("scratch"))
            .output()
            .unwrap();
    }
    assert!(bench.names("scratch").is_empty());
    assert_eq!(bench.names("to"), INSTALLED);
}

#[test]
fn the_scripts_are_clean_to_shellcheck() {
    for script in ["install.sh", ".ci/run", ".ci/postgres", ".ci/clients"] {
        let checked = Command::new("shellcheck")
            .arg(Path::new(ROOT).join(script))
            .output();
        match checked {
            Ok(output) => assert!(output.status.success(), "{}", text(&output.stdout)),
            Err(absent) => eprintln!("skipped: shellcheck: {absent}"),
        }
    }
}
