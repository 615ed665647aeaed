//! ^C and SIGTERM for commands that work for a while: at the first they stop between two steps,
//! keep what is done, and say so; the second ends the process. Commands without it are ended by
//! the signal itself.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::error::{Error, Result};

/// Watches for SIGINT and SIGTERM.
#[derive(Debug)]
pub struct Interrupt {
    seen: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Interrupt {
    /// From now on the first of these signals does not end the process by itself.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be caught.
    pub fn watch() -> Result<Self> {
        let watch = || {
            let seen = Arc::new(AtomicBool::new(false));
            let (here, there) = UnixStream::pair()?;
            for signal in [SIGINT, SIGTERM] {
                // In this order: the first signal finds the flag down, and only raises it.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))?;
                flag::register(signal, Arc::clone(&seen))?;
                pipe::register(signal, there.try_clone()?)?;
            }
            Ok(Self { seen, wake: here })
        };
        watch().map_err(Error::io("catch signals"))
    }

    /// Whether there was a signal.
    #[must_use]
    pub fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// Waits for a signal, at most so long. Tells whether there was one.
    ///
    /// # Errors
    /// [`Error::Io`] if that cannot be found out.
    pub fn within(&self, time: Duration) -> Result<bool> {
        let failed = || Error::io("wait for signals");
        let end = Instant::now() + time;
        while !self.seen() {
            // A timeout of zero would be none at all.
            let left = end
                .saturating_duration_since(Instant::now())
                .max(Duration::from_micros(1));
            self.wake.set_read_timeout(Some(left)).map_err(failed())?;
            match (&self.wake).read(&mut [0]) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return Ok(self.seen());
                }
                Err(error) => return Err(failed()(error)),
            }
        }
        Ok(true)
    }
}
