//! Attempts and grades over HTTP.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{Allowance, Attempt, Filter, Grade, Regraded, Saved, Sheet, State};
use crate::error::{Error, Result};
use crate::http::extract::{Json, MaybePosted, Query};
use crate::http::{Caller, Place, Problems};
use crate::http::{Routes, routes, version};
use crate::page::{Limit, Page, Part};
use crate::quizzes::Points;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list, start))
        .with(routes!(show))
        .with(routes!(answer))
        .with(routes!(submit))
        .with(routes!(mark))
        .with(routes!(allowance, allow))
        .with(routes!(regrade))
        .with(routes!(grades))
}

/// Which attempts to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this user, by any name; others than oneself only for who oversees the course.
    user: Option<String>,
    /// In this state.
    state: Option<State>,
    /// Only those that were handed in and wait for a person to grade them.
    #[serde(default)]
    #[param(value_type = Option<bool>, default = false)]
    waiting: bool,
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// List the attempts at a quiz
///
/// The newest first: one's own, or everybody's for who manages the course, and for programs with
/// `course:read`, which see what they came to and not what was answered.
#[utoipa::path(get, path = "/api/v1/quizzes/{id}/attempts", operation_id = "list_attempts", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77"), Wanted),
    responses((status = 200, description = "a page", body = Page<Attempt>), Problems))]
async fn list(
    caller: Caller,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse> {
    let Wanted {
        user,
        state,
        waiting,
        limit,
        cursor,
    } = wanted;
    let filter = Filter {
        user,
        state,
        waiting,
    };
    let page = caller
        .read(move |cx| super::list(cx, &id, &filter, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// Nothing more needs to be said.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Start {}

/// Begin an attempt
///
/// Or go on with the one that is under way. The deadline is fixed here, by the clock of the server.
/// For who is enrolled in the course.
#[utoipa::path(post, path = "/api/v1/quizzes/{id}/attempts", operation_id = "start_attempt", tag = "quizzes", request_body = Option<Start>, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "begun", body = Sheet, headers(("Location", description = "The path of the attempt"), ("ETag", description = "The version of the attempt"))), Problems))]
async fn start(
    caller: Caller,
    Path(id): Path<String>,
    MaybePosted(posted): MaybePosted<Start>,
) -> Result<Response> {
    caller
        .create(posted, place, move |cx, _| super::start(cx, &id))
        .await
}

fn place(sheet: &Sheet) -> Result<Place> {
    Ok(Place {
        location: format!("/api/v1/attempts/{}", sheet.attempt.id),
        etag: version::etag(sheet)?,
    })
}

/// Show an attempt
///
/// What is asked and what is stored of the answers; what is right only when it is over. Attempts of
/// others are there only for who manages the course.
#[utoipa::path(get, path = "/api/v1/attempts/{id}", operation_id = "show_attempt", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The attempt's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")),
    responses((status = 200, description = "the attempt", body = Sheet), Problems))]
async fn show(caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    let sheet = caller.read(move |cx| super::get(cx, &id)).await?;
    Ok(Json(sheet))
}

/// An answer.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Given {
    /// A number that grows with every answer that the client sends to the question, from 1.
    #[schema(minimum = 1)]
    seq: i64,
    /// The answer: the number of a choice, from 0; a list of them; true or false; text; for each
    /// prompt the number of a choice, or null; the numbers of all items in their order. Null takes
    /// an answer back.
    #[schema(value_type = Option<Object>)]
    answer: Value,
}

/// Store an answer
///
/// Tells what is stored then: this answer, or one with a number as high or higher. Sending it again
/// changes nothing.
#[utoipa::path(put, path = "/api/v1/attempts/{id}/answers/{question}", operation_id = "put_answer", tag = "quizzes", request_body = Given, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The attempt's id", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77"),
        ("question" = String, Path, description = "The question's id", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e78")),
    responses((status = 200, description = "what is stored", body = Saved),
        (status = 409, description = "The attempt is over"), Problems))]
async fn answer(
    caller: Caller,
    Path((id, question)): Path<(String, String)>,
    Json(given): Json<Given>,
) -> Result<impl IntoResponse> {
    let saved = caller
        .write(move |cx| super::answer(cx, &id, &question, given.seq, &given.answer))
        .await?;
    Ok(Json(saved))
}

