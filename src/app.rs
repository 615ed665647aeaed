//! The running program, and what one unit of work may see.
//!
//! An edge builds an [`App`] once, an [`Actor`] for each caller, and runs service functions through
//! [`App::read`] and [`App::write`]; these make the [`Cx`] inside the transaction, so that
//! `cx.now` follows the order of commits.

mod denials;
mod long;
mod uses;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

pub use denials::{Denial, Denials};
pub use uses::Uses;

use crate::config::Config;
use crate::db::{Answer, Db, Looked, Tx};
use crate::error::{Error, Result};
use crate::id::Serials;
use crate::jwt::Signers;
use crate::keys::Keys;
use crate::metrics::{Counts, Metrics};
use crate::password::{Hasher, Limits};
use crate::rate::{Bans, Rates};
use crate::scope::Scopes;
use crate::time::{Clock, Timestamp};

/// For how long a login counts as having just happened (security.md, rule 32; ASVS 7.5.1).
const FRESH: Duration = Duration::from_mins(10);

/// Who asks, from where, under which request.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who it is.
    pub who: Who,
    /// The client's address, where there is one.
    pub ip: Option<IpAddr>,
    /// The HTTP request's id, where there is one.
    pub request: Option<String>,
}

/// The sorts of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody at the shell who can read the key file and write the database; may do everything.
    Operator {
        /// The operating system's account: `os:1000/maria@host`.
        account: String,
        /// The user named by `--as`, for the audit log only.
        on_behalf_of: Option<String>,
    },
    /// A job of the daemon; may do everything.
    Job(&'static str),
    /// A request with an API token; may do what its scopes permit.
    Token {
        /// The token's public id.
        id: String,
        /// The id of the user it belongs to.
        owner: Option<String>,
        /// What it may do.
        scopes: Scopes,
        /// When it stops being good; never, if there is none.
        expires_at: Option<Timestamp>,
        /// From where it may be used.
        cidr: Option<IpNet>,
    },
    /// A request with a session; may do what its person may.
    Session {
        /// The session's id.
        id: String,
        /// The id of the user who logged in.
        user: String,
        /// The user's name.
        username: String,
        /// The user's roles, separated by spaces.
        roles: String,
        /// Whether the user is an administrator, who may do everything.
        admin: bool,
        /// When the person last proved who it is.
        authenticated_at: Timestamp,
    },
    /// A request without a credential.
    Anonymous,
}

impl Actor {
    /// A job of the daemon.
    #[must_use]
    pub const fn job(name: &'static str) -> Self {
        Self {
            who: Who::Job(name),
            ip: None,
            request: None,
        }
    }

    /// Lets the actor pass if it may do `scope`.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a credential, [`Error::Forbidden`] without the scope.
    pub fn require(&self, scope: &str) -> Result<()> {
        match &self.who {
            Who::Operator { .. } | Who::Job(_) | Who::Session { admin: true, .. } => Ok(()),
            Who::Token { scopes, .. } if scopes.permit(scope) => Ok(()),
            Who::Token { .. } | Who::Session { .. } => Err(Error::Forbidden {
                needs: scope.to_owned(),
            }),
            Who::Anonymous => Err(Error::Unauthenticated),
        }
    }

    /// Lets the actor pass if a person has proved just now who it is, or if it is no person: for
    /// what a stolen session must not do (security.md, rule 32).
    ///
    /// # Errors
    /// [`Error::ReauthenticationNeeded`].
    pub fn require_fresh(&self, now: Timestamp) -> Result<()> {
        match &self.who {
            Who::Session {
                authenticated_at, ..
            } if now.since(*authenticated_at) > FRESH => Err(Error::ReauthenticationNeeded),
            Who::Session { .. }
            | Who::Operator { .. }
            | Who::Job(_)
            | Who::Token { .. }
            | Who::Anonymous => Ok(()),
        }
    }

