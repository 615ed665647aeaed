//! What a course is, and what may be asked of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Slug, Summary, Tag, Title};
use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::users::{Change, Locale, Role};

/// How far a course has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CourseState)]
pub enum State {
    /// It is being written: nobody sees it but who manages it.
    Draft,
    /// Those whom it is for see it.
    Published,
    /// It is over: nobody sees it but who manages it.
    Archived,
}

impl State {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 3] = [Self::Draft, Self::Published, Self::Archived];

    /// The word, as stored and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Archived => "archived",
        }
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| Error::invalid("state", "must be draft, published or archived"))
    }
}

/// For whom a published course is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Visibility {
    /// For everybody who is logged in.
    Public,
    /// For those who are enrolled or invited.
    Enrolled,
    /// For those who have this role, and those who are enrolled or invited.
    Role(Role),
}

impl Visibility {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 5] = [
        Self::Public,
        Self::Enrolled,
        Self::Role(Role::Admin),
        Self::Role(Role::Author),
        Self::Role(Role::User),
    ];

    /// The word, as stored and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Enrolled => "enrolled",
            Self::Role(Role::Admin) => "role:admin",
            Self::Role(Role::Author) => "role:author",
            Self::Role(Role::User) => "role:user",
        }
    }
}

impl FromStr for Visibility {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            let rule = "must be public, enrolled, role:admin, role:author or role:user";
            Error::invalid("visibility", rule)
        })
    }
}

impl TryFrom<String> for Visibility {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Visibility> for &'static str {
    fn from(visibility: Visibility) -> Self {
        visibility.as_str()
    }
}

/// How somebody gets into a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Whoever sees the course may enrol.
    Open,
    /// Who manages the course invites people, who accept.
    Invitation,
    /// Only who manages the course enrols people.
    Closed,
}

impl Admission {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Invitation, Self::Closed];

    /// The word, as stored and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invitation => "invitation",
            Self::Closed => "closed",
        }
    }
}

impl FromStr for Admission {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| Error::invalid("enrolment", "must be open, invitation or closed"))
    }
}

/// A course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Course {
    /// The id.
    pub id: String,
    /// Its name in addresses and files.
    #[schema(example = "operating-provost")]
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub summary: String,
    /// The language that it is written in (BCP 47).
    #[schema(example = "en")]
    pub language: Option<String>,
    /// How far it has come.
    pub state: State,
    /// For whom it is.
    #[schema(value_type = String, pattern = "^(public|enrolled|role:(admin|author|user))$", example = "public")]
    pub visibility: Visibility,
    /// How somebody gets into it.
    pub enrolment: Admission,
    /// The id of the user whose it is.
    pub owner: Option<String>,
    /// The words under which it is found, in order.
    pub tags: Vec<String>,
    /// Grows with every change.
    #[schema(minimum = 1)]
    pub version: i64,
    /// When it was published last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub published_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When anything of this was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl Course {
    /// Which version of which course this is.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp {
            id: self.id.clone(),
            version: self.version,
            updated_at: self.updated_at,
            owned: self.owner.is_some(),
        }
    }
}

/// Which version of which course: all that its `ETag` has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The course's id: another one may have had the same slug.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// When that was made: after a restore the same number may be another version.
    pub updated_at: Timestamp,
    /// Whether it is anybody's: an account that is erased leaves its courses without a new version.
    pub owned: bool,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owned = if self.owned { "" } else { "-" };
        write!(
            f,
            "{}.{}.{}{owned}",
            self.id, self.version, self.updated_at.0
        )
    }
}

/// A course to be made.
#[derive(Clone, Debug)]
pub struct NewCourse {
    /// Its name in addresses and files.
    pub slug: Slug,
    /// What it is called.
    pub title: Title,
    /// What it is about.
    pub summary: Summary,
    /// The language that it is written in.
    pub language: Option<Locale>,
    /// For whom it is.
    pub visibility: Visibility,
    /// How somebody gets into it.
    pub enrolment: Admission,
    /// The words under which it is found.
    pub tags: Vec<Tag>,
    /// Whose it is, by any name; with none, an author's is their own and another's is nobody's.
    pub owner: Option<String>,
}

impl NewCourse {
    /// A course for everybody with nothing but its names.
    #[must_use]
    pub fn named(slug: Slug, title: Title) -> Self {
        Self {
            slug,
            title,
            summary: Summary::default(),
            language: None,
            visibility: Visibility::Public,
            enrolment: Admission::Open,
            tags: Vec::new(),
            owner: None,
        }
    }
}

/// Changes to a course; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Its name in addresses and files.
    pub slug: Option<Slug>,
    /// What it is called.
    pub title: Option<Title>,
    /// What it is about.
    pub summary: Option<Summary>,
    /// The language that it is written in.
    pub language: Change<Locale>,
    /// How far it has come.
    pub state: Option<State>,
    /// For whom it is.
    pub visibility: Option<Visibility>,
    /// How somebody gets into it.
    pub enrolment: Option<Admission>,
    /// The words under which it is found, all of them.
    pub tags: Option<Vec<Tag>>,
    /// Whose it is, by any name.
    pub owner: Change<String>,
}

impl Changes {
    /// Nothing but another state.
    #[must_use]
    pub fn to(state: State) -> Self {
        Self {
            state: Some(state),
            ..Self::default()
        }
    }
}

/// Which courses to list; what is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// In this language.
    pub language: Option<Locale>,
    /// Of this user, by any name.
    pub owner: Option<String>,
    /// Only those in which the person who asks is enrolled.
    pub enrolled: bool,
    /// With this in the slug, the title or the summary, in any case.
    pub q: Option<String>,
}
