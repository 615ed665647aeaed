//! What a database is made of, as its engine writes it down: for comparing two of them.

use super::script::{Kind, tokens};
use super::{Db, Engine, Tx, TxEngine, question};
use crate::error::{Error, Result};

/// A table, an index, a view or a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is: `table`, `index`, `view`, `trigger`.
    pub sort: String,
    /// Its name.
    pub name: String,
    /// The table that it belongs to: its own name for a table.
    pub table: String,
    /// How it is made, without comments, a line for each column.
    pub text: String,
}

impl Part {
    /// Whether it belongs to this table. Whoever makes a trigger may write its name in capitals.
    #[must_use]
    pub fn is_of(&self, table: &str) -> bool {
        self.table.eq_ignore_ascii_case(table)
    }

    /// Whether it is a table whose rows a module of the engine makes up.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.text.to_ascii_uppercase().starts_with("CREATE VIRTUAL")
    }
}

/// Something that a table should not be without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No index begins with the columns of a foreign key.
    ForeignKey {
        /// The table.
        table: String,
        /// The columns that point elsewhere.
        columns: Vec<String>,
    },
    /// It has no primary key.
    NoKey {
        /// The table.
        table: String,
    },
}

impl Flaw {
    /// The table that has it.
    #[must_use]
    pub fn table(&self) -> &str {
        match self {
            Self::ForeignKey { table, .. } | Self::NoKey { table } => table,
        }
    }
}

impl Db {
    /// Runs `f` on an empty database beside this one, on the same engine. Nothing of it is kept.
    ///
    /// # Errors
    /// What `f` returns; `Unavailable`, `Config` if the server allows no schema to be made.
    pub fn aside<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.engine {
            Engine::Sqlite(_) => Self::memory()?.import(f),
            Engine::Postgres(postgres) => postgres.aside(f),
        }
    }
}

impl Tx<'_> {
    /// Everything that the database is made of, but for what the engine makes by itself, by name.
    ///
    /// # Errors
    /// As [`Tx::all`].
    pub fn shape(&mut self) -> Result<Vec<Part>> {
        let mut parts = match &mut self.engine {
            TxEngine::Sqlite(session) => session.shape()?,
            TxEngine::Postgres(link) => link.shape()?,
            TxEngine::Asked(_) => return question::refuse(),
        };
        // A table before what belongs to it.
        parts.sort_by(|a, b| (&a.table, &b.sort, &a.name).cmp(&(&b.table, &a.sort, &b.name)));
        Ok(parts)
    }

    /// What the tables of a database in memory should not be without.
    ///
    /// # Errors
    /// As [`Tx::all`]; `Internal` on a server.
    pub fn flaws(&mut self) -> Result<Vec<Flaw>> {
        match &mut self.engine {
            TxEngine::Sqlite(session) => session.flaws(),
            TxEngine::Postgres(_) => Err(Error::internal("flaws are looked for in memory")),
            TxEngine::Asked(_) => question::refuse(),
        }
    }
}

/// A statement without its comments, in lines: one for each part of its outermost parentheses.
pub(super) fn plain(statement: &str, in_lines: bool) -> String {
    let (mut text, mut depth) = (String::with_capacity(statement.len()), 0_usize);
    for token in tokens(statement) {
        if matches!(token.kind, Kind::Space | Kind::Comment) {
            if !text.ends_with([' ', '\n']) {
                text.push(' ');
            }
            continue;
        }
        if token.is_mark(")") {
            depth = depth.saturating_sub(1);
            if depth == 0 && in_lines {
                text.truncate(text.trim_end().len());
                text.push('\n');
            }
        }
        text.push_str(token.text);
        if token.is_mark("(") {
            depth += 1;
        }
        if depth == 1 && in_lines && (token.is_mark("(") || token.is_mark(",")) {
            text.push_str("\n  ");
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_column_and_no_comment() {
        let windows = "CREATE TABLE t (\r\n  a TEXT, -- first\r\n  b INTEGER CHECK (b IN (0, 1)) /* x */\r\n) STRICT";
        let lines = "CREATE TABLE t (\n  a TEXT,\n  b INTEGER CHECK (b IN (0, 1))\n) STRICT";
        assert_eq!(plain(windows, true), lines);
        assert_eq!(plain(lines, true), lines);
        // What is in a literal or a name is no layout.
        let index = "CREATE INDEX i  ON t (a, b) WHERE \"c  d\" = '-- x  y'";
        assert_eq!(plain(index, false), index.replacen("  ", " ", 1));
    }

    #[test]
    fn what_is_made_aside_is_described_and_gone() {
        let db = Db::fresh();
        let parts = db
            .aside(|tx| {
                tx.script(
                    "CREATE TABLE parents (id INTEGER PRIMARY KEY, n TEXT NOT NULL) STRICT;
                     CREATE TABLE children (
                       id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id)
                     ) STRICT;
                     CREATE INDEX children_parent_idx ON children (parent);",
                )?;
                tx.shape()
            })
            .unwrap();
        let told: Vec<(&str, &str)> = parts
            .iter()
            .map(|it| (it.sort.as_str(), it.name.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("table", "children"),
                ("index", "children_parent_idx"),
                ("table", "parents")
            ]
        );
        assert!(parts[0].text.lines().count() > 3, "{}", parts[0].text);
        assert!(
            !parts.iter().any(|it| it.text.contains("aside")),
            "{parts:?}"
        );
        assert!(db.read(|tx| Ok(tx.shape()?.is_empty())).unwrap());
    }

    #[test]
    fn a_foreign_key_without_an_index_and_a_table_without_a_key_are_found() {
        let db = Db::memory().unwrap();
        let flaws = db
            .import(|tx| {
                tx.script(
                    "CREATE TABLE p (id TEXT PRIMARY KEY, a TEXT, b TEXT, UNIQUE (a, b)) STRICT;
                     CREATE TABLE covered (
                       id TEXT REFERENCES p (id), n TEXT, q TEXT REFERENCES p (id), r TEXT REFERENCES p,
                       a TEXT, b TEXT, PRIMARY KEY (id, n), FOREIGN KEY (a, b) REFERENCES p (a, b)
                     ) STRICT;
                     CREATE INDEX q ON covered (q, n) WHERE q IS NOT NULL;
                     CREATE UNIQUE INDEX r ON covered (r);
                     CREATE INDEX ba ON covered (b, a, n);
                     CREATE TABLE bare (id TEXT REFERENCES p (id), n TEXT REFERENCES p (id)) STRICT;
                     CREATE INDEX some ON bare (n) WHERE id > 'a';
                     CREATE INDEX second ON bare (n, id) WHERE n > 'a';",
                )?;
                tx.flaws()
            })
            .unwrap();
        let key = |column: &str| Flaw::ForeignKey {
            table: "bare".into(),
            columns: vec![column.into()],
        };
        let none = Flaw::NoKey {
            table: "bare".into(),
        };
        assert_eq!(flaws, [none, key("id"), key("n")]);
    }
}
