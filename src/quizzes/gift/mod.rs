//! GIFT, the text format of Moodle's questions (<https://docs.moodle.org/en/GIFT_format>).
//!
//! Questions stand between blank lines. Everything that is wrong in a file is told at once, with
//! its line; nothing is guessed. What Moodle has and this program has not is refused by name.

mod answers;
mod glyphs;
#[cfg(test)]
mod tests;

use glyphs::{Glyphs, paragraphs};
use serde::Serialize;

use super::decimal::Points;
use super::question::{Body, LONGEST_NAME, Question};
use super::source::Read;

/// Something that is wrong with a file, or that was taken otherwise than it stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub message: String,
}

/// A question, and where in its file it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The line, from 1.
    pub line: u64,
    /// The question.
    pub question: Question,
}

/// Reads a file. The last part of a category's path is the pool of what follows.
///
/// # Errors
/// Everything that is wrong with it, in the order of lines.
pub fn read(text: &str) -> Result<Vec<Found>, Vec<Fault>> {
    let read = part(text);
    if read.faults.is_empty() {
        Ok(read.questions)
    } else {
        Err(read.faults)
    }
}

/// Reads what can be read of a file, and tells what is wrong with the rest.
pub(super) fn part(text: &str) -> Read {
    let mut read = Read::default();
    let mut pool = None;
    for paragraph in paragraphs(text) {
        if read.is_full() {
            break;
        }
        let (line, whole) = (paragraph.line(), paragraph.raw());
        if let Some(category) = whole.strip_prefix("$CATEGORY:") {
            match category.lines().count() {
                0 | 1 => pool = last_part(category),
                _ => read.faults.push(Fault {
                    line: line + 1,
                    message: "a blank line must follow a category".into(),
                }),
            }
            continue;
        }
        match question(&paragraph, pool.as_deref()) {
            Ok(question) => read.questions.push(Found { line, question }),
            Err(fault) => read.faults.push(fault),
        }
    }
    read
}

/// `$course$/top/Default/Chapter 1` is known as `Chapter 1`. A slash that belongs to a name is
/// written twice.
pub(super) fn last_part(category: &str) -> Option<String> {
    let category = category.replace("//", "\0");
    let last = category
        .trim()
        .rsplit('/')
        .next()?
        .trim()
        .replace('\0', "/");
    (!last.is_empty() && last != "top" && !last.starts_with('$')).then_some(last)
}

fn question(paragraph: &Glyphs, pool: Option<&str>) -> Result<Question, Fault> {
    let line = paragraph.line();
    let (title, rest) = title(paragraph)?;
    let (form, rest) = rest.form();
    let form = form.unwrap_or_default();
    let (before, inner, after) = braces(&rest)?;
    let mut text = before.text();
    if !after.is_blank() {
        // The blank stands where the answers stood.
        text = format!(
            "{} _____{}{}",
            text.trim_end(),
            space_before(&after),
            after.text().trim()
        );
    }
    let text = text.trim().to_owned();
    let parsed = match inner {
        None => answers::Parsed::bare(Body::Description {}),
        Some(inner) => answers::read(&inner)?,
    };
    let name = match title {
        Some(title) => title,
        None => shortened(&text),
    };
    let points = match parsed.body {
        Body::Description {} => Points::default(),
        Body::Single { .. }
        | Body::Multiple { .. }
        | Body::TrueFalse { .. }
        | Body::Numeric { .. }
        | Body::Short { .. }
        | Body::Matching { .. }
        | Body::Ordering { .. }
        | Body::Essay {} => Points::whole(1),
    };
    let question = Question {
        name,
        text,
        format: form,
        points,
        pool: pool.map(str::to_owned),
        explanation: parsed.explanation,
        body: parsed.body,
    };
    let mut wrong = Vec::new();
    question.check(|message| wrong.push(message));
    if wrong.is_empty() {
        Ok(question)
    } else {
        let message = wrong.join("; ");
        Err(Fault { line, message })
    }
}

/// A mark of punctuation stands close to the blank.
fn space_before(after: &Glyphs) -> &'static str {
    match after.text().trim_start().chars().next() {
        Some('.' | ',' | ';' | ':' | '!' | '?' | ')' | '\'' | '’') => "",
        Some(_) | None => " ",
    }
}

/// As Moodle does: a question without a title is known by how it begins.
pub(super) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let all = words.join(" ");
    if all.chars().count() <= 60 {
        return all;
    }
    let cut: String = all.chars().take(59).collect();
    format!("{}…", cut.trim_end())
}

fn title(paragraph: &Glyphs) -> Result<(Option<String>, Glyphs), Fault> {
    let paragraph = paragraph.trimmed();
    let Some(rest) = paragraph.after("::") else {
        return Ok((None, paragraph));
    };
    let Some((title, rest)) = rest.split_at_plain("::") else {
        return Err(paragraph.fault("the title is not closed: it must end with ::"));
    };
    let title = title
        .text()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if title.is_empty() {
        return Ok((None, rest));
    }
    if title.chars().count() > LONGEST_NAME {
        let message = format!("the title is longer than {LONGEST_NAME} characters");
        return Err(paragraph.fault(message));
    }
    Ok((Some(title), rest))
}

type Parts = (Glyphs, Option<Glyphs>, Glyphs);

/// What stands before the answers, the answers, and what stands behind them.
fn braces(glyphs: &Glyphs) -> Result<Parts, Fault> {
    let Some((before, rest)) = glyphs.split_at_plain("{") else {
        return match glyphs.split_at_plain("}") {
            Some((before, rest)) => Err(before
                .or(&rest)
                .fault("a } closes nothing: write \\} for the character")),
            None => Ok((glyphs.clone(), None, Glyphs::default())),
        };
    };
    let Some((inner, after)) = rest.split_at_plain("}") else {
        return Err(before
            .or(&rest)
            .fault("the answers are not closed: a } is missing before the blank line"));
    };
    if let Some((_, rest)) = inner.split_at_plain("{") {
        return Err(rest.fault("a { stands within answers: write \\{ for the character"));
    }
    if let Some((_, rest)) = after
        .split_at_plain("{")
        .or_else(|| after.split_at_plain("}"))
    {
        return Err(rest.fault(
            "a question has one place for answers: write \\{ and \\} for the characters, or leave a \
             blank line before the next question",
        ));
    }
    Ok((before, Some(inner), after))
}
