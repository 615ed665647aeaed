//! What a schema of the server is made of, and an empty one beside it.

use super::Link;
use super::Postgres;
use crate::db::shape::Part;
use crate::db::{Row, Tx};
use crate::error::{Error, Result};

/// Every table with its columns and constraints, a line each; every index, view and trigger. Only
/// what is ours is ever described: a table of another schema may go away while it is looked at.
const PARTS: &str = "
    WITH mine AS MATERIALIZED (
      SELECT c.oid, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = current_schema()
    ), lines AS (
      SELECT a.attrelid AS oid, 1 AS sort, CAST(a.attnum AS TEXT) AS place, CAST(a.attnum AS INTEGER) AS nth,
        quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
          || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
          || COALESCE(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS line
      FROM mine m JOIN pg_attribute a ON a.attrelid = m.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
      SELECT k.conrelid, 2, k.conname, 0, 'CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid, true)
      FROM mine m JOIN pg_constraint k ON k.conrelid = m.oid
      WHERE k.contype IN ('p', 'u', 'f', 'c', 'x')
    )
    SELECT 'table' AS sort, m.relname AS name, m.relname AS owner,
      'CREATE TABLE ' || quote_ident(m.relname) || E' (\\n  '
        || COALESCE(string_agg(l.line, E',\\n  ' ORDER BY l.sort, l.nth, l.place), '') || E'\\n)' AS text
    FROM mine m LEFT JOIN lines l ON l.oid = m.oid
    WHERE m.relkind IN ('r', 'p') GROUP BY m.relname
    UNION ALL
    SELECT 'index', i.relname, t.relname, pg_get_indexdef(i.oid, 0, true)
    FROM mine i JOIN pg_index x ON x.indexrelid = i.oid JOIN pg_class t ON t.oid = x.indrelid
    WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT 'view', m.relname, m.relname, pg_get_viewdef(m.oid, true) FROM mine m WHERE m.relkind IN ('v', 'm')
    UNION ALL
    SELECT 'trigger', g.tgname, m.relname, pg_get_triggerdef(g.oid, true)
    FROM mine m JOIN pg_trigger g ON g.tgrelid = m.oid WHERE NOT g.tgisinternal";

impl Link {
    pub(in crate::db) fn shape(&mut self) -> Result<Vec<Part>> {
        let rows = self.all(PARTS, &[])?;
        let part = |row: &Row| {
            Ok(Part {
                sort: row.text("sort")?,
                name: row.text("name")?,
                table: row.text("owner")?,
                text: row.text("text")?,
            })
        };
        rows.iter().map(part).collect()
    }
}

/// The schema that is there for the time of a transaction only.
const ASIDE: &str = "provost_aside";

impl Postgres {
    /// Runs `f` in an empty schema, in a transaction that is rolled back.
    pub(in crate::db) fn aside<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut done = None;
        let ended: Result<()> = self.import(|tx| {
            tx.script(&format!("CREATE SCHEMA {ASIDE}"))
                .map_err(|error| {
                    Error::Config(format!("the role may make no schema: {}", error.causes()))
                })?;
            tx.script(&format!("SET LOCAL search_path TO {ASIDE}"))?;
            done = Some(f(tx));
            // What is not committed leaves nothing behind.
            Err(Error::Cancelled)
        });
        match done {
            Some(result) => result,
            None => Err(ended.err().unwrap_or(Error::Cancelled)),
        }
    }
}
