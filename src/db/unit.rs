//! A unit of work that waits for a writer: its types are hidden, so that different ones can wait
//! in one queue.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Tx;
use crate::error::{Error, Result};

/// A unit of work, and who waits for it.
pub(super) trait Work: Send {
    /// Runs inside the open transaction; a panic is an error like another. May be called again.
    fn run(&mut self, tx: &mut Tx<'_>);
    /// How it failed, if it did.
    fn failure(&self) -> Option<&Error>;
    /// Makes it a failure although it went well: its part of the transaction came to nothing.
    fn fail(&mut self, error: Error);
    /// Tells whoever waits: its own result, or `failure` when the commit did not happen.
    fn answer(self: Box<Self>, failure: Option<&dyn Fn() -> Error>);
}

struct Unit<T, F, D> {
    f: F,
    result: Option<Result<T>>,
    done: Option<D>,
}

/// The unit of work that runs `f`; `done` is called once, after the commit.
pub(super) fn work<T, F, D>(f: F, done: D) -> Box<dyn Work>
where
    T: Send + 'static,
    F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    D: FnOnce(Result<T>) + Send + 'static,
{
    Box::new(Unit {
        f,
        result: None,
        done: Some(done),
    })
}

impl<T, F, D> Work for Unit<T, F, D>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T> + Send,
    D: FnOnce(Result<T>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) {
        let f = &mut self.f;
        let result = catch_unwind(AssertUnwindSafe(|| f(tx)))
            .unwrap_or_else(|_| Err(Error::internal("a unit of work panicked")));
        self.result = Some(result);
    }

    fn failure(&self) -> Option<&Error> {
        self.result.as_ref()?.as_ref().err()
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn answer(mut self: Box<Self>, failure: Option<&dyn Fn() -> Error>) {
        let result = match (self.result.take(), failure) {
            // It failed by itself; that says more than the failed commit.
            (Some(Err(error)), _) => Err(error),
            (_, Some(failure)) => Err(failure()),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(Error::internal("a unit of work was not run")),
        };
        if let Some(done) = self.done.take() {
            // A panic in the waiting side must not take the writer with it.
            let _panicked = catch_unwind(AssertUnwindSafe(|| done(result)));
        }
    }
}

/// The same failure for each of many: errors cannot be copied, their sort and the text of all that
/// lies under them can.
pub(super) fn again(error: &Error) -> Box<dyn Fn() -> Error> {
    let causes = error.causes();
    let text = if causes.is_empty() {
        error.to_string()
    } else {
        causes
    };
    if matches!(error, Error::StorageFull(_)) {
        Box::new(move || Error::StorageFull(text.clone().into()))
    } else if matches!(error, Error::Corrupt(_)) {
        Box::new(move || Error::Corrupt(text.clone()))
    } else {
        Box::new(move || Error::unavailable(text.clone()))
    }
}
