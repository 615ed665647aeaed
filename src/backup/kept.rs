//! The backups that are there: listing them, and deleting what is kept no longer.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::file::folder_of;
use crate::snapshots::{self, Manifest, manifest_of};
use crate::time::Timestamp;

/// A backup in the folder of backups.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// When it was begun: what was committed before is in it.
    pub created_at: Option<Timestamp>,
    /// Whether anything can be restored from it, as far as its manifest says.
    pub state: State,
    /// What is wrong with it.
    pub reason: Option<String>,
    /// The schema of the database in it.
    pub schema: Option<u32>,
    /// The size of the file.
    pub bytes: Option<u64>,
    /// SHA-256 of the file, as the manifest says.
    pub sha256: Option<String>,
    /// When it was last looked through as a whole: when it was made, or verified since, as far as
    /// the audit log tells.
    pub verified_at: Option<Timestamp>,
}

/// What a backup is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was whole and sound when it was made.
    Complete,
    /// It is a whole copy of a database that was not as it should be: a restore refuses it.
    Faulty,
    /// Its manifest cannot be read, or the file is not the one of which that speaks.
    Broken,
}

/// Which backups are kept, of those that were made in the usual place under the usual name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest.
    Newest(usize),
    /// The newest of each of so many hours, days and weeks in which there is one.
    Ladder {
        /// Hours.
        hourly: usize,
        /// Days.
        daily: usize,
        /// Weeks.
        weekly: usize,
    },
}

impl Keep {
    /// What the settings say.
    #[must_use]
    pub const fn of(config: &Config) -> Self {
        Self::Ladder {
            hourly: config.backup.keep_hourly,
            daily: config.backup.keep_daily,
            weekly: config.backup.keep_weekly,
        }
    }

    /// Which of these instants are kept; they come newest first.
    fn chosen(self, times: &[Timestamp]) -> BTreeSet<usize> {
        match self {
            Self::Newest(most) => (0..times.len().min(most)).collect(),
            Self::Ladder {
                hourly,
                daily,
                weekly,
            } => {
                let mut kept = BTreeSet::new();
                for (hours, most) in [(1, hourly), (24, daily), (24 * 7, weekly)] {
                    kept.extend(newest_of_each(times, hours, most));
                }
                kept
            }
        }
    }
}

/// Where the newest of each of the last `most` stretches of so many hours is.
fn newest_of_each(times: &[Timestamp], hours: u64, most: usize) -> Vec<usize> {
    let length = i64::try_from(Duration::from_hours(hours).as_millis()).unwrap_or(i64::MAX);
    let mut last = None;
    let firsts = times.iter().enumerate().filter(|(_, at)| {
        let stretch = at.0.div_euclid(length);
        last.replace(stretch) != Some(stretch)
    });
    firsts.map(|(place, _)| place).take(most).collect()
}

/// The backups in the usual place, the newest first, and what the audit log says of them.
///
/// # Errors
/// [`Error::Usage`] where the engine's own tools make backups; [`Error::Io`]; those of the database.
pub fn list(app: &App, actor: &Actor) -> Result<Vec<Kept>> {
    snapshots::database(app, None)?;
    let mut kept = there(app.config())?;
    for kept in kept.iter_mut().filter(|kept| kept.state == State::Complete) {
        let verified = verified_at(app, actor, &kept.path)?;
        kept.verified_at = verified.or(kept.verified_at);
    }
    Ok(kept)
}

/// The backups in the usual place, the newest first, without a look at the database: it may be
/// gone. What is there without a manifest is no backup.
///
/// # Errors
/// [`Error::Io`].
pub fn there(config: &Config) -> Result<Vec<Kept>> {
    let Some(folder) = snapshots::usual_folder(config) else {
        return Ok(Vec::new());
    };
    let reading = || Error::io(format!("read the folder {}", folder.display()));
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(reading())?,
    };
    let mut kept = Vec::new();
    for entry in entries {
        let beside = entry.map_err(reading())?.path();
        let is_manifest = beside.extension().is_some_and(|it| it == "json");
        let path = beside.with_extension("");
        if is_manifest && path.extension().is_some_and(|it| it == "db") {
            kept.extend(kept_at(&path));
        }
    }
    kept.sort_by(|a, b| (b.created_at, &b.path).cmp(&(a.created_at, &a.path)));
    Ok(kept)
}

/// The backup of which the manifest is beside `path`; none, if that is gone meanwhile.
fn kept_at(path: &Path) -> Option<Kept> {
    let size = path.symlink_metadata().map(|it| it.len());
    let broken = |reason: String| Kept {
        path: path.to_owned(),
        created_at: None,
        state: State::Broken,
        reason: Some(reason),
        schema: None,
        bytes: size.as_ref().ok().copied(),
        sha256: None,
        verified_at: None,
    };
    let manifest = match Manifest::of(path) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return None,
        Err(Error::Corrupt(reason)) => return Some(broken(reason)),
        // One that cannot be read hides none of the others.
        Err(other) => {
            let causes = other.causes();
            let mark = if causes.is_empty() { "" } else { ": " };
            return Some(broken(format!("{other}{mark}{causes}")));
        }
    };
    let mut kept = broken(String::new());
    kept.created_at = Some(manifest.created_at);
    kept.schema = Some(manifest.schema);
    kept.sha256 = Some(manifest.sha256);
    kept.reason = match size {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some("there is only its manifest".to_owned())
        }
        Ok(bytes) if bytes != manifest.bytes => Some(format!(
            "it has {bytes} bytes, and had {} when it was made",
            manifest.bytes
        )),
        _ => None,
    };
    if kept.reason.is_none() {
        kept.verified_at = kept.created_at;
        kept.reason = manifest.faults.first().cloned();
        kept.state = match kept.reason {
            Some(_) => State::Faulty,
            None => State::Complete,
        };
    }
    Some(kept)
}

