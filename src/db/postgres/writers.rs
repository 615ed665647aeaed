//! The writers of the daemon: a few threads with a connection each, which take units of work from
//! one queue.
//!
//! What waits together is tried in one transaction, without savepoints: should one of them fail
//! after a change, or the server refuse, all is rolled back and each is run alone. Nothing is
//! answered before its commit returned. A lost connection and a conflict (40001, 40P01) are tried
//! again; a COMMIT whose outcome nobody knows is not, unless the unit of work finds out by itself
//! that it was done before (security.md, rule 81).

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failure::{Failure, never};
use super::link::{BEGIN, Link};
use super::server::{Purpose, Server};
use super::stall::Stall;
use crate::db::queue::Queue;
use crate::db::unit::{Work, again};
use crate::error::{Error, Result};

/// Connections that write.
const WRITERS: usize = 8;

/// Whoever has waited behind others for so long is refused: each may wait for a lock for two
/// seconds, and nobody for more than five.
const LATE: Duration = Duration::from_secs(3);

/// Bounds of one transaction.
const GROUP: usize = 32;
const GROUP_TIME: Duration = Duration::from_millis(20);

/// A group holds the locks of all its units, and must not wait for long for one of them: who meets
/// a held lock is run alone, where it may wait its full time.
const GROUP_BEGIN: &str = "BEGIN READ WRITE; SET LOCAL lock_timeout = 200";

/// How often a unit of work is tried again that the server chose another one over.
pub(super) const CONFLICTS: u32 = 5;

/// How long a connection may be lost, and opened again, before the server counts as away.
const LOSSES: Duration = Duration::from_secs(1);

type Waiting = Arc<Mutex<Receiver<Box<dyn Work>>>>;

/// Starts the threads.
pub(super) fn start(server: &Server, schema: &Arc<str>) -> Result<Queue> {
    let (mut queue, waiting) = Queue::new();
    let waiting = Arc::new(Mutex::new(waiting));
    let stall = Stall::of(server);
    for number in 0..WRITERS {
        let mut thread = Thread {
            server: server.clone(),
            stall: Arc::clone(&stall),
            schema: Arc::clone(schema),
            waiting: Arc::clone(&waiting),
            link: None,
        };
        queue.start(format!("writer-{number}"), move || thread.run())?;
    }
    Ok(queue)
}

/// What is to be done after a try.
enum Next {
    /// It is over; the failure is for those that did not fail by themselves.
    Answer(Option<Error>),
    /// The same, and the server is away: it would be the same for everybody else.
    Away(Error),
    /// Once more.
    Again,
}

/// Why a unit of work was tried before.
#[derive(Default)]
struct Tries {
    conflicts: u32,
    /// Whether it was for a fresh connection.
    renewed: bool,
}

struct Thread {
    server: Server,
    stall: Arc<Stall>,
    schema: Arc<str>,
    waiting: Waiting,
    link: Option<Link>,
}

impl Thread {
    fn run(&mut self) {
        let mut batch = Vec::with_capacity(GROUP);
        while self.fetch(&mut batch) {
            // Of all that was fetched together: who waits behind others has waited as long.
            let start = Instant::now();
            let mut away = self.stall.refusal();
            // What did not fit into the first transaction goes into the next, while all goes well.
            while batch.len() > 1 && away.is_none() && start.elapsed() <= LATE {
                let before = batch.len();
                away = self.together(&mut batch, start);
                if batch.len() == before {
                    break;
                }
            }
            for unit in batch.drain(..) {
                away = away.or_else(|| self.stall.refusal());
                if away.is_none() && start.elapsed() > LATE {
                    away = Some(Error::unavailable("writing takes too long"));
                }
                match &away {
                    None => away = self.alone(unit, start),
                    Some(error) => unit.answer(Some(&*again(error))),
                }
            }
            if let Some(error) = away {
                self.refuse_waiting(&error);
            }
        }
    }

