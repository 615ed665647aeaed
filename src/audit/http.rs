//! `GET /api/v1/audit`.

use axum::response::IntoResponse;
use serde::Deserialize;

use super::{Entry, Filter};
use crate::error::Result;
use crate::http::extract::{Json, Query};
use crate::http::{Caller, Problems, Routes, routes};
use crate::page::{self, Limit, Page};
use crate::time::Timestamp;

pub(crate) fn routes() -> Routes {
    Routes::new().with(routes!(list))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Exactly this actor, or, ending in `*`, those that begin so.
    actor: Option<String>,
    /// Exactly this action, or, ending in `*`, those that begin so.
    action: Option<String>,
    /// Exactly this object, or, ending in `*`, those that begin so.
    object: Option<String>,
    /// Not before.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The order: `-at`, the newest first, is the only one.
    #[param(pattern = "^-at$", default = "-at")]
    sort: Option<String>,
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// List the audit log
///
/// The newest entries first. Needs `audit:read`.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit", tag = "operations", params(Wanted), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Entry>), Problems))]
async fn list(caller: Caller, Query(wanted): Query<Wanted>) -> Result<impl IntoResponse> {
    let Wanted {
        actor,
        action,
        object,
        since,
        until,
        sort,
        limit,
        cursor,
    } = wanted;
    page::newest_first(sort.as_deref(), "-at")?;
    let filter = Filter {
        actor,
        action,
        object,
        since,
        until,
    };
    let page = caller
        .read(move |cx| super::list(cx, &filter, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}
