//! Looking for damage in an `SQLite` file.

use std::fmt::Write as _;

use super::Sqlite;
use super::session::Session;
use crate::db::whole::{Check, Finding};
use crate::error::{Error, Result};

impl Sqlite {
    pub(in crate::db) fn examine(&self) -> Result<Vec<Check>> {
        self.at_length(examine)
    }
}

/// Every page, index and constraint of the file, then every reference between its rows.
pub(super) fn examine(session: Session<'_>) -> Result<Vec<Check>> {
    let checks = [
        (
            "integrity",
            "every page, every index, every constraint",
            session.integrity(),
        ),
        (
            "foreign_keys",
            "every row that points to another",
            session.dangling(),
        ),
    ];
    let checks = checks.into_iter().map(|(name, about, found)| {
        Ok(Check {
            name,
            about: about.to_owned(),
            skipped: false,
            findings: told(found)?,
        })
    });
    checks.collect()
}

impl Session<'_> {
    fn integrity(self) -> Result<Vec<Finding>> {
        let rows = self.walk(
            "SELECT integrity_check AS found FROM pragma_integrity_check",
            &[],
        )?;
        let texts = rows.iter().map(|row| row.text("found"));
        let texts: Vec<String> = texts.collect::<Result<_>>()?;
        let bad = texts.into_iter().filter(|text| text != "ok");
        Ok(bad.map(whole).collect())
    }

    fn dangling(self) -> Result<Vec<Finding>> {
        let rows = self.walk(
            "SELECT \"table\" AS child, parent, COUNT(*) AS n, MIN(rowid) AS example
             FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2",
            &[],
        )?;
        let finding = |row: &crate::db::Row| {
            let (rows, parent) = (row.int("n")?, row.text("parent")?);
            let mut found = Finding::dangling(row.text("child")?, rows, &parent);
            if let Some(id) = row.opt_int("example")? {
                let _ = write!(found.detail, ", the first has rowid {id}");
            }
            Ok(found)
        };
        rows.iter().map(finding).collect()
    }
}

fn whole(detail: String) -> Finding {
    Finding {
        object: "database".to_owned(),
        detail,
    }
}

/// What stops a check in its tracks by being damaged is what it looked for.
fn told(found: Result<Vec<Finding>>) -> Result<Vec<Finding>> {
    match found {
        Err(Error::Corrupt(reason)) => Ok(vec![whole(reason)]),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::db::Db;

    #[test]
    fn rows_that_point_nowhere_are_counted_by_table() {
        let db = Db::memory().unwrap();
        // Only outside of a transaction can the rule be switched off, so the schema comes last.
        db.write(|tx| {
            tx.script(
                "CREATE TABLE children (parent TEXT REFERENCES parents (id)) STRICT;
                 CREATE TABLE parents (id TEXT PRIMARY KEY) STRICT;
                 PRAGMA defer_foreign_keys = ON;
                 INSERT INTO parents VALUES ('a');
                 INSERT INTO children VALUES ('a'), ('a');",
            )
        })
        .unwrap();
        assert!(
            db.examine()
                .unwrap()
                .iter()
                .all(|it| it.findings.is_empty())
        );
        db.write(|tx| {
            tx.script(
                "PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = replace(sql, 'parents', 'others') WHERE name = 'children';
                 PRAGMA writable_schema = RESET;",
            )
        })
        .unwrap();
        let checks = db.examine().unwrap();
        let found = &checks[1].findings;
        assert_eq!((checks[1].name, found.len()), ("foreign_keys", 1));
        assert_eq!(found[0].object, "children");
        assert!(
            found[0].detail.starts_with("2 rows point to others"),
            "{found:?}"
        );
    }
}
