//! Follows the bytes that a client sends and judges each request head before hyper does.
//!
//! hyper hides what matters against request smuggling: it drops `Content-Length` beside
//! `Transfer-Encoding` and joins equal repeated lengths (RFC 9112 §6.3 wants both refused). The
//! raw bytes tell, so [`Framing`] counts heads in the order in which hyper parses them. It only
//! looks: no byte is kept unless a line is split over two reads, none is changed.
//!
//! Invariants: after the first fault, and after a chunked head, it looks no further, so the
//! connection must not be used for another request.

use memchr::memchr;

use crate::error::Error;

/// The longest request line, in bytes.
pub(super) const REQUEST_LINE: usize = 4 * 1024;
/// The most that all header lines of a request may take, in bytes.
pub(super) const HEADERS: usize = 16 * 1024;
/// The most header lines.
const HEADER_COUNT: usize = 64;
/// The longest value of one header, in bytes.
const HEADER_VALUE: usize = 8 * 1024;

/// Why a request must not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Where the request ends, or whom it is for, is not certain (RFC 9112 §3.2, §6.3).
    Framing(&'static str),
    /// A request line over [`REQUEST_LINE`].
    UriTooLong,
    /// Headers over one of the limits.
    HeadersTooLarge,
}

impl Fault {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Framing(why) => Error::Malformed(why.to_owned()),
            Self::UriTooLong => Error::UriTooLong {
                limit: REQUEST_LINE,
            },
            Self::HeadersTooLarge => Error::HeadersTooLarge,
        }
    }
}

/// What the next byte belongs to.
#[derive(Debug, Default)]
enum Next {
    #[default]
    Head,
    /// A body with so many bytes to come.
    Body(u64),
    /// Nobody may care any more.
    Unwatched,
}

#[derive(Debug, Default)]
struct Head {
    started: bool,
    needs_host: bool,
    lines: usize,
    size: usize,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
}

/// Where in the client's byte stream we are.
#[derive(Debug, Default)]
pub(super) struct Framing {
    next: Next,
    heads: u64,
    head: Head,
    /// A line whose end has not arrived; empty for nearly every request.
    line: Vec<u8>,
}

impl Framing {
    /// How many heads are complete.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether a head has begun and not ended.
    pub(super) fn mid_head(&self) -> bool {
        matches!(self.next, Next::Head) && (self.head.started || !self.line.is_empty())
    }

