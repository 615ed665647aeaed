//! `provost db …`: a database as a whole, at the shell.

mod room;

use std::borrow::Cow;

use indicatif::DecimalBytes;
use serde::Serialize;
use serde_json::json;

use super::{Check, Compared, Count, Finding, Info, Phase, Plan, Report, Target, Tell};
use crate::app::{Actor, App};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, Record};
use crate::cli::prompt::{Confirm, progress};
use crate::cli::{Outcome, Site, operator, setup};
use crate::config::{Config, DbUrl};
use crate::db::{Db, Role, keyring};
use crate::error::{Error, Result};
use crate::keys::Keys;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  provost db info
  provost db check                            status 13 if something is damaged
  provost db release-space                    when the disk is full: gives 34 MB back
  provost db copy --from sqlite:/var/lib/provost/provost.db --to postgres://provost@db1/provost")]
pub enum Command {
    /// Show engine, place, schema, size, and the rows of each table
    Info,
    /// Look for damage: reads everything, ends with status 13 if something cannot be right
    Check,
    /// Copy everything from one database into another, and compare what is there then
    Copy(Copy),
    /// Write the database anew without what is free in it; refused while a daemon serves its file
    Vacuum,
    /// Give the ballast back to a full disk: 34 MB, which the daemon takes again when there is room
    ReleaseSpace,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Info => {
                let config = site.config(out)?;
                let info = super::info(&operator::database(&config)?)?;
                show(&config.db.to_string(), &info, out)
            }
            Self::Check => {
                let config = site.config(out)?;
                check(super::check(&operator::database(&config)?)?, out)
            }
            Self::Copy(copy) => copy.run(site, out),
            Self::Vacuum => room::vacuum(&site.operator(out)?, out),
            Self::ReleaseSpace => room::release(site, out),
        }
    }
}

impl Record for Count {
    const COLUMNS: &'static [&'static str] = &["table", "rows"];

    fn id(&self) -> Cow<'_, str> {
        self.table.as_str().into()
    }
}

fn show(place: &str, info: &Info, out: &mut Output) -> Result<Outcome> {
    if out.format().quiet && !out.format().json {
        return out.line(place).map(|()| Outcome::Done);
    }
    if out.format().json {
        let mut document = serde_json::to_value(info).map_err(Error::internal)?;
        if let Some(members) = document.as_object_mut() {
            members.shift_insert(0, "database".to_owned(), place.into());
        }
        return out.value(&document).map(|()| Outcome::Done);
    }
    let settings = info.settings.iter().map(|(name, value)| {
        let value = value.as_str().unwrap_or_default();
        format!(", {name}={value}")
    });
    let size = DecimalBytes(info.bytes);
    let free = info
        .free_bytes
        .map(|free| format!(", {} of it free", DecimalBytes(free)));
    let needs = match info.needs {
        same if same == info.schema => String::new(),
        other => format!(", this program needs {other}"),
    };
    let mut lines = vec![
        ("database", place.to_owned()),
        (
            "engine",
            format!("{}{}", info.engine, settings.collect::<String>()),
        ),
        ("schema", format!("{}{needs}", info.schema)),
        ("size", format!("{size}{}", free.unwrap_or_default())),
    ];
    let log = info.log_bytes.map(|log| DecimalBytes(log).to_string());
    lines.extend(log.map(|log| ("log", log)));
    let disk = info
        .disk_free
        .map(|free| format!("{} free", DecimalBytes(free)));
    lines.extend(disk.map(|disk| ("disk", disk)));
    let ballast = info
        .ballast_bytes
        .map(|ballast| DecimalBytes(ballast).to_string());
    lines.extend(ballast.map(|ballast| ("ballast", ballast)));
    let daemons = info.daemons.join(", ");
    let none = daemons.is_empty().then(|| "none".to_owned());
    lines.push(("daemons", none.unwrap_or(daemons)));
    lines.push((
        "rows",
        format!("{} in {} tables", info.rows, info.tables.len()),
    ));
    for (label, text) in lines {
        out.line(format!("{label:8}  {text}"))?;
    }
    out.line("")?;
    out.table(info.tables.clone())?;
    Ok(Outcome::Done)
}

