//! The texts of a question, each of which Moodle lets be written in a form of its own: here they
//! have one together.

use super::{Element, Fault};
use crate::quizzes::question::Form;

/// What is said of a picture, a sound or the like.
pub(super) const NO_FILES: &str = "there is a file in the text, which cannot be taken in: put it with the files of the course, and \
     say in the text which it is";

/// How Moodle begins the address of a file that belongs to a text.
const FILE: &str = "@@PLUGINFILE@@";

/// The forms that Moodle knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// HTML with what people type.
    Auto,
    Plain,
    Html,
    Markdown,
}

impl Written {
    fn of(element: Element<'_, '_>) -> Option<Self> {
        match element.attribute("format")? {
            "html" => Some(Self::Html),
            "markdown" => Some(Self::Markdown),
            "plain_text" => Some(Self::Plain),
            _ => Some(Self::Auto),
        }
    }
}

/// How the texts of a question are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts {
    form: Form,
    /// Where nothing else is said.
    usual: Written,
}

impl Texts {
    /// The one form into which all of them can be brought.
    pub(super) fn of(question: Element<'_, '_>, kind: &str) -> Self {
        let asked = question.child("questiontext");
        let usual = asked.and_then(Written::of).unwrap_or(Written::Auto);
        let shown = |it: &Element<'_, '_>| match it.name() {
            "questiontext" | "generalfeedback" | "feedback" | "subquestion" => true,
            "answer" => matches!(kind, "multichoice" | "ordering"),
            _ => false,
        };
        let texts = question.below().filter(shown);
        let texts = texts.filter(|it| !it.text().is_empty());
        let forms: Vec<Written> = texts.map(|it| Written::of(it).unwrap_or(usual)).collect();
        let has = |form| forms.contains(&form);
        let form = if has(Written::Markdown) {
            Form::Markdown
        } else if has(Written::Html) {
            Form::Html
        } else if has(Written::Plain) {
            Form::Plain
        } else {
            // As of GIFT.
            Form::Markdown
        };
        Self { form, usual }
    }

    pub(super) const fn form(self) -> Form {
        self.form
    }

    /// What is written in an element, in the question's form.
    ///
    /// # Errors
    /// For a text with a file in it.
    pub(super) fn shown(self, element: Element<'_, '_>) -> Result<String, Fault> {
        let text = element.text();
        if text.contains(FILE) {
            return Err(element.fault(NO_FILES));
        }
        Ok(match Written::of(element).unwrap_or(self.usual) {
            Written::Plain => self.plain(&text),
            Written::Auto if self.form == Form::Html && !text.contains('<') => {
                text.replace('\n', "<br>\n")
            }
            Written::Auto | Written::Html | Written::Markdown => text,
        })
    }

    /// A text in which no character has a meaning, in the question's form.
    pub(super) fn plain(self, text: &str) -> String {
        match self.form {
            Form::Plain => text.to_owned(),
            Form::Html => text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('\n', "<br>\n"),
            Form::Markdown => {
                let mut escaped = String::with_capacity(text.len());
                for c in text.chars() {
                    if "\\`*_[]<>#|&~".contains(c) {
                        escaped.push('\\');
                    }
                    escaped.push(c);
                }
                escaped
            }
        }
    }

    /// What is said to who answers so; nothing, if it is blank.
    ///
    /// # Errors
    /// As [`Texts::shown`].
    pub(super) fn feedback(self, answer: Element<'_, '_>) -> Result<Option<String>, Fault> {
        let feedback = answer.child("feedback").map(|it| self.shown(it));
        Ok(feedback.transpose()?.filter(|it| !it.is_empty()))
    }
}