    /// Waits for work and takes what there is. False when there will be no more.
    fn fetch(&self, batch: &mut Vec<Box<dyn Work>>) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(first) = waiting.recv() else {
            return false;
        };
        batch.push(first);
        batch.extend(waiting.try_iter().take(GROUP - 1));
        true
    }

    fn link(&mut self) -> Result<&mut Link> {
        if self.link.as_ref().is_some_and(|link| !link.is_usable()) {
            self.link = None;
        }
        match &mut self.link {
            Some(link) => Ok(link),
            none => {
                let link = none.insert(Link::open(&self.server, Purpose::Write)?);
                link.set_schema(Arc::clone(&self.schema));
                Ok(link)
            }
        }
    }

    /// Runs the whole batch in one transaction, and answers those of it that are done. What is
    /// left in `batch` must be run alone, unless it returns why the server counts as away.
    fn together(&mut self, batch: &mut Vec<Box<dyn Work>>, start: Instant) -> Option<Error> {
        let link = match self.link() {
            Ok(link) => link,
            Err(error) => return (start.elapsed() >= LOSSES).then_some(error),
        };
        link.set_patient(false);
        link.begin(GROUP_BEGIN);
        let begun = Instant::now();
        let mut repeatable = Vec::with_capacity(batch.len());
        let mut spoilt = None;
        for (place, unit) in batch.iter_mut().enumerate() {
            link.begin_part();
            unit.run(&mut link.tx());
            let failed = unit.failure().is_some() && link.has_changed();
            if failed || link.failure().is_some() {
                spoilt = Some(place);
                break;
            }
            repeatable.push(link.may_repeat() || !link.has_changed());
            if begun.elapsed() > GROUP_TIME {
                break;
            }
        }
        if let Some(place) = spoilt {
            let _lost = link.rollback();
            let away = away(link, start);
            // Alone, it may wait for a lock: the others come first.
            let unit = batch.remove(place);
            batch.push(unit);
            return away;
        }
        if link.settle().is_err() {
            let _lost = link.rollback();
            return away(link, start);
        }
        let committed = link.commit();
        if committed.is_err() && !link.is_lost() {
            return None;
        }
        let (away, stalled) = (away(link, start), link.is_stalled());
        if stalled {
            self.stall.begin();
        }
        let done: Vec<Box<dyn Work>> = batch.drain(..repeatable.len()).collect();
        for (mut unit, repeatable) in done.into_iter().zip(repeatable) {
            let Err(lost) = &committed else {
                unit.answer(None);
                continue;
            };
            if unit.failure().is_some() {
                // It may be about what another one of them has done, which nobody knows to be there.
                unit.fail(again(lost)());
            }
            if repeatable {
                batch.push(unit);
            } else {
                unit.answer(Some(&*again(lost)));
            }
        }
        away
    }

    /// Runs one unit of work in a transaction of its own. Returns why the server counts as away,
    /// so that nobody else need try.
    fn alone(&mut self, mut unit: Box<dyn Work>, start: Instant) -> Option<Error> {
        let mut tries = Tries::default();
        loop {
            match self.attempt(&mut *unit, start, &mut tries) {
                Next::Again => nap(),
                Next::Answer(failure) => {
                    if let Some(error) = failure
                        && unit.failure().is_none()
                    {
                        unit.fail(error);
                    }
                    unit.answer(None);
                    return None;
                }
                Next::Away(error) => {
                    unit.answer(Some(&*again(&error)));
                    return Some(error);
                }
            }
        }
    }

    fn attempt(&mut self, unit: &mut dyn Work, start: Instant, tries: &mut Tries) -> Next {
        let link = match self.link() {
            Ok(link) => link,
            Err(Error::Unavailable(_)) if start.elapsed() < LOSSES => return Next::Again,
            Err(error) => return Next::Away(error),
        };
        link.set_patient(tries.conflicts > 0);
        link.begin(BEGIN);
        unit.run(&mut link.tx());
        if unit.failure().is_none()
            && let Err(error) = link.settle()
        {
            unit.fail(error);
        }
        let failed = unit.failure().is_some();
        let ended = if failed {
            link.rollback()
        } else {
            link.commit()
        };
        let failure = link.failure();
        // Before its COMMIT, everybody knows that nothing was done.
        let known = failed || link.may_repeat() || failure != Some(Failure::Lost);
        let (away, stalled) = (away(link, start), link.is_stalled());
        if stalled {
            self.stall.begin();
        }
        match (failure, ended) {
            (None, Ok(())) => Next::Answer(None),
            (Some(Failure::Conflict), _) if tries.conflicts < CONFLICTS => {
                tries.conflicts += 1;
                Next::Again
            }
            (Some(Failure::Stale), _) if !tries.renewed => {
                tries.renewed = true;
                Next::Again
            }
            (Some(Failure::Stale), ended) => {
                if let Some(error) = unit.failure().or(ended.as_ref().err()) {
                    let told = never(error);
                    unit.fail(told);
                }
                Next::Answer(None)
            }
            (Some(Failure::Lost), ended) => match away {
                Some(error) => Next::Away(error),
                None if known => Next::Again,
                None => Next::Answer(ended.err()),
            },
            (_, ended) => Next::Answer(ended.err()),
        }
    }

    /// When the server is away, all who wait are told so with the first: one after the other, each
    /// would wait as long again.
    fn refuse_waiting(&self, error: &Error) {
        let failure = again(error);
        // Whoever holds it waits for work, so that there is none.
        let Ok(waiting) = self.waiting.try_lock() else {
            return;
        };
        for unit in waiting.try_iter() {
            unit.answer(Some(&*failure));
        }
    }
}

/// Why the server counts as away, if this connection was lost and it took long to find out.
fn away(link: &Link, start: Instant) -> Option<Error> {
    let lost = link.is_lost() && start.elapsed() >= LOSSES;
    lost.then(|| Error::unavailable("the server does not answer"))
}

/// A short wait, of a length that two who met do not share.
pub(super) fn nap() {
    let mut byte = [0_u8];
    let _none = getrandom::fill(&mut byte);
    let [byte] = byte;
    std::thread::sleep(Duration::from_millis(5 + u64::from(byte / 4)));
}
