//! Checks of files and folders: who may read and change them (security.md, rule 71).

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Patient, Seen, database, several, shown};
use crate::error::{Error, OPEN, Result};
use crate::file;
use crate::keys;
use crate::snapshots::manifest_of;

/// Endings of the files that belong to the database's.
const ENDINGS: [&str; 6] = ["", "-wal", "-shm", ".lock", ".pid", ".ballast"];

/// Entries of the folder with the backups that are looked at.
const MOST: usize = 10_000;

/// Something that is there.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) about: Metadata,
}

impl Entry {
    /// What is there itself; of a link, the link.
    pub(super) fn at(path: PathBuf) -> Option<Self> {
        let about = fs::symlink_metadata(&path).ok()?;
        Some(Self { path, about })
    }

    pub(super) fn mode(&self) -> u32 {
        self.about.mode() & 0o7777
    }

    /// Whether others may read, change or enter it.
    pub(super) fn is_open(&self) -> bool {
        !self.about.is_symlink() && self.mode() & 0o077 != 0
    }

    fn told(&self) -> String {
        format!("{} (mode {:04o})", self.path.display(), self.mode())
    }
}

/// The folder with the data, the one of the settings, and that of the backups, where they are.
pub(super) fn folders(patient: &Patient) -> Result<Vec<Entry>> {
    let mut paths = vec![patient.folder()?, patient.config()?.data_dir.clone()];
    paths.dedup();
    Ok(paths.into_iter().filter_map(Entry::at).collect())
}

/// Whether a folder is this installation's alone, so that others have no business in it: the folder
/// of the settings and what is in it, or one of the database's own account. A folder that all share
/// is not, nor is one of the system's.
pub(super) fn is_our_folder(patient: &Patient, entry: &Entry) -> bool {
    if entry.mode() & 0o1000 != 0 {
        return false;
    }
    let data = patient.found.config.as_ref().map(|config| &config.data_dir);
    if data.is_some_and(|data| entry.path == *data || file::folder_of(&entry.path) == data) {
        return true;
    }
    let database = patient.file().and_then(|file| fs::metadata(file).ok());
    let owner = entry.about.uid();
    owner != 0 && database.is_some_and(|database| database.uid() == owner)
}

/// The files of the database.
pub(super) fn of_database(patient: &Patient) -> Vec<Entry> {
    let Some(database) = patient.file() else {
        return Vec::new();
    };
    let beside = ENDINGS.iter().map(|ending| {
        let mut name = database.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    });
    beside.filter_map(Entry::at).collect()
}

/// The folder with the backups, and what is in it of ours; nothing, if it is somewhere else.
pub(super) fn of_backups(patient: &Patient) -> Vec<Entry> {
    let Some(folder) = patient.file().map(|file| file.with_file_name("backups")) else {
        return Vec::new();
    };
    let mut entries: Vec<Entry> = Entry::at(folder.clone()).into_iter().collect();
    if entries.iter().any(|entry| entry.about.is_dir()) {
        let stem = patient.file().and_then(Path::file_stem);
        let stem = format!("{}-", stem.unwrap_or_default().to_string_lossy());
        let mut found = inside(&folder);
        found.retain(|entry| is_our_backup(entry, &stem));
        entries.extend(found);
    }
    entries
}

/// Whether it has a name that backups of this database get, is being made, or has a manifest.
fn is_our_backup(entry: &Entry, stem: &str) -> bool {
    let name = entry.path.file_name().unwrap_or_default();
    let name = &*name.to_string_lossy();
    let named = name.starts_with(stem) || name.starts_with("pre-");
    let database = name.strip_suffix(".json").unwrap_or(name);
    named
        && Path::new(database)
            .extension()
            .is_some_and(|ending| ending == "db")
        || name.starts_with(".provost-")
        || manifest_of(&entry.path).is_file()
        || database != name && entry.path.with_file_name(database).is_file()
}

/// What is in a folder.
pub(super) fn inside(folder: &Path) -> Vec<Entry> {
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let listed = listed.take(MOST).filter_map(Result::ok);
    listed.filter_map(|entry| Entry::at(entry.path())).collect()
}

/// Whether others can look into the folder with the data, or change what is in it.
pub(super) fn data_folder(patient: &Patient) -> Result<Seen> {
    let folder = patient.folder()?;
    let name = folder.display();
    let Some(entry) = Entry::at(folder.clone()) else {
        let about = format!("{name} is not there");
        return Ok(Seen::fail(about, patient.run("init")));
    };
    // A link to the folder is the operator's own; what counts is what it leads to.
    let about = fs::metadata(&folder).map_err(Error::io(format!("look at {name}")))?;
    if !about.is_dir() {
        let about = format!("{name} is not a folder");
        return Ok(Seen::fail(about, patient.run("config show --origin")));
    }
    let entry = Entry { about, ..entry };
    let chmod = format!("chmod 700 {}", shown(&folder));
    let me = rustix::process::geteuid().as_raw();
    Ok(if entry.mode() & 0o022 != 0 && entry.mode() & 0o1000 != 0 {
        Seen::warn(
            format!(
                "{} is everybody's: it should be a folder of its own",
                entry.told()
            ),
            patient.run("config show --origin"),
        )
    } else if entry.mode() & 0o022 != 0 {
        Seen::fail(
            format!("others can change what is in {}", entry.told()),
            chmod,
        )
    } else if entry.is_open() && is_our_folder(patient, &entry) {
        Seen::warn(format!("others may look into {}", entry.told()), chmod)
    } else if me != 0 && entry.about.uid() != me {
        let owner = entry.about.uid();
        let about = format!("{name} belongs to uid {owner}, and this is uid {me}");
        Seen::warn(about, format!("chown {me} {}", shown(&folder)))
    } else {
        Seen::ok(entry.told())
    })
}

