//! The database as a whole: for commands that move, count, check or back up all of it, where
//! statements take longer than a request may, and tables are met by description, not by name.

use std::path::{Path, PathBuf};

use super::schema::{Table, list, quoted};
use super::sqlite::Sqlite;
use super::{Db, Engine, Row, Tx, TxEngine, Value, question};
use crate::error::{Error, Result};

/// What a daemon that answers reads alone says of itself.
pub const READING: &str = "answers reads alone";

/// What [`Db::about`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Name and version of the engine: `SQLite 3.53.2`.
    pub engine: String,
    /// What else there is to know of it, by name.
    pub settings: Vec<(&'static str, String)>,
    /// The size of the data, in bytes.
    pub bytes: u64,
    /// How much of that is free to be used again.
    pub free_bytes: Option<u64>,
    /// The size of the write-ahead log, where it belongs to this database alone.
    pub log_bytes: Option<u64>,
    /// What is left on the disk.
    pub disk_free: Option<u64>,
    /// What the ballast beside its file holds; see [`super::ballast`].
    pub ballast_bytes: Option<u64>,
}

/// What [`Db::examine`] looked at, and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name: `integrity`.
    pub name: &'static str,
    /// What was looked at, or why it was not.
    pub about: String,
    /// Nothing was looked at.
    pub skipped: bool,
    /// What cannot be right; nothing, if all is well.
    pub findings: Vec<Finding>,
}

/// Something that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The table or the index at fault, or `database`.
    pub object: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Finding {
    /// So many rows of `table` point to rows of `parent` that are gone.
    pub(super) fn dangling(table: String, rows: i64, parent: &str) -> Self {
        let told = match rows {
            1 => "1 row points".to_owned(),
            rows => format!("{rows} rows point"),
        };
        Self {
            object: table,
            detail: format!("{told} to {parent} that are not there"),
        }
    }
}

impl Db {
    /// [`Db::read`] without a deadline: one consistent snapshot for as long as it takes.
    ///
    /// # Errors
    /// What `f` returns, or `Unavailable`.
    pub fn export<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.export(f),
            Engine::Postgres(postgres) => postgres.export(f),
        }
    }

    /// [`Db::write`] without a deadline, for a command that fills a database: all of it is one
    /// transaction, and nothing of it is there before its end. `f` runs once.
    ///
    /// # Errors
    /// What `f` returns, or as [`Db::write`]; `Internal` in a daemon, whose writer others wait for.
    pub fn import<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.import(f),
            Engine::Postgres(postgres) => postgres.import(f),
        }
    }

    /// From now on no trigger works here, whoever has put it into the database: that is for who
    /// works on a copy that somebody else may have had in hand.
    ///
    /// # Errors
    /// `Internal` in a daemon and on a server.
    pub fn disarm(&self) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.disarm(),
            Engine::Postgres(_) => Err(Error::internal("a server's triggers are its own")),
        }
    }

    /// Facts for the operator who asks for them; [`Db::facts`] are those for every probe.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    pub fn about(&self) -> Result<About> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.about(),
            Engine::Postgres(postgres) => postgres.about(),
        }
    }

    /// Who serves the database, other than this process: `pid 1234`, or, on a server, from where.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn daemons(&self) -> Result<Vec<String>> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Ok(sqlite.daemons()),
            Engine::Postgres(postgres) => postgres.daemons(),
        }
    }

    /// Lets [`Db::daemons`] end what they tell of this daemon in [`READING`].
    ///
    /// # Errors
    /// [`Error::Io`], `Unavailable`.
    pub fn call_reading(&self) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.call_reading(),
            Engine::Postgres(postgres) => postgres.call_reading(),
        }
    }

    /// What tells this database from every other, however it was named.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn place(&self) -> Result<String> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.place(),
            Engine::Postgres(postgres) => postgres.place(),
        }
    }

    /// Looks for damage, as thoroughly as the engine can. Reads everything.
    ///
    /// # Errors
    /// `Unavailable`; damage is a finding and no error.
    pub fn examine(&self) -> Result<Vec<Check>> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.examine(),
            Engine::Postgres(postgres) => postgres.examine(),
        }
    }

    /// Writes the database anew without what is free in it. An `SQLite` file must be all ours: within
    /// [`Db::exclusively`]. A server does as much of it as disturbs nobody.
    ///
    /// # Errors
    /// `Unavailable`, [`Error::StorageFull`]; the database is as it was then.
    pub fn vacuum(&self) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.vacuum(),
            Engine::Postgres(postgres) => postgres.vacuum(),
        }
    }

    /// Opens a file that nobody writes, an `SQLite` database, as what cannot be changed: no other
    /// file appears beside it.
    ///
    /// # Errors
    /// [`Error::Io`] if it is not there, [`Error::Corrupt`] once it shows that it is no database.
    pub fn open_still(path: &Path) -> Result<Self> {
        Ok(Self {
            engine: Engine::Sqlite(Sqlite::open_still(path)?),
        })
    }

    /// Refuses an `SQLite` database that a daemon serves, at once and without opening it.
    ///
    /// # Errors
    /// [`Error::DaemonRunning`].
    pub fn refuse_daemon(path: &Path) -> Result<()> {
        Sqlite::refuse_daemon(path)
    }

    /// Puts `new`, which nobody has open and which is in the same file system, in the place of the
    /// `SQLite` database at `path`, while nobody else has that open. The old one gets the name
    /// `aside`; returned is what of it is there then. Before that, `before` sees the old one as a
    /// still file, if there is one and it can be read.
    ///
    /// # Errors
    /// [`Error::DaemonRunning`] at once if a daemon serves it, `Unavailable` if others hold it for
    /// 5 s, [`Error::Exists`], [`Error::ForeignDatabase`], or what `before` returns: then
    /// everything is as it was.
    pub fn replace<T>(
        path: &Path,
        new: &Path,
        aside: &Path,
        before: impl FnOnce(Option<&Path>) -> Result<T>,
    ) -> Result<(T, Vec<PathBuf>)> {
        Sqlite::replace(path, new, aside, before)
    }

    /// Copies the database as it is now into `file`, which is there and empty, beside everybody
    /// who works on it. `tell` hears how much is left of how much, and ends it by an error.
    ///
    /// # Errors
    /// What `tell` returns; [`Error::Corrupt`] if the database is damaged, [`Error::StorageFull`].
    pub fn back_up(&self, file: &Path, tell: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.back_up(file, tell),
            Engine::Postgres(_) => Err(Error::internal("the server has its own tool for that")),
        }
    }
}

