//! One `SQLite` connection at work: binds `$N` by its number, runs, reads values back, and turns
//! the engine's errors into ours.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode};

use crate::db::{APPLICATION, Row, Tx, TxEngine, Value};
use crate::error::{Error, Result};

/// A connection at work: binds, runs, reads back.
#[derive(Clone, Copy, Debug)]
pub(in crate::db) struct Session<'c> {
    pub(super) connection: &'c Connection,
    /// Set where no transaction holds several statements together: whether there was one already.
    spent: Option<&'c Cell<bool>>,
    /// Set where it matters whether anything was changed: whether it was.
    changed: Option<&'c Cell<bool>>,
}

impl<'c> Session<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            spent: None,
            changed: None,
        }
    }

    /// The same, which also notes whether it has changed anything.
    pub(super) fn watched(self, changed: &'c Cell<bool>) -> Self {
        Self {
            changed: Some(changed),
            ..self
        }
    }

    fn note_change(self) {
        if let Some(changed) = self.changed {
            changed.set(true);
        }
    }

    pub(super) fn tx(self) -> Tx<'c> {
        Tx {
            engine: TxEngine::Sqlite(self),
        }
    }

    /// Runs `f`, which reads with one statement: a statement is a snapshot of its own, and a
    /// transaction around it would cost as much again.
    pub(super) fn single<T>(
        connection: &Connection,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<T> {
        let spent = Cell::new(false);
        let session = Session {
            spent: Some(&spent),
            ..Session::new(connection)
        };
        f(&mut session.tx())
    }

    /// Runs `f` on one snapshot; nothing it writes is kept.
    pub(super) fn snapshot<T>(self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.command("BEGIN")?;
        let result = f(&mut self.tx());
        let ended = self.command("ROLLBACK");
        let value = result?;
        ended.map(|()| value)
    }

    /// Runs `f` inside the open transaction so that it can fail without taking others with it. The
    /// outer result is that of the savepoint: if it is bad, nobody knows what of `f` is in the
    /// transaction, which must not be committed.
    pub(super) fn nested<T>(self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<Result<T>> {
        self.command("SAVEPOINT work")?;
        let result = f(&mut self.tx());
        if result.is_err() && !self.connection.is_autocommit() {
            self.command("ROLLBACK TO work")?;
        }
        if !self.connection.is_autocommit() {
            self.command("RELEASE work")?;
        }
        Ok(result)
    }

    /// Commits if `result` is good, else rolls back.
    pub(super) fn end<T>(self, result: Result<T>) -> Result<T> {
        let result = result.and_then(|value| self.command("COMMIT").map(|()| value));
        if result.is_err() && !self.connection.is_autocommit() {
            self.command("ROLLBACK")?;
        }
        result
    }

    /// Commits a page as it was: a write that changes nothing.
    pub(super) fn rewrite(self) -> Result<()> {
        self.command("BEGIN IMMEDIATE")?;
        let schema = self.number("PRAGMA user_version");
        self.end(schema.and_then(|schema| self.pragma("user_version", schema)))
    }

    /// Runs a statement that takes and gives nothing, like `BEGIN IMMEDIATE`.
    pub(super) fn command(self, sql: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        statement.raw_execute().map(|_| ()).map_err(error)
    }

    /// Sets a pragma of this connection.
    pub(super) fn pragma(self, name: &str, value: i64) -> Result<()> {
        self.connection
            .pragma_update(None, name, value)
            .map_err(error)
    }

    /// The integer that a pragma answers.
    pub(super) fn number(self, sql: &str) -> Result<i64> {
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(error)
    }

    /// Hands each row of the answer to `take`, until it says that it has enough.
    fn each(self, sql: &str, params: &[Value], mut take: impl FnMut(Row) -> bool) -> Result<()> {
        self.count_statement()?;
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let shape = shape(&statement, sql)?;
        shape.bind(&mut statement, params)?;
        // What gives rows may change some, too: `UPDATE … RETURNING`.
        if !statement.readonly() {
            self.note_change();
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(error)? {
            let mut values = Vec::with_capacity(shape.columns.len());
            for place in 0..shape.columns.len() {
                values.push(value(row, place)?);
            }
            if !take(Row::new(Arc::clone(&shape.columns), values)) {
                break;
            }
        }
        Ok(())
    }

    fn count_statement(self) -> Result<()> {
        if self.spent.is_some_and(|spent| spent.replace(true)) {
            return Err(Error::internal("a second statement without a transaction"));
        }
        Ok(())
    }

    pub(in crate::db) fn all(self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        #[cfg(test)]
        super::plans::assert_no_scan(self, sql);
        self.walk(sql, params)
    }

    /// [`Session::all`] for what is meant to walk through a whole table.
    pub(in crate::db) fn walk(self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        self.each(sql, params, |row| {
            all.push(row);
            true
        })?;
        Ok(all)
    }

    pub(in crate::db) fn first(self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        #[cfg(test)]
        super::plans::assert_no_scan(self, sql);
        let mut first = None;
        self.each(sql, params, |row| {
            first = Some(row);
            false
        })?;
        Ok(first)
    }

    pub(in crate::db) fn run(self, sql: &str, params: &[Value]) -> Result<u64> {
        self.count_statement()?;
        #[cfg(test)]
        super::plans::assert_no_scan(self, sql);
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        shape(&statement, sql)?.bind(&mut statement, params)?;
        let changed = statement.raw_execute().map_err(error)?;
        if changed > 0 {
            self.note_change();
        }
        u64::try_from(changed).map_err(Error::internal)
    }

    pub(in crate::db) fn script(self, sql: &str) -> Result<()> {
        self.note_change();
        self.connection.execute_batch(sql).map_err(error)
    }

    pub(in crate::db) fn tables(self) -> Result<Vec<String>> {
        let rows = self.all("SELECT name FROM sqlite_schema WHERE type = 'table'", &[])?;
        rows.iter().map(|row| row.text("name")).collect()
    }

    pub(in crate::db) fn stamp(self, schema: u32) -> Result<()> {
        self.note_change();
        self.pragma("application_id", APPLICATION)?;
        self.pragma("user_version", i64::from(schema))
    }
}

/// Texts whose [`Shape`] is remembered by each thread; lists build new ones without end.
const REMEMBERED: usize = 256;

/// What of a statement depends on nothing but its text. Asking the engine for it costs an
/// allocation for each column and a walk for each parameter, and a check of a token is made of such
/// costs.
struct Shape {
    /// For each parameter, in the engine's order, the number in its name.
    parameters: Box<[usize]>,
    /// The names of the answer's columns.
    columns: Arc<[Box<str>]>,
}

fn shape(statement: &rusqlite::Statement<'_>, sql: &str) -> Result<Arc<Shape>> {
    type Known = HashMap<Box<str>, Arc<Shape>, FixedState>;
    thread_local! { static SHAPES: RefCell<Known> = RefCell::default() }
    SHAPES.with_borrow_mut(|shapes| {
        if let Some(known) = shapes.get(sql) {
            return Ok(Arc::clone(known));
        }
        if shapes.len() >= REMEMBERED {
            shapes.clear();
        }
        let fresh = Arc::new(Shape::of(statement)?);
        shapes.insert(Box::from(sql), Arc::clone(&fresh));
        Ok(fresh)
    })
}

impl Shape {
    fn of(statement: &rusqlite::Statement<'_>) -> Result<Self> {
        let number = |place| {
            let name = statement.parameter_name(place).unwrap_or("?");
            let digits = name.strip_prefix('$');
            let number = digits.and_then(|digits| digits.parse::<usize>().ok());
            let number = number.filter(|number| *number > 0);
            number.ok_or_else(|| Error::internal(format!("there is no value for {name}")))
        };
        let parameters = (1..=statement.parameter_count()).map(number);
        let columns = statement.column_names().into_iter().map(Box::from);
        Ok(Self {
            parameters: parameters.collect::<Result<_>>()?,
            columns: columns.collect(),
        })
    }

    /// Binds `params[N - 1]` to the parameter *named* `$N`.
    ///
    /// `SQLite` numbers `$2, $1` by first appearance, so binding by position would silently swap
    /// them; and it takes `$1::text` for a name. Both are errors here, as is a surplus value.
    fn bind(&self, statement: &mut rusqlite::Statement<'_>, params: &[Value]) -> Result<()> {
        for (place, number) in (1..).zip(&self.parameters) {
            let bound = params.get(number - 1);
            let bound =
                bound.ok_or_else(|| Error::internal(format!("there is no value for ${number}")))?;
            statement
                .raw_bind_parameter(place, Bound(bound))
                .map_err(error)?;
        }
        let highest = self.parameters.iter().max().copied().unwrap_or(0);
        if params.len() > highest {
            return Err(Error::internal(format!(
                "{} values for ${highest}",
                params.len()
            )));
        }
        Ok(())
    }
}

/// A value on its way into a statement.
pub(super) struct Bound<'v>(pub(super) &'v Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(*int),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(row: &rusqlite::Row<'_>, place: usize) -> Result<Value> {
    Ok(match row.get_ref(place).map_err(error)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(text) => Value::Text(
            std::str::from_utf8(text)
                .map_err(|_| Error::Corrupt("stored text is not UTF-8".into()))?
                .to_owned(),
        ),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(Error::internal("a floating-point column")),
    })
}

/// What the rest of the program may know of an engine's error: the message stays in `source()`.
pub(super) fn error(source: rusqlite::Error) -> Error {
    let code = source.sqlite_error_code();
    match code {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::Corrupt(source.to_string())
        }
        Some(ErrorCode::DiskFull) => Error::StorageFull(source.into()),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory,
        ) => Error::unavailable(source),
        Some(_) | None => Error::internal(source),
    }
}

