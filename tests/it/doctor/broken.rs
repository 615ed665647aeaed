//! Ways to break an installation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::files;

/// A way to break an installation, the checks that must fail then, and the exit status.
pub(super) struct Broken {
    pub(super) how: &'static str,
    pub(super) harm: fn(&Path),
    pub(super) fails: &'static [&'static str],
    pub(super) status: i32,
}

const fn broken(
    how: &'static str,
    harm: fn(&Path),
    fails: &'static [&'static str],
    status: i32,
) -> Broken {
    Broken {
        how,
        harm,
        fails,
        status,
    }
}

pub(super) fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs statements as another program, and leaves no log behind.
fn sql(data: &Path, text: &str) {
    let connection = files::open(&data.join("provost.db"));
    connection.execute_batch(text).unwrap();
}

/// Overwrites a part of a file.
fn spoil(path: &Path, from: usize, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    let end = (from + length).min(bytes.len());
    bytes[from.min(end)..end].fill(0x5a);
    fs::write(path, bytes).unwrap();
}

pub(super) fn settings(data: &Path, text: &str) {
    fs::write(data.join("provost.toml"), text).unwrap();
    chmod(data.join("provost.toml"), 0o600);
}

/// Writes that a crash leaves in the log, with the marks or without.
fn crash(data: &Path, marks: bool) {
    let aside = tempfile::tempdir().unwrap();
    let connection = files::open(&data.join("provost.db"));
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO bans (network, created_at) VALUES ('10.0.0.0/8', 1)")
        .unwrap();
    let endings = ["", "-wal", "-shm"].map(|ending| format!("provost.db{ending}"));
    for name in &endings {
        fs::copy(data.join(name), aside.path().join(name)).unwrap();
    }
    drop(connection);
    for name in &endings {
        if marks || !name.ends_with("-shm") {
            fs::copy(aside.path().join(name), data.join(name)).unwrap();
        }
    }
}

