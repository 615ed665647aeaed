//! What an attempt looks like to who takes it.

use serde_json::Value as Json;

use super::model::{Asked, Reviewed, Row, Saved, Sheet};
use super::store::{self, Answered};
use super::stored_answer;
use crate::app::Cx;
use crate::error::Result;
use crate::quizzes::Body;
use crate::quizzes::answer::Layout;
use crate::quizzes::grading::grade;

/// The attempt; with `review`, also what came of it and what is right.
pub(super) fn of(cx: &mut Cx<'_, '_>, row: Row, review: bool) -> Result<Sheet> {
    let answers = store::answers(cx.tx, &row.id)?;
    let questions = answers.iter().map(|answered| asked(&row, answered));
    let questions = questions.collect::<Result<Vec<_>>>()?;
    let reviewed = answers.iter().map(|answered| reviewed(&row, answered));
    let review = if review {
        Some(reviewed.collect::<Result<Vec<_>>>()?)
    } else {
        None
    };
    Ok(Sheet {
        attempt: row.told(cx.now),
        now: cx.now,
        questions,
        review,
    })
}

/// In which order a question is shown.
pub(super) fn layout(row: &Row, answered: &Answered) -> Layout {
    let place = &answered.place;
    Layout::shown(&place.question.body, &place.id, row.seed, row.shuffled)
}

/// What is stored of an answer, as who gave it sees it.
pub(super) fn saved(row: &Row, answered: &Answered) -> Result<Saved> {
    let answer = stored_answer(answered)?;
    Ok(Saved {
        seq: answered.seq,
        answer: answer.map_or(Json::Null, |answer| answer.written(&layout(row, answered))),
        saved_at: answered.saved_at,
    })
}

fn asked(row: &Row, answered: &Answered) -> Result<Asked> {
    let place = &answered.place;
    let question = &place.question;
    let texts = question.body.movables();
    let layout = layout(row, answered);
    let shown = layout.places().filter_map(|place| texts.get(place));
    let prompts = match &question.body {
        Body::Matching { pairs, .. } => pairs.iter().map(|pair| pair.prompt.clone()).collect(),
        Body::Single { .. }
        | Body::Multiple { .. }
        | Body::TrueFalse { .. }
        | Body::Numeric { .. }
        | Body::Short { .. }
        | Body::Ordering { .. }
        | Body::Essay {}
        | Body::Description {} => Vec::new(),
    };
    Ok(Asked {
        id: place.id.clone(),
        kind: question.body.kind(),
        text: question.text.clone(),
        format: question.format,
        points: question.points,
        choices: shown.map(|text| (*text).to_owned()).collect(),
        prompts,
        saved: saved(row, answered)?,
    })
}

fn reviewed(row: &Row, answered: &Answered) -> Result<Reviewed> {
    let question = &answered.place.question;
    let answer = stored_answer(answered)?;
    let graded = grade(&question.body, question.points, answer.as_ref());
    let right = question.body.right();
    Ok(Reviewed {
        id: answered.place.id.clone(),
        earned: answered.points,
        right: right.map_or(Json::Null, |right| right.written(&layout(row, answered))),
        feedback: graded.feedback,
        explanation: question.explanation.clone(),
        comment: answered.comment.clone(),
    })
}
