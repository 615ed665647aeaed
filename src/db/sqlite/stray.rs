//! Finding rows of an `SQLite` file that point to rows that are not there.

use std::collections::BTreeMap;

use super::Sqlite;
use super::session::Session;
use crate::db::Tx;
use crate::db::schema::{Table, list, quoted};
use crate::db::stray::Stray;
use crate::error::Result;

/// A foreign key.
#[derive(Debug, Default)]
struct Link {
    parent: String,
    here: Vec<String>,
    there: Vec<String>,
    /// Whether a row stays when the one goes that it points to.
    loose: bool,
}

impl Sqlite {
    pub(in crate::db) fn import_loosely<T>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<T> {
        // Within a transaction it cannot be switched.
        self.hold_keys(false)?;
        let done = self.import(f);
        self.hold_keys(true)?;
        done
    }
}

impl Session<'_> {
    pub(in crate::db) fn strays(self, more: &[(&str, &str)], most: u32) -> Result<Vec<Stray>> {
        let tables = self.describable()?;
        let named = |name: &str| tables.iter().find(|table| table.name == name);
        let mut found: Vec<Stray> = Vec::new();
        for table in tables.iter().filter(|table| !table.key.is_empty()) {
            for link in self.links(&table.name)? {
                let Some(parent) = named(&link.parent) else {
                    continue;
                };
                let there = if link.there.is_empty() {
                    &parent.key
                } else {
                    &link.there
                };
                let pairs = link.here.iter().zip(there);
                let same: Vec<String> = pairs
                    .map(|(here, there)| format!("p.{} = o.{}", quoted(there), quoted(here)))
                    .collect();
                let set = link.here.iter();
                let set: Vec<String> = set
                    .map(|here| format!("o.{} IS NOT NULL", quoted(here)))
                    .collect();
                let condition = format!(
                    "{} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
                    set.join(" AND "),
                    quoted(&parent.name),
                    same.join(" AND ")
                );
                let loose = if link.loose { link.here } else { Vec::new() };
                found.extend(self.those(table, &parent.name, &condition, &loose, most)?);
                if found.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
                    return Ok(found);
                }
            }
        }
        for (name, condition) in more {
            if let Some(table) = named(name) {
                found.extend(self.those(table, "users", condition, &[], most)?);
            }
        }
        // One row can be without several others.
        found.sort_by(|a, b| (&a.table, a.stays()).cmp(&(&b.table, b.stays())));
        Ok(found)
    }

    fn those(
        self,
        table: &Table,
        to: &str,
        condition: &str,
        loose: &[String],
        most: u32,
    ) -> Result<Vec<Stray>> {
        let columns = list(table.columns.iter().map(|column| &column.name));
        let name = quoted(&table.name);
        let sql = format!("SELECT {columns} FROM {name} o WHERE {condition} LIMIT {most}");
        let rows = self.walk(&sql, &[])?.into_iter();
        let strays = rows.map(|row| Stray::new(table, to, loose.to_vec(), row.into_values()));
        Ok(strays.collect())
    }

    fn links(self, table: &str) -> Result<Vec<Link>> {
        let rows = self.walk(
            "SELECT id, \"table\" AS parent, \"from\" AS here, \"to\" AS there, on_delete
             FROM pragma_foreign_key_list($1) ORDER BY id, seq",
            &[table.into()],
        )?;
        let mut links: BTreeMap<i64, Link> = BTreeMap::new();
        for row in &rows {
            let link = links.entry(row.int("id")?).or_default();
            link.parent = row.text("parent")?;
            link.loose = row.str("on_delete")? == "SET NULL";
            link.here.push(row.text("here")?);
            link.there.extend(row.opt_text("there")?);
        }
        Ok(links.into_values().collect())
    }
}
