//! The routes of the older token service: bodies and statuses are as its clients know them.

use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::app::{App, Cx};
use crate::error::{Error, Result};
use crate::http::extract::{self, Json, MaybePosted, Query};
use crate::http::{Caller, Problems, Visitor};
use crate::http::{Routes, limited, routes};
use crate::page::{Page, Part};
use crate::problem::Problem;
use crate::time::{Period, Timestamp};
use crate::tokens::{
    Filter, Kind, Reason, Token, TokenId, check, clear_some, create_anonymous, decimal, list,
    remove_expired,
};

/// The routes of the older token service.
pub(crate) fn compat_routes() -> Routes {
    Routes::new()
        .with(routes!(issue_plain))
        .with(routes!(valid_by_path, valid_by_body))
        .with(routes!(clear_expired))
        .with(routes!(list_plain))
}

/// The older service's optional body.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PlainIssue {
    /// Minutes that the token is good: 1 to 43200.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 43200)]
    ttl_minutes: Option<u32>,
}

/// The older service's answer with a token.
#[derive(Serialize, utoipa::ToSchema)]
struct PlainToken {
    #[schema(example = 200)]
    status_code: u16,
    /// `<id>:<secret>`
    #[schema(example = "7543218901234567890:xyz9AbC2DeF3GhI4JkLmN5oPqR6sTu")]
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
    /// There are only two, written once for all.
    fn of(status: bool) -> Response {
        extract::json(if status {
            r#"{"status_code":200,"status":true}"#
        } else {
            r#"{"status_code":200,"status":false}"#
        })
    }
}

/// Issue a temporary token
///
/// Anybody may; it has authority over nothing.
#[utoipa::path(post, path = "/app/token", operation_id = "token_manager_issue", tag = "token manager", request_body = Option<PlainIssue>,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 200, description = "issued", body = PlainToken,
            headers(("RateLimit" = String, description = "How many are left"), ("RateLimit-Policy" = String, description = "Of how many, in how many seconds"))),
        (status = 429, description = "Too many tokens in a short time", body = Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))), Problems))]
async fn issue_plain(
    visitor: Visitor,
    MaybePosted(posted): MaybePosted<PlainIssue>,
) -> Result<Response> {
    let app = visitor.app().clone();
    let rates = &app.kit().rates;
    let taken = rates.take_issue(visitor.ip());
    let work = |cx: &mut Cx<'_, '_>, new: &PlainIssue| {
        let ttl = new.ttl_minutes.map(minutes).transpose()?;
        let (id, secret) = create_anonymous(cx, ttl)?;
        Ok(PlainToken {
            status_code: 200,
            token: decimal(id, &secret).expose().clone(),
        })
    };
    let made = visitor.create(posted, StatusCode::OK, work);
    Ok(limited(rates.issue.policy(), taken, made).await)
}

fn minutes(minutes: u32) -> Result<Period> {
    if (1..=43_200).contains(&minutes) {
        Ok(Period(std::time::Duration::from_mins(minutes.into())))
    } else {
        Err(Error::invalid("ttl_minutes", "must be 1 to 43200"))
    }
}

/// Check the token in the path
///
/// The path of this route is in no log. Only a temporary token can be good here, an API token is
/// not. Looking takes no use of a token whose uses are counted. An expired token is removed.
#[utoipa::path(get, path = "/app/valid/{token}", operation_id = "token_manager_valid", tag = "token manager", params(("token" = String, Path, description = "The whole text of a token", example = "7543218901234567890:xyz9AbC2DeF3GhI4JkLmN5oPqR6sTu")),
    responses((status = 200, description = "true or false", body = PlainStatus), Problems))]
async fn valid_by_path(visitor: Visitor, token: PathText) -> Result<Response> {
    valid(visitor, text(&token)).await
}

/// Check the token in the body
///
/// Or, without a body, the one in the path. Only a temporary token can be good here, an API token
/// is not. Looking takes no use of a token whose uses are counted. An expired token is removed.
#[utoipa::path(post, path = "/app/valid/{token}", operation_id = "token_manager_valid_body", tag = "token manager", params(("token" = String, Path, description = "The whole text of a token", example = "7543218901234567890:xyz9AbC2DeF3GhI4JkLmN5oPqR6sTu")),
    request_body = Option<PlainPresented>,
    responses((status = 200, description = "true or false", body = PlainStatus), Problems))]
async fn valid_by_body(
    visitor: Visitor,
    token: PathText,
    MaybePosted(posted): MaybePosted<PlainPresented>,
) -> Result<Response> {
    let in_body = posted.value.token.as_deref();
    valid(visitor, in_body.unwrap_or_else(|| text(&token))).await
}

