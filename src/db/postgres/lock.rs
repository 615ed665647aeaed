//! Who uses the database: advisory locks, which the server releases when their holder is gone.
//!
//! Every daemon holds `serving` shared for as long as it runs; who changes the schema takes it for
//! itself. `maintenance` lets those who want to do so go one after the other. What was changed while
//! a daemon's lock was lost with its connection, that daemon does not serve (security.md, rule 78).

use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::link::Link;
use super::server::{Purpose, Server};
use crate::db::{READING, Value};
use crate::error::{Error, Result};

/// How long maintenance waits for daemons to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a daemon looks whether it still has its lock.
const LOOK: Duration = Duration::from_secs(1);

/// The number under which the server knows a lock. Two databases of ours may share a server, and
/// two schemas a database.
pub(super) fn key(schema: &str, kind: &str, id: &str) -> i64 {
    let name = ["provost", schema, kind, id].join("\0");
    let digest = Sha256::digest(name);
    let first = digest.first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}

/// The lock of a daemon, on a connection of its own. A thread looks after it: what was lost with a
/// restart of the server is taken again as soon as that is back.
#[derive(Debug)]
pub(super) struct Serving {
    lock: Arc<Lock>,
    stop: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Lock {
    server: Server,
    key: i64,
    hold: Mutex<Hold>,
    /// The schema that was there when the lock was taken; while it is held, it stays.
    schema: AtomicU32,
    /// The one that was found when a lost lock was to be taken again.
    found: AtomicU32,
    /// Whether this daemon answers reads alone.
    reading: AtomicBool,
}

#[derive(Debug)]
enum Hold {
    /// For as long as this connection lives.
    Kept(Box<Link>),
    /// To be taken again.
    Lost,
    /// Given up, so that this process can change the schema.
    Lent,
}

impl Serving {
    pub(super) fn take(server: &Server, schema: &str) -> Result<Self> {
        let lock = Arc::new(Lock {
            server: server.clone(),
            key: key(schema, "serving", ""),
            hold: Mutex::new(Hold::Lost),
            schema: AtomicU32::new(0),
            found: AtomicU32::new(0),
            reading: AtomicBool::new(false),
        });
        lock.take()?;
        let (stop, stopped) = channel();
        let keeper = std::thread::Builder::new().name("serving".into()).spawn({
            let lock = Arc::clone(&lock);
            move || {
                while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    lock.look();
                }
            }
        });
        Ok(Self {
            lock,
            stop: Some(stop),
            keeper: Some(keeper.map_err(Error::io("start the thread of a lock"))?),
        })
    }
}

impl Serving {
    /// Takes the lock again on a connection that says that this daemon answers reads alone.
    pub(super) fn call_reading(&self) -> Result<()> {
        self.lock.reading.store(true, Ordering::Relaxed);
        self.lock.take()
    }

    /// Why nothing may be done: the schema was changed while the lock was lost.
    pub(super) fn refusal(&self) -> Option<Error> {
        let binary = self.lock.schema.load(Ordering::Relaxed);
        let database = self.lock.found.load(Ordering::Relaxed);
        match database.cmp(&binary) {
            Equal => None,
            Greater => Some(Error::SchemaNewer { database, binary }),
            Less => Some(Error::SchemaBehind { database, binary }),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _panicked = keeper.join();
        }
    }
}

impl Lock {
    /// A connection that has the lock, and the schema that it keeps from being changed.
    fn open(&self) -> Result<(Box<Link>, u32)> {
        let mut link = Link::open(&self.server, Purpose::Write)?;
        // Whoever changes the schema is waited for, as long as answers are.
        link.batch("SET lock_timeout = 4000")?;
        if self.reading.load(Ordering::Relaxed) {
            let pid = std::process::id();
            link.batch(&format!(
                "SET application_name = 'provost pid {pid}, {READING}'"
            ))?;
        }
        ask(&mut link, "pg_advisory_lock_shared", self.key)?;
        let schema = link.stamped()?.unwrap_or(0);
        Ok((Box::new(link), schema))
    }

