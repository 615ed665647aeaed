//! The list of courses, page by page, and how somebody who has a page finds out that it still holds.

use std::fmt::{self, Write as _};

use super::sight::{self, Person, Reach};
use super::{Course, Filter, Stamp, store};
use crate::app::Cx;
use crate::db::Tx;
use crate::error::Result;
use crate::page::{self, Page};
use crate::secret::sha256_hex;
use crate::time::Timestamp;
use crate::users;

/// Which version of which page this is: all that its `ETag` has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageStamp(String);

/// What tells a course in a page from what it was, and where it stands.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) stamp: Stamp,
    pub(super) created_at: Timestamp,
}

impl PageStamp {
    /// The stamp of `page`.
    #[must_use]
    pub fn of(page: &Page<Course>) -> Self {
        let shown = page.items.iter().map(Course::stamp);
        Self::new(shown, page.next.as_deref())
    }

    fn new(shown: impl Iterator<Item = Stamp>, next: Option<&str>) -> Self {
        let mut text = String::with_capacity(4096);
        for stamp in shown {
            let _infallible = write!(text, "{stamp} ");
        }
        text.push_str(next.unwrap_or_default());
        let mut digest = sha256_hex(text.as_bytes());
        digest.truncate(32);
        Self(digest)
    }
}

impl fmt::Display for PageStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Courses that are there for the actor, the newest first.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden) for a token without `course:read`;
/// [`Error::Invalid`](crate::error::Error::Invalid) for a cursor that is none;
/// [`Error::NotFound`](crate::error::Error::NotFound) for an owner who does not exist.
pub fn list(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Course>> {
    let courses = asked(cx, filter, cursor, limit, store::page)?;
    Ok(Page::cut(courses, limit, |it| place(it.created_at, &it.id)))
}

/// Which version the page is that [`list`] would give now: less than the page itself, for who has
/// one already.
///
/// # Errors
/// As [`list`].
pub fn page_stamp(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<PageStamp> {
    let seen = asked(cx, filter, cursor, limit, store::seen)?;
    let page = Page::cut(seen, limit, |it| place(it.created_at, &it.stamp.id));
    let shown = page.items.into_iter().map(|it| it.stamp);
    Ok(PageStamp::new(shown, page.next.as_deref()))
}

fn place(created_at: Timestamp, id: &str) -> String {
    format!("{}.{id}", created_at.0)
}

/// What is asked of the list, in the words of the store.
pub(super) struct Asked<'a> {
    pub(super) filter: &'a Filter,
    /// The user who asks.
    pub(super) user: Option<&'a str>,
    /// For whom the courses must be there; none for who sees all.
    pub(super) person: Option<Person<'a>>,
    /// The id of the owner whom the filter names.
    pub(super) owner: Option<&'a str>,
    /// The place before which the page lies.
    pub(super) before: (Timestamp, &'a str),
    pub(super) limit: u32,
}

/// One row more than `limit`, which only says that there is more.
fn asked<T>(
    cx: &mut Cx<'_, '_>,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
    read: fn(&mut Tx<'_>, &Asked<'_>) -> Result<Vec<T>>,
) -> Result<Vec<T>> {
    let person = match sight::reach(cx.actor)? {
        Reach::All => None,
        Reach::Person(person) => Some(person),
    };
    let before = match cursor {
        Some(cursor) => page::place(cursor, '.')?,
        None => (Timestamp(i64::MAX), ""),
    };
    let owner = match (&filter.owner, person) {
        // Whether somebody else exists is not for everybody to know.
        (Some(owner), Some(person)) => Some(users::id_of(cx, owner)?)
            .flatten()
            .filter(|id| id == person.id)
            .or_else(|| Some(String::new())),
        (Some(owner), None) => Some(users::resolve(cx, owner)?.id),
        (None, _) => None,
    };
    let asked = Asked {
        filter,
        user: cx.actor.user(),
        person,
        owner: owner.as_deref(),
        before,
        limit: limit.saturating_add(1),
    };
    read(cx.tx, &asked)
}
