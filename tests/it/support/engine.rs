//! On which engine the tests run: on SQLite, or on the PostgreSQL server that
//! `PROVOST_TEST_POSTGRES` names. There each home has a schema of its own.

use postgres::{Client, NoTls};

use super::cluster::say;

/// The server that the tests were told to use: `postgres://postgres@127.0.0.1:5433/postgres`.
pub(crate) fn url() -> Option<String> {
    variable("PROVOST_TEST_POSTGRES")
}

/// A variable of whoever runs the tests; nothing of it reaches the program.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by their environment what there is to test on"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the tests run on PostgreSQL and this one has nothing to say there; `reason` says why.
///
/// ```ignore
/// if only_on_sqlite("the write-ahead log is a file") { return; }
/// ```
pub(crate) fn only_on_sqlite(reason: &str) -> bool {
    let skipped = url().is_some();
    if skipped {
        eprintln!("nothing to test on PostgreSQL: {reason}");
    }
    skipped
}

/// A schema of its own on a server, dropped with everything in it.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// A new one on the server at `server`.
    pub(crate) fn new(server: &str) -> Self {
        // Others may run these tests on the same server at the same time.
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        let sql = format!("CREATE SCHEMA {name}");
        connect(server).batch_execute(&sql).unwrap();
        Self {
            server: server.to_owned(),
            name,
        }
    }

    /// The URL with which the program and others find it.
    pub(crate) fn url(&self) -> String {
        let and = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{and}options=-csearch_path%3D{}", self.server, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        // A daemon that was killed may hold locks for a moment; the server may be gone by now.
        let Ok(mut client) = Client::connect(&self.server, NoTls) else {
            return;
        };
        let sql = format!(
            "SET lock_timeout = '10s'; DROP SCHEMA {} CASCADE",
            self.name
        );
        if let Err(error) = client.batch_execute(&sql) {
            eprintln!("the schema {} stays behind: {error}", self.name);
        }
    }
}

#[track_caller]
fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap_or_else(|error| panic!("PostgreSQL at {url}: {error}"))
}

/// A connection of another program to the database of a home: what the engine's own shell would
/// have.
pub(crate) enum Sql {
    /// To the file.
    Sqlite(rusqlite::Connection),
    /// To the schema.
    Postgres(Box<Client>),
}

impl Sql {
    /// Connects to a server.
    #[track_caller]
    pub(crate) fn postgres(url: &str) -> Self {
        Self::Postgres(Box::new(connect(url)))
    }

    /// Runs statements.
    #[track_caller]
    pub(crate) fn run(&mut self, sql: &str) {
        let done = match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).map_err(|e| e.to_string()),
            // The one word that tests need and only one engine has.
            Self::Postgres(client) => client
                .batch_execute(&sql.replace("randomblob(32)", RANDOM_DIGEST))
                .map_err(|error| format!("{error:?}")),
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The one number that a statement answers.
    #[track_caller]
    pub(crate) fn number(&mut self, sql: &str) -> i64 {
        match self {
            Self::Sqlite(connection) => super::files::number(connection, sql),
            Self::Postgres(client) => {
                let row = client.query_one(sql, &[]);
                row.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
                    .get(0)
            }
        }
    }

    /// `number`, which counts something.
    #[track_caller]
    pub(crate) fn count(&mut self, sql: &str) -> usize {
        usize::try_from(self.number(sql)).unwrap()
    }

    /// Writes down another version of the schema than it has.
    #[track_caller]
    pub(crate) fn stamp(&mut self, schema: u32) {
        match self {
            Self::Sqlite(_) => self.run(&format!("PRAGMA user_version = {schema}")),
            Self::Postgres(_) => {
                self.run(&format!(
                    "COMMENT ON TABLE migrations IS 'provost schema {schema}'"
                ));
            }
        }
    }

    /// Takes the newest migration back, as an older binary would have left the database.
    #[track_caller]
    pub(crate) fn go_down(&mut self) {
        let last = provost::migrations::ALL.last().unwrap();
        let only = format!("WHERE number = {}", last.number);
        let reverse = self.texts(&format!("SELECT reverse FROM migrations {only}"));
        self.run(&reverse[0]);
        self.run(&format!("DELETE FROM migrations {only}"));
        self.stamp(last.number - 1);
    }

    /// A column of bytes as hexadecimal digits, which the engines write differently.
    pub(crate) fn hex(&self, column: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("hex({column})"),
            Self::Postgres(_) => format!("encode({column}, 'hex')"),
        }
    }

    /// The first column of every row that a statement answers, which must be texts.
    #[track_caller]
    pub(crate) fn texts(&mut self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(connection) => super::files::texts(connection, sql),
            Self::Postgres(client) => {
                let rows = client.query(sql, &[]);
                let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

const RANDOM_DIGEST: &str = "sha256(convert_to(CAST(random() AS TEXT), 'UTF8'))";

#[test]
fn whether_postgresql_was_left_out_is_said() {
    if url().is_none() {
        say("SQLite alone; for both engines run: .ci/postgres cargo test --locked");
    }
}
