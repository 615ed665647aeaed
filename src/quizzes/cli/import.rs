//! `provost quiz import`.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::cli::flags::{value, word};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::courses::Slug;
use crate::error::{Error, Fault, Result};
use crate::quizzes::{self, Imported, Source};

/// A file may have so many bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The flags of `import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A question is known by its name (in GIFT: its title). One that is there is corrected where it is, so
that attempts keep their answers; where an answer would mean something else afterwards it is asked
anew instead, and the old one only counts for attempts in which it was asked. Nothing is graded anew:
that is done by provost attempt regrade. GIFT and Moodle XML say nothing of limits: a quiz that is
there keeps its settings, a new one has none. Of a category the last part becomes the pool.

Everything that is wrong with the file is told, with its line, and then nothing is changed; with
--partly the questions that can be taken in are, and the others are told.

Examples:
  provost quiz import week-1.gift --course operating-provost --title 'Week 1'
  provost quiz import questions.xml --course operating-provost --partly
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
    /// What the quiz is called; for GIFT and Moodle XML, which do not say it [default: as it was, for a
    /// new one the slug]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// In which form the file is [default: as its name ends: .gift and .txt, .xml, .toml]
    #[arg(long, value_parser = word(Source::ALL, Source::as_str))]
    format: Option<Source>,
    /// Leave out questions that cannot be taken in; for GIFT and Moodle XML
    #[arg(long)]
    partly: bool,
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
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let source = self.source()?;
        let slug = match &self.slug {
            Some(slug) => slug.clone(),
            None => named(&self.file)?,
        };
        let name = self.file.display().to_string();
        let text = text_of(&self.file)?;
        let read = source.read(&text, slug.as_str(), self.partly);
        let draft = match read {
            Ok(draft) => draft,
            Err(faults) => {
                let faults = faults.into_iter();
                let faults: Vec<Fault> = faults
                    .map(|fault| Fault::new(&name, fault.line, fault.message))
                    .collect();
                for fault in &faults {
                    out.finding(fault)?;
                }
                return Err(Error::FilesRefused { faults });
            }
        };
        if draft.written.questions.is_empty() {
            out.warn(format_args!("{name}: there is no question in it"))?;
        }
        let Self { course, title, .. } = self;
        let mut imported = if self.dry_run {
            operator
                .read(|cx| quizzes::take_in(cx, &course, &slug, &draft, title.as_deref(), true))?
        } else {
            operator.write(move |cx| {
                quizzes::take_in(cx, &course, &slug, &draft, title.as_deref(), false)
            })?
        };
        if !out.format().json {
            for note in std::mem::take(&mut imported.notes) {
                out.warn(Fault::new(&name, note.line, note.message))?;
            }
        }
        out.one(&imported).map(|()| Outcome::Done)
    }

    fn source(&self) -> Result<Source> {
        let usage = |text: &str| Err(Error::Usage(text.into()));
        let named = || self.file.to_str().and_then(Source::of_name);
        match self.format.or_else(named) {
            None => usage(
                "say --format gift, --format moodle or --format toml: the name of the file does not",
            ),
            Some(Source::Toml) if self.title.is_some() => {
                usage("--title is for GIFT and Moodle XML: a file of TOML has its title in it")
            }
            Some(Source::Toml) if self.partly => {
                usage("--partly is for GIFT and Moodle XML: a file of TOML is taken in as a whole")
            }
            Some(source) => Ok(source),
        }
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
