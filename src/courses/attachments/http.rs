//! Files of courses over HTTP: what authors put there, and what readers of the course save.

use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
};
use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;

use super::{Attachment, AttachmentName};
use crate::error::{Error, Result};
use crate::http::extract::{self, Json, Query};
use crate::http::version::{self, Known};
use crate::http::{Caller, Problems, Routes, routes};
use crate::page::{Page, Part};

/// Files that are on their way in at the same time: each is held in memory until it is stored.
const UPLOADS: usize = 8;

/// What a browser may do with a file of somebody else's: nothing (security.md, rule 44).
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

/// It may be kept, but only for who got it, and only after asking whether they still may.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list))
        .with(routes!(get, put, remove))
}

/// List the files of a course
///
/// By name. For who may read the course; a token needs `course:read`.
#[utoipa::path(get, path = "/api/v1/courses/{id}/attachments", operation_id = "list_attachments", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The slug, or the id, or its first characters", example = "operating-provost"), Part),
    responses((status = 200, description = "a page", body = Page<Attachment>), Problems))]
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

/// Get a file of a course
///
/// Always as something to be saved, and never as something that runs. For who may read the course;
/// a token needs `course:read`.
#[utoipa::path(get, path = "/api/v1/courses/{id}/attachments/{name}", operation_id = "get_attachment", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The slug, or the id, or its first characters", example = "operating-provost"),
        ("name" = String, Path, description = "The name of the file", example = "map.png"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the file", body = String, content_type = "application/octet-stream", headers(("ETag", description = "The version of the file"))),
        (status = 304, description = "as it was"), Problems))]
async fn get(
    caller: Caller,
    known: Known,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response> {
    let found = caller
        .read(move |cx| {
            let file = super::show(cx, &id, &name)?;
            if let Some(unchanged) = known.unchanged(&file.sha256)? {
                return Ok(Err(unchanged));
            }
            super::get(cx, &id, &name).map(Ok)
        })
        .await?;
    let mut response = match found {
        Ok((file, bytes)) => whole(file, bytes)?,
        Err(unchanged) => unchanged,
    };
    response.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
    Ok(response)
}

fn whole(file: Attachment, bytes: Vec<u8>) -> Result<Response> {
    let mut response = Response::new(bytes.into());
    version::mark(&mut response, &file.sha256)?;
    let headers = response.headers_mut();
    let value = |text: String| HeaderValue::try_from(text).map_err(Error::internal);
    headers.insert(CONTENT_TYPE, value(file.media_type)?);
    let saved = format!("attachment; filename=\"{}\"", file.name);
    headers.insert(CONTENT_DISPOSITION, value(saved)?);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}

/// Give a course a file
///
/// In place of the one of this name. The body is the file itself, 10 MiB at most unless
/// `courses.attachment_max` says otherwise; what sort it is of is found in its bytes. Needs to be
/// the course's author, or `course:write`.
#[utoipa::path(put, path = "/api/v1/courses/{id}/attachments/{name}", operation_id = "put_attachment", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The slug, or the id, or its first characters", example = "operating-provost"),
        ("name" = String, Path, description = "Its name: letters a-z, digits, `.`, `_` and `-`", example = "map.png"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the file as it is known: 412 if it has changed, or is not there"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: 412 if there is a file of this name")),
    request_body(content = String, content_type = "application/octet-stream", description = "The file"),
    responses((status = 200, description = "in place of the one that was there", body = Attachment, headers(("ETag", description = "The version of the file"))),
        (status = 201, description = "new", body = Attachment, headers(("Location", description = "The path of the file"), ("ETag", description = "The version of the file"))), Problems))]
async fn put(
    caller: Caller,
    known: Known,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response> {
    static SLOTS: Semaphore = Semaphore::const_new(UPLOADS);
    let name: AttachmentName = name.parse()?;
    // Before a byte of it is read: nobody fills the memory who may not.
    let limit = caller
        .look(|cx| {
            super::may_put(cx, &id)?;
            Ok(cx.kit.config.courses.attachment_max)
        })
        .await?;
    let _slot = extract::place_of(&SLOTS).await?;
    let bytes = extract::file(request, limit).await?;
    let location = format!("/api/v1/courses/{id}/attachments/{name}");
    let (file, new) = caller
        .write(move |cx| {
            super::put_if(cx, &id, &name, &bytes, |old| {
                known.check_place(old.map(|old| &old.sha256))
            })
        })
        .await?;
    let mut response = version::changed_as(&file.sha256, &file)?;
    if new {
        *response.status_mut() = StatusCode::CREATED;
        let location = HeaderValue::try_from(location).map_err(Error::internal)?;
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Delete a file of a course
///
/// Needs to be the course's author, or `course:write`.
#[utoipa::path(delete, path = "/api/v1/courses/{id}/attachments/{name}", operation_id = "delete_attachment", tag = "courses", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The slug, or the id, or its first characters", example = "operating-provost"),
        ("name" = String, Path, description = "The name of the file", example = "map.png"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the file as it is known: 412 if it has changed")),
    responses((status = 204, description = "deleted"), Problems))]
async fn remove(
    caller: Caller,
    known: Known,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode> {
    caller
        .write(move |cx| super::delete_if(cx, &id, &name, |file| known.check_stamp(&file.sha256)))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
