//! Tokens over HTTP: the API's routes and the two of OAuth 2.0 (RFC 7009, RFC 7662).

mod compat;
mod oauth;
mod own;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Filter, Issued, Kind, Lookup, NewToken, Reason, State, Token, prefixed};
use crate::error::Result;
use crate::http::extract::{Hidden, Json, MaybePosted, Posted, Query};
use crate::http::version::{self, Known};
use crate::http::{Caller, Place, Problems, Routes, routes};
use crate::page::{self, Limit, Page};
use crate::scope::Scope;
use crate::time::{Lifetime, Period, Timestamp};

pub(crate) use compat::compat_routes;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list, create))
        .with(routes!(show, remove))
        .with(routes!(renew))
        .with(routes!(consume))
        .with(oauth::routes())
        .with(own::routes())
}

/// A token that was just issued. `token` is the whole text and is never shown again.
#[derive(Serialize, utoipa::ToSchema)]
struct Created {
    #[serde(flatten)]
    about: Token,
    /// What to present.
    #[schema(example = "pva_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0")]
    token: String,
}

impl From<Issued> for Created {
    fn from(issued: Issued) -> Self {
        let text = prefixed(issued.token.kind, issued.token.id, &issued.secret);
        Self {
            about: issued.token,
            token: text.expose().clone(),
        }
    }
}

impl Created {
    fn place(&self) -> Result<Place> {
        Ok(Place {
            location: format!("/api/v1/tokens/{}", self.about.id),
            etag: version::etag(&self.about)?,
        })
    }
}

/// Issue a token
///
/// Needs `token:create` and every scope that is given away. The token's text is shown this once.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "create_token", tag = "tokens", request_body = NewToken, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "issued", body = Created, headers(("Location", description = "The path of the token"), ("ETag", description = "The version of the token"))), Problems))]
async fn create(caller: Caller, posted: Posted<NewToken>) -> Result<Response> {
    caller
        .create(posted, Created::place, |cx, new| {
            super::create(cx, new).map(Created::from)
        })
        .await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this kind.
    kind: Option<Kind>,
    /// Of this user: id, user name, e-mail or phone.
    owner: Option<String>,
    /// With exactly this label, or, ending in `*`, labels that begin so.
    label: Option<String>,
    /// In this state.
    state: Option<State>,
    /// With this scope.
    #[param(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Good now, but expired so long from now: `14d`.
    #[param(value_type = Option<String>)]
    expiring: Option<Period>,
    /// Issued before.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Timestamp>,
    /// Issued at or after.
    #[param(value_type = Option<String>, format = DateTime)]
    created_after: Option<Timestamp>,
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

/// List tokens
///
/// The newest first, never their secrets. Needs `token:read`.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "list_tokens", tag = "tokens", params(Wanted), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Token>), Problems))]
async fn list(caller: Caller, Query(wanted): Query<Wanted>) -> Result<impl IntoResponse> {
    let Wanted {
        kind,
        owner,
        label,
        state,
        scope,
        expiring,
        created_before,
        created_after,
        sort,
        limit,
        cursor,
    } = wanted;
    page::newest_first(sort.as_deref(), "-created_at")?;
    let filter = Filter {
        kind,
        owner,
        label,
        state,
        scope,
        expiring,
        created_before,
        created_after,
    };
    let page = caller
        .read(move |cx| super::list(cx, &filter, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// Show a token
///
/// Needs `token:read`.
#[utoipa::path(get, path = "/api/v1/tokens/{id}", operation_id = "show_token", tag = "tokens", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The public id, or its first characters", example = "0LqP3xYz8Ab"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the token", body = Token, headers(("ETag", description = "The version of the token"))),
        (status = 304, description = "as it was"), Problems))]
async fn show(caller: Caller, known: Known, Path(id): Path<String>) -> Result<Response> {
    known.answer(&caller.look(|cx| super::get(cx, &id)).await?)
}

/// Revoke a token by its id
///
/// Needs `token:revoke`.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", operation_id = "revoke_token", tag = "tokens", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The public id, or its first characters", example = "0LqP3xYz8Ab"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the token as it is known: 412 if it has changed")),
    responses((status = 204, description = "revoked, now or before"), Problems))]
async fn remove(caller: Caller, known: Known, Path(id): Path<String>) -> Result<StatusCode> {
    let still = move |token: &Token| known.check(token);
    caller
        .write(move |cx| super::revoke_if(cx, &id, None, &still))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What renewing takes.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Renewal {
    /// How long from now, or the usual life of the kind.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "30d")]
    ttl: Option<Lifetime>,
}

/// Give a good token more time
///
/// Needs `token:renew`.
#[utoipa::path(post, path = "/api/v1/tokens/{id}/renew", operation_id = "renew_token", tag = "tokens", security(("bearer" = []), ("cookie" = [])), request_body = Option<Renewal>,
    params(("id" = String, Path, description = "The public id, or its first characters", example = "0LqP3xYz8Ab"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the token as it is known: 412 if it has changed")),
    responses((status = 200, description = "renewed", body = Token, headers(("ETag", description = "The version of the token"))), Problems))]
async fn renew(
    caller: Caller,
    known: Known,
    Path(id): Path<String>,
    MaybePosted(posted): MaybePosted<Renewal>,
) -> Result<Response> {
    let ttl = posted.value.ttl;
    let still = move |token: &Token| known.check(token);
    let renewed = caller
        .write(move |cx| super::renew_if(cx, &id, ttl, &still))
        .await?;
    version::changed(&renewed)
}

/// A token in a body, never in a URL.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Presented {
    /// The whole text of a token.
    #[schema(value_type = String, example = "pvt_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0")]
    token: Hidden,
}

/// What came of trying to use a token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Consumption {
    /// Whether one use was taken.
    consumed: bool,
    /// Why, or why not.
    reason: Reason,
    /// Uses left; null for any number.
    remaining: Option<u32>,
}

impl From<Lookup> for Consumption {
    fn from(lookup: Lookup) -> Self {
        let left = |token: &Token| token.max_uses.map(|max| max.saturating_sub(token.used));
        Self {
            consumed: lookup.reason == Reason::Ok,
            reason: lookup.reason,
            remaining: lookup.token.as_ref().and_then(left),
        }
    }
}

/// Take one use of a token
///
/// Atomically: of many at once, `max_uses` succeed. Needs `token:consume`.
#[utoipa::path(post, path = "/api/v1/tokens/consume", operation_id = "consume_token", tag = "tokens", request_body = Presented, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body take one use, not two")),
    responses((status = 200, description = "what came of it", body = Consumption), Problems))]
async fn consume(caller: Caller, posted: Posted<Presented>) -> Result<Response> {
    let work = |cx: &mut crate::app::Cx<'_, '_>, presented: &Presented| {
        super::consume(cx, presented.token.0.expose()).map(Consumption::from)
    };
    caller.answer(posted, work).await
}
