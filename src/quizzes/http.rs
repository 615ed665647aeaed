//! Quizzes over HTTP.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Place, Quiz};
use crate::app::App;
use crate::error::Result;
use crate::http::extract::{Json, Query};
use crate::http::version::Known;
use crate::http::{Caller, Problems};
use crate::page::{Page, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(questions))
}

/// List the quizzes of a course
///
/// In the order of their slugs; for whom the course is readable.
#[utoipa::path(get, path = "/api/v1/courses/{id}/quizzes", operation_id = "list_quizzes", tag = "quizzes", params(("id" = String, Path, description = "The course's id or slug", example = "operating-provost"), Part), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Quiz>), Problems))]
async fn list(
    caller: Caller,
    Path(id): Path<String>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let page = caller
        .read(move |cx| super::list(cx, &id, part.cursor.as_deref(), part.limit.get()))
        .await?;
    Ok(Json(page))
}

/// Show a quiz
///
/// How it is taken; nothing of what is asked in it.
#[utoipa::path(get, path = "/api/v1/quizzes/{id}", operation_id = "show_quiz", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the quiz", body = Quiz, headers(("ETag", description = "The version of the quiz"))),
        (status = 304, description = "as it was"), Problems))]
async fn show(caller: Caller, known: Known, Path(id): Path<String>) -> Result<Response> {
    known.answer(&caller.read(move |cx| super::get(cx, &id)).await?)
}

/// Show what a quiz asks
///
/// With what is right: for who manages the course. To others it is not there.
#[utoipa::path(get, path = "/api/v1/quizzes/{id}/questions", operation_id = "list_questions", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")),
    responses((status = 200, description = "all of them, in the author's order", body = Page<Place>), Problems))]
async fn questions(caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    let items = caller.read(move |cx| super::questions(cx, &id)).await?;
    Ok(Json(Page { items, next: None }))
}
