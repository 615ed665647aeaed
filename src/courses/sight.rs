//! Who sees a course, and who manages it: one answer for courses, enrolments, lessons, files and
//! progress.
//!
//! Invariant: what somebody may not see is not there for them. That something may not be changed is
//! said only to who sees it.

use super::{Admission, State, Visibility};
use crate::app::{Actor, Who};
use crate::error::{Error, Result};
use crate::scope::known;
use crate::time::Timestamp;
use crate::users::Role;

/// What the actor is to a course, as far as one statement can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tie {
    /// Nothing.
    #[default]
    None,
    /// Invited, and has not accepted.
    Invited,
    /// Enrolled.
    Enrolled,
}

/// What decides who may do what with a course, as far as the actor asks for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The course's id.
    pub id: String,
    /// Its name in addresses.
    pub slug: String,
    /// Its version.
    pub version: i64,
    /// When that was made.
    pub updated_at: Timestamp,
    /// How far it has come.
    pub state: State,
    /// For whom it is.
    pub visibility: Visibility,
    /// How somebody gets into it.
    pub enrolment: Admission,
    /// The id of the user whose it is.
    pub owner: Option<String>,
    /// What the actor is to it.
    pub tie: Tie,
}

/// How far the actor's sight reaches before any course is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach<'a> {
    /// Every course.
    All,
    /// Those of a person: what they are enrolled in, what is public or for a role of theirs, and,
    /// with the role of an author, their own.
    Person(Person<'a>),
}

/// Somebody who is logged in, without being an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Person<'a> {
    pub(super) id: &'a str,
    roles: &'a str,
}

impl Person<'_> {
    pub(super) fn has(self, role: Role) -> bool {
        self.roles.split(' ').any(|word| word == role.as_str())
    }
}

/// How far the actor sees.
///
/// # Errors
/// [`Error::Unauthenticated`] without a credential; [`Error::Forbidden`] for a token without
/// `course:read`.
pub(super) fn reach(actor: &Actor) -> Result<Reach<'_>> {
    match &actor.who {
        Who::Session {
            user,
            roles,
            admin: false,
            ..
        } => Ok(Reach::Person(Person { id: user, roles })),
        Who::Operator { .. }
        | Who::Job(_)
        | Who::Token { .. }
        | Who::Session { .. }
        | Who::Anonymous => actor.require(known::COURSE_READ).map(|()| Reach::All),
    }
}

/// Whom something is about that people do for themselves, and others for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom<'t> {
    /// The actor's own person, by the id.
    Own(String),
    /// Whoever has this name, which may be any.
    Named(&'t str),
}

/// Whom the actor means who says `user`. Who says nothing means the actor's own person: of a session
/// its own, of a token with `scope` its owner. At the shell there is none, and `missing` tells what
/// to say.
///
/// # Errors
/// [`Error::Unauthenticated`]; [`Error::Forbidden`] for a token without `scope`; [`Error::Invalid`]
/// if that is nobody.
pub fn whom<'t>(
    actor: &Actor,
    scope: &str,
    user: Option<&'t str>,
    missing: &str,
) -> Result<Whom<'t>> {
    let own = match &actor.who {
        Who::Session { user, .. } => Some(user.as_str()),
        Who::Operator { .. } | Who::Job(_) | Who::Token { .. } | Who::Anonymous => {
            actor.require(scope)?;
            actor.user()
        }
    };
    match (user, own) {
        (Some(user), own) if own != Some(user) => Ok(Whom::Named(user)),
        (_, Some(own)) => Ok(Whom::Own(own.to_owned())),
        (_, None) => Err(Error::invalid("user", format!("is missing: say {missing}"))),
    }
}

/// Whether the actor may make courses.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::Unauthenticated`].
pub(super) fn may_create(actor: &Actor) -> Result<()> {
    match reach_of_person(actor) {
        Some(person) if person.has(Role::Author) => Ok(()),
        Some(_) | None => actor.require(known::COURSE_WRITE),
    }
}

fn reach_of_person(actor: &Actor) -> Option<Person<'_>> {
    match reach(actor) {
        Ok(Reach::Person(person)) => Some(person),
        Ok(Reach::All) | Err(_) => None,
    }
}

impl Gate {
    /// Whether the actor manages the course: an administrator, a program with `course:write`, the
    /// author whose it is.
    #[must_use]
    pub fn manages(&self, actor: &Actor) -> bool {
        match reach_of_person(actor) {
            Some(person) => person.has(Role::Author) && self.owner.as_deref() == Some(person.id),
            None => actor.require(known::COURSE_WRITE).is_ok(),
        }
    }

    /// Lets the actor change what belongs to the course.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require_manager(&self, actor: &Actor) -> Result<()> {
        if self.manages(actor) {
            return Ok(());
        }
        Err(Error::Forbidden {
            needs: known::COURSE_WRITE.into(),
        })
    }

    /// Whether the actor may see what people have done in the course: who manages it, and a
    /// program with `course:read`.
    #[must_use]
    pub fn oversees(&self, actor: &Actor) -> bool {
        self.manages(actor) || matches!(reach(actor), Ok(Reach::All))
    }

    /// Whether the course is there for the actor.
    pub(super) fn visible(&self, actor: &Actor) -> Result<bool> {
        let meant = self.meant(actor)?;
        let published = self.state == State::Published;
        Ok(self.oversees(actor) || published && (meant || self.tie != Tie::None))
    }

    /// Whether a published course would be for the actor without being enrolled.
    fn meant(&self, actor: &Actor) -> Result<bool> {
        Ok(match (reach(actor)?, self.visibility) {
            (Reach::All, _) | (_, Visibility::Public) => true,
            (_, Visibility::Enrolled) => false,
            (Reach::Person(person), Visibility::Role(role)) => person.has(role),
        })
    }

    /// Whether the actor, who sees the course, may read its lessons and files: everybody but those
    /// who were invited into what is not for everybody, and have not accepted.
    ///
    /// # Errors
    /// As for seeing it.
    pub fn readable(&self, actor: &Actor) -> Result<bool> {
        Ok(self.tie == Tie::Enrolled || self.oversees(actor) || self.meant(actor)?)
    }
}
