//! The load client: raw HTTP/1.1 over keep-alive connections, as lean as can be, because it shares
//! the cores with the server under test and everything that it spends flatters the slower side.
//!
//! Invariants: requests are built before the clock starts; every answer's status and body are
//! checked; an answer that is wrong, late or missing is a failure and never counted as a request;
//! the same client drives both sides of a comparison.

mod closed;
mod open;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use memchr::memmem;

pub(crate) use closed::{Shape, closed};
pub(crate) use open::{Pace, open};

use crate::Outcome;

/// Ready-made requests, sent in turn, and what each of their answers must look like.
pub(crate) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    status: u16,
    contains: Vec<u8>,
    refusal: Option<u16>,
    chain: Option<&'static [u8]>,
    legs: AtomicUsize,
}

/// What an answer is to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    /// Turned away for now, as it may be.
    Refused,
    Wrong,
}

impl Requests {
    /// No requests yet; each answer must have this status and this text in its body.
    pub(crate) fn expecting(status: u16, contains: &str) -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            status,
            contains: contains.into(),
            refusal: None,
            chain: None,
            legs: AtomicUsize::new(0),
        }
    }

    /// Answers with this status are counted apart: neither right nor failures.
    pub(crate) fn or_refused(mut self, status: u16) -> Self {
        self.refusal = Some(status);
        self
    }

    /// Each connection begins with a request of its own in each leg, and its next one carries what
    /// stood behind `marker` in the last answer, up to the quotation mark.
    pub(crate) fn chained(mut self, marker: &'static str) -> Self {
        self.chain = Some(marker.as_bytes());
        self
    }

    /// Adds a request without a body.
    pub(crate) fn push(&mut self, method: &str, path: &str, headers: &str) {
        self.push_raw(&format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n"
        ));
    }

    /// Adds a request with a body.
    pub(crate) fn push_body(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        self.push_raw(&format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ));
    }

    fn push_raw(&mut self, request: &str) {
        self.bytes.extend_from_slice(request.as_bytes());
        self.ends.push(self.bytes.len());
    }

    fn get(&self, index: usize) -> &[u8] {
        let index = index % self.ends.len();
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The number of the leg that begins now.
    fn next_leg(&self) -> usize {
        self.legs.fetch_add(1, Ordering::Relaxed)
    }

    /// Where a connection begins: spread over the list, and elsewhere in each leg.
    fn start(&self, leg: usize, connection: usize, connections: usize) -> usize {
        if self.chain.is_some() {
            return leg * connections + connection;
        }
        (connection * self.ends.len() / connections + leg * 7919) % self.ends.len()
    }

    /// What `answer` is; of a chain, `next` is made the request that follows from it.
    fn judge(&self, answer: &Answer<'_>, next: &mut [u8]) -> Verdict {
        if Some(answer.status) == self.refusal {
            return Verdict::Refused;
        }
        let right = answer.status == self.status
            && (self.contains.is_empty() || memmem::find(answer.body, &self.contains).is_some())
            && self.carry(answer, next);
        if right {
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }

    /// Puts what `answer` hands on into `request`; tells whether it could.
    fn carry(&self, answer: &Answer<'_>, request: &mut [u8]) -> bool {
        let Some(marker) = self.chain else {
            return true;
        };
        let value = |text: &[u8]| {
            let start = memmem::find(text, marker)? + marker.len();
            let length = memchr::memchr(b'"', &text[start..])?;
            Some(start..start + length)
        };
        match (value(answer.body), value(request)) {
            (Some(from), Some(to)) if from.len() == to.len() => {
                request[to].copy_from_slice(&answer.body[from]);
                true
            }
            _ => false,
        }
    }
}

/// What one leg of load came to.
pub(crate) struct Leg {
    /// Right answers within the leg.
    pub(crate) requests: u64,
    /// Answers that turned the client away, where the load expects some.
    pub(crate) refused: u64,
    /// Wrong answers, broken connections, time-outs.
    pub(crate) failures: u64,
    /// What the first failure looked like.
    pub(crate) first_failure: Option<String>,
    /// Length of the leg.
    pub(crate) seconds: f64,
    /// Nanoseconds: from sending (closed loop) or from the intended start (open loop).
    pub(crate) latency: Histogram<u64>,
}

impl Leg {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            requests: 0,
            refused: 0,
            failures: 0,
            first_failure: None,
            seconds: length.as_secs_f64(),
            latency: nanoseconds(),
        }
    }

    /// Right answers in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// A percentile of the latency, in milliseconds.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        self.latency.value_at_percentile(percent) as f64 / 1e6
    }

    pub(crate) fn right(&mut self, took: Duration) {
        self.requests += 1;
        self.latency
            .saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.failures += 1;
        self.first_failure.get_or_insert_with(what);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.latency
            .add(other.latency)
            .expect("both histograms have the same bounds");
    }
}

/// An empty histogram of nanoseconds: 1 µs to a minute, three digits.
pub(crate) fn nanoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("constant bounds are right")
}

/// A whole answer.
pub(crate) struct Answer<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The answer, or `None` while some of it is still missing.
    fn parse(bytes: &'a [u8]) -> Result<Option<Self>, ()> {
        let Some(head) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let status = number(bytes.get(9..12).ok_or(())?).ok_or(())?;
        let length = content_length(&bytes[..head]).unwrap_or(0);
        let body = bytes[head + 4..].get(..length);
        Ok(body.map(|body| Self {
            status: u16::try_from(status).unwrap_or(0),
            body,
        }))
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    // hyper writes names in lower case; the slow search is for anybody else.
    let at = memmem::find(head, NAME).or_else(|| memmem::find(&head.to_ascii_lowercase(), NAME))?;
    let value = &head[at + NAME.len()..];
    let end = memchr::memchr(b'\r', value).unwrap_or(value.len());
    number(value[..end].trim_ascii())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// One request on a blocking connection.
pub(crate) fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Outcome<u16> {
    stream.write_all(request)?;
    buffer.clear();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        buffer.extend_from_slice(&chunk[..count]);
        match Answer::parse(buffer) {
            Ok(None) => {}
            Ok(Some(answer)) => return Ok(answer.status),
            Err(()) => return Err("not an HTTP answer".into()),
        }
    }
}

/// A single request on a connection of its own: the status and the body.
pub(crate) fn once(target: SocketAddr, request: &str) -> Outcome<(u16, String)> {
    let mut stream = connect_blocking(target)?;
    let mut buffer = Vec::new();
    let status = exchange(&mut stream, request.as_bytes(), &mut buffer)?;
    let head = memmem::find(&buffer, b"\r\n\r\n").map_or(0, |at| at + 4);
    Ok((
        status,
        String::from_utf8_lossy(&buffer[head..]).into_owned(),
    ))
}

/// A connection for [`exchange`].
pub(crate) fn connect_blocking(target: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}
