//! The access log: one line for each request, formatted by hand into a reused buffer.
//!
//! Invariant: no secret in a line. Query strings and bodies are never logged, and of the one route
//! that carries a token in its path only the template is (security.md, rules 17 and 69).

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::config::LogFormat;
use crate::log::Sink;
use crate::time::{self, Timestamp};

/// What a line tells.
pub(super) struct Line<'a> {
    pub(super) method: &'a Method,
    /// As [`loggable`] gave it, or the template.
    pub(super) path: &'a str,
    pub(super) route: &'a str,
    pub(super) status: StatusCode,
    pub(super) seconds: Duration,
    pub(super) bytes: Option<u64>,
    pub(super) ip: Option<IpAddr>,
    pub(super) id: &'a str,
    pub(super) code: Option<&'static str>,
}

/// The longest part of a path that is surely no token; ids (UUID, base62) of known routes pass.
const LONGEST: usize = 36;

/// The path as it may be logged; `None` where the route's template says it all.
pub(super) fn loggable(route: Option<&str>, path: &str) -> Option<String> {
    match route {
        Some(route) if !route.contains('{') || route.contains("{token}") => None,
        _ => Some(mask(path, route.is_some())),
    }
}

/// A part that could be a token is masked: on an unknown route whatever is longer than a word.
fn mask(path: &str, known: bool) -> String {
    let longest = if known { LONGEST } else { 20 };
    let parts = path
        .split('/')
        .map(|part| if part.len() > longest { "***" } else { part });
    let mut masked = crate::escape::line(&parts.collect::<Vec<_>>().join("/")).into_owned();
    masked.truncate(masked.floor_char_boundary(256));
    masked
}

/// Writes `line` into the log.
pub(super) fn write(sink: &Sink, line: &Line<'_>) {
    thread_local! { static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) } }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        let written = match sink.format() {
            LogFormat::Json => json(buffer, line),
            LogFormat::Text => text(buffer, line),
        };
        if written.is_ok() {
            sink.line(buffer);
        }
    });
}

