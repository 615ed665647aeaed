//! `migrate up` killed at its writes, its syncs and its changes of names: whatever was reached, the
//! next run finishes, and what is there then is what an uninterrupted run leaves.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{back_to, newest};
use crate::support::engine::only_on_sqlite;
use crate::support::{Ran, Shell, files};

/// What reaches the disk. Each is counted by itself.
const CALLS: [&str; 9] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "rename",
    "renameat2",
    "linkat",
    "unlink",
    "mkdir",
];

/// `migrate up` under strace, with these flags of it. None where strace cannot be used.
fn traced(shell: &Shell, flags: &[&str]) -> Option<Ran> {
    let plain = shell.command(&["migrate", "up"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "strace.log"]).args(flags);
    command.arg(plain.get_program()).args(plain.get_args());
    command
        .current_dir(plain.get_current_dir().unwrap())
        .env_clear();
    let variables = plain.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    let ran = command.output().ok().map(Ran::from);
    let cannot = ran
        .as_ref()
        .is_none_or(|ran| ran.stderr.contains("strace: "));
    if cannot {
        eprintln!("not tested, strace cannot be used here: {ran:?}");
        return None;
    }
    ran
}

/// Every row of every table, but for the times at which the schema was changed, and the instant that
/// the database keeps.
fn rows(shell: &Shell) -> Vec<String> {
    let mut database = shell.sql();
    let tables =
        database.texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    let mut all = Vec::new();
    for table in tables {
        let columns = match &*table {
            // What is sealed depends on the ids of the rows, and so on when they were made.
            "clock" | "audit_blocks" | "audit_head" => continue,
            "migrations" => vec![
                "number".into(),
                "name".into(),
                "sha256".into(),
                "reverse".into(),
            ],
            "audit_events" => vec!["actor".into(), "action".into(), "object".into()],
            _ => database.texts(&format!(
                "SELECT name FROM pragma_table_info('{table}') ORDER BY cid"
            )),
        };
        let columns = columns.iter().map(|it| format!("quote(\"{it}\")"));
        let columns = columns.collect::<Vec<_>>().join(" || ' ' || ");
        let sql = format!("SELECT '{table} ' || {columns} FROM \"{table}\" ORDER BY 1");
        all.extend(database.texts(&sql));
    }
    let schema = "SELECT type || name || COALESCE(sql, '') FROM sqlite_schema ORDER BY 1";
    all.extend(database.texts(schema));
    all
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// What is there is one of the schemas on the way, as a whole; returns which.
fn schema(shell: &Shell) -> u32 {
    files::check(shell);
    let mut database = shell.sql();
    let stamp = u32::try_from(database.number("PRAGMA user_version")).unwrap();
    let applied = database.number("SELECT MAX(number) FROM migrations");
    assert_eq!(i64::from(stamp), applied);
    let rows = database.number("SELECT COUNT(*) FROM migrations");
    assert_eq!(i64::from(stamp), rows);
    stamp
}

fn killed(stride: impl Fn(usize) -> usize) {
    if only_on_sqlite("the writes are the server's") {
        return;
    }
    let shell = Shell::new();
    for name in ["maria", "ivan"] {
        shell.ok(&["user", "create", name, "--no-password"]);
        shell.ok(&["token", "create", "--owner", name]);
    }
    let from = newest() - 3;
    back_to(&shell, from);
    let (data, kept) = (shell.path("data"), shell.path("kept"));
    let _ = fs::remove_dir_all(data.join("backups"));
    copy(&data, &kept);
    let trace = format!("trace={}", CALLS.join(","));
    let Some(whole) = traced(&shell, &["-e", &trace]) else {
        return;
    };
    assert_eq!(whole.status, 0, "{whole:?}");
    let log = fs::read_to_string(shell.path("strace.log")).unwrap();
    let wanted = rows(&shell);
    let (mut kills, mut between) = (0, 0);
    for call in CALLS {
        let made = format!(" {call}(");
        let made = log.lines().filter(|line| line.contains(&made)).count();
        let mut nth = 1;
        while nth <= made {
            copy(&kept, &data);
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let ran = traced(&shell, &["-e", &trace, "-e", &inject]).unwrap();
            assert_ne!(ran.status, 0, "{call} {nth} of {made}: {ran:?}");
            let reached = schema(&shell);
            assert!(
                (from..=newest()).contains(&reached),
                "{call} {nth}: {reached}"
            );
            between += usize::from(reached > from && reached < newest());
            shell.ok(&["migrate", "up"]);
            assert_eq!(schema(&shell), newest());
            assert_eq!(rows(&shell), wanted, "{call} {nth} of {made}");
            for entry in fs::read_dir(&data).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(
                    !name.ends_with(".rehearsal"),
                    "{call} {nth} of {made}: {name}"
                );
            }
            kills += 1;
            nth += stride(made);
        }
        eprintln!("{call}: {made} calls");
    }
    eprintln!("{kills} kills, {between} of them between two migrations");
}

#[test]
fn a_killed_run_leaves_one_version_or_the_next_and_the_next_run_finishes() {
    killed(|made| (made / 3).max(2));
}

#[test]
#[ignore = "takes minutes: killed at every single call"]
fn a_run_killed_at_every_write_leaves_one_version_or_the_next() {
    killed(|_| 1);
}
