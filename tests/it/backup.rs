//! `provost backup …` and `provost restore` on real processes: under load, cut off at every call,
//! and with credentials of which the world has moved on (reliability.md, backup).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::Client;
use crate::support::engine::only_on_sqlite;
use crate::support::files::{number, open, texts};
use crate::support::{PROVOST, Ran, Shell};

mod credentials;
mod gone;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The names in a folder that begin with a point.
fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

/// Another home with the same key file, and with `backup` restored there.
fn restored_elsewhere(shell: &Shell, backup: &Path) -> Shell {
    let other = Shell::bare();
    fs::create_dir(other.path("data")).unwrap();
    let key = "data/provost.key";
    fs::copy(shell.path(key), other.path(key)).unwrap();
    other.ok(&["restore", text(backup), "--yes", "--keep-tokens"]);
    other
}

/// Takes so many backups while somebody writes; each must hold what was acknowledged before it.
fn under_load(backups: usize) {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let shell = Shell::unthrottled();
    let daemon = shell.serve();
    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::<i64>::new()));
    let start = Instant::now();
    let taken: Vec<(PathBuf, usize)> = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(&daemon.address).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    let token = client.must("POST", "/app/token", "", "").text("token");
                    let id = token.split(':').next().unwrap().parse().unwrap();
                    acknowledged.lock().unwrap().push(id);
                }
            });
        }
        let taken = (0..backups).map(|n| {
            let path = shell.path(&format!("b{n}.db"));
            let before = acknowledged.lock().unwrap().len();
            let ran = shell.run(&["backup", "create", "-o", text(&path)]);
            assert_eq!(ran.status, 0, "{ran:?}");
            (path, before)
        });
        let taken = taken.collect();
        stop.store(true, Ordering::SeqCst);
        taken
    });
    let (elapsed, acknowledged) = (start.elapsed(), acknowledged.into_inner().unwrap());
    daemon.stop();
    for (path, before) in &taken {
        let other = restored_elsewhere(&shell, path);
        other.ok(&["db", "check"]);
        let connection = open(&other.database());
        let ids: BTreeSet<i64> = {
            let mut statement = connection.prepare("SELECT id FROM tokens").unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let lost = acknowledged[..*before]
            .iter()
            .filter(|id| !ids.contains(id));
        assert_eq!(lost.count(), 0, "{}", path.display());
    }
    eprintln!(
        "{backups} backups beside {} writes in {elapsed:?}",
        acknowledged.len()
    );
}

#[test]
fn backups_of_a_busy_database_hold_everything_that_was_acknowledged_before() {
    under_load(3);
}

#[test]
#[ignore = "20 backups, each of them restored elsewhere"]
fn twenty_backups_of_a_busy_database_hold_everything_that_was_acknowledged_before() {
    under_load(20);
}

/// The calls by which a command changes files.
const CALLS: &str = "write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat";

/// Runs the program and kills it at the `n`-th of [`CALLS`]. `None` where strace cannot be used;
/// else whether it was killed.
fn cut_off(shell: &Shell, arguments: &[&str], n: usize) -> Option<bool> {
    let inner = shell.command(arguments);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-o", "/dev/null", "-e", &format!("trace={CALLS}")])
        .args(["-e", &format!("inject={CALLS}:signal=KILL:when={n}")])
        .arg(PROVOST)
        .args(arguments)
        .current_dir(shell.path(""))
        .env_clear();
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let ended = command.output().ok()?;
    let told = String::from_utf8_lossy(&ended.stderr);
    if told.contains("strace:") {
        eprintln!("not tested, strace cannot be used here: {told}");
        return None;
    }
    Some(!ended.status.success())
}

/// Kills `backup create` at every `step`-th call.
fn create_cut_off(step: usize) {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let shell = Shell::new();
    let mut n = 1;
    loop {
        let path = shell.path(&format!("b{n}.db"));
        let arguments = ["backup", "create", "-o", text(&path)];
        let Some(killed) = cut_off(&shell, &arguments, n) else {
            return;
        };
        if path.exists() {
            shell.ok(&["backup", "verify", text(&path)]);
        } else {
            // Nothing stands in the way of the next one, which clears up.
            shell.ok(&arguments);
            shell.ok(&["backup", "verify", text(&path)]);
        }
        assert_eq!(hidden(&shell.path("")), [""; 0], "{n}");
        if !killed {
            eprintln!("{n} calls, killed at every {step}.");
            return;
        }
        n += step;
    }
}

#[test]
fn a_backup_that_is_cut_off_is_not_there_or_is_good() {
    create_cut_off(17);
}

#[test]
#[ignore = "killed at every call"]
fn a_backup_that_is_cut_off_at_any_call_is_not_there_or_is_good() {
    create_cut_off(1);
}

