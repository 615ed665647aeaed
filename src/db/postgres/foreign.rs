//! Reading a table of another program, through a cursor in a transaction that cannot write.

use super::link::Link;
use super::server::{Purpose, Server};
use crate::db::Row;
use crate::db::schema::quoted;
use crate::error::{Error, Result};

/// Rows of a page.
const PAGE: u32 = 1000;

/// A table of another program.
#[derive(Debug)]
pub(in crate::db) struct Foreign {
    link: Link,
    /// As the server writes it: with its schema, if that must be said.
    table: String,
    columns: Vec<Column>,
    ended: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    sort: String,
}

impl Column {
    /// The column as text.
    fn as_text(&self) -> String {
        let name = quoted(&self.name);
        // An instant that is no instant (`infinity`) becomes null.
        let instant = |at: String| format!("to_char({at}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')");
        let text = match self.sort.as_str() {
            "timestamptz" => instant(format!("({name} AT TIME ZONE 'UTC')")),
            "timestamp" => instant(name.clone()),
            "date" => instant(format!("CAST({name} AS TIMESTAMP)")),
            "bool" => format!("CASE WHEN {name} THEN 'true' WHEN NOT {name} THEN 'false' END"),
            _ => format!("CAST({name} AS TEXT)"),
        };
        format!("{text} AS {name}")
    }
}

impl Foreign {
    pub(in crate::db) fn open(url: &str, table: &str) -> Result<Self> {
        let server = Server::parse(url).map_err(|error| {
            if let Error::Config(reason) = error {
                Error::Usage(reason.replacen("db is", "the DSN is", 1))
            } else {
                error
            }
        })?;
        let server = server.of_another();
        let mut link = Link::open(&server, Purpose::Foreign)?;
        link.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let found = link.first(
            "SELECT CAST(to_regclass(CAST($1 AS TEXT)) AS TEXT) AS name",
            &[quoted(table).into()],
        )?;
        let name = found.map_or(Ok(None), |row| row.opt_text("name"))?;
        let name = name.ok_or_else(|| Error::no_such("table", table))?;
        let rows = link.all(
            "SELECT a.attname AS name, t.typname AS sort
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = to_regclass(CAST($1 AS TEXT)) AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum",
            &[quoted(table).into()],
        )?;
        let column = |row: &Row| {
            Ok(Column {
                name: row.text("name")?,
                sort: row.text("sort")?,
            })
        };
        Ok(Self {
            link,
            table: name,
            columns: rows.iter().map(column).collect::<Result<_>>()?,
            ended: false,
        })
    }

    pub(in crate::db) fn columns(&self) -> Vec<&str> {
        let names = self.columns.iter().map(|column| column.name.as_str());
        names.collect()
    }

    pub(in crate::db) fn count(&mut self) -> Result<u64> {
        let sql = format!("SELECT COUNT(*) AS n FROM {}", self.table);
        let row = self.link.first(&sql, &[])?;
        let n = row.map_or(Ok(0), |row| row.int("n"))?;
        u64::try_from(n).map_err(Error::internal)
    }

    pub(in crate::db) fn select(&mut self, columns: &[&str], key: &str) -> Result<()> {
        let text = |name: &&str| {
            let found = self.columns.iter().find(|column| column.name == **name);
            found
                .map(Column::as_text)
                .ok_or_else(|| Error::no_such("column", name))
        };
        let list: Vec<String> = columns.iter().map(text).collect::<Result<_>>()?;
        // The table's name before the key's: what is selected has the same name and is text.
        let (list, table, key) = (list.join(", "), &self.table, quoted(key));
        self.link.batch(&format!(
            "DECLARE pages NO SCROLL CURSOR FOR SELECT {list} FROM {table} t ORDER BY t.{key}"
        ))
    }

    pub(in crate::db) fn page(&mut self) -> Result<Vec<Row>> {
        if self.ended {
            return Ok(Vec::new());
        }
        let rows = self
            .link
            .all(&format!("FETCH FORWARD {PAGE} FROM pages"), &[])?;
        self.ended = rows.is_empty();
        Ok(rows)
    }
}
