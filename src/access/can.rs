//! Who may do what. The answer is [`Actor::require`]'s, asked for somebody who is not here: the
//! same rule that each request meets, with each step of the way there told.

use std::net::IpAddr;

use serde::Serialize;

use crate::app::{Actor, Cx, Who};
use crate::error::{Error, Result};
use crate::scope::{Scope, known};
use crate::tokens::{self, Kind, Token};
use crate::users::{self, Role, State, User};

/// What is to be known.
#[derive(Clone, Debug)]
pub struct Question {
    /// A user by any name, or a token by its id; `user:` or `token:` before it says which.
    pub subject: String,
    /// What it wants to do.
    pub action: Scope,
    /// To which account: only for actions on accounts.
    pub object: Option<String>,
    /// From which address.
    pub from: Option<IpAddr>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it may.
    pub allowed: bool,
    /// Whose: `user:ivan`, `token:0LqP3xYz8Ab`.
    pub subject: String,
    /// What it wanted to do.
    pub action: String,
    /// How the answer came about: everything that was looked at.
    pub steps: Vec<Step>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What.
    pub rule: &'static str,
    /// Whether it stands in the way.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

/// Whether `question.subject` may do it.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read` and `token:read`; [`Error::NotFound`],
/// [`Error::Ambiguous`]; [`Error::Invalid`] for an object of an action that has none.
pub fn can(cx: &mut Cx<'_, '_>, question: &Question) -> Result<Verdict> {
    cx.actor.require(known::USER_READ)?;
    cx.actor.require(known::TOKEN_READ)?;
    let object = object(cx, question)?;
    let (subject, steps) = match subject(cx, &question.subject)? {
        Subject::User(user) => {
            let steps = steps_of_user(&user, &question.action, object.as_deref());
            (format!("user:{}", user.username), steps)
        }
        Subject::Token(token) => {
            let ended = tokens::ended_with_owner(cx, token.id)?;
            let steps = steps_of_token(&token, ended, question);
            (format!("token:{}", token.id), steps)
        }
    };
    Ok(Verdict {
        allowed: steps.iter().all(|step| step.passed),
        subject,
        action: question.action.to_string(),
        steps,
    })
}

enum Subject {
    User(Box<User>),
    Token(Box<Token>),
}

fn subject(cx: &mut Cx<'_, '_>, text: &str) -> Result<Subject> {
    if let Some(id) = text.strip_prefix("token:") {
        return tokens::get(cx, id).map(Box::new).map(Subject::Token);
    }
    let name = text.strip_prefix("user:");
    match (users::get(cx, name.unwrap_or(text)), name) {
        (Ok(user), _) => Ok(Subject::User(Box::new(user))),
        (Err(Error::NotFound { .. }), None) => match tokens::get(cx, text) {
            Ok(token) => Ok(Subject::Token(Box::new(token))),
            Err(Error::NotFound { .. }) => Err(Error::no_such("user or token", text)),
            Err(other) => Err(other),
        },
        (Err(other), _) => Err(other),
    }
}

/// The id of the account that is to be acted upon.
fn object(cx: &mut Cx<'_, '_>, question: &Question) -> Result<Option<String>> {
    let Some(object) = &question.object else {
        return Ok(None);
    };
    if ![known::USER_READ, known::USER_WRITE].contains(&question.action.as_str()) {
        let reason = "is known only for user:read and user:write, and is a user";
        return Err(Error::invalid("object", reason));
    }
    let user = users::get(cx, object.strip_prefix("user:").unwrap_or(object))?;
    Ok(Some(user.id))
}

fn step(rule: &'static str, passed: bool, found: impl Into<String>) -> Step {
    Step {
        rule,
        passed,
        found: found.into(),
    }
}

fn steps_of_user(user: &User, action: &Scope, object: Option<&str>) -> Vec<Step> {
    let state = step(
        "state",
        user.state == State::Active,
        match user.state {
            State::Active => "the account is active".to_owned(),
            State::Disabled => format!("the account is disabled{}", because(user)),
            State::Deleted => "the account is deleted".to_owned(),
        },
    );
    let admin = user.roles.contains(&Role::Admin);
    let actor = person(user, admin);
    let reached = actor.require(action.as_str()).is_ok();
    let own = object == Some(user.id.as_str());
    let roles: Vec<&str> = user.roles.iter().map(|role| role.as_str()).collect();
    let roles = if roles.is_empty() {
        "no role".to_owned()
    } else {
        roles.join(", ")
    };
    let found = match (reached, own) {
        (true, _) => format!("{roles}: an administrator may do everything"),
        (false, true) => format!(
            "{roles}: only an administrator may do {action}; of their own account people see and change \
             what /api/v1/me shows"
        ),
        (false, false) => format!("{roles}: only an administrator may do {action}"),
    };
    vec![state, step("roles", reached, found)]
}

fn because(user: &User) -> String {
    let reason = user.disabled_reason.as_ref();
    reason.map_or(String::new(), |reason| format!(": {reason}"))
}

/// The user as a request with a session would be.
fn person(user: &User, admin: bool) -> Actor {
    actor(Who::Session {
        id: String::new(),
        user: user.id.clone(),
        username: user.username.clone(),
        roles: String::new(),
        admin,
        authenticated_at: user.created_at,
    })
}

fn actor(who: Who) -> Actor {
    Actor {
        who,
        ip: None,
        request: None,
    }
}

fn steps_of_token(token: &Token, ended: bool, question: &Question) -> Vec<Step> {
    let action = &question.action;
    let kind = match token.kind {
        Kind::Api => step("kind", true, "an API token"),
        Kind::Temporary => step("kind", false, "a temporary token carries no authority"),
        Kind::Invitation | Kind::PasswordReset | Kind::LoginLink | Kind::Email => {
            step("kind", false, "a link opens its own door and no other")
        }
    };
    let good = matches!(token.state, tokens::State::Active);
    let state = match (token.state, token.revoked_at) {
        (tokens::State::Revoked, Some(at)) => format!("revoked {at}"),
        (state, _) => state.as_str().to_owned(),
    };
    let owner = token.owner.as_deref();
    let epoch = match (owner, ended) {
        (None, _) => "it belongs to nobody".to_owned(),
        (Some(owner), false) => format!("{owner} has ended nothing since it was issued"),
        (Some(owner), true) => format!("everything that {owner} had opened was ended"),
    };
    let actor = actor(Who::Token {
        id: token.id.to_string(),
        owner: None,
        scopes: token.scopes.clone(),
        expires_at: token.expires_at,
        cidr: token.cidr,
    });
    let reached = actor.require(action.as_str()).is_ok();
    let scopes = match (token.scopes.to_string(), reached) {
        (none, _) if none.is_empty() => "it has no scopes".to_owned(),
        (scopes, true) => format!("{scopes}: {action} is among them"),
        (scopes, false) => format!("{scopes}: {action} is not among them"),
    };
    let network = match (token.cidr, question.from) {
        (None, _) => step("network", true, "from anywhere"),
        (Some(network), None) => step("network", true, format!("only from {network}")),
        (Some(network), Some(from)) => {
            let inside = network.contains(&from.to_canonical());
            step(
                "network",
                inside,
                format!("only from {network}, not from elsewhere"),
            )
        }
    };
    vec![
        kind,
        step("state", good, state),
        step("epoch", !ended, epoch),
        step("scopes", reached, scopes),
        network,
    ]
}