impl Tx<'_> {
    /// All tables of the database, each described by the engine.
    ///
    /// # Errors
    /// [`Error::Internal`] for a column of a type that none of ours has; else as [`Tx::all`].
    pub fn schema(&mut self) -> Result<Vec<Table>> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.schema(),
            TxEngine::Postgres(link) => link.describe(),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn count(&mut self, table: &Table) -> Result<u64> {
        let sql = format!("SELECT COUNT(*) AS n FROM {}", quoted(&table.name));
        let row = self.first(&sql, &[])?;
        let n = row.map_or(Ok(0), |row| row.int("n"))?;
        u64::try_from(n).map_err(Error::internal)
    }

    /// Removes all rows of a table.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn clear(&mut self, table: &Table) -> Result<()> {
        self.script(&format!("DELETE FROM {}", quoted(&table.name)))
    }

    /// Adds rows to a table, with the values in the order of its columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for text that the engine cannot store; else as [`Tx::all`].
    pub fn fill(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.fill(table, rows),
            TxEngine::Postgres(link) => link.fill(table, rows),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// The rows of an answer that has to walk through a whole table.
    fn walk(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.walk(sql, params),
            TxEngine::Postgres(link) => link.all(sql, params),
            TxEngine::Asked(_) => question::refuse(),
        }
    }
}

/// Walks through a table in the order of its key, page by page, so that it is never held as a
/// whole.
#[derive(Debug)]
pub struct Pages<'t> {
    table: &'t Table,
    first: String,
    next: String,
    after: Vec<Value>,
    rows: usize,
    ended: bool,
}

/// How much a page should hold, in bytes.
const PAGE: usize = 1024 * 1024;

/// Rows of a page, whatever they hold.
const MOST: usize = 1000;

impl<'t> Pages<'t> {
    /// From the table's first row on.
    ///
    /// # Errors
    /// [`Error::Internal`] for a table without a primary key.
    pub fn of(table: &'t Table) -> Result<Self> {
        let name = quoted(&table.name);
        if table.key.is_empty() {
            return Err(Error::internal(format!("table {name} has no primary key")));
        }
        let columns = list(table.columns.iter().map(|column| &column.name));
        let key = list(&table.key);
        let last = table.key.len();
        let places: Vec<String> = (1..=last).map(|n| format!("${n}")).collect();
        let places = places.join(", ");
        let limit = last + 1;
        Ok(Self {
            table,
            first: format!("SELECT {columns} FROM {name} ORDER BY {key} LIMIT $1"),
            next: format!(
                "SELECT {columns} FROM {name} WHERE ({key}) > ({places}) ORDER BY {key} LIMIT ${limit}"
            ),
            after: Vec::new(),
            // The first page tells how large rows are here.
            rows: 16,
            ended: false,
        })
    }

