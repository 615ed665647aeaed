//! `provost attempt …`: what people did with quizzes, at the shell.

mod grades;

use std::borrow::Cow;

pub use grades::Command as GradeCommand;

use serde_json::Value;

use super::{Asked, Attempt, Filter, Reviewed, State};
use crate::cli::flags::{ListArgs, value, word};
use crate::cli::output::{Output, Record};
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::quizzes::Points;
use crate::time::Period;

/// The verbs of `attempt`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the attempts at a quiz, the newest first
    List(List),
    /// Show an attempt: what was asked, what was answered, what is right
    Show(Show),
    /// Give an answer its points by hand: an essay, or what a rule got wrong
    Mark(Mark),
    /// Open an attempt that is over once more
    Reopen(Reopen),
    /// Grade the attempts at a quiz anew, after a question was corrected
    Regrade(Regrade),
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
            Self::Mark(command) => command.run(operator, out),
            Self::Reopen(command) => command.run(operator, out),
            Self::Regrade(command) => command.run(operator, out),
        }
    }
}

impl Record for Attempt {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user",
        "number",
        "state",
        "waiting",
        "started_at",
        "deadline",
        "ended_at",
        "points",
        "most",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

/// The flags of `attempt list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost attempt list operating-provost/week-1 --waiting
  provost attempt list operating-provost/week-1 --user maria --state submitted")]
pub struct List {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
    /// Only those of this user: id, user name, e-mail or phone
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those in this state
    #[arg(long, value_parser = word(State::ALL, State::as_str))]
    state: Option<State>,
    /// Only those that were handed in and wait for a person to grade them
    #[arg(long)]
    waiting: bool,
    #[command(flatten)]
    form: ListArgs,
}

impl List {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let filter = Filter {
            user: self.user,
            state: self.state,
            waiting: self.waiting,
        };
        out.list(&self.form, |cursor, limit| {
            operator.read(|cx| super::list(cx, &self.quiz, &filter, cursor, limit))
        })?;
        Ok(Outcome::Done)
    }
}

/// The argument of `attempt show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The attempt's id, or the first 6 characters of it or more
    #[arg(value_name = "ID")]
    id: String,
}

impl Show {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let sheet = operator.read(|cx| super::get(cx, &self.id))?;
        if out.format().json {
            out.value(&sheet)?;
        } else {
            out.one(&sheet.attempt)?;
        }
        if !out.format().json && !out.format().quiet {
            for (asked, place) in sheet.questions.iter().zip(1..) {
                let mut reviews = sheet.review.iter().flatten();
                let review = reviews.find(|it| it.id == asked.id);
                question(out, place, asked, review)?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// Prints a question to be graded: what was asked, what was answered, what is right.
fn question(out: &mut Output, place: u32, asked: &Asked, review: Option<&Reviewed>) -> Result<()> {
    let below = |text: &str| text.replace('\n', "\n    ");
    out.line("")?;
    out.line(format!("{place}.  {}", below(&asked.text)))?;
    let earned = review.and_then(|it| it.earned);
    let earned = earned.map_or_else(|| "not graded,".to_owned(), |it| it.to_string());
    let (id, kind, points) = (&asked.id, asked.kind, asked.points);
    out.line(format!("    {id}  {kind}  {earned} of {points}"))?;
    let comment = review.and_then(|it| it.comment.clone());
    for (name, text) in [
        ("answered", Some(spoken(asked, &asked.saved.answer))),
        ("right", review.map(|it| spoken(asked, &it.right))),
        ("comment", comment),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            out.line(format!("    {name:8}  {}", below(&text)))?;
        }
    }
    Ok(())
}

/// An answer in the words that were shown, not in their numbers.
fn spoken(asked: &Asked, answer: &Value) -> String {
    let choice = |it: &Value| {
        let place = it.as_u64().and_then(|it| usize::try_from(it).ok());
        let text = place.and_then(|place| asked.choices.get(place));
        text.map_or("-", String::as_str)
    };
    match answer {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(_) => choice(answer).to_owned(),
        Value::Array(places) if asked.prompts.is_empty() => {
            places.iter().map(choice).collect::<Vec<_>>().join(", ")
        }
        Value::Array(places) => {
            let pairs = asked.prompts.iter().zip(places);
            let pairs = pairs.map(|(prompt, place)| format!("{prompt}: {}", choice(place)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        Value::Bool(_) | Value::Object(_) => answer.to_string(),
    }
}

/// The flags of `attempt mark`.
#[derive(Debug, clap::Args)]
pub struct Mark {
    /// The attempt's id, or the first 6 characters of it or more
    #[arg(value_name = "ID")]
    id: String,
    /// The question's id, as attempt show has it
    #[arg(value_name = "QUESTION")]
    question: String,
    /// How many points, with at most two decimals
    #[arg(value_name = "POINTS", value_parser = value::<Points>)]
    points: Points,
    /// Why, for the person whose answer it is
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl Mark {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let Self {
            id,
            question,
            points,
            comment,
        } = self;
        let attempt = operator
            .write(move |cx| super::mark(cx, &id, &question, points, comment.as_deref()))?;
        out.one(&attempt).map(|()| Outcome::Done)
    }
}

/// The flags of `attempt reopen`.
#[derive(Debug, clap::Args)]
pub struct Reopen {
    /// The attempt's id, or the first 6 characters of it or more
    #[arg(value_name = "ID")]
    id: String,
    /// For how long from now [default: without an end]
    #[arg(long, value_name = "TIME", value_parser = value::<Period>)]
    time: Option<Period>,
}

impl Reopen {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let attempt = operator.write(move |cx| super::reopen(cx, &self.id, self.time))?;
        out.one(&attempt).map(|()| Outcome::Done)
    }
}

/// The argument of `attempt regrade`.
#[derive(Debug, clap::Args)]
pub struct Regrade {
    /// The quiz: COURSE/SLUG, its id, or the first 6 characters of that or more
    #[arg(value_name = "QUIZ")]
    quiz: String,
}

impl Regrade {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let done = super::regrade_all(operator.app(), operator.actor(), &self.quiz)?;
        out.value(&done).map(|()| Outcome::Done)
    }
}