/// Hand an attempt in
///
/// It is graded at once, but for what a person has to grade. Handing in twice is handing in once.
#[utoipa::path(post, path = "/api/v1/attempts/{id}/submit", operation_id = "submit_attempt", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The attempt's id", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")),
    responses((status = 200, description = "what came of it", body = Sheet), Problems))]
async fn submit(caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    let sheet = caller.write(move |cx| super::submit(cx, &id)).await?;
    Ok(Json(sheet))
}

/// What a person gives for an answer.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerMark {
    /// How many points.
    #[schema(value_type = f64)]
    points: Points,
    /// Why.
    #[serde(default)]
    comment: Option<String>,
}

/// Grade an answer by hand
///
/// For who manages the course: an essay, or what a rule got wrong. No rule grades it again.
#[utoipa::path(put, path = "/api/v1/attempts/{id}/answers/{question}/points", operation_id = "mark_answer", tag = "quizzes", request_body = AnswerMark, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The attempt's id", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77"),
        ("question" = String, Path, description = "The question's id", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e78")),
    responses((status = 200, description = "the attempt", body = Attempt), Problems))]
async fn mark(
    caller: Caller,
    Path((id, question)): Path<(String, String)>,
    Json(mark): Json<AnswerMark>,
) -> Result<impl IntoResponse> {
    let attempt = caller
        .write(move |cx| super::mark(cx, &id, &question, mark.points, mark.comment.as_deref()))
        .await?;
    Ok(Json(attempt))
}

/// Show what one person is allowed
///
/// Beyond others. For who manages the course.
#[utoipa::path(get, path = "/api/v1/quizzes/{id}/allowances/{user}", operation_id = "show_allowance", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77"),
        ("user" = String, Path, description = "The id, or any name of the account", example = "maria")),
    responses((status = 200, description = "what is allowed", body = Allowance), Problems))]
async fn allowance(
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> Result<impl IntoResponse> {
    let allowance = caller
        .read(move |cx| super::allowance(cx, &id, &user))
        .await?;
    Ok(Json(allowance))
}

/// Allow one person more
///
/// Time, also for an attempt that is under way, and attempts. For who manages the course.
#[utoipa::path(put, path = "/api/v1/quizzes/{id}/allowances/{user}", operation_id = "allow_more", tag = "quizzes", request_body = Allowance, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77"),
        ("user" = String, Path, description = "The id, or any name of the account", example = "maria")),
    responses((status = 200, description = "what is allowed now", body = Allowance), Problems))]
async fn allow(
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
    Json(allowance): Json<Allowance>,
) -> Result<impl IntoResponse> {
    let allowed = caller
        .write(move |cx| super::allow(cx, &id, &user, &allowance))
        .await?;
    Ok(Json(allowed))
}

/// Grade all attempts anew
///
/// Those at a quiz that are over, after a question was corrected. What a person has graded stays. For
/// who manages the course.
#[utoipa::path(post, path = "/api/v1/quizzes/{id}/regrade", operation_id = "regrade_quiz", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")),
    responses((status = 200, description = "how many there are, and how many have other points now", body = Regraded), Problems))]
async fn regrade(caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    static ONE: Semaphore = Semaphore::const_new(1);
    // It may take minutes, and everybody's workflows have two places together.
    let one = ONE.try_acquire();
    let one = one.map_err(|_| Error::unavailable("another regrading is under way"))?;
    let done = caller
        .work(move |app, actor| {
            // It goes with the work, which goes on when the client has gone.
            let _one = one;
            super::regrade_all(app, actor, &id)
        })
        .await?;
    Ok(Json(done))
}

/// List the grades of a course
///
/// One for each person and quiz that has an attempt, by the rule of the quiz. For who manages the
/// course, and programs with `course:read`.
#[utoipa::path(get, path = "/api/v1/courses/{id}/grades", operation_id = "list_grades", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course's id or slug", example = "operating-provost"), Part),
    responses((status = 200, description = "a page", body = Page<Grade>), Problems))]
async fn grades(
    caller: Caller,
    Path(id): Path<String>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let page = caller
        .read(move |cx| super::grades(cx, &id, part.cursor.as_deref(), part.limit.get()))
        .await?;
    Ok(Json(page))
}
