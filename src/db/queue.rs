//! The way to an engine's writers: a bounded queue of units of work, and the threads that take
//! from it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::Tx;
use super::unit::{Work, work};
use crate::error::{Error, Result};

/// Units of work that may wait; more are refused at once.
const MOST: usize = 4096;

/// The handle of the writers. Dropping it lets them finish what waits, then joins them.
#[derive(Debug)]
pub(super) struct Queue {
    entrance: Option<SyncSender<Box<dyn Work>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Queue {
    /// An empty queue that nobody serves yet, and its other end.
    pub(super) fn new() -> (Self, Receiver<Box<dyn Work>>) {
        let (entrance, waiting) = sync_channel(MOST);
        let queue = Self {
            entrance: Some(entrance),
            threads: Vec::new(),
        };
        (queue, waiting)
    }

    /// Starts a thread that serves it until there will be no more work.
    pub(super) fn start(
        &mut self,
        name: String,
        serve: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let thread = std::thread::Builder::new().name(name).spawn(serve);
        self.threads
            .push(thread.map_err(Error::io("start a writer thread"))?);
        Ok(())
    }

    /// Queues `f`; `done` is called on a writer's thread after the commit.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        // The entrance is only gone while this is being dropped, when nobody can call it.
        let sent = self
            .entrance
            .as_ref()
            .map(|entrance| entrance.try_send(work(f, done)));
        if let Some(Err(TrySendError::Full(unit) | TrySendError::Disconnected(unit))) = sent {
            unit.answer(Some(&|| Error::unavailable("the writers' queue is full")));
        }
    }

    /// Queues `f` and waits for the commit.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        self.submit(f, move |result| {
            // Nobody waits any more: the write stays done all the same.
            let _gone = answer.send(result);
        });
        answered.recv().map_err(Error::unavailable)?
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.entrance.take());
        let own = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // Whoever waited for a unit of work may have been the last who needed the database:
            // then this is one of the threads.
            if thread.thread().id() != own {
                let _panicked = thread.join();
            }
        }
    }
}
