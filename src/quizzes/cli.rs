//! `provost quiz …`: quizzes at the shell.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use super::gift::{self, Fault};
use super::{Imported, Points, Quiz, Settings, Written, check, form};
use crate::attempts::{self, Allowance};
use crate::cli::flags::{ListArgs, value, word};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::courses::Slug;
use crate::error::{Error, Refusal, Result};
use crate::file;
use crate::time::Period;

/// A file may have so many bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the quizzes of a course
    List(List),
    /// Show a quiz, and with --questions what it asks and what is right
    Show(Show),
    /// Make a quiz, or correct the one that is there, from a file of GIFT or TOML
    Import(Import),
    /// Write a quiz as TOML, to be corrected and taken in again
    Export(Export),
    /// Give one person more time, or more attempts
    Allow(Allow),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List(command) => command.run(operator, out),
            Self::Show(command) => command.run(operator, out),
            Self::Import(command) => command.run(operator, out),
            Self::Export(command) => command.run(operator, out),
            Self::Allow(command) => command.run(operator, out),
        }
    }
}

impl Record for Quiz {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "slug",
        "title",
        "questions",
        "attempts",
        "time_limit",
        "passing",
        "updated_at",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

/// The flags of `list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The course: its slug or id
    #[arg(value_name = "COURSE")]
    course: String,
    #[command(flatten)]
    form: ListArgs,
}

impl List {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        out.list(&self.form, |cursor, limit| {
            operator.read(|cx| super::list(cx, &self.course, cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// The flags of `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// Show what it asks instead, each question with its id
    #[arg(long)]
    questions: bool,
}

/// A question in a table.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    position: u32,
    kind: &'static str,
    points: Points,
    pool: Option<String>,
    name: String,
}

impl Record for Line {
    const COLUMNS: &'static [&'static str] = &["id", "position", "kind", "points", "pool", "name"];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

impl Show {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        if !self.questions {
            let quiz = operator.read(|cx| super::get(cx, &self.quiz))?;
            return out.one(&quiz).map(|()| Outcome::Done);
        }
        let places = operator.read(|cx| super::questions(cx, &self.quiz))?;
        if out.format().json {
            return out.value(&places).map(|()| Outcome::Done);
        }
        let line = |place: super::Place| Line {
            id: place.id,
            position: place.position,
            kind: place.question.body.kind(),
            points: place.question.points,
            pool: place.question.pool,
            name: place.question.name,
        };
        out.table(places.into_iter().map(line).collect())?;
        Ok(Outcome::Done)
    }
}

/// In which form a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Gift,
    Toml,
}

impl Form {
    const ALL: [Self; 2] = [Self::Gift, Self::Toml];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Gift => "gift",
            Self::Toml => "toml",
        }
    }
}

/// The flags of `import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A question is known by its name (in GIFT: its title). One that is there is corrected where it is, so
that attempts keep their answers; where an answer would mean something else afterwards it is asked
anew instead, and the old one only counts for attempts in which it was asked. Nothing is graded anew:
that is done by provost attempt regrade. GIFT says nothing of limits: a quiz that is there keeps its
settings, a new one has none.

Everything that is wrong with the file is told, with its line, and then nothing is changed.

Examples:
  provost quiz import week-1.gift --course operating-provost --title 'Week 1'
  provost quiz import week-1.toml --course operating-provost --dry-run")]
pub struct Import {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The course to which the quiz belongs: its slug or id
    #[arg(long, value_name = "COURSE")]
    course: String,
    /// The quiz's name within the course [default: the name of the file]
    #[arg(long, value_name = "SLUG", value_parser = value::<Slug>)]
    slug: Option<Slug>,
    /// What a new quiz is called; for GIFT, which has no title [default: the slug]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// In which form the file is [default: as its name ends]
    #[arg(long, value_parser = word(Form::ALL, Form::as_str))]
    format: Option<Form>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Record for Imported {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "course",
        "slug",
        "added",
        "corrected",
        "kept",
        "retired",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_deref().unwrap_or_default().into()
    }
}

