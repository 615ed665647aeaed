//! Moodle XML, in which Moodle hands out its questions (<https://docs.moodle.org/en/Moodle_XML_format>).
//!
//! As of GIFT nothing is guessed: what Moodle has and this program has not is refused by name, with
//! its line. What changes neither what is asked nor how it is graded (hints, penalties, how choices
//! are numbered, what is said to every right answer) is left out without a word; what changes a
//! little of it is noted.

mod answers;
mod cost;
mod element;
#[cfg(test)]
mod tests;
mod texts;

use roxmltree::{Document, ParsingOptions};

use super::decimal::{Percent, Points};
use super::gift::{Fault, Found, last_part, shortened};
use super::lines::Lines;
use super::question::{Body, LONGEST_NAME, Question};
use super::source::Read;
use cost::is_costly;
use element::Element;
use texts::Texts;

/// A file may have so many elements and texts.
const NODES: u32 = 1_000_000;

/// Reads a file. The last part of a category's path is the pool of what follows.
///
/// # Errors
/// Why it is no such file.
pub(super) fn read(text: &str) -> Result<Read, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_costly(text) {
        let message = "has more attributes or namespaces than any Moodle XML".into();
        return Err(Fault { line: 1, message });
    }
    let options = ParsingOptions {
        nodes_limit: NODES,
        // Without a document type there are no entities, and nothing that grows by itself.
        allow_dtd: false,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| Fault {
        line: error.pos().row.into(),
        message: format!("is no XML that can be read: {error}"),
    })?;
    let lines = Lines::of(text);
    let root = Element::new(document.root_element(), &lines);
    if root.name() != "quiz" {
        let found = root.name();
        return Err(root.fault(format!(
            "<{found}> stands where <quiz> must: this is no Moodle XML"
        )));
    }
    let mut read = Read::default();
    let mut pool = None;
    for element in root.elements() {
        if read.is_full() {
            break;
        }
        let kind = element.attribute("type");
        match (element.name(), kind) {
            ("question", Some("category")) => {
                let path = element.child("category").map(Element::text);
                pool = path.as_deref().and_then(last_part);
            }
            ("question", Some(kind)) => {
                if is_set(element, "hidden") {
                    read.notes
                        .push(element.fault("is hidden in Moodle, and left out"));
                    continue;
                }
                match question(element, kind, pool.as_deref(), &mut read.notes) {
                    Ok(question) => read.questions.push(Found {
                        line: element.line(),
                        question,
                    }),
                    Err(fault) => read.faults.push(fault),
                }
            }
            ("question", None) => read
                .faults
                .push(element.fault("a <question> must have a type")),
            (other, _) => read
                .faults
                .push(element.fault(format!("<{other}> stands where <question> must"))),
        }
    }
    read.notes.sort_by_key(|note| note.line);
    Ok(read)
}

/// Whether a switch is on: Moodle writes `1`, and `true`.
fn is_set(element: Element<'_, '_>, name: &str) -> bool {
    element
        .child(name)
        .is_some_and(|it| matches!(it.word().as_str(), "1" | "true"))
}

fn question(
    element: Element<'_, '_>,
    kind: &str,
    pool: Option<&str>,
    notes: &mut Vec<Fault>,
) -> Result<Question, Fault> {
    for picture in ["image", "image_base64"] {
        if let Some(picture) = element.child(picture).filter(|it| !it.word().is_empty()) {
            return Err(picture.fault(texts::NO_FILES));
        }
    }
    let texts = Texts::of(element, kind);
    let asked = element.child("questiontext");
    let asked = asked.ok_or_else(|| element.fault("there is no <questiontext>"))?;
    let text = texts.shown(asked)?;
    let body = answers::read(element, kind, texts, notes)?;
    let explanation = element.child("generalfeedback");
    let explanation = explanation.map(|it| texts.shown(it)).transpose()?;
    let question = Question {
        name: name(element, &text, notes),
        text,
        format: texts.form(),
        points: points(element, &body, notes)?,
        pool: pool.map(str::to_owned),
        explanation: explanation.filter(|it| !it.is_empty()),
        body,
    };
    let mut wrong = Vec::new();
    question.check(|message| wrong.push(message));
    if wrong.is_empty() {
        Ok(question)
    } else {
        Err(element.fault(wrong.join("; ")))
    }
}

fn name(element: Element<'_, '_>, text: &str, notes: &mut Vec<Fault>) -> String {
    let given = element.child("name").map(Element::text);
    let given = given.unwrap_or_default();
    let given = given.split_whitespace().collect::<Vec<_>>().join(" ");
    if given.is_empty() {
        return shortened(text);
    }
    if given.chars().count() <= LONGEST_NAME {
        return given;
    }
    notes.push(element.fault(format!("the name is cut after {LONGEST_NAME} characters")));
    given.chars().take(LONGEST_NAME).collect()
}

fn points(element: Element<'_, '_>, body: &Body, notes: &mut Vec<Fault>) -> Result<Points, Fault> {
    if let Body::Description {} = body {
        return Ok(Points::default());
    }
    let Some(given) = element.child("defaultgrade") else {
        return Ok(Points::whole(1));
    };
    let word = given.word();
    let number: Percent = word
        .parse()
        .map_err(|_| given.fault(format!("{word:?} is no number of points")))?;
    let points = Points::nearest(number);
    if Percent::from(points) != number {
        notes.push(given.fault(format!("{word} points become {points}")));
    }
    Ok(points)
}
