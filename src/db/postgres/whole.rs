//! What concerns a PostgreSQL database as a whole. Each such work has a connection of its own, that
//! no deadline cuts off.

use std::sync::Arc;

use super::lock::daemons;
use super::server::Purpose;
use super::{Access, Link, Postgres};
use crate::db::schema::{Table, list, quoted};
use crate::db::whole::{About, Check, Finding};
use crate::db::{Row, Tx};
use crate::error::{Error, Result};

impl Postgres {
    pub(in crate::db) fn export<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.at_length()?.snapshot(f)
    }

    pub(in crate::db) fn import<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut link = self.at_length()?;
        let done = link.transaction(f)?;
        // The server plans for tables that it has not looked at, some ways ten times as slow, until
        // its own housekeeping comes by. That is no reason to fail: everything is in.
        let tables = link.tables().unwrap_or_default();
        let _planned_worse = link.batch(&format!("ANALYZE {}", list(&tables)));
        Ok(done)
    }

    fn at_length(&self) -> Result<Link> {
        let mut link = Link::open(&self.server, Purpose::Whole)?;
        link.set_schema(Arc::clone(&self.about.schema));
        Ok(link)
    }

    pub(in crate::db) fn about(&self) -> Result<About> {
        let sql = "SELECT current_setting('server_encoding') AS encoding,
              (SELECT datcollate FROM pg_database WHERE datname = current_database()) AS collation,
              current_setting('synchronous_commit') AS synchronous_commit,
              COALESCE(host(inet_server_addr()) || ':' || inet_server_port(), 'a socket') AS address,
              (SELECT CAST(COUNT(*) AS TEXT) FROM pg_stat_activity
                WHERE datname = current_database()) AS connections,
              current_setting('max_connections') AS max_connections,
              (SELECT CAST(COALESCE(SUM(pg_total_relation_size(c.oid)), 0) AS BIGINT)
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = current_schema() AND c.relkind = 'r') AS bytes";
        let row = self.at_length()?.first(sql, &[])?;
        let row = row.ok_or_else(|| Error::internal("the server says nothing of itself"))?;
        let mut settings = vec![("schema", self.about.schema.as_ref().to_owned())];
        for name in [
            "encoding",
            "collation",
            "synchronous_commit",
            "address",
            "connections",
            "max_connections",
        ] {
            settings.push((name, row.text(name)?));
        }
        Ok(About {
            engine: self.facts().engine,
            settings,
            bytes: u64::try_from(row.int("bytes")?).map_err(Error::internal)?,
            free_bytes: None,
            log_bytes: None,
            disk_free: None,
            ballast_bytes: None,
        })
    }

    pub(in crate::db) fn vacuum(&self) -> Result<()> {
        let mut link = self.at_length()?;
        let tables = link.tables()?;
        link.batch(&format!("VACUUM (ANALYZE) {}", list(&tables)))
    }

    pub(in crate::db) fn call_reading(&self) -> Result<()> {
        match &self.access {
            Access::Direct(_) => Ok(()),
            Access::Served { serving, .. } => serving.call_reading(),
        }
    }

    pub(in crate::db) fn daemons(&self) -> Result<Vec<String>> {
        daemons(&mut self.at_length()?, &self.about.schema)
    }

    /// The instant at which the server started, to the microsecond, and the numbers that it gave
    /// the database and the schema. Its own id, which is kept, not everybody may read.
    pub(in crate::db) fn place(&self) -> Result<String> {
        let sql = "SELECT CAST(pg_postmaster_start_time() AS TEXT) || ' ' || d.oid || ' ' || n.oid AS place
             FROM pg_database d, pg_namespace n
             WHERE d.datname = current_database() AND n.nspname = current_schema()";
        let row = self.at_length()?.first(sql, &[])?;
        let row = row.ok_or_else(|| Error::internal("a database that is nowhere"))?;
        Ok(format!("postgres:{}", row.str("place")?))
    }

    pub(in crate::db) fn examine(&self) -> Result<Vec<Check>> {
        let mut link = self.at_length()?;
        let schema = link.describe()?;
        Ok(vec![
            indexes(&mut link)?,
            pages(&mut link)?,
            constraints(&mut link)?,
            dangling(&mut link, &schema)?,
        ])
    }
}

/// Indexes that are not used or not up to date: a unique one like that lets doubles in.
fn indexes(link: &mut Link) -> Result<Check> {
    let sql = "SELECT c.relname AS object, 'is not valid: drop it, or REINDEX it' AS detail
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema() AND NOT (i.indisvalid AND i.indisready AND i.indislive)
         ORDER BY 1";
    Ok(Check {
        name: "indexes",
        about: "every index is valid".to_owned(),
        skipped: false,
        findings: findings(&link.all(sql, &[])?)?,
    })
}

