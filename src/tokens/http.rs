//! Tokens over HTTP: the API's routes, the two of OAuth 2.0 (RFC 7009, RFC 7662), and those of the
//! older token service, whose bodies and statuses are as its clients know them.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Filter, Issued, Kind, Lookup, NewToken, Reason, State, Token, TokenId, decimal, prefixed,
};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::extract::{FormOrJson, Json, MaybePosted, Posted, Query};
use crate::http::{Caller, Problems, Visitor};
use crate::page::{Limit, Page};
use crate::scope::{Scope, Scopes};
use crate::time::{Lifetime, Period, Timestamp};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, remove))
        .routes(routes!(renew))
        .routes(routes!(consume))
        .routes(routes!(introspect))
        .routes(routes!(revoke))
}

/// The routes of the older token service.
pub(crate) fn compat_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(issue_plain))
        .routes(routes!(valid_by_path, valid_by_body))
        .routes(routes!(clear_expired))
        .routes(routes!(list_plain))
}

/// A token that was just issued. `secret` is the whole text and is never shown again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Created {
    #[serde(flatten)]
    token: Token,
    /// What to present.
    secret: String,
}

impl From<Issued> for Created {
    fn from(issued: Issued) -> Self {
        let text = prefixed(issued.token.kind, issued.token.id, &issued.secret);
        Self {
            token: issued.token,
            secret: text.expose().clone(),
        }
    }
}

/// Issue a token. Needs `token:create` and every scope that is given away.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body get the same answer")),
    responses((status = 201, description = "issued", body = Created), Problems))]
async fn create(caller: Caller, posted: Posted<NewToken>) -> Result<Response> {
    caller
        .create("POST /api/v1/tokens", posted, |cx, new| {
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
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Tokens, the newest first, never their secrets. Needs `token:read`.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(Wanted), security(("bearer" = [])),
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
        limit,
        cursor,
    } = wanted;
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

/// One token. Needs `token:read`.
#[utoipa::path(get, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, description = "the token", body = Token), Problems))]
async fn show(caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    caller.look(|cx| super::get(cx, &id)).map(Json)
}

/// Revoke a token. Needs `token:revoke`.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 204, description = "revoked, now or before"), Problems))]
async fn remove(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    caller.write(move |cx| super::revoke(cx, &id, None)).await?;
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

/// Give a good token more time. Needs `token:renew`.
#[utoipa::path(post, path = "/api/v1/tokens/{id}/renew", tag = "tokens", params(("id" = String, Path)), security(("bearer" = [])),
    request_body = Option<Renewal>, responses((status = 200, description = "renewed", body = Token), Problems))]
async fn renew(
    caller: Caller,
    Path(id): Path<String>,
    MaybePosted(posted): MaybePosted<Renewal>,
) -> Result<impl IntoResponse> {
    let ttl = posted.value.ttl;
    caller
        .write(move |cx| super::renew(cx, &id, ttl))
        .await
        .map(Json)
}

/// A token in a body, never in a URL.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Presented {
    /// The whole text of a token.
    token: String,
}

/// A token as RFC 7009 and RFC 7662 send it.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Hinted {
    /// The whole text of a token.
    token: String,
    /// Taken and not needed: a token says itself what it is.
    #[serde(default)]
    #[expect(dead_code, reason = "a client may send it (RFC 7662 §2.1)")]
    token_type_hint: Option<String>,
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

/// Take one use of a token, atomically. Needs `token:consume`.
#[utoipa::path(post, path = "/api/v1/tokens/consume", tag = "tokens", request_body = Presented, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body take one use, not two")),
    responses((status = 200, description = "what came of it", body = Consumption), Problems))]
async fn consume(caller: Caller, posted: Posted<Presented>) -> Result<Response> {
    let route = "POST /api/v1/tokens/consume";
    let work = |cx: &mut crate::app::Cx<'_, '_>, presented: &Presented| {
        super::consume(cx, &presented.token).map(Consumption::from)
    };
    caller.answer(route, posted, work).await
}

