//! ^C for commands that work for a while: they stop between two steps, keep what is done, and say
//! so. Commands without it are ended by the signal itself.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::error::{Error, Result};

/// Watches for SIGINT and SIGTERM.
#[derive(Debug)]
pub struct Interrupt(UnixStream);

impl Interrupt {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be caught.
    pub fn watch() -> Result<Self> {
        let watch = || {
            let (here, there) = UnixStream::pair()?;
            pipe::register(SIGINT, there.try_clone()?)?;
            pipe::register(SIGTERM, there)?;
            Ok(here)
        };
        watch().map(Self).map_err(Error::io("catch signals"))
    }

    /// Waits for a signal, at most so long; zero only looks. Tells whether there was one.
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
            self.0.set_read_timeout(Some(left)).map_err(failed())?;
            match (&self.0).read(&mut [0]) {
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
