//! `provost user import` and `provost import --from`: accounts that were made elsewhere.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::cli::flags::word;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::prompt::{self, Confirm, progress};
use crate::cli::{Operator, Outcome};
use crate::config::DbUrl;
use crate::error::{Error, Refusal, Result};
use crate::users::import::{self, Form, Kind, Lines, OldUsers, Report, Source, Told};

/// The flags of `user import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Members (columns of CSV under a header, or members of one JSON object a line); only username is needed:
  id               kept if this program made it; another one is kept as old_id in meta
  username         letters and digits of any script, '.', '_' and '-'
  email, phone     phone: + and 7 to 15 digits
  name, fio        the name shown to other people
  roles            admin, user; is_superuser: true adds admin [default: user]
  password_hash    or hashed_password: argon2, bcrypt ($2a, $2b, $2y), pbkdf2-sha256 of passlib; taken
                   as it is, replaced at the first login
  email_verified   or is_verified: true or false
  state            active or disabled, with disabled_reason; or is_active: true or false
  created_at       RFC 3339, or as databases write it; not in the future
  locale, meta     a language tag; a JSON object

Everything is read and looked at before anything is written, and every refused row is told with its
line. Then all accounts are made in one transaction, or none. A daemon may serve meanwhile: it reads
on, and its writes wait until all is in. With --keep-going the good rows go in short transactions,
between which the daemon writes; if any row was refused the status is 12, without it 7.

Examples:
  provost user import people.csv --dry-run
  provost user import people.jsonl --yes=250
  psql -c '\\copy users to stdout csv header' | provost user import - --format csv --yes")]
pub struct Import {
    /// The file, or - for standard input
    file: PathBuf,
    /// In which form it is [default: as its name ends]
    #[arg(long, value_parser = word(Form::ALL, Form::as_str))]
    format: Option<Form>,
    #[command(flatten)]
    how: How,
}

/// What both commands can be told.
#[derive(Debug, clap::Args)]
struct How {
    /// Only read and look at everything, and make no account
    #[arg(long)]
    dry_run: bool,
    /// Make the accounts of the good rows although others are refused
    #[arg(long)]
    keep_going: bool,
    /// The answer, when accounts would be made
    #[command(flatten)]
    confirm: Confirm,
}

// Not in a doc comment: clippy would want marks around the columns' names, and they would show.
const OLD: &str = "\
Take over the accounts of one of the programs that this one replaces

Reads the table users in the PostgreSQL database of the other program, which is only read and stays \
as it is: the columns id, username, email, phone, hashed_password, fio, created_at, is_superuser and \
is_verified, as far as they are there. is_superuser makes an administrator.";

const DSN: &str = "Its database, without a password: postgres://USER@HOST/NAME";

/// Take over the accounts of one of the programs that this one replaces
#[derive(Debug, clap::Args)]
#[command(long_about = OLD, after_help = "\
Rows are told by their number in the order of the ids. The same rules hold as for a file, see
provost user import --help.

Examples:
  provost import --from s2 --dsn-file /root/old.dsn --dry-run
  provost import --from s3 --dsn postgres://reader@localhost/sessions --yes")]
pub struct ImportFrom {
    /// The other program: s1 (learning application), s2 (freelance platform), s3 (session service)
    #[arg(long, value_name = "KIND", value_parser = word(Kind::ALL, Kind::as_str))]
    from: Kind,
    #[arg(long, help = DSN, value_name = "URL", required_unless_present = "dsn_file")]
    dsn: Option<String>,
    /// A file that holds the URL, where a password belongs; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "dsn")]
    dsn_file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// As [`import::check`] and [`import::write`].
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let form = self.form()?;
        let (file, name): (Box<dyn Read>, String) = if is_stdin(&self.file) {
            (Box::new(io::stdin().lock()), "-".to_owned())
        } else {
            let name = self.file.display().to_string();
            let file = File::open(&self.file).map_err(Error::io(format!("read {name}")))?;
            (Box::new(file), name)
        };
        let mut lines = match Lines::new(file, form) {
            Ok(lines) => lines,
            Err(Error::RowsRefused {
                rows,
                refused,
                errors,
            }) => {
                for refusal in &errors {
                    tell(out, &name, refusal)?;
                }
                return Err(Error::RowsRefused {
                    rows,
                    refused,
                    errors,
                });
            }
            Err(error) => return Err(error),
        };
        self.how.run(&mut lines, &name, 0, operator, out)
    }

    fn form(&self) -> Result<Form> {
        let end = self.file.extension().and_then(|end| end.to_str());
        let named = match end.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Some(Form::Csv),
            Some("jsonl" | "ndjson") => Some(Form::Jsonl),
            Some(_) | None => None,
        };
        self.format.or(named).ok_or_else(|| {
            Error::Usage("its name does not tell what it is: add --format csv or jsonl".into())
        })
    }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

