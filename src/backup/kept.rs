//! The backups that are there: listing them, and deleting what is kept no longer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::app::{Actor, App};
use crate::audit::{self, Event};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::snapshots::{self, Manifest, manifest_of};
use crate::time::Timestamp;

/// A backup in the folder of backups.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// When it was begun: what was committed before is in it.
    pub created_at: Timestamp,
    /// The schema of the database in it.
    pub schema: u32,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file, as the manifest says.
    pub sha256: String,
    /// When it was last looked through as a whole: when it was made, or verified since.
    pub verified_at: Timestamp,
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

/// The backups in the usual place that have a manifest, the newest first.
///
/// # Errors
/// [`Error::Usage`] where the engine's own tools make backups; [`Error::Io`].
pub fn list(app: &App, actor: &Actor) -> Result<Vec<Kept>> {
    let folder = snapshots::folder(app)?;
    let reading = || Error::io(format!("read the folder {}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(reading())? {
        let path = entry.map_err(reading())?.path();
        // What is there without a good manifest is no backup that anybody can count on.
        if path.extension().is_some_and(|it| it == "db")
            && let Ok(Some(manifest)) = Manifest::of(&path)
        {
            found.push((path, manifest));
        }
    }
    let kept = found.into_iter().map(|(path, manifest)| {
        let verified = verified_at(app, actor, &path)?;
        Ok(Kept {
            verified_at: verified.unwrap_or(manifest.created_at),
            path,
            created_at: manifest.created_at,
            schema: manifest.schema,
            bytes: manifest.bytes,
            sha256: manifest.sha256,
        })
    });
    let mut kept: Vec<Kept> = kept.collect::<Result<_>>()?;
    kept.sort_by(|a, b| (b.created_at, &b.path).cmp(&(a.created_at, &a.path)));
    Ok(kept)
}

/// When it was verified last, as the audit log says.
fn verified_at(app: &App, actor: &Actor, path: &Path) -> Result<Option<Timestamp>> {
    let filter = audit::Filter {
        action: Some("backup.verified".to_owned()),
        object: Some(super::object(path)),
        ..audit::Filter::default()
    };
    let page = app.read(actor, |cx| audit::list(cx, &filter, None, 1))?;
    Ok(page.items.first().map(|entry| entry.at))
}

/// Deletes what is kept no longer: only backups in the usual place that have the usual name.
/// Returns what is gone.
///
/// # Errors
/// As [`list`] and [`delete`].
pub fn prune(app: &App, actor: &Actor, keep: &Keep) -> Result<Vec<PathBuf>> {
    let usual = snapshots::usual_place(app)?;
    let mut own = list(app, actor)?;
    own.retain(|kept| is_like(&kept.path, &usual));
    let times: Vec<Timestamp> = own.iter().map(|kept| kept.created_at).collect();
    let chosen = keep.chosen(&times);
    let gone = own.into_iter().enumerate();
    let gone = gone.filter(|(place, _)| !chosen.contains(place));
    let paths: Vec<PathBuf> = gone.map(|(_, kept)| kept.path).collect();
    for path in &paths {
        delete(app, actor, path)?;
    }
    Ok(paths)
}

/// Whether two names differ in digits alone: those of their time.
fn is_like(path: &Path, usual: &Path) -> bool {
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let blank = |c: char| if c.is_ascii_digit() { '0' } else { c };
        name.chars().map(blank).collect::<String>()
    };
    name(path) == name(usual)
}

/// Deletes a backup and its manifest, and writes that down in the audit log.
///
/// # Errors
/// [`Error::NotFound`] if there is none; [`Error::Invalid`] for a file that has no manifest, and so
/// may be anything; [`Error::Io`].
pub fn delete(app: &App, actor: &Actor, path: &Path) -> Result<()> {
    recognised(path)?;
    let removing = |path: &Path| Error::io(format!("remove {}", path.display()));
    // In this order: what is left when it is cut off is no backup.
    fs::remove_file(path).map_err(removing(path))?;
    let beside = manifest_of(path);
    fs::remove_file(&beside).map_err(removing(&beside))?;
    let object = super::object(path);
    app.write(actor, move |cx| {
        audit::record(
            cx,
            Event::new("backup.deleted", object.clone()).with(json!({})),
        )
    })
}

/// Refuses what is no backup.
///
/// # Errors
/// As [`delete`].
pub fn recognised(path: &Path) -> Result<Manifest> {
    if !path.symlink_metadata().is_ok_and(|it| it.is_file()) {
        return Err(Error::no_such("backup", &path.display().to_string()));
    }
    match Manifest::of(path) {
        Ok(Some(manifest)) => Ok(manifest),
        Ok(None) | Err(_) => Err(Error::invalid(
            "file",
            format!(
                "{} has no manifest beside it, and may be anything",
                path.display()
            ),
        )),
    }
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

    #[test]
    fn only_what_has_the_usual_name_is_taken_for_a_scheduled_backup() {
        let usual = Path::new("/b/provost-20261120T083400Z.db");
        for (name, like) in [
            ("/b/provost-20251231T235959Z.db", true),
            ("/b/provost-before-the-move.db", false),
            ("/b/pre-0013-20261120T083400Z.db", false),
            ("/b/provost-20261120T083400Z.db.json", false),
        ] {
            assert_eq!(is_like(Path::new(name), usual), like, "{name}");
        }
    }
}
