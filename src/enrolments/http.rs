//! Enrolments over HTTP: people enrol themselves, authors and administrators anybody.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Enrolment, Filter, State};
use crate::error::Result;
use crate::http::extract::{Json, MaybePosted, Query};
use crate::http::{Caller, Problems, Routes, routes};
use crate::page::{self, Limit, Page};

pub(crate) fn routes() -> Routes {
    Routes::new().with(routes!(list, add, withdraw))
}

/// Which enrolments to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// In this state.
    state: Option<State>,
    /// The order: `-created_at`, those who came last first, is the only one.
    #[param(pattern = "^-created_at$", default = "-created_at")]
    sort: Option<String>,
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// List who takes a course
///
/// Those who came last first. Its author, administrators and tokens with `course:read` see
/// everybody, a person sees themselves.
#[utoipa::path(get, path = "/api/v1/courses/{id}/enrolments", operation_id = "list_enrolments", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course: slug, id or its first characters", example = "operating-provost"), Wanted),
    responses((status = 200, description = "a page", body = Page<Enrolment>), Problems))]
async fn list(
    caller: Caller,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse> {
    let Wanted {
        state,
        sort,
        limit,
        cursor,
    } = wanted;
    page::newest_first(sort.as_deref(), "-created_at")?;
    let filter = Filter { state };
    let page = caller
        .read(move |cx| super::list(cx, &id, filter, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// Who is to be enrolled.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Entrant {
    /// The user, by any name; without one, the person who asks, or the owner of the token.
    #[serde(default)]
    user: Option<String>,
    /// Ask them first: they are in it once they enrol themselves.
    #[serde(default)]
    invite: bool,
}

/// Enrol in a course
///
/// Oneself, where the course is open or one was invited; others, as its author or with
/// `course:write`. Who is in it already stays so.
#[utoipa::path(post, path = "/api/v1/courses/{id}/enrolments", operation_id = "enrol", tag = "courses", request_body = Option<Entrant>, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course: slug, id or its first characters", example = "operating-provost"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 200, description = "enrolled", body = Enrolment), Problems))]
async fn add(
    caller: Caller,
    Path(id): Path<String>,
    MaybePosted(posted): MaybePosted<Entrant>,
) -> Result<Response> {
    caller
        .answer(posted, move |cx, entrant| {
            super::add(cx, &id, entrant.user.as_deref(), entrant.invite)
        })
        .await
}

/// Who is to leave.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Leaving {
    /// The user, by any name; without one, the person who asks, or the owner of the token.
    user: Option<String>,
}

/// Leave a course
///
/// What was done in it is kept. Oneself, or others as its author or with `course:write`.
#[utoipa::path(delete, path = "/api/v1/courses/{id}/enrolments", operation_id = "withdraw", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The course: slug, id or its first characters", example = "operating-provost"), Leaving),
    responses((status = 200, description = "withdrawn", body = Enrolment), Problems))]
async fn withdraw(
    caller: Caller,
    Path(id): Path<String>,
    Query(leaving): Query<Leaving>,
) -> Result<impl IntoResponse> {
    let gone = caller
        .write(move |cx| super::withdraw(cx, &id, leaving.user.as_deref()))
        .await?;
    Ok(Json(gone))
}
