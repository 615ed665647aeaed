//! Logging in and out over HTTP, and the sessions that this opens.

mod forward;
mod lists;

use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Login, Opened, Presented, Refreshed, Turn};
use crate::app::{App, Cx, Who};
use crate::error::{Error, Result};
use crate::http::cookies::Cookies;
use crate::http::extract::{Brief, Hidden, Json, MaybePosted};
use crate::http::{
    Caller, Problems, Routes, Visitor, check_origin, check_same_site, limited, routes,
};
use crate::jwt::Public;
use crate::password::{Password, PasswordHash, Policy, Verdict};
use crate::recovery;
use crate::secret::{Secret, same};
use crate::throttle;
use crate::users::{self, User};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

pub(crate) fn routes() -> Routes {
    Routes::new()
        .with(routes!(login))
        .with(routes!(refresh))
        .with(routes!(logout))
        .with(routes!(change_password))
        .with(routes!(jwks))
        .with(forward::routes())
        .with(lists::routes())
}

/// Who wants to log in: exactly one of `login`, `username`, `email` and `phone`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// A user name, an e-mail address or a phone number.
    #[serde(default)]
    #[schema(example = "maria")]
    login: Option<String>,
    /// A user name.
    #[serde(default)]
    username: Option<String>,
    /// An e-mail address.
    #[serde(default)]
    email: Option<String>,
    /// A phone number.
    #[serde(default)]
    phone: Option<String>,
    /// The password.
    #[schema(value_type = Password)]
    password: Tried,
    /// A code of the authenticator app, or a recovery code, where the account has a second factor;
    /// who sends none is asked for it once the password is right: `otp_required`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "123456")]
    otp: Option<Hidden>,
    /// Whether the tokens go into cookies, for a page in a browser, and not into the body.
    #[serde(default)]
    cookies: bool,
}

/// A password that somebody tries to log in with. One that is too long to be anybody's is never
/// hashed, and wrong like any other (security.md, rules 4 and 9).
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct Tried(Option<Password>);

impl From<String> for Tried {
    fn from(text: String) -> Self {
        Self(text.try_into().ok())
    }
}

impl Credentials {
    /// The one name.
    fn name(&mut self) -> Result<String> {
        let names = [
            self.login.take(),
            self.username.take(),
            self.email.take(),
            self.phone.take(),
        ];
        let mut names = names.into_iter().flatten();
        match (names.next(), names.next()) {
            (Some(name), None) => Ok(name),
            _ => Err(Error::invalid(
                "login",
                "must be there, or one of username, email and phone; not two of them",
            )),
        }
    }
}

/// The tokens of a session. Those that went into cookies are not repeated here, where the page's
/// scripts could read them.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Tokens<'a> {
    /// Who logged in.
    user: &'a User,
    /// The session.
    session_id: &'a str,
    /// To be presented with each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
    /// To be exchanged for the next tokens, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// To be sent back in `X-CSRF-Token` with requests that change something, where cookies are
    /// used.
    csrf_token: &'a str,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: i64,
}

/// The answer to who has just opened or refreshed a session.
///
/// # Errors
/// Those of the database; [`Error::Internal`] if the operating system gives no random bytes.
pub(crate) async fn opened(visitor: &Visitor, turn: &Turn, cookies: bool) -> Result<Response> {
    let app = visitor.app();
    let opened = super::mint(app.kit(), turn)?;
    let user = visitor.look(|cx| users::by_id(cx, &opened.user_id));
    answer(app, &user.await?, &opened, cookies)
}

fn answer(app: &App, user: &User, opened: &Opened, cookies: bool) -> Result<Response> {
    let tokens = Tokens {
        user,
        session_id: &opened.session_id,
        access_token: (!cookies).then(|| opened.access_token.expose().as_str()),
        refresh_token: (!cookies).then(|| opened.refresh_token.expose().as_str()),
        csrf_token: opened.csrf_token.expose(),
        token_type: "Bearer",
        expires_in: opened.expires_in,
    };
    let mut response = Json(tokens).into_response();
    if cookies {
        let access = (opened.access_token.expose().as_str(), opened.expires_in);
        let refresh = (
            opened.refresh_token.expose().as_str(),
            opened.refresh_expires_in,
        );
        Cookies::of(app.config().auth.insecure_cookies).set(
            response.headers_mut(),
            access,
            refresh,
            opened.csrf_token.expose(),
        )?;
    }
    Ok(response)
}

