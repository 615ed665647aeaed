//! Taking accounts away and giving them back, and their roles. Each answer tells what ended.

use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;

use crate::access::{self, Changed};
use crate::error::Result;
use crate::http::extract::MaybePosted;
use crate::http::version::{self, Known};
use crate::http::{Caller, Problems};
use crate::users::{self, Role, User};

fn answer(changed: &Changed) -> Result<Response> {
    version::changed_with(changed, &changed.user)
}

/// Delete an account
///
/// Ends whatever it opened. For `auth.restore_period` it can be restored; then everything about a
/// person is erased from it. Needs `user:write`.
#[utoipa::path(delete, path = "/api/v1/users/{id}", operation_id = "delete_user", tag = "users", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the account as it is known: 412 if it has changed")),
    responses((status = 200, description = "deleted", body = Changed, headers(("ETag", description = "The version of the account"))), Problems))]
pub(super) async fn remove(
    caller: Caller,
    known: Known,
    Path(id): Path<String>,
) -> Result<Response> {
    let changed =
        caller.write(move |cx| access::delete_if(cx, &id, None, |user: &User| known.check(user)));
    answer(&changed.await?)
}

/// Why an account is disabled.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DisableReason {
    /// For the account and the audit log.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "left the company")]
    reason: Option<String>,
}

/// Disable an account
///
/// Ends whatever it opened; it opens nothing until it is enabled again. Needs `user:write`.
#[utoipa::path(post, path = "/api/v1/users/{id}/disable", operation_id = "disable_user", tag = "users", request_body = Option<DisableReason>, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria")),
    responses((status = 200, description = "disabled, now or before", body = Changed, headers(("ETag", description = "The version of the account"))), Problems))]
pub(super) async fn disable(
    caller: Caller,
    Path(id): Path<String>,
    MaybePosted(posted): MaybePosted<DisableReason>,
) -> Result<Response> {
    let reason = posted.value.reason;
    let changed = caller.write(move |cx| access::disable(cx, &id, reason.as_deref()));
    answer(&changed.await?)
}

/// Enable an account again
///
/// What it had opened stays ended. Needs `user:write`.
#[utoipa::path(post, path = "/api/v1/users/{id}/enable", operation_id = "enable_user", tag = "users", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria")),
    responses((status = 200, description = "enabled, now or before", body = User, headers(("ETag", description = "The version of the account"))), Problems))]
pub(super) async fn enable(caller: Caller, Path(id): Path<String>) -> Result<Response> {
    let user = caller.write(move |cx| users::enable(cx, &id)).await?;
    version::changed(&user)
}

/// Restore a deleted account
///
/// As it was: if it was disabled, disabled. What it had opened stays ended. Needs `user:write`.
#[utoipa::path(post, path = "/api/v1/users/{id}/restore", operation_id = "restore_user", tag = "users", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria")),
    responses((status = 200, description = "restored, now or before", body = User, headers(("ETag", description = "The version of the account"))),
        (status = 422, description = "It is too late"), Problems))]
pub(super) async fn restore(caller: Caller, Path(id): Path<String>) -> Result<Response> {
    let user = caller.write(move |cx| users::restore(cx, &id)).await?;
    version::changed(&user)
}

/// Give an account a role
///
/// What it opened before has ended. Needs `user:write`.
#[utoipa::path(put, path = "/api/v1/users/{id}/roles/{role}", operation_id = "grant_role", tag = "users", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria"),
        ("role" = Role, Path, description = "The role")),
    responses((status = 200, description = "given, now or before", body = Changed, headers(("ETag", description = "The version of the account"))), Problems))]
pub(super) async fn grant(
    caller: Caller,
    Path((id, role)): Path<(String, String)>,
) -> Result<Response> {
    let role: Role = role.parse()?;
    let changed = caller.write(move |cx| access::promote(cx, &id, role));
    answer(&changed.await?)
}

/// Take a role away
///
/// What the account opened with it has ended. Needs `user:write`.
#[utoipa::path(delete, path = "/api/v1/users/{id}/roles/{role}", operation_id = "revoke_role", tag = "users", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria"),
        ("role" = Role, Path, description = "The role")),
    responses((status = 200, description = "taken, now or before", body = Changed, headers(("ETag", description = "The version of the account"))), Problems))]
pub(super) async fn revoke(
    caller: Caller,
    Path((id, role)): Path<(String, String)>,
) -> Result<Response> {
    let role: Role = role.parse()?;
    let changed = caller.write(move |cx| access::demote(cx, &id, role));
    answer(&changed.await?)
}
