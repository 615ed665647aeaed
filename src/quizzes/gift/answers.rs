//! What stands between the braces of a question in GIFT.

use super::Fault;
use super::glyphs::Glyphs;
use crate::quizzes::decimal::{Fixed, Number, Percent};
use crate::quizzes::pattern::Pattern;
use crate::quizzes::question::{Body, Choice, NumericAnswer, Pair, ShortAnswer, all};

/// What the braces say.
pub(super) struct Parsed {
    pub(super) body: Body,
    pub(super) explanation: Option<String>,
}

impl Parsed {
    pub(super) const fn bare(body: Body) -> Self {
        Self {
            body,
            explanation: None,
        }
    }
}

/// Reads it.
pub(super) fn read(inner: &Glyphs) -> Result<Parsed, Fault> {
    let (inner, explanation) = match inner.split_at_plain("####") {
        Some((inner, general)) => (inner, words(&general)),
        None => (inner.clone(), None),
    };
    let inner = inner.trimmed();
    let body = if inner.is_blank() {
        Body::Essay {}
    } else if let Some(numeric) = inner.after("#") {
        self::numeric(&numeric)?
    } else if let Some(body) = flag(&inner) {
        body
    } else if inner.split_at_plain("~").is_some() {
        choices(&inner)?
    } else if inner.split_at_plain("=").is_some() && inner.split_at_plain("->").is_some() {
        matching(&inner)?
    } else {
        short(&inner)?
    };
    Ok(Parsed { body, explanation })
}

