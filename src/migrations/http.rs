//! `GET /api/v1/schema`.

use axum::response::IntoResponse;
use serde::Serialize;

use super::{Entry, Story, needed};
use crate::error::Result;
use crate::http::extract::Json;
use crate::http::{Caller, Problems, Routes, routes};
use crate::scope::known;

pub(crate) fn routes() -> Routes {
    Routes::new().with(routes!(show))
}

/// What the database is made of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Standing {
    /// The number of the newest migration that was applied.
    schema: u32,
    /// The number that this program needs.
    needs: u32,
    /// Every migration, in order, with where it stands.
    migrations: Vec<Entry>,
}

/// Show the schema and its history
///
/// Needs `schema:read`.
#[utoipa::path(get, path = "/api/v1/schema", operation_id = "show_schema", tag = "operations", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "the schema", body = Standing), Problems))]
async fn show(caller: Caller) -> Result<impl IntoResponse> {
    let shown = caller.work(|app, actor| {
        actor.require(known::SCHEMA_READ)?;
        Ok(Standing {
            schema: super::schema(app.db())?,
            needs: needed(),
            migrations: Story::own().status(app.db())?,
        })
    });
    Ok(Json(shown.await?))
}