    /// The next rows, with their values in the order of the table's columns; none at the end.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn next(&mut self, tx: &mut Tx<'_>) -> Result<Vec<Vec<Value>>> {
        if self.ended {
            return Ok(Vec::new());
        }
        let wanted = self.rows;
        let limit = Value::Int(i64::try_from(wanted).map_err(Error::internal)?);
        let got = if self.after.is_empty() {
            tx.walk(&self.first, &[limit])?
        } else {
            let mut params = self.after.clone();
            params.push(limit);
            tx.walk(&self.next, &params)?
        };
        let rows: Vec<Vec<Value>> = got.into_iter().map(Row::into_values).collect();
        self.ended = rows.len() < wanted;
        if let Some(last) = rows.last() {
            self.after = self.key_of(last)?;
            let bytes: usize = rows.iter().flatten().map(weight).sum();
            let fitting = PAGE.saturating_mul(rows.len()) / bytes.max(1);
            // Half as much again at most: a page of short rows says little of those behind it.
            self.rows = fitting.clamp(1, MOST).min(wanted.saturating_mul(4));
        }
        Ok(rows)
    }

    fn key_of(&self, row: &[Value]) -> Result<Vec<Value>> {
        let value = |column: &String| {
            let place = self.table.place(column);
            let value = place.and_then(|place| row.get(place));
            value
                .cloned()
                .ok_or_else(|| Error::internal("a row without its key"))
        };
        self.table.key.iter().map(value).collect()
    }
}

/// What a value takes in memory, roughly.
fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Int(_) => 0,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Role;

    fn filled(rows: i64, text: usize) -> Db {
        fill(Db::fresh(), rows, text)
    }

    fn fill(db: Db, rows: i64, text: usize) -> Db {
        db.write(move |tx| {
            tx.script("CREATE TABLE pairs (a INTEGER, b TEXT, c BLOB, PRIMARY KEY (b, a)) STRICT")?;
            for n in 0..rows {
                let b = format!("{}", n % 7);
                let c = vec![0; text];
                tx.run(
                    "INSERT INTO pairs (a, b, c) VALUES ($1, $2, $3)",
                    &[n.into(), b.into(), Value::Bytes(c)],
                )?;
            }
            Ok(())
        })
        .unwrap();
        db
    }

    fn walked(db: &Db) -> (Vec<Vec<Value>>, usize) {
        db.export(|tx| {
            let tables = tx.schema()?;
            let mut pages = Pages::of(&tables[0])?;
            let (mut all, mut largest) = (Vec::new(), 0);
            loop {
                let rows = pages.next(tx)?;
                if rows.is_empty() {
                    assert!(pages.next(tx)?.is_empty());
                    return Ok((all, largest));
                }
                largest = largest.max(rows.len());
                all.extend(rows);
            }
        })
        .unwrap()
    }

    #[test]
    fn a_table_is_walked_through_whole_in_the_order_of_a_key_of_several_columns() {
        for rows in [0, 1, 16, 17, 5000] {
            let (all, largest) = walked(&filled(rows, 4));
            let keys: Vec<_> = all
                .iter()
                .map(|row| match &row[..2] {
                    [Value::Int(a), Value::Text(b)] => (b.clone(), *a),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(i64::try_from(keys.len()).unwrap(), rows);
            assert!(keys.is_sorted_by(|a, b| a < b));
            assert!(largest <= MOST);
        }
    }

    #[test]
    fn pages_of_large_rows_are_short() {
        let (all, largest) = walked(&filled(100, 300_000));
        assert_eq!((all.len(), largest), (100, 16));
        let db = filled(100, 300_000);
        db.export(|tx| {
            let tables = tx.schema()?;
            let mut pages = Pages::of(&tables[0])?;
            pages.next(tx)?;
            assert_eq!(pages.next(tx)?.len(), 3);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn what_is_imported_is_there_as_a_whole_or_not_at_all() {
        let db = filled(1, 0);
        let row = |a: i64| vec![a.into(), "x".into(), Value::Null];
        let failed: Result<()> = db.import(|tx| {
            let tables = tx.schema()?;
            tx.fill(&tables[0], &[row(100), row(101)])?;
            Err(Error::Cancelled)
        });
        assert!(matches!(failed, Err(Error::Cancelled)));
        assert_eq!(walked(&db).0.len(), 1);
        db.import(|tx| {
            let tables = tx.schema()?;
            tx.clear(&tables[0])?;
            tx.fill(&tables[0], &[row(100), row(101)])
        })
        .unwrap();
        assert_eq!(walked(&db).0, [row(100), row(101)]);
    }

    #[test]
    fn a_snapshot_for_as_long_as_it_takes_has_no_deadline_and_writes_nothing() {
        // In memory, SQLite looks at no deadline.
        let folder = tempfile::tempdir().unwrap();
        let file = Db::open_file(&folder.path().join("x.db"), Role::Shell).unwrap();
        let db = fill(file, 1, 0);
        // Longer than many of SQLite's steps between which a deadline is looked at.
        let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 200000)
            SELECT COUNT(*) AS n FROM n";
        let n = db.export(|tx| {
            tx.script("DELETE FROM pairs")?;
            tx.first(sql, &[])?.unwrap().int("n")
        });
        assert_eq!(n.unwrap(), 200_000);
        assert_eq!(walked(&db).0.len(), 1);
    }
}
