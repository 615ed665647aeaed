//! ^C for commands that work for a while: they stop between two steps, keep what is done, and say
//! so. Commands without it are ended by the signal itself.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::error::{Error, Result};

/// Watches for SIGINT and SIGTERM. A second one ends the process.
#[derive(Debug)]
pub struct Interrupt {
    seen: Arc<AtomicBool>,
    told: UnixStream,
}

impl Interrupt {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be caught.
    pub fn watch() -> Result<Self> {
        let watch = || {
            let seen = Arc::new(AtomicBool::new(false));
            let (told, tell) = UnixStream::pair()?;
            for signal in [SIGINT, SIGTERM] {
                // In this order: the first signal finds the flag down, and only raises it.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))?;
                flag::register(signal, Arc::clone(&seen))?;
                pipe::register(signal, tell.try_clone()?)?;
            }
            Ok(Self { seen, told })
        };
        watch().map_err(Error::io("catch signals"))
    }

    /// Whether the work shall stop.
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
        loop {
            // A timeout of zero would be none at all.
            let left = end
                .saturating_duration_since(Instant::now())
                .max(Duration::from_micros(1));
            self.told.set_read_timeout(Some(left)).map_err(failed())?;
            match (&self.told).read(&mut [0]) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(failed()(error)),
            }
        }
    }
}
