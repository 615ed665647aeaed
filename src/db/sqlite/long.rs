//! What takes longer on `SQLite` than a request may: reading everything, filling everything.

use std::os::unix::fs::MetadataExt as _;
use std::sync::PoisonError;

use rusqlite::config::DbConfig;

use super::lock::Locks;
use super::session::{Bound, Session, error};
use super::{Access, Sqlite};
use crate::db::schema::{Table, list, quoted};
use crate::db::whole::{About, READING};
use crate::db::{Tx, Value, ballast};
use crate::error::{Error, Result};
use crate::file;

/// Memory for pages that a filling transaction has changed, in KiB: without it, each is written
/// into the log again and again. Negative, as `SQLite` wants it for kibibytes.
const FILLING: i64 = -64 * 1024;

/// `SQLite`'s own measure.
const USUAL: i64 = -2000;

impl Sqlite {
    pub(in crate::db) fn export<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.at_length(|session| f(&mut session.tx()))
    }

    /// One snapshot for as long as `f` takes.
    pub(super) fn at_length<T>(&self, f: impl FnOnce(Session<'_>) -> Result<T>) -> Result<T> {
        match &self.access {
            Access::Direct(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let session = Session::new(&connection);
                session.snapshot(|_| f(session))
            }
            Access::Served { readers, .. } => readers.lend(|connection| {
                let session = Session::new(connection);
                session.snapshot(|_| f(session))
            }),
        }
    }

    pub(in crate::db) fn import<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let Access::Direct(connection) = &self.access else {
            return Err(Error::internal("a daemon's writer is not for long work"));
        };
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let session = Session::new(&connection);
        session.pragma("cache_size", FILLING)?;
        session.command("BEGIN IMMEDIATE")?;
        let result = f(&mut session.tx());
        let result = session.end(result);
        session.pragma("cache_size", USUAL)?;
        result
    }

    pub(in crate::db) fn disarm(&self) -> Result<()> {
        let Access::Direct(connection) = &self.access else {
            return Err(Error::internal("a daemon's triggers are its own"));
        };
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let off = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false);
        off.map(|_| ()).map_err(error)
    }

    /// Whether references are kept by the engine, on a command's connection.
    pub(super) fn hold_keys(&self, hold: bool) -> Result<()> {
        let Access::Direct(connection) = &self.access else {
            return Err(Error::internal("a daemon always holds its foreign keys"));
        };
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        Session::new(&connection).pragma("foreign_keys", i64::from(hold))
    }

    pub(in crate::db) fn about(&self) -> Result<About> {
        let facts = self.facts();
        let (settings, bytes, free_bytes) = self.at_length(|session| {
            let text = |pragma: &'static str| {
                let sql = format!("SELECT CAST({pragma} AS TEXT) AS value FROM pragma_{pragma}");
                let row = session.walk(&sql, &[])?.pop();
                let value = row.map_or(Ok(String::new()), |row| row.text("value"))?;
                Ok((pragma, value))
            };
            let names = ["journal_mode", "encoding", "page_size"];
            let mut settings: Vec<_> = names.into_iter().map(text).collect::<Result<_>>()?;
            let full = session.number("PRAGMA synchronous")? == 2;
            // Of this program's connections: it is kept nowhere.
            let synchronous = if full { "full" } else { "not full" };
            settings.insert(1, ("synchronous", synchronous.to_owned()));
            let bytes = |pragma: &str| {
                let pages = session.number(&format!("PRAGMA {pragma}"))?;
                let bytes = pages.saturating_mul(session.number("PRAGMA page_size")?);
                u64::try_from(bytes).map_err(Error::internal)
            };
            Ok((settings, bytes("page_count")?, bytes("freelist_count")?))
        })?;
        Ok(About {
            engine: facts.engine,
            settings,
            bytes,
            free_bytes: Some(free_bytes),
            log_bytes: Some(facts.log_bytes),
            disk_free: facts.disk_free,
            ballast_bytes: self.path.as_deref().and_then(ballast::held),
        })
    }

    /// The new file is put together on disk, beside the old one: in memory, or on another disk, it
    /// could be too large. Then it goes through the log beside the database, which is emptied at the
    /// end. So for a while it is there twice.
    pub(in crate::db) fn vacuum(&self) -> Result<()> {
        let Access::Direct(connection) = &self.access else {
            return Err(Error::internal("a daemon does not rewrite its file"));
        };
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let session = Session::new(&connection);
        if let Some(path) = &self.path {
            let folder = file::folder_of(path).display().to_string();
            let folder = folder.replace('\'', "''");
            session.script(&format!("PRAGMA temp_store_directory = '{folder}'"))?;
        }
        session.script("PRAGMA temp_store = FILE")?;
        let done = session.script("VACUUM");
        session.script("PRAGMA temp_store = MEMORY")?;
        done?;
        super::empty_log(&connection)
    }

    pub(in crate::db) fn daemons(&self) -> Vec<String> {
        let pid = self.locks.as_ref().and_then(Locks::other_daemon);
        let name = |pid: u32| {
            let locks = self.locks.as_ref();
            if locks.is_some_and(Locks::other_daemon_only_reads) {
                format!("pid {pid}, {READING}")
            } else {
                format!("pid {pid}")
            }
        };
        pid.map(name).into_iter().collect()
    }

    pub(in crate::db) fn call_reading(&self) -> Result<()> {
        self.locks.as_ref().map_or(Ok(()), Locks::call_reading)
    }

    /// Device and inode: the same for every name of a file.
    pub(in crate::db) fn place(&self) -> Result<String> {
        let Some(path) = &self.path else {
            return Ok(format!("memory:{self:p}"));
        };
        let name = path.display();
        let file = std::fs::metadata(path).map_err(Error::io(format!("look at {name}")))?;
        Ok(format!("sqlite:{}:{}", file.dev(), file.ino()))
    }
}

impl Session<'_> {
    /// One prepared statement for all rows: here nothing is gained by rows that go together.
    pub(in crate::db) fn fill(self, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
        let columns = list(table.columns.iter().map(|column| &column.name));
        let places = vec!["?"; table.columns.len()].join(", ");
        let name = quoted(&table.name);
        let sql = format!("INSERT INTO {name} ({columns}) VALUES ({places})");
        let mut statement = self.connection.prepare_cached(&sql).map_err(error)?;
        for row in rows {
            if row.len() != table.columns.len() {
                return Err(Error::internal(format!("a row that does not fit {name}")));
            }
            for (place, value) in (1..).zip(row) {
                let bound = statement.raw_bind_parameter(place, Bound(value));
                bound.map_err(error)?;
            }
            statement.raw_execute().map_err(error)?;
        }
        Ok(())
    }
}
