//! One's own API tokens.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Created;
use crate::error::Result;
use crate::http::extract::{Json, Posted, Query};
use crate::http::{Caller, Problems, Routes, routes};
use crate::page::{Page, Part};
use crate::tokens::{self, NewToken, Token};

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list, create))
        .with(routes!(remove))
}

/// Issue an API token to oneself
///
/// Within 10 minutes of the login. Only an administrator may give it scopes; without any it says whose
/// it is to services that ask. Its text is shown this once.
#[utoipa::path(post, path = "/api/v1/me/tokens", operation_id = "create_own_token", tag = "me", request_body = NewToken, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "issued", body = Created, headers(("Location", description = "The path of the token"), ("ETag", description = "The version of the token"))), Problems))]
async fn create(caller: Caller, posted: Posted<NewToken>) -> Result<Response> {
    caller
        .create(posted, Created::place, |cx, new| {
            tokens::create_own(cx, new).map(Created::from)
        })
        .await
}

/// List one's own API tokens
///
/// The newest first, never their secrets.
#[utoipa::path(get, path = "/api/v1/me/tokens", operation_id = "list_own_tokens", tag = "me", params(Part), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Token>), Problems))]
async fn list(caller: Caller, Query(part): Query<Part>) -> Result<impl IntoResponse> {
    let Part { limit, cursor } = part;
    let page = caller
        .read(move |cx| tokens::list_own(cx, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// Revoke one of one's own API tokens
#[utoipa::path(delete, path = "/api/v1/me/tokens/{id}", operation_id = "revoke_own_token", tag = "me", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The public id", example = "0LqP3xYz8Ab")),
    responses((status = 204, description = "revoked, now or before"), Problems))]
async fn remove(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    caller.write(move |cx| tokens::revoke_own(cx, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
