//! Lines on their way to standard error: gathered in memory, written by a thread of their own.
//!
//! Whoever logs copies its line into a shared buffer and goes on. The thread is woken by the first
//! line after a pause and then writes what comes in a moment at once: a wake-up for each line
//! would cost more than the request that it is about.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::error::{Error, Result};

/// Bytes that may wait; lines beyond them are dropped.
const CAPACITY: usize = 1024 * 1024;

/// How long lines are gathered before they are written.
const MOMENT: Duration = Duration::from_millis(20);

/// The end that lines are put in at.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    dropped: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// Adds one whole line, or drops it when too much waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        if waiting.bytes.len() + line.len() > CAPACITY {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if first {
            self.0.changed.notify_one();
        }
    }

    /// Lines dropped so far.
    pub(super) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Starts the thread that writes to `out`.
    pub(super) fn write_to(&self, out: impl Write + Send + 'static) -> Result<Thread> {
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || shared.run(out))
            .map_err(Error::io("start the log's thread"))?;
        Ok(Thread {
            shared: Arc::clone(&self.0),
            thread: Some(thread),
        })
    }
}

impl Shared {
    fn run(&self, mut out: impl Write) {
        let mut bytes = Vec::new();
        loop {
            let quiet = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.closed;
            let waiting = self.changed.wait_while(self.lock(), quiet);
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let gathered = self
                .changed
                .wait_timeout_while(waiting, MOMENT, |w| !w.closed);
            let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut waiting.bytes, &mut bytes);
            let closed = waiting.closed;
            drop(waiting);
            // A log that cannot be written must not stop anything (rule 68).
            if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                let lines = bytes.split(|byte| *byte == b'\n').count().saturating_sub(1);
                self.dropped.fetch_add(lines, Ordering::Relaxed);
            }
            bytes.clear();
            if closed {
                return;
            }
        }
    }
}

/// The thread. Dropping it writes what waits, then ends it.
#[derive(Debug)]
pub(super) struct Thread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// `tracing` formats an event into one `write`: a whole line.
impl Write for Buffer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Buffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells what was written; refuses when nobody listens.
    struct Pipe(mpsc::Sender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .send(bytes.to_vec())
                .map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_in_order_before_the_end() {
        let (tell, told) = mpsc::channel();
        let buffer = Buffer::default();
        let thread = buffer.write_to(Pipe(tell)).unwrap();
        for n in 0..1000 {
            buffer.push(format!("{n}\n").as_bytes());
        }
        drop(thread);
        let written: Vec<u8> = told.iter().flatten().collect();
        let expected: String = (0..1000).map(|n| n.to_string() + "\n").collect();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        assert_eq!(buffer.dropped(), 0);
    }

    #[test]
    fn lines_that_find_no_room_are_dropped_and_counted() {
        let buffer = Buffer::default();
        let line = vec![b'x'; CAPACITY / 2];
        for _ in 0..5 {
            buffer.push(&line);
        }
        assert_eq!(buffer.dropped(), 3);
    }

    #[test]
    fn a_reader_that_has_gone_stops_nothing_and_its_lines_are_counted() {
        let (tell, told) = mpsc::channel();
        drop(told);
        let buffer = Buffer::default();
        let thread = buffer.write_to(Pipe(tell)).unwrap();
        buffer.push(b"one\ntwo\n");
        drop(thread);
        assert_eq!(buffer.dropped(), 2);
    }
}
