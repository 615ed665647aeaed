//! `provost course …`: courses at the shell.

mod files;

use std::borrow::Cow;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{
    Admission, Changes, Course, Filter, NewCourse, Slug, State, Summary, Tag, Title, Visibility,
};
use crate::cli::complete;
use crate::cli::flags::{ListArgs, value, word};
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::error::{Error, Result};
use crate::users::{self, Change, Locale};

/// Courses: what there is to learn, for whom, and whose it is
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a course, which is a draft
    Create(CreateArgs),
    /// List courses, the newest first
    #[command(after_help = "\
Examples:
  provost course list --state published --tag databases
  provost course list --q sql --fields slug,title --all")]
    List {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Form and length
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one course
    Show(CourseArg),
    /// Change what a course says of itself, for whom it is, and whose
    Update {
        /// Which
        #[command(flatten)]
        course: CourseArg,
        /// What to change
        #[command(flatten)]
        changes: Box<ChangeArgs>,
    },
    /// Let those see a course whom it is for
    Publish(CourseArg),
    /// Make a course a draft again: nobody sees it but who manages it
    Unpublish(CourseArg),
    /// Delete courses with everything in them, also what people have done
    Delete(DeleteArgs),
    /// Make a course of a folder or a ZIP archive, or bring the one that there is up to date
    Import(files::Import),
    /// Write a course into a folder that can be imported again
    Export(files::Export),
}

/// The course that is meant.
#[derive(Debug, clap::Args)]
pub struct CourseArg {
    /// Slug, id, or the first 6 characters of the id or more
    #[arg(value_name = "COURSE", add = ArgValueCompleter::new(complete))]
    pub course: String,
}

/// Which courses to list.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Only in this state
    #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str))]
    state: Option<State>,
    /// Only with this tag
    #[arg(long, value_name = "TAG", value_parser = value::<Tag>)]
    tag: Option<Tag>,
    /// Only in this language
    #[arg(long, value_name = "LANG", value_parser = value::<Locale>)]
    language: Option<Locale>,
    /// Only of this user
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    owner: Option<String>,
    /// Only with this in the slug, the title or the summary, in any case
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
}

/// A new course.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost course create intro-to-sql --title \"Introduction to SQL\" --tag databases
  provost course create onboarding --title Onboarding --visibility role:user --owner maria")]
pub struct CreateArgs {
    /// Its name in addresses: lower-case letters a-z, digits and dashes
    #[arg(value_name = "SLUG", value_parser = value::<Slug>)]
    slug: Slug,
    /// What it is called
    #[arg(long, value_name = "TEXT", value_parser = value::<Title>)]
    title: Title,
    /// What it is about
    #[arg(long, value_name = "TEXT", value_parser = value::<Summary>)]
    summary: Option<Summary>,
    /// The language that it is written in, such as be or en-GB
    #[arg(long, value_name = "LANG", value_parser = value::<Locale>)]
    language: Option<Locale>,
    /// For whom it is once it is published
    #[arg(long, value_name = "WHOM", default_value = "public", value_parser = word(Visibility::ALL, Visibility::as_str))]
    visibility: Visibility,
    /// How somebody gets into it
    #[arg(long, value_name = "HOW", default_value = "open", value_parser = word(Admission::ALL, Admission::as_str))]
    enrolment: Admission,
    /// A word under which it is found; may be given several times
    #[arg(long, value_name = "TAG", value_parser = value::<Tag>)]
    tag: Vec<Tag>,
    /// Whose it is: an author or an administrator [default: nobody's]
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    owner: Option<String>,
}

/// What to change about a course.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct ChangeArgs {
    /// Another name in addresses
    #[arg(long, value_name = "SLUG", value_parser = value::<Slug>)]
    slug: Option<Slug>,
    /// Another title
    #[arg(long, value_name = "TEXT", value_parser = value::<Title>)]
    title: Option<Title>,
    /// Another summary
    #[arg(long, value_name = "TEXT", value_parser = value::<Summary>)]
    summary: Option<Summary>,
    /// Another language
    #[arg(long, value_name = "LANG", value_parser = value::<Locale>)]
    language: Option<Locale>,
    /// Have no language
    #[arg(long, conflicts_with = "language")]
    no_language: bool,
    /// Another state
    #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str))]
    state: Option<State>,
    /// For whom it is once it is published
    #[arg(long, value_name = "WHOM", value_parser = word(Visibility::ALL, Visibility::as_str))]
    visibility: Option<Visibility>,
    /// How somebody gets into it
    #[arg(long, value_name = "HOW", value_parser = word(Admission::ALL, Admission::as_str))]
    enrolment: Option<Admission>,
    /// A word under which it is found, in place of the old ones; may be given several times
    #[arg(long, value_name = "TAG", value_parser = value::<Tag>)]
    tag: Vec<Tag>,
    /// Have no tags
    #[arg(long, conflicts_with = "tag")]
    no_tags: bool,
    /// Whose it is: an author or an administrator
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(users::cli::complete))]
    owner: Option<String>,
    /// Be nobody's
    #[arg(long, conflicts_with = "owner")]
    no_owner: bool,
}

