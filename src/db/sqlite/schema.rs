//! How `SQLite` describes its tables.

use std::collections::{BTreeMap, HashMap};

use super::session::Session;
use crate::db::schema::{Column, Reference, Sort, Table};
use crate::error::{Error, Result};

impl Session<'_> {
    /// Every table but `SQLite`'s own.
    pub(in crate::db) fn schema(self) -> Result<Vec<Table>> {
        let names = self.names()?.into_iter();
        let mut tables: Vec<Table> = names.map(|name| self.table(name)).collect::<Result<_>>()?;
        let keys: HashMap<String, Vec<String>> = tables
            .iter()
            .map(|table| (table.name.clone(), table.key.clone()))
            .collect();
        let references = tables.iter_mut().flat_map(|table| &mut table.references);
        // No column is named where the primary key is meant.
        for reference in references.filter(|it| it.to.is_empty()) {
            reference.to = keys.get(&reference.table).cloned().unwrap_or_default();
        }
        Ok(tables)
    }

    /// Those that can be described: a column of a table of others may have any type, or none.
    pub(super) fn describable(self) -> Result<Vec<Table>> {
        let names = self.names()?.into_iter();
        let tables = names.filter_map(|name| match self.table(name) {
            Err(Error::Internal(_)) => None,
            table => Some(table),
        });
        tables.collect()
    }

    fn names(self) -> Result<Vec<String>> {
        let rows = self.walk(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            &[],
        )?;
        rows.iter().map(|row| row.text("name")).collect()
    }

    fn table(self, name: String) -> Result<Table> {
        // What the engine computes itself (hidden) cannot be written.
        let rows = self.walk(
            "SELECT name, type, pk FROM pragma_table_xinfo($1) WHERE hidden = 0",
            &[name.as_str().into()],
        )?;
        let mut columns = Vec::with_capacity(rows.len());
        let mut key = BTreeMap::new();
        for row in &rows {
            let column = row.text("name")?;
            if let place @ 1.. = row.int("pk")? {
                key.insert(place, column.clone());
            }
            let sort = match row.str("type")? {
                "INTEGER" | "INT" => Sort::Integer,
                "TEXT" => Sort::Text,
                "BLOB" => Sort::Bytes,
                other => {
                    let reason = format!("column {name}.{column} has the type {other:?}");
                    return Err(Error::internal(reason));
                }
            };
            columns.push(Column { name: column, sort });
        }
        Ok(Table {
            references: self.references(&name)?,
            name,
            columns,
            key: key.into_values().collect(),
        }
        .settled())
    }

    pub(super) fn references(self, table: &str) -> Result<Vec<Reference>> {
        let rows = self.walk(
            "SELECT id, \"table\" AS parent, \"from\" AS here, \"to\" AS there
             FROM pragma_foreign_key_list($1) ORDER BY id, seq",
            &[table.into()],
        )?;
        let mut references: BTreeMap<i64, Reference> = BTreeMap::new();
        for row in &rows {
            let parent = row.text("parent")?;
            let reference = references.entry(row.int("id")?).or_insert(Reference {
                columns: Vec::new(),
                table: parent,
                to: Vec::new(),
            });
            reference.columns.push(row.text("here")?);
            reference.to.extend(row.opt_text("there")?);
        }
        Ok(references.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;

    #[test]
    fn a_table_is_described_with_its_columns_its_key_in_order_and_where_it_points() {
        let db = Db::memory().unwrap();
        let tables = db
            .write(|tx| {
                tx.script(
                    "CREATE TABLE parents (id TEXT PRIMARY KEY, n INTEGER) STRICT;
                     CREATE TABLE children (
                       z INTEGER, a TEXT, b BLOB NOT NULL DEFAULT x'',
                       parent TEXT REFERENCES parents ON DELETE CASCADE,
                       twice INTEGER AS (z * 2),
                       PRIMARY KEY (z, a)
                     ) STRICT;
                     CREATE INDEX children_b_idx ON children (b);
                     ANALYZE;",
                )?;
                tx.schema()
            })
            .unwrap();
        let column = |name: &str, sort| Column {
            name: name.to_owned(),
            sort,
        };
        let child = tables.iter().find(|it| it.name == "children").unwrap();
        assert_eq!(
            child.columns,
            [
                column("a", Sort::Text),
                column("b", Sort::Bytes),
                column("parent", Sort::Text),
                column("z", Sort::Integer),
            ]
        );
        assert_eq!(child.key, ["z", "a"]);
        let points = Reference {
            columns: vec!["parent".to_owned()],
            table: "parents".to_owned(),
            to: vec!["id".to_owned()],
        };
        assert_eq!(child.references, [points]);
        assert_eq!(tables.len(), 2, "{tables:?}");
    }

    #[test]
    fn a_column_that_could_hold_anything_is_refused() {
        let db = Db::memory().unwrap();
        let described = db.write(|tx| {
            tx.script("CREATE TABLE loose (id INTEGER PRIMARY KEY, x ANY) STRICT")?;
            tx.schema()
        });
        assert!(matches!(described, Err(Error::Internal(_))));
    }
}
