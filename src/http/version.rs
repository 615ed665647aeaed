//! Versions of single objects (RFC 9110 §13): the `ETag` of an answer, and what a request says of
//! the version that it knows.
//!
//! The tag is strong: a digest of the JSON as it is sent. Whatever the reader could see changed,
//! changes it; two answers with the same tag are the same, byte for byte.

use std::convert::Infallible;
use std::fmt::Display;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::extract;
use crate::error::{Error, Result};
use crate::secret::sha256_hex;

/// The versions that a request is about: `If-Match` and `If-None-Match`.
#[derive(Clone, Debug, Default)]
pub struct Known {
    must: Option<Tags>,
    not: Option<Tags>,
}

/// A list of tags, or `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    text: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            must: tags(&parts.headers, &IF_MATCH),
            not: tags(&parts.headers, &IF_NONE_MATCH),
        })
    }
}

impl Known {
    /// Before a change of `object`, within the transaction that makes it: refuses if the request
    /// knows another version.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub fn check<T: Serialize>(&self, object: &T) -> Result<()> {
        let Some(must) = &self.must else {
            return Ok(());
        };
        if must.has(&tag(&json(object)?), false) {
            Ok(())
        } else {
            Err(Error::PreconditionFailed)
        }
    }

    /// The answer to a read: `object` with its `ETag`, or 304 if the request knows this version.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the request demands another one.
    pub fn answer<T: Serialize>(&self, object: &T) -> Result<Response> {
        let body = json(object)?;
        let tag = tag(&body);
        if self
            .must
            .as_ref()
            .is_some_and(|must| !must.has(&tag, false))
        {
            return Err(Error::PreconditionFailed);
        }
        if self.not.as_ref().is_some_and(|not| not.has(&tag, true)) {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            mark(&mut response, &tag)?;
            return Ok(response);
        }
        let mut response = extract::json(body);
        mark(&mut response, &tag)?;
        Ok(response)
    }

    /// As [`Known::check`], for an object that counts its versions: `stamp` names this one.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub fn check_stamp(&self, stamp: &impl Display) -> Result<()> {
        let stamp = stamp.to_string();
        match &self.must {
            Some(must) if !must.has(&stamp, false) => Err(Error::PreconditionFailed),
            Some(_) | None => Ok(()),
        }
    }

    /// Before something is put where `there` may be already, whose version that is: `If-Match`
    /// wants it as it is known, `If-None-Match: *` wants nothing there (RFC 9110 §13.1).
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub fn check_place(&self, there: Option<&impl Display>) -> Result<()> {
        let Some(there) = there else {
            return match self.must {
                Some(_) => Err(Error::PreconditionFailed),
                None => Ok(()),
            };
        };
        self.check_stamp(there)?;
        match &self.not {
            Some(not) if not.has(&there.to_string(), true) => Err(Error::PreconditionFailed),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the request knows a version, so that it may be spared the object itself.
    #[must_use]
    pub fn has_one(&self) -> bool {
        self.not.is_some()
    }

    /// 304 if the request knows the version that `stamp` names.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the request demands another one.
    pub fn unchanged(&self, stamp: &impl Display) -> Result<Option<Response>> {
        self.check_stamp(stamp)?;
        let stamp = stamp.to_string();
        if !self.not.as_ref().is_some_and(|not| not.has(&stamp, true)) {
            return Ok(None);
        }
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        mark(&mut response, &stamp)?;
        Ok(Some(response))
    }

    /// As [`Known::answer`], for an object that counts its versions: `stamp` names this one.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the request demands another one.
    pub fn answer_as<T: Serialize>(&self, stamp: &impl Display, object: &T) -> Result<Response> {
        if let Some(unchanged) = self.unchanged(stamp)? {
            return Ok(unchanged);
        }
        changed_as(stamp, object)
    }
}

/// As [`changed`], for an object that counts its versions: `stamp` names this one.
///
/// # Errors
/// [`Error::Internal`] if `object` cannot be written.
pub fn changed_as<T: Serialize>(stamp: &impl Display, object: &T) -> Result<Response> {
    let mut response = extract::json(json(object)?);
    mark(&mut response, &stamp.to_string())?;
    Ok(response)
}

/// The `ETag` of an object that counts its versions: `stamp` names this one.
#[must_use]
pub fn etag_as(stamp: &impl Display) -> String {
    quoted(&stamp.to_string())
}

/// An answer with `object` and its `ETag`, after a change.
///
/// # Errors
/// [`Error::Internal`] if `object` cannot be written.
pub fn changed<T: Serialize>(object: &T) -> Result<Response> {
    Known::default().answer(object)
}

/// The same with more in the answer than the object: `body` holds it, and what came of the change.
///
/// # Errors
/// [`Error::Internal`] if one of them cannot be written.
pub fn changed_with<T: Serialize>(body: &impl Serialize, object: &T) -> Result<Response> {
    let mut response = extract::json(json(body)?);
    mark(&mut response, &tag(&json(object)?))?;
    Ok(response)
}

/// The `ETag` of `object`.
///
/// # Errors
/// [`Error::Internal`] if `object` cannot be written.
pub fn etag<T: Serialize>(object: &T) -> Result<String> {
    json(object).map(|body| quoted(&tag(&body)))
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

fn json<T: Serialize>(object: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(Error::internal)
}

/// 128 bits of the digest: nobody gains by a collision that can only be made with one's own data.
fn tag(body: &[u8]) -> String {
    let mut tag = sha256_hex(body);
    tag.truncate(32);
    tag
}

/// Gives `response` its `ETag`.
///
/// # Errors
/// [`Error::Internal`] for what cannot stand in a header.
pub(crate) fn mark(response: &mut Response, tag: &str) -> Result<()> {
    let value = HeaderValue::try_from(quoted(tag)).map_err(Error::internal)?;
    response.headers_mut().insert(ETAG, value);
    Ok(())
}

/// The tags in a header; none if it is absent. What cannot be read matches nothing, so that a
/// change is rather refused than made, and a read rather answered than not.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    if lines.iter().any(|line| line.trim() == "*") {
        return Some(Tags::Any);
    }
    // Our own tags hold no comma, so a tag that does is none of ours wherever it is cut.
    let tags = lines.iter().flat_map(|line| line.split(','));
    Some(Tags::These(tags.filter_map(Tag::read).collect()))
}

