//! How a command that failed says so, and with which exit status it ends.
//!
//! The person at the shell is the operator: they see the causes that HTTP clients never do.

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use super::flags::Format;
use super::json;
use super::output::{Terminal, is_closed_pipe};
use crate::error::{Error, Flaw};
use crate::escape;
use crate::problem::Problem;

/// Tells `error` on standard error and gives the exit status of cli.md. What is suggested leads to
/// the same place by `flags`.
#[must_use]
pub fn report(error: &Error, format: Format, flags: &str) -> ExitCode {
    let colour = format.color.on_stderr(Terminal::detect());
    let told = Told {
        error,
        hint: error.hint_at(flags),
    };
    tell(&told, format.json, colour, &mut io::stderr().lock()).into()
}

/// Tells what clap made of the command line: help and version on standard output with success,
/// mistakes, the first and the others, on standard error with exit status 2 (under `--json`, as a
/// problem object).
#[must_use]
pub fn report_usage(error: &clap::Error, others: &[clap::Error], json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let all = std::iter::once(error).chain(others);
        let all: Vec<_> = all
            .map(|error| first_paragraph(&error.render().to_string()))
            .collect();
        let usage = Error::Usage(all.join("; "));
        return tell(&Told::of(&usage), true, false, &mut io::stderr().lock()).into();
    }
    if others.is_empty() {
        // Help into `head` is no failure.
        let _closed_pipe = error.print();
    } else {
        let all: Vec<_> = std::iter::once(error)
            .chain(others)
            .map(|error| error.render().ansi().to_string())
            .collect();
        let paragraphs = all.iter().filter_map(|text| text.split("\n\n").next());
        // How to get help is the same for all.
        let help = all.first().and_then(|text| text.rsplit("\n\n").next());
        let text: Vec<_> = paragraphs.chain([""]).chain(help).collect();
        let _closed_pipe = write!(anstream::stderr(), "{}", text.join("\n"));
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// clap's message without its usage lines, as one line.
fn first_paragraph(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let paragraph = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ")
}

/// An error, and what to do next.
struct Told<'e> {
    error: &'e Error,
    hint: Option<String>,
}

impl<'e> Told<'e> {
    fn of(error: &'e Error) -> Self {
        let hint = error.hint();
        Self { error, hint }
    }
}

fn tell(told: &Told<'_>, json: bool, colour: bool, to: &mut impl Write) -> u8 {
    if is_closed_pipe(told.error) {
        return 0;
    }
    let text = if json {
        problem(told)
    } else {
        words(told, colour)
    };
    // Whoever closed standard error still gets the exit status.
    let _unheard = to.write_all(&text);
    told.error.spec().exit
}

fn problem(told: &Told<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    let problem = Problem {
        hint: told.hint.clone(),
        causes: causes(told.error).map(ToString::to_string).collect(),
        migration: told.error.migration(),
        ..Problem::from(told.error)
    };
    if json::append(&mut text, &problem).is_err() {
        return words(told, false);
    }
    text.push(b'\n');
    text
}

fn words(told: &Told<'_>, colour: bool) -> Vec<u8> {
    let error = told.error;
    let mut text = String::new();
    for told in faults(error) {
        text += &line("error", AnsiColor::Red, colour, &told);
    }
    for under in causes(error) {
        text += &line("caused by", AnsiColor::Red, colour, &under.to_string());
    }
    if let Some(hint) = &told.hint {
        text += &line("hint", AnsiColor::Cyan, colour, hint);
    }
    text.into_bytes()
}

/// What lies under it, down to the last.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// What is wrong, a line each.
fn faults(error: &Error) -> Vec<String> {
    if let Error::Invalid {
        field,
        reason,
        others,
    } = error
    {
        let first = format!("{field}: {reason}");
        let others = others.iter();
        let others = others.map(|Flaw { member, reason }| format!("{member}: {reason}"));
        return std::iter::once(first).chain(others).collect();
    }
    vec![error.to_string()]
}

