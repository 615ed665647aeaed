//! `provost init`: from nothing to a working installation in one command.

use std::os::unix::fs::MetadataExt as _;

use serde::Serialize;

use super::output::Output;
use super::{Operator, Outcome, Site, operator, setup};
use crate::error::Result;
use crate::migrations;

/// Set up the data folder, the key file and the database
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What exists already is kept as it is; repeating the command does no harm.

Examples:
  provost init
  provost init --data-dir /srv/provost --json")]
pub(super) struct Init {}

/// What is in place now.
#[derive(Debug, Serialize)]
struct Report {
    data_dir: String,
    data_dir_mode: String,
    key_file: String,
    key_file_new: bool,
    database: String,
    database_new: bool,
    schema: u32,
    engine: String,
}

impl Init {
    pub(super) fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let Self {} = self;
        let config = site.config(out)?;
        let actor = operator::actor(site.on_behalf_of());
        let setup = setup::prepare(&config, &actor)?;
        let operator = Operator::open(config, site.on_behalf_of())?;
        let (app, config) = (operator.app(), operator.app().config());
        let mode = std::fs::metadata(&config.data_dir).map_or(0, |folder| folder.mode() & 0o7777);
        let report = Report {
            data_dir: config.data_dir.display().to_string(),
            data_dir_mode: format!("{mode:04o}"),
            key_file: config.key_file.display().to_string(),
            key_file_new: setup.new_key,
            database: config.db.sqlite()?.display().to_string(),
            database_new: setup.new_database,
            schema: migrations::needed(),
            engine: app.db().facts().engine,
        };
        if mode & 0o077 != 0 {
            let folder = &report.data_dir;
            out.warn(format_args!(
                "other users may look into {folder} (mode {mode:04o}); run: chmod 700 {folder}"
            ))?;
        }
        print(&report, out)?;
        Ok(Outcome::Done)
    }
}

fn print(report: &Report, out: &mut Output) -> Result<()> {
    if out.format().json || out.format().quiet {
        return out.value(report);
    }
    let new = |new| if new { ", new" } else { "" };
    out.line(format!(
        "data folder    {}  ({})",
        report.data_dir, report.data_dir_mode
    ))?;
    out.line(format!(
        "key file       {}  (0600{})",
        report.key_file,
        new(report.key_file_new)
    ))?;
    out.line(format!(
        "database       {}  schema {}, {}, WAL, synchronous=FULL{}",
        report.database,
        report.schema,
        report.engine,
        new(report.database_new)
    ))
}