    /// The id of the session that makes the request, if one does.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        match &self.who {
            Who::Session { id, .. } => Some(id),
            Who::Operator { .. } | Who::Job(_) | Who::Token { .. } | Who::Anonymous => None,
        }
    }

    /// The id of the user in whose name it acts: by a session, or by a token that belongs to one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match &self.who {
            Who::Session { user, .. } => Some(user),
            Who::Token { owner, .. } => owner.as_deref(),
            Who::Operator { .. } | Who::Job(_) | Who::Anonymous => None,
        }
    }

    /// The id of the user whose session it is: who may look after their own things.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a credential; [`Error::Forbidden`] for one that is no
    /// person's.
    pub fn person(&self) -> Result<&str> {
        match &self.who {
            Who::Session { user, .. } => Ok(user),
            Who::Anonymous => Err(Error::Unauthenticated),
            Who::Operator { .. } | Who::Job(_) | Who::Token { .. } => Err(Error::Forbidden {
                needs: "a session".into(),
            }),
        }
    }
}

impl fmt::Display for Actor {
    /// As the audit log names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Operator {
                account,
                on_behalf_of: None,
            } => f.write_str(account),
            Who::Operator {
                account,
                on_behalf_of: Some(user),
            } => write!(f, "{account} as {user}"),
            Who::Job(name) => write!(f, "job:{name}"),
            Who::Token { id, .. } => write!(f, "token:{id}"),
            Who::Session { user, .. } => write!(f, "user:{user}"),
            Who::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// What every unit of work may use besides the database.
#[derive(Debug)]
pub struct Kit {
    /// The settings.
    pub config: Config,
    /// The keys.
    pub keys: Keys,
    /// Makes ids of rows that arrive by the million.
    pub serials: Serials,
    /// The counters.
    pub metrics: Metrics,
    /// Uses of API tokens that are not written yet.
    pub uses: Uses<i64>,
    /// Sessions that were seen, which is not written yet.
    pub seen: Uses<String>,
    /// The keys that sign access tokens, and what they were seen to have signed.
    pub signers: Signers,
    /// Refusals that are only counted yet.
    pub denials: Denials,
    /// Where passwords are hashed.
    pub hasher: Hasher,
    /// Limits that hold in this process.
    pub rates: Rates,
    /// Networks that are not answered.
    pub bans: Bans,
    /// Whether this process has written into the audit log.
    pub recorded: AtomicBool,
}

/// Everything that a service function may see: one transaction, one instant, one actor.
#[derive(Debug)]
pub struct Cx<'a, 'c> {
    /// The open transaction.
    pub tx: &'a mut Tx<'c>,
    /// The instant of this unit of work.
    pub now: Timestamp,
    /// Who asks.
    pub actor: &'a Actor,
    /// Settings, keys, ids, counters.
    pub kit: &'a Kit,
    /// What is counted when its end is known.
    pub counts: &'a mut Counts,
}

/// The running program. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    kit: Kit,
    read_only: bool,
}

impl Inner {
    /// What a unit of work sees; the instant is read here, inside its transaction.
    fn cx<'a, 'c>(
        &'a self,
        tx: &'a mut Tx<'c>,
        actor: &'a Actor,
        counts: &'a mut Counts,
    ) -> Cx<'a, 'c> {
        Cx {
            now: tx.instant(self.clock.now()),
            tx,
            actor,
            kit: &self.kit,
            counts,
        }
    }

    /// Counts the time of a read.
    fn read_since(&self, start: Instant) {
        let seconds = start.elapsed().as_secs_f64();
        self.kit.metrics.read_seconds.observe(seconds);
    }
}

impl App {
    /// Puts the parts together. `clock` is raised to the mark that the database keeps by the edge.
    #[must_use]
    pub fn new(config: Config, keys: Keys, db: Db) -> Self {
        Self::build(config, keys, db, false)
    }

    /// The same for a daemon that answers reads alone: whatever would change something is refused.
    #[must_use]
    pub fn for_reading(config: Config, keys: Keys, db: Db) -> Self {
        Self::build(config, keys, db, true)
    }

    fn build(config: Config, keys: Keys, db: Db, read_only: bool) -> Self {
        let slots = config.password.hash_slots.unwrap_or_default();
        let kit = Kit {
            hasher: Hasher::new(Limits::with_slots(slots)),
            rates: Rates::new(&config.throttle),
            signers: Signers::new(config.auth.shared_secret.as_ref()),
            bans: Bans::default(),
            config,
            keys,
            serials: Serials::default(),
            metrics: Metrics::default(),
            uses: Uses::default(),
            seen: Uses::default(),
            denials: Denials::default(),
            recorded: AtomicBool::new(false),
        };
        Self(Arc::new(Inner {
            db,
            clock: Clock::default(),
            kit,
            read_only,
        }))
    }

