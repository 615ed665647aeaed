//! Errors as answers (RFC 9457). A handler's error becomes an empty answer that carries it; the
//! outermost layer, which knows the request's id, writes the body and logs the causes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::error::Error;
use crate::problem::Problem;

/// The error that an answer stands for.
#[derive(Clone, Debug)]
pub(super) struct Refusal(pub(super) Arc<Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status(&self);
        response.extensions_mut().insert(Refusal(Arc::new(self)));
        response
    }
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.spec().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Gives `response` the body and the headers that `error` has.
pub(super) fn fill(response: &mut Response, error: &Error, request_id: &str) {
    let mut problem = Problem::from(error);
    problem.instance = Some(request_id.to_owned());
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    *response.status_mut() = status(error);
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    add_headers(headers, error);
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few errors have a header of their own"
)]
fn add_headers(headers: &mut HeaderMap, error: &Error) {
    match error {
        Error::Unauthenticated | Error::OtpRequired => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Error::InvalidCredentials { retry_after } => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            if let Some(retry_after) = retry_after {
                headers.insert(RETRY_AFTER, seconds(*retry_after));
            }
        }
        Error::Forbidden { needs } => {
            // RFC 6750 §3.1: the scope that would have been enough. Scopes have no quotes in them.
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needs}\"");
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        Error::RateLimited { retry_after } => {
            headers.insert(RETRY_AFTER, seconds(*retry_after));
        }
        _ if error.spec().status == 503 => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        _ => {}
    }
}

/// Whole seconds, rounded up: who comes back then does not come too early.
fn seconds(period: Duration) -> HeaderValue {
    let seconds = period.as_secs() + u64::from(period.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

/// What an error answer that no handler of ours made stands for: axum's own 404, 405 and 4xx.
pub(super) fn guess(status: StatusCode) -> Error {
    match status {
        StatusCode::NOT_FOUND => Error::NoRoute,
        StatusCode::METHOD_NOT_ALLOWED => Error::MethodNotAllowed,
        other if other.is_client_error() => Error::Malformed("the request cannot be read".into()),
        other => Error::internal(format!("an answer without a body, status {other}")),
    }
}

/// Logs what the client is not told, once, for faults of ours.
pub(super) fn log(error: &Error, request_id: &str, route: &str) {
    let spec = error.spec();
    if spec.status < 500 {
        return;
    }
    let causes = error.causes();
    let causes = crate::escape::line(&causes);
    if spec.status == 503 {
        tracing::warn!(code = spec.code, request = request_id, route, %causes, "request refused");
    } else {
        tracing::error!(code = spec.code, request = request_id, route, %causes, "request failed");
    }
}
