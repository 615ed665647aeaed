//! Extractors that fail with our [`Error`], so that every refusal looks alike.

mod flaws;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body;
use super::layers::Call;
use crate::error::{Error, Result};
use crate::secret::Secret;
pub(crate) use flaws::Flaws;

/// The largest JSON body, in bytes (security.md §2.8).
pub(crate) const LARGEST: usize = 64 * 1024;

/// A JSON body, in or out. Coming in, unknown members are refused and the media type must be
/// `application/json`, so that no HTML form can call the API (rule 37).
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// A small JSON body, for routes that anybody may call: nobody's name and password need more than
/// 4 KiB (security.md §2.8).
#[derive(Clone, Copy, Debug)]
pub struct Brief<T>(pub T);

/// The largest small body, in bytes.
pub(crate) const BRIEF: usize = 4 * 1024;

/// A text in a body that must not be seen: a token, a code.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub struct Hidden(pub Secret<String>);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

/// A JSON body together with the bytes it came as, for requests that may be sent again under an
/// `Idempotency-Key`.
#[derive(Clone, Debug)]
pub struct Posted<T> {
    /// What it says.
    pub value: T,
    /// As it came.
    pub bytes: Bytes,
}

/// As [`Posted`], but no body at all, or `null`, is the default value.
#[derive(Clone, Debug)]
pub struct MaybePosted<T>(pub Posted<T>);

/// A body in JSON or as an HTML form, where a standard asks for forms (RFC 7009, RFC 7662).
#[derive(Clone, Copy, Debug)]
pub struct FormOrJson<T>(pub T);

/// The query string; unknown members are refused.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut bytes = Vec::with_capacity(256);
        match serde_json::to_writer(&mut bytes, &self.0) {
            Ok(()) => json(bytes),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// An answer of JSON that is written already.
pub(crate) fn json(bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    // Room for what the layer adds: growing a header map step by step hashes all of it again.
    *response.headers_mut() = HeaderMap::with_capacity(24);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        Posted::from_request(request, state)
            .await
            .map(|posted| Self(posted.value))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Brief<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        parse(&body_of(request, BRIEF).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Posted<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let bytes = body_of(request, LARGEST).await?;
        Ok(Self {
            value: parse(&bytes)?,
            bytes,
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybePosted<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let good_type = is(request.headers(), "application/json");
        let bytes = read(request).await?;
        if bytes.is_empty() {
            return Ok(Self(Posted {
                value: T::default(),
                bytes,
            }));
        }
        if !good_type {
            return Err(Error::UnsupportedMediaType {
                expected: "application/json",
            });
        }
        let value: Option<T> = parse(&bytes)?;
        Ok(Self(Posted {
            value: value.unwrap_or_default(),
            bytes,
        }))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for FormOrJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let form = is(request.headers(), "application/x-www-form-urlencoded");
        if !form && !is(request.headers(), "application/json") {
            let expected = "application/x-www-form-urlencoded or application/json";
            return Err(Error::UnsupportedMediaType { expected });
        }
        let bytes = read(request).await?;
        if form {
            parse_form(&bytes).map(Self)
        } else {
            parse(&bytes).map(Self)
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let query = parts.uri.query().unwrap_or_default();
        parse_form(query.as_bytes()).map(Self)
    }
}

fn is(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default();
    given.trim().eq_ignore_ascii_case(wanted)
}

/// The bytes of a JSON body of at most `limit`, unread.
///
/// # Errors
/// [`Error::UnsupportedMediaType`], [`Error::PayloadTooLarge`], [`Error::RequestTimeout`].
pub(crate) async fn body_of(request: Request, limit: usize) -> Result<Bytes> {
    if !is(request.headers(), "application/json") {
        return Err(Error::UnsupportedMediaType {
            expected: "application/json",
        });
    }
    read_within(request, limit).await
}

/// How long a file waits for its turn, with a place among the requests in flight.
const PATIENCE: Duration = Duration::from_secs(2);

/// A place among files that are on their way in.
///
/// # Errors
/// [`Error::Unavailable`] if none is free soon.
pub async fn place_of(slots: &'static Semaphore) -> Result<SemaphorePermit<'static>> {
    let waited = tokio::time::timeout(PATIENCE, slots.acquire()).await;
    let busy = |_| Error::unavailable("too many files come at the same time");
    waited.map_err(busy)?.map_err(Error::internal)
}

/// The body as it is: a file.
///
/// # Errors
/// [`Error::PayloadTooLarge`] over `limit` bytes; [`Error::UnsupportedMediaType`] for a form, whose
/// parts are no file.
pub async fn file(request: Request, limit: usize) -> Result<Bytes> {
    if is(request.headers(), "multipart/form-data") {
        return Err(Error::UnsupportedMediaType {
            expected: "the file itself, and no form",
        });
    }
    read_within(request, limit).await
}

async fn read(request: Request) -> Result<Bytes> {
    read_within(request, LARGEST).await
}

async fn read_within(request: Request, limit: usize) -> Result<Bytes> {
    let length = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.parse().ok());
    let turn = request
        .extensions()
        .get::<Call>()
        .map(|call| call.turn.clone());
    let mut body = pin!(body::read(request.into_body(), length, limit));
    // A body that came with its head, as nearly all do, keeps the request's place.
    let first = poll_fn(|cx| Poll::Ready(body.as_mut().poll(cx))).await;
    let (Poll::Pending, Some(turn)) = (&first, turn) else {
        return match first {
            Poll::Ready(bytes) => bytes,
            Poll::Pending => body.await,
        };
    };
    turn.give_back();
    let bytes = body.await?;
    turn.take().await?;
    Ok(bytes)
}

fn parse_form<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_urlencoded::from_bytes(bytes).map_err(|error| {
        let again = serde_urlencoded::Deserializer::new(form_urlencoded::parse(bytes));
        flaws::one::<T, _>(&error.to_string(), again)
    })
}

/// Reads a body.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    examine(bytes).map_err(Flaws::error)
}

/// Reads a body, of whose members its route may have more to say.
///
/// # Errors
/// All that is wrong with it as far as its types know.
pub(crate) fn examine<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Flaws> {
    if bytes.is_empty() {
        return Err(Error::Malformed("the body is empty".into()).into());
    }
    check_shape(bytes)?;
    // serde would take an array for the members in their order, which nobody was told.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Error::Malformed("the body must be a JSON object".into()).into());
    }
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            Flaws::of::<T>(bytes, &error)
        } else {
            Error::Malformed(place(&error)).into()
        }
    })
}