pub(super) const BROKEN: &[Broken] = &[
    broken(
        "nothing at all",
        |data| fs::remove_dir_all(data).unwrap(),
        &["data_folder", "key_file", "database"],
        9,
    ),
    broken(
        "an empty folder",
        |data| {
            fs::remove_dir_all(data).unwrap();
            fs::create_dir(data).unwrap();
        },
        &["key_file", "database"],
        9,
    ),
    broken(
        "no key file",
        |data| fs::remove_file(data.join("provost.key")).unwrap(),
        &["key_file"],
        9,
    ),
    broken(
        "an empty key file",
        |data| fs::write(data.join("provost.key"), "").unwrap(),
        &["key_file"],
        9,
    ),
    broken(
        "a key file of noise",
        |data| spoil(&data.join("provost.key"), 0, 4096),
        &["key_file"],
        9,
    ),
    broken(
        "a key file that others read",
        |data| chmod(data.join("provost.key"), 0o644),
        &["key_file"],
        9,
    ),
    broken(
        "a key file that is a folder",
        |data| {
            fs::remove_file(data.join("provost.key")).unwrap();
            fs::create_dir(data.join("provost.key")).unwrap();
        },
        &["key_file"],
        9,
    ),
    broken(
        "a key file that is a link",
        |data| {
            fs::rename(data.join("provost.key"), data.join("real.key")).unwrap();
            std::os::unix::fs::symlink(data.join("real.key"), data.join("provost.key")).unwrap();
        },
        &["key_file"],
        9,
    ),
    broken(
        "no database",
        |data| fs::remove_file(data.join("provost.db")).unwrap(),
        &["database"],
        9,
    ),
    broken(
        "an empty database file",
        |data| fs::write(data.join("provost.db"), "").unwrap(),
        &["database"],
        9,
    ),
    broken(
        "a database of noise",
        |data| spoil(&data.join("provost.db"), 0, usize::MAX / 2),
        &["database"],
        13,
    ),
    broken(
        "a spoiled header",
        |data| spoil(&data.join("provost.db"), 0, 100),
        &["database"],
        13,
    ),
    broken(
        "half a database",
        |data| {
            let file = fs::File::options()
                .write(true)
                .open(data.join("provost.db"))
                .unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        },
        &[],
        13,
    ),
    broken(
        "a spoiled page",
        |data| spoil(&data.join("provost.db"), 5 * 4096, 4096),
        &[],
        13,
    ),
    broken(
        "several spoiled pages",
        |data| spoil(&data.join("provost.db"), 10 * 4096, 5 * 4096),
        &[],
        13,
    ),
    broken(
        "a database that is a folder",
        |data| {
            fs::remove_file(data.join("provost.db")).unwrap();
            fs::create_dir(data.join("provost.db")).unwrap();
        },
        &["database"],
        9,
    ),
    broken(
        "a database that is a link",
        |data| {
            fs::rename(data.join("provost.db"), data.join("real.db")).unwrap();
            std::os::unix::fs::symlink(data.join("real.db"), data.join("provost.db")).unwrap();
        },
        &["database"],
        9,
    ),
    broken(
        "a link to nowhere",
        |data| {
            fs::remove_file(data.join("provost.db")).unwrap();
            std::os::unix::fs::symlink(data.join("gone"), data.join("provost.db")).unwrap();
        },
        &["database"],
        9,
    ),
    broken(
        "another program's database",
        |data| {
            fs::remove_file(data.join("provost.db")).unwrap();
            sql(data, "CREATE TABLE theirs (n)");
        },
        &["schema"],
        9,
    ),
    broken(
        "a newer schema",
        |data| sql(data, "PRAGMA user_version = 9999"),
        &["schema"],
        9,
    ),
    broken(
        "an older schema",
        |data| sql(data, "PRAGMA user_version = 3"),
        &["schema", "history"],
        13,
    ),
    broken(
        "an edited history",
        |data| sql(data, "UPDATE migrations SET sha256 = 'x' WHERE number = 2"),
        &["history"],
        13,
    ),
    broken(
        "no history",
        |data| sql(data, "DROP TABLE migrations"),
        &["history"],
        13,
    ),
    broken(
        "a table that is gone",
        |data| sql(data, "PRAGMA foreign_keys = OFF; DROP TABLE users"),
        &["administrators"],
        9,
    ),
    broken(
        "rows that point nowhere",
        |data| {
            sql(
                data,
                "PRAGMA foreign_keys = OFF; INSERT INTO user_roles (user_id, role, granted_at) VALUES ('x', 'user', 1)",
            );
        },
        &["foreign_keys"],
        13,
    ),
    broken(
        "another one's key",
        |data| {
            sql(
                data,
                "UPDATE keyring SET fingerprint = 'x'; INSERT INTO keyring (id, fingerprint, since) VALUES (1, 'x', 1) ON CONFLICT (id) DO UPDATE SET fingerprint = 'x'",
            );
        },
        &["key_file"],
        9,
    ),
    broken(
        "the key file of another installation",
        |data| {
            let key = data.join("provost.key");
            fs::remove_file(&key).unwrap();
            provost::keys::Keys::create(&key).unwrap();
        },
        &["key_file"],
        9,
    ),
    broken(
        "an index that is gone",
        |data| sql(data, "DROP INDEX tokens_expires_idx"),
        &["drift"],
        9,
    ),
    broken(
        "a clock that was ahead",
        |data| sql(data, "UPDATE clock SET high_water = 4102444800000"),
        &["clock"],
        9,
    ),
    broken(
        "open modes everywhere",
        |data| {
            chmod(data, 0o777);
            chmod(data.join("provost.db"), 0o666);
        },
        &["data_folder", "database_files"],
        9,
    ),
    broken(
        "somebody else's database",
        |data| {
            std::os::unix::fs::chown(data.join("provost.db"), Some(65534), None).unwrap();
        },
        &["key_file"],
        9,
    ),
    broken(
        "open backups",
        |data| {
            fs::create_dir(data.join("backups")).unwrap();
            fs::write(data.join("backups/provost-1.db"), "x").unwrap();
            chmod(data.join("backups/provost-1.db"), 0o644);
        },
        &["backup_files"],
        9,
    ),
    broken(
        "settings that make no sense",
        |data| settings(data, "no toml at all"),
        &["config"],
        9,
    ),
    broken(
        "settings with an unknown key",
        |data| settings(data, "[server]\nlistn = \"x\"\n"),
        &["config"],
        9,
    ),
    broken(
        "settings that others may change",
        |data| {
            settings(data, "");
            chmod(data.join("provost.toml"), 0o666);
        },
        &["config"],
        9,
    ),
    broken(
        "settings that listen to everybody",
        |data| settings(data, "[server]\nlisten = \"0.0.0.0:80\"\n"),
        &["config"],
        9,
    ),
    broken(
        "everybody's word is taken",
        |data| settings(data, "[server]\ntrusted_proxies = [\"0.0.0.0/0\"]\n"),
        &["trusted_proxies"],
        9,
    ),
    broken(
        "a log of noise",
        |data| {
            fs::write(data.join("provost.db-wal"), [0x5a; 8192]).unwrap();
            chmod(data.join("provost.db-wal"), 0o600);
        },
        &[],
        0,
    ),
    broken("a log left by a crash", |data| crash(data, true), &[], 0),
    broken(
        "a log left by a crash, without its marks",
        |data| crash(data, false),
        &[],
        0,
    ),
];
