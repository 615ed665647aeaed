//! Checks of the machine: the disk, the engine in this program, what hashing costs here, the limits
//! of the process.

use std::time::{Duration, Instant};

use indicatif::DecimalBytes;
use rustix::process::{Resource, getrlimit};

use super::{Patient, Seen, shown};
use crate::db::{ballast as reserve, facts};
use crate::error::Result;
use crate::file::disk as disk_of;
use crate::password::Password;

/// Below this the daemon calls itself not ready, in bytes.
const FULL: u64 = 64 * 1024 * 1024;

/// What a hash should take: less is guessed too fast, more keeps people waiting (security.md, rule 1).
const QUICKEST: Duration = Duration::from_millis(5);
const SLOWEST: Duration = Duration::from_millis(250);

/// Files that are open besides connections.
const OTHER_FILES: usize = 64;

/// Whether there is room to go on writing (rule 60).
pub(super) fn disk(patient: &Patient) -> Result<Seen> {
    let folder = patient.folder()?;
    let Some(disk) = disk_of(&folder) else {
        let about = format!("nobody can say how much is free under {}", folder.display());
        return Ok(Seen::skip(about));
    };
    Ok(room(patient, disk.free, disk.size))
}

pub(super) fn room(patient: &Patient, free: u64, size: u64) -> Seen {
    let share = free.saturating_mul(100) / size.max(1);
    let about = format!("{} are free, {share} % of the disk", DecimalBytes(free));
    if free < FULL {
        Seen::fail(about, patient.run("db release-space"))
    } else if free < reserve::ROOM || share < 10 {
        Seen::warn(about, patient.run("db info"))
    } else {
        Seen::ok(about)
    }
}

/// Whether there is something to give back when the disk is full (rule 60).
pub(super) fn ballast(patient: &Patient) -> Seen {
    let Some(file) = patient.file().filter(|file| file.exists()) else {
        return Seen::skip("there is no database to keep it beside");
    };
    let name = reserve::place(file).display().to_string();
    let next = || patient.run("doctor --fix");
    match reserve::held(file) {
        Some(bytes) if bytes >= reserve::BYTES => {
            Seen::ok(format!("{name} keeps {} in reserve", DecimalBytes(bytes)))
        }
        Some(bytes) => {
            let (bytes, all) = (DecimalBytes(bytes), DecimalBytes(reserve::BYTES));
            // What is in its place is never overwritten.
            let aside = format!("mv {0} {0}.aside", shown(&reserve::place(file)));
            Seen::warn(format!("{name} holds {bytes}, not {all}"), aside)
        }
        None => Seen::warn(
            format!("{name} is not there: nothing is kept in reserve"),
            next(),
        ),
    }
}

/// The engine within this program (rule 54).
pub(super) fn sqlite(patient: &Patient) -> Seen {
    let engine = facts::sqlite();
    if !engine.safe {
        let about = format!(
            "SQLite {} is older than 3.51.3, which is safe",
            engine.version
        );
        return Seen::fail(about, patient.run("--version"));
    }
    if let Some(missing) = engine.missing.first() {
        let about = format!("SQLite {} is built without {missing}", engine.version);
        return Seen::warn(about, patient.run("--version"));
    }
    Seen::ok(format!("SQLite {}, built as it should be", engine.version))
}

/// Whether a crash would write keys to the disk (rule 73). It is this process that is looked at;
/// the daemon does the same when it starts.
pub(super) fn core_dumps() -> Seen {
    let limit = getrlimit(Resource::Core);
    if limit.current == Some(0) && limit.maximum == Some(0) {
        Seen::ok("off: no crash writes keys to the disk")
    } else {
        Seen::warn("a crash may write keys to the disk", "ulimit -c 0")
    }
}

/// Whether as many connections can be open as the settings allow.
pub(super) fn open_files(patient: &Patient) -> Result<Seen> {
    let wanted = patient
        .config()?
        .server
        .max_connections
        .saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile).maximum;
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    Ok(match limit {
        Some(limit) if limit < wanted => Seen::warn(
            format!(
                "here {limit} files can be open, and server.max_connections needs {wanted}: the unit \
                 needs LimitNOFILE=8192"
            ),
            "systemctl edit provost",
        ),
        Some(limit) => Seen::ok(format!("{limit} can be open, {wanted} are needed at most")),
        None => Seen::ok("as many can be open as are needed"),
    })
}

/// What a password costs here.
pub(super) fn argon2(patient: &Patient) -> Result<Seen> {
    let config = patient.config()?;
    // Whatever it is: a comparison with no hash takes as long as one with ours.
    let password: Password = "what takes its time".parse()?;
    let hasher = match patient.app() {
        Ok(app) => app.kit().hasher.clone(),
        Err(_) => crate::password::Hasher::new(crate::password::Limits::with_slots(1)),
    };
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        hasher.verify(&password, None)?;
        best = best.min(start.elapsed());
    }
    let slots = config.password.hash_slots;
    let slots = slots.unwrap_or_else(|| crate::password::Limits::default().slots);
    Ok(cost(patient, best, slots))
}

pub(super) fn cost(patient: &Patient, each: Duration, slots: usize) -> Seen {
    let about = format!(
        "{} ms for a password, {slots} at the same time",
        each.as_millis()
    );
    let show = || patient.run("config show");
    if each < QUICKEST {
        Seen::warn(
            format!("{about}: guessing is quick on such a machine"),
            show(),
        )
    } else if each > SLOWEST {
        Seen::warn(
            format!("{about}: people wait, and few can log in at once"),
            show(),
        )
    } else {
        Seen::ok(about)
    }
}