/// The program that sent these headers.
pub(crate) fn client(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    super::client(agent)
}

/// Compares what somebody tries; for a password that nobody can have it only takes as long.
async fn try_password(app: &App, tried: Tried, stored: Option<PasswordHash>) -> Result<Verdict> {
    match tried.0 {
        Some(password) => verify(app, password, stored).await,
        None => verify(app, String::new().try_into()?, None).await,
    }
}

/// Compares on the hashing threads; nobody else waits.
async fn verify(app: &App, password: Password, stored: Option<PasswordHash>) -> Result<Verdict> {
    let (tell, told) = oneshot::channel();
    app.kit().hasher.verify_then(password, stored, |verdict| {
        // The client may have gone.
        let _ = tell.send(verdict);
    });
    told.await.map_err(Error::internal)?
}

/// Log in
///
/// By a user name, an e-mail address or a phone number. Whatever is wrong, the answer is the same.
#[utoipa::path(post, path = "/api/v1/auth/login", operation_id = "login", tag = "auth", request_body = Credentials,
    responses((status = 200, description = "logged in; with `cookies` the tokens are in `Set-Cookie`", body = Tokens), Problems))]
async fn login(visitor: Visitor, headers: HeaderMap, Brief(given): Brief<Credentials>) -> Response {
    let app = visitor.app().clone();
    let rates = &app.kit().rates;
    let ip = visitor.ip();
    let free = visitor.look(|cx| throttle::check_address(cx, ip)).await;
    let taken = free.and_then(|()| rates.take_login(ip));
    limited(
        rates.login.policy(),
        taken,
        log_in(visitor, &headers, given),
    )
    .await
}

async fn log_in(visitor: Visitor, headers: &HeaderMap, mut given: Credentials) -> Result<Response> {
    if given.cookies {
        // Nobody is logged in by another site's page into an account that is not theirs.
        check_origin(headers, visitor.app())?;
    }
    // Who would be turned away at the end of the way is turned away here, before it costs anything.
    visitor.app().kit().hasher.check_room()?;
    let login = Login {
        name: given.name()?,
        otp: given.otp.take().map(|otp| otp.0),
        ip: visitor.ip(),
        client: client(headers),
    };
    // Point reads on the spot: nobody's long list keeps people from logging in.
    let account = visitor.look(|cx| users::credentials(cx, &login.name));
    let account = account.await?;
    let attempt = visitor.look(|cx| super::begin(cx, &login, account.as_ref()));
    let attempt = attempt.await?;
    let verdict = try_password(visitor.app(), given.password, attempt.hash().cloned()).await?;
    let owed = verdict.owed;
    let finished = visitor
        .clone()
        .write(move |cx| super::finish(cx, &attempt, &verdict));
    let turn = match finished.await? {
        Ok(turn) => turn,
        // Who knows the password and is asked for the second factor tries no passwords.
        Err(error @ Error::InvalidCredentials { .. }) => {
            let name = users::spelling(&login.name);
            let ip = visitor.ip();
            if let Some(sprayed) = visitor.app().kit().rates.sprayed(ip, &name) {
                let block = move |cx: &mut Cx<'_, '_>| throttle::block(cx, ip, sprayed);
                visitor.clone().write(block).await?;
            }
            // Here, where it holds nothing that others wait for.
            tokio::time::sleep(owed).await;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    opened(&visitor, &turn, given.cookies).await
}

/// What refreshing takes, unless the refresh token is in a cookie.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The refresh token.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "pvr_…")]
    refresh_token: Option<Hidden>,
}

impl Refresh {
    /// The one refresh token, and whether it came in a cookie.
    fn token(
        self,
        headers: &HeaderMap,
        cookies: &Cookies,
    ) -> Result<Option<(Secret<String>, bool)>> {
        let cookie = Cookies::find(headers, cookies.refresh)?;
        match (self.refresh_token, cookie) {
            (Some(_), Some(_)) => Err(Error::Malformed("there is more than one credential".into())),
            (Some(token), None) => Ok(Some((token.0, false))),
            (None, cookie) => Ok(cookie.map(|token| (Secret::new(token.to_owned()), true))),
        }
    }
}

/// Get the next tokens of a session
///
/// A refresh token is good once. Whoever presents an older one ends the session; only the one just
/// before gets the same successor again for a moment, as two tabs of a browser need it. From a cookie
/// it takes the CSRF header.
#[utoipa::path(post, path = "/api/v1/auth/refresh", operation_id = "refresh", tag = "auth", request_body = Option<Refresh>,
    params(("X-CSRF-Token" = Option<String>, Header, description = "The CSRF token, with cookies")),
    responses((status = 200, description = "the next tokens, where the last ones came from", body = Tokens), Problems))]
