//! The rescue: an administrator for a service that has none who can get in. Only at the shell, where
//! whoever can read the key file may do everything anyway.

use serde_json::json;

use super::{Order, login_link, object, tell_of_password};
use crate::app::{Actor, App, Cx, Who};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::factors;
use crate::password::{Password, PasswordHash};
use crate::secret::Secret;
use crate::throttle::{self, Account};
use crate::tokens::{self, Kind};
use crate::users::{self, Filter, NewPassword, NewUser, Prepared, Role, State, User, Username};

/// How the rescued administrator gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// By a new random password.
    Password,
    /// By a login link; there is no password then.
    LoginLink,
}

/// What a rescue would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The id of an account that is there.
    id: Option<String>,
    /// The administrator's user name.
    pub username: String,
    /// Each thing, as an order.
    pub steps: Vec<&'static str>,
}

/// A rescued administrator, and what lets them in: shown once.
#[derive(Clone, Debug)]
pub struct Rescued {
    /// Who.
    pub user: User,
    /// The password, or the login link's token.
    pub secret: Secret<String>,
    /// The page with the token.
    pub page: Option<Secret<String>>,
}

/// Looks at what a rescue of `user` would do; without a name, of the only administrator there is.
///
/// # Errors
/// [`Error::Forbidden`] anywhere but at the shell; [`Error::Usage`] if nobody is named and there is
/// not exactly one administrator; [`Error::NotFound`] for a name that cannot be a user name.
pub fn plan_rescue(cx: &mut Cx<'_, '_>, user: Option<&str>, with: With) -> Result<Plan> {
    at_shell(cx.actor)?;
    let found = match user {
        Some(text) => match users::resolve(cx, text) {
            Ok(user) => user,
            Err(Error::NotFound { noun, given }) => {
                let Ok(name) = text.parse::<Username>() else {
                    return Err(Error::NotFound { noun, given });
                };
                return Ok(Plan {
                    id: None,
                    username: name.as_str().to_owned(),
                    steps: vec!["make the account", "make it an administrator", way(with)],
                });
            }
            Err(error) => return Err(error),
        },
        None => only_administrator(cx)?,
    };
    let mut steps = Vec::new();
    if found.state != State::Active {
        steps.push("enable it");
    }
    if !found.roles.contains(&Role::Admin) {
        steps.push("make it an administrator");
    }
    if factors::required(cx, &found.id)? {
        steps.push("remove its second factor");
    }
    steps.push("end everything that it has open");
    steps.push(way(with));
    Ok(Plan {
        id: Some(found.id),
        username: found.username,
        steps,
    })
}

const fn way(with: With) -> &'static str {
    match with {
        With::Password => "replace its password with a random one",
        With::LoginLink => "remove its password and make a login link",
    }
}

fn at_shell(actor: &Actor) -> Result<()> {
    match actor.who {
        Who::Operator { .. } => Ok(()),
        Who::Job(_) | Who::Token { .. } | Who::Session { .. } | Who::Anonymous => {
            Err(Error::Forbidden {
                needs: "the shell of the service".into(),
            })
        }
    }
}

fn only_administrator(cx: &mut Cx<'_, '_>) -> Result<User> {
    let filter = Filter {
        role: Some(Role::Admin),
        ..Filter::default()
    };
    let mut found = users::list(cx, &filter, None, 2)?.items;
    match (found.pop(), found.is_empty()) {
        (Some(user), true) => Ok(user),
        (Some(_), false) => Err(Error::Usage(
            "there are several administrators; say whom: provost admin rescue USER".into(),
        )),
        (None, _) => Err(Error::Usage(
            "there is no administrator; say who becomes one: provost admin rescue USER".into(),
        )),
    }
}

/// What is made ready before the transaction: hashing takes its time.
enum Entry {
    /// The password's hash of an account that is there.
    Old(Option<PasswordHash>),
    /// The account itself.
    New(Box<Prepared>),
}

impl Entry {
    fn prepare(
        app: &App,
        actor: &Actor,
        plan: &Plan,
        password: &Password,
        with: With,
    ) -> Result<Self> {
        let new_password = || match with {
            With::Password => NewPassword::Text(password.clone()),
            With::LoginLink => NewPassword::None,
        };
        match (&plan.id, with) {
            (Some(_), With::Password) => app.kit().hasher.hash(password).map(Some).map(Self::Old),
            (Some(_), With::LoginLink) => Ok(Self::Old(None)),
            (None, _) => {
                let new = NewUser {
                    roles: vec![Role::Admin],
                    password: new_password(),
                    ..NewUser::named(plan.username.parse()?)
                };
                users::prepare(app, actor, new).map(|ready| Self::New(Box::new(ready)))
            }
        }
    }
}

/// Does what [`plan_rescue`] says, all of it or nothing.
///
/// # Errors
/// As [`plan_rescue`]; [`Error::Unavailable`] when too many passwords wait to be hashed.
pub fn rescue(app: &App, actor: &Actor, user: Option<&str>, with: With) -> Result<Rescued> {
    at_shell(actor)?;
    let password = Password::generate()?;
    let plan = app.read(actor, |cx| plan_rescue(cx, user, with))?;
    let entry = Entry::prepare(app, actor, &plan, &password, with)?;
    let named = user.map(str::to_owned);
    let (user, link) = app.write(actor, move |cx| {
        // Once more: it may have changed since somebody looked.
        let plan = plan_rescue(cx, named.as_deref(), with)?;
        let user = match (&plan.id, &entry) {
            (Some(id), Entry::Old(hash)) => {
                users::enable(cx, id)?;
                users::grant(cx, id, Role::Admin)?;
                factors::reset(cx, id)?;
                users::replace_password(cx, id, hash.as_ref())?;
                tokens::end_links(cx, id, &[Kind::PasswordReset, Kind::LoginLink])?;
                throttle::clear(cx, &Account::user(id))?;
                users::resolve(cx, id)?
            }
            (None, Entry::New(prepared)) => users::create_prepared(cx, prepared)?,
            (Some(_), Entry::New(_)) | (None, Entry::Old(_)) => {
                return Err(Error::unavailable(
                    "the account was made or deleted meanwhile",
                ));
            }
        };
        let details = json!({ "done": plan.steps });
        let event = Event::new("admin.rescued", object(&user.id));
        audit::record(cx, event.with(details))?;
        tell_of_password(cx, &user)?;
        let link = match with {
            With::Password => None,
            With::LoginLink => Some(login_link(cx, &user.id, Order::default())?),
        };
        Ok((user, link))
    })?;
    let (secret, page) = match link {
        Some((_, token, page)) => (token, page),
        None => (Secret::new(password.expose().to_owned()), None),
    };
    Ok(Rescued { user, secret, page })
}
