//! The one layer around every route: request id, limits, deadline, panics, errors, security
//! headers, CORS, metrics and the access log, in a single pass.
//!
//! Each of these as a layer of its own costs 3 to 18 % of a request, and `tracing` on this path
//! half of it; so they share one future, and the log line is formatted by hand into a buffer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request};
use tokio::sync::Semaphore;

use super::access::{self, Line};
use super::cors::Cors;
use super::forwarded::Proxies;
use super::problem::{self, Refusal};
use super::security::Headers;
use super::series::Series;
use super::server::{Peer, check_head};
use super::turn::Turn;
use crate::app::App;
use crate::error::{Error, Result};
use crate::log::Sink;
use crate::metrics::CodeLabel;
use crate::secret::random_bytes;

/// How long a handler may take.
const HANDLER: Duration = Duration::from_secs(30);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What handlers may know of the request they answer.
#[derive(Clone, Debug)]
pub(super) struct Call {
    id: HeaderValue,
    /// The client's address, behind proxies that are trusted.
    pub(super) ip: Option<IpAddr>,
    /// Its place among those that are worked on.
    pub(super) turn: Turn,
}

impl Call {
    /// The request's id: the client's, if it is a sensible one.
    pub(super) fn id_text(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// Makes the layer.
#[derive(Clone)]
pub(super) struct Layers(Arc<Shared>);

struct Shared {
    app: App,
    sink: Option<Sink>,
    turns: Arc<Semaphore>,
    ids: Ids,
    proxies: Proxies,
    hosts: Vec<String>,
    headers: Headers,
    cors: Cors,
    series: Series,
}

impl Layers {
    pub(super) fn new(app: &App, sink: Option<Sink>) -> Result<Self> {
        let server = &app.config().server;
        Ok(Self(Arc::new(Shared {
            turns: Arc::new(Semaphore::new(server.max_in_flight)),
            ids: Ids::new()?,
            proxies: Proxies::new(server),
            hosts: server.allowed_hosts.clone(),
            headers: Headers::new(server),
            cors: Cors::new(&server.cors_origins),
            series: Series::default(),
            app: app.clone(),
            sink,
        })))
    }
}

impl<S> tower::Layer<S> for Layers {
    type Service = Layered<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Layered {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

/// A route inside the layer.
#[derive(Clone)]
pub(super) struct Layered<S> {
    inner: S,
    shared: Arc<Shared>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<S> tower::Service<Request<Body>> for Layered<S>
where
    S: tower::Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let shared = Arc::clone(&self.shared);
        let seen = shared.see(&request);
        let allowed = shared.admit(&request, seen.call.ip);
        request.extensions_mut().insert(seen.call.clone());
        // The future does nothing before it is polled: a refused request never reaches its route.
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = match allowed {
                Ok(None) => Shared::run(&seen.call.turn, answer).await,
                Ok(Some(ready)) => ready,
                Err(error) => error.into_response(),
            };
            shared.finish(&seen, &mut response);
            Ok(response)
        })
    }
}

/// What is remembered of a request until it is answered.
struct Seen {
    start: Instant,
    call: Call,
    method: Method,
    route: Option<MatchedPath>,
    path: Option<String>,
    origin: Option<HeaderValue>,
}

impl Shared {
    fn see(&self, request: &Request<Body>) -> Seen {
        let headers = request.headers();
        let peer = request.extensions().get::<Peer>().and_then(|peer| peer.ip);
        let id = headers
            .get(X_REQUEST_ID)
            .filter(|id| is_sensible(id))
            .cloned();
        let call = Call {
            id: id.unwrap_or_else(|| self.ids.next()),
            ip: self.proxies.client(peer, headers),
            turn: Turn::new(&self.turns, &self.app.kit().metrics.in_flight),
        };
        let route = request.extensions().get::<MatchedPath>().cloned();
        Seen {
            start: Instant::now(),
            call,
            method: request.method().clone(),
            path: access::loggable(
                route.as_ref().map(MatchedPath::as_str),
                request.uri().path(),
            ),
            route,
            origin: self.cors.origin(headers),
        }
    }

    /// Refusals that need no route, and answers to preflights.
    fn admit(&self, request: &Request<Body>, ip: Option<IpAddr>) -> Result<Option<Response>> {
        let banned = |ip| {
            let clock = self.app.clock();
            self.app.kit().bans.hold(ip, || clock.now())
        };
        if ip.is_some_and(banned) {
            return Err(Error::Banned);
        }
        check_head(request.extensions())?;
        if !self.hosts.is_empty() {
            let host = request
                .headers()
                .get(HOST)
                .and_then(|host| host.to_str().ok());
            let host = host.unwrap_or_default().to_ascii_lowercase();
            if !self.hosts.contains(&host) {
                return Err(Error::Misdirected);
            }
        }
        if request.method() == Method::TRACE || request.method() == Method::CONNECT {
            return Err(Error::MethodNotAllowed);
        }
        Ok(self.cors.preflight(request))
    }

