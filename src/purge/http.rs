//! `POST /api/v1/purge`.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Options, Plan, Report};
use crate::error::Result;
use crate::http::extract::{Json, MaybePosted};
use crate::http::{Caller, Problems, Routes, routes};
use crate::time::Period;

/// For so long a request purges; whoever wants more sends it again.
const LONGEST: Duration = Duration::from_secs(10);

pub(crate) fn routes() -> Routes {
    Routes::new().with(routes!(purge))
}

/// What to purge.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Only count, and delete nothing.
    #[serde(default)]
    dry_run: bool,
    /// Only these kinds: `token`, `session`, `idempotency_key`, `user`, `login_failure`,
    /// `known_network`, `ban`, `mail`; all without it.
    #[serde(default)]
    only: Vec<String>,
}

/// What would be done, or what was.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
enum Answer {
    /// With `dry_run`.
    Plan(Plan),
    /// Without it.
    Report(Report),
}

/// Delete what can never be good again
///
/// Needs `purge:run`.
#[utoipa::path(post, path = "/api/v1/purge", operation_id = "purge", tag = "operations", request_body = Option<Order>, security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "all of it was deleted, or counted", body = Answer),
        (status = 202, description = "the time was over; send it again to go on", body = Answer), Problems))]
async fn purge(caller: Caller, MaybePosted(posted): MaybePosted<Order>) -> Result<Response> {
    let Order { dry_run, only } = posted.value;
    let options = Options {
        only,
        max_time: Some(Period(LONGEST)),
        ..Options::default()
    };
    let answer = caller.work(move |app, actor| {
        if dry_run {
            return super::plan(app, actor, &options).map(Answer::Plan);
        }
        super::run(app, actor, &options, &|| false, &mut |_| {}).map(Answer::Report)
    });
    let answer = answer.await?;
    let status = match &answer {
        Answer::Report(report) if !report.complete => StatusCode::ACCEPTED,
        Answer::Plan(_) | Answer::Report(_) => StatusCode::OK,
    };
    Ok((status, Json(answer)).into_response())
}
