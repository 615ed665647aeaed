//! What tables a database has, as the engine itself describes them: columns, key, references.

use crate::error::{Error, Result};

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in the order of their names: two engines may keep them in another one.
    pub columns: Vec<Column>,
    /// The columns of its primary key, in the order of the key.
    pub key: Vec<String>,
    /// Where its rows point to.
    pub references: Vec<Reference>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub sort: Sort,
}

/// What a column holds, besides nulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Integers.
    Integer,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The columns that point, in order.
    pub columns: Vec<String>,
    /// The table that they point to.
    pub table: String,
    /// The columns there, in the same order.
    pub to: Vec<String>,
}

impl Table {
    /// Where a column stands among the table's columns.
    #[must_use]
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|it| it.name == column)
    }

    /// Puts what an engine listed in its own order into the order that all share.
    pub(super) fn settled(mut self) -> Self {
        self.columns.sort_by(|a, b| a.name.cmp(&b.name));
        self.references.sort();
        self
    }
}

/// The tables in an order in which they can be filled: each after those that its rows point to.
/// What points into its own table stands in no way; its rows come in the order of their key.
///
/// # Errors
/// [`Error::Internal`] if tables point at each other in a circle.
pub fn in_order(tables: Vec<Table>) -> Result<Vec<Table>> {
    let mut left = tables;
    left.sort_by(|a, b| a.name.cmp(&b.name));
    let mut ordered: Vec<Table> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |table: &Table| {
            let points = |name: &str| table.references.iter().any(|it| it.table == name);
            left.iter()
                .any(|other| other.name != table.name && points(&other.name))
        };
        let Some(place) = left.iter().position(|table| !waits(table)) else {
            let names: Vec<&str> = left.iter().map(|table| table.name.as_str()).collect();
            return Err(Error::internal(format!(
                "tables point at each other in a circle: {}",
                names.join(", ")
            )));
        };
        ordered.push(left.remove(place));
    }
    Ok(ordered)
}

/// A name as SQL writes it where it could be mistaken for a word of its own.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as SQL writes a list of columns.
pub(super) fn list<'n>(names: impl IntoIterator<Item = &'n String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| quoted(name)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, parents: &[&str]) -> Table {
        let references = parents.iter().map(|parent| Reference {
            columns: vec![format!("{parent}_id")],
            table: (*parent).to_owned(),
            to: vec!["id".to_owned()],
        });
        Table {
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            references: references.collect(),
        }
    }

    fn order(tables: &[(&str, &[&str])]) -> Result<Vec<String>> {
        let tables = tables.iter().map(|(name, parents)| table(name, parents));
        let ordered = in_order(tables.collect())?;
        Ok(ordered.into_iter().map(|table| table.name).collect())
    }

    #[test]
    fn tables_come_after_those_that_they_point_to() {
        let tables: [(&str, &[&str]); 4] = [
            ("answers", &["quizzes", "users"]),
            ("lessons", &["courses"]),
            ("quizzes", &["lessons"]),
            ("courses", &["users", "courses"]),
        ];
        // Whom nobody describes is not waited for.
        assert_eq!(
            order(&tables).unwrap(),
            ["courses", "lessons", "quizzes", "answers"]
        );
    }

    #[test]
    fn a_circle_is_named() {
        let error = order(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]).unwrap_err();
        let Error::Internal(source) = error else {
            panic!("{error}")
        };
        assert!(
            source.to_string().ends_with("in a circle: a, b"),
            "{source}"
        );
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(
            list(&["a\"b".to_owned(), "c".to_owned()]),
            "\"a\"\"b\", \"c\""
        );
    }
}
