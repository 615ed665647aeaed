//! Who uses the database: advisory locks, which the server releases when their holder is gone.
//!
//! Every daemon holds `serving` shared for as long as it runs; who changes the schema takes it for
//! itself. `maintenance` lets those who want to do so go one after the other.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::link::Link;
use super::server::{Purpose, Server};
use crate::db::Value;
use crate::error::{Error, Result};

/// How long a daemon waits for maintenance to end, and maintenance for daemons.
const PATIENCE: Duration = Duration::from_secs(5);

/// The number under which the server knows a lock. Two databases of ours may share a server, and
/// two schemas a database.
pub(super) fn key(schema: &str, kind: &str, id: &str) -> i64 {
    let name = ["provost", schema, kind, id].join("\0");
    let digest = Sha256::digest(name);
    let first = digest.first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}

/// The lock of a daemon, on a connection of its own. It is taken again when that was lost.
#[derive(Debug)]
pub(super) struct Serving {
    server: Server,
    key: i64,
    link: Mutex<Option<Link>>,
}

impl Serving {
    pub(super) fn take(server: &Server, schema: &str) -> Result<Self> {
        let serving = Self {
            server: server.clone(),
            key: key(schema, "serving", ""),
            link: Mutex::default(),
        };
        serving.keep()?;
        Ok(serving)
    }

    /// Takes it, or again if the connection that held it is gone.
    pub(super) fn keep(&self) -> Result<()> {
        let mut held = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &mut *held
            && link.is_usable()
            && link.all("SELECT 1 AS one", &[]).is_ok()
        {
            return Ok(());
        }
        *held = None;
        let mut link = Link::open(&self.server, Purpose::Shell)?;
        let patience = PATIENCE.as_millis();
        link.batch(&format!("SET lock_timeout = {patience}"))?;
        ask(&mut link, "pg_advisory_lock_shared", self.key)?;
        *held = Some(link);
        Ok(())
    }

    fn let_go(&self) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Runs `f` while no daemon serves the database and nobody else does the same. `own` is the lock
/// of this process, if it is about to serve: it is given up meanwhile.
pub(super) fn exclusively<T>(
    server: &Server,
    schema: &str,
    own: Option<&Serving>,
    f: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut link = Link::open(server, Purpose::Shell)?;
    if let Some(own) = own {
        own.let_go();
    }
    let ready = alone(&mut link, schema);
    let result = ready.and_then(|()| f());
    drop(link);
    if let Some(own) = own {
        own.keep()?;
    }
    result
}

fn alone(link: &mut Link, schema: &str) -> Result<()> {
    // Those who start together with `--migrate` wait for the one that does it.
    link.batch("SET lock_timeout = 30000; SET statement_timeout = 31000")?;
    ask(link, "pg_advisory_lock", key(schema, "maintenance", ""))?;
    let start = Instant::now();
    while !ask(link, "pg_try_advisory_lock", key(schema, "serving", ""))? {
        if start.elapsed() > PATIENCE {
            return Err(Error::DaemonsServing {
                names: daemons(link, key(schema, "serving", ""))?,
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

/// The connections that hold the lock: address and what they call themselves.
fn daemons(link: &mut Link, key: i64) -> Result<String> {
    let sql =
        "SELECT COALESCE(host(a.client_addr), 'this machine') || ' ' || a.application_name AS name
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND ((CAST(CAST(l.classid AS BIGINT) AS BIGINT) << 32) | CAST(l.objid AS BIGINT)) = $1
         ORDER BY 1";
    let rows = link.all(sql, &[Value::Int(key)])?;
    let names: Vec<String> = rows
        .iter()
        .map(|row| row.text("name"))
        .collect::<Result<_>>()?;
    Ok(names.join(", "))
}
