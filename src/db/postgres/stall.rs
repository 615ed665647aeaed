//! A server that does everything but commit: its synchronous standby is gone. Each `COMMIT` is waited
//! for in vain then, nobody knows what comes of it, and it keeps its connection on the server for
//! as long as that lasts. So after the first, no other is sent but the one of a probe, and writes
//! are refused at once; when the probe's is answered, all goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;

use super::server::{Purpose, Server};
use crate::error::Error;

/// How long a probe waits for its `COMMIT` before another takes its place: the server may be
/// another one by now.
const TURN: Duration = Duration::from_secs(30);

/// Something that a transaction has to commit, and that changes nothing.
const NOTHING: &str = "BEGIN READ WRITE; SELECT pg_logical_emit_message(true, 'provost', '')";

/// Whether commits are waited for in vain.
#[derive(Debug)]
pub(super) struct Stall {
    server: Server,
    on: AtomicBool,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Committed,
    /// It was asked to, and said nothing.
    Silent,
    /// It did not come so far: that is another matter, which the writers find out by themselves.
    Elsewhere,
}

impl Stall {
    pub(super) fn of(server: &Server) -> Arc<Self> {
        Arc::new(Self {
            server: server.clone(),
            on: AtomicBool::new(false),
        })
    }

    /// Why no write is to be tried, if none is.
    pub(super) fn refusal(&self) -> Option<Error> {
        let on = self.on.load(Ordering::Relaxed);
        on.then(|| Error::unavailable("the server answers no COMMIT"))
    }

    /// A `COMMIT` was not answered.
    pub(super) fn begin(self: &Arc<Self>) {
        if self.on.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::error!(
            "the server answers no COMMIT, is its synchronous standby gone? Writes are refused until it does"
        );
        let (server, stall) = (self.server.clone(), Arc::downgrade(self));
        // Nobody waits for its end: it may be in the middle of its turn when the daemon stops.
        let started = std::thread::Builder::new()
            .name("probe".into())
            .spawn(move || {
                let mut probed = probe(&server);
                while probed == Probe::Silent && stall.strong_count() > 0 {
                    probed = probe(&server);
                }
                if let Some(stall) = stall.upgrade() {
                    if probed == Probe::Committed {
                        tracing::info!("the server answers COMMITs again");
                    }
                    stall.on.store(false, Ordering::Relaxed);
                }
            });
        if started.is_err() {
            self.on.store(false, Ordering::Relaxed);
        }
    }
}

fn probe(server: &Server) -> Probe {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        return Probe::Elsewhere;
    };
    let probed = runtime.block_on(async {
        let Ok((client, _driver)) = server.open(Purpose::Write).await else {
            return Probe::Elsewhere;
        };
        let begun = timeout(Purpose::Write.patience(), client.batch_execute(NOTHING)).await;
        if !matches!(begun, Ok(Ok(()))) {
            return Probe::Elsewhere;
        }
        match timeout(TURN, client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => Probe::Committed,
            Ok(Err(_)) => Probe::Elsewhere,
            Err(_elapsed) => {
                // Else its connection would wait on. What becomes of it is nobody's business.
                server.cancel(&client).await;
                Probe::Silent
            }
        }
    });
    runtime.shutdown_background();
    probed
}