impl Record for Finding {
    const COLUMNS: &'static [&'static str] = &["check", "object", "detail"];

    fn id(&self) -> Cow<'_, str> {
        self.object.as_str().into()
    }
}

fn check(checks: Vec<Check>, out: &mut Output) -> Result<Outcome> {
    let ok = checks.iter().all(|check| check.findings.is_empty());
    let outcome = if ok { Outcome::Done } else { Outcome::Corrupt };
    if out.format().json {
        out.value(&json!({ "ok": ok, "checks": checks }))?;
        return Ok(outcome);
    }
    if !out.format().quiet {
        for check in &checks {
            let told = match check.findings.len() {
                0 if check.skipped => format!("skipped: {}", check.about),
                0 => format!("ok: {}", check.about),
                1 => "1 finding".to_owned(),
                several => format!("{several} findings"),
            };
            out.line(format!("{:12}  {told}", check.name))?;
        }
    }
    if !ok {
        if !out.format().quiet {
            out.line("")?;
        }
        out.table(
            checks
                .into_iter()
                .flat_map(|check| check.findings)
                .collect(),
        )?;
        out.message("hint: stop the daemon, keep the files, restore the last good backup")?;
    }
    Ok(outcome)
}

/// The flags of `copy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Between engines and within one. The target must be empty: a file that does not exist yet, a
PostgreSQL schema without tables, or what `provost init` made without an administrator. It gets its
tables first, by migrations; the rest is one transaction: a copy that is stopped, or that differs
from its source, leaves them empty, and can be run again. The source is only read and stays where it
is. Stop its daemons: what is written after the copy has begun is not in it.

Keep the key file, which is not in the database: with it every token stays good.

A URL here has no password in it, and PGPASSWORD and .pgpass are not read: put the URL with the
password into a file that only you can read, name it with PROVOST_DB_FILE, and leave out the flag of
that end.

Examples:
  provost db copy --from sqlite:/var/lib/provost/provost.db --to postgres://provost@db1/provost --dry-run
  provost db copy --to sqlite:/srv/provost/provost.db --yes
  provost db copy --to postgres://provost@db1/provost --verify    compare again, copy nothing")]
pub struct Copy {
    #[arg(long, value_name = "URL", help = FROM)]
    from: Option<String>,
    /// The database to copy into [default: the one of the settings]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Only compare the two, and copy nothing; ends with status 13 if they differ
    #[arg(long, conflicts_with_all = ["dry_run", "online"])]
    verify: bool,
    /// Only show what would be copied
    #[arg(long)]
    dry_run: bool,
    /// Copy although a daemon serves the source: what it writes from now on is not in the copy
    #[arg(long)]
    online: bool,
    #[command(flatten)]
    confirm: Confirm,
}

const FROM: &str = "The database to copy from: a path, sqlite:PATH or postgres://USER@HOST/NAME [default: \
    the one of the settings, where a password belongs: PROVOST_DB_FILE]";

/// Two databases and how they are called.
struct Ends {
    config: Config,
    from: Db,
    source: String,
    to: DbUrl,
    place: String,
}

