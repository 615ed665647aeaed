//! The socket as hyper sees it, and what the bytes on it tell about the connection.
//!
//! [`Wire`] watches heads come in, notices when the client does not take its answer, puts a
//! problem object in the place of hyper's own bare error answers, and reads what a client is still
//! sending before the socket goes (else the kernel resets the connection, and the client may
//! never see the answer that explains why). It does nothing for a healthy request but note facts.
//!
//! [`State`] carries these facts between the wire, the service and the deadlines. All three run
//! in the connection's one task, so relaxed atomics are plain memory here.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Fault, Framing};
use super::listener::Stream;
use super::refusal;

/// What a connection waits for; the number is another for each new reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For the first byte of the head with this number.
    Idle(u64),
    /// For the rest of the head with this number.
    Head(u64),
    /// For our own service, or for a request body, whose reader has its own deadline.
    Service,
    /// For the client to take more than these bytes.
    Write(u64),
    /// For the client to stop sending.
    Close,
}

/// What is known of a connection.
#[derive(Debug, Default)]
pub(super) struct State {
    calls: AtomicU64,
    busy: AtomicBool,
    unread: AtomicBool,
    mid_head: AtomicBool,
    blocked: AtomicBool,
    closing: AtomicBool,
    written: AtomicU64,
    fault: OnceLock<(u64, Fault)>,
}

/// A request is being served for as long as this lives.
pub(super) struct Busy(Arc<State>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Relaxed);
    }
}

impl State {
    /// A request begins: its fault, and how many requests this connection has had with it.
    pub(super) fn begin(self: &Arc<Self>, has_body: bool) -> (Busy, Option<Fault>, u64) {
        let number = self.calls.load(Relaxed);
        let fault = self.fault.get().filter(|(head, _)| *head == number);
        self.calls.store(number.saturating_add(1), Relaxed);
        self.busy.store(true, Relaxed);
        self.unread.store(has_body || fault.is_some(), Relaxed);
        let fault = fault.map(|(_, fault)| *fault);
        (Busy(Arc::clone(self)), fault, number.saturating_add(1))
    }

    pub(super) fn waiting(&self) -> Waiting {
        if self.closing.load(Relaxed) {
            Waiting::Close
        } else if self.blocked.load(Relaxed) {
            Waiting::Write(self.written.load(Relaxed))
        } else if self.busy.load(Relaxed) {
            Waiting::Service
        } else if self.mid_head.load(Relaxed) {
            Waiting::Head(self.calls.load(Relaxed))
        } else {
            Waiting::Idle(self.calls.load(Relaxed))
        }
    }
}

/// An answer of ours on its way in the place of hyper's.
struct Instead {
    bytes: Vec<u8>,
    sent: usize,
    replaces: usize,
}

/// The watched socket.
pub(super) struct Wire {
    stream: Stream,
    framing: Framing,
    state: Arc<State>,
    /// The number of calls whose answers are all flushed.
    settled: u64,
    instead: Option<Instead>,
    shut: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream, state: Arc<State>) -> Self {
        Self {
            stream,
            framing: Framing::default(),
            state,
            settled: 0,
            instead: None,
            shut: false,
        }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        self.state.blocked.store(written.is_pending(), Relaxed);
        if let Poll::Ready(Ok(count)) = written {
            let all = self.state.written.load(Relaxed);
            let count = u64::try_from(*count).unwrap_or(u64::MAX);
            self.state.written.store(all.wrapping_add(count), Relaxed);
        }
    }

    /// Whether what is written now can only be hyper's own: no request is without its answer.
    fn is_automatic(&self) -> bool {
        self.settled == self.state.calls.load(Relaxed) && !self.state.busy.load(Relaxed)
    }

    fn poll_instead(
        &mut self,
        cx: &mut Context<'_>,
        automatic: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() {
            if !self.is_automatic() {
                return None;
            }
            let fault = self.state.fault.get().map(|(_, fault)| *fault);
            self.instead = Some(Instead {
                bytes: refusal::instead_of(automatic, fault)?,
                sent: 0,
                replaces: automatic.len(),
            });
            self.state.unread.store(true, Relaxed);
        }
        while let Some(instead) = &mut self.instead {
            let rest = instead.bytes.get(instead.sent..).unwrap_or_default();
            if rest.is_empty() {
                let replaces = instead.replaces;
                self.instead = None;
                return Some(Poll::Ready(Ok(replaces)));
            }
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            match written {
                Poll::Ready(Ok(0)) => {
                    return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(count)) => instead.sent = instead.sent.saturating_add(count),
                Poll::Ready(Err(_)) | Poll::Pending => {
                    self.note(&written);
                    return Some(written);
                }
            }
            self.note(&written);
        }
        None
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if let Some(fault) = this.framing.feed(new) {
            // Set once: nothing is fed after the first fault.
            this.state
                .fault
                .get_or_init(|| (this.framing.heads(), fault));
        }
        this.state.mid_head.store(this.framing.mid_head(), Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(done) = this.poll_instead(cx, buf) {
            return done;
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [only] = bufs
            && let Some(done) = this.poll_instead(cx, only)
        {
            return done;
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes when its buffer is empty: every answer so far is out.
        if !this.state.busy.load(Relaxed) {
            this.settled = this.state.calls.load(Relaxed);
        }
        // TLS takes an answer before the socket does; then it is here that a client is slow.
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.state.blocked.store(flushed.is_pending(), Relaxed);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
            this.state.blocked.store(shut.is_pending(), Relaxed);
            ready!(shut)?;
            this.shut = true;
        }
        if !this.state.unread.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        this.state.closing.store(true, Relaxed);
        loop {
            let mut scratch = [0; 4096];
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                // The end, or an error that no longer matters: the answer is out.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
