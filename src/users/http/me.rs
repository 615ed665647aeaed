//! One's own account: making it, seeing it, changing it, deleting it.

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::account::{Account, Candidate};
use crate::access::{self, Changed};
use crate::app::{Actor, App, Cx};
use crate::error::Result;
use crate::http::cookies::Cookies;
use crate::http::extract::{BRIEF, Hidden, Json, Posted};
use crate::http::version::{self, Known};
use crate::http::{Caller, Own, Problems, Visitor, limited};
use crate::password::Password;
use crate::recovery::{self, Invited};
use crate::users::{
    self, Change, Changes, Email, FullName, Locale, Meta, NewPassword, NewUser, Phone, Prepared,
    User, Username,
};

/// An account that somebody makes for themselves: an ordinary one.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    /// What to sign in with.
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
    /// The language.
    #[serde(default)]
    locale: Option<Locale>,
    /// The password.
    password: Password,
    /// The token of an invitation: its address and roles become the account's.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "pvi_0LqP3xYz8AbxyZ9AbC2DeF3GhI4JkLmN5oPqR6sTuCHECK0")]
    invitation: Option<Hidden>,
}

/// Somebody who may register, by which right.
#[derive(Clone, Debug)]
enum Entrant {
    /// As everybody.
    Anybody(Prepared),
    /// By an invitation.
    Invited(Invited),
}

impl Entrant {
    fn prepare(app: &App, actor: &Actor, mut new: Registration) -> Result<Self> {
        match new.invitation.take() {
            Some(Hidden(token)) => {
                recovery::prepare_invited(app, actor, token, new.into()).map(Self::Invited)
            }
            None => users::prepare_registration(app, actor, new.into()).map(Self::Anybody),
        }
    }

    fn register(&self, cx: &mut Cx<'_, '_>) -> Result<User> {
        match self {
            Self::Invited(invited) => recovery::register_invited(cx, invited),
            Self::Anybody(prepared) => recovery::create_prepared(cx, prepared),
        }
    }
}

impl Account for Registration {
    const LARGEST: usize = BRIEF;
    const PASSWORD: bool = true;
}

impl From<Registration> for NewUser {
    fn from(new: Registration) -> Self {
        Self {
            email: new.email,
            phone: new.phone,
            name: new.name,
            locale: new.locale,
            password: NewPassword::Text(new.password),
            ..Self::named(new.username)
        }
    }
}

/// Make an account for oneself
///
/// As `auth.registration` says: everybody may, nobody, or who has an invitation.
#[utoipa::path(post, path = "/api/v1/auth/register", operation_id = "register", tag = "auth", request_body = Registration,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The same key and body get the same answer")),
    responses((status = 201, description = "made", body = User),
        (status = 403, description = "Nobody may register, or only with an invitation"),
        (status = 409, description = "A name is taken"),
        (status = 429, description = "Too many accounts from one address"), Problems))]
pub(super) async fn register(
    visitor: Visitor,
    Candidate(posted): Candidate<Registration>,
) -> Response {
    let app = visitor.app().clone();
    let rates = &app.kit().rates;
    let taken = rates.take_register(visitor.ip());
    limited(rates.register.policy(), taken, made(visitor, posted)).await
}

async fn made(visitor: Visitor, posted: Posted<Registration>) -> Result<Response> {
    let Posted { value, bytes } = posted;
    if let Some(email) = &value.email {
        // Each account may send it a letter.
        visitor.app().kit().rates.take_address(email.as_str())?;
    }
    let entrant = visitor
        .prepare(move |app, actor| Entrant::prepare(app, actor, value))
        .await?;
    let posted = Posted { value: (), bytes };
    let enter = move |cx: &mut Cx<'_, '_>, (): &()| entrant.register(cx);
    visitor.create(posted, StatusCode::CREATED, enter).await
}

/// Show one's own account
///
/// Of the person whose session it is, or of the owner of a token with `user:read`.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "show_me", tag = "me", security(("bearer" = []), ("cookie" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 if it still holds")),
    responses((status = 200, description = "the account", body = User, headers(("ETag", description = "The version of the account"))),
        (status = 304, description = "as it was"), Problems))]
pub(super) async fn show(Own(user): Own, known: Known) -> Result<Response> {
    known.answer(&user)
}

/// What to change: a member that is not there stays, `null` clears it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// Another e-mail address, which has to be verified anew.
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
    /// Another JSON object in place of the old one, of at most 4096 bytes.
    #[serde(default)]
    #[schema(value_type = Option<Meta>)]
    meta: Change<Meta>,
}

/// Change one's own account
///
/// Needs a session; another e-mail address, one that was opened in the last 10 minutes.
#[utoipa::path(patch, path = "/api/v1/me", operation_id = "update_me", tag = "me", request_body = Profile, security(("bearer" = []), ("cookie" = [])),
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the account as it is known: 412 if it has changed")),
    responses((status = 200, description = "changed", body = User, headers(("ETag", description = "The version of the account"))),
        (status = 409, description = "A name is taken"), Problems))]
pub(super) async fn update(
    caller: Caller,
    known: Known,
    Json(profile): Json<Profile>,
) -> Result<Response> {
    let Profile {
        email,
        phone,
        name,
        locale,
        meta,
    } = profile;
    let changes = Changes {
        email,
        phone,
        name,
        locale,
        meta,
    };
    if let (Change::Set(email), Ok(_)) = (&changes.email, caller.actor().person()) {
        // Before mail is queued for it: a stolen session must not flood others with mail.
        let rates = &caller.visitor().app().kit().rates;
        rates.take_reset(caller.visitor().ip())?;
        rates.take_address(email.as_str())?;
    }
    let user = caller
        .write(move |cx| recovery::update_own(cx, &changes, |user| known.check(user)))
        .await?;
    version::changed(&user)
}

/// Delete one's own account
///
/// Ends whatever it opened, this session too. Needs a session that was opened in the last 10
/// minutes. The last administrator stays.
#[utoipa::path(delete, path = "/api/v1/me", operation_id = "delete_me", tag = "me", security(("bearer" = []), ("cookie" = [])),
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the account as it is known: 412 if it has changed")),
    responses((status = 200, description = "deleted", body = Changed), Problems))]
pub(super) async fn remove(caller: Caller, headers: HeaderMap, known: Known) -> Result<Response> {
    let insecure = caller.visitor().app().config().auth.insecure_cookies;
    let cookies = Cookies::of(insecure);
    let by_cookie = Cookies::find(&headers, cookies.access)?.is_some();
    let changed = caller
        .write(move |cx| access::delete_own(cx, |user| known.check(user)))
        .await?;
    let mut response = version::changed_with(&changed, &changed.user)?;
    if by_cookie {
        cookies.expire(response.headers_mut())?;
    }
    Ok(response)
}
