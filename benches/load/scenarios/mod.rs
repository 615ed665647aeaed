//! What can be measured. One file for each; a new one needs its file, a line in [`Scenario`] and
//! one in [`Scenario::run`].

mod null;

use std::path::Path;

use clap::ValueEnum;
use tempfile::TempDir;

use crate::Outcome;
use crate::pairs::Plan;
use crate::report::Finding;

/// A path that performance.md sets a goal for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// All of them
    All,
    /// The baseline against itself: how far the driver and the machine are off
    Null,
}

impl Scenario {
    /// Measures it.
    pub(crate) fn run(self, bench: &mut Bench) -> Outcome<Vec<Finding>> {
        match self {
            Self::All => Ok(Vec::new()),
            Self::Null => null::run(bench),
        }
    }
}

/// What was asked for, with "all" spelled out.
pub(crate) fn chosen(asked: &[Scenario]) -> Vec<Scenario> {
    if asked.contains(&Scenario::All) {
        let all = Scenario::value_variants().iter().copied();
        all.filter(|scenario| *scenario != Scenario::All).collect()
    } else {
        asked.to_vec()
    }
}

/// What the scenarios of one run share.
pub(crate) struct Bench {
    /// How often and how long.
    pub(crate) plan: Plan,
    /// Tokens in the database.
    pub(crate) rows: u64,
    folder: TempDir,
}

impl Bench {
    /// With a temporary folder below `below`, gone at the end.
    pub(crate) fn new(plan: Plan, rows: u64, below: Option<&Path>) -> Outcome<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("provost-load-");
        let folder = match below {
            Some(below) => builder.tempdir_in(below)?,
            None => builder.tempdir()?,
        };
        Ok(Self { plan, rows, folder })
    }
}
