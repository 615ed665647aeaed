//! What is right, by the sort of question.

use super::texts::Texts;
use super::{Element, Fault, is_set};
use crate::quizzes::Percent;
use crate::quizzes::decimal::Number;
use crate::quizzes::pattern::Pattern;
use crate::quizzes::question::{Body, Choice, NumericAnswer, Pair, ShortAnswer, all};

/// Reads it.
///
/// # Errors
/// What cannot be taken in.
pub(super) fn read(
    question: Element<'_, '_>,
    kind: &str,
    texts: Texts,
    notes: &mut Vec<Fault>,
) -> Result<Body, Fault> {
    match kind {
        "multichoice" => choices(question, texts),
        "truefalse" => flag(question, texts),
        "shortanswer" => short(question, texts),
        "numerical" => numeric(question, texts, notes),
        "matching" => matching(question, texts),
        "ordering" => ordering(question, texts, notes),
        "essay" => Ok(essay(question, notes)),
        "description" => Ok(Body::Description {}),
        other => Err(question.fault(format!(
            "a question of the sort {other:?} cannot be taken in"
        ))),
    }
}

fn choices(question: Element<'_, '_>, texts: Texts) -> Result<Body, Fault> {
    let choices = question.children("answer").map(|answer| {
        Ok(Choice {
            text: texts.shown(answer)?,
            credit: answer.fraction()?,
            feedback: texts.feedback(answer)?,
        })
    });
    let choices = choices.collect::<Result<_, Fault>>()?;
    Ok(
        if question.child("single").is_none() || is_set(question, "single") {
            Body::Single { choices }
        } else {
            Body::Multiple { choices }
        },
    )
}

fn flag(question: Element<'_, '_>, texts: Texts) -> Result<Body, Fault> {
    let said = |word: &str| {
        let mut answers = question.children("answer");
        let answer = answers.find(|it| it.text().eq_ignore_ascii_case(word));
        answer.ok_or_else(|| question.fault(format!("there is no answer {word:?}")))
    };
    let (yes, no) = (said("true")?, said("false")?);
    let correct = match (yes.fraction()? == all(), no.fraction()? == all()) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => {
            return Err(question.fault("one of true and false must have the fraction 100"));
        }
    };
    Ok(Body::TrueFalse {
        correct,
        if_true: texts.feedback(yes)?,
        if_false: texts.feedback(no)?,
    })
}

fn short(question: Element<'_, '_>, texts: Texts) -> Result<Body, Fault> {
    let answers = question.children("answer").map(|answer| {
        Ok(ShortAnswer {
            pattern: pattern(&answer.text()),
            credit: answer.fraction()?,
            feedback: texts.feedback(answer)?,
        })
    });
    Ok(Body::Short {
        answers: answers.collect::<Result<_, Fault>>()?,
        case: is_set(question, "usecase"),
    })
}

/// In Moodle a star stands for anything, and `\*` for a star.
fn pattern(text: &str) -> Pattern {
    let parts: Vec<&str> = text.split(r"\*").collect();
    let literal = parts.join("*");
    match (parts.iter().any(|part| part.contains('*')), parts.len()) {
        (false, _) => Pattern::Text(literal),
        (true, 1) => Pattern::Wildcard(literal),
        (true, _) => {
            let wild = |part: &&str| part.split('*').map(regex::escape).collect::<Vec<_>>();
            let parts = parts.iter().map(|part| wild(part).join(".*"));
            Pattern::Regex(parts.collect::<Vec<_>>().join(r"\*"))
        }
    }
}

fn numeric(question: Element<'_, '_>, texts: Texts, notes: &mut Vec<Fault>) -> Result<Body, Fault> {
    if let Some(units) = question.child("units") {
        let graded = question.child("unitgradingtype");
        if graded.is_some_and(|it| !matches!(it.word().as_str(), "" | "0")) {
            return Err(units.fault("the unit is graded, too, which cannot be taken in"));
        }
        notes.push(units.fault("units are left out: what is answered is a number alone"));
    }
    let number = |element: Element<'_, '_>, text: &str| {
        let read = text.parse::<Number>();
        read.map_err(|_| element.fault(format!("{text:?} is no number")))
    };
    let (mut answers, mut otherwise) = (Vec::new(), None);
    for answer in question.children("answer") {
        let (text, credit) = (answer.text(), answer.fraction()?);
        let feedback = texts.feedback(answer)?;
        if text == "*" {
            if credit > Percent::default() {
                return Err(answer.fault("any number at all is given points for"));
            }
            otherwise = feedback;
            continue;
        }
        let tolerance = answer.child("tolerance").map(|it| (it, it.word()));
        answers.push(NumericAnswer {
            value: number(answer, &text)?,
            tolerance: match tolerance {
                Some((element, text)) if !text.is_empty() => number(element, &text)?,
                Some(_) | None => Number::default(),
            },
            credit,
            feedback,
        });
    }
    Ok(Body::Numeric { answers, otherwise })
}

fn matching(question: Element<'_, '_>, texts: Texts) -> Result<Body, Fault> {
    let (mut pairs, mut extra) = (Vec::new(), Vec::new());
    for pair in question.children("subquestion") {
        let answer = pair.child("answer").map(Element::text);
        let answer = answer.filter(|it| !it.is_empty());
        let answer = answer.ok_or_else(|| pair.fault("there is no <answer> to it"))?;
        let answer = texts.plain(&answer);
        let prompt = texts.shown(pair)?;
        if prompt.is_empty() {
            extra.push(answer);
        } else {
            pairs.push(Pair { prompt, answer });
        }
    }
    Ok(Body::Matching { pairs, extra })
}

fn ordering(
    question: Element<'_, '_>,
    texts: Texts,
    notes: &mut Vec<Fault>,
) -> Result<Body, Fault> {
    let word = |name: &str| question.child(name).map(|it| (it, it.word()));
    if let Some((element, _)) = word("selecttype").filter(|(_, it)| it != "ALL" && it != "0") {
        notes.push(element.fault("all items are asked, not some of them"));
    }
    let usual = |it: &str| it == "ABSOLUTE_POSITION" || it == "0";
    if let Some((element, _)) = word("gradingtype").filter(|(_, it)| !usual(it)) {
        notes.push(element.fault("each item at its place gives an equal part of the points"));
    }
    let items = question.children("answer").map(|it| texts.shown(it));
    Ok(Body::Ordering {
        items: items.collect::<Result<_, Fault>>()?,
    })
}

fn essay(question: Element<'_, '_>, notes: &mut Vec<Fault>) -> Body {
    let files = question.child("attachments");
    if let Some(files) = files.filter(|it| !matches!(it.word().as_str(), "" | "0")) {
        notes.push(files.fault("no files can be handed in with an essay"));
    }
    for (name, what) in [
        ("responsetemplate", "the text to begin with"),
        ("graderinfo", "what is told to who grades it"),
    ] {
        if let Some(element) = question.child(name).filter(|it| !it.text().is_empty()) {
            notes.push(element.fault(format!("{what} is left out")));
        }
    }
    Body::Essay {}
}
