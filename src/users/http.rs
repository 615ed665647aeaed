//! Accounts over HTTP, for administrators and for programs with `user:read` and `user:write`.

mod account;
mod life;
mod me;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{
    Change, Changes, Email, Filter, FullName, Locale, Meta, NewPassword, NewUser, Phone, Role,
    State, User, Username,
};
use crate::error::Result;
use crate::http::extract::{Json, LARGEST, Posted, Query};
use crate::http::version::{self, Known};
use crate::http::{Caller, Place, Problems, Routes, routes};
use crate::page::{self, Limit, Page};
use crate::password::Password;
use crate::recovery;
use crate::scope::known;
use account::{Account, Candidate};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(list, create))
        .with(routes!(show, update, life::remove))
        .with(routes!(life::disable))
        .with(routes!(life::enable))
        .with(routes!(life::restore))
        .with(routes!(life::grant, life::revoke))
        .with(routes!(me::show, me::update, me::remove))
        .with(routes!(me::register))
}

/// Which accounts to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// In this state; deleted ones only if they are asked for.
    state: Option<State>,
    /// With this role.
    role: Option<Role>,
    /// With this in the user name, the e-mail address or the name, in any case.
    q: Option<String>,
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

/// List accounts
///
/// The newest first. Needs `user:read`.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "list_users", tag = "users", params(Wanted), security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "a page", body = Page<User>), Problems))]
async fn list(caller: Caller, Query(wanted): Query<Wanted>) -> Result<impl IntoResponse> {
    let Wanted {
        state,
        role,
        q,
        sort,
        limit,
        cursor,
    } = wanted;
    page::newest_first(sort.as_deref(), "-created_at")?;
    let filter = Filter { role, state, q };
    let page = caller
        .read(move |cx| super::list(cx, &filter, cursor.as_deref(), limit.get()))
        .await?;
    Ok(Json(page))
}

/// An account to be made.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// What the user signs in with.
    username: Username,
    /// The e-mail address.
    #[serde(default)]
    email: Option<Email>,
    /// The phone number.
    #[serde(default)]
    phone: Option<Phone>,
    /// The name shown to other people.
    #[serde(default)]
    name: Option<FullName>,
    /// The language that its person reads.
    #[serde(default)]
    locale: Option<Locale>,
    /// A JSON object of at most 4096 bytes.
    #[serde(default)]
    meta: Option<Meta>,
    /// What it may do; with none given it is an ordinary user.
    #[serde(default)]
    roles: Vec<Role>,
    /// The password; without one nobody can sign in with a password.
    #[serde(default)]
    password: Option<Password>,
}

impl Account for NewAccount {
    const LARGEST: usize = LARGEST;
    const PASSWORD: bool = false;
}

impl From<NewAccount> for NewUser {
    fn from(new: NewAccount) -> Self {
        Self {
            username: new.username,
            email: new.email,
            phone: new.phone,
            name: new.name,
            locale: new.locale,
            meta: new.meta,
            roles: new.roles,
            password: new.password.map_or(NewPassword::None, NewPassword::Text),
        }
    }
}

fn place(user: &User) -> Result<Place> {
    Ok(Place {
        location: format!("/api/v1/users/{}", user.id),
        etag: version::etag(user)?,
    })
}

/// Make an account
///
/// With `roles` of `admin` this registers an administrator. Needs `user:write`.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "create_user", tag = "users", request_body = NewAccount, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "made", body = User, headers(("Location", description = "The path of the account"), ("ETag", description = "The version of the account"))),
        (status = 409, description = "A name is taken"), Problems))]
async fn create(caller: Caller, Candidate(posted): Candidate<NewAccount>) -> Result<Response> {
    let Posted { value, bytes } = posted;
    let email = value.email.clone();
    let prepared = caller
        .prepare(move |app, actor| super::prepare(app, actor, value.into()))
        .await?;
    if let Some(email) = email {
        // Only now: whoever may not make accounts takes nothing from the address of another.
        let rates = &caller.visitor().app().kit().rates;
        rates.take_address(email.as_str())?;
    }
    let posted = Posted { value: (), bytes };
    caller
        .create(posted, place, move |cx, ()| {
            recovery::create_prepared(cx, &prepared)
        })
        .await
}

/// Show an account
///
/// A deleted one, too. Needs `user:read`.
#[utoipa::path(get, path = "/api/v1/users/{id}", operation_id = "show_user", tag = "users", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the account", body = User, headers(("ETag", description = "The version of the account"))),
        (status = 304, description = "as it was"), Problems))]
async fn show(caller: Caller, known: Known, Path(id): Path<String>) -> Result<Response> {
    known.answer(&caller.look(|cx| super::get(cx, &id)).await?)
}

/// What to change: a member that is not there stays, `null` clears it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Patch {
    /// Another user name.
    #[serde(default)]
    username: Option<Username>,
    /// Another e-mail address, which nobody has shown yet to be theirs.
    #[serde(default)]
    #[schema(value_type = Option<Email>)]
    email: Change<Email>,
    /// Another phone number.
    #[serde(default)]
    #[schema(value_type = Option<Phone>)]
    phone: Change<Phone>,
    /// Another name shown to other people.
    #[serde(default)]
    #[schema(value_type = Option<FullName>)]
    name: Change<FullName>,
    /// Another language.
    #[serde(default)]
    #[schema(value_type = Option<Locale>)]
    locale: Change<Locale>,
    /// Another JSON object in place of the old one.
    #[serde(default)]
    #[schema(value_type = Option<Meta>)]
    meta: Change<Meta>,
}

/// Change an account
///
/// Needs `user:write`.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "update_user", tag = "users", request_body = Patch, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id, its first characters, or any name of the account", example = "maria"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the account as it is known: 412 if it has changed")),
    responses((status = 200, description = "changed", body = User, headers(("ETag", description = "The version of the account"))), Problems))]
async fn update(
    caller: Caller,
    known: Known,
    Path(id): Path<String>,
    Json(patch): Json<Patch>,
) -> Result<Response> {
    let Patch {
        username,
        email,
        phone,
        name,
        locale,
        meta,
    } = patch;
    let changes = Changes {
        email,
        phone,
        name,
        locale,
        meta,
    };
    if let (Change::Set(email), Ok(())) =
        (&changes.email, caller.actor().require(known::USER_WRITE))
    {
        // Whoever may not is refused below, and takes nothing from the address of another.
        caller
            .visitor()
            .app()
            .kit()
            .rates
            .take_address(email.as_str())?;
    }
    let user = caller
        .write(move |cx| {
            let user = recovery::update(cx, &id, &changes, |user| known.check(user))?;
            match &username {
                Some(username) => super::rename(cx, &user.id, username),
                None => Ok(user),
            }
        })
        .await?;
    version::changed(&user)
}
