//! Hashing passwords on threads of its own, so that a storm of logins slows nothing but logins.
//!
//! Invariants: never more hashes at once than there are slots; they run at the lowest priority;
//! the queue is bounded in length and in time, and who waited too long is refused *before* the
//! hash; a caller that goes away does not free its slot before the hash ends (security.md, rule 2).
//! Threads are started when they are first needed and end after a while without work.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use thread_priority::ThreadPriority;

use crate::error::{Error, Result};

use super::Password;
use super::hash::{Match, Memory, PasswordHash, waste_time};

/// How long a thread waits for more work before it ends and gives its memory back.
const IDLE: Duration = Duration::from_secs(30);

/// What came of comparing a password with a stored hash.
#[derive(Debug)]
pub struct Verdict {
    /// Whether it is the right password.
    pub matches: bool,
    /// A new hash to store in place of the old one, which is weaker than those made today. Made in
    /// the same slot, because only now is the password at hand.
    pub rehashed: Option<PasswordHash>,
    /// How much longer the comparison would have taken with the slowest hash that is not one of
    /// ours. Who was wrong waits for that before the answer, or its time would tell which accounts
    /// were imported (rule 9).
    pub owed: Duration,
}

/// How much hashing may go on, and how much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Hashes at the same time; at least one.
    pub slots: usize,
    /// Requests waiting for a slot.
    pub queue: usize,
    /// How long one may wait.
    pub wait: Duration,
}

impl Default for Limits {
    /// One slot for each core, and the ceilings of rule 2.
    fn default() -> Self {
        Self {
            slots: thread::available_parallelism().map_or(1, usize::from),
            queue: 64,
            wait: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// So many slots, as the configuration says it: 0 means one for each core.
    #[must_use]
    pub fn with_slots(slots: usize) -> Self {
        let default = Self::default();
        let slots = if slots == 0 { default.slots } else { slots };
        Self { slots, ..default }
    }
}

/// The one place where passwords are hashed. Cloning it gives another handle to the same slots.
#[derive(Clone)]
pub struct Hasher(Arc<Handle>);

/// Ends the threads with the last [`Hasher`]; the threads themselves hold only the pool.
struct Handle(Arc<Pool>);

struct Pool {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
    slowest: Slowest,
}

/// How long comparing takes with each sort of hash that is not one of ours, as far as any was met.
/// What a busy machine made slow once is forgotten by and by, and only by the same sort.
#[derive(Debug, Default)]
struct Slowest(Mutex<BTreeMap<String, Duration>>);

impl Slowest {
    /// Notes how long a comparison took with a hash of this sort, if it is not ours; returns what it
    /// owes.
    fn owed(&self, took: Duration, sort: Option<&str>) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sort) = sort {
            let time = known.entry(sort.to_owned()).or_default();
            *time = took.max(time.saturating_sub(time.saturating_sub(took) / 8));
        }
        let slowest = known.values().max().copied().unwrap_or_default();
        slowest.saturating_sub(took)
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Job {
    since: Instant,
    work: Work,
}

/// Called once: with a thread's memory, or with the reason why there will be none.
type Work = Box<dyn FnOnce(Result<&mut Memory>) + Send>;

impl Hasher {
    /// Slots without threads: those start with the first work.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Handle(Arc::new(Pool {
            limits,
            state: Mutex::default(),
            changed: Condvar::new(),
            slowest: Slowest::default(),
        }))))
    }

    /// Hashes `password`, which a policy has accepted. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait, or the wait was too long.
    pub fn hash(&self, password: &Password) -> Result<PasswordHash> {
        wait(|answer| self.hash_then(password.clone(), answer))
    }

    /// Compares `password` with a stored hash; with none (an unknown, disabled or password-less
    /// user) it takes the same time and the answer is no. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait, or the wait was too long.
    pub fn verify(&self, password: &Password, stored: Option<&PasswordHash>) -> Result<Verdict> {
        wait(|answer| self.verify_then(password.clone(), stored.cloned(), answer))
    }

    /// [`Hasher::hash`] without blocking: `answer` is called on a hashing thread, or right here
    /// with the refusal.
    pub fn hash_then(
        &self,
        password: Password,
        answer: impl FnOnce(Result<PasswordHash>) + Send + 'static,
    ) {
        self.submit(Box::new(move |memory| {
            answer(memory.and_then(|memory| PasswordHash::make(&password, memory)));
        }));
    }

    /// [`Hasher::verify`] without blocking: `answer` is called on a hashing thread, or right here
    /// with the refusal.
    pub fn verify_then(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
        answer: impl FnOnce(Result<Verdict>) + Send + 'static,
    ) {
        let pool = Arc::clone(&self.0.0);
        self.submit(Box::new(move |memory| {
            let slowest = &pool.slowest;
            answer(memory.and_then(|memory| verify(&password, stored.as_ref(), memory, slowest)));
        }));
    }

    /// How many requests wait for a slot now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.0.lock().queue.len()
    }

    /// Refuses as one more password to hash would be refused now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait.
    pub fn check_room(&self) -> Result<()> {
        let pool = &self.0.0;
        pool.check_room(&pool.lock())
    }

    fn submit(&self, work: Work) {
        if let Err((work, refusal)) = Pool::push(&self.0.0, work) {
            work(Err(refusal));
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.0.0.limits).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

fn wait<T: Send + 'static>(start: impl FnOnce(Box<dyn FnOnce(Result<T>) + Send>)) -> Result<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    start(Box::new(move |result| {
        // Nobody listens any more only if this thread is gone; then there is nothing to tell.
        let _ = answer.send(result);
    }));
    // The sender is dropped without an answer only when the hash panicked.
    answered.recv().map_err(Error::internal)?
}