impl ChangeArgs {
    fn read(self) -> Changes {
        fn change<T>(to: Option<T>, clear: bool) -> Change<T> {
            match to {
                Some(to) => Change::Set(to),
                None if clear => Change::Clear,
                None => Change::Keep,
            }
        }
        let tags = !self.tag.is_empty() || self.no_tags;
        Changes {
            slug: self.slug,
            title: self.title,
            summary: self.summary,
            language: change(self.language, self.no_language),
            state: self.state,
            visibility: self.visibility,
            enrolment: self.enrolment,
            tags: tags.then_some(self.tag),
            owner: change(self.owner, self.no_owner),
        }
    }
}

/// Courses to be deleted: all of them or, if one of them cannot be, none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost course delete intro-to-sql --dry-run
  provost course delete intro-to-sql old-course --yes=2")]
pub struct DeleteArgs {
    /// Slugs, ids, or the first 6 characters of the ids or more
    #[arg(required = true, value_name = "COURSE", add = ArgValueCompleter::new(complete))]
    courses: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// The answer
    #[command(flatten)]
    confirm: Confirm,
}

/// The slugs that begin as what is typed, for completions.
#[must_use]
pub fn complete(typed: &OsStr) -> Vec<CompletionCandidate> {
    complete::with(typed, |cx, typed| {
        let filter = Filter {
            q: Some(typed.to_owned()),
            ..Filter::default()
        };
        let page = super::list(cx, &filter, None, complete::MOST)?;
        let slugs = page.items.into_iter().map(|course| course.slug);
        Ok(slugs.map(CompletionCandidate::new).collect())
    })
}

impl Record for Course {
    const COLUMNS: &'static [&'static str] = &[
        "slug",
        "title",
        "state",
        "visibility",
        "enrolment",
        "tags",
        "updated_at",
    ];

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
            Self::Create(args) => {
                let new = NewCourse {
                    summary: args.summary.unwrap_or_default(),
                    language: args.language,
                    visibility: args.visibility,
                    enrolment: args.enrolment,
                    tags: args.tag,
                    owner: args.owner,
                    ..NewCourse::named(args.slug, args.title)
                };
                out.one(&operator.write(move |cx| super::create(cx, &new))?)?;
            }
            Self::List { which, list } => {
                let filter = Filter {
                    state: which.state,
                    tag: which.tag,
                    language: which.language,
                    owner: which.owner,
                    enrolled: false,
                    q: which.q,
                };
                out.list(&list, |cursor, limit| {
                    operator.read(|cx| super::list(cx, &filter, cursor, limit))
                })?;
            }
            Self::Show(CourseArg { course }) => {
                out.one(&operator.read(|cx| super::get(cx, &course))?)?;
            }
            Self::Update { course, changes } => update(course, changes.read(), operator, out)?,
            Self::Publish(course) => update(course, Changes::to(State::Published), operator, out)?,
            Self::Unpublish(course) => update(course, Changes::to(State::Draft), operator, out)?,
            Self::Delete(args) => args.run(operator, out)?,
            Self::Import(import) => return import.run(operator, out),
            Self::Export(export) => return export.run(operator, out),
        }
        Ok(Outcome::Done)
    }
}

fn update(
    CourseArg { course }: CourseArg,
    changes: Changes,
    operator: &Operator,
    out: &mut Output,
) -> Result<()> {
    out.one(&operator.write(move |cx| super::update(cx, &course, &changes))?)
}

impl DeleteArgs {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        let mut found: Vec<Course> = Vec::new();
        for course in &self.courses {
            let course = operator.read(|cx| super::get(cx, course))?;
            if !found.iter().any(|other| other.id == course.id) {
                found.push(course);
            }
        }
        if self.dry_run {
            for course in &found {
                out.message(format_args!("would delete {}", course.slug))?;
            }
            return print(self.courses.len(), found, out);
        }
        let slugs: Vec<&str> = found.iter().map(|course| course.slug.as_str()).collect();
        let count = u64::try_from(found.len()).map_err(Error::internal)?;
        let what = format!(
            "delete {} with everything that people have done there",
            slugs.join(", ")
        );
        self.confirm.ask(out, &what, count)?;
        let ids: Vec<String> = found.into_iter().map(|course| course.id).collect();
        let gone = operator.write(move |cx| {
            let ids = ids.iter();
            ids.map(|id| super::delete_if(cx, id, |_| Ok(())))
                .collect::<Result<Vec<_>>>()
        })?;
        for course in &gone {
            out.message(format_args!("deleted {}", course.slug))?;
        }
        print(self.courses.len(), gone, out)
    }
}

/// One object if one was named, else a list: the form must not depend on what is in the database.
fn print(named: usize, mut courses: Vec<Course>, out: &mut Output) -> Result<()> {
    match courses.pop() {
        Some(course) if named == 1 => out.one(&course),
        last => {
            courses.extend(last);
            out.table(courses)
        }
    }
}