/// What a good token is, in the words of RFC 7662 §2.2; of any other only that it is not.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<Kind>,
    /// Seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// Seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// Seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    /// The token's public id.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// The network from which it may be used; the caller has to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
}

impl Introspection {
    const INACTIVE: Self = Self {
        active: false,
        scope: None,
        username: None,
        sub: None,
        token_type: None,
        exp: None,
        iat: None,
        nbf: None,
        jti: None,
        cidr: None,
    };

    fn of(token: Token, owner_id: Option<String>) -> Self {
        let seconds = |at: Timestamp| at.0.div_euclid(1000);
        Self {
            active: true,
            scope: Some(&token.scopes)
                .filter(|scopes| !scopes.is_empty())
                .map(Scopes::to_string),
            username: token.owner,
            sub: owner_id,
            token_type: Some(token.kind),
            exp: token.expires_at.map(seconds),
            iat: Some(seconds(token.created_at)),
            nbf: token.not_before.map(seconds),
            jti: Some(token.id.to_string()),
            cidr: token.cidr.map(|cidr| cidr.to_string()),
        }
    }
}

/// Ask whether a token is good (RFC 7662). Needs `token:introspect`.
#[utoipa::path(post, path = "/api/v1/introspect", tag = "tokens", security(("bearer" = [])),
    request_body(content((Hinted = "application/x-www-form-urlencoded"), (Hinted = "application/json"))),
    responses((status = 200, description = "what it is", body = Introspection), Problems))]
async fn introspect(
    caller: Caller,
    FormOrJson(hinted): FormOrJson<Hinted>,
) -> Result<impl IntoResponse> {
    let found = caller.look(|cx| super::introspect(cx, &hinted.token))?;
    let answer = found.map_or(Introspection::INACTIVE, |(token, owner)| {
        Introspection::of(token, owner)
    });
    Ok(Json(answer))
}

/// Revoke a token (RFC 7009); an unknown one is no error. Needs `token:revoke`, or to be the token.
#[utoipa::path(post, path = "/api/v1/revoke", tag = "tokens", security(("bearer" = [])),
    request_body(content((Hinted = "application/x-www-form-urlencoded"), (Hinted = "application/json"))),
    responses((status = 200, description = "revoked, now or before, or unknown"), Problems))]
async fn revoke(caller: Caller, FormOrJson(hinted): FormOrJson<Hinted>) -> Result<StatusCode> {
    caller
        .write(move |cx| super::revoke_presented(cx, &hinted.token))
        .await?;
    Ok(StatusCode::OK)
}

/// The older service's optional body.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PlainIssue {
    /// Minutes that the token is good: 1 to 43200.
    #[serde(default)]
    ttl_minutes: Option<u32>,
}

/// The older service's answer with a token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PlainToken {
    #[schema(example = 200)]
    status_code: u16,
    /// `<id>:<secret>`
    token: String,
}

/// The older service's answer with yes or no.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PlainStatus {
    #[schema(example = 200)]
    status_code: u16,
    status: bool,
}

impl PlainStatus {
    fn of(status: bool) -> Json<Self> {
        Json(Self {
            status_code: 200,
            status,
        })
    }
}

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Issue a temporary token without authority.
#[utoipa::path(post, path = "/app/token", tag = "token manager", request_body = Option<PlainIssue>,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body get the same answer")),
    responses((status = 200, description = "issued", body = PlainToken), Problems))]
