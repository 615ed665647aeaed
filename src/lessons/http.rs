//! Lessons and progress over HTTP.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;

use super::{Changes, Lesson, Mark, NewLesson, Progress, Reading, Source, Step};
use crate::courses::{Slug, Title};
use crate::error::{Error, Result};
use crate::http::extract::{Json, Posted, Query};
use crate::http::version::{self, Known};
use crate::http::{Caller, Place, Problems, Routes, routes};
use crate::page::{Page, Part};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list, create))
        .with(routes!(show, update, remove))
        .with(routes!(mark))
        .with(routes!(progress))
}

/// List the lessons of a course
///
/// In their order, without their texts.
#[utoipa::path(get, path = "/api/v1/courses/{id}/lessons", operation_id = "list_lessons", tag = "lessons", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course: slug, id or its first characters", example = "operating-provost"), Part),
    responses((status = 200, description = "a page", body = Page<Lesson>), Problems))]
async fn list(
    caller: Caller,
    Path(id): Path<String>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let Part { limit, cursor } = part;
    let page = caller
        .read(move |cx| super::list(cx, &id, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// A lesson to be made.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct LessonBody {
    /// Its name in addresses; without one it is made from the title.
    #[serde(default)]
    slug: Option<Slug>,
    /// What it is called.
    title: Title,
    /// The text, in Markdown.
    #[serde(default)]
    source: Source,
    /// In which module, which is made if it is not there; without one, in the last.
    #[serde(default)]
    module: Option<Slug>,
    /// What a module is to be called that is made.
    #[serde(default)]
    module_title: Option<Title>,
    /// At which place in the module, from 1; without one, at its end.
    #[serde(default)]
    position: Option<u32>,
}

impl LessonBody {
    fn read(self) -> Result<NewLesson> {
        let slug = self.slug.or_else(|| Slug::suggested(self.title.as_str()));
        let slug = slug.ok_or_else(|| {
            Error::invalid("slug", "is missing, and the title does not suggest one")
        })?;
        Ok(NewLesson {
            slug,
            title: self.title,
            source: self.source,
            place: super::Place {
                module: self.module,
                module_title: self.module_title,
                position: self.position,
            },
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "creating takes what may fail")]
fn place(reading: &Reading) -> Result<Place> {
    Ok(Place {
        location: format!("/api/v1/lessons/{}", reading.lesson.id),
        etag: version::etag_as(&reading.lesson.stamp()),
    })
}

/// Make a lesson
///
/// Needs to be the course's author, or `course:write`.
#[utoipa::path(post, path = "/api/v1/courses/{id}/lessons", operation_id = "create_lesson", tag = "lessons", request_body = LessonBody, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course: slug, id or its first characters", example = "operating-provost"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "made", body = Reading, headers(("Location", description = "The path of the lesson"), ("ETag", description = "The version of the lesson"))),
        (status = 409, description = "The slug is taken"), Problems))]
async fn create(
    caller: Caller,
    Path(id): Path<String>,
    posted: Posted<LessonBody>,
) -> Result<Response> {
    let Posted { value, bytes } = posted;
    let value = value.read()?;
    let posted = Posted { value, bytes };
    caller
        .create(posted, place, move |cx, new| super::create(cx, &id, new))
        .await
}

/// Read a lesson
///
/// Its text in Markdown, and as HTML without anything that runs.
#[utoipa::path(get, path = "/api/v1/lessons/{id}", operation_id = "show_lesson", tag = "lessons", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, or its first characters"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the lesson", body = Reading, headers(("ETag", description = "The version of the lesson"))),
        (status = 304, description = "as it was"), Problems))]
async fn show(caller: Caller, known: Known, Path(id): Path<String>) -> Result<Response> {
    let asked = known.has_one();
    let found = caller
        .read(move |cx| {
            if asked {
                let stamp = super::stamp(cx, &id)?;
                if let Some(unchanged) = known.unchanged(&stamp)? {
                    return Ok(Err(unchanged));
                }
            }
            Ok(Ok((super::get(cx, &id)?, known)))
        })
        .await?;
    match found {
        Ok((reading, known)) => known.answer_as(&reading.lesson.stamp(), &reading),
        Err(unchanged) => Ok(unchanged),
    }
}

