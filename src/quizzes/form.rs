//! A quiz in the file of a course folder: TOML, to be read by people and compared line by line.
//!
//! Invariant: what [`write()`] writes, [`read`] reads as it was, and writes again byte for byte.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::gift::{Fault, Found};
use super::lines::Lines;
use super::question::{LONGEST_NAME, Question};
use super::settings::Settings;
use crate::error::{Error, Result};

/// A quiz as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How it is taken.
    pub settings: Settings,
    /// What is asked, in this order.
    pub questions: Vec<Found>,
}

#[derive(Deserialize)]
struct Questions {
    #[serde(default)]
    question: Vec<Spanned<toml::Value>>,
}

/// Reads the file of a quiz.
///
/// # Errors
/// Everything that is wrong with it, in the order of lines.
pub fn read(text: &str) -> Result<Written, Vec<Fault>> {
    let whole: toml::Table = text.parse().map_err(|error| vec![fault(text, &error)])?;
    let raw: Questions = toml::from_str(text).map_err(|error| vec![fault(text, &error)])?;
    let lines = Lines::of(text);
    let mut faults = Vec::new();
    let first = raw
        .question
        .first()
        .map_or(text.len(), |it| it.span().start);
    let head = text.get(..first).unwrap_or_default();
    // Where an element begins with its header or behind it is no matter here.
    let head = head.trim_end().strip_suffix("[[question]]").unwrap_or(head);
    let named: toml::Table = head.parse().unwrap_or_default();
    for late in whole
        .keys()
        .filter(|key| *key != "question" && !named.contains_key(*key))
    {
        faults.push(Fault {
            line: lines.line(first),
            message: format!("{late} must stand before the first question"),
        });
    }
    let settings = match toml::from_str::<Settings>(head) {
        Ok(settings) => {
            let wrong = |message| faults.push(Fault { line: 1, message });
            settings.check(wrong);
            Some(settings)
        }
        Err(error) => {
            faults.push(fault(head, &error));
            None
        }
    };
    let mut questions = Vec::new();
    for element in raw.question {
        let line = lines.line(element.span().start);
        match Question::deserialize(element.into_inner()) {
            Ok(question) => {
                question.check(|message| faults.push(Fault { line, message }));
                questions.push(Found { line, question });
            }
            Err(error) => {
                let message = error.message().to_owned();
                faults.push(Fault { line, message });
            }
        }
    }
    faults.extend(twice(&questions));
    match settings {
        Some(settings) if faults.is_empty() => Ok(Written {
            settings,
            questions,
        }),
        Some(_) | None => Err(faults),
    }
}

/// Names that more than one question has.
pub(super) fn twice(questions: &[Found]) -> Vec<Fault> {
    let mut seen = HashMap::new();
    let mut faults = Vec::new();
    for Found { line, question } in questions {
        if let Some(before) = seen.insert(question.name.as_str(), *line) {
            faults.push(Fault {
                line: *line,
                message: format!(
                    "the question of line {before} has this name, too: {:?}",
                    question.name
                ),
            });
        }
    }
    faults
}

/// Gives questions without a name of their own, which begin alike, names that differ.
pub(super) fn told_apart(questions: &mut [Found]) {
    let mut seen: HashSet<String> = HashSet::new();
    let mut next: HashMap<String, u32> = HashMap::new();
    for Found { question, .. } in questions {
        let first = question.name.clone();
        while !seen.insert(question.name.clone()) {
            let number = next.entry(first.clone()).or_insert(2);
            let end = format!(" ({number})");
            *number = number.saturating_add(1);
            let room = LONGEST_NAME.saturating_sub(end.len());
            question.name = first.chars().take(room).chain(end.chars()).collect();
        }
    }
}

#[derive(Serialize)]
struct File<'q> {
    #[serde(flatten)]
    settings: &'q Settings,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    question: Vec<&'q Question>,
}

/// Writes the file of a quiz.
///
/// # Errors
/// [`Error::Internal`].
pub fn write<'q>(
    settings: &'q Settings,
    questions: impl Iterator<Item = &'q Question>,
) -> Result<String> {
    let question = questions.collect();
    let file = File { settings, question };
    toml::to_string_pretty(&file).map_err(Error::internal)
}

fn fault(text: &str, error: &toml::de::Error) -> Fault {
    Fault {
        line: Lines::of(text).line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quizzes::gift;

    const WHOLE: &str = r#"title = "Numbers"
intro = "Think first."
lesson = "numbers"
passing = 60
attempts = 3
time_limit = "30m"
on_deadline = "grace"
grace = "1m"
grade = "average"
shuffle = true

[draw]
hard = 2

[[question]]
name = "Bits"
text = "How many bits has a byte?"
points = 1.5
pool = "hard"
explanation = "Since the sixties."
kind = "numeric"

[[question.answers]]
value = 8

[[question.answers]]
value = 8.5
tolerance = 0.5
credit = 33.33333
feedback = "No half bits."

[[question]]
name = "Essay"
text = """
Why?
Say it "in full"."""
format = "plain"
kind = "essay"
"#;

    #[test]
    fn what_is_read_is_written_as_it_was() {
        let read = read(WHOLE).unwrap();
        let again = write(&read.settings, read.questions.iter().map(|it| &it.question));
        assert_eq!(again.unwrap(), WHOLE);
    }

    #[test]
    fn every_sort_of_question_comes_back_from_a_file() {
        let text = include_str!("../../tests/fixtures/gift/every-sort.gift");
        let questions = gift::read(text).unwrap();
        let settings = Settings::titled("Every sort");
        let written = write(&settings, questions.iter().map(|it| &it.question)).unwrap();
        let read = read(&written).unwrap();
        let plain = |found: &[Found]| {
            let questions = found.iter().map(|it| it.question.clone());
            questions.collect::<Vec<_>>()
        };
        assert_eq!(plain(&read.questions), plain(&questions));
        let again = write(&read.settings, read.questions.iter().map(|it| &it.question));
        assert_eq!(again.unwrap(), written);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let text = r#"title = "x"
attempts = 0
grace = "1m"

[[question]]
name = "a"
text = "?"
kind = "single"
choices = [{ text = "x" }, { text = "x" }]

[[question]]
name = "b"
text = "?"
kind = "essay"
answers = []

[[question]]
name = "c"
text = "?"
kind = "sudoku"

[[question]]
name = "a"
text = "?"
kind = "essay"
points = 1.005

[[question]]
name = "a"
text = "?"
kind = "essay"
"#;
        let faults = read(text).unwrap_err();
        let told: Vec<_> = faults
            .iter()
            .map(|it| format!("{}: {}", it.line, it.message))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
        let faults = read("title = 3\ncolour = 4\n").unwrap_err();
        assert_eq!(faults[0].line, 2);
        let late = "title = 'x'\n[[question]]\nname='a'\ntext='?'\nkind='essay'\n[draw]\nx = 1\n";
        assert_eq!(
            read(late).unwrap_err()[0].message,
            "draw must stand before the first question"
        );
    }

    #[test]
    fn questions_that_begin_alike_get_names_that_differ() {
        let mut questions = gift::read("What? {=a}\n\nWhat? {=b}\n\nWhat? {=c}\n").unwrap();
        told_apart(&mut questions);
        let names: Vec<_> = questions
            .iter()
            .map(|it| it.question.name.as_str())
            .collect();
        assert_eq!(names, ["What?", "What? (2)", "What? (3)"]);
        assert!(twice(&questions).is_empty());
    }
}
