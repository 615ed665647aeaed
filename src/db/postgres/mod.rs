//! The PostgreSQL engine: readers and writers with connections of their own, for a daemon that may
//! be one of several on the same server.
//!
//! The same SQL as on `SQLite`, under `READ COMMITTED`: rules are single guarded statements, and
//! where one must read before it writes it takes a lock on that one aggregate ([`super::Tx::lock`]).
//! Everything here waits for the network and must stay off the async workers, but for the point
//! reads of [`lines`], which no thread waits for.

mod ddl;
mod failure;
mod foreign;
mod health;
mod hosts;
mod lines;
mod link;
mod lock;
mod prepared;
mod schema;
mod server;
mod shape;
mod stall;
mod steps;
mod value;
mod whole;
mod writers;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use failure::{Failure, never};
pub(in crate::db) use foreign::Foreign;
use lines::Lines;
pub(in crate::db) use link::Link;
use lock::Serving;
use server::{Purpose, Server};

use super::queue::Queue;
use super::{APPLICATION, Answer, Facts, Identity, Looked, Question, Role, Tx, question};
use crate::error::{Error, Result};

/// Connections for reads of more than one statement, at most: lists, jobs, `/readyz`.
const READERS: u32 = 8;

/// The oldest server that is known to do.
const OLDEST: i64 = 130_000;

/// An open PostgreSQL database.
#[derive(Debug)]
pub(super) struct Postgres {
    access: Access,
    server: Server,
    about: About,
}

#[derive(Debug)]
enum Access {
    /// A command or a test: one connection for everything.
    Direct(Box<Mutex<Link>>),
    /// The daemon: readers beside writers.
    Served {
        lines: Box<Lines>,
        readers: r2d2::Pool<Readers>,
        writers: Queue,
        serving: Serving,
    },
}

/// What the server says of itself.
#[derive(Debug)]
struct About {
    version: String,
    schema: Arc<str>,
}

impl Postgres {
    pub(super) fn open(url: &str, role: Role) -> Result<Self> {
        let server = Server::parse(url)?;
        let mut link = Link::open(&server, Purpose::Shell)?;
        let about = check(&mut link)?;
        link.set_schema(Arc::clone(&about.schema));
        let access = match role {
            Role::Shell => Access::Direct(Box::new(Mutex::new(link))),
            Role::Daemon => Access::Served {
                serving: Serving::take(&server, &about.schema)?,
                lines: Box::new(Lines::new(&server)),
                readers: readers(&server)?,
                writers: writers::start(&server, &about.schema)?,
            },
        };
        Ok(Self {
            access,
            server,
            about,
        })
    }