/// Not `Path`: what decides about types and names of parameters costs more than this one text.
type PathText = std::result::Result<RawPathParams, RawPathParamsRejection>;

/// The token in the path. What is not even UTF-8 is one more text that is no token.
fn text(path: &PathText) -> &str {
    let only = path.as_ref().ok().and_then(|path| path.iter().next());
    only.map_or("", |(_name, token)| token)
}

/// The older service's body of a check.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PlainPresented {
    #[serde(default)]
    token: Option<String>,
}

/// Whether what is expired may be deleted: a clock that leapt ahead calls live tokens expired, and
/// deleting is for good (rule 65).
fn believes_clock(app: &App) -> bool {
    // Looked at now: what the daemon last saw may be ten seconds old.
    app.clock().look().is_some()
}

async fn valid(visitor: Visitor, token: &str) -> Result<Response> {
    match visitor.look(|cx| check(cx, token)).await? {
        // An API token opens the API, and is no answer to who asks for a guest's (rule 18).
        Ok(good) => Ok(PlainStatus::of(good.kind == Kind::Temporary)),
        Err((Reason::Expired, Some(id))) if believes_clock(visitor.app()) => {
            visitor.write(move |cx| remove_expired(cx, id)).await?;
            Ok(PlainStatus::of(false))
        }
        Err(_bad) => Ok(PlainStatus::of(false)),
    }
}

/// Delete every expired temporary token
#[utoipa::path(delete, path = "/app/clear/all/tokens", operation_id = "token_manager_clear", tag = "token manager",
    responses((status = 200, description = "done", body = PlainStatus), Problems))]
async fn clear_expired(visitor: Visitor) -> Result<Response> {
    // Batch after batch, so that others write in between.
    while believes_clock(visitor.app()) && visitor.clone().write(clear_some).await? {}
    Ok(PlainStatus::of(true))
}

/// An entry of the older service's list: no secret, unlike then.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PlainEntry {
    /// The id.
    #[schema(value_type = String, example = "0LqP3xYz8Ab")]
    id: TokenId,
    /// The same in decimal. It is text because not every reader of JSON has integers so large.
    #[schema(example = "7543218901234567890")]
    number: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// List temporary tokens
///
/// Their ids and expiry, unlike then not their text. Needs `token:read`.
#[utoipa::path(get, path = "/app/tokens", operation_id = "token_manager_list", tag = "token manager", params(Part), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<PlainEntry>), Problems))]
async fn list_plain(caller: Caller, Query(page): Query<Part>) -> Result<impl IntoResponse> {
    let filter = Filter {
        kind: Some(Kind::Temporary),
        ..Filter::default()
    };
    let Part { limit, cursor } = page;
    let page = caller
        .read(move |cx| list(cx, &filter, cursor.as_deref(), limit.get()))
        .await?;
    let entry = |token: Token| PlainEntry {
        id: token.id,
        number: token.id.0.to_string(),
        expires_at: token.expires_at,
    };
    Ok(Json(page.map(entry)))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::app::Actor;
    use crate::tokens::{NewToken, count_matching, create};

    fn rows(app: &App) -> u64 {
        app.read(&Actor::operator(), |cx| {
            count_matching(cx, &Filter::default())
        })
        .unwrap()
    }

    async fn answer(app: &App, method: &str, path: &str) -> StatusCode {
        let request = Request::builder().method(method).uri(path);
        let router = crate::http::router(app, None).unwrap();
        let request = request.body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn yes_and_no_are_what_the_description_says() {
        for status in [true, false] {
            let described = PlainStatus {
                status_code: 200,
                status,
            };
            let described = Json(described).into_response();
            let told = PlainStatus::of(status);
            assert_eq!(told.headers(), described.headers());
            let [told, described] = [told, described].map(|answer| answer.into_body().collect());
            assert_eq!(
                told.await.unwrap().to_bytes(),
                described.await.unwrap().to_bytes()
            );
        }
    }

    /// A clock that leapt calls everything expired.
    #[test]
    fn nothing_is_deleted_while_the_clock_is_not_believed() {
        let app = App::memory();
        let issued = app.at(Timestamp(0), &Actor::operator(), |cx| {
            create(cx, &NewToken::of(Kind::Temporary))
        });
        let issued = issued.unwrap();
        let text = decimal(issued.token.id, &issued.secret);
        let valid = format!("/app/valid/{}", text.expose());
        app.clock().leap();
        crate::testing::run(async {
            assert_eq!(answer(&app, "GET", &valid).await, StatusCode::OK);
            let clear = "/app/clear/all/tokens";
            assert_eq!(answer(&app, "DELETE", clear).await, StatusCode::OK);
        });
        assert_eq!(rows(&app), 1);
    }
}
