//! The accept loop: who may connect, and for how long (security.md §2.8).
//!
//! Invariants: never more connections than [`Limits::connections`], nor more of one address than
//! [`Limits::connections_per_ip`]; every connection is always either being served or under a
//! deadline; a failing `accept` slows the loop down and never ends it.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
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
use super::gate::Gate;
use super::listener::{Listener, Stream};
use super::refusal;
use super::tls::Tls;
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
    gate: Arc<Gate>,
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
        gate: Arc::new(Gate::new(&limits)),
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
    //
    // A client may end its own side after the request (`printf … | nc`). Otherwise hyper drops an
    // answer when the end comes in time, and pays a read for each request to see whether it did.
    http.header_read_timeout(None)
        .half_close(true)
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
                admit(stream, ip, listener.tls(), service.clone(), &server);
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

fn admit<S>(stream: Stream, ip: Option<IpAddr>, tls: Option<&Tls>, service: S, server: &Arc<Server>)
where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let Some(ticket) = server.gate.enter(ip) else {
        // Before a handshake there are no words that the client would take for ours.
        stream.hang_up(tls.map_or(&server.busy_answer, |_| &[]));
        return;
    };
    let accepted = Instant::now();
    let tls = tls.cloned();
    let tracker = &server.connections;
    let server = Arc::clone(server);
    tracker.spawn(async move {
        // It lives as long as the connection, also when that panics.
        let _ticket = ticket;
        let peer = Peer { ip };
        let stream = match tls {
            None => stream,
            Some(tls) => {
                let (limits, halt) = (&server.limits, &server.halt);
                let by = accepted + limits.header_deadline;
                // Boxed: a connection without TLS should not carry the room for it.
                let secure = Box::pin(tls.greet(stream, by, limits.linger, halt));
                let Some(stream) = secure.await else { return };
                stream
            }
        };
        drive(
            stream,
            accepted,
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
