//! Getting in without the password, over HTTP.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Arrival, Invitation, LoginLink, Order};
use crate::app::{App, Cx};
use crate::error::Result;
use crate::http::extract::{Brief, Hidden, Json, MaybePosted, Posted};
use crate::http::{Caller, Place, Problems, Routes, Visitor, check_origin, limited, routes};
use crate::password::Password;
use crate::secret::Secret;
use crate::sessions::http::{Tokens, client, opened};
use crate::time::Period;
use crate::users::{self, Email, Role, User};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(forgot))
        .with(routes!(reset))
        .with(routes!(verify))
        .with(routes!(ask_again))
        .with(routes!(invite))
        .with(routes!(login_link))
        .with(routes!(enter))
        .with(routes!(unlock))
}

/// Who forgot the password.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Forgotten {
    /// A user name, an e-mail address or a phone number.
    #[schema(example = "maria@example.org")]
    login: String,
}

/// Ask for a link to choose a new password
///
/// It goes to the e-mail address of the account, if that has been confirmed: one that was mistyped
/// must not hand the account to a stranger. The answer is the same whether there is such a person or
/// not.
#[utoipa::path(post, path = "/api/v1/auth/password/forgot", operation_id = "forgot_password", tag = "recovery", request_body = Forgotten,
    responses((status = 202, description = "if there is such a person, mail is on its way"), Problems))]
async fn forgot(visitor: Visitor, Brief(forgotten): Brief<Forgotten>) -> Response {
    let app = visitor.app().clone();
    let rates = &app.kit().rates;
    let taken = rates.take_reset(visitor.ip());
    let work = async {
        let work = move |app: &App, actor: &_| super::forgot(app, actor, &forgotten.login);
        visitor.work(work).await?;
        Ok(StatusCode::ACCEPTED.into_response())
    };
    limited(rates.reset.policy(), taken, work).await
}

/// A new password, and the link that allows it.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// The token of the link.
    #[schema(value_type = String, example = "pvp_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0")]
    token: Hidden,
    /// The new password.
    new_password: Password,
}

/// Choose a new password with a link
///
/// Ends everything that the person has open. A link works once.
#[utoipa::path(post, path = "/api/v1/auth/password/reset", operation_id = "reset_password", tag = "recovery", request_body = Reset,
    responses((status = 204, description = "the new password holds"), Problems))]
async fn reset(visitor: Visitor, Brief(order): Brief<Reset>) -> Response {
    let app = visitor.app().clone();
    let rates = &app.kit().rates;
    let taken = rates.take_reset(visitor.ip());
    let work = async {
        let Reset {
            token,
            new_password,
        } = order;
        let work = move |app: &App, actor: &_| super::reset(app, actor, &token.0, new_password);
        // With those who wait to have a password hashed: nobody else waits for it.
        let reset = visitor.prepare(work).await;
        reset.map_err(|error| error.called("password", "new_password"))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    limited(rates.reset.policy(), taken, work).await
}

/// The token of a link.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PresentedLink {
    /// The whole text.
    #[schema(value_type = String, example = "pve_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0")]
    token: Hidden,
}

/// Confirm an e-mail address with a link
///
/// A link works once.
#[utoipa::path(post, path = "/api/v1/auth/email/verify", operation_id = "verify_email", tag = "recovery", request_body = PresentedLink,
    responses((status = 204, description = "it is confirmed"), Problems))]
async fn verify(visitor: Visitor, Brief(presented): Brief<PresentedLink>) -> Response {
    let app = visitor.app().clone();
    let rates = &app.kit().rates;
    let taken = rates.take_reset(visitor.ip());
    let work = async {
        let work = move |cx: &mut Cx<'_, '_>| super::verify_email(cx, presented.token.0.expose());
        visitor.write(work).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    limited(rates.reset.policy(), taken, work).await
}

/// Get another link to confirm one's address
///
/// Those before are good no longer. Needs a session.
#[utoipa::path(post, path = "/api/v1/me/email/verification", operation_id = "ask_for_verification", tag = "recovery", security(("bearer" = []), ("cookie" = [])),
    responses((status = 202, description = "mail is on its way"), Problems))]
