//! Enrolments: who takes which course, since when, and who brought them there.
//!
//! Invariants: a person has one enrolment in a course, whatever becomes of it; withdrawing keeps what
//! was done; of whoever brought somebody there only an id is kept.

pub mod cli;
pub mod http;
mod store;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::{Cx, Who};
use crate::audit::{self, Event};
use crate::courses::{self, Admission, Gate, Tie, Whom};
use crate::error::{Error, Result};
use crate::id;
use crate::page::{self, Page};
use crate::scope::known;
use crate::time::Timestamp;
use crate::users;

/// How far somebody has got into a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EnrolmentState)]
pub enum State {
    /// Asked, and has not accepted.
    Invited,
    /// In it.
    Active,
    /// Out of it again; what was done is kept.
    Withdrawn,
}

impl State {
    /// All there are, in the order in which help texts name them.
    pub const ALL: [Self; 3] = [Self::Invited, Self::Active, Self::Withdrawn];

    /// The word, as stored and as typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn read(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| Error::internal(format!("enrolment state {text}")))
    }

    const fn action(self) -> &'static str {
        match self {
            Self::Invited => "enrolment.invited",
            Self::Active => "enrolment.added",
            Self::Withdrawn => "enrolment.withdrawn",
        }
    }
}

/// Somebody in a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Enrolment {
    /// The id.
    pub id: String,
    /// The slug of the course.
    pub course: String,
    /// The id of the user.
    pub user: String,
    /// The name of the user.
    pub username: String,
    /// How far they have got.
    pub state: State,
    /// Since when it is so.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Who brought them there, as the audit log names them.
    #[schema(example = "user:0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77")]
    pub by: String,
    /// When they came to it first.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Which enrolments to list; what is `None` is not asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
}

fn object(gate: &Gate, user: &str) -> String {
    format!("enrolment:{}/{user}", gate.id)
}

/// The actor by an id, and by nothing that would have to be forgotten.
fn by(cx: &Cx<'_, '_>) -> String {
    match &cx.actor.who {
        Who::Operator { account, .. } => account.clone(),
        Who::Job(_) | Who::Token { .. } | Who::Session { .. } | Who::Anonymous => {
            cx.actor.to_string()
        }
    }
}

/// The people of a course, those who came last first: all of them for who oversees it, and for
/// somebody else their own.
///
/// # Errors
/// As [`courses::gate`]; [`Error::Invalid`] for a cursor that is none.
pub fn list(
    cx: &mut Cx<'_, '_>,
    course: &str,
    filter: Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Enrolment>> {
    let gate = courses::gate(cx, course)?;
    let only = if gate.oversees(cx.actor) {
        None
    } else {
        Some(cx.actor.person()?)
    };
    let before = match cursor {
        Some(cursor) => page::place(cursor, '.')?,
        None => (Timestamp(i64::MAX), ""),
    };
    let most = limit.saturating_add(1);
    let found = store::page(cx.tx, &gate.id, (filter, only), before, most)?;
    Ok(Page::cut(found, limit, |one| {
        format!("{}.{}", one.created_at.0, one.id)
    }))
}

/// Brings somebody into a course: whoever manages it anybody, at once or, with `invite`, by their
/// leave; a person themselves, where that is open to them or they were invited. A token that names
/// nobody brings its owner. Who is in it already stays as they are.
///
/// # Errors
/// As [`courses::gate`]; [`Error::NotFound`] for a user who does not exist; [`Error::Forbidden`];
/// [`Error::Invalid`] for a course that does not admit who asks.
pub fn add(
    cx: &mut Cx<'_, '_>,
    course: &str,
    user: Option<&str>,
    invite: bool,
) -> Result<Enrolment> {
    let gate = courses::gate(cx, course)?;
    let missing = "who is to be enrolled";
    match courses::whom(cx.actor, known::COURSE_WRITE, user, missing)? {
        Whom::Named(user) => {
            gate.require_manager(cx.actor)?;
            let user = users::active(cx, user)?;
            let to = if invite {
                State::Invited
            } else {
                State::Active
            };
            enter(cx, &gate, &user.id, to)
        }
        Whom::Own(own) => {
            cx.tx.lock(("enrolment", &format!("{}/{own}", gate.id)))?;
            // Again: they may have been taken out of it meanwhile.
            let gate = courses::gate(cx, &gate.id)?;
            admit(cx, &gate)?;
            enter(cx, &gate, &own, State::Active)
        }
    }
}

/// Lets somebody in who asks for themselves.
fn admit(cx: &Cx<'_, '_>, gate: &Gate) -> Result<()> {
    if gate.manages(cx.actor) || gate.tie != Tie::None {
        return Ok(());
    }
    let rule = match gate.enrolment {
        Admission::Open if gate.state == courses::State::Published => return Ok(()),
        Admission::Open => "is not published",
        Admission::Invitation => "admits only who is invited",
        Admission::Closed => "admits only whom its author enrols",
    };
    Err(Error::invalid("course", rule))
}

fn enter(cx: &mut Cx<'_, '_>, gate: &Gate, user: &str, to: State) -> Result<Enrolment> {
    cx.tx.lock(("enrolment", &format!("{}/{user}", gate.id)))?;
    let old = store::of(cx.tx, &gate.id, user)?;
    let done = match old.as_ref().map(|old| old.state) {
        Some(State::Active) => true,
        Some(State::Invited) => to == State::Invited,
        Some(State::Withdrawn) | None => false,
    };
    if !done {
        let (fresh, by) = (id::entity(cx.now), by(cx));
        store::put(cx.tx, &fresh, (&gate.id, user), to, &by, cx.now)?;
        audit::record(cx, Event::new(to.action(), object(gate, user)))?;
    }
    of(cx, gate, user)
}

/// The enrolment of the user with this id in a course. For the verbs of other slices, which check
/// what the actor may do.
///
/// # Errors
/// [`Error::NotFound`].
pub fn of(cx: &mut Cx<'_, '_>, gate: &Gate, user: &str) -> Result<Enrolment> {
    store::of(cx.tx, &gate.id, user)?.ok_or_else(|| Error::no_such("enrolment", ""))
}

/// Takes somebody out of a course: whoever manages it anybody, a person themselves, a token that
/// names nobody its owner. What they did is kept, and counts again should they come back.
///
/// # Errors
/// As [`courses::gate`]; [`Error::NotFound`] for who is not in it; [`Error::Forbidden`].
pub fn withdraw(cx: &mut Cx<'_, '_>, course: &str, user: Option<&str>) -> Result<Enrolment> {
    let gate = courses::gate(cx, course)?;
    let missing = "who is to leave";
    let user = match courses::whom(cx.actor, known::COURSE_WRITE, user, missing)? {
        Whom::Own(own) => own,
        Whom::Named(user) => {
            gate.require_manager(cx.actor)?;
            users::resolve(cx, user)?.id
        }
    };
    cx.tx.lock(("enrolment", &format!("{}/{user}", gate.id)))?;
    let old = of(cx, &gate, &user)?;
    if old.state == State::Withdrawn {
        return Ok(old);
    }
    let by = by(cx);
    store::put(
        cx.tx,
        &old.id,
        (&gate.id, &user),
        State::Withdrawn,
        &by,
        cx.now,
    )?;
    let details = json!({ "was": old.state });
    let event = Event::new(State::Withdrawn.action(), object(&gate, &user));
    audit::record(cx, event.with(details))?;
    of(cx, &gate, &user)
}

#[cfg(test)]
mod tests;
