//! `provost attachment …`: the files of a course at the shell.

use std::borrow::Cow;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Attachment, AttachmentName, BYTES};
use crate::cli::flags::{ListArgs, value};
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::courses::cli::CourseArg;
use crate::error::{Error, Result};
use crate::file;

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the files of a course by name
    List {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// Form and length
        #[command(flatten)]
        list: ListArgs,
    },
    /// Give a course files, each in place of the one of its name
    Add(Add),
    /// Write a file of a course to a new file, or to standard output
    Export(Export),
    /// Delete files of a course
    Delete(Delete),
}

/// Files to be added.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Lessons name a file as ../assets/NAME. What sort of file it is, is found in its bytes.

Examples:
  provost attachment add intro-to-sql diagrams/*.png
  provost attachment add intro-to-sql /tmp/export-17.csv --name orders.csv")]
pub struct Add {
    #[command(flatten)]
    course: CourseArg,
    /// The files, none of them larger than the settings allow
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What it is called there, for a single file [default: as it is called here]
    #[arg(long, value_name = "NAME", value_parser = value::<AttachmentName>)]
    name: Option<AttachmentName>,
}

/// A file to be written.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    course: CourseArg,
    /// The name of the file, as attachment list has it
    #[arg(value_name = "NAME")]
    name: String,
    /// The new file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Files to be deleted: all of them or, if one of them cannot be, none.
#[derive(Debug, clap::Args)]
pub struct Delete {
    #[command(flatten)]
    course: CourseArg,
    /// The names of the files
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    confirm: Confirm,
}

impl Record for Attachment {
    const COLUMNS: &'static [&'static str] = &["name", "media_type", "size", "created_at"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List { course, list } => {
                out.list(&list, |cursor, limit| {
                    operator.read(|cx| super::list(cx, &course.course, cursor, limit))
                })?;
            }
            Self::Add(add) => add.run(operator, out)?,
            Self::Export(export) => export.run(operator, out)?,
            Self::Delete(delete) => delete.run(operator, out)?,
        }
        Ok(Outcome::Done)
    }
}

impl Add {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        if self.name.is_some() && self.files.len() > 1 {
            let rule = "--name is for a single file";
            return Err(Error::Usage(rule.into()));
        }
        let largest = operator.app().config().courses.attachment_max;
        let mut all: i64 = 0;
        let mut files = Vec::with_capacity(self.files.len());
        for path in &self.files {
            let name = match &self.name {
                Some(name) => name.clone(),
                None => named(path)?,
            };
            let bytes = read(path, largest)?;
            all = all.saturating_add(i64::try_from(bytes.len()).map_err(Error::internal)?);
            if all > BYTES {
                let rule = format!("have more than {BYTES} bytes together");
                return Err(Error::invalid("files", rule));
            }
            files.push((name, bytes));
        }
        let named = files.len();
        let course = self.course.course;
        let stored = operator.write(move |cx| {
            let files = files.iter();
            files
                .map(|(name, bytes)| super::put_if(cx, &course, name, bytes, |_| Ok(())))
                .collect::<Result<Vec<_>>>()
        })?;
        print(
            named,
            stored.into_iter().map(|(file, _)| file).collect(),
            out,
        )
    }
}

/// The name of a file as that of an attachment.
fn named(path: &Path) -> Result<AttachmentName> {
    let name = path.file_name().and_then(|name| name.to_str());
    let parsed = name.unwrap_or_default().parse();
    parsed.map_err(|_| {
        let path = path.display();
        Error::Usage(format!(
            "{path}: no file of a course can be called so: give it another name with --name"
        ))
    })
}

fn read(path: &Path, largest: usize) -> Result<Vec<u8>> {
    let reading = || Error::io(format!("read {}", path.display()));
    let most = u64::try_from(largest).map_err(Error::internal)?;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(reading())?;
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(reading())?;
    if bytes.len() > largest {
        let path = path.display();
        let rule = format!("{path} is larger than {largest} bytes (courses.attachment_max)");
        return Err(Error::invalid("file", rule));
    }
    Ok(bytes)
}

impl Export {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        let path = self.out.filter(|path| path.as_os_str() != "-");
        if path.is_none() && out.format().json {
            let rule = "--json and the file itself cannot both go to standard output; use -o FILE";
            return Err(Error::Usage(rule.into()));
        }
        let (found, bytes) = operator.read(|cx| super::get(cx, &self.course.course, &self.name))?;
        let Some(path) = path else {
            return out.document(bytes);
        };
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists { path });
        }
        let writing = || Error::io(format!("write {}", path.display()));
        let folder = file::folder_of(&path);
        let mut new = NamedTempFile::with_prefix_in(".export-", folder).map_err(writing())?;
        new.write_all(&bytes).map_err(writing())?;
        file::keep(new, &path)?;
        out.one(&found)
    }
}

impl Delete {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        let Self {
            course,
            names,
            confirm,
        } = self;
        let count = u64::try_from(names.len()).map_err(Error::internal)?;
        for name in &names {
            operator.read(|cx| super::show(cx, &course.course, name))?;
        }
        let what = format!("delete {} of {}", names.join(", "), course.course);
        confirm.ask(out, &what, count)?;
        let many = names.len();
        let gone = operator.write(move |cx| {
            let all = names.iter();
            all.map(|name| super::delete_if(cx, &course.course, name, |_| Ok(())))
                .collect::<Result<Vec<_>>>()
        })?;
        print(many, gone, out)
    }
}

/// One object if one was named, else a list.
fn print(named: usize, mut files: Vec<Attachment>, out: &mut Output) -> Result<()> {
    match files.pop() {
        Some(one) if named == 1 => out.one(&one),
        last => {
            files.extend(last);
            out.table(files)
        }
    }
}