/// Every page of every index and every row that it should have, by the extension `amcheck`, which
/// an ordinary account may seldom use.
fn pages(link: &mut Link) -> Result<Check> {
    let mut check = Check {
        name: "integrity",
        about: "needs the extension amcheck and the right to use it".to_owned(),
        skipped: true,
        findings: Vec::new(),
    };
    // The extension's own: another one of that name, in whoever's schema, would run as us.
    let sql = "SELECT quote_ident(n.nspname) AS home
         FROM pg_extension e
         JOIN pg_depend d ON d.refobjid = e.oid AND d.deptype = 'e'
           AND d.refclassid = CAST('pg_extension' AS REGCLASS)
           AND d.classid = CAST('pg_proc' AS REGCLASS)
         JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE e.extname = 'amcheck' AND p.proname = 'bt_index_check' AND p.pronargs = 2
           AND has_function_privilege(p.oid, 'EXECUTE')";
    let Some(home) = link.first(sql, &[])? else {
        return Ok(check);
    };
    let sql = "SELECT c.relname AS name, CAST(c.oid AS BIGINT) AS id FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam
         JOIN pg_index i ON i.indexrelid = c.oid
         WHERE n.nspname = current_schema() AND c.relkind = 'i' AND m.amname = 'btree'
           AND i.indisvalid
         ORDER BY c.relname";
    let walk = format!(
        "SELECT CAST({}.bt_index_check(CAST(CAST($1 AS BIGINT) AS OID), true) AS TEXT) AS walked",
        home.str("home")?
    );
    let indexes = link.all(sql, &[])?;
    for index in &indexes {
        let id = index.int("id")?;
        match link.single(|tx| tx.first(&walk, &[id.into()])) {
            Ok(_) => {}
            Err(Error::Corrupt(detail)) => check.findings.push(Finding {
                object: index.text("name")?,
                detail,
            }),
            Err(error) => return Err(error),
        }
    }
    check.skipped = false;
    check.about = format!(
        "amcheck, every row in every one of {} indexes",
        indexes.len()
    );
    Ok(check)
}

/// Constraints that were never looked at, and foreign keys whose triggers somebody has switched
/// off.
fn constraints(link: &mut Link) -> Result<Check> {
    let sql = "SELECT c.relname AS object, k.conname || ' was never validated' AS detail
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema() AND NOT k.convalidated
         UNION ALL
         SELECT DISTINCT c.relname, k.conname || ' is switched off'
         FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_constraint k ON k.oid = t.tgconstraint
         WHERE n.nspname = current_schema() AND t.tgenabled <> 'O'
         ORDER BY 1, 2";
    Ok(Check {
        name: "constraints",
        about: "every constraint is in force".to_owned(),
        skipped: false,
        findings: findings(&link.all(sql, &[])?)?,
    })
}

/// Rows that point to rows that are not there, looked for one by one.
fn dangling(link: &mut Link, tables: &[Table]) -> Result<Check> {
    let mut check = Check {
        name: "foreign_keys",
        about: "every row that points to another".to_owned(),
        skipped: false,
        findings: Vec::new(),
    };
    for table in tables {
        for reference in &table.references {
            let pairs = || reference.columns.iter().zip(&reference.to);
            let set = pairs().map(|(here, _)| format!("child.{} IS NOT NULL", quoted(here)));
            let same = pairs().map(|(here, there)| {
                let (here, there) = (quoted(here), quoted(there));
                format!("parent.{there} = child.{here}")
            });
            let (set, same): (Vec<_>, Vec<_>) = (set.collect(), same.collect());
            let sql = format!(
                "SELECT COUNT(*) AS n FROM {} child WHERE {}
                   AND NOT EXISTS (SELECT 1 FROM {} parent WHERE {})",
                quoted(&table.name),
                set.join(" AND "),
                quoted(&reference.table),
                same.join(" AND "),
            );
            let row = link.first(&sql, &[])?;
            let n = row.map_or(Ok(0), |row| row.int("n"))?;
            if n > 0 {
                let found = Finding::dangling(table.name.clone(), n, &reference.table);
                check.findings.push(found);
            }
        }
    }
    Ok(check)
}

fn findings(rows: &[Row]) -> Result<Vec<Finding>> {
    let finding = |row: &Row| {
        Ok(Finding {
            object: row.text("object")?,
            detail: row.text("detail")?,
        })
    };
    rows.iter().map(finding).collect()
}
