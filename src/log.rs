//! The operational log: lines on standard error, through a bounded buffer and a thread of its own.
//!
//! Invariant: a log that cannot be written never stops a request; lines are dropped and counted
//! (security.md, rule 68). What must not be lost is in the audit log.

use std::fmt;
use std::io::{BufWriter, Write as _};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log as Settings, LogFormat};
use crate::error::{Error, Result};

/// Lines that may wait; more are dropped.
const WAITING: usize = 16_384;

/// The running log. Dropping it writes what waits.
pub struct Log {
    sink: Sink,
    _thread: WorkerGuard,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

/// Where whole lines go that were formatted by whoever has them: the access log.
#[derive(Clone)]
pub struct Sink {
    writer: NonBlocking,
    dropped: ErrorCounter,
    format: LogFormat,
    access: bool,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Sink {
    /// Whether each request gets a line.
    #[must_use]
    pub fn wants_access(&self) -> bool {
        self.access
    }

    /// How lines are written.
    #[must_use]
    pub fn format(&self) -> LogFormat {
        self.format
    }

    /// Queues one line, with its line end, or drops it.
    pub fn line(&self, line: &[u8]) {
        let _dropped_and_counted = self.writer.clone().write_all(line);
    }

    /// Lines dropped so far.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

/// Starts the log of this process: `tracing` events and whatever goes to the [`Sink`].
///
/// # Errors
/// [`Error::Internal`] if the process has a log already.
pub fn start(settings: &Settings) -> Result<Log> {
    let stderr = BufWriter::with_capacity(64 * 1024, std::io::stderr());
    let (writer, thread) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .lossy(true)
        .thread_name("log")
        .finish(stderr);
    let sink = Sink {
        dropped: writer.error_counter(),
        writer: writer.clone(),
        format: settings.format,
        access: settings.access,
    };
    let level = LevelFilter::from_level(settings.level);
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(writer);
    let started = match settings.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(false).try_init(),
    };
    started.map_err(Error::internal)?;
    Ok(Log {
        sink,
        _thread: thread,
    })
}

impl Log {
    /// Where the access log goes.
    #[must_use]
    pub fn sink(&self) -> Sink {
        self.sink.clone()
    }
}