fn json(buffer: &mut Vec<u8>, line: &Line<'_>) -> io::Result<()> {
    buffer.extend_from_slice(br#"{"timestamp":""#);
    timestamp(buffer, time::wall());
    buffer.extend_from_slice(br#"","level":"INFO","message":"request","method":""#);
    buffer.extend_from_slice(line.method.as_str().as_bytes());
    buffer.extend_from_slice(br#"","path":"#);
    // The path is the client's: it is the one member that must be escaped.
    serde_json::to_writer(&mut *buffer, line.path)?;
    buffer.extend_from_slice(br#","status":"#);
    number(buffer, line.status.as_u16());
    buffer.extend_from_slice(br#","ms":"#);
    milliseconds(buffer, line.seconds);
    if line.route != line.path {
        buffer.extend_from_slice(br#","route":""#);
        buffer.extend_from_slice(line.route.as_bytes());
        buffer.push(b'"');
    }
    if let Some(bytes) = line.bytes {
        buffer.extend_from_slice(br#","bytes":"#);
        number(buffer, bytes);
    }
    if let Some(ip) = line.ip {
        buffer.extend_from_slice(br#","ip":""#);
        address(buffer, ip)?;
        buffer.push(b'"');
    }
    if let Some(code) = line.code {
        buffer.extend_from_slice(br#","code":""#);
        buffer.extend_from_slice(code.as_bytes());
        buffer.push(b'"');
    }
    buffer.extend_from_slice(br#","request":""#);
    buffer.extend_from_slice(line.id.as_bytes());
    buffer.extend_from_slice(b"\"}\n");
    Ok(())
}

fn text(buffer: &mut Vec<u8>, line: &Line<'_>) -> io::Result<()> {
    let path = crate::escape::line(line.path);
    timestamp(buffer, time::wall());
    write!(
        buffer,
        " {} {} {} ",
        line.method,
        path,
        line.status.as_u16()
    )?;
    milliseconds(buffer, line.seconds);
    write!(buffer, "ms")?;
    if let Some(ip) = line.ip {
        write!(buffer, " {ip}")?;
    }
    if let Some(code) = line.code {
        write!(buffer, " {code}")?;
    }
    writeln!(buffer, " {}", line.id)
}

/// RFC 3339 with milliseconds. The calendar is worked out once a second and not for each line.
fn timestamp(buffer: &mut Vec<u8>, at: Timestamp) {
    const SECONDS: usize = "2026-11-20T08:34:00".len();
    thread_local! { static KNOWN: RefCell<(i64, String)> = const { RefCell::new((-1, String::new())) } }
    let second = at.0.div_euclid(1000);
    KNOWN.with_borrow_mut(|(known, text)| {
        if *known != second {
            (*known, *text) = (second, Timestamp(second * 1000).to_string());
            text.truncate(SECONDS);
        }
        buffer.extend_from_slice(text.as_bytes());
    });
    thousandths(buffer, u32::try_from(at.0.rem_euclid(1000)).unwrap_or(0));
    buffer.push(b'Z');
}

fn milliseconds(buffer: &mut Vec<u8>, time: Duration) {
    number(buffer, time.as_millis());
    thousandths(buffer, time.subsec_micros() % 1000);
}

/// The point and three digits.
fn thousandths(buffer: &mut Vec<u8>, rest: u32) {
    buffer.push(b'.');
    for place in [100, 10] {
        if rest < place {
            buffer.push(b'0');
        }
    }
    number(buffer, rest);
}

/// Digits, without the machinery of `write!`: that costs as much as looking a route up.
fn number(buffer: &mut Vec<u8>, number: impl itoa::Integer) {
    buffer.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn address(buffer: &mut Vec<u8>, ip: IpAddr) -> io::Result<()> {
    let IpAddr::V4(ip) = ip else {
        return write!(buffer, "{ip}");
    };
    let [first, rest @ ..] = ip.octets();
    number(buffer, first);
    for octet in rest {
        buffer.push(b'.');
        number(buffer, octet);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_carries_a_token_is_never_logged() {
        let token = format!("754321:{}", "a".repeat(30));
        assert_eq!(
            loggable(Some("/app/valid/{token}"), &format!("/app/valid/{token}")),
            None
        );
        for path in [
            format!("/app//valid/{token}"),
            format!("/aap/valid/{token}/"),
        ] {
            assert!(!loggable(None, &path).unwrap().contains("aaaa"), "{path}");
        }
        let older = "/app/vaild/754321:xyz9AbC2DeF3GhI4JkL";
        assert!(!loggable(None, older).unwrap().contains("xyz9"));
    }

    #[test]
    fn an_id_in_a_known_path_is_logged() {
        let path = "/api/v1/users/0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77";
        assert_eq!(loggable(Some("/api/v1/users/{id}"), path).unwrap(), path);
        assert_eq!(loggable(Some("/livez"), "/livez"), None);
    }

    #[test]
    fn times_of_the_same_and_of_another_second_are_written_whole() {
        for at in [1_795_163_640_123, 1_795_163_640_007, 1_795_163_641_000, 0] {
            let mut buffer = Vec::new();
            timestamp(&mut buffer, Timestamp(at));
            assert_eq!(
                String::from_utf8(buffer).unwrap(),
                Timestamp(at).to_string()
            );
        }
    }

    #[test]
    fn numbers_and_addresses_are_written_as_everybody_writes_them() {
        for micros in [0, 7, 42, 999, 1_000, 12_034, 61_000_005] {
            let mut buffer = Vec::new();
            milliseconds(&mut buffer, Duration::from_micros(micros));
            let expected = format!("{}.{:03}", micros / 1000, micros % 1000);
            assert_eq!(String::from_utf8(buffer).unwrap(), expected);
        }
        for text in ["203.0.113.7", "0.0.0.0", "2001:db8::1"] {
            let mut buffer = Vec::new();
            address(&mut buffer, text.parse().unwrap()).unwrap();
            assert_eq!(String::from_utf8(buffer).unwrap(), text);
        }
    }

    #[test]
    fn a_json_line_is_json_whatever_the_path_holds() {
        let line = Line {
            method: &Method::GET,
            path: "/a\"\\[31m",
            route: "",
            status: StatusCode::NOT_FOUND,
            seconds: Duration::from_micros(1234),
            bytes: Some(7),
            ip: Some(IpAddr::from([127, 0, 0, 1])),
            id: "x-1",
            code: Some("no_route"),
        };
        let mut buffer = Vec::new();
        json(&mut buffer, &line).unwrap();
        assert!(buffer.ends_with(b"}\n"));
        let value: serde_json::Value = serde_json::from_slice(&buffer).unwrap();
        assert_eq!(value["path"], "/a\"\\[31m");
        assert_eq!(value["ms"], 1.234);
    }
}
