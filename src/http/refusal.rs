//! Answers that are made below the router: problem objects (RFC 9457) without a request id,
//! because no request was read.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

use super::framing::Fault;
use crate::error::Error;
use crate::problem::Problem;

const TYPE: &str = "application/problem+json";

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.spec().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn problem(error: &Error) -> String {
    serde_json::to_string(&Problem::from(error)).unwrap_or_default()
}

/// The refusal of a request that no service may see; the connection ends with it.
pub(super) fn response(error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::from(problem(error)));
    *response.status_mut() = status(error);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A whole answer as bytes, `more` being header lines with their ends.
pub(super) fn bytes(error: &Error, more: &str) -> Vec<u8> {
    let (status, body) = (status(error), problem(error));
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {TYPE}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n{more}\r\n{body}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
    )
    .into_bytes()
}

/// What to send in place of the bare answer that hyper makes to a head it cannot parse, or nothing
/// if these bytes are not exactly one such answer. `fault` is what [`super::framing`] found.
pub(super) fn instead_of(automatic: &[u8], fault: Option<Fault>) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(automatic)
        .ok()?
        .strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?;
    let mut date = String::new();
    let mut empty = false;
    for line in lines {
        match line.split_once(": ")? {
            ("content-length", "0") => empty = true,
            ("connection", "close") => {}
            ("date", when) => date = format!("date: {when}\r\n"),
            _ => return None,
        }
    }
    let error = match (status, fault) {
        _ if !empty => return None,
        ("400" | "414" | "431", Some(fault)) => fault.error(),
        ("400", None) => Error::Malformed("this is not a request of HTTP/1.1".into()),
        ("414", None) => Fault::UriTooLong.error(),
        ("431", None) => Fault::HeadersTooLarge.error(),
        _ => return None,
    };
    Some(bytes(&error, &date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_hyper_itself_is_replaced() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: D\r\n\r\n";
        let text = String::from_utf8(instead_of(bare, None).unwrap()).unwrap();
        assert!(
            text.starts_with(
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n"
            )
        );
        assert!(text.contains("\r\ndate: D\r\n"));
        assert!(text.contains(r#""code":"malformed""#));
        let long = instead_of(bare, Some(Fault::UriTooLong)).unwrap();
        assert!(long.starts_with(b"HTTP/1.1 414 URI Too Long\r\n"));
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nabc",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx: y\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ndate: D\r\n\r\n",
            b"tail of a body",
        ] {
            assert_eq!(instead_of(other, None), None, "{}", other.escape_ascii());
        }
    }
}