    /// Takes it, whatever the schema is.
    fn take(&self) -> Result<()> {
        let (link, schema) = self.open()?;
        self.schema.store(schema, Ordering::Relaxed);
        self.found.store(schema, Ordering::Relaxed);
        self.set(Hold::Kept(link));
        Ok(())
    }

    /// Takes it again if its connection is gone. Asks the server nothing if it is not.
    fn look(&self) {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *hold {
            Hold::Kept(link) if !link.is_usable() => {
                tracing::warn!("this daemon has lost its lock on the database");
                *hold = Hold::Lost;
            }
            Hold::Kept(_) | Hold::Lent => return,
            Hold::Lost => {}
        }
        // While the server is away, others say so.
        let Ok((link, found)) = self.open() else {
            return;
        };
        let before = self.found.swap(found, Ordering::Relaxed);
        let schema = self.schema.load(Ordering::Relaxed);
        if found == schema {
            tracing::info!("this daemon has its lock on the database again");
            *hold = Hold::Kept(link);
        } else if found != before {
            // The lock is let go again: it would keep others from changing the schema back, or on.
            tracing::error!(
                schema = found,
                needed = schema,
                "the schema was changed while this daemon had no lock: nothing is served any more"
            );
        }
    }

    fn set(&self, to: Hold) {
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

/// Runs `f` while no daemon serves the database and nobody else does the same, unless `needed`
/// says that it need not be, which is asked when nobody else can be at it. `own` is the lock of
/// this process, if it is about to serve: it is given up meanwhile.
pub(super) fn exclusively<T>(
    server: &Server,
    schema: &str,
    own: Option<&Serving>,
    needed: impl FnOnce() -> Result<bool>,
    f: impl FnOnce() -> Result<T>,
) -> Result<Option<T>> {
    let mut link = Link::open(server, Purpose::Shell)?;
    if let Some(own) = own {
        own.lock.set(Hold::Lent);
    }
    let work = || {
        first(&mut link, schema)?;
        if !needed()? {
            return Ok(None);
        }
        alone(&mut link, schema)?;
        f().map(Some)
    };
    let result = work();
    drop(link);
    if let Some(own) = own {
        own.lock.take()?;
    }
    result
}

/// Waits until nobody else is at maintenance.
fn first(link: &mut Link, schema: &str) -> Result<()> {
    // Those who start together with `--migrate` wait for the one that does it.
    link.batch("SET lock_timeout = 30000; SET statement_timeout = 31000")?;
    ask(link, "pg_advisory_lock", key(schema, "maintenance", ""))?;
    Ok(())
}

/// Waits until nobody serves the database.
fn alone(link: &mut Link, schema: &str) -> Result<()> {
    let start = Instant::now();
    while !ask(link, "pg_try_advisory_lock", key(schema, "serving", ""))? {
        if start.elapsed() > PATIENCE {
            return Err(Error::DaemonsServing {
                names: daemons(link, schema)?.join(", "),
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Calls one of the server's functions for locks, and tells whether it gave the lock.
fn ask(link: &mut Link, function: &str, key: i64) -> Result<bool> {
    // Those that wait for it give nothing, the others a truth value.
    let sql = format!("SELECT CAST({function}($1) AS TEXT) AS given");
    let row = link.first(&sql, &[key.into()])?;
    let row = row.ok_or_else(|| Error::internal("a lock without an answer"))?;
    Ok(row.str("given")? != "false")
}

/// The daemons that serve: address and what they call themselves.
pub(super) fn daemons(link: &mut Link, schema: &str) -> Result<Vec<String>> {
    let key = key(schema, "serving", "");
    let sql =
        "SELECT COALESCE(host(a.client_addr), 'this machine') || ' ' || a.application_name AS name
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND ((CAST(CAST(l.classid AS BIGINT) AS BIGINT) << 32) | CAST(l.objid AS BIGINT)) = $1
         ORDER BY 1";
    let rows = link.all(sql, &[Value::Int(key)])?;
    rows.iter().map(|row| row.text("name")).collect()
}