/// Where JSON stops being JSON. serde's own words can quote the input.
fn place(error: &serde_json::Error) -> String {
    format!(
        "the body is not JSON: line {}, column {}",
        error.line(),
        error.column()
    )
}

/// Depth and members are bounded before anything is built from them (security.md §2.8): 32 levels,
/// 10,000 members. Strings are bounded by the body.
fn check_shape(bytes: &[u8]) -> Result<()> {
    let (mut depth, mut members, mut in_string, mut escaped) = (0_u32, 0_u32, false, false);
    for byte in bytes {
        if in_string {
            (in_string, escaped) = match byte {
                _ if escaped => (true, false),
                b'\\' => (true, true),
                b'"' => (false, false),
                _ => (true, false),
            };
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => members += 1,
            _ => {}
        }
        if depth > 32 || members >= 10_000 {
            return Err(Error::Malformed(
                "the body has more than 32 levels or 10,000 members".into(),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing is of interest")]
    struct Body {
        n: u32,
        #[serde(default)]
        scope: Option<crate::scope::Scope>,
    }

    fn code(text: &str) -> &'static str {
        parse::<Body>(text.as_bytes()).unwrap_err().spec().code
    }

    #[test]
    fn each_sort_of_bad_body_has_its_code_and_quotes_no_input() {
        assert_eq!(code(r#"{"n":1,"hunter2":3}"#), "unknown_field");
        assert_eq!(code(r#"{"n":1"#), "malformed");
        assert_eq!(code("{}"), "malformed");
        assert_eq!(code(r#"{"n":1,"n":2}"#), "malformed");
        assert_eq!(code(r#"{"n":1,"scope":"x"}"#), "invalid");
        let told = |text: &str| parse::<Body>(text.as_bytes()).unwrap_err().to_string();
        let wrong = "member has the wrong type or value: expected";
        let n = wrong.replace("member", "the member \"n\"");
        assert_eq!(told(r#"{"n":"hunter2"}"#), format!("{n} u32"));
        assert_eq!(told("\"hunter2\""), format!("a {wrong} an object"));
        assert_eq!(told(""), "the body is empty");
        assert_eq!(told("[1,null]"), "the body must be a JSON object");
    }

    #[test]
    fn a_refused_value_is_told_under_the_name_of_its_member() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only parsing is of interest")]
        struct Wanted {
            since: Option<crate::time::Timestamp>,
            ttl: Option<crate::time::Period>,
            limit: Option<u32>,
        }
        let told = |text: &str| {
            parse_form::<Wanted>(text.as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert!(told("since=hunter2").starts_with("since: must be RFC 3339"));
        assert!(told("ttl=60").starts_with("ttl: must be like 90s"));
        let wrong = "the member \"limit\" has the wrong type or value";
        assert_eq!(told("limit=hunter2"), wrong);
    }

    #[test]
    fn depth_and_members_are_bounded_and_brackets_in_strings_do_not_count() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(check_shape(deep(32).as_bytes()).is_ok());
        assert!(check_shape(deep(33).as_bytes()).is_err());
        assert!(check_shape(format!("[{}1]", "1,".repeat(9_999)).as_bytes()).is_ok());
        assert!(check_shape(format!("[{}1]", "1,".repeat(10_000)).as_bytes()).is_err());
        assert!(check_shape(format!(r#""\"{}""#, "[".repeat(99)).as_bytes()).is_ok());
    }

    #[test]
    fn a_value_that_looks_like_our_own_words_is_not_repeated() {
        let message =
            r#"invalid type: string "x, expected hunter2", expected u32 at line 1 column 3"#;
        let refused = flaws::told(message, "").to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
