//! The limit for logins: the daemon's own code comparing passwords on as many slots, and nothing
//! else.

use std::time::Instant;

use provost::password::{Hasher, Limits, Password, PasswordHash};

use crate::Outcome;
use crate::client::Leg;
use crate::pairs::{Measured, Plan};
use crate::people::PASSWORD;
use crate::server;

/// The slots, and a password with its hash.
pub(crate) struct Raw {
    hasher: Hasher,
    password: Password,
    hash: PasswordHash,
}

impl Raw {
    /// As many slots as the daemon has unless it is told otherwise.
    pub(crate) fn new() -> Outcome<Self> {
        let hasher = Hasher::new(Limits::default());
        let password: Password = PASSWORD.parse()?;
        let hash = hasher.hash(&password)?;
        Ok(Self {
            hasher,
            password,
            hash,
        })
    }

    /// How many there are.
    pub(crate) fn slots() -> usize {
        Limits::default().slots
    }

    /// One leg. So many threads ask that no slot waits for work, and none for longer than it may.
    pub(crate) fn leg(&self, plan: Plan) -> Outcome<Measured> {
        let before = server::cpu("self")?;
        let deadline = Instant::now() + plan.leg;
        let leg = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4 * Self::slots())
                .map(|_| scope.spawn(|| self.compare_until(deadline, plan)))
                .collect();
            let mut whole = Leg::new(plan.leg);
            for thread in threads {
                whole.add(thread.join().map_err(|_| "a thread panicked")?);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(whole)
        })?;
        Ok(Measured::of(&leg, server::cpu("self")? - before))
    }

    fn compare_until(&self, deadline: Instant, plan: Plan) -> Leg {
        let mut leg = Leg::new(plan.leg);
        loop {
            let begin = Instant::now();
            if begin >= deadline {
                return leg;
            }
            match self.hasher.verify(&self.password, Some(&self.hash)) {
                Ok(verdict) if verdict.matches && Instant::now() < deadline => {
                    leg.right(begin.elapsed());
                }
                Ok(verdict) if verdict.matches => {}
                other => leg.wrong(|| format!("{other:?}")),
            }
        }
    }
}