/// Whether `error` says that the storage underneath is at fault, so that the connection on which
/// it happened must not be used again (rule 59).
pub(super) fn is_fault(error: &Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(engine) = cause.downcast_ref::<rusqlite::Error>() {
            return matches!(
                engine.sqlite_error_code(),
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
            );
        }
        source = cause.source();
    }
    matches!(error, Error::Corrupt(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;

    fn one(sql: &str, params: &[Value]) -> Result<Vec<Value>> {
        Db::memory()?.read(|tx| {
            let row = tx.first(sql, params)?.unwrap();
            ["a", "b"]
                .iter()
                .map(|column| row.text(column).map(Value::from))
                .collect()
        })
    }

    #[test]
    fn parameters_are_bound_by_their_number_and_not_by_their_first_appearance() {
        let params = ["one".into(), "two".into()];
        let swapped = one("SELECT $2 AS a, $1 AS b", &params).unwrap();
        assert_eq!(swapped, ["two".into(), "one".into()]);
        let twice = one("SELECT $1 AS a, $1 AS b", &params[..1]).unwrap();
        assert_eq!(twice, ["one".into(), "one".into()]);
    }

    #[test]
    fn a_missing_a_surplus_and_a_cast_parameter_are_refused() {
        let params: [Value; 2] = ["one".into(), "two".into()];
        assert!(one("SELECT $1 AS a, $2 AS b", &params[..1]).is_err());
        assert!(one("SELECT $1 AS a, $1 AS b", &params).is_err());
        assert!(one("SELECT $1::text AS a, $2 AS b", &params).is_err());
        assert!(one("SELECT ? AS a, ? AS b", &params).is_err());
    }
}