async fn refresh(
    visitor: Visitor,
    headers: HeaderMap,
    MaybePosted(posted): MaybePosted<Refresh>,
) -> Result<Response> {
    let app = visitor.app();
    let cookies = Cookies::of(app.config().auth.insecure_cookies);
    let given = posted.value.token(&headers, cookies)?;
    let (token, by_cookie) = given.ok_or(Error::Unauthenticated)?;
    let presented = super::presented(&app.kit().keys, token.expose());
    let presented = visitor.noted(presented.ok_or(Error::Unauthenticated))?;
    let session = &presented.session_id;
    if by_cookie {
        visitor.noted(check_same_site(&Method::POST, &headers, app, session))?;
    }
    let rates = &app.kit().rates;
    let allowed = rates.take_refresh(session);
    // In a box: what waits for so much is large, and would be moved on its way through the layers.
    let work = Box::pin(next_turn(&visitor, presented, by_cookie));
    Ok(limited(rates.refresh.policy(), allowed, work).await)
}

/// Signs after the transaction: the writer has others to serve.
async fn next_turn(visitor: &Visitor, presented: Presented, by_cookie: bool) -> Result<Response> {
    let next = visitor
        .clone()
        .write(move |cx| super::refresh(cx, &presented));
    match next.await? {
        Refreshed::Next(turn, user) => {
            let app = visitor.app();
            answer(app, &user, &super::mint(app.kit(), &turn)?, by_cookie)
        }
        Refreshed::Reused | Refreshed::Refused => Err(Error::Unauthenticated),
    }
}

/// Log out
///
/// Ends the session and all that was opened with it, and has the browser forget its cookies. The
/// access token may have expired: the refresh token is enough.
#[utoipa::path(post, path = "/api/v1/auth/logout", operation_id = "logout", tag = "auth", request_body = Option<Refresh>,
    security(("bearer" = []), ("cookie" = [])),
    params(("X-CSRF-Token" = Option<String>, Header, description = "The CSRF token, with cookies")),
    responses((status = 204, description = "logged out, now or before"), Problems))]
