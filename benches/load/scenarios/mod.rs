//! What can be measured. One file for each; a new one needs its file, a line in [`Scenario`] and
//! one in [`Scenario::run`].

mod courses;
mod enumeration;
mod growth;
mod import;
mod introspect;
mod issue;
mod list;
mod login;
mod me;
mod null;
mod pg_issue;
mod pg_validate;
mod purge;
mod refresh;
mod rest;
mod shell;
mod storm;
mod validate;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::ValueEnum;
use tempfile::TempDir;

use crate::Outcome;
use crate::catalogue::{self, Catalogue};
use crate::cluster::{self, Cluster};
use crate::fill::{self, Filled, State};
use crate::pairs::Plan;
use crate::report::Finding;
use crate::server::{self, DATABASE};

/// A path that performance.md sets a goal for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// All of them
    All,
    /// The baseline against itself: how far the driver and the machine are off
    Null,
    /// Validating opaque tokens over HTTP
    Validate,
    /// Introspecting them (RFC 7662)
    Introspect,
    /// Issuing them durably
    Issue,
    /// One's own account, with an access token
    Me,
    /// Forward authentication, with an access token
    Verify,
    /// Refreshing sessions durably
    Refresh,
    /// The first page of the list of courses
    Courses,
    /// A course by its slug
    Course,
    /// A course that the client knows already
    #[value(name = "course-304")]
    Course304,
    /// Logging in with right passwords, beside raw Argon2id
    Login,
    /// Validating tokens during a storm of logins with wrong passwords
    Storm,
    /// What a refused login's time tells
    Enumeration,
    /// Purging expired tokens while issuing goes on
    Purge,
    /// Importing accounts from a file
    Import,
    /// Starting the program, looking up a token
    Shell,
    /// Listing the whole table
    List,
    /// The daemon with nothing to do, and the binary
    Rest,
    /// Validation at 1 k, 1 M and 10 M rows
    Growth,
    /// Validating on PostgreSQL, beside pgbench
    PgValidate,
    /// Issuing on PostgreSQL, beside pgbench
    PgIssue,
}

impl Scenario {
    /// Measures it.
    pub(crate) fn run(self, bench: &mut Bench) -> Outcome<Vec<Finding>> {
        match self {
            Self::All => Ok(Vec::new()),
            Self::Null => null::run(bench),
            Self::Validate => validate::run(bench),
            Self::Introspect => introspect::run(bench),
            Self::Issue => issue::run(bench),
            Self::Me => me::run(bench),
            Self::Verify => verify::run(bench),
            Self::Refresh => refresh::run(bench),
            Self::Courses => courses::list(bench),
            Self::Course => courses::one(bench),
            Self::Course304 => courses::unchanged(bench),
            Self::Login => login::run(bench),
            Self::Storm => storm::run(bench),
            Self::Enumeration => enumeration::run(bench),
            Self::Purge => purge::run(bench),
            Self::Import => import::run(bench),
            Self::Shell => shell::run(bench),
            Self::List => list::run(bench),
            Self::Rest => rest::run(bench),
            Self::Growth => growth::run(bench),
            Self::PgValidate => pg_validate::run(bench),
            Self::PgIssue => pg_issue::run(bench),
        }
    }

    /// Whether this machine has what it needs.
    fn is_possible(self) -> bool {
        !matches!(self, Self::PgValidate | Self::PgIssue) || cluster::is_installed()
    }
}

/// What was asked for, with "all" spelled out.
pub(crate) fn chosen(asked: &[Scenario]) -> Vec<Scenario> {
    if asked.contains(&Scenario::All) {
        let all = Scenario::value_variants().iter().copied();
        let all = all.filter(|scenario| *scenario != Scenario::All);
        all.filter(|scenario| {
            let possible = scenario.is_possible();
            if !possible {
                eprintln!("{scenario:?}: left out, PostgreSQL is not installed");
            }
            possible
        })
        .collect()
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
    filled: BTreeMap<(State, u64), Rc<Filled>>,
    catalogue: Option<Rc<Catalogue>>,
    below: Option<PathBuf>,
    cluster: Option<Rc<Cluster>>,
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
        let filled = BTreeMap::new();
        Ok(Self {
            plan,
            rows,
            folder,
            filled,
            catalogue: None,
            below: below.map(Path::to_owned),
            cluster: None,
        })
    }

    /// The PostgreSQL server, started once for all scenarios.
    pub(crate) fn cluster(&mut self) -> Outcome<Rc<Cluster>> {
        if let Some(cluster) = &self.cluster {
            return Ok(Rc::clone(cluster));
        }
        let cluster = Rc::new(Cluster::start(self.below.as_deref())?);
        self.cluster = Some(Rc::clone(&cluster));
        Ok(cluster)
    }

    /// A data folder with courses and people, filled once for all scenarios: they only read it.
    pub(crate) fn catalogue(&mut self) -> Outcome<Rc<Catalogue>> {
        if let Some(catalogue) = &self.catalogue {
            return Ok(Rc::clone(catalogue));
        }
        let catalogue = Rc::new(catalogue::make(self.fresh("catalogue")?)?);
        self.catalogue = Some(Rc::clone(&catalogue));
        Ok(catalogue)
    }

    /// A data folder with `rows` live tokens, filled once for all scenarios: they only read it.
    pub(crate) fn filled(&mut self, rows: u64) -> Outcome<Rc<Filled>> {
        self.with_rows(State::Live, rows)
    }

    /// A data folder with `rows` expired tokens, for copying.
    pub(crate) fn expired(&mut self, rows: u64) -> Outcome<Rc<Filled>> {
        self.with_rows(State::Expired, rows)
    }

    fn with_rows(&mut self, state: State, rows: u64) -> Outcome<Rc<Filled>> {
        if let Some(filled) = self.filled.get(&(state, rows)) {
            return Ok(Rc::clone(filled));
        }
        let folder = self.fresh(&format!("{rows}-{state:?}"))?;
        let filled = Rc::new(fill::fill(&folder, state, rows)?);
        self.filled.insert((state, rows), Rc::clone(&filled));
        Ok(filled)
    }

    /// A data folder as `provost init` leaves it.
    pub(crate) fn fresh(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.empty(name)?;
        server::run(&folder, ["init"])?;
        Ok(folder)
    }

    /// A copy of a data folder that no process has open.
    pub(crate) fn copy_of(&self, original: &Path, name: &str) -> Outcome<PathBuf> {
        let folder = self.empty(name)?;
        for file in [DATABASE, "provost.key"] {
            std::fs::copy(original.join(file), folder.join(file))?;
        }
        Ok(folder)
    }

    /// A data folder with nothing in it.
    pub(crate) fn empty(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.folder.path().join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }
}