impl Copy {
    fn run(self, site: &Site, out: &mut Output) -> Result<Outcome> {
        let ends = self.ends(site, out)?;
        if self.verify {
            return verify(&ends, out);
        }
        if !(self.online || self.dry_run) {
            // Before anything is asked.
            ends.from.exclusively(|| Ok(())).or_else(|error| {
                if matches!(error, Error::DaemonRunning { .. } | Error::DaemonsServing { .. }) {
                    advise(out, "to copy beside it, add --online: what it writes from now on is not in the copy")?;
                }
                Err(error)
            })?;
        }
        let target = ends.target();
        if matches!(target, Err(Error::NotEmpty { .. })) && ends.has_bare_source() {
            advise(
                out,
                "the source is empty: did you mean it the other way round? Exchange --from and --to",
            )?;
            return target.map(|_| Outcome::Done);
        }
        let plan = super::plan(&ends.from, &ends.source)?;
        let target = target?;
        if self.dry_run {
            return show_plan(&ends, &plan, target, out);
        }
        let (source, place) = (&ends.source, &ends.place);
        let what = format!("copy {} rows from {source} to {place}", plan.rows);
        self.confirm.ask(out, &what, plan.rows)?;
        let interrupt = Interrupt::watch()?;
        let actor = operator::actor(site.on_behalf_of());
        let copy = || {
            let app = ends.make(&actor)?;
            let copying = progress(out, "copying", plan.rows);
            let comparing = progress(out, "comparing", plan.rows);
            let mut tell = |phase, rows| {
                let bar = match phase {
                    Phase::Copying => &copying,
                    Phase::Comparing => &comparing,
                };
                bar.inc(rows);
                stop_at(&interrupt)
            };
            let report = app.db().exclusively(|| {
                super::copy((&ends.from, source), (&app, place), &actor, &mut tell)
            });
            copying.finish_and_clear();
            comparing.finish_and_clear();
            report
        };
        let report = if self.online {
            copy()?
        } else {
            // Nobody writes what would be left behind, and no daemon starts.
            ends.from.exclusively(copy)?
        };
        if !report.equal {
            return told(report, out);
        }
        let rows = report.rows;
        let seconds = report.seconds;
        let outcome = told(report, out)?;
        out.message(format_args!("copied {rows} rows in {seconds:.1} s"))?;
        let key_file = &ends.config.key_file;
        let keyed = ends.from.look(keyring::fingerprint)?;
        let fits =
            Keys::load(key_file).is_ok_and(|keys| keyed.is_none_or(|it| it == keys.fingerprint));
        let key_file = if fits {
            key_file.display().to_string()
        } else {
            "the one of the old database".to_owned()
        };
        out.message(format_args!(
            "next: set db to {place} and key_file to {key_file}, then start the daemon; every token stays good"
        ))?;
        Ok(outcome)
    }

    fn ends(&self, site: &Site, out: &mut Output) -> Result<Ends> {
        if self.from.is_none() && self.to.is_none() {
            return Err(Error::Usage(
                "name at least one of --from and --to; the other one is the database of the settings"
                    .into(),
            ));
        }
        let config = site.config(out)?;
        let url = |given: &Option<String>| -> Result<DbUrl> {
            let Some(given) = given else {
                return Ok(config.db.clone());
            };
            let url: DbUrl = given.parse()?;
            if url.has_password() {
                return Err(Error::Usage(
                    "a password must not be on the command line, which everybody on the machine \
                     can read; leave the flag out and put the URL into a file that only you can \
                     read, and its path into PROVOST_DB_FILE"
                        .into(),
                ));
            }
            Ok(url)
        };
        let (from, to) = (url(&self.from)?, url(&self.to)?);
        if let DbUrl::Sqlite(path) = &to
            && let Some(folder) = path.parent()
            && !(folder.as_os_str().is_empty() || folder.is_dir())
        {
            let reason = format!("there is no folder {}", folder.display());
            return Err(Error::invalid("to", reason));
        }
        let (source, place) = (from.to_string(), to.to_string());
        let ends = Ends {
            from: existing(&from)?,
            config,
            source,
            to,
            place,
        };
        if ends.exists()? && ends.from.place()? == open(&ends.to)?.place()? {
            return Err(Error::Usage(
                "source and target are the same database".into(),
            ));
        }
        Ok(ends)
    }
}

impl Ends {
    /// Whether there is a target. A server is there or cannot be reached.
    fn exists(&self) -> Result<bool> {
        match &self.to {
            DbUrl::Sqlite(path) => path
                .try_exists()
                .map_err(Error::io(format!("look at {}", path.display()))),
            DbUrl::Postgres(_) => Ok(true),
        }
    }

    /// Whether there is nothing in the source that anybody would want to copy.
    fn has_bare_source(&self) -> bool {
        super::target(&self.from, &self.source).is_ok()
    }