async fn ask_again(caller: Caller) -> Result<StatusCode> {
    caller.actor().person()?;
    let user = caller.look(users::own).await?;
    if let Some(email) = &user.email {
        let rates = &caller.visitor().app().kit().rates;
        rates.take_address(email)?;
    }
    caller.write(super::ask_again).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Who is invited.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvitation {
    /// The address.
    #[schema(value_type = String, example = "anna@example.org")]
    email: Email,
    /// What the account may do; `user` without it.
    #[serde(default)]
    roles: Vec<Role>,
    /// How long it is good, at most 30 days; 7 days without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "7d")]
    ttl: Option<Period>,
}

/// An object with the token that belongs to it: shown this once.
#[derive(Serialize, utoipa::ToSchema)]
struct Made<T> {
    #[serde(flatten)]
    about: T,
    /// What to present.
    token: String,
    /// The page with it, where the settings have one.
    url: Option<String>,
}

impl<T> Made<T> {
    fn of((about, token, page): (T, Secret<String>, Option<Secret<String>>)) -> Self {
        Self {
            about,
            token: token.expose().clone(),
            url: page.map(|page| page.expose().clone()),
        }
    }
}

/// Invite somebody to make an account
///
/// It is sent by mail where a mail server is set. Needs `user:write`.
#[utoipa::path(post, path = "/api/v1/users/invitations", operation_id = "invite_user", tag = "recovery", request_body = NewInvitation, security(("bearer" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "invited", body = Made<Invitation>, headers(("Location", description = "The path of the token"))), Problems))]
async fn invite(caller: Caller, posted: Posted<NewInvitation>) -> Result<Response> {
    let place = |made: &Made<Invitation>| {
        Ok(Place {
            location: format!("/api/v1/tokens/{}", made.about.id),
            etag: String::new(),
        })
    };
    let work = |cx: &mut Cx<'_, '_>, new: &NewInvitation| {
        super::invite(cx, &new.email, &new.roles, new.ttl).map(Made::of)
    };
    caller.create(posted, place, work).await
}

/// What sort of login link.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLoginLink {
    /// How long it is good, at most an hour; 15 minutes without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "15m")]
    ttl: Option<Period>,
    /// Send it to the user's address, too.
    #[serde(default)]
    mail: bool,
}

/// Make a link that logs a user in
///
/// It works once. Needs `user:write`.
#[utoipa::path(post, path = "/api/v1/users/{id}/login-link", operation_id = "make_login_link", tag = "recovery", request_body = Option<NewLoginLink>, security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "Id, user name, e-mail address or phone number"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "made", body = Made<LoginLink>, headers(("Location", description = "The path of the token"))), Problems))]
async fn login_link(
    caller: Caller,
    Path(user): Path<String>,
    MaybePosted(posted): MaybePosted<NewLoginLink>,
) -> Result<Response> {
    let place = |made: &Made<LoginLink>| {
        Ok(Place {
            location: format!("/api/v1/tokens/{}", made.about.id),
            etag: String::new(),
        })
    };
    let work = move |cx: &mut Cx<'_, '_>, new: &NewLoginLink| {
        let order = Order {
            ttl: new.ttl,
            mail: new.mail,
        };
        super::login_link(cx, &user, order).map(Made::of)
    };
    caller.create(posted, place, work).await
}

/// A login link, and what else the account asks for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Entrance {
    /// The token of the link.
    #[schema(value_type = String, example = "pvl_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0")]
    token: Hidden,
    /// A code of the second factor, or a recovery code, where the account has one.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "287082")]
    otp: Option<Hidden>,
    /// Whether the tokens go into cookies, for a page in a browser, and not into the body.
    #[serde(default)]
    cookies: bool,
}

/// Log in with a login link
///
/// A link works once; a wrong code uses it up.
#[utoipa::path(post, path = "/api/v1/auth/login-link", operation_id = "login_by_link", tag = "recovery", request_body = Entrance,
    responses((status = 200, description = "logged in; with `cookies` the tokens are in `Set-Cookie`", body = Tokens), Problems))]
async fn enter(visitor: Visitor, headers: HeaderMap, Brief(given): Brief<Entrance>) -> Response {
    let app = visitor.app().clone();
    let rates = &app.kit().rates;
    let taken = rates.take_login(visitor.ip());
    limited(
        rates.login.policy(),
        taken,
        entered(visitor, headers, given),
    )
    .await
}

async fn entered(visitor: Visitor, headers: HeaderMap, given: Entrance) -> Result<Response> {
    if given.cookies {
        // Nobody is logged in by another site's page into an account that is not theirs.
        check_origin(&headers, visitor.app())?;
    }
    let arrival = Arrival {
        token: given.token.0,
        otp: given.otp.map(|otp| otp.0),
        ip: visitor.ip(),
        client: client(&headers),
    };
    let entered = visitor.clone().write(move |cx| super::enter(cx, &arrival));
    opened(&visitor, &entered.await??, given.cookies).await
}

/// Let a user log in again
///
/// After too many failures. Needs `user:write`.
#[utoipa::path(post, path = "/api/v1/users/{id}/unlock", operation_id = "unlock_user", tag = "recovery", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "Id, user name, e-mail address or phone number")),
    responses((status = 200, description = "may log in, now or before", body = User), Problems))]
async fn unlock(caller: Caller, Path(user): Path<String>) -> Result<Json<User>> {
    let unlocked = caller.write(move |cx| super::unlock(cx, &user));
    unlocked.await.map(|(user, _)| Json(user))
}