/// The text without its form and the space around it; none if nothing is left.
fn words(glyphs: &Glyphs) -> Option<String> {
    let (_, rest) = glyphs.form();
    let text = rest.text().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// One answer: its weight, itself, what is said to it.
struct Piece {
    mark: char,
    weight: Option<Percent>,
    glyphs: Glyphs,
    feedback: Option<String>,
}

impl Piece {
    fn read(mark: char, piece: &Glyphs) -> Result<Self, Fault> {
        let (answer, feedback) = match piece.split_at_plain("#") {
            Some((answer, feedback)) => (answer, words(&feedback)),
            None => (piece.clone(), None),
        };
        let answer = answer.trimmed();
        let (weight, answer) = match answer.after("%") {
            None => (None, answer),
            Some(rest) => {
                let Some((weight, answer)) = rest.split_at_plain("%") else {
                    return Err(answer.fault("a weight must stand between two signs: %50%"));
                };
                let number = weight.text().parse::<Percent>();
                let number = number.map_err(|_| {
                    answer
                        .or(piece)
                        .fault(format!("{:?} is no weight", weight.raw()))
                })?;
                (Some(number), answer)
            }
        };
        Ok(Self {
            mark,
            weight,
            glyphs: answer.form().1,
            feedback,
        })
    }

    fn text(&self) -> String {
        self.glyphs.text().trim().to_owned()
    }
}

fn pieces(inner: &Glyphs, marks: &[char]) -> Result<Vec<Piece>, Fault> {
    let (first, pieces) = inner.pieces(marks);
    if !first.is_blank() {
        return Err(first.fault(format!(
            "{:?} stands before the first answer: an answer begins with = or ~",
            first.raw()
        )));
    }
    pieces
        .iter()
        .map(|(mark, piece)| Piece::read(*mark, piece))
        .collect()
}

/// `{T}`, and `{F#to who is wrong#to who is right}`.
fn flag(inner: &Glyphs) -> Option<Body> {
    let (word, said) = inner.pieces(&['#']);
    let correct = match word.raw().to_uppercase().as_str() {
        "T" | "TRUE" => true,
        "F" | "FALSE" => false,
        _ => return None,
    };
    let mut said = said.iter().map(|(_, text)| words(text));
    let wrong = said.next().flatten();
    let right = said.next().flatten();
    let (if_true, if_false) = if correct {
        (right, wrong)
    } else {
        (wrong, right)
    };
    Some(Body::TrueFalse {
        correct,
        if_true,
        if_false,
    })
}

/// With an `=` one of them is to be chosen, without any number.
fn choices(inner: &Glyphs) -> Result<Body, Fault> {
    let pieces = pieces(inner, &['~', '='])?;
    let single = pieces.iter().any(|piece| piece.mark == '=');
    let choices = pieces
        .into_iter()
        .map(|piece| Choice {
            text: piece.text(),
            credit: piece.weight.unwrap_or(if piece.mark == '=' {
                all()
            } else {
                Percent::default()
            }),
            feedback: piece.feedback,
        })
        .collect();
    Ok(if single {
        Body::Single { choices }
    } else {
        Body::Multiple { choices }
    })
}

fn short(inner: &Glyphs) -> Result<Body, Fault> {
    // A lone answer needs no mark.
    let pieces = match inner.split_at_plain("=") {
        Some(_) => pieces(inner, &['='])?,
        None => vec![Piece::read('=', inner)?],
    };
    let answers = pieces.into_iter().map(|piece| {
        let text = piece.text();
        ShortAnswer {
            credit: piece.weight.unwrap_or_else(all),
            pattern: if piece.glyphs.has_star() {
                Pattern::Wildcard(text)
            } else {
                Pattern::Text(text)
            },
            feedback: piece.feedback,
        }
    });
    Ok(Body::Short {
        answers: answers.collect(),
        case: false,
    })
}

fn matching(inner: &Glyphs) -> Result<Body, Fault> {
    let (mut pairs, mut extra) = (Vec::new(), Vec::new());
    let (first, pieces) = inner.pieces(&['=']);
    if !first.is_blank() {
        return Err(first.fault("a pair begins with ="));
    }
    for (_, piece) in pieces {
        let Some((prompt, answer)) = piece.split_at_plain("->") else {
            return Err(piece.fault(format!("{:?} has no -> and an answer", piece.raw())));
        };
        let Some(answer) = words(&answer) else {
            return Err(piece.fault("there is no answer behind ->"));
        };
        match words(&prompt) {
            Some(prompt) => pairs.push(Pair { prompt, answer }),
            None => extra.push(answer),
        }
    }
    Ok(Body::Matching { pairs, extra })
}

fn numeric(inner: &Glyphs) -> Result<Body, Fault> {
    let mut otherwise = None;
    let mut answers = Vec::new();
    let (first, marked) = inner.pieces(&['=', '~']);
    let mut pieces = Vec::with_capacity(marked.len() + 1);
    // The first answer needs no mark.
    if !first.is_blank() {
        pieces.push(Piece::read('=', &first)?);
    }
    for (mark, piece) in marked {
        pieces.push(Piece::read(mark, &piece)?);
    }
    for piece in pieces {
        let text = piece.text();
        if piece.mark == '~' || text == "*" {
            if piece.mark == '~' && !text.is_empty() && text != "*" {
                let message = "a wrong number needs no answer of its own: ~ must be followed by # and \
                               what is said to it";
                return Err(piece.glyphs.fault(message));
            }
            otherwise = piece.feedback;
            continue;
        }
        let range = range(&text).ok_or_else(|| {
            piece
                .glyphs
                .or(inner)
                .fault(format!("{text:?} is no number: write 3, 3:0.5 or 2.5..3.5"))
        })?;
        answers.push(NumericAnswer {
            value: range.0,
            tolerance: range.1,
            credit: piece.weight.unwrap_or_else(all),
            feedback: piece.feedback,
        });
    }
    Ok(Body::Numeric { answers, otherwise })
}

/// A number and how far from it still counts: of `5`, `5:2`, `3..7`.
fn range(text: &str) -> Option<(Number, Number)> {
    if let Some((low, high)) = text.split_once("..") {
        let (low, high): (Number, Number) = (low.parse().ok()?, high.parse().ok()?);
        let half = (high.0 - low.0) / 2;
        // Where the middle has a digit too many, the lower end is kept and nothing is lost but it.
        return (half >= 0).then_some((Fixed(low.0 + half), Fixed(half)));
    }
    match text.split_once(':') {
        Some((value, tolerance)) => Some((value.parse().ok()?, tolerance.parse().ok()?)),
        None => Some((text.parse().ok()?, Number::default())),
    }
}
