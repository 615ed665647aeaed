//! The two questions of OAuth 2.0 about tokens: is it good (RFC 7662), and end it (RFC 7009).

use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::http::extract::{FormOrJson, Hidden, Json};
use crate::http::{Caller, Problems, Routes, routes};
use crate::jwt::Claims;
use crate::scope::{Scopes, known};
use crate::sessions::{self, Authenticated};
use crate::time::Timestamp;
use crate::tokens::{self, Checked};

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(routes!(introspect))
        .with(routes!(revoke))
}

/// A token as RFC 7009 and RFC 7662 send it.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Hinted {
    /// The whole text of a token.
    #[schema(value_type = String, example = "pvt_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0")]
    token: Hidden,
    /// Taken and not needed: a token says itself what it is.
    #[serde(default)]
    #[expect(dead_code, reason = "a client may send it (RFC 7662 §2.1)")]
    token_type_hint: Option<String>,
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
    /// `api`, `temporary`, or `access_token` for that of a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
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
    /// The session's id, for an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
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
        sid: None,
        cidr: None,
    };

    fn of(token: Checked) -> Self {
        let seconds = |at: Timestamp| at.0.div_euclid(1000);
        Self {
            active: true,
            scope: Some(&token.scopes)
                .filter(|scopes| !scopes.is_empty())
                .map(Scopes::to_string),
            username: token.owner,
            sub: token.owner_id,
            token_type: Some(token.kind.as_str()),
            exp: token.expires_at.map(seconds),
            iat: Some(seconds(token.created_at)),
            nbf: token.not_before.map(seconds),
            jti: Some(token.id.to_string()),
            sid: None,
            cidr: token.cidr.map(|cidr| cidr.to_string()),
        }
    }

    fn of_session(session: Authenticated, claims: &Claims) -> Self {
        Self {
            active: true,
            username: Some(session.username),
            sub: Some(session.user_id),
            token_type: Some("access_token"),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            nbf: Some(claims.nbf),
            jti: Some(claims.jti.clone()),
            sid: Some(session.session_id),
            ..Self::INACTIVE
        }
    }
}

/// Ask whether a token is good (RFC 7662)
///
/// An API token, a temporary token or the access token of a login. Needs `token:introspect`.
#[utoipa::path(post, path = "/api/v1/introspect", operation_id = "introspect", tag = "tokens", security(("bearer" = []), ("cookie" = [])),
    request_body(content((Hinted = "application/x-www-form-urlencoded"), (Hinted = "application/json"))),
    responses((status = 200, description = "what it is", body = Introspection), Problems))]
async fn introspect(
    caller: Caller,
    FormOrJson(hinted): FormOrJson<Hinted>,
) -> Result<impl IntoResponse> {
    if !tokens::is_opaque(hinted.token.0.expose()) {
        caller.actor().require(known::TOKEN_INTROSPECT)?;
        let answer = match caller.visitor().prove(hinted.token.0.expose()).await {
            Ok((session, token)) => Introspection::of_session(session, &token.claims),
            Err(Error::Unauthenticated) => Introspection::INACTIVE,
            Err(error) => return Err(error),
        };
        return Ok(Json(answer));
    }
    let found = caller.look(|cx| tokens::introspect(cx, hinted.token.0.expose()));
    let found = found.await?;
    let answer = found.map_or(Introspection::INACTIVE, Introspection::of);
    Ok(Json(answer))
}

/// Revoke a token by its text (RFC 7009)
///
/// An unknown one is no error. Needs `token:revoke`, or to be the token. A refresh token or an access
/// token ends its session: who has it may.
#[utoipa::path(post, path = "/api/v1/revoke", operation_id = "revoke", tag = "tokens", security(("bearer" = []), ("cookie" = [])),
    request_body(content((Hinted = "application/x-www-form-urlencoded"), (Hinted = "application/json"))),
    responses((status = 200, description = "revoked, now or before, or unknown"), Problems))]
async fn revoke(caller: Caller, FormOrJson(hinted): FormOrJson<Hinted>) -> Result<StatusCode> {
    let session = if tokens::is_opaque(hinted.token.0.expose()) {
        sessions::session_of(&caller.visitor().app().kit().keys, hinted.token.0.expose())
    } else {
        match caller.visitor().prove(hinted.token.0.expose()).await {
            Ok((session, _)) => Some(session.session_id),
            Err(Error::Unauthenticated) => return Ok(StatusCode::OK),
            Err(error) => return Err(error),
        }
    };
    caller
        .write(move |cx| match &session {
            Some(session) => sessions::logout(cx, session),
            None => tokens::revoke_presented(cx, hinted.token.0.expose()),
        })
        .await?;
    Ok(StatusCode::OK)
}