/// Whether others can exchange the folder as a whole.
pub(super) fn parents(patient: &Patient) -> Result<Seen> {
    let folder = patient.folder()?;
    let Ok(folder) = folder.canonicalize() else {
        let about = format!("{} is not there", folder.display());
        return Ok(Seen::skip(about));
    };
    let above = folder
        .ancestors()
        .skip(1)
        .filter_map(|path| Entry::at(path.to_owned()));
    // In a folder with the sticky bit nobody moves what belongs to others.
    let open = above.filter(|entry| entry.mode() & 0o022 != 0 && entry.mode() & 0o1000 == 0);
    Ok(match open.last() {
        Some(entry) => {
            let chmod = format!("chmod go-w {}", shown(&entry.path));
            Seen::warn(
                format!("others can move what is in {}", entry.told()),
                chmod,
            )
        }
        None => Seen::ok(format!("nobody else can move {}", folder.display())),
    })
}

/// Whether the key file is there, fits and is nobody else's to read.
pub(super) fn key_file(patient: &Patient) -> Result<Seen> {
    let path = &patient.config()?.key_file;
    let name = path.display();
    let fingerprint = match &patient.key {
        Some(Ok(fingerprint)) => fingerprint,
        Some(Err(error)) => return Ok(unusable(patient, error)),
        None => return Err(Error::internal("settings without a key file")),
    };
    if let Some(foreign) = database::fits(patient, fingerprint)? {
        return Ok(foreign);
    }
    let owner = |path: &Path| Some(fs::metadata(path).ok()?.uid());
    if let Some(database) = patient.file().and_then(owner)
        && owner(path).is_some_and(|own| own != database)
    {
        let about = format!("{name} belongs to another account than the database: uid {database}");
        return Ok(Seen::fail(
            about,
            format!("chown {database} {}", shown(path)),
        ));
    }
    Ok(Seen::ok(format!("{name}, and nobody else reads it")))
}

fn unusable(patient: &Patient, error: &Error) -> Seen {
    let about = Seen::of(error, patient).about;
    let Error::KeyFile { path, reason } = error else {
        let next = error.next_at(&patient.found.flags);
        return Seen::fail(
            about,
            next.unwrap_or_else(|| patient.run("config show --origin")),
        );
    };
    let nothing = matches!(patient.closed(), Some(Error::NotSetUp { .. }));
    let me = rustix::process::geteuid().as_raw();
    let owner = fs::symlink_metadata(path).map_or(me, |it| it.uid());
    let next = if reason.starts_with(OPEN) {
        format!("chmod 600 {}", shown(path))
    } else if reason == keys::MISSING && nothing {
        patient.run("init")
    } else if owner != me {
        // Whose it is may read it.
        format!("sudo -u '#{owner}' {}", patient.run("doctor"))
    } else {
        format!("cp COPY {}", shown(path))
    };
    Seen::fail(about, next)
}

/// Whether others can read or change the database, and its account owns all of it.
pub(super) fn database_files(patient: &Patient) -> Seen {
    let files = of_database(patient);
    let Some(first) = files
        .first()
        .filter(|_| patient.file().is_some_and(Path::exists))
    else {
        return Seen::skip("there is no database");
    };
    if let Some(open) = files.iter().find(|entry| entry.is_open()) {
        let chmod = format!("chmod 600 {}", shown(&open.path));
        return Seen::fail(format!("others may read {}", open.told()), chmod);
    }
    let owner = first.about.uid();
    if let Some(other) = files.iter().find(|entry| entry.about.uid() != owner) {
        let (name, whose) = (other.path.display(), other.about.uid());
        let about = format!("{name} belongs to uid {whose}, and the database to uid {owner}");
        return Seen::fail(about, format!("chown {owner} {}", shown(&other.path)));
    }
    Seen::ok(match files.len() {
        1 => "one file, and nobody else reads it".to_owned(),
        n => format!("{n} files, and nobody else reads them"),
    })
}

/// Whether others can read the backups, which are worth as much as the database.
pub(super) fn backup_files(patient: &Patient) -> Seen {
    let entries = of_backups(patient);
    let Some(folder) = entries.first() else {
        return Seen::skip("there is no folder of backups beside the database");
    };
    if let Some(open) = entries
        .iter()
        .find(|entry| entry.is_open() && (entry.about.is_file() || is_our_folder(patient, entry)))
    {
        let mode = if open.about.is_dir() { "700" } else { "600" };
        let chmod = format!("chmod {mode} {}", shown(&open.path));
        return Seen::fail(format!("others may read {}", open.told()), chmod);
    }
    let name = folder.path.display();
    let n = u64::try_from(entries.len().saturating_sub(1)).unwrap_or(u64::MAX);
    let files = several(n, "file");
    Seen::ok(format!("{files} in {name}, which nobody else reads"))
}
