//! The operational log: lines on standard error, through a bounded buffer and a thread of its own.
//!
//! Invariant: a log that cannot be written never stops a request; lines are dropped and counted
//! (security.md, rule 68). What must not be lost is in the audit log.

mod buffer;

use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use buffer::{Buffer, Thread};

use crate::config::{Log as Settings, LogFormat};
use crate::error::{Error, Result};

/// The running log. Dropping it writes what waits.
pub struct Log {
    sink: Sink,
    level: reload::Handle<LevelFilter, Registry>,
    _thread: Thread,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

/// Where whole lines go that were formatted by whoever has them: the access log.
#[derive(Clone)]
pub struct Sink {
    buffer: Buffer,
    format: LogFormat,
    access: bool,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
        self.buffer.push(line);
    }

    /// Lines dropped so far.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.buffer.dropped()
    }
}

/// Starts the log of this process: `tracing` events and whatever goes to the [`Sink`].
///
/// # Errors
/// [`Error::Internal`] if the process has a log already.
pub fn start(settings: &Settings) -> Result<Log> {
    let buffer = Buffer::default();
    let thread = buffer.write_to(std::io::stderr())?;
    let sink = Sink {
        buffer: buffer.clone(),
        format: settings.format,
        access: settings.access,
    };
    let (level, handle) = reload::Layer::new(LevelFilter::from_level(settings.level));
    let log = tracing_subscriber::registry()
        .with(level)
        .with(filter_fn(|event| is_ours(event.target(), *event.level())));
    let lines = fmt::layer().with_target(false).with_writer(buffer);
    let started = match settings.format {
        LogFormat::Json => log.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => log.with(lines.with_ansi(false)).try_init(),
    };
    started.map_err(Error::internal)?;
    Ok(Log {
        sink,
        level: handle,
        _thread: thread,
    })
}

/// Whether an event is for the operator: libraries tell more of their own work than anybody wants
/// to know, such as each notice of a database's server.
fn is_ours(target: &str, level: tracing::Level) -> bool {
    target.starts_with("provost") || level <= tracing::Level::WARN
}

impl Log {
    /// From now on logs events of this level and those that matter more.
    pub fn set_level(&self, level: tracing::Level) {
        // It fails only when there is no log any more.
        let _ = self.level.reload(LevelFilter::from_level(level));
    }

    /// Where the access log goes.
    #[must_use]
    pub fn sink(&self) -> Sink {
        self.sink.clone()
    }
}
