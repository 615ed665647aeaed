//! A request's place among those that are worked on (security.md §2.8: 256 in flight).
//!
//! Invariant: whoever waits for a client holds no place. Otherwise 256 clients that send their
//! bodies slowly would keep everybody else out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The place of one request, which it takes, gives back while it waits for its body, and takes
/// again. Dropping it gives it back however the request ends.
#[derive(Clone, Debug)]
pub(super) struct Turn(Arc<Place>);

#[derive(Debug)]
struct Place {
    places: Arc<Semaphore>,
    in_flight: Gauge,
    held: Mutex<Option<Held>>,
}

/// Counted as long as it is held.
#[derive(Debug)]
struct Held {
    _permit: OwnedSemaphorePermit,
    in_flight: Gauge,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

impl Turn {
    pub(super) fn new(places: &Arc<Semaphore>, in_flight: &Gauge) -> Self {
        Self(Arc::new(Place {
            places: Arc::clone(places),
            in_flight: in_flight.clone(),
            held: Mutex::default(),
        }))
    }

    /// Waits for a place, not for long.
    pub(super) async fn take(&self) -> Result<()> {
        let places = || Arc::clone(&self.0.places);
        let permit = match places().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_full) => {
                let waited = tokio::time::timeout(PATIENCE, places().acquire_owned()).await;
                let reason = |_| Error::unavailable("too many requests at the same time");
                waited.map_err(reason)?.map_err(Error::internal)?
            }
        };
        self.0.in_flight.inc();
        let held = Held {
            _permit: permit,
            in_flight: self.0.in_flight.clone(),
        };
        self.set(Some(held));
        Ok(())
    }

    /// Gives the place back.
    pub(super) fn give_back(&self) {
        self.set(None);
    }

    fn set(&self, held: Option<Held>) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}
