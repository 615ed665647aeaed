//! Rows by the thousand: `COPY`, in the binary format.

use std::pin::pin;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::{Link, after, values};
use crate::db::Value;
use crate::db::schema::{Sort, Table, list, quoted};
use crate::error::{Error, Result};

impl Link {
    /// Adds rows to a table.
    pub(in crate::db) fn fill(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
        for row in rows {
            fits(table, row)?;
        }
        let types = table.columns.iter().map(|column| match column.sort {
            Sort::Integer => Type::INT8,
            Sort::Text => Type::TEXT,
            Sort::Bytes => Type::BYTEA,
        });
        let types: Vec<Type> = types.collect();
        let columns = list(table.columns.iter().map(|column| &column.name));
        let name = quoted(&table.name);
        let sql = format!("COPY {name} ({columns}) FROM STDIN (FORMAT binary)");
        let (prepared, begin) = self.ready(&sql, &[])?;
        self.changed = true;
        let done = self.ask(async |client| {
            let sink = after(client, begin, client.copy_in(&prepared.statement)).await?;
            let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
            for row in rows {
                writer.as_mut().write_raw(values(row)).await?;
            }
            writer.finish().await
        });
        self.after_late(done).map(|_rows| ())
    }
}

/// Refuses a row that the table cannot hold, before the server does so without saying why.
fn fits(table: &Table, row: &[Value]) -> Result<()> {
    let name = &table.name;
    if row.len() != table.columns.len() {
        return Err(Error::internal(format!("a row that does not fit {name}")));
    }
    for (column, value) in table.columns.iter().zip(row) {
        if matches!(value, Value::Text(text) if text.contains('\0')) {
            let column = &column.name;
            let reason =
                format!("a {column} in {name} holds U+0000, which PostgreSQL cannot store");
            return Err(Error::invalid("from", reason));
        }
    }
    Ok(())
}