async fn logout(
    visitor: Visitor,
    caller: Result<Caller>,
    headers: HeaderMap,
    MaybePosted(posted): MaybePosted<Refresh>,
) -> Result<Response> {
    let app = visitor.app();
    let cookies = Cookies::of(app.config().auth.insecure_cookies);
    let given = posted.value.token(&headers, cookies)?;
    let by_cookie = given.as_ref().is_some_and(|(_, by_cookie)| *by_cookie)
        || Cookies::find(&headers, cookies.access)?.is_some();
    let named = given.as_ref().map(|(token, _)| token.expose().as_str());
    let named = named.and_then(|token| super::session_of(&app.kit().keys, token));
    let (own, by) = match caller {
        Ok(caller) => match &caller.actor().who {
            // One of two sessions would stay open, and the client would believe that it is out.
            Who::Session { id, .. } if named.as_deref().is_some_and(|named| named != id) => {
                return Err(Error::Malformed("there is more than one credential".into()));
            }
            Who::Session { id, .. } => (Some(id.clone()), caller.visitor().clone()),
            Who::Operator { .. } | Who::Job(_) | Who::Token { .. } | Who::Anonymous => {
                return Err(Error::Unauthenticated);
            }
        },
        // The access token has ended, or there is none: the refresh token speaks for the session.
        Err(Error::Unauthenticated) => {
            if let (Some(session), true) = (&named, by_cookie) {
                visitor.noted(check_same_site(&Method::POST, &headers, app, session))?;
            }
            (named, visitor.clone())
        }
        Err(error) => return Err(error),
    };
    match own {
        Some(id) => match by.write(move |cx| super::logout(cx, &id)).await {
            // Somebody else ended it a moment ago.
            Err(Error::Unauthenticated) => {}
            closed => closed?,
        },
        None if by_cookie => {}
        None => return Err(Error::Unauthenticated),
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let everything = HeaderValue::from_static("\"cache\",\"cookies\",\"storage\"");
    response.headers_mut().insert(CLEAR_SITE_DATA, everything);
    if by_cookie {
        cookies.expire(response.headers_mut())?;
    }
    Ok(response)
}

/// What changing one's password takes.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    /// The password as it is.
    current_password: Password,
    /// The password as it shall be.
    new_password: Password,
    /// A code of the authenticator app, or a recovery code, where the account has a second factor;
    /// who sends none is asked for it once the password is right: `otp_required`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "123456")]
    otp: Option<Hidden>,
}

/// Change one's own password
///
/// Ends every session and every token of the account; the answer holds the tokens of a new session.
#[utoipa::path(post, path = "/api/v1/auth/password", operation_id = "change_password", tag = "auth", request_body = PasswordChange,
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "changed", body = Tokens), Problems))]
async fn change_password(
    caller: Caller,
    headers: HeaderMap,
    Brief(given): Brief<PasswordChange>,
) -> Result<Response> {
    let visitor = caller.visitor();
    let app = visitor.app().clone();
    let cookies = Cookies::of(app.config().auth.insecure_cookies);
    let by_cookie = Cookies::find(&headers, cookies.access)?.is_some();
    let login = Login {
        name: String::new(),
        otp: given.otp.map(|otp| otp.0),
        ip: visitor.ip(),
        client: client(&headers),
    };
    let attempt = visitor
        .clone()
        .read(move |cx| super::begin_change(cx, &login));
    let attempt = attempt.await?;
    let (old, new) = (&given.current_password, &given.new_password);
    if same(old.expose().as_bytes(), new.expose().as_bytes()) {
        let reason = "must not be the one that it replaces";
        return Err(Error::invalid("new_password", reason));
    }
    attempt
        .may_choose(&given.new_password, &Policy::of(app.config()))
        .map_err(|error| error.called("password", "new_password"))?;
    let verdict = verify(&app, given.current_password, attempt.hash().cloned()).await?;
    if !verdict.matches {
        let refused = visitor
            .clone()
            .write(move |cx| super::refuse_change(cx, &attempt));
        return Err(refused.await?);
    }
    let hash = visitor.prepare(move |app, _| app.kit().hasher.hash(&given.new_password));
    let hash = hash.await?;
    let turn = visitor
        .clone()
        .write(move |cx| recovery::change_password(cx, &attempt, &hash));
    opened(visitor, &turn.await??, by_cookie).await
}

/// Public keys (RFC 7517 §5).
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct KeySet {
    /// The keys whose access tokens are accepted, also the one that will sign soon.
    keys: Vec<Public>,
}

/// The public keys of access tokens
///
/// For services that verify an access token by themselves. They cannot see that a session was ended:
/// who needs to know asks `GET /api/v1/auth/verify`.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "jwks", tag = "auth",
    responses((status = 200, description = "the keys; empty where tokens are signed with a shared secret", body = KeySet), Problems))]
async fn jwks(visitor: Visitor) -> Result<Response> {
    let keys = visitor.read(super::jwks).await?;
    let mut response = Json(KeySet { keys }).into_response();
    // Less than a new key is published before it signs.
    let kept = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(CACHE_CONTROL, kept);
    Ok(response)
}
