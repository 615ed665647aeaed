//! One connection: hyper, the service, and the deadlines around both.
//!
//! hyper's own `header_read_timeout` allocates and registers a timer for each request and knows
//! no difference between a connection that rests and one that sends its head a byte at a time. So
//! it is off, and one timer for each connection, moved only when a deadline comes nearer, does all
//! of it: first head, later heads, idle, stalled writes, the close, and the stop of the daemon.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::framing::Fault;
use super::listener::Stream;
use super::refusal;
use super::server::{HeadFault, Limits, Peer};
use super::wire::{Busy, State, Waiting, Wire};

/// The news that the daemon stops. Connections register once and then look at the flag, because
/// looking at the token takes a lock that all of them share.
#[derive(Debug, Default)]
pub(super) struct Halt {
    begun: AtomicBool,
    token: CancellationToken,
}

impl Halt {
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.token.cancel();
    }

    pub(super) async fn begun(&self) {
        self.token.cancelled().await;
    }
}

/// Serves one connection until either side ends it or a deadline passes.
pub(super) async fn drive<S>(
    stream: Stream,
    accepted: Instant,
    peer: Peer,
    service: S,
    http: &http1::Builder,
    limits: &Limits,
    halt: &Halt,
) where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let state = Arc::new(State::default());
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&state)));
    let most = limits.requests_per_connection;
    let counted = Arc::clone(&state);
    let mut connection = pin!(http.serve_connection(
        wire,
        service_fn(move |request| answer(request, peer, service.clone(), &counted, most))
    ));
    let mut halted = pin!(halt.begun());
    let mut registered = false;
    let mut stop_by = None;
    let mut watch = Watch::new(accepted);
    let mut timer = pin!(sleep_until(watch.since + limits.header_deadline));
    let mut armed = false;

    poll_fn(|cx| {
        if !registered {
            registered = true;
            // Ready or not does not matter here: the flag is set before the token.
            let _ = halted.as_mut().poll(cx);
        }
        if stop_by.is_none() && halt.begun.load(Ordering::Acquire) {
            stop_by = Some(Instant::now() + limits.stop);
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            if let Err(error) = end {
                tracing::debug!(%error, ?peer, "connection ended");
            }
            return Poll::Ready(());
        }
        let now = Instant::now();
        let waiting = state.waiting();
        let Some(deadline) = nearest(watch.deadline(waiting, limits, now), stop_by) else {
            return Poll::Pending;
        };
        if deadline <= now {
            tracing::debug!(?waiting, ?peer, "connection closed at its deadline");
            return Poll::Ready(());
        }
        // A timer that is too early is left alone: it wakes us once, and we come by here again.
        if timer.is_elapsed() || timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
            armed = false;
        }
        if !armed {
            armed = true;
            if timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    })
    .await;
}

fn nearest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How long the connection has been waiting for one and the same thing.
struct Watch {
    waiting: Waiting,
    since: Instant,
}

impl Watch {
    fn new(accepted: Instant) -> Self {
        Self {
            waiting: Waiting::Idle(0),
            since: accepted,
        }
    }

    fn deadline(&mut self, waiting: Waiting, limits: &Limits, now: Instant) -> Option<Instant> {
        if waiting != self.waiting {
            // The first head is due from accept on, whenever its first byte comes.
            let first_byte = (self.waiting, waiting) == (Waiting::Idle(0), Waiting::Head(0));
            if !first_byte {
                self.since = now;
            }
            self.waiting = waiting;
        }
        let allowed = match waiting {
            Waiting::Idle(0) | Waiting::Head(_) => limits.header_deadline,
            Waiting::Idle(_) => limits.idle,
            Waiting::Service => return None,
            Waiting::Write(_) => limits.write_stall,
            Waiting::Close => limits.linger,
        };
        Some(self.since + allowed)
    }
}

fn answer<S>(
    mut request: Request<Incoming>,
    peer: Peer,
    mut service: S,
    state: &Arc<State>,
    most: u64,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<S>
where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let body = http_body::Body::size_hint(request.body()).exact();
    let (busy, fault, number) = state.begin(body != Some(0));
    async move {
        // Behind a chunked body heads are not watched any more.
        let last = fault.is_some() || body.is_none() || number >= most;
        let mut response = if let Some(fault @ Fault::Framing(why)) = fault {
            tracing::debug!(why, ?peer, "request refused");
            refusal::response(&fault.error())
        } else {
            let extensions = request.extensions_mut();
            extensions.insert(peer);
            if let Some(fault) = fault {
                extensions.insert(HeadFault(fault));
            }
            let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
            let Ok(response) = service.call(request).await;
            // Whoever else is ready comes first, and then all are written to, one after another: a
            // client that has to be woken for each answer costs more than the answer does.
            yield_now().await;
            response
        };
        if last {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response.map(|body| Answer { body, _busy: busy }))
    }
}

/// The body of an answer; when it goes, the request is over.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_kind_of_waiting_has_its_own_deadline() {
        let limits = Limits::default();
        let accepted = Instant::now();
        let at = |seconds| accepted + Duration::from_secs(seconds);
        let mut watch = Watch::new(accepted);
        let mut due = |waiting, seconds| watch.deadline(waiting, &limits, at(seconds));
        assert_eq!(due(Waiting::Idle(0), 1), Some(at(10)));
        assert_eq!(due(Waiting::Head(0), 9), Some(at(10)));
        assert_eq!(due(Waiting::Service, 9), None);
        assert_eq!(due(Waiting::Idle(1), 20), Some(at(80)));
        assert_eq!(due(Waiting::Idle(1), 30), Some(at(80)));
        assert_eq!(due(Waiting::Head(1), 70), Some(at(80)));
        assert_eq!(due(Waiting::Head(1), 79), Some(at(80)));
        assert_eq!(due(Waiting::Write(5), 100), Some(at(130)));
        assert_eq!(due(Waiting::Write(5), 120), Some(at(130)));
        assert_eq!(due(Waiting::Write(6), 120), Some(at(150)));
        assert_eq!(due(Waiting::Close, 200), Some(at(202)));
        assert_eq!(due(Waiting::Idle(2), 300), Some(at(360)));
    }
}
