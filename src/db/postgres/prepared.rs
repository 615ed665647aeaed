//! Statements that the server knows by now: what each takes and gives, kept for the next time.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use tokio_postgres::Statement;

use crate::db::{Row, Value};
use crate::error::{Error, Result};

/// Statements that a connection keeps; lists build new ones without end.
const MOST: usize = 256;

/// A statement that the server knows, and the names of its columns. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) statement: Statement,
    columns: Arc<[Box<str>]>,
}

impl Prepared {
    pub(super) fn new(statement: Statement) -> Self {
        let columns = statement.columns().iter();
        let columns = columns.map(|column| Box::from(column.name())).collect();
        Self { statement, columns }
    }

    /// Whether so many values can be bound; the library would panic.
    pub(super) fn takes(&self, params: &[Value]) -> Result<()> {
        let (wanted, given) = (self.statement.params().len(), params.len());
        if wanted == given {
            Ok(())
        } else {
            Err(Error::internal(format!("{given} values for ${wanted}")))
        }
    }

    /// The answer as the rest of the program reads it.
    pub(super) fn rows(&self, rows: &[tokio_postgres::Row]) -> Result<Vec<Row>> {
        let row = |row: &tokio_postgres::Row| {
            let values = (0..row.len()).map(|place| row.try_get(place));
            let values: std::result::Result<_, _> = values.collect();
            let values = values.map_err(Error::internal)?;
            Ok(Row::new(Arc::clone(&self.columns), values))
        };
        rows.iter().map(row).collect()
    }
}

/// The statements of a connection, by their text.
#[derive(Default)]
pub(super) struct Statements(HashMap<Box<str>, Prepared, FixedState>);

impl Statements {
    pub(super) fn get(&self, sql: &str) -> Option<Prepared> {
        self.0.get(sql).cloned()
    }

    pub(super) fn knows(&self, sql: &str) -> bool {
        self.0.contains_key(sql)
    }

    /// Keeps `prepared`, and lets go of all others when they have become too many.
    pub(super) fn keep(&mut self, sql: &str, prepared: Prepared) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(Box::from(sql), prepared);
    }
}
