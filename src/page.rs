//! One page of a list, the same at the shell and over HTTP: `{"items":[…],"next":…}`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::time::Timestamp;

/// How many objects a page may have over HTTP: 1 to 200, 50 unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Limit(u32);

impl Limit {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u32> for Limit {
    type Error = Error;

    fn try_from(number: u32) -> Result<Self> {
        if (1..=200).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Error::invalid("limit", "must be 1 to 200"))
        }
    }
}

/// Which part of a list, where nothing else is asked of it.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// How many, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Checks the order that was asked for, if one was. A list has one order, the newest first, which
/// `order` names: a keyset pages through its index and no other.
///
/// # Errors
/// [`Error::Invalid`] that names `order`.
pub fn newest_first(asked: Option<&str>, order: &'static str) -> Result<()> {
    if asked.is_none_or(|asked| asked == order) {
        Ok(())
    } else {
        let reason = format!("must be {order}, the newest first: there is no other order");
        Err(Error::invalid("sort", reason))
    }
}

/// Where a page begins, in a list that is in the order of an instant and of what tells apart what
/// has the same: the two parts of the cursor, between which `mark` stands.
///
/// # Errors
/// [`Error::Invalid`] that names `cursor`.
pub fn place(cursor: &str, mark: char) -> Result<(Timestamp, &str)> {
    cursor
        .split_once(mark)
        .and_then(|(at, rest)| Some((Timestamp(at.parse().ok()?), rest)))
        .ok_or_else(|| Error::invalid("cursor", "is not one of this list"))
}

/// A page of a list in keyset order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The objects, at most as many as were asked for.
    pub items: Vec<T>,
    /// An opaque cursor to the page after this one; `None` on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page from up to `limit` + 1 rows: the surplus row only says that there is more.
    /// `cursor` names the last object shown.
    #[must_use]
    pub fn cut(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    /// The same page with each object turned into another.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surplus_row_is_cut_off_and_becomes_a_cursor() {
        let page = Page::cut(vec![1, 2, 3], 2, ToString::to_string);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(page.next.as_deref(), Some("2"));
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        assert_eq!(place("7.a.b", '.').unwrap(), (Timestamp(7), "a.b"));
        for bad in ["", "7", "x.a", "7-a", ".a"] {
            assert!(place(bad, '.').is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_page_has_no_cursor_even_when_it_is_full() {
        assert_eq!(Page::cut(vec![1, 2], 2, ToString::to_string).next, None);
    }

    #[test]
    fn a_page_is_written_as_items_and_next() {
        let page = Page::cut(vec![7], 9, ToString::to_string);
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"items":[7],"next":null}"#
        );
    }
}
