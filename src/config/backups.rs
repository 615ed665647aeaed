//! When backups are made, and which of them are kept.

use super::sources::Layers;
use super::values::Schedule;
use crate::error::Result;

/// Backups that the daemon makes.
#[derive(Clone, Debug)]
pub struct Backups {
    /// When.
    pub schedule: Schedule,
    /// Of how many hours the newest is kept.
    pub keep_hourly: usize,
    /// Of how many days the newest is kept.
    pub keep_daily: usize,
    /// Of how many weeks the newest is kept.
    pub keep_weekly: usize,
}

impl Backups {
    pub(super) fn load(layers: &Layers) -> Result<Self> {
        Ok(Self {
            schedule: layers.one("backup.schedule", Schedule::parse)?,
            keep_hourly: layers.number("backup.keep_hourly")?,
            keep_daily: layers.number("backup.keep_daily")?,
            keep_weekly: layers.number("backup.keep_weekly")?,
        })
    }
}