    /// Looks at the next bytes. A fault is one of the head with the number [`Framing::heads`].
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Option<Fault> {
        while !bytes.is_empty() {
            match self.next {
                Next::Unwatched => return None,
                Next::Body(left) => {
                    let here = usize::try_from(left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    bytes = bytes.get(here..).unwrap_or_default();
                    let left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
                    self.next = if left == 0 {
                        Next::Head
                    } else {
                        Next::Body(left)
                    };
                }
                Next::Head => match self.feed_line(bytes) {
                    Ok(rest) => bytes = rest,
                    Err(fault) => {
                        self.next = Next::Unwatched;
                        self.line = Vec::new();
                        return Some(fault);
                    }
                },
            }
        }
        None
    }

    fn feed_line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Fault> {
        let Some(end) = memchr(b'\n', bytes) else {
            let size = self.line.len().saturating_add(bytes.len());
            if !self.head.started && size > REQUEST_LINE + 1 {
                return Err(Fault::UriTooLong);
            }
            if self.head.started && self.head.size.saturating_add(size) > HEADERS {
                return Err(Fault::HeadersTooLarge);
            }
            self.line.extend_from_slice(bytes);
            return Ok(&[]);
        };
        let (line, rest) = bytes.split_at(end.saturating_add(1));
        if self.line.is_empty() {
            self.end_line(line)?;
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(line);
            self.end_line(&whole)?;
            whole.clear();
            self.line = whole;
        }
        Ok(rest)
    }

    fn end_line(&mut self, raw: &[u8]) -> Result<(), Fault> {
        // A bare LF ends a line too, for hyper as for us (RFC 9112 §2.2).
        let line = raw.strip_suffix(b"\n").unwrap_or(raw);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let head = &mut self.head;
        if !head.started {
            // Empty lines before a request are skipped (RFC 9112 §2.2).
            head.started = !line.is_empty();
            head.needs_host = line.ends_with(b"HTTP/1.1");
            return if line.len() > REQUEST_LINE {
                Err(Fault::UriTooLong)
            } else {
                Ok(())
            };
        }
        if line.is_empty() {
            return self.end_head();
        }
        head.lines = head.lines.saturating_add(1);
        head.size = head.size.saturating_add(raw.len());
        if head.lines > HEADER_COUNT || head.size > HEADERS {
            return Err(Fault::HeadersTooLarge);
        }
        // Most lines can be none of the three, nor hold too long a value.
        let first = line.first().map(u8::to_ascii_lowercase);
        if !matches!(first, Some(b'c' | b'h' | b't')) && line.len() <= HEADER_VALUE {
            return Ok(());
        }
        // A line without a colon is for hyper to refuse.
        let (name, value) = match memchr(b':', line) {
            Some(colon) => line.split_at(colon),
            None => (line, &b""[..]),
        };
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if value.len() > HEADER_VALUE {
            return Err(Fault::HeadersTooLarge);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => head.hosts = head.hosts.saturating_add(1),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if head.length.is_some() {
                    return Err(Fault::Framing("more than one Content-Length"));
                }
                head.length = Some(length(value)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if head.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Framing(
                        "the only Transfer-Encoding served is one chunked",
                    ));
                }
                head.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Fault> {
        let head = std::mem::take(&mut self.head);
        if head.chunked && head.length.is_some() {
            return Err(Fault::Framing("both Content-Length and Transfer-Encoding"));
        }
        if head.hosts > 1 {
            return Err(Fault::Framing("more than one Host"));
        }
        if head.needs_host && head.hosts == 0 {
            return Err(Fault::Framing("HTTP/1.1 needs a Host"));
        }
        self.heads = self.heads.saturating_add(1);
        self.next = match head.length {
            _ if head.chunked => Next::Unwatched,
            Some(length) if length > 0 => Next::Body(length),
            _ => Next::Head,
        };
        Ok(())
    }
}

fn length(value: &[u8]) -> Result<u64, Fault> {
    // `parse` alone would take a plus sign.
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Fault::Framing("Content-Length is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fault and the head it is in, fed at once and byte by byte.
    fn judge(bytes: &[u8]) -> (Option<Fault>, u64) {
        let mut whole = Framing::default();
        let at_once = whole.feed(bytes);
        let mut slow = Framing::default();
        let one_by_one = bytes.chunks(1).find_map(|byte| slow.feed(byte));
        assert_eq!(at_once, one_by_one, "{}", bytes.escape_ascii());
        assert_eq!(whole.heads(), slow.heads(), "{}", bytes.escape_ascii());
        (at_once, whole.heads())
    }

    fn fault(headers: &str) -> Option<Fault> {
        judge(format!("POST / HTTP/1.1\r\n{headers}\r\n").as_bytes()).0
    }

    #[test]
    fn ordinary_requests_pass() {
        assert_eq!(fault("Host: a\r\n"), None);
        assert_eq!(fault("Host: a\r\nContent-Length: 3\r\n"), None);
        assert_eq!(fault("host:a\r\ntransfer-encoding:\tCHUNKED \r\n"), None);
        assert_eq!(judge(b"\r\n\nGET / HTTP/1.0\n\n"), (None, 1));
    }

    #[test]
    fn what_makes_the_end_of_a_request_uncertain_is_a_fault() {
        for headers in [
            "Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Host: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
            "Host: a\r\nContent-Length: 3, 3\r\n",
            "Host: a\r\nContent-Length: +3\r\n",
            "Host: a\r\nContent-Length:\r\n",
            "Host: a\r\nContent-Length: 99999999999999999999\r\n",
            "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nTransfer-Encoding: identity\r\n",
            "Host: a\r\nHost: a\r\n",
            "",
        ] {
            assert!(
                matches!(fault(headers), Some(Fault::Framing(_))),
                "{headers}"
            );
        }
    }

    #[test]
    fn a_fault_names_the_pipelined_request_it_is_in() {
        let bytes = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n\
            0123456789\nContent-Length: 3\n0123456789\n\
            GET /b HTTP/1.1\r\nHost: a\r\n\r\n\
            GET /c HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
        assert_eq!(
            judge(bytes),
            (Some(Fault::Framing("more than one Host")), 2)
        );
    }

    #[test]
    fn sizes_are_limited_to_the_byte() {
        let line = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(n - 14));
        assert_eq!(judge(line(REQUEST_LINE).as_bytes()).0, None);
        assert_eq!(
            judge(line(REQUEST_LINE + 1).as_bytes()).0,
            Some(Fault::UriTooLong)
        );
        let value = |n: usize| fault(&format!("Host: a\r\nX: {}\r\n", "a".repeat(n)));
        assert_eq!(value(HEADER_VALUE), None);
        assert_eq!(value(HEADER_VALUE + 1), Some(Fault::HeadersTooLarge));
        let count = |n: usize| fault(&format!("Host: a\r\n{}", "X: a\r\n".repeat(n - 1)));
        assert_eq!(count(HEADER_COUNT), None);
        assert_eq!(count(HEADER_COUNT + 1), Some(Fault::HeadersTooLarge));
        let total = |n: usize| {
            let rest = n - 9 - 2 * 5 - 8000;
            let (a, b) = ("a".repeat(8000), "b".repeat(rest));
            fault(&format!("Host: a\r\nX: {a}\r\nY:{b}\r\n"))
        };
        assert_eq!(total(16_000), None);
        assert_eq!(total(HEADERS + 1), Some(Fault::HeadersTooLarge));
    }
}
