//! Courses over HTTP: for people, for authors, and for programs with `course:read` and
//! `course:write`.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::{
    Admission, Changes, Course, Filter, NewCourse, PageStamp, Slug, State, Summary, Tag, Title,
    Visibility,
};
use crate::error::{Error, Result};
use crate::http::extract::{Json, Posted, Query};
use crate::http::version::{self, Known};
use crate::http::{Caller, Place, Problems, Routes, routes};
use crate::page::{self, Limit, Page};
use crate::users::{Change, Locale};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list, create))
        .with(routes!(show, update, remove))
        .with(super::attachments::http::routes())
}

/// Which courses to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// In this state; others than published ones only to who manages them.
    state: Option<State>,
    /// With this tag.
    #[param(value_type = Option<String>)]
    tag: Option<Tag>,
    /// In this language.
    #[param(value_type = Option<String>)]
    language: Option<Locale>,
    /// Of this user, by any name.
    owner: Option<String>,
    /// Only those in which the person who asks is enrolled.
    #[serde(default)]
    #[param(value_type = Option<bool>, default = false)]
    enrolled: bool,
    /// With this in the slug, the title or the summary, in any case.
    q: Option<String>,
    /// The order: `-created_at`, the newest first, is the only one.
    #[param(pattern = "^-created_at$", default = "-created_at")]
    sort: Option<String>,
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// List courses
///
/// Those that are there for who asks, the newest first. A token needs `course:read`, and lists all.
#[utoipa::path(get, path = "/api/v1/courses", operation_id = "list_courses", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(Wanted, ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "a page", body = Page<Course>, headers(("ETag", description = "The version of the page"))),
        (status = 304, description = "as it was"), Problems))]
async fn list(caller: Caller, known: Known, Query(wanted): Query<Wanted>) -> Result<Response> {
    let Wanted {
        state,
        tag,
        language,
        owner,
        enrolled,
        q,
        sort,
        limit,
        cursor,
    } = wanted;
    page::newest_first(sort.as_deref(), "-created_at")?;
    let filter = Filter {
        state,
        tag,
        language,
        owner,
        enrolled,
        q,
    };
    if known.has_one() {
        let (filter, cursor) = (filter.clone(), cursor.clone());
        let stamp = caller
            .clone()
            .read(move |cx| super::page_stamp(cx, &filter, cursor.as_deref(), limit.get()));
        if let Some(unchanged) = known.unchanged(&stamp.await?)? {
            return Ok(unchanged);
        }
    }
    let page = caller
        .read(move |cx| super::list(cx, &filter, cursor.as_deref(), limit.get()))
        .await?;
    known.answer_as(&PageStamp::of(&page), &page)
}

/// A course to be made.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CourseBody {
    /// Its name in addresses; without one it is made from the title.
    #[serde(default)]
    slug: Option<Slug>,
    /// What it is called.
    title: Title,
    /// What it is about.
    #[serde(default)]
    summary: Summary,
    /// The language that it is written in.
    #[serde(default)]
    language: Option<Locale>,
    /// For whom it is; without it, for everybody who is logged in.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(public|enrolled|role:(admin|author|user))$")]
    visibility: Option<Visibility>,
    /// How somebody gets into it; without it, as they like.
    #[serde(default)]
    enrolment: Option<Admission>,
    /// The words under which it is found, 20 at most.
    #[serde(default)]
    tags: Vec<Tag>,
    /// Whose it is, by any name; without it, an author's is their own.
    #[serde(default)]
    owner: Option<String>,
}

impl CourseBody {
    fn read(self) -> Result<NewCourse> {
        let slug = self.slug.or_else(|| Slug::suggested(self.title.as_str()));
        let slug = slug.ok_or_else(|| {
            Error::invalid("slug", "is missing, and the title does not suggest one")
        })?;
        Ok(NewCourse {
            summary: self.summary,
            language: self.language,
            visibility: self.visibility.unwrap_or(Visibility::Public),
            enrolment: self.enrolment.unwrap_or(Admission::Open),
            tags: self.tags,
            owner: self.owner,
            ..NewCourse::named(slug, self.title)
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "creating takes what may fail")]
fn place(course: &Course) -> Result<Place> {
    Ok(Place {
        location: format!("/api/v1/courses/{}", course.id),
        etag: version::etag_as(&course.stamp()),
    })
}

/// Make a course
///
/// It is a draft. Needs the role `author`, whose it becomes, or `course:write`.
#[utoipa::path(post, path = "/api/v1/courses", operation_id = "create_course", tag = "courses", request_body = CourseBody, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "made", body = Course, headers(("Location", description = "The path of the course"), ("ETag", description = "The version of the course"))),
        (status = 409, description = "The slug is taken"), Problems))]
