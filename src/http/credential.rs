//! The one credential of a request, and, where it is a cookie, whether the request comes from a page
//! that may use it (security.md, rules 17 and 36).

use http::header::{AUTHORIZATION, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};

use super::cookies::Cookies;
use crate::app::App;
use crate::error::{Error, Result};
use crate::sessions;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// What a request presents.
pub(super) enum Credential<'a> {
    /// In the `Authorization` header: only who means to sends it.
    Bearer(&'a str),
    /// In a cookie: a browser sends it along, whoever's page asks.
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// The one credential of the request (RFC 6750 §2).
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if there is none, [`Error::Malformed`] if there are two.
    pub(super) fn of(parts: &'a Parts, app: &App) -> Result<Self> {
        let cookies = Cookies::of(app.config().auth.insecure_cookies);
        let cookie = Cookies::find(&parts.headers, cookies.access)?;
        match (bearer(&parts.headers)?, cookie) {
            (Some(_), Some(_)) => Err(Error::Malformed("there is more than one credential".into())),
            (Some(token), None) => Ok(Self::Bearer(token)),
            (None, Some(token)) => Ok(Self::Cookie(token)),
            (None, None) => Err(Error::Unauthenticated),
        }
    }
}

/// Whether the request presents a credential, be it a good one or not.
pub(super) fn is_presented(headers: &HeaderMap, app: &App) -> bool {
    let cookies = Cookies::of(app.config().auth.insecure_cookies);
    let cookie = Cookies::find(headers, cookies.access);
    headers.contains_key(AUTHORIZATION) || !matches!(cookie, Ok(None))
}

/// What stands in the `Authorization` header, if there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(Error::Malformed("there is more than one credential".into()));
    }
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    let (scheme, token) = parts.ok_or(Error::Unauthenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(token))
    } else {
        Err(Error::Unauthenticated)
    }
}

/// Whether the method promises to change nothing (RFC 9110 §9.2.1).
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Lets a request with cookies of `session_id` pass if it comes from a page that may use them.
///
/// # Errors
/// [`Error::CrossSite`].
pub fn check_same_site(
    method: &Method,
    headers: &HeaderMap,
    app: &App,
    session_id: &str,
) -> Result<()> {
    if is_safe(method) {
        return Ok(());
    }
    check_origin(headers, app)?;
    let refuse = |reason| Error::CrossSite { reason };
    let header = headers.get(X_CSRF_TOKEN).and_then(|it| it.to_str().ok());
    let header = header.ok_or(refuse("the header X-CSRF-Token is missing"))?;
    let cookies = Cookies::of(app.config().auth.insecure_cookies);
    let cookie = Cookies::find(headers, cookies.csrf)?;
    let same = cookie.is_some_and(|it| crate::secret::same(it.as_bytes(), header.as_bytes()));
    if same && sessions::is_csrf_token(&app.kit().keys, session_id, header) {
        Ok(())
    } else {
        Err(refuse("X-CSRF-Token is not the one of the session"))
    }
}

/// Whether the page that asks is ours or one that the configuration names.
///
/// # Errors
/// [`Error::CrossSite`].
pub fn check_origin(headers: &HeaderMap, app: &App) -> Result<()> {
    let server = &app.config().server;
    let text = |name: &HeaderName| headers.get(name).and_then(|it| it.to_str().ok());
    let origin = text(&ORIGIN);
    let configured = || {
        let listed = |origin: &str| server.cors_origins.iter().any(|it| it == origin);
        origin.is_some_and(listed)
    };
    let own = || origin.is_some() && origin == server.public_url.as_deref();
    let good = match text(&SEC_FETCH_SITE) {
        Some("same-origin" | "none") => true,
        Some(_) => configured(),
        None => !headers.contains_key(ORIGIN) || own() || configured(),
    };
    if good {
        Ok(())
    } else {
        Err(Error::CrossSite {
            reason: "its origin is not one of server.cors_origins",
        })
    }
}
