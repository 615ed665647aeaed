//! Limits and bans over HTTP, and the address that the daemon sees.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Ban, Limit, Network, NewBan};
use crate::error::{Error, Result};
use crate::http::extract::{Json, Posted, Query};
use crate::http::version::{self, Known};
use crate::http::{Caller, Place, Problems, Routes, Visitor, routes};
use crate::page::{self, Limit as PageLimit, Page};
use crate::users;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(limits))
        .with(routes!(clear))
        .with(routes!(bans, add))
        .with(routes!(show, remove))
        .with(routes!(whoami_ip))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WantedLimits {
    /// The order: `-ends_at`, first who is off, then who waits for longest, is the only one.
    #[param(pattern = "^-ends_at$", default = "-ends_at")]
    sort: Option<String>,
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// List whose logins have to wait
///
/// Also who is off until that is cleared, and which addresses are blocked. Needs `limit:read`.
#[utoipa::path(get, path = "/api/v1/limits", operation_id = "list_limits", tag = "operations", params(WantedLimits), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Limit>), Problems))]
async fn limits(caller: Caller, Query(wanted): Query<WantedLimits>) -> Result<impl IntoResponse> {
    let WantedLimits {
        sort,
        limit,
        cursor,
    } = wanted;
    page::newest_first(sort.as_deref(), "-ends_at")?;
    let page = caller
        .read(move |cx| super::list(cx, users::name_of, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// Forget the failures of an account or an address
///
/// Needs `limit:write`.
#[utoipa::path(delete, path = "/api/v1/limits/{key}", operation_id = "clear_limit", tag = "operations", security(("bearer" = []), ("cookie" = [])),
    params(("key" = String, Path, description = "The key as it is listed, a client's address, or what names the user: id, user name, e-mail or phone", example = "user:0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")),
    responses((status = 204, description = "forgotten"), Problems))]
async fn clear(caller: Caller, Path(key): Path<String>) -> Result<StatusCode> {
    let key = users::spelling(&key);
    let cleared = caller.write(move |cx| super::lift(cx, users::id_of, &key));
    if cleared.await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::no_such("limit", ""))
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WantedBans {
    /// The order: `-created_at`, the newest first, is the only one.
    #[param(pattern = "^-created_at$", default = "-created_at")]
    sort: Option<String>,
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// List the banned networks
///
/// The newest ban first; none that expired. Needs `limit:read`.
#[utoipa::path(get, path = "/api/v1/bans", operation_id = "list_bans", tag = "operations", params(WantedBans), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<Ban>), Problems))]
async fn bans(caller: Caller, Query(wanted): Query<WantedBans>) -> Result<impl IntoResponse> {
    let WantedBans {
        sort,
        limit,
        cursor,
    } = wanted;
    page::newest_first(sort.as_deref(), "-created_at")?;
    let page = caller
        .read(move |cx| super::bans(cx, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

impl Ban {
    fn place(&self) -> Result<Place> {
        let network = self.network.to_string().replace('/', "%2F");
        Ok(Place {
            location: format!("/api/v1/bans/{network}"),
            etag: version::etag(self)?,
        })
    }
}

/// Ban a network
///
/// Or change until when and why it is banned. Every daemon learns of it within a second, and
/// answers every request from there with 403. A network that holds this machine's own addresses,
/// a trusted proxy, the caller's address or a large part of the Internet is only banned with
/// `confirm`. Needs `limit:write`.
#[utoipa::path(post, path = "/api/v1/bans", operation_id = "add_ban", tag = "operations", request_body = NewBan, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "banned", body = Ban, headers(("Location", description = "The path of the ban"), ("ETag", description = "The version of the ban"))), Problems))]
async fn add(caller: Caller, posted: Posted<NewBan>) -> Result<Response> {
    caller.create(posted, Ban::place, super::add).await
}

/// Show a ban
///
/// Needs `limit:read`.
#[utoipa::path(get, path = "/api/v1/bans/{network}", operation_id = "show_ban", tag = "operations", security(("bearer" = []), ("cookie" = [])),
    params(("network" = String, Path, description = "The network, its slash written as %2F, or a single address", example = "203.0.113.0%2F24"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the ban", body = Ban, headers(("ETag", description = "The version of the ban"))),
        (status = 304, description = "as it was"), Problems))]
async fn show(caller: Caller, known: Known, Path(network): Path<String>) -> Result<Response> {
    let network = named(&network)?;
    known.answer(&caller.look(|cx| super::get(cx, network)).await?)
}

/// End a ban
///
/// Needs `limit:write`.
#[utoipa::path(delete, path = "/api/v1/bans/{network}", operation_id = "remove_ban", tag = "operations", security(("bearer" = []), ("cookie" = [])),
    params(("network" = String, Path, description = "The network, its slash written as %2F, or a single address", example = "203.0.113.0%2F24"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the ban as it is known: 412 if it has changed")),
    responses((status = 204, description = "ended"), Problems))]
async fn remove(caller: Caller, known: Known, Path(network): Path<String>) -> Result<StatusCode> {
    let network = named(&network)?;
    caller
        .write(move |cx| super::remove(cx, network, |ban| known.check(ban)))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The network in a path; what is none is certainly not banned.
fn named(text: &str) -> Result<Network> {
    text.parse().map_err(|_| Error::no_such("ban", text))
}

/// The address of a client.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Address {
    /// As limits and bans see it; null for who comes by a Unix socket.
    #[schema(example = "203.0.113.7")]
    ip: Option<String>,
}

/// Tell the caller's address
///
/// The one that limits and bans go by: that of the client, behind the proxies that are trusted.
/// Anybody may ask.
#[utoipa::path(get, path = "/api/v1/whoami/ip", operation_id = "whoami_ip", tag = "operations",
    responses((status = 200, description = "the address", body = Address), Problems))]
async fn whoami_ip(visitor: Visitor) -> impl IntoResponse {
    let ip = visitor.ip().map(|ip| ip.to_canonical().to_string());
    Json(Address { ip })
}