    /// A schema of its own on the server at `url`, for a test.
    #[cfg(test)]
    pub(super) fn fresh(url: &str) -> Self {
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        let mut link = Link::open(&Server::parse(url).unwrap(), Purpose::Shell).unwrap();
        let sql = format!("CREATE SCHEMA {name}");
        link.transaction(|tx| tx.script(&sql)).unwrap();
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}options=-csearch_path%3D{name}");
        Self::open(&url, Role::Shell).unwrap()
    }

    pub(super) fn read<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.may_serve()?;
        self.reading(|link| link.snapshot(f))
    }

    pub(super) fn look<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.may_serve()?;
        self.reading(|link| link.single(f))
    }

    /// Refuses everything if the schema is no longer the one that this daemon serves.
    fn may_serve(&self) -> Result<()> {
        let refusal = match &self.access {
            Access::Direct(_) => None,
            Access::Served { serving, .. } => serving.refusal(),
        };
        refusal.map_or(Ok(()), Err)
    }

    /// The first pass of a point read; a command has nothing else to do than to wait.
    pub(super) fn look_now<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Looked<T> {
        match &self.access {
            Access::Direct(_) => Looked::Done(tokio::task::block_in_place(|| self.look(f))),
            Access::Served { .. } => question::ask(f),
        }
    }

    pub(super) async fn ask(&self, question: Question) -> Result<Answer> {
        match &self.access {
            Access::Direct(_) => Err(Error::internal("a question that nobody asked")),
            Access::Served { lines, .. } => {
                self.may_serve()?;
                lines.ask(question).await
            }
        }
    }

    fn reading<T>(&self, f: impl FnOnce(&mut Link) -> Result<T>) -> Result<T> {
        match &self.access {
            Access::Direct(link) => self.direct(link, f),
            Access::Served { readers, .. } => {
                let mut reader = readers.get().map_err(Error::unavailable)?;
                f(&mut reader)
            }
        }
    }

    /// The one connection of a command, opened again if it was lost.
    fn direct<T>(&self, link: &Mutex<Link>, f: impl FnOnce(&mut Link) -> Result<T>) -> Result<T> {
        let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
        if !link.is_usable() {
            *link = Link::open(&self.server, Purpose::Shell)?;
            link.set_schema(Arc::clone(&self.about.schema));
        }
        f(&mut link)
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        mut f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.access {
            Access::Direct(link) => {
                let (mut conflicts, mut stale) = (0, 0);
                loop {
                    let mut failure = None;
                    let result = self.direct(link, |link| {
                        link.set_patient(conflicts > 0);
                        let result = link.transaction(&mut f);
                        failure = link.failure();
                        result
                    });
                    match failure {
                        Some(Failure::Conflict) if conflicts < writers::CONFLICTS => {
                            conflicts += 1;
                            writers::nap();
                        }
                        Some(Failure::Stale) if stale == 0 => stale += 1,
                        Some(Failure::Stale) => return result.map_err(|error| never(&error)),
                        _ => return result,
                    }
                }
            }
            Access::Served { writers, .. } => {
                self.may_serve()?;
                writers.wait_for(f)
            }
        }
    }

    pub(super) fn submit<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        match &self.access {
            // Whoever does not wait may be an async worker, which must not wait for the network.
            Access::Direct(_) => std::thread::scope(|scope| {
                scope.spawn(|| done(self.write(f)));
            }),
            Access::Served { writers, .. } => match self.may_serve() {
                Ok(()) => writers.submit(f, done),
                Err(refusal) => done(Err(refusal)),
            },
        }
    }

    /// The stamp is a comment on the table of migrations: it is part of the transaction that
    /// changes the schema, as the pragmas are on the other engine.
    pub(super) fn identity(&self) -> Result<Identity> {
        let schema = self.reading(Link::stamped)?;
        Ok(Identity {
            application: schema.map_or(0, |_| APPLICATION),
            schema: schema.unwrap_or(0),
        })
    }

    pub(super) fn exclusively<T>(
        &self,
        needed: impl FnOnce() -> Result<bool>,
        f: impl FnOnce() -> Result<T>,
    ) -> Result<Option<T>> {
        let own = match &self.access {
            Access::Direct(_) => None,
            Access::Served { serving, .. } => Some(serving),
        };
        lock::exclusively(&self.server, &self.about.schema, own, needed, f)
    }

    pub(super) fn serves(&self) -> bool {
        matches!(self.access, Access::Served { .. })
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            engine: format!("PostgreSQL {}", self.about.version),
            durability: "synchronous_commit=on",
            log_bytes: 0,
            disk_free: None,
            faults: 0,
        }
    }
}

/// What stands before the number of the schema.
const STAMP: &str = "provost schema ";

impl Link {
    /// The names of all tables of this schema.
    pub(in crate::db) fn tables(&mut self) -> Result<Vec<String>> {
        let sql =
            "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') ORDER BY c.relname";
        let rows = self.all(sql, &[])?;
        rows.iter().map(|row| row.text("name")).collect()
    }