impl ImportFrom {
    /// Runs the command.
    ///
    /// # Errors
    /// As [`OldUsers::open`], [`import::check`] and [`import::write`].
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let url: DbUrl = match (&self.dsn, &self.dsn_file) {
            (Some(given), _) => {
                let url: DbUrl = given.parse()?;
                if url.has_password() {
                    return Err(Error::Usage(
                        "a password must not be on the command line, which everybody on the machine \
                         can read; put the URL into a file that only you can read, and name that by \
                         --dsn-file"
                            .into(),
                    ));
                }
                url
            }
            (None, Some(file)) => prompt::secret_from_file(file)?.expose().parse()?,
            (None, None) => return Err(Error::Usage("--dsn or --dsn-file is needed".into())),
        };
        let mut users = OldUsers::open(self.from, &url)?;
        if !users.left_out.is_empty() {
            let names = users.left_out.join(", ");
            out.message(format_args!("not taken over: {names}"))?;
        }
        // Nobody waits for a count that nobody sees.
        let rows = if out.terminal().stderr {
            users.count()?
        } else {
            0
        };
        self.how.run(&mut users, "users", rows, operator, out)
    }
}

/// So many accounts keep a daemon's writer waiting for longer than anybody should.
const MANY: u64 = 10_000;

/// What is printed under `--json`.
#[derive(Serialize)]
struct Printed<'r> {
    dry_run: bool,
    #[serde(flatten)]
    report: &'r Report,
    seconds: f64,
    errors: &'r [Refusal],
}

impl How {
    fn run(
        &self,
        source: &mut dyn Source,
        name: &str,
        rows: u64,
        operator: &Operator,
        out: &mut Output,
    ) -> Result<Outcome> {
        let (start, interrupt) = (Instant::now(), Interrupt::watch()?);
        let (app, actor) = (operator.app(), operator.actor());
        let mut errors = Vec::new();
        let checked = {
            let bar = progress(out, "reading", rows);
            let mut hear = |told: Told<'_>| {
                match told {
                    Told::Read(rows) => bar.inc(rows),
                    Told::Refused(refusal) if out.format().json => errors.push(refusal.clone()),
                    Told::Refused(refusal) => bar.suspend(|| tell(out, name, refusal))?,
                    Told::Written(_) => {}
                }
                stop_at(&interrupt)
            };
            let checked = import::check(app, actor, source, &mut hear);
            bar.finish_and_clear();
            checked?
        };
        let (rows, refused, good) = (checked.rows, checked.refused, checked.good());
        if refused > 0 && !self.keep_going {
            return Err(Error::RowsRefused {
                rows,
                refused,
                errors,
            });
        }
        if self.dry_run {
            let report = Report {
                rows,
                refused,
                complete: true,
                ..Report::default()
            };
            out.message(format_args!("would make {}", accounts(good)))?;
            return self.print(&report, start, &errors, out);
        }
        let administrators = match checked.administrators {
            0 => String::new(),
            1 => ", 1 of them an administrator".to_owned(),
            several => format!(", {several} of them administrators"),
        };
        if !self.keep_going && good >= MANY && app.db().is_guest() {
            out.message(
                "a daemon serves this database: what it has to write waits until all is in; \
                 --keep-going does not keep it waiting",
            )?;
        }
        let what = format!("make {}{administrators}", accounts(good));
        self.confirm.ask(out, &what, good)?;
        let report = {
            let bar = progress(out, "writing", good);
            let mut hear = |told: Told<'_>| {
                match told {
                    Told::Written(rows) => bar.inc(rows),
                    Told::Refused(refusal) if out.format().json => errors.push(refusal.clone()),
                    Told::Refused(refusal) => bar.suspend(|| tell(out, name, refusal))?,
                    Told::Read(_) => {}
                }
                stop_at(&interrupt)
            };
            let report = import::write(app, actor, checked, self.keep_going, &mut hear);
            bar.finish_and_clear();
            report
        };
        let report = match report {
            Err(Error::RowsRefused { rows, refused, .. }) => {
                return Err(Error::RowsRefused {
                    rows,
                    refused,
                    errors,
                });
            }
            other => other?,
        };
        if report.imported == 0 && !report.complete {
            return Err(Error::Cancelled);
        }
        let seconds = start.elapsed().as_secs_f64();
        let made = accounts(report.imported);
        out.message(format_args!("made {made} in {seconds:.1} s"))?;
        if let Some(line) = report.last_line {
            out.message(format_args!("interrupted: all up to line {line} is done"))?;
        }
        self.print(&report, start, &errors, out)
    }

    fn print(
        &self,
        report: &Report,
        start: Instant,
        errors: &[Refusal],
        out: &mut Output,
    ) -> Result<Outcome> {
        if report.refused > 0 {
            let Report { refused, rows, .. } = report;
            out.message(format_args!("refused {refused} of {rows} rows"))?;
        }
        if out.format().json {
            out.value(&Printed {
                dry_run: self.dry_run,
                report,
                seconds: start.elapsed().as_secs_f64(),
                errors,
            })?;
        }
        Ok(if report.refused > 0 || !report.complete {
            Outcome::Partial
        } else {
            Outcome::Done
        })
    }
}

/// `people.csv:12: email: must be an address like name@example.org`.
fn tell(out: &mut Output, name: &str, refusal: &Refusal) -> Result<()> {
    let Refusal {
        line,
        field,
        reason,
    } = refusal;
    out.finding(format_args!("{name}:{line}: {field}: {reason}"))
}

fn accounts(count: u64) -> String {
    if count == 1 {
        "1 account".to_owned()
    } else {
        format!("{count} accounts")
    }
}

fn stop_at(interrupt: &Interrupt) -> Result<()> {
    if interrupt.seen() {
        Err(Error::Cancelled)
    } else {
        Ok(())
    }
}
