//! `GET /api/v1/jobs`, `POST /api/v1/jobs/{name}/run`.

use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{Finish, Run, Status, Trigger};
use crate::error::Result;
use crate::http::extract::Json;
use crate::http::{Caller, Problems, Routes, routes};
use crate::page::Page;

/// For so long a request lets a job run; then the job stops where it is.
const LONGEST: Duration = Duration::from_secs(10);

pub(crate) fn routes() -> Routes {
    Routes::new().with(routes!(list)).with(routes!(run))
}

/// List the jobs
///
/// Each with its schedule, its last run and its next. Needs `job:read`.
#[utoipa::path(get, path = "/api/v1/jobs", operation_id = "list_jobs", tag = "operations", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "all of them", body = Page<Status>), Problems))]
async fn list(caller: Caller) -> Result<impl IntoResponse> {
    let items = caller.read(super::list).await?;
    Ok(Json(Page { items, next: None }))
}

/// Run a job now
///
/// The answer comes when it has ended. Needs `job:run`.
#[utoipa::path(post, path = "/api/v1/jobs/{name}/run", operation_id = "run_job", tag = "operations", params(("name" = String, Path, description = "As the list of jobs has it", example = "purge")), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "it ran", body = Run),
        (status = 202, description = "the time was over; send it again to go on", body = Run), Problems))]
async fn run(caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let start = Instant::now();
    let stop = move || start.elapsed() >= LONGEST;
    let run = caller
        .work(move |app, actor| super::run_now(app, actor, &name, Trigger::Api, &stop))
        .await?;
    let status = if run.result == Some(Finish::Partial) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(run)).into_response())
}