/// What to change: a member that is not there stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct LessonPatch {
    /// Another name in addresses.
    #[serde(default)]
    slug: Option<Slug>,
    /// Another title.
    #[serde(default)]
    title: Option<Title>,
    /// Another text, in Markdown.
    #[serde(default)]
    source: Option<Source>,
    /// Into which module it moves, which is made if it is not there.
    #[serde(default)]
    module: Option<Slug>,
    /// To which place in its module it moves, from 1; with a module alone, to its end.
    #[serde(default)]
    position: Option<u32>,
}

/// Change or move a lesson
///
/// Needs to be the course's author, or `course:write`.
#[utoipa::path(patch, path = "/api/v1/lessons/{id}", operation_id = "update_lesson", tag = "lessons", request_body = LessonPatch, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, or its first characters"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the lesson as it is known: 412 if it has changed")),
    responses((status = 200, description = "changed", body = Reading, headers(("ETag", description = "The version of the lesson"))), Problems))]
async fn update(
    caller: Caller,
    known: Known,
    Path(id): Path<String>,
    Json(patch): Json<LessonPatch>,
) -> Result<Response> {
    let changes = Changes {
        slug: patch.slug,
        title: patch.title,
        source: patch.source,
    };
    let to = super::Place {
        module: patch.module,
        module_title: None,
        position: patch.position,
    };
    let reading = caller
        .write(move |cx| {
            let reading = super::update_if(cx, &id, &changes, |lesson| {
                known.check_stamp(&lesson.stamp())
            })?;
            if to.module.is_none() && to.position.is_none() {
                return Ok(reading);
            }
            super::move_to(cx, &reading.lesson.id, &to)?;
            super::get(cx, &reading.lesson.id)
        })
        .await?;
    version::changed_as(&reading.lesson.stamp(), &reading)
}

/// Delete a lesson
///
/// With what people have done with it. Needs to be the course's author, or `course:write`.
#[utoipa::path(delete, path = "/api/v1/lessons/{id}", operation_id = "delete_lesson", tag = "lessons", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, or its first characters"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the lesson as it is known: 412 if it has changed")),
    responses((status = 204, description = "deleted"), Problems))]
async fn remove(caller: Caller, known: Known, Path(id): Path<String>) -> Result<StatusCode> {
    caller
        .write(move |cx| super::delete_if(cx, &id, |lesson| known.check_stamp(&lesson.stamp())))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How far one has come.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct MarkBody {
    /// How far; `not_started` begins anew.
    state: Step,
    /// The user, by any name; without one, the person who asks, or the owner of the token.
    #[serde(default)]
    user: Option<String>,
}

/// Note how far somebody has come with a lesson
///
/// The person who asks; others, as the course's author or with `course:write`.
#[utoipa::path(put, path = "/api/v1/lessons/{id}/progress", operation_id = "mark_progress", tag = "lessons", request_body = MarkBody, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, or its first characters")),
    responses((status = 200, description = "noted", body = Mark), Problems))]
async fn mark(
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<MarkBody>,
) -> Result<impl IntoResponse> {
    let mark = caller
        .write(move |cx| super::mark(cx, &id, body.user.as_deref(), body.state))
        .await?;
    Ok(Json(mark))
}

/// Whose progress to show.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// The user, by any name; without one, the person who asks, or the owner of the token.
    user: Option<String>,
}

/// Show how far somebody has come with a course
///
/// The person who asks; others, as its author or with `course:read`.
#[utoipa::path(get, path = "/api/v1/courses/{id}/progress", operation_id = "show_progress", tag = "lessons", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course: slug, id or its first characters", example = "operating-provost"), Whose),
    responses((status = 200, description = "lesson by lesson", body = Progress), Problems))]
async fn progress(
    caller: Caller,
    Path(id): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<impl IntoResponse> {
    let progress = caller
        .read(move |cx| super::progress(cx, &id, whose.user.as_deref()))
        .await?;
    Ok(Json(progress))
}
