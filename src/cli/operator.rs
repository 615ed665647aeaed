//! The operator: whoever can read the key file and write the database. The way in which commands
//! reach the database, whether the daemon is up or down.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::app::{Actor, App, Cx, Who};
use crate::audit;
use crate::config::Config;
use crate::db::{Db, Role, clock, keyring};
use crate::error::{Error, Result};
use crate::keys::{self, Keys};
use crate::migrations;
use crate::snapshots;
use crate::time::Timestamp;

/// The program as a command runs it, and the operating system's account that runs it.
#[derive(Debug)]
pub struct Operator {
    app: App,
    actor: Actor,
}

impl Operator {
    /// Opens the database directly. The schema must fit this binary.
    ///
    /// # Errors
    /// [`Error::NotSetUp`], [`Error::DatabaseMissing`], [`Error::KeyFile`], or as
    /// [`migrations::check`].
    pub fn open(config: Config, on_behalf_of: Option<String>) -> Result<Self> {
        let operator = Self::open_any_schema(config, on_behalf_of)?;
        migrations::check(operator.app.db())?;
        let mark = operator.app.db().read(clock::mark)?;
        operator.app.clock().raise(mark);
        own_keys(&operator.app)?;
        Ok(operator)
    }

    /// The same for commands that look after the schema.
    ///
    /// # Errors
    /// As [`Operator::open`], but for the schema.
    pub fn open_any_schema(config: Config, on_behalf_of: Option<String>) -> Result<Self> {
        // First the database: whoever named another program's misses no key file.
        let db = database(&config)?;
        // A server's database is there before anything is in it.
        if !config.key_file.exists() && migrations::schema(&db)? == 0 {
            return Err(Error::NotSetUp {
                path: config.key_file.clone(),
            });
        }
        let keys = Keys::load(&config.key_file)?;
        Ok(Self {
            app: App::new(config, keys, db),
            actor: actor(on_behalf_of),
        })
    }

    /// The program.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Who runs the command.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Now, as rules see it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.app.clock().now()
    }

    /// [`App::read`] as the operator.
    ///
    /// # Errors
    /// As [`App::read`].
    pub fn read<T>(&self, f: impl FnOnce(&mut Cx<'_, '_>) -> Result<T>) -> Result<T> {
        self.app.read(&self.actor, f)
    }

    /// [`App::write`] as the operator.
    ///
    /// # Errors
    /// As [`App::write`].
    pub fn write<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        self.app.write(&self.actor, f)
    }
}

/// How long a command goes on sealing what commands and imports have left.
const SEALING: Duration = Duration::from_secs(1);

impl Drop for Operator {
    /// Seals what the command has written into the audit log, unless a daemon does it anyway. What
    /// is done is done, and what is left the next one seals: no failure here is the command's.
    fn drop(&mut self) {
        let (app, start) = (&self.app, Instant::now());
        if app.kit().recorded.load(Ordering::Relaxed)
            && !app.db().is_guest()
            && !std::thread::panicking()
            && migrations::check(app.db()).is_ok()
        {
            let _next_time = audit::seal(app, &self.actor, &|| start.elapsed() > SEALING);
        }
    }
}

/// Refuses a key file with which the database was not made.
///
/// # Errors
/// [`Error::KeyFile`], or those of the database.
pub fn own_keys(app: &App) -> Result<()> {
    let keys = &app.kit().keys;
    let fits = if app.is_read_only() {
        keyring::may_fit(app.db(), keys)?
    } else {
        keyring::fits(app.db(), keys, app.clock().now())?
    };
    if fits {
        return Ok(());
    }
    Err(Error::KeyFile {
        path: app.config().key_file.clone(),
        reason: keys::FOREIGN.into(),
    })
}

/// Opens the database as it is, whatever its schema, and without the key file: for commands that
/// only look at it.
///
/// # Errors
/// [`Error::NotSetUp`], [`Error::DatabaseMissing`], or as [`Db::open`].
pub fn database(config: &Config) -> Result<Db> {
    snapshots::require(config)?;
    Db::open(&config.db, Role::Shell)
}

/// The account as the audit log names it: `os:1000/maria@host`. The number is the kernel's word,
/// the names are for people.
#[must_use]
pub fn actor(on_behalf_of: Option<String>) -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let name = whoami::username().unwrap_or_else(|_| "?".into());
    let host = whoami::hostname().unwrap_or_else(|_| "?".into());
    let account = format!("os:{uid}/{name}@{host}");
    Actor {
        who: Who::Operator {
            account,
            on_behalf_of,
        },
        ip: None,
        request: None,
    }
}

#[cfg(test)]
impl Operator {
    /// An operator of `app`, for tests of commands.
    pub(crate) fn of(app: App) -> Self {
        Self {
            app,
            actor: Actor::operator(),
        }
    }
}