/// When it was verified last, as the audit log says.
fn verified_at(app: &App, actor: &Actor, path: &Path) -> Result<Option<Timestamp>> {
    let filter = audit::Filter {
        action: Some("backup.verified".to_owned()),
        // As `backup verify` names it.
        object: Some(super::object(
            path.canonicalize().as_deref().unwrap_or(path),
        )),
        ..audit::Filter::default()
    };
    let page = app.read(actor, |cx| audit::list(cx, &filter, None, 1))?;
    Ok(page.items.first().map(|entry| entry.at))
}

/// Deletes what is kept no longer: only backups in the usual place that have the usual name, and
/// are not broken. Those from which nothing can be restored take no other's place. Returns what is
/// gone.
///
/// # Errors
/// As [`list`] and [`delete`].
pub fn prune(app: &App, actor: &Actor, keep: &Keep) -> Result<Vec<PathBuf>> {
    let database = snapshots::database(app, None)?;
    let mut own = there(app.config())?;
    own.retain(|kept| snapshots::is_usual(&kept.path, database));
    let mut gone = Vec::new();
    for state in [State::Complete, State::Faulty] {
        let of_state = own.iter().filter(|kept| kept.state == state);
        let times = of_state.clone().filter_map(|kept| kept.created_at);
        let chosen = keep.chosen(&times.collect::<Vec<_>>());
        for (place, kept) in of_state.enumerate() {
            if !chosen.contains(&place) {
                delete(app, actor, &kept.path)?;
                gone.push(kept.path.clone());
            }
        }
    }
    Ok(gone)
}

/// Deletes a backup and its manifest, and writes that down in the audit log.
///
/// # Errors
/// As [`recognised`]; [`Error::Io`].
pub fn delete(app: &App, actor: &Actor, path: &Path) -> Result<()> {
    recognised(app.config(), path)?;
    let object = super::object(path);
    // First the row: what cannot be written down does not happen (security.md, rule 67).
    app.write(actor, move |cx| {
        audit::record(
            cx,
            Event::new("backup.deleted", object.clone()).with(json!({})),
        )
    })?;
    // In this order: what is left when it is cut off is no backup.
    for path in [path, &manifest_of(path)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(Error::io(format!("remove {}", path.display())))?,
        }
    }
    Ok(())
}

/// Refuses what is no backup. In the folder of backups one may be broken, or there only its
/// manifest: nothing else has such names there.
///
/// # Errors
/// [`Error::NotFound`] if there is none; [`Error::Invalid`] for a file that has no manifest, and so
/// may be anything.
pub fn recognised(config: &Config, path: &Path) -> Result<()> {
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|it| it.is_file());
    let real = |path: &Path| path.canonicalize().ok();
    let usual = snapshots::usual_folder(config).and_then(|usual| real(&usual));
    let ours = usual.is_some()
        && real(folder_of(path)) == usual
        && path.extension().is_some_and(|it| it == "db");
    let listed = ours && is_file(&manifest_of(path));
    if !is_file(path) && !listed {
        return Err(Error::no_such("backup", &path.display().to_string()));
    }
    let database = config.db.file().and_then(real);
    if database.is_some() && real(path) == database {
        return Err(Error::invalid("file", "is the database itself"));
    }
    let reason = match Manifest::of(path) {
        Ok(Some(_)) => return Ok(()),
        Err(_) if listed => return Ok(()),
        Ok(None) => "has no manifest beside it",
        Err(_) => "has a manifest beside it that cannot be read",
    };
    let reason = format!("{} {reason}, and may be anything", path.display());
    Err(Error::invalid("file", reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Which of the backups, made every hour for so many hours, are kept; as hours ago.
    fn kept(hours: i64, keep: Keep) -> Vec<i64> {
        let now = 2_000 * 7 * 24;
        let times: Vec<Timestamp> = (0..hours)
            .map(|ago| Timestamp((now - ago) * HOUR))
            .collect();
        let chosen = keep.chosen(&times);
        chosen
            .into_iter()
            .map(|place| i64::try_from(place).unwrap())
            .collect()
    }

    #[test]
    fn the_newest_of_each_hour_day_and_week_are_kept() {
        let keep = Keep::Ladder {
            hourly: 3,
            daily: 2,
            weekly: 3,
        };
        // Days and weeks begin now; so the newest of yesterday is an hour old.
        assert_eq!(kept(24 * 30, keep), [0, 1, 2, 1 + 24 * 7]);
        assert_eq!(kept(2, keep), [0, 1]);
        assert_eq!(kept(5, Keep::Newest(2)), [0, 1]);
        assert_eq!(kept(1, Keep::Newest(2)), [0]);
    }

    #[test]
    fn several_backups_of_one_hour_count_once() {
        let times = [50, 40, 30, -10, -20].map(|minute| Timestamp(HOUR + minute * 60_000));
        assert_eq!(newest_of_each(&times, 1, 9), [0, 3]);
    }
}