/// Kills `restore` at every `step`-th call.
fn restore_cut_off(step: usize) {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let shell = Shell::new();
    shell.ok(&["user", "create", "maria", "--no-password", "--admin"]);
    let backup = shell.path("b.db");
    shell.ok(&["backup", "create", "-o", text(&backup)]);
    shell.ok(&["user", "create", "late", "--no-password"]);
    let (data, kept) = (shell.path("data"), shell.path("kept"));
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        fs::create_dir(to).unwrap();
        for name in ["provost.db", "provost.key"] {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    };
    copy(&data, &kept);
    let users = || {
        let connection = open(&shell.database());
        assert_eq!(texts(&connection, "PRAGMA integrity_check"), ["ok"]);
        let live = number(&connection, "SELECT COUNT(*) FROM users");
        let told = "SELECT COUNT(*) FROM audit_events WHERE action = 'database.restored'";
        (live, number(&connection, told))
    };
    let (mut n, mut seen) = (1, BTreeSet::new());
    loop {
        copy(&kept, &data);
        let arguments = ["restore", text(&backup), "--yes"];
        let Some(killed) = cut_off(&shell, &arguments, n) else {
            return;
        };
        let state = users();
        assert!([(2, 0), (1, 1)].contains(&state), "{n}: {state:?}");
        seen.insert(state);
        shell.ok(&arguments);
        assert_eq!(users(), (1, 1), "{n}");
        assert_eq!(hidden(&data), [""; 0], "{n}");
        assert_eq!(fs::metadata(shell.database()).unwrap().nlink(), 1, "{n}");
        if !killed {
            assert_eq!(seen.len(), 2);
            eprintln!("{n} calls, killed at every {step}.");
            return;
        }
        n += step;
    }
}

#[test]
fn a_restore_that_is_cut_off_leaves_the_old_database_or_the_new_one() {
    restore_cut_off(17);
}

#[test]
#[ignore = "killed at every call"]
fn a_restore_that_is_cut_off_at_any_call_leaves_the_old_database_or_the_new_one() {
    restore_cut_off(1);
}

#[test]
fn backups_are_listed_verified_and_deleted_at_the_shell() {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let shell = Shell::new();
    let made = shell.json(&["backup", "create", "--keep", "2"]);
    let path = made["path"].as_str().unwrap();
    let verified = shell.json(&["backup", "verify", path]);
    assert_eq!(
        (&verified["ok"], &verified["backup"]["sha256"]),
        (&json!(true), &made["sha256"])
    );
    let listed = shell.json(&["backup", "list"]);
    assert_eq!(listed["items"][0]["path"], path);
    assert_ne!(
        listed["items"][0]["verified_at"],
        listed["items"][0]["created_at"]
    );
    let mut bytes = fs::read(path).unwrap();
    bytes[5000] ^= 1;
    let bad = shell.path("bad.db");
    fs::write(&bad, &bytes).unwrap();
    let ran = shell.run(&["backup", "verify", text(&bad)]);
    assert_eq!(ran.status, 2, "{ran:?}");
    let sha256 = made["sha256"].as_str().unwrap();
    let ran = shell.run(&["backup", "verify", text(&bad), "--sha256", sha256]);
    assert_eq!(ran.status, 13, "{ran:?}");
    let before = fs::read(shell.database()).unwrap();
    let told = shell.fails(13, &["restore", text(&bad), "--sha256", sha256, "--yes"]);
    assert!(told.contains("nothing was changed"), "{told}");
    shell.ok(&["restore", path, "--dry-run"]);
    shell.fails(2, &["restore", path]);
    assert_eq!(fs::read(shell.database()).unwrap(), before);
    let line = format!("provost restore - --sha256 {sha256} --yes < {path}");
    let ran = Ran::of(&mut shell.line(&line));
    assert_eq!(ran.status, 0, "{ran:?}");
    // The way back, word for word.
    let back = ran
        .stderr
        .lines()
        .find_map(|it| it.strip_prefix("to go back: "));
    let ran = Ran::of(&mut shell.line(&format!("{} --yes", back.unwrap())));
    assert_eq!(ran.status, 0, "{ran:?}");
    let lines = shell.ok(&["backup", "list", "--jsonl", "--fields", "path,state"]);
    assert_eq!(
        lines.trim(),
        json!({ "path": path, "state": "complete" }).to_string()
    );
    shell.fails(2, &["backup", "delete", path]);
    shell.ok(&["backup", "delete", path, "--yes"]);
    assert!(!Path::new(path).exists());
    shell.fails(5, &["backup", "delete", path, "--yes"]);
}

#[test]
fn a_restore_beside_a_daemon_is_refused_within_two_seconds() {
    if only_on_sqlite("its backups are pg_dump's") {
        return;
    }
    let shell = Shell::new();
    let backup = shell.path("b.db");
    shell.ok(&["backup", "create", "-o", text(&backup)]);
    let daemon = shell.serve();
    let mut command = shell.command(&["restore", text(&backup), "--yes"]);
    let ran = Ran::within(Duration::from_secs(2), &mut command);
    assert_eq!(ran.status, 10, "{ran:?}");
    assert!(ran.stderr.contains(&daemon.pid().to_string()), "{ran:?}");
    daemon.stop();
}

#[test]
fn what_another_tool_has_restored_is_taken_back_in_place() {
    let shell = Shell::new();
    shell.ok(&["user", "create", "maria", "--no-password", "--admin"]);
    let token = shell.ok(&["token", "create", "--owner", "maria", "--quiet"]);
    shell.fails(2, &["restore", "--in-place"]);
    let done = shell.json(&["restore", "--in-place", "--yes"]);
    assert_eq!(done["suspended_tokens"], 1);
    let reason = |token: &str| {
        let looked = shell.run_with(&["--json", "token", "lookup", "-"], token);
        looked.json()["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason(&token), "suspended");
    shell.ok(&["token", "enable", "--all", "--yes"]);
    assert_eq!(reason(&token), "ok");
    let events = shell.json(&["audit", "list", "--action", "database.restored"]);
    assert_eq!(events["items"][0]["details"]["in_place"], true);
    if shell.schema_url().is_some() {
        let told = shell.fails(2, &["restore", "b.dump"]);
        assert!(
            told.contains("pg_restore") && told.contains("--in-place"),
            "{told}"
        );
    }
}