impl Tag {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (weak, text) = match text.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.strip_prefix('"')?.strip_suffix('"')?.to_owned();
        Some(Self { weak, text })
    }
}

impl Tags {
    /// Whether `tag` is among them. A weak tag, as a proxy that compresses makes it, counts only
    /// where `weak` says so (RFC 9110 §8.8.3.2).
    fn has(&self, tag: &str, weak: bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|it| it.text == tag && (weak || !it.weak)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &'static str, values: &[&str]) -> Known {
        let mut request = http::Request::new(());
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(name, value);
        }
        let (parts, ()) = request.into_parts();
        Known {
            must: tags(&parts.headers, &IF_MATCH),
            not: tags(&parts.headers, &IF_NONE_MATCH),
        }
    }

    fn tag_of(response: &Response) -> String {
        response.headers()[ETAG].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_same_object_has_the_same_tag_and_another_object_has_another() {
        let tag = |n: u32| tag_of(&changed(&n).unwrap());
        assert_eq!(tag(1), tag(1));
        assert_ne!(tag(1), tag(2));
        assert!(tag(1).starts_with('"') && tag(1).ends_with('"'));
    }

    #[test]
    fn a_reader_who_knows_the_version_gets_no_body() {
        let tag = tag_of(&changed(&1).unwrap());
        for value in [tag.clone(), format!("\"x\", W/{tag}"), "*".into()] {
            let answer = known("if-none-match", &[&value]).answer(&1).unwrap();
            assert_eq!(answer.status(), 304, "{value}");
            assert_eq!(tag_of(&answer), tag);
        }
        for value in ["\"x\"", "", tag.trim_matches('"')] {
            let answer = known("if-none-match", &[value]).answer(&1).unwrap();
            assert_eq!(answer.status(), 200, "{value}");
        }
        let lines = known("if-none-match", &["\"x\"", &tag]);
        assert_eq!(lines.answer(&1).unwrap().status(), 304);
    }

    #[test]
    fn a_change_is_made_only_to_the_version_that_is_known() {
        let tag = tag_of(&changed(&1).unwrap());
        assert!(Known::default().check(&1).is_ok());
        for value in [&tag, "*"] {
            assert!(known("if-match", &[value]).check(&1).is_ok());
        }
        // A weak tag says nothing about the bytes; what cannot be read is no permission.
        for value in [&format!("W/{tag}"), "\"x\"", "", tag.trim_matches('"')] {
            let refused = known("if-match", &[value]).check(&1);
            assert!(matches!(refused, Err(Error::PreconditionFailed)), "{value}");
        }
        assert!(known("if-match", &[&tag]).check(&2).is_err());
    }
}
