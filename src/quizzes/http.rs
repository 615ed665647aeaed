//! Quizzes over HTTP.

use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::{Imported, Place, Quiz, Source, form};
use crate::app::Cx;
use crate::courses::Slug;
use crate::error::{Error, Fault, Result};
use crate::http::extract::{self, Json, Query};
use crate::http::version::Known;
use crate::http::{Caller, Problems, Routes, routes};
use crate::page::{Page, Part};

/// A file may have so many bytes (security.md §2.8).
const LARGEST: usize = 10 * 1024 * 1024;

/// Files that are on their way in at the same time: each is held in memory until it is stored.
const UPLOADS: usize = 4;

/// More faults or notes than this are not told.
const TOLD: usize = 1000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list))
        .with(routes!(show))
        .with(routes!(questions))
        .with(routes!(put))
        .with(routes!(export))
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

/// How a file is taken in.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// What the quiz is called; for GIFT and Moodle XML, which do not say it. Without it, as it was; a
    /// new one is called by its slug.
    title: Option<String>,
    /// Leave out questions that cannot be taken in, and tell which; for GIFT and Moodle XML.
    #[serde(default)]
    #[param(value_type = Option<bool>, default = false)]
    partly: bool,
    /// Only tell what would be done.
    #[serde(default)]
    #[param(value_type = Option<bool>, default = false)]
    dry_run: bool,
}

/// Make a quiz, or correct it, from a file
///
/// The body is the file, 10 MiB at most: TOML, as `GET /quizzes/{id}/export` gives it, Moodle's GIFT or
/// Moodle XML, as its `Content-Type` says. Questions are known by their names: one that is there is
/// corrected in its place and keeps what people answered; nothing is graded anew. Everything that is
/// wrong is told at once, each with its line, and then nothing is changed. For who manages the course.
#[utoipa::path(put, path = "/api/v1/courses/{id}/quizzes/{slug}", operation_id = "put_quiz", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course's id or slug", example = "operating-provost"),
        ("slug" = String, Path, description = "The quiz's name within the course", example = "week-1"), Wanted,
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the quiz as it is known: 412 if it has changed")),
    request_body(content((String = "application/toml"), (String = "text/x-gift"), (String = "application/xml")), description = "The file"),
    responses((status = 200, description = "what was done, or would be", body = Imported),
        (status = 201, description = "a new quiz", body = Imported, headers(("Location", description = "The path of the quiz"))), Problems))]
async fn put(
    caller: Caller,
    known: Known,
    Path((id, slug)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
    request: Request,
) -> Result<Response> {
    static SLOTS: Semaphore = Semaphore::const_new(UPLOADS);
    let slug: Slug = slug.parse()?;
    // Before a byte of it is read: nobody fills the memory who may not.
    let course = id.clone();
    let look = caller.clone();
    look.read(move |cx| super::may_take_in(cx, &course)).await?;
    let source = source(&request)?;
    if source == Source::Toml && (wanted.title.is_some() || wanted.partly) {
        let field = if wanted.partly { "partly" } else { "title" };
        return Err(Error::invalid(field, "is for GIFT and Moodle XML"));
    }
    let slot = extract::place_of(&SLOTS).await?;
    let bytes = extract::file(request, LARGEST).await?;
    let draft = tokio::task::spawn_blocking({
        let slug = slug.clone();
        move || {
            let text = std::str::from_utf8(&bytes);
            let text = text.map_err(|_| Error::invalid("body", "is not in UTF-8"))?;
            let read = source.read(text, slug.as_str(), wanted.partly);
            let read = read.map_err(|faults| Error::FilesRefused {
                faults: faults
                    .into_iter()
                    .take(TOLD)
                    .map(|it| Fault::new("body", it.line, it.message))
                    .collect(),
            });
            // The place goes with the work, which goes on when the client has gone.
            read.map(|draft| (draft, slot))
        }
    });
    let (mut draft, _slot) = draft.await.map_err(Error::internal)??;
    draft.notes.truncate(TOLD);
    let Wanted { title, dry_run, .. } = wanted;
    let take_in = move |cx: &mut Cx<'_, '_>| {
        // Nobody else changes it from here on: what is checked is what is replaced.
        let gate = crate::courses::manage(cx, &id)?;
        match super::get(cx, &format!("{}/{slug}", gate.id)) {
            Err(Error::NotFound { .. }) => known.check_place(None::<&String>)?,
            there => known.check(&there?)?,
        }
        super::take_in(cx, &id, &slug, &draft, title.as_deref(), dry_run)
    };
    let imported = if dry_run {
        caller.read(take_in).await?
    } else {
        caller.write(take_in).await?
    };
    let location = imported
        .id
        .as_ref()
        .map(|id| format!("/api/v1/quizzes/{id}"));
    let mut response = Json(&imported).into_response();
    if let Some(location) = location.filter(|_| imported.created) {
        *response.status_mut() = StatusCode::CREATED;
        let location = HeaderValue::try_from(location).map_err(Error::internal)?;
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// In which form the body of a request is.
fn source(request: &Request) -> Result<Source> {
    let given = request.headers().get(CONTENT_TYPE);
    let given = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default();
    let source = Source::of_media_type(&given.trim().to_ascii_lowercase());
    source.ok_or(Error::UnsupportedMediaType {
        expected: "application/toml, text/x-gift or application/xml",
    })
}

/// Write a quiz down
///
/// As TOML, with what is right: to be corrected and taken in again. For who manages the course; to
/// others it is not there.
#[utoipa::path(get, path = "/api/v1/quizzes/{id}/export", operation_id = "export_quiz", tag = "quizzes", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The quiz's id, or its first characters", example = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")),
    responses((status = 200, description = "the file", body = String, content_type = "application/toml"), Problems))]
async fn export(caller: Caller, Path(id): Path<String>) -> Result<Response> {
    let (slug, text) = caller
        .read(move |cx| {
            let (settings, questions) = super::export(cx, &id)?;
            let slug = super::get(cx, &id)?.slug;
            Ok((slug, form::write(&settings, questions.iter())?))
        })
        .await?;
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/toml"));
    let saved = format!("attachment; filename=\"{slug}.toml\"");
    let saved = HeaderValue::try_from(saved).map_err(Error::internal)?;
    headers.insert(CONTENT_DISPOSITION, saved);
    Ok(response)
}