fn line(mark: &str, hue: AnsiColor, colour: bool, text: &str) -> String {
    let text = escape::lines(text);
    if colour {
        let style = Style::new().bold().fg_color(Some(hue.into()));
        format!("{style}{mark}:{style:#} {text}\n")
    } else {
        format!("{mark}: {text}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Spot;

    fn told(error: &Error, json: bool) -> (u8, String) {
        let mut text = Vec::new();
        let exit = tell(&Told::of(error), json, false, &mut text);
        (exit, String::from_utf8(text).unwrap())
    }

    fn failed() -> Error {
        let place = Spot {
            rehearsal: false,
            statement: Some(3),
            file: Some("migrations/0007_x.up.sql".into()),
            line: Some(14),
        };
        Error::MigrationFailed {
            name: "0007_x".into(),
            place: Box::new(place),
            kept: "the database is unchanged at version 6".into(),
            source: Box::new(Error::unavailable("database is locked")),
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_a_hint() {
        let error = failed();
        assert_eq!(
            told(&error, false),
            (
                7,
                "error: migration 0007_x failed at statement 3 (migrations/0007_x.up.sql, line 14); \
                 the database is unchanged at version 6\n\
                 caused by: temporarily unavailable, try again\n\
                 caused by: database is locked\n"
                    .to_owned()
            )
        );
        let (exit, text) = told(&Error::NotSetUp { path: "/d".into() }, false);
        assert_eq!(
            (exit, text.as_str()),
            (
                5,
                "error: nothing is set up at /d\nhint: run: provost init\n"
            )
        );
        let (_, text) = told(&Error::no_such("quiz", "week-1"), false);
        assert!(text.ends_with("by: provost quiz list COURSE\n"), "{text}");
        let (_, text) = told(&Error::no_such("quiz", "sql/week-1"), false);
        assert_eq!(text, "error: no such quiz: sql/week-1\n");
    }

    #[test]
    fn under_json_an_error_is_the_problem_object_of_the_http_api() {
        let (exit, text) = told(&Error::UsernameTaken, true);
        assert_eq!(exit, 6);
        assert_eq!(text.matches('\n').count(), 1);
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["type"], "urn:provost:error:username_taken");
        assert_eq!(problem["status"], 409);
    }

    #[test]
    fn under_json_the_operator_is_told_the_causes_and_the_place_as_members() {
        let (exit, text) = told(&failed(), true);
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((exit, &problem["status"]), (7, &422.into()));
        assert_eq!(problem["causes"][1], "database is locked");
        let migration = serde_json::json!({
            "name": "0007_x", "rehearsal": false, "statement": 3,
            "file": "migrations/0007_x.up.sql", "line": 14,
        });
        assert_eq!(problem["migration"], migration);
    }

    #[test]
    fn a_reader_that_has_gone_is_success_and_says_nothing() {
        let gone = Error::io("write to standard output")(io::ErrorKind::BrokenPipe.into());
        assert_eq!(told(&gone, false), (0, String::new()));
    }

    #[test]
    fn an_error_cannot_steer_the_terminal() {
        let (_, text) = told(&Error::Usage("no \x1b[2J".into()), false);
        assert_eq!(text, "error: no \\u{1b}[2J\n");
    }

    #[test]
    fn marks_are_coloured_only_where_colour_is_welcome() {
        let text = String::from_utf8(words(&Told::of(&Error::LastAdmin), true)).unwrap();
        assert!(text.contains("\u{1b}[31m"), "{text:?}");
        assert!(!told(&Error::LastAdmin, false).1.contains('\u{1b}'));
    }

    #[test]
    fn a_mistake_in_the_command_line_is_one_sentence_under_json() {
        let text = "error: unexpected argument '--x' found\n\n  tip: y\n\nUsage: provost";
        assert_eq!(first_paragraph(text), "unexpected argument '--x' found");
    }
}