    /// Whether it answers reads alone.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.0.read_only
    }

    fn may_write(&self) -> Result<()> {
        if self.0.read_only {
            return Err(Error::ReadOnly);
        }
        Ok(())
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.kit.config
    }

    /// The database, for edges that look after it.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Settings, keys, ids, counters.
    #[must_use]
    pub fn kit(&self) -> &Kit {
        &self.0.kit
    }

    /// Runs `f` as `actor` on one snapshot.
    ///
    /// # Errors
    /// What `f` returns, or as [`Db::read`].
    pub fn read<T>(
        &self,
        actor: &Actor,
        f: impl FnOnce(&mut Cx<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let inner = &*self.0;
        let start = Instant::now();
        let mut counts = Counts::default();
        let result = inner.db.read(|tx| f(&mut inner.cx(tx, actor, &mut counts)));
        counts.settle(result.is_ok());
        inner.read_since(start);
        result
    }

    /// [`App::read`] for a point read of one statement, and for who must not wait; see
    /// [`Db::look_now`].
    pub fn look_now<T>(
        &self,
        actor: &Actor,
        f: impl FnOnce(&mut Cx<'_, '_>) -> Result<T>,
    ) -> Looked<T> {
        let inner = &*self.0;
        let start = Instant::now();
        let mut counts = Counts::default();
        let looked = inner
            .db
            .look_now(|tx| f(&mut inner.cx(tx, actor, &mut counts)));
        if let Looked::Done(result) = &looked {
            counts.settle(result.is_ok());
            inner.read_since(start);
        }
        looked
    }

    /// The second half of [`App::look_now`].
    ///
    /// # Errors
    /// What `f` returns, or as [`Db::look_again`].
    pub fn look_again<T>(
        &self,
        actor: &Actor,
        answer: Answer,
        f: impl FnOnce(&mut Cx<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let inner = &*self.0;
        let since = answer.since();
        let mut counts = Counts::default();
        let result = inner
            .db
            .look_again(answer, |tx| f(&mut inner.cx(tx, actor, &mut counts)));
        counts.settle(result.is_ok());
        inner.read_since(since);
        result
    }

    /// Runs `f` as `actor` and commits if it returns `Ok`.
    ///
    /// # Errors
    /// What `f` returns, or as [`Db::write`].
    pub fn write<T, F>(&self, actor: &Actor, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        self.may_write()?;
        let start = Instant::now();
        let counts = Tally::default();
        let result = self.0.db.write(self.unit(actor.clone(), f, &counts));
        counts.settle(result.is_ok());
        self.0
            .kit
            .metrics
            .write_seconds
            .observe(start.elapsed().as_secs_f64());
        result
    }

    /// [`App::write`] without waiting: `done` is called once, after the commit.
    pub fn submit<T, F>(&self, actor: Actor, f: F, done: impl FnOnce(Result<T>) + Send + 'static)
    where
        T: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        if let Err(refusal) = self.may_write() {
            return done(Err(refusal));
        }
        let (start, app) = (Instant::now(), self.clone());
        let counts = Tally::default();
        let unit = self.unit(actor, f, &counts);
        self.0.db.submit(unit, move |result| {
            counts.settle(result.is_ok());
            app.0
                .kit
                .metrics
                .write_seconds
                .observe(start.elapsed().as_secs_f64());
            done(result);
        });
    }

    fn unit<T, F>(
        &self,
        actor: Actor,
        mut f: F,
        counts: &Tally,
    ) -> impl FnMut(&mut Tx<'_>) -> Result<T> + Send + use<T, F>
    where
        F: FnMut(&mut Cx<'_, '_>) -> Result<T> + Send,
    {
        let (app, tally) = (self.clone(), counts.clone());
        move |tx| {
            let mut counts = Counts::default();
            let result = f(&mut app.0.cx(tx, &actor, &mut counts));
            tally.set(counts);
            result
        }
    }
}

/// What the last try of a unit of work has counted.
#[derive(Clone, Debug, Default)]
struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    fn set(&self, counts: Counts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    fn settle(&self, kept: bool) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *counts).settle(kept);
    }
}
