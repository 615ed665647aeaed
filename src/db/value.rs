//! What can be stored: integer, text, bytes, null; nothing else. Rows come back as owned values
//! and are read by column name, so that a store function cannot tell which engine it is on.

use std::cell::Cell;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::time::Timestamp;

/// One value going in or coming out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// An integer: a count, a flag, an instant, minor units of money.
    Int(i64),
    /// Text, in UTF-8.
    Text(String),
    /// Bytes: a digest, a sealed answer.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(i64::from(int))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Int(i64::from(flag))
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Int(at.0)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer: values under their column names.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Arc<[Box<str>]>,
    values: Vec<Value>,
    /// The place after the one that was read last: columns are mostly read in their order, and
    /// then none is searched for.
    next: Cell<usize>,
}

impl Row {
    /// A row of `values` under `columns`, which the rows of one answer share.
    #[must_use]
    pub(super) fn new(columns: Arc<[Box<str>]>, values: Vec<Value>) -> Self {
        Self {
            columns,
            values,
            next: Cell::new(0),
        }
    }

    /// The values, in the order of the statement's columns.
    #[must_use]
    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }

    fn place(&self, column: &str) -> Option<usize> {
        let is_it = |name: &str| name == column;
        let next = self.next.get();
        let place = if self.columns.get(next).is_some_and(|name| is_it(name)) {
            next
        } else {
            self.columns.iter().position(|name| is_it(name))?
        };
        self.next.set(place + 1);
        Some(place)
    }

    fn value(&self, column: &str) -> Result<&Value> {
        let place = self.place(column);
        place
            .and_then(|place| self.values.get(place))
            .ok_or_else(|| missing(column))
    }

    fn value_mut(&mut self, column: &str) -> Result<&mut Value> {
        let place = self.place(column);
        place
            .and_then(|place| self.values.get_mut(place))
            .ok_or_else(|| missing(column))
    }

    /// An integer.
    ///
    /// # Errors
    /// [`Error::Internal`] if the column is missing or holds something else; so for all of these.
    pub fn int(&self, column: &str) -> Result<i64> {
        self.opt_int(column)?
            .ok_or_else(|| mismatch(column, "an integer"))
    }

    /// An integer or null.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        match self.value(column)? {
            Value::Int(int) => Ok(Some(*int)),
            Value::Null => Ok(None),
            Value::Text(_) | Value::Bytes(_) => Err(mismatch(column, "an integer")),
        }
    }

    /// Text.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn text(&self, column: &str) -> Result<String> {
        self.opt_text(column)?
            .ok_or_else(|| mismatch(column, "text"))
    }

    /// Text, without a copy.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn str(&self, column: &str) -> Result<&str> {
        match self.value(column)? {
            Value::Text(text) => Ok(text),
            Value::Null | Value::Int(_) | Value::Bytes(_) => Err(mismatch(column, "text")),
        }
    }

    /// Text or null.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn opt_text(&self, column: &str) -> Result<Option<String>> {
        match self.value(column)? {
            Value::Text(text) => Ok(Some(text.clone())),
            Value::Null => Ok(None),
            Value::Int(_) | Value::Bytes(_) => Err(mismatch(column, "text")),
        }
    }

    /// Text, which is not in the row any more after that: nothing is copied.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn take_text(&mut self, column: &str) -> Result<String> {
        self.take_opt_text(column)?
            .ok_or_else(|| mismatch(column, "text"))
    }

    /// The same of text or null.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn take_opt_text(&mut self, column: &str) -> Result<Option<String>> {
        let value = self.value_mut(column)?;
        match std::mem::replace(value, Value::Null) {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            Value::Int(_) | Value::Bytes(_) => Err(mismatch(column, "text")),
        }
    }

    /// Bytes.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn bytes(&self, column: &str) -> Result<&[u8]> {
        match self.value(column)? {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Int(_) | Value::Text(_) | Value::Null => Err(mismatch(column, "bytes")),
        }
    }

    /// Bytes or null.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn opt_bytes(&self, column: &str) -> Result<Option<&[u8]>> {
        match self.value(column)? {
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Null => Ok(None),
            Value::Int(_) | Value::Text(_) => Err(mismatch(column, "bytes")),
        }
    }

    /// A flag: 0 or 1.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    /// An instant.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn time(&self, column: &str) -> Result<Timestamp> {
        self.int(column).map(Timestamp)
    }

    /// An instant or null.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn opt_time(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.opt_int(column)?.map(Timestamp))
    }
}

fn missing(column: &str) -> Error {
    Error::internal(format!("the answer has no column {column}"))
}

fn mismatch(column: &str, wanted: &str) -> Error {
    Error::internal(format!("column {column} does not hold {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let columns: Arc<[Box<str>]> = ["a", "b", "c"].map(Box::from).into();
        Row::new(columns, vec!["x".into(), 7_i64.into(), Value::Null])
    }

    #[test]
    fn columns_are_found_in_any_order_and_more_than_once() {
        let row = row();
        for _ in 0..2 {
            assert_eq!(row.text("a").unwrap(), "x");
            assert_eq!(row.int("b").unwrap(), 7);
            assert_eq!(row.opt_text("c").unwrap(), None);
        }
        assert_eq!(row.int("b").unwrap(), 7);
        assert_eq!(row.text("a").unwrap(), "x");
        assert!(row.text("d").is_err());
        assert!(row.text("b").is_err());
    }

    #[test]
    fn text_that_was_taken_is_gone() {
        let mut row = row();
        assert_eq!(row.take_text("a").unwrap(), "x");
        assert!(row.take_text("a").is_err());
        assert_eq!(row.take_opt_text("c").unwrap(), None);
        assert!(row.take_opt_text("b").is_err());
        assert!(row.take_opt_text("d").is_err());
    }
}
