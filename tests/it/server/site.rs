//! A small site behind the accept loop, and clients on raw sockets.

use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use axum::{Extension, Router};
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use provost::error::{Error, Result};
use provost::http::body;
use provost::http::listener::Listener;
use provost::http::server::{Limits, Peer, check_head, serve};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct Inside {
    calls: Arc<AtomicUsize>,
    entered: Sender<()>,
    gone: Sender<()>,
    release: Arc<Semaphore>,
}

/// An answer without end that tells when it is given up.
struct Endless(Sender<()>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 8192])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn router(inside: Inside) -> Router {
    Router::new()
        .route("/", any(|| async { "ok" }))
        .route(
            "/peer",
            get(|Extension(peer): Extension<Peer>| async move { format!("{:?}", peer.ip) }),
        )
        .route(
            "/hold",
            get(|State(inside): State<Inside>| async move {
                inside.entered.send(()).unwrap();
                inside.release.acquire().await.unwrap().forget();
                "held"
            }),
        )
        .route(
            "/endless",
            get(|State(inside): State<Inside>| async move { Body::new(Endless(inside.gone)) }),
        )
        .route("/echo", any(echo))
        .route("/panic", any(breaks))
        .layer(axum::middleware::from_fn_with_state(
            inside.clone(),
            |State(inside): State<Inside>, request: Request, next: axum::middleware::Next| async move {
                inside.calls.fetch_add(1, Ordering::SeqCst);
                match check_head(request.extensions()) {
                    Ok(()) => next.run(request).await,
                    Err(error) => told(&error),
                }
            },
        ))
        .with_state(inside)
}

fn told(error: &Error) -> axum::response::Response {
    let spec = error.spec();
    (StatusCode::from_u16(spec.status).unwrap(), spec.code).into_response()
}

async fn breaks() -> &'static str {
    panic!("as asked")
}

async fn echo(request: Request) -> axum::response::Response {
    let length = request.headers().get("content-length");
    let length = length.map(|length| length.to_str().unwrap().parse().unwrap());
    match body::read(request.into_body(), length, 1024).await {
        Ok(bytes) => bytes.into_response(),
        Err(error) => told(&error),
    }
}

pub(super) struct Site {
    pub(super) tcp: Option<SocketAddr>,
    pub(super) calls: Arc<AtomicUsize>,
    pub(super) entered: Receiver<()>,
    pub(super) gone: Receiver<()>,
    pub(super) release: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
    pub(super) ended: Receiver<Result<()>>,
}

impl Site {
    pub(super) fn start(limits: Limits) -> Self {
        Self::on(limits, || vec![tcp()])
    }

    pub(super) fn on(limits: Limits, bind: impl FnOnce() -> Vec<Listener>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let guard = runtime.enter();
        let listeners = bind();
        drop(guard);
        let (entered_in, entered) = channel();
        let (gone_in, gone) = channel();
        let (ended_in, ended) = channel();
        let inside = Inside {
            calls: Arc::default(),
            entered: entered_in,
            gone: gone_in,
            release: Arc::new(Semaphore::new(0)),
        };
        let stop = CancellationToken::new();
        let site = Self {
            tcp: listeners.iter().find_map(Listener::local_addr),
            calls: Arc::clone(&inside.calls),
            entered,
            gone,
            release: Arc::clone(&inside.release),
            stop: stop.clone(),
            ended,
        };
        std::thread::spawn(move || {
            let end = runtime.block_on(serve(listeners, router(inside), limits, stop));
            let _ = ended_in.send(end);
        });
        site
    }

    pub(super) fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.tcp.unwrap()).unwrap();
        // Less than any deadline that a test does not set.
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        Client(stream)
    }

    pub(super) fn entered(&self) {
        self.entered.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    pub(super) fn end(&self) {
        self.stop.cancel();
        self.ended
            .recv_timeout(Duration::from_secs(10))
            .unwrap()
            .unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) fn tcp() -> Listener {
    Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap()
}

pub(super) struct Client<S>(pub(super) S);

impl<S: Read + Write> Client<S> {
    pub(super) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// One answer with a `Content-Length`, head and body.
    pub(super) fn answer(&mut self) -> String {
        let mut text = Vec::new();
        let head = loop {
            if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let mut byte = [0];
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "{}",
                text.escape_ascii()
            );
            text.push(byte[0]);
        };
        let head = String::from_utf8(text[..head].to_vec()).unwrap();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        head + std::str::from_utf8(&body).unwrap()
    }

    pub(super) fn ask(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        self.answer()
    }

    /// Whether the server had room for this connection.
    pub(super) fn ask_if_open(&mut self) -> bool {
        let _ = self.0.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        self.answer().starts_with("HTTP/1.1 200 OK")
    }

    /// What comes until the server hangs up, which it must.
    pub(super) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed: {error}"),
        }
        String::from_utf8(rest).unwrap()
    }

    pub(super) fn is_closed(&mut self) {
        assert_eq!(self.rest(), "");
    }

    /// One answer, and then the end.
    pub(super) fn last_answer(&mut self) -> String {
        let answer = self.answer();
        self.is_closed();
        answer
    }
}
