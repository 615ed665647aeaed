//! Cookies: reading ours out of a request byte by byte, and writing them (RFC 6265, rules 34 and 35
//! of security.md).
//!
//! Invariants: names are compared byte for byte, so that no look-alike from a sibling host passes
//! for ours; a name of ours that is there twice refuses the request; what we set is never sent to
//! another path's or site's scripts.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::error::{Error, Result};

/// What our cookies are called.
#[derive(Debug)]
pub struct Cookies {
    /// Holds the access token.
    pub access: &'static str,
    /// Holds the refresh token; read only by the routes that refresh and log out.
    pub refresh: &'static str,
    /// Holds the CSRF token, for scripts.
    pub csrf: &'static str,
    secure: bool,
}

/// The prefix makes browsers refuse a cookie of this name from anybody but this host, over TLS.
const SECURE: Cookies = Cookies {
    access: "__Host-provost_access",
    refresh: "__Host-provost_refresh",
    csrf: "__Host-provost_csrf",
    secure: true,
};

/// For development on one machine, without TLS.
const INSECURE: Cookies = Cookies {
    access: "access_token",
    refresh: "refresh_token",
    csrf: "csrf_token",
    secure: false,
};

impl Cookies {
    /// The cookies of this configuration.
    #[must_use]
    pub const fn of(insecure: bool) -> &'static Self {
        if insecure { &INSECURE } else { &SECURE }
    }

    /// The value of the cookie `name`, if the request has it.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is there twice.
    pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
        let mut found = None;
        for header in headers.get_all(COOKIE) {
            for pair in header.as_bytes().split(|byte| *byte == b';') {
                let pair = trim(pair);
                let Some(value) = pair.strip_prefix(name.as_bytes()) else {
                    continue;
                };
                let Some(value) = value.strip_prefix(b"=") else {
                    continue;
                };
                if found.is_some() {
                    let what = format!("the cookie {name} is there twice");
                    return Err(Error::Malformed(what));
                }
                let text = std::str::from_utf8(value);
                found = Some(text.map_err(|_| Error::Malformed("a cookie is not text".into()))?);
            }
        }
        Ok(found)
    }

    /// Has the browser keep our three cookies for so many seconds.
    ///
    /// # Errors
    /// [`Error::Internal`] if a value is not fit for a header.
    pub fn set(
        &self,
        headers: &mut HeaderMap,
        access: (&str, i64),
        refresh: (&str, i64),
        csrf: &str,
    ) -> Result<()> {
        self.put(headers, self.access, access, true)?;
        self.put(headers, self.refresh, refresh, true)?;
        self.put(headers, self.csrf, (csrf, refresh.1), false)
    }

    /// Has the browser forget our cookies.
    ///
    /// # Errors
    /// [`Error::Internal`] if a value is not fit for a header.
    pub fn expire(&self, headers: &mut HeaderMap) -> Result<()> {
        self.put(headers, self.access, ("", 0), true)?;
        self.put(headers, self.refresh, ("", 0), true)?;
        self.put(headers, self.csrf, ("", 0), false)
    }

    fn put(
        &self,
        headers: &mut HeaderMap,
        name: &str,
        (value, seconds): (&str, i64),
        hidden: bool,
    ) -> Result<()> {
        let secure = if self.secure { "; Secure" } else { "" };
        let hidden = if hidden { "; HttpOnly" } else { "" };
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax{secure}{hidden}");
        let mut line = HeaderValue::try_from(text).map_err(Error::internal)?;
        line.set_sensitive(true);
        headers.append(SET_COOKIE, line);
        Ok(())
    }
}

/// Without blanks and tabs at its ends, and nothing else: what Unicode calls a space is part of a
/// name.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name_only() {
        let name = SECURE.access;
        let found =
            |line: &[u8]| Cookies::find(&headers(&[line]), name).map(|it| it.map(String::from));
        assert_eq!(
            found(b"a=1; __Host-provost_access=x.y; b=2").unwrap(),
            Some("x.y".into())
        );
        assert_eq!(
            found(b"\t__Host-provost_access=x \t;").unwrap(),
            Some("x".into())
        );
        for other in [
            &b"__host-provost_access=x"[..],
            b"__Host-provost_accessx=x",
            b"__Host-provost_access =x",
            b"\xc2\xa0__Host-provost_access=x",
            b"\xe2\x80\x83__Host-provost_access=x",
            b"__Host-provost_access",
            b"",
        ] {
            assert_eq!(found(other).unwrap(), None, "{other:?}");
        }
    }

    #[test]
    fn a_name_that_is_there_twice_refuses_the_request() {
        let line: &[u8] = b"__Host-provost_access=x";
        assert!(Cookies::find(&headers(&[line, line]), SECURE.access).is_err());
        let twice: &[u8] = b"__Host-provost_access=x;__Host-provost_access=y";
        assert!(Cookies::find(&headers(&[twice]), SECURE.access).is_err());
    }

    #[test]
    fn cookies_are_hidden_from_scripts_but_for_the_one_that_scripts_need() {
        let mut headers = HeaderMap::new();
        SECURE
            .set(&mut headers, ("a", 60), ("r", 600), "c")
            .unwrap();
        let set: Vec<&str> = headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|it| it.to_str().unwrap())
            .collect();
        assert_eq!(
            set,
            [
                "__Host-provost_access=a; Path=/; Max-Age=60; SameSite=Lax; Secure; HttpOnly",
                "__Host-provost_refresh=r; Path=/; Max-Age=600; SameSite=Lax; Secure; HttpOnly",
                "__Host-provost_csrf=c; Path=/; Max-Age=600; SameSite=Lax; Secure",
            ]
        );
        let mut headers = HeaderMap::new();
        INSECURE.expire(&mut headers).unwrap();
        let first = headers.get(SET_COOKIE).unwrap().to_str().unwrap();
        assert_eq!(
            first,
            "access_token=; Path=/; Max-Age=0; SameSite=Lax; HttpOnly"
        );
    }
}