impl Import {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let form = self.form()?;
        let slug = match &self.slug {
            Some(slug) => slug.clone(),
            None => named(&self.file)?,
        };
        let text = text_of(&self.file)?;
        let read = match form {
            Form::Toml => form::read(&text),
            Form::Gift => gift::read(&text).map(|questions| {
                let settings = self.settings(operator, &slug);
                let title = self
                    .title
                    .clone()
                    .unwrap_or_else(|| slug.as_str().to_owned());
                let settings = settings.unwrap_or_else(|| Settings::titled(title));
                Written {
                    settings,
                    questions,
                }
            }),
        };
        let read = read.and_then(|mut written| {
            check(&mut written, form == Form::Toml)?;
            Ok(written)
        });
        let written = match read {
            Ok(written) => written,
            Err(faults) => return Err(refused(out, &self.file, faults)?),
        };
        if written.questions.is_empty() {
            out.warn(format_args!(
                "{}: there is no question in it",
                self.file.display()
            ))?;
        }
        let (course, dry) = (self.course, self.dry_run);
        let imported = if dry {
            operator.read(|cx| super::import(cx, &course, &slug, &written, true))?
        } else {
            operator.write(move |cx| super::import(cx, &course, &slug, &written, false))?
        };
        out.one(&imported).map(|()| Outcome::Done)
    }

    fn form(&self) -> Result<Form> {
        let end = self.file.extension().and_then(OsStr::to_str);
        match (self.format, end) {
            (Some(form), _) => Ok(form),
            (None, Some("gift" | "txt")) => Ok(Form::Gift),
            (None, Some("toml")) => Ok(Form::Toml),
            (None, Some(_) | None) => Err(Error::Usage(
                "say --format gift or --format toml: the name of the file does not".into(),
            )),
        }
    }

    /// Those of the quiz that is there.
    fn settings(&self, operator: &Operator, slug: &Slug) -> Option<Settings> {
        let quiz = format!("{}/{}", self.course, slug.as_str());
        let export = operator.read(|cx| super::export(cx, &quiz));
        let mut settings = export.ok().map(|(settings, _)| settings)?;
        if let Some(title) = &self.title {
            settings.title.clone_from(title);
        }
        Some(settings)
    }
}

fn named(file: &Path) -> Result<Slug> {
    let stem = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    Slug::suggested(stem)
        .ok_or_else(|| Error::Usage("say --slug: the name of the file does not make one".into()))
}

fn text_of(path: &Path) -> Result<String> {
    let reading = || Error::io(format!("read {}", path.display()));
    let mut bytes = Vec::new();
    let limit = LARGEST + 1;
    if path.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(reading())?;
    } else {
        let file = fs::File::open(path).map_err(reading())?;
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(reading())?;
    }
    if u64::try_from(bytes.len()).map_or(true, |length| length > LARGEST) {
        return Err(Error::invalid(
            "file",
            format!("is larger than {LARGEST} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid("file", "is not in UTF-8"))
}

/// Tells everything that is wrong, and makes the error that says that nothing was done.
fn refused(out: &mut Output, file: &Path, faults: Vec<Fault>) -> Result<Error> {
    let count = u64::try_from(faults.len()).map_err(Error::internal)?;
    for fault in &faults {
        out.finding(format_args!(
            "{}:{}: {}",
            file.display(),
            fault.line,
            fault.message
        ))?;
    }
    let refusal = |fault: Fault| Refusal {
        line: fault.line,
        field: "question",
        reason: fault.message,
    };
    Ok(Error::RowsRefused {
        rows: 0,
        refused: count,
        errors: if out.format().json {
            faults.into_iter().map(refusal).collect()
        } else {
            Vec::new()
        },
    })
}

/// The flags of `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// The new file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let (settings, questions) = operator.read(|cx| super::export(cx, &self.quiz))?;
        let text = form::write(&settings, questions.iter())?;
        match self.out.as_deref().filter(|path| path.as_os_str() != "-") {
            Some(path) => new_file(path, text.as_bytes())?,
            None => out.document(text)?,
        }
        Ok(Outcome::Done)
    }
}

/// Writes a file that was not there, whole or not at all.
pub(crate) fn new_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.into() });
    }
    let writing = || Error::io(format!("write {}", path.display()));
    let folder = file::folder_of(path);
    let mut temporary = NamedTempFile::with_prefix_in(".export-", folder).map_err(writing())?;
    temporary.write_all(bytes).map_err(writing())?;
    file::keep(temporary, path)
}

/// The flags of `allow`.
#[derive(Debug, clap::Args)]
pub struct Allow {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// The user: id, user name, e-mail or phone
    #[arg(value_name = "USER")]
    user: String,
    /// How much longer each attempt may last, also one that is under way: 15m
    #[arg(long, value_name = "TIME", value_parser = value::<Period>, default_value = "0s")]
    extra_time: Period,
    /// How many attempts more
    #[arg(long, value_name = "N", default_value_t = 0)]
    extra_attempts: u32,
}

impl Allow {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let (quiz, user) = (self.quiz, self.user);
        let allowance = Allowance {
            extra_time: self.extra_time,
            extra_attempts: self.extra_attempts,
        };
        let allowed = operator.write(move |cx| attempts::allow(cx, &quiz, &user, &allowance))?;
        out.value(&allowed).map(|()| Outcome::Done)
    }
}