fn verify(
    password: &Password,
    stored: Option<&PasswordHash>,
    memory: &mut Memory,
    slowest: &Slowest,
) -> Result<Verdict> {
    let start = Instant::now();
    // An empty password is never right, whatever an import brought along (rule 9).
    let usable = stored.filter(|_| !password.expose().is_empty());
    let found = if let Some(stored) = usable {
        stored.matches(password, memory)?
    } else {
        waste_time(password, memory)?;
        Match::No
    };
    let sort = usable.filter(|it| it.is_imported()).map(PasswordHash::sort);
    let owed = slowest.owed(start.elapsed(), sort);
    let rehashed = match found {
        Match::Outdated => Some(PasswordHash::make(password, memory)?),
        Match::No | Match::Yes => None,
    };
    Ok(Verdict {
        matches: found != Match::No,
        rehashed,
        owed,
    })
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the counts stay right if it did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_room(&self, state: &State) -> Result<()> {
        if state.queue.len() < self.limits.queue {
            Ok(())
        } else {
            Err(Error::unavailable("too many passwords wait to be hashed"))
        }
    }

    /// Puts `work` in the queue and sees to it that a thread will come for it.
    fn push(pool: &Arc<Self>, work: Work) -> Result<(), (Work, Error)> {
        let mut state = pool.lock();
        if let Err(full) = pool.check_room(&state) {
            return Err((work, full));
        }
        state.queue.push_back(Job {
            since: Instant::now(),
            work,
        });
        if state.idle >= state.queue.len() {
            pool.changed.notify_one();
        } else if state.threads < pool.limits.slots.max(1) {
            let own = Arc::clone(pool);
            let name = format!("hash-{}", state.threads);
            match thread::Builder::new().name(name).spawn(move || own.run()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let job = state.queue.pop_back();
                    drop(state);
                    return job.map_or(Ok(()), |job| Err((job.work, Error::unavailable(error))));
                }
                Err(error) => tracing::warn!(%error, "cannot start another hashing thread"),
            }
        }
        Ok(())
    }

    /// What a hashing thread does.
    fn run(&self) {
        // Where the system does not allow it, hashing works all the same.
        if let Err(error) = thread_priority::set_current_thread_priority(ThreadPriority::Min) {
            tracing::debug!(?error, "hashing threads keep their priority");
        }
        let mut memory = Memory::default();
        while let Some(job) = self.next(&mut memory) {
            let turn = if job.since.elapsed() >= self.limits.wait {
                Err(Error::unavailable(
                    "waited too long for a password to be hashed",
                ))
            } else {
                Ok(&mut memory)
            };
            // A bug in a hash must cost one request, not a slot for ever.
            if panic::catch_unwind(AssertUnwindSafe(|| (job.work)(turn))).is_err() {
                memory = Memory::default();
            }
        }
    }

    /// The next job; `None` when the thread is to end.
    fn next(&self, memory: &mut Memory) -> Option<Job> {
        if let Some(job) = self.lock().queue.pop_front() {
            return Some(job);
        }
        // A pause: only now, and outside the lock, is there time to clean up.
        memory.wipe();
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, timeout) = self
                .changed
                .wait_timeout(state, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
