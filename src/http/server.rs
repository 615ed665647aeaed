//! The accept loop: who may connect, and for how long (security.md §2.8).
//!
//! Invariants: never more connections than [`Limits::connections`], nor more of one address than
//! [`Limits::connections_per_ip`]; every connection is always either being served or under a
//! deadline; a failing `accept` slows the loop down and never ends it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use ipnet::IpNet;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Halt, drive};
use super::framing::{Fault, HEADERS, REQUEST_LINE};
use super::listener::{Listener, Stream};
use super::refusal;
use crate::error::{Error, Result};

/// Files other than connections: the database, its readers, logs, sockets.
const OTHER_FILES: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How much of the daemon clients may take. The defaults are those of security.md §2.8.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accept to the end of the first head, and from a later head's first byte to its end.
    pub header_deadline: Duration,
    /// Between the end of an answer and the first byte of the next request.
    pub idle: Duration,
    /// Without the client taking a single byte of its answer.
    pub write_stall: Duration,
    /// For a client to stop sending after an answer that ended the connection early.
    pub linger: Duration,
    /// The answer to the last of them says `Connection: close`.
    pub requests_per_connection: u64,
    /// All connections; one more is answered 503. Fewer where the process may not open so many
    /// files.
    pub connections: usize,
    /// Connections of one IPv4 address or IPv6 /64; Unix sockets are not counted.
    pub connections_per_ip: usize,
    /// Proxies, whose connections are not counted by address.
    pub trusted: Vec<IpNet>,
    /// For running requests to finish after the stop.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_deadline: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            write_stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            requests_per_connection: 10_000,
            connections: 2_048,
            connections_per_ip: 128,
            trusted: Vec::new(),
            stop: Duration::from_secs(10),
        }
    }
}

/// Who is at the other end; an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address that connected to us, IPv4 if it is IPv4 in IPv6; none for a Unix socket.
    pub ip: Option<IpAddr>,
}

/// A request head over its limits, known before hyper parsed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadFault(pub(super) Fault);

/// Refuses a request whose line or headers are over the limits: 4 KiB of request line, 16 KiB and
/// 64 lines of headers, 8 KiB of one value. The connection closes after the answer.
///
/// # Errors
/// `uri_too_long`, `headers_too_large`.
pub fn check_head(extensions: &Extensions) -> Result<()> {
    match extensions.get::<HeadFault>() {
        Some(HeadFault(fault)) => Err(fault.error()),
        None => Ok(()),
    }
}

struct Server {
    limits: Limits,
    http: http1::Builder,
    gate: Gate,
    halt: Halt,
    connections: TaskTracker,
    busy_answer: Vec<u8>,
}

/// Serves all listeners until `stop`, then finishes what is running within [`Limits::stop`].
///
/// # Errors
/// `internal` if a listener's loop ended without being told to.
pub async fn serve<S>(
    listeners: Vec<Listener>,
    service: S,
    mut limits: Limits,
    stop: CancellationToken,
) -> Result<()>
where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    limits.connections = room_for(limits.connections);
    let server = Arc::new(Server {
        gate: Gate::new(&limits),
        http: http(),
        halt: Halt::default(),
        connections: TaskTracker::new(),
        busy_answer: refusal::bytes(
            &Error::unavailable("too many connections"),
            "retry-after: 2\r\n",
        ),
        limits,
    });
    let mut loops = JoinSet::new();
    for listener in listeners {
        loops.spawn(accept(listener, service.clone(), Arc::clone(&server)));
    }
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        Some(ended) = loops.join_next() => ended.and(Ok(())).map_err(Error::internal),
    };
    server.halt.begin();
    // The listeners close here, before we wait: from now on nobody connects.
    while loops.join_next().await.is_some() {}
    server.connections.close();
    // Each connection ends by itself in that time; this is for a service that blocks its thread.
    let patience = server.limits.stop + LONGEST_PAUSE;
    let waited = tokio::time::timeout(patience, server.connections.wait()).await;
    if waited.is_err() {
        let left = server.connections.len();
        tracing::warn!(left, "connections left behind at the stop");
    }
    ended
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // Twice what is documented, so that requests over the limit still reach the middleware that
    // answers them well. The count of headers stays at hyper's 100: setting it makes hyper
    // allocate for each request.
    http.header_read_timeout(None)
        .max_header_size(2 * (REQUEST_LINE + HEADERS))
        .max_buf_size(64 * 1024);
    http
}

