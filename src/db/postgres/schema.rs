//! How PostgreSQL describes the tables of a schema.

use std::collections::BTreeMap;

use super::Link;
use crate::db::schema::{Column, Reference, Sort, Table};
use crate::error::{Error, Result};

/// Every column of every table that can be written to.
const COLUMNS: &str = "
    SELECT c.relname AS owner, a.attname AS name,
      CAST(format_type(a.atttypid, NULL) AS TEXT) AS sort
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ORDER BY c.relname, a.attnum";

/// Every column of every primary and foreign key.
const KEYS: &str = "
    SELECT c.relname AS owner, CAST(k.oid AS BIGINT) AS id, CAST(k.contype AS TEXT) AS sort,
      f.relname AS parent, here.attname AS here, there.attname AS there
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS part (place, nth)
    JOIN pg_attribute here ON here.attrelid = k.conrelid AND here.attnum = part.place
    LEFT JOIN pg_class f ON f.oid = k.confrelid
    LEFT JOIN pg_attribute there ON there.attrelid = k.confrelid
      AND there.attnum = k.confkey[CAST(part.nth AS INTEGER)]
    WHERE n.nspname = current_schema() AND k.contype IN ('p', 'f') AND k.conparentid = 0
    ORDER BY k.oid, part.nth";

impl Link {
    /// Every table of this schema.
    pub(in crate::db) fn describe(&mut self) -> Result<Vec<Table>> {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for row in self.all(COLUMNS, &[])? {
            let (owner, name) = (row.text("owner")?, row.text("name")?);
            let sort = match row.str("sort")? {
                "bigint" => Sort::Integer,
                "text" => Sort::Text,
                "bytea" => Sort::Bytes,
                other => {
                    let reason = format!("column {owner}.{name} has the type {other:?}");
                    return Err(Error::internal(reason));
                }
            };
            let table = tables.entry(owner.clone()).or_insert(Table {
                name: owner,
                columns: Vec::new(),
                key: Vec::new(),
                references: Vec::new(),
            });
            table.columns.push(Column { name, sort });
        }
        let mut references: BTreeMap<i64, (String, Reference)> = BTreeMap::new();
        for row in self.all(KEYS, &[])? {
            let (owner, here) = (row.text("owner")?, row.text("here")?);
            if row.str("sort")? == "p" {
                if let Some(table) = tables.get_mut(&owner) {
                    table.key.push(here);
                }
                continue;
            }
            let parent = row.text("parent")?;
            let reference = Reference {
                columns: Vec::new(),
                table: parent,
                to: Vec::new(),
            };
            let (_, reference) = references
                .entry(row.int("id")?)
                .or_insert((owner, reference));
            reference.columns.push(here);
            reference.to.push(row.text("there")?);
        }
        for (owner, reference) in references.into_values() {
            if let Some(table) = tables.get_mut(&owner) {
                table.references.push(reference);
            }
        }
        Ok(tables.into_values().map(Table::settled).collect())
    }
}
