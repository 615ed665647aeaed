//! ^C and SIGTERM in commands that work long: the first asks the work to stop at its next step, so
//! that what is done is kept and reported; the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// Whether somebody wants the command to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches for the signals from now to the end of the process.
    ///
    /// # Errors
    /// [`Error::Io`] if the operating system refuses.
    pub fn watch() -> Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, and only raises it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))
                .and_then(|_| flag::register(signal, Arc::clone(&seen)))
                .map_err(Error::io("watch for signals"))?;
        }
        Ok(Self(seen))
    }

    /// Whether the work shall stop.
    #[must_use]
    pub fn seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