/// How many of `wanted` connections the open-file limit leaves room for; raises the soft limit
/// where it is lower than the hard one.
fn room_for(wanted: usize) -> usize {
    let files = wanted.saturating_add(OTHER_FILES);
    let mut limit = getrlimit(Resource::Nofile);
    let enough = u64::try_from(files).unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < enough) {
        let before = limit.current;
        limit.current = Some(limit.maximum.map_or(enough, |maximum| maximum.min(enough)));
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = before;
        }
    }
    let Some(current) = limit.current else {
        return wanted;
    };
    let current = usize::try_from(current).unwrap_or(usize::MAX);
    let room = current.saturating_sub(OTHER_FILES).max(current / 2).max(1);
    if room < wanted {
        tracing::warn!(room, wanted, "the open-file limit allows fewer connections");
    }
    wanted.min(room)
}

async fn accept<S>(listener: Listener, service: S, server: Arc<Server>)
where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.halt.begun() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, ip)) => {
                trouble.pause = Duration::ZERO;
                admit(stream, ip, service.clone(), &server);
            }
            // Only that one connection is gone.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                let pause = trouble.next(&listener, &error);
                tokio::select! {
                    () = server.halt.begun() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

fn admit<S>(stream: Stream, ip: Option<IpAddr>, service: S, server: &Arc<Server>)
where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let Some(ticket) = Ticket::take(server, ip) else {
        stream.hang_up(&server.busy_answer);
        return;
    };
    server.connections.spawn(async move {
        // The ticket lives as long as the connection, also when that panics.
        let server = &ticket.server;
        let peer = Peer { ip };
        drive(
            stream,
            peer,
            service,
            &server.http,
            &server.limits,
            &server.halt,
        )
        .await;
    });
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Accept fails again and again, most likely because no file can be opened.
#[derive(Default)]
struct Trouble {
    pause: Duration,
    told: Option<Instant>,
}

impl Trouble {
    fn next(&mut self, listener: &Listener, error: &io::Error) -> Duration {
        let now = Instant::now();
        if self.told.is_none_or(|told| now > told + 10 * LONGEST_PAUSE) {
            tracing::warn!(%listener, %error, "cannot accept connections, will try again");
            self.told = Some(now);
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.pause
    }
}

/// Counts connections; asked only when one begins or ends.
struct Gate {
    most: usize,
    most_per_ip: usize,
    trusted: Vec<IpNet>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    /// Bounded by `all`: an address without a connection has no entry.
    by_ip: HashMap<IpAddr, usize>,
}

impl Gate {
    fn new(limits: &Limits) -> Self {
        Self {
            most: limits.connections,
            most_per_ip: limits.connections_per_ip,
            trusted: limits.trusted.clone(),
            counts: Mutex::default(),
        }
    }

    /// What connections of this address are counted under.
    fn key(&self, ip: Option<IpAddr>) -> Option<IpAddr> {
        let ip = ip.filter(|ip| !self.trusted.iter().any(|net| net.contains(ip)))?;
        Some(match ip {
            IpAddr::V4(_) => ip,
            // A /64 is what one customer gets.
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        })
    }

    fn enter(&self, key: Option<IpAddr>) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= self.most {
            return false;
        }
        if let Some(key) = key {
            let count = counts.by_ip.entry(key).or_default();
            if *count >= self.most_per_ip {
                return false;
            }
            *count = count.saturating_add(1);
        }
        counts.all = counts.all.saturating_add(1);
        true
    }

    fn leave(&self, key: Option<IpAddr>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        let Some(key) = key else { return };
        if let Some(count) = counts.by_ip.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_ip.remove(&key);
            }
        }
    }
}

/// The right to one connection.
struct Ticket {
    server: Arc<Server>,
    key: Option<IpAddr>,
}

impl Ticket {
    fn take(server: &Arc<Server>, ip: Option<IpAddr>) -> Option<Self> {
        let key = server.gate.key(ip);
        server.gate.enter(key).then(|| Self {
            server: Arc::clone(server),
            key,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.server.gate.leave(self.key);
    }
}
