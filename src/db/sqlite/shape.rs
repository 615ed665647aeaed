//! What an `SQLite` file is made of, and what its tables should not be without.

use std::collections::BTreeMap;

use super::session::Session;
use crate::db::Row;
use crate::db::shape::{Flaw, Part, plain};
use crate::error::Result;

/// An index: its columns, and the condition under which it has a row.
#[derive(Debug, Default)]
struct Index {
    columns: Vec<String>,
    condition: Option<String>,
}

impl Index {
    /// Whether it finds every row by these columns.
    fn serves(&self, columns: &[String]) -> bool {
        let first = self.columns.get(..columns.len()).unwrap_or_default();
        let begins = !first.is_empty() && columns.iter().all(|column| first.contains(column));
        let not_null = |condition: &String| {
            columns
                .iter()
                .any(|column| condition.eq_ignore_ascii_case(&format!("{column} IS NOT NULL")))
        };
        begins && self.condition.as_ref().is_none_or(not_null)
    }
}

impl Session<'_> {
    pub(in crate::db) fn shape(self) -> Result<Vec<Part>> {
        let rows = self.walk(
            // What the engine makes by itself has no words, or, where it counts rows for its planner,
            // a name that nobody else can give.
            "SELECT type AS sort, name, tbl_name AS owner, sql AS text FROM sqlite_schema
             WHERE sql IS NOT NULL AND NOT (type = 'table' AND name IN
               ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4'))",
            &[],
        )?;
        let part = |row: &Row| {
            let sort = row.text("sort")?;
            // Of an index, a line is enough.
            let text = plain(row.str("text")?, sort != "index");
            Ok(Part {
                sort,
                name: row.text("name")?,
                table: row.text("owner")?,
                text,
            })
        };
        rows.iter().map(part).collect()
    }

    pub(in crate::db) fn flaws(self) -> Result<Vec<Flaw>> {
        let rows = self.walk(
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
            &[],
        )?;
        let mut flaws = Vec::new();
        for row in rows {
            let table = row.text("name")?;
            let key = self.walk(
                "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk",
                &[table.as_str().into()],
            )?;
            let key: Vec<String> = key
                .iter()
                .map(|row| row.text("name"))
                .collect::<Result<_>>()?;
            if key.is_empty() {
                flaws.push(Flaw::NoKey {
                    table: table.clone(),
                });
            }
            let mut indexes = self.indexes(&table)?;
            // The key of a table without a separate index for it.
            indexes.push(Index {
                columns: key,
                condition: None,
            });
            let mut references = self.references(&table)?;
            references.sort_by(|a, b| a.columns.cmp(&b.columns));
            let bare = references
                .into_iter()
                .filter(|it| !indexes.iter().any(|index| index.serves(&it.columns)));
            flaws.extend(bare.map(|it| Flaw::ForeignKey {
                table: table.clone(),
                columns: it.columns,
            }));
        }
        Ok(flaws)
    }

    fn indexes(self, table: &str) -> Result<Vec<Index>> {
        let rows = self.walk(
            "SELECT l.name AS name, i.name AS part, COALESCE(s.sql, '') AS text
             FROM pragma_index_list($1) l
             JOIN pragma_index_info(l.name) i
             LEFT JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name
             ORDER BY l.name, i.seqno",
            &[table.into()],
        )?;
        let mut indexes: BTreeMap<String, Index> = BTreeMap::new();
        for row in &rows {
            let index = indexes.entry(row.text("name")?).or_default();
            // An expression has no name.
            index
                .columns
                .push(row.opt_text("part")?.unwrap_or_default());
            let words: Vec<&str> = row.str("text")?.split_whitespace().collect();
            let place = words
                .iter()
                .rposition(|word| word.eq_ignore_ascii_case("WHERE"));
            index.condition =
                place.map(|place| words.get(place + 1..).unwrap_or_default().join(" "));
        }
        Ok(indexes.into_values().collect())
    }
}
