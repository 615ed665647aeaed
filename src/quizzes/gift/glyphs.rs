//! The characters of a paragraph, each with its line and whether it was escaped: what is escaped
//! never has a meaning.

use super::Fault;
use crate::quizzes::question::Form;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Glyph {
    c: char,
    plain: bool,
    line: u64,
}

/// A piece of a paragraph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Glyphs(Vec<Glyph>);

/// The pieces between blank lines. A line that begins with `//` is none at all.
pub(super) fn paragraphs(text: &str) -> Vec<Glyphs> {
    let mut all = Vec::new();
    let mut current = Glyphs::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, number) in text.lines().zip(1_u64..) {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim().is_empty() {
            if !current.is_blank() {
                all.push(std::mem::take(&mut current));
            }
            current = Glyphs::default();
            continue;
        }
        current.push(line, number);
    }
    if !current.is_blank() {
        all.push(current);
    }
    all
}

impl Glyphs {
    fn push(&mut self, text: &str, line: u64) {
        let mut chars = text.chars();
        let mut put = |c: char, plain: bool| self.0.push(Glyph { c, plain, line });
        while let Some(c) = chars.next() {
            if c != '\\' {
                put(c, true);
                continue;
            }
            match chars.next() {
                Some('n') => put('\n', false),
                Some(
                    escaped @ ('~' | '=' | '#' | '{' | '}' | ':' | '\\' | '*' | '%' | '-' | '['),
                ) => {
                    put(escaped, false);
                }
                // Formulas are full of other words behind a backslash.
                Some(other) => {
                    put('\\', false);
                    put(other, false);
                }
                None => put('\\', false),
            }
        }
        put('\n', true);
    }

    /// The line on which it begins.
    pub(super) fn line(&self) -> u64 {
        let first = self.0.iter().find(|glyph| !glyph.c.is_whitespace());
        first.or(self.0.first()).map_or(0, |glyph| glyph.line)
    }

    /// Something is wrong with it.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            line: self.line(),
            message: message.into(),
        }
    }

    /// This, or the other if there is nothing to see in this.
    pub(super) fn or<'g>(&'g self, other: &'g Self) -> &'g Self {
        if self.is_blank() { other } else { self }
    }

    /// Everything, escaped or not.
    pub(super) fn raw(&self) -> String {
        self.0
            .iter()
            .map(|glyph| glyph.c)
            .collect::<String>()
            .trim()
            .to_owned()
    }

    /// What it says: lines that were only broken to be read well stay lines.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|glyph| glyph.c).collect()
    }

    pub(super) fn is_blank(&self) -> bool {
        self.0
            .iter()
            .all(|glyph| glyph.c.is_whitespace() && glyph.plain)
    }

    pub(super) fn trimmed(&self) -> Self {
        let blank = |glyph: &&Glyph| glyph.plain && glyph.c.is_whitespace();
        let before = self.0.iter().take_while(blank).count();
        let after = self.0.iter().rev().take_while(blank).count();
        let end = self.0.len().saturating_sub(after);
        Self(self.0.get(before..end).unwrap_or_default().to_vec())
    }

    fn begins(glyphs: &[Glyph], mark: &str) -> bool {
        let mut chars = mark.chars();
        let fits = |(glyph, c): (&Glyph, char)| glyph.plain && glyph.c == c;
        glyphs.len() >= chars.clone().count() && glyphs.iter().zip(chars.by_ref()).all(fits)
    }

    /// What follows `mark`, if it begins so.
    pub(super) fn after(&self, mark: &str) -> Option<Self> {
        let length = mark.chars().count();
        Self::begins(&self.0, mark).then(|| Self(self.0.get(length..).unwrap_or_default().to_vec()))
    }

    /// What stands before and behind the first `mark` that is not escaped.
    pub(super) fn split_at_plain(&self, mark: &str) -> Option<(Self, Self)> {
        let length = mark.chars().count();
        let place = (0..self.0.len())
            .find(|place| Self::begins(self.0.get(*place..).unwrap_or_default(), mark))?;
        let before = self.0.get(..place)?.to_vec();
        let behind = self.0.get(place + length..)?.to_vec();
        Some((Self(before), Self(behind)))
    }

    /// The pieces that begin with one of `marks`, each with its mark, and what stands before the
    /// first.
    pub(super) fn pieces(&self, marks: &[char]) -> (Self, Vec<(char, Self)>) {
        let mut first = Self::default();
        let mut pieces: Vec<(char, Self)> = Vec::new();
        for glyph in &self.0 {
            if glyph.plain && marks.contains(&glyph.c) {
                pieces.push((glyph.c, Self::default()));
            } else if let Some((_, piece)) = pieces.last_mut() {
                piece.0.push(*glyph);
            } else {
                first.0.push(*glyph);
            }
        }
        (first, pieces)
    }

    /// Takes `[html]` and the like from the front.
    pub(super) fn form(&self) -> (Option<Form>, Self) {
        let all = self.trimmed();
        for (mark, form) in [
            ("[html]", Form::Html),
            ("[markdown]", Form::Markdown),
            ("[plain]", Form::Plain),
            // Moodle's own form is HTML with what people type.
            ("[moodle]", Form::Markdown),
        ] {
            if let Some(rest) = all.after(mark) {
                return (Some(form), rest.trimmed());
            }
        }
        (None, all)
    }

    /// Whether a star stands here that has its meaning.
    pub(super) fn has_star(&self) -> bool {
        self.0.iter().any(|glyph| glyph.plain && glyph.c == '*')
    }
}
