//! CORS (Fetch standard §3.2): off unless origins are configured, and then for exactly those.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

/// The origins that may call from a browser, with credentials.
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        Self {
            origins: origins
                .iter()
                .filter_map(|origin| origin.parse().ok())
                .collect(),
        }
    }

    /// The request's origin, if it is one of ours.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        headers
            .get(ORIGIN)
            .filter(|origin| self.origins.contains(origin))
            .cloned()
    }

    /// The answer to a preflight of one of our origins; its headers are added like any other's.
    pub(super) fn preflight(&self, request: &Request<Body>) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.origin(request.headers()).is_none() {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        for (name, value) in [
            (
                ACCESS_CONTROL_ALLOW_METHODS,
                "GET, HEAD, POST, PUT, PATCH, DELETE",
            ),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type, idempotency-key, if-match, if-none-match, \
                 x-csrf-token, x-request-id",
            ),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Some(response)
    }

    /// Lets the browser show the answer to `origin`, if it is one of ours. All answers vary: a
    /// cache must not give the one without these headers to a site of ours.
    pub(super) fn add(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        let exposed = "etag, idempotent-replayed, location, ratelimit, retry-after, x-request-id";
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(exposed),
        );
    }
}
