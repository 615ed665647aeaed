//! What rule tests stand on: a program in memory, actors made by hand, time as a value.

use crate::app::{Actor, App, Cx, Who};
use crate::config::{Config, Environment, Sources};
use crate::db::Db;
use crate::error::Result;
use crate::keys::Keys;
use crate::time::Timestamp;

/// Runs `work` as the daemon would; what waits for the database stands outside of it.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

impl App {
    /// A program on an empty database with every migration applied, for rule tests.
    pub(crate) fn memory() -> Self {
        Self::on(Db::fresh())
    }

    /// The same with these variables.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        Self::made(Db::fresh(), variables)
    }

    /// The same on this database.
    pub(crate) fn on(db: Db) -> Self {
        Self::made(db, &[])
    }

    /// The same in a file.
    pub(crate) fn in_file(path: &std::path::Path) -> Self {
        let db = Db::open_file(path, crate::db::Role::Shell).unwrap();
        Self::made(db, &[("PROVOST_DB", path.to_str().unwrap())])
    }

    fn made(db: Db, variables: &[(&str, &str)]) -> Self {
        let bare = Environment::bare(std::path::Path::new("/nonexistent"));
        let environment = variables
            .iter()
            .fold(bare, |all, (name, value)| all.with(name, value));
        let config = Config::load(&Sources::default(), &environment);
        let app = Self::new(config.unwrap(), Keys::ephemeral().unwrap(), db);
        crate::migrations::up(&app, &Actor::operator()).unwrap();
        app
    }

    /// Runs `f` as `actor` at `now`, and commits if it returns `Ok`.
    pub(crate) fn at<T, F>(&self, now: Timestamp, actor: &Actor, mut f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
    {
        self.write(actor, move |cx| {
            f(&mut Cx {
                tx: cx.tx,
                now,
                actor: cx.actor,
                kit: cx.kit,
                counts: cx.counts,
            })
        })
    }
}

impl Actor {
    /// An operator at the shell.
    pub(crate) fn operator() -> Self {
        let who = Who::Operator {
            account: "os:0/root@test".into(),
            on_behalf_of: None,
        };
        Self {
            who,
            ip: None,
            request: None,
        }
    }

    /// A request with an API token that has `scopes`.
    pub(crate) fn token(scopes: &str) -> Self {
        let who = Who::Token {
            id: "0".into(),
            owner: None,
            scopes: scopes.parse().unwrap(),
            expires_at: None,
            cidr: None,
        };
        Self {
            who,
            ip: None,
            request: None,
        }
    }

    /// A request with a session of `user`, who has just logged in.
    pub(crate) fn in_session(user: &str, admin: bool) -> Self {
        let who = Who::Session {
            id: "0".into(),
            user: user.into(),
            username: "test".into(),
            roles: if admin { "admin" } else { "user" }.into(),
            admin,
            authenticated_at: Timestamp(0),
        };
        Self {
            who,
            ip: None,
            request: None,
        }
    }

    /// A request without a credential.
    pub(crate) fn anonymous() -> Self {
        Self {
            who: Who::Anonymous,
            ip: None,
            request: None,
        }
    }
}