    /// The number that the schema is stamped with, if it is ours.
    fn stamped(&mut self) -> Result<Option<u32>> {
        let sql = "SELECT obj_description(to_regclass('migrations'), 'pg_class') AS stamp";
        let stamp = self.single(|tx| match tx.first(sql, &[])? {
            Some(row) => row.opt_text("stamp"),
            None => Ok(None),
        })?;
        Ok(stamp.and_then(|stamp| stamp.strip_prefix(STAMP)?.parse().ok()))
    }

    /// Stamps the schema as ours; see [`Postgres::identity`].
    pub(in crate::db) fn stamp(&mut self, schema: u32) -> Result<()> {
        self.script(&format!("COMMENT ON TABLE migrations IS '{STAMP}{schema}'"))
    }

    /// Holds one aggregate until the end of the transaction.
    pub(in crate::db) fn lock(&mut self, (kind, id): (&str, &str)) -> Result<()> {
        let key = lock::key(self.schema(), kind, id);
        let sql = "SELECT CAST(pg_advisory_xact_lock($1) AS TEXT) AS locked";
        self.first(sql, &[key.into()]).map(|_locked| ())
    }
}

/// How a database is made that can be used.
const CREATE: &str =
    "create one: CREATE DATABASE provost TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'";

/// Looks whether the database can be used: what it does not do right cannot be mended later.
fn check(link: &mut Link) -> Result<About> {
    // The order is asked for and not the collation's name, of which every system has others.
    let sql = "SELECT current_setting('server_version') AS version,
             CAST(current_setting('server_version_num') AS BIGINT) AS number,
             current_setting('server_encoding') AS encoding,
             current_schema() AS schema,
             (CAST('B' AS TEXT) < 'a' AND CAST('Z' AS TEXT) < '_' AND CAST('a b' AS TEXT) < 'aa'
               AND CAST('z' AS TEXT) < 'é') AS bytewise";
    let row = link.first(sql, &[])?;
    let row = row.ok_or_else(|| Error::internal("the server says nothing of itself"))?;
    let version = row.text("version")?;
    if row.int("number")? < OLDEST {
        return Err(Error::Config(format!(
            "PostgreSQL {version} is too old; 13 or newer is needed"
        )));
    }
    if row.str("encoding")? != "UTF8" {
        let encoding = row.str("encoding")?;
        return Err(Error::Config(format!(
            "the database has the encoding {encoding}, UTF8 is needed; {CREATE}"
        )));
    }
    if !row.flag("bytewise")? {
        return Err(Error::Config(format!(
            "the database sorts by a language, the collation C is needed; {CREATE}"
        )));
    }
    let schema = row.opt_text("schema")?.ok_or_else(|| {
        Error::Config("the search_path of the database names no schema that exists".into())
    })?;
    let version = version.split(' ').next().unwrap_or_default().to_owned();
    Ok(About {
        version,
        schema: schema.into(),
    })
}

/// Opens readers, and takes none back that was lost or that a panic has left in the middle of a
/// transaction (security.md, rule 63).
#[derive(Debug)]
struct Readers(Server);

/// Why there is no reader, with all that lies under it: the pool passes on the first words only.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoReader(String);

impl r2d2::ManageConnection for Readers {
    type Connection = Link;
    type Error = NoReader;

    fn connect(&self) -> Result<Link, NoReader> {
        Link::open(&self.0, Purpose::Read).map_err(|error| NoReader(error.causes()))
    }

    fn is_valid(&self, link: &mut Link) -> Result<(), NoReader> {
        if link.is_usable() {
            Ok(())
        } else {
            Err(NoReader("the connection was closed".into()))
        }
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.is_useless() || !link.is_idle()
    }
}

fn readers(server: &Server) -> Result<r2d2::Pool<Readers>> {
    r2d2::Pool::builder()
        .max_size(READERS)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(2))
        // It asks nobody, see `Link::is_usable`: after a restart of the server every connection
        // that was kept is closed.
        .test_on_check_out(true)
        .error_handler(Box::new(r2d2::NopErrorHandler))
        .build(Readers(server.clone()))
        .map_err(Error::unavailable)
}