    fn target(&self) -> Result<Target> {
        if self.exists()? {
            super::target(&open(&self.to)?, &self.place)
        } else {
            Ok(Target::Missing)
        }
    }

    /// The target with all of its tables.
    fn make(&self, actor: &Actor) -> Result<App> {
        let mut config = self.config.clone();
        config.db = self.to.clone();
        setup::create_database(&config, actor)?;
        // Copying keys nothing.
        Ok(App::new(config, Keys::ephemeral()?, open(&self.to)?))
    }
}

fn open(url: &DbUrl) -> Result<Db> {
    Db::open(url, Role::Shell).map_err(|error| match (error, url) {
        // Another file was named by mistake: that is no damage.
        (Error::Corrupt(told), DbUrl::Sqlite(path)) if told.ends_with("not a database") => {
            Error::Usage(format!("{} is not a database", path.display()))
        }
        (error, _) => error,
    })
}

/// Tells a person what else could be done; a script reads the error alone.
fn advise(out: &mut Output, advice: &str) -> Result<()> {
    if out.format().json {
        return Ok(());
    }
    out.message(advice)
}

/// Opens a database that is there: reading from one must not make it.
fn existing(url: &DbUrl) -> Result<Db> {
    if let DbUrl::Sqlite(path) = url
        && !path.exists()
    {
        return Err(Error::NotSetUp { path: path.clone() });
    }
    open(url)
}

fn stop_at(interrupt: &Interrupt) -> Result<()> {
    if interrupt.seen() {
        Err(Error::Cancelled)
    } else {
        Ok(())
    }
}

fn verify(ends: &Ends, out: &mut Output) -> Result<Outcome> {
    let plan = super::plan(&ends.from, &ends.source)?;
    let to = existing(&ends.to)?;
    let rows = super::plan(&to, &ends.place)?.rows;
    let interrupt = Interrupt::watch()?;
    let bar = progress(out, "comparing", plan.rows.saturating_add(rows));
    let tell: &mut Tell<'_> = &mut |_, rows| {
        bar.inc(rows);
        stop_at(&interrupt)
    };
    let report = super::verify(&ends.from, &to, tell);
    bar.finish_and_clear();
    told(report?, out)
}

/// A line of the plan's table: the last one has the sum.
#[derive(Serialize)]
struct PlanLine<'p> {
    table: &'p str,
    rows: u64,
    target: &'static str,
}

impl Record for PlanLine<'_> {
    const COLUMNS: &'static [&'static str] = &["table", "rows", "target"];

    fn id(&self) -> Cow<'_, str> {
        self.table.into()
    }
}

fn show_plan(ends: &Ends, plan: &Plan, target: Target, out: &mut Output) -> Result<Outcome> {
    if out.format().json || out.format().quiet {
        let (source, place) = (&ends.source, &ends.place);
        out.value(&json!({
            "from": source, "to": place, "target": target, "tables": plan.tables, "rows": plan.rows,
        }))?;
        return Ok(Outcome::Done);
    }
    let state = match target {
        Target::Missing => "would be made",
        Target::Blank => "would get its tables",
        Target::Empty => "is empty",
    };
    let lines = plan.tables.iter().map(|count| PlanLine {
        table: &count.table,
        rows: count.rows,
        target: "",
    });
    let total = PlanLine {
        table: "total",
        rows: plan.rows,
        target: state,
    };
    out.table(lines.chain([total]).collect())?;
    Ok(Outcome::Done)
}

impl Record for Compared {
    const COLUMNS: &'static [&'static str] = &["table", "from_rows", "to_rows", "equal"];

    fn id(&self) -> Cow<'_, str> {
        self.table.as_str().into()
    }
}

/// Prints the comparison; status 13 if something differs.
fn told(report: Report, out: &mut Output) -> Result<Outcome> {
    let equal = report.equal;
    if out.format().json {
        out.value(&report)?;
    } else if !out.format().quiet {
        out.table(report.tables)?;
    }
    if equal {
        return Ok(Outcome::Done);
    }
    out.warn("the two differ")?;
    Ok(Outcome::Corrupt)
}
