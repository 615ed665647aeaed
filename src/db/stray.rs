//! Rows that point to rows that are not there: only in a file that another program has written, for
//! no transaction of ours leaves any.
//!
//! Invariant: nothing is taken out that was not handed over before, as a whole.

use serde_json::{Map, Value as Json, json};

use super::schema::{Table, list, quoted};
use super::{Db, Engine, Tx, TxEngine, Value, question};
use crate::error::{Error, Result};
use crate::secret::hex;

/// A row that points to one that is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Stray {
    /// Its table.
    pub table: String,
    /// The table that it points to.
    pub to: String,
    /// Its columns, with their values.
    row: Vec<(String, Value)>,
    /// The columns of its key.
    key: Vec<String>,
    /// The columns that may point to nothing: then the row stays, and points to nothing.
    loose: Vec<String>,
}

impl Stray {
    /// The row with these values, in the order of the table's columns.
    pub(super) fn new(table: &Table, to: &str, loose: Vec<String>, values: Vec<Value>) -> Self {
        let columns = table.columns.iter().map(|column| column.name.clone());
        Self {
            table: table.name.clone(),
            to: to.to_owned(),
            row: columns.zip(values).collect(),
            key: table.key.clone(),
            loose,
        }
    }

    /// All of it, as JSON; bytes as `{"hex": "…"}`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let value = |value: &Value| match value {
            Value::Null => Json::Null,
            Value::Int(int) => json!(int),
            Value::Text(text) => json!(text),
            Value::Bytes(bytes) => json!({ "hex": hex(bytes) }),
        };
        let row: Map<String, Json> = self
            .row
            .iter()
            .map(|(column, of)| (column.clone(), value(of)))
            .collect();
        json!({ "table": self.table, "points_to": self.to, "stays": self.stays(), "row": row })
    }

    /// Its key, to tell it from others of its table.
    #[must_use]
    pub fn key_text(&self) -> String {
        let of_key = self.row.iter().filter(|(name, _)| self.key.contains(name));
        let of_key: Vec<_> = of_key.collect();
        format!("{of_key:?}")
    }

    /// Whether the row stays, and no longer points anywhere.
    #[must_use]
    pub fn stays(&self) -> bool {
        !self.loose.is_empty()
    }
}

impl Db {
    /// [`Db::import`] without the rules of foreign keys, so that nothing else goes with a row that is
    /// taken out. On a server those rules always hold, and nothing can be out of them.
    ///
    /// # Errors
    /// As [`Db::import`]; `Internal` on a server.
    pub fn import_loosely<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.import_loosely(f),
            Engine::Postgres(_) => Err(Error::internal("a server holds its foreign keys")),
        }
    }
}

impl Tx<'_> {
    /// Up to `most` rows that point to rows that are not there, and, of each pair of a table and a
    /// condition in `more`, those for which it holds. A table that has no key, points to one that is
    /// missing as a whole, or has a column of a type that none of ours has, is left alone.
    ///
    /// # Errors
    /// As [`Tx::all`]; `Internal` on a server.
    pub fn strays(&mut self, more: &[(&str, &str)], most: u32) -> Result<Vec<Stray>> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.strays(more, most),
            TxEngine::Postgres(_) => Err(Error::internal("a server has no stray rows")),
            TxEngine::Asked(_) => question::refuse(),
        }
    }

    /// Takes a stray out of its table, or lets it point to nothing where it may.
    ///
    /// # Errors
    /// As [`Tx::run`]; `Internal` if it is not there.
    pub fn take_out(&mut self, stray: &Stray) -> Result<()> {
        let table = quoted(&stray.table);
        let mut values = Vec::with_capacity(stray.key.len());
        let mut conditions = Vec::with_capacity(stray.key.len());
        for column in &stray.key {
            let found = stray.row.iter().find(|(name, _)| name == column);
            let (_, value) = found.ok_or_else(|| Error::internal("a row without its key"))?;
            values.push(value.clone());
            conditions.push(format!("{} = ${}", list([column]), values.len()));
        }
        let conditions = conditions.join(" AND ");
        let sql = if stray.stays() {
            let nothing: Vec<String> = stray
                .loose
                .iter()
                .map(|column| format!("{} = NULL", quoted(column)))
                .collect();
            format!(
                "UPDATE {table} SET {} WHERE {conditions}",
                nothing.join(", ")
            )
        } else {
            format!("DELETE FROM {table} WHERE {conditions}")
        };
        match self.run(&sql, &values)? {
            1 => Ok(()),
            n => Err(Error::internal(format!("{n} rows of {table} have one key"))),
        }
    }
}