    async fn run(
        turn: &Turn,
        answer: impl Future<Output = Result<Response, Infallible>>,
    ) -> Response {
        if let Err(error) = turn.take().await {
            return error.into_response();
        }
        let response = match within(HANDLER, AssertUnwindSafe(answer).catch_unwind()).await {
            Some(Ok(Ok(response))) => response,
            Some(Err(_panic)) => Error::internal("a handler panicked").into_response(),
            None => Error::unavailable("the handler took too long").into_response(),
        };
        turn.give_back();
        response
    }

    fn finish(&self, seen: &Seen, response: &mut Response) {
        let route = seen.route.as_ref().map_or("", MatchedPath::as_str);
        let code = self.explain(seen, route, response);
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, seen.call.id.clone());
        self.headers.add(headers);
        self.cors.add(headers, seen.origin.as_ref());
        let seconds = seen.start.elapsed();
        self.series.count(
            &self.app.kit().metrics,
            route,
            &seen.method,
            response.status(),
            seconds,
        );
        if let Some(sink) = self.sink.as_ref().filter(|sink| sink.wants_access()) {
            let line = Line {
                method: &seen.method,
                path: seen.path.as_deref().unwrap_or(route),
                route,
                status: response.status(),
                seconds,
                bytes: http_body::Body::size_hint(response.body()).exact(),
                ip: seen.call.ip,
                id: seen.call.id_text(),
                code,
            };
            access::write(sink, &line);
            let dropped = i64::try_from(sink.dropped()).unwrap_or(i64::MAX);
            self.app.kit().metrics.log_dropped.set(dropped);
        }
    }

    /// Writes the problem that an error answer stands for, and counts it by its code.
    fn explain(&self, seen: &Seen, route: &str, response: &mut Response) -> Option<&'static str> {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return None;
        }
        let error = match response.extensions_mut().remove::<Refusal>() {
            Some(Refusal(error)) => error,
            // An answer that speaks for itself: readiness has a body of its own.
            None if http_body::Body::size_hint(response.body()).exact() != Some(0)
                && !status.is_client_error() =>
            {
                return None;
            }
            None => Arc::new(problem::guess(status)),
        };
        problem::log(&error, seen.call.id_text(), route);
        problem::fill(response, &error, seen.call.id_text());
        let code = error.spec().code;
        self.app
            .kit()
            .metrics
            .errors
            .get_or_create(&CodeLabel { code })
            .inc();
        Some(code)
    }
}

/// `answer`, unless it takes longer than `time`. A timer is only made for an answer that is not
/// there at once: a point read has none.
async fn within<F: Future>(time: Duration, answer: F) -> Option<F::Output> {
    let mut answer = pin!(answer);
    let first = std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(output) => Some(output),
        Poll::Pending => tokio::time::timeout(time, answer).await.ok(),
    }
}

/// A client's request id is taken over if it cannot do harm in a log.
fn is_sensible(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=64).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
}

/// Makes request ids: a random part for the process, then a count.
struct Ids {
    process: u32,
    count: AtomicU64,
}

impl Ids {
    fn new() -> Result<Self> {
        Ok(Self {
            process: u32::from_le_bytes(random_bytes()?),
            count: AtomicU64::new(1),
        })
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut id = *b"00000000-0000000000";
        let (process, counter) = id.split_at_mut(9);
        hex(
            u64::from(self.process),
            process.get_mut(..8).unwrap_or_default(),
        );
        hex(count, counter);
        HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("none"))
    }
}

fn hex(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        let low = u8::try_from(number & 0xf).unwrap_or(0);
        *digit = if low < 10 {
            b'0' + low
        } else {
            b'a' + low - 10
        };
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    #[test]
    fn a_panic_in_a_handler_is_an_answer_and_the_next_request_is_served() {
        let app = App::memory();
        let router = axum::Router::new()
            .route(
                "/breaks",
                get(|| async { std::iter::empty::<&str>().next().unwrap() }),
            )
            .route("/works", get(|| async { "ok" }))
            .layer(Layers::new(&app, None).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ask = |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            runtime.block_on(async {
                let response = router.clone().oneshot(request).await.unwrap();
                let status = response.status().as_u16();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                (status, String::from_utf8(body.to_vec()).unwrap())
            })
        };
        let (status, body) = ask("/breaks");
        assert_eq!(status, 500);
        assert!(
            body.contains(r#""code":"internal","detail":"internal error""#),
            "{body}"
        );
        assert_eq!(ask("/works"), (200, "ok".to_owned()));
        assert_eq!(app.kit().metrics.in_flight.get(), 0);
    }
}
