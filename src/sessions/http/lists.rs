//! Looking through sessions and ending them: one's own, and anybody's.

use axum::extract::Path;
use axum::response::IntoResponse;
use http::StatusCode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::app::Who;
use crate::error::Result;
use crate::http::extract::{Json, Query};
use crate::http::{Caller, Problems, Routes, routes};
use crate::page::{self, Limit, Page, Part};
use crate::sessions::{self, Filter, Session, State};
use crate::time::Timestamp;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list_own, end_all_own))
        .with(routes!(end_own))
        .with(routes!(list))
        .with(routes!(show, end))
        .with(routes!(list_of, end_all_of))
}

/// One of one's own sessions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct OwnSession {
    #[serde(flatten)]
    about: Session,
    /// Whether it is the one that asks.
    current: bool,
}

/// List one's own sessions
///
/// Those that are good, the newest first.
#[utoipa::path(get, path = "/api/v1/me/sessions", operation_id = "list_own_sessions", tag = "sessions", params(Part),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<OwnSession>), Problems))]
async fn list_own(caller: Caller, Query(part): Query<Part>) -> Result<impl IntoResponse> {
    let current = match &caller.actor().who {
        Who::Session { id, .. } => id.clone(),
        Who::Operator { .. } | Who::Job(_) | Who::Token { .. } | Who::Anonymous => String::new(),
    };
    let Part { limit, cursor } = part;
    let page = caller
        .read(move |cx| sessions::list_own(cx, cursor.as_deref(), limit.get()))
        .await?;
    let own = |about: Session| OwnSession {
        current: about.id == current,
        about,
    };
    Ok(Json(Page {
        items: page.items.into_iter().map(own).collect(),
        next: page.next,
    }))
}

/// Which of one's own sessions stay.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Except {
    /// The one that asks.
    Current,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `current` keeps the session that asks.
    #[param(value_type = Option<String>, pattern = "^current$")]
    except: Option<Except>,
}

/// How many sessions were ended.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EndedSessions {
    /// How many.
    ended: u64,
}

/// End one's own sessions
///
/// All of them, or all but the one that asks.
#[utoipa::path(delete, path = "/api/v1/me/sessions", operation_id = "end_own_sessions", tag = "sessions", params(Which),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "ended", body = EndedSessions), Problems))]
async fn end_all_own(caller: Caller, Query(which): Query<Which>) -> Result<impl IntoResponse> {
    let except_current = matches!(which.except, Some(Except::Current));
    let ended = caller
        .write(move |cx| sessions::revoke_all_own(cx, except_current))
        .await?;
    Ok(Json(EndedSessions { ended }))
}

/// End one of one's own sessions
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", operation_id = "end_own_session", tag = "sessions",
    security(("bearer" = []), ("cookie" = [])), params(("id" = String, Path, description = "The session's id")),
    responses((status = 204, description = "ended, now or before"), Problems))]
async fn end_own(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    caller
        .write(move |cx| sessions::revoke_own(cx, &id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this user: id, user name, e-mail or phone.
    user: Option<String>,
    /// In this state.
    state: Option<State>,
    /// Opened from this network.
    #[param(value_type = Option<String>, example = "10.0.0.0/8")]
    ip: Option<IpNet>,
    /// Opened with a program whose name fits; `*` stands for any characters.
    #[param(example = "Firefox*")]
    client: Option<String>,
    /// Not used since.
    #[param(value_type = Option<String>, format = DateTime)]
    idle_since: Option<Timestamp>,
    /// Opened before.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Timestamp>,
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

async fn page(caller: Caller, wanted: Wanted) -> Result<Json<Page<Session>>> {
    page::newest_first(wanted.sort.as_deref(), "-created_at")?;
    let filter = Filter {
        user: wanted.user,
        state: wanted.state,
        ip: wanted.ip,
        client: wanted.client,
        idle_since: wanted.idle_since,
        created_before: wanted.created_before,
    };
    let (cursor, limit) = (wanted.cursor, wanted.limit);
    let page = caller
        .read(move |cx| sessions::list(cx, &filter, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// List sessions
///
/// Everybody's, the newest first. Needs `session:read`.
#[utoipa::path(get, path = "/api/v1/sessions", operation_id = "list_sessions", tag = "sessions", params(Wanted), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Session>), Problems))]
async fn list(caller: Caller, Query(wanted): Query<Wanted>) -> Result<impl IntoResponse> {
    page(caller, wanted).await
}

/// List the sessions of a user
///
/// The newest first. Needs `session:read`.
#[utoipa::path(get, path = "/api/v1/users/{id}/sessions", operation_id = "list_sessions_of_user", tag = "sessions", params(Part,
        ("id" = String, Path, description = "The user: id, user name, e-mail or phone")), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Session>), Problems))]
async fn list_of(
    caller: Caller,
    Path(id): Path<String>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let wanted = Wanted {
        user: Some(id),
        state: None,
        ip: None,
        client: None,
        idle_since: None,
        created_before: None,
        sort: None,
        limit: part.limit,
        cursor: part.cursor,
    };
    page(caller, wanted).await
}

/// Show a session
///
/// Needs `session:read`.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", operation_id = "show_session", tag = "sessions", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The session's id, or its first characters")),
    responses((status = 200, description = "the session", body = Session), Problems))]
async fn show(caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    let session = caller.read(move |cx| sessions::get(cx, &id)).await?;
    Ok(Json(session))
}

/// End a session
///
/// Needs `session:revoke`.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", operation_id = "end_session", tag = "sessions", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The session's id, or its first characters")),
    responses((status = 204, description = "ended, now or before"), Problems))]
async fn end(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    caller
        .write(move |cx| sessions::revoke(cx, &id, None))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the sessions of a user
///
/// Needs `session:revoke`.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions", operation_id = "end_sessions_of_user", tag = "sessions", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The user: id, user name, e-mail or phone")),
    responses((status = 200, description = "ended", body = EndedSessions), Problems))]
async fn end_all_of(caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    let ended = caller
        .write(move |cx| sessions::revoke_all(cx, &id, None, None))
        .await?;
    Ok(Json(EndedSessions { ended }))
}
