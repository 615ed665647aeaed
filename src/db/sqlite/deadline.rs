//! How long a statement may take: waiting for another process, and reading from one snapshot.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a statement waits for another process's transaction (rule 57).
const BUSY: Duration = Duration::from_secs(5);

/// Waits for another process's lock: `SQLite`'s busy handler.
pub(super) fn nap(attempt: i32) -> bool {
    thread_local! { static SINCE: Cell<Option<Instant>> = const { Cell::new(None) } }
    let now = Instant::now();
    let since = if attempt == 0 {
        now
    } else {
        SINCE.get().unwrap_or(now)
    };
    SINCE.set(Some(since));
    let jitter = u64::from(now.duration_since(since).subsec_nanos() % 700);
    std::thread::sleep(Duration::from_micros(300 + jitter));
    since.elapsed() < BUSY
}

/// While it lives, statements on this thread are stopped once the time is over.
pub(super) struct Deadline;

thread_local! { static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) } }

impl Deadline {
    pub(super) fn set(after: Duration) -> Self {
        DEADLINE.set(Instant::now().checked_add(after));
        Self
    }

    pub(super) fn passed() -> bool {
        DEADLINE
            .get()
            .is_some_and(|deadline| Instant::now() > deadline)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        DEADLINE.set(None);
    }
}