async fn issue_plain(
    visitor: Visitor,
    MaybePosted(posted): MaybePosted<PlainIssue>,
) -> Result<Response> {
    let left = visitor.app().kit().rates.take_issue(visitor.ip())?;
    let policy = visitor.app().config().throttle.clone();
    let work = |cx: &mut crate::app::Cx<'_, '_>, new: &PlainIssue| {
        let ttl = new.ttl_minutes.map(minutes).transpose()?;
        let (id, secret) = super::create_anonymous(cx, ttl)?;
        Ok(PlainToken {
            status_code: 200,
            token: decimal(id, &secret).expose().clone(),
        })
    };
    let mut response = visitor
        .create("POST /app/token", posted, StatusCode::OK, work)
        .await?;
    if let Some(left) = left {
        let headers = response.headers_mut();
        for (name, value) in [
            (RATELIMIT, format!("\"issue\";r={left}")),
            (
                RATELIMIT_POLICY,
                format!("\"issue\";q={};w=1", policy.issue_per_second),
            ),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
    Ok(response)
}

fn minutes(minutes: u32) -> Result<Period> {
    if (1..=43_200).contains(&minutes) {
        Ok(Period(std::time::Duration::from_mins(minutes.into())))
    } else {
        Err(Error::invalid("ttl_minutes", "must be 1 to 43200"))
    }
}

/// Whether the token in the path is good. This one route takes a token in its path; no log has it.
#[utoipa::path(get, path = "/app/valid/{token}", tag = "token manager", params(("token" = String, Path)),
    responses((status = 200, description = "true or false", body = PlainStatus), Problems))]
async fn valid_by_path(visitor: Visitor, Path(token): Path<String>) -> Result<impl IntoResponse> {
    valid(visitor, &token).await
}

/// Whether the token in the body, or, without one, in the path is good.
#[utoipa::path(post, path = "/app/valid/{token}", tag = "token manager", params(("token" = String, Path)),
    request_body = Option<PlainPresented>,
    responses((status = 200, description = "true or false", body = PlainStatus), Problems))]
async fn valid_by_body(
    visitor: Visitor,
    Path(token): Path<String>,
    MaybePosted(posted): MaybePosted<PlainPresented>,
) -> Result<impl IntoResponse> {
    valid(visitor, posted.value.token.as_ref().unwrap_or(&token)).await
}

/// The older service's body of a check.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PlainPresented {
    #[serde(default)]
    token: Option<String>,
}

async fn valid(visitor: Visitor, token: &str) -> Result<Json<PlainStatus>> {
    match visitor.look(|cx| super::check(cx, token))? {
        Ok(_good) => Ok(PlainStatus::of(true)),
        Err((Reason::Expired, Some(id))) => {
            visitor
                .write(move |cx| super::remove_expired(cx, id))
                .await?;
            Ok(PlainStatus::of(false))
        }
        Err(_bad) => Ok(PlainStatus::of(false)),
    }
}

/// Delete every expired temporary token.
#[utoipa::path(delete, path = "/app/clear/all/tokens", tag = "token manager",
    responses((status = 200, description = "done", body = PlainStatus), Problems))]
async fn clear_expired(visitor: Visitor) -> Result<impl IntoResponse> {
    // Batch after batch, so that others write in between.
    while visitor.clone().write(super::clear_some).await? {}
    Ok(PlainStatus::of(true))
}

/// An entry of the older service's list: no secret, unlike then.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PlainEntry {
    /// The id in both text forms.
    #[schema(value_type = String)]
    id: TokenId,
    number: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PlainPage {
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Ids and expiry of temporary tokens. Needs `token:read`.
#[utoipa::path(get, path = "/app/tokens", tag = "token manager", params(PlainPage), security(("bearer" = [])),
    responses((status = 200, description = "a page", body = Page<PlainEntry>), Problems))]
async fn list_plain(caller: Caller, Query(page): Query<PlainPage>) -> Result<impl IntoResponse> {
    let filter = Filter {
        kind: Some(Kind::Temporary),
        ..Filter::default()
    };
    let PlainPage { limit, cursor } = page;
    let page = caller
        .read(move |cx| super::list(cx, &filter, cursor.as_deref(), limit.get()))
        .await?;
    let entry = |token: Token| PlainEntry {
        id: token.id,
        number: token.id.0,
        expires_at: token.expires_at,
    };
    Ok(Json(page.map(entry)))
}