async fn create(caller: Caller, posted: Posted<CourseBody>) -> Result<Response> {
    let Posted { value, bytes } = posted;
    let value = value.read()?;
    caller
        .create(Posted { value, bytes }, place, super::create)
        .await
}

/// Show a course
///
/// A token needs `course:read`.
#[utoipa::path(get, path = "/api/v1/courses/{id}", operation_id = "show_course", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The slug, or the id, or its first characters", example = "operating-provost"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the course", body = Course, headers(("ETag", description = "The version of the course"))),
        (status = 304, description = "as it was"), Problems))]
async fn show(caller: Caller, known: Known, Path(id): Path<String>) -> Result<Response> {
    if known.has_one() {
        let stamp = caller.look(|cx| super::stamp(cx, &id)).await?;
        if let Some(unchanged) = known.unchanged(&stamp)? {
            return Ok(unchanged);
        }
    }
    let course = caller.look(|cx| super::get(cx, &id)).await?;
    known.answer_as(&course.stamp(), &course)
}

/// What to change: a member that is not there stays, `null` clears it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CoursePatch {
    /// Another name in addresses.
    #[serde(default)]
    slug: Option<Slug>,
    /// Another title.
    #[serde(default)]
    title: Option<Title>,
    /// Another summary.
    #[serde(default)]
    summary: Option<Summary>,
    /// Another language.
    #[serde(default)]
    #[schema(value_type = Option<Locale>)]
    language: Change<Locale>,
    /// `published` publishes it, `draft` takes it back, `archived` ends it.
    #[serde(default)]
    state: Option<State>,
    /// For whom it is.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(public|enrolled|role:(admin|author|user))$")]
    visibility: Option<Visibility>,
    /// How somebody gets into it.
    #[serde(default)]
    enrolment: Option<Admission>,
    /// All of its tags.
    #[serde(default)]
    tags: Option<Vec<Tag>>,
    /// Whose it is, by any name. Needs `course:write`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    owner: Change<String>,
}

/// Change a course
///
/// Needs to be its author, or `course:write`.
#[utoipa::path(patch, path = "/api/v1/courses/{id}", operation_id = "update_course", tag = "courses", request_body = CoursePatch, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The slug, or the id, or its first characters", example = "operating-provost"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the course as it is known: 412 if it has changed")),
    responses((status = 200, description = "changed", body = Course, headers(("ETag", description = "The version of the course"))), Problems))]
async fn update(
    caller: Caller,
    known: Known,
    Path(id): Path<String>,
    Json(patch): Json<CoursePatch>,
) -> Result<Response> {
    let changes = Changes {
        slug: patch.slug,
        title: patch.title,
        summary: patch.summary,
        language: patch.language,
        state: patch.state,
        visibility: patch.visibility,
        enrolment: patch.enrolment,
        tags: patch.tags,
        owner: patch.owner,
    };
    let course = caller
        .write(move |cx| {
            super::update_if(cx, &id, &changes, |course| {
                known.check_stamp(&course.stamp())
            })
        })
        .await?;
    version::changed_as(&course.stamp(), &course)
}

/// Delete a course
///
/// With its lessons, files and enrolments, and what people have done in it. Needs to be its author,
/// or `course:write`.
#[utoipa::path(delete, path = "/api/v1/courses/{id}", operation_id = "delete_course", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The slug, or the id, or its first characters", example = "operating-provost"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the course as it is known: 412 if it has changed")),
    responses((status = 204, description = "deleted"), Problems))]
async fn remove(caller: Caller, known: Known, Path(id): Path<String>) -> Result<StatusCode> {
    caller
        .write(move |cx| super::delete_if(cx, &id, |course| known.check_stamp(&course.stamp())))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
