//! Invitations: an account for whoever holds the link, with the address that it was sent to and the
//! roles that the inviter chose. It is good only as long as the inviter has the right to invite.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::{bad, ways};
use crate::app::{Actor, App, Cx};
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::outbox::{self, Letter, Mail};
use crate::scope::known;
use crate::secret::Secret;
use crate::time::{Period, Timestamp};
use crate::tokens::{self, Kind, Link, NewLink};
use crate::users::{self, Email, NewUser, Prepared, Role, State, User};

/// The longest life of an invitation.
const LONGEST: Period = Period(Duration::from_hours(24 * 30));

/// An invitation as it may be shown, again and again.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Invitation {
    /// The token's public id: `provost token revoke` takes it back.
    pub id: String,
    /// Who is invited.
    pub email: String,
    /// What the account may do.
    pub roles: Vec<Role>,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whether it is sent by mail.
    pub mailed: bool,
}

/// Invites whoever has this address. Returns the token and, where the settings have one, the page
/// with it: both are shown once.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::ReauthenticationNeeded`]; [`Error::EmailTaken`]; [`Error::Invalid`] for a life
/// that is too long.
pub fn invite(
    cx: &mut Cx<'_, '_>,
    email: &Email,
    roles: &[Role],
    ttl: Option<Period>,
) -> Result<(Invitation, Secret<String>, Option<Secret<String>>)> {
    cx.actor.require(known::USER_WRITE)?;
    cx.actor.require_fresh(cx.now)?;
    users::may_give(cx, roles)?;
    let ttl = ttl.unwrap_or(cx.kit.config.links.invitation_ttl);
    if ttl > LONGEST || ttl.0 < Duration::from_mins(1) {
        return Err(Error::invalid(
            "ttl",
            format!("must be from 1m to {LONGEST}"),
        ));
    }
    if users::named(cx, email.as_str())?.is_some() {
        return Err(Error::EmailTaken);
    }
    let roles = match roles {
        [] => vec![Role::User],
        roles => {
            let mut roles = roles.to_vec();
            roles.sort_unstable();
            roles.dedup();
            roles
        }
    };
    let kind = Kind::Invitation;
    // It ends with all that the inviter has open: it was their right to give. That of the shell
    // ends with its time.
    let inviter = cx.actor.user().map(str::to_owned);
    let inviter = inviter.map(|id| users::by_id(cx, &id)).transpose()?;
    if inviter
        .as_ref()
        .is_some_and(|inviter| inviter.state != State::Active)
    {
        return Err(Error::Unauthenticated);
    }
    let (id, token) = tokens::issue_link(
        cx,
        &NewLink {
            kind,
            owner: inviter.as_ref(),
            ttl: ttl.0,
            label: Some(email.as_str().to_owned()),
            meta: Some(Map::from_iter([("roles".to_owned(), json!(roles))])),
            good: true,
        },
    )?;
    let way = ways::to(&cx.kit.config, kind, &token);
    let mail = Mail {
        to: Some(email.as_str()),
        letter: Letter::Invitation,
        way: Some(&way),
        ttl: ttl.0,
    };
    let mailed = outbox::queue(cx, &mail)?;
    let event = Event::new("user.invited", format!("token:{id}"));
    audit::record(cx, event.with(json!({ "roles": roles, "mailed": mailed })))?;
    let invitation = Invitation {
        id: id.to_string(),
        email: email.as_str().to_owned(),
        roles,
        expires_at: cx.now.plus(ttl.0),
        mailed,
    };
    let page = ways::page(&cx.kit.config, kind, &token);
    Ok((invitation, token, page))
}

/// Somebody who was invited and whose account may be made, the password hashed.
#[derive(Clone, Debug)]
pub struct Invited {
    token: Secret<String>,
    prepared: Prepared,
}

/// The first half of accepting an invitation: looks at it, and hashes the password, outside of any
/// transaction. The account gets the address and the roles of the invitation.
///
/// # Errors
/// [`Error::Invalid`] for an invitation that is not good, another address than its own, or a
/// password that may not be chosen; [`Error::Unavailable`] when too many wait to be hashed.
pub fn prepare_invited(
    app: &App,
    actor: &Actor,
    token: Secret<String>,
    mut new: NewUser,
) -> Result<Invited> {
    let (email, roles) = app.read(actor, |cx| {
        let link = tokens::look_at_link(cx, token.expose(), Kind::Invitation)?.ok_or_else(bad)?;
        invited(&link)
    })?;
    if new.email.as_ref().is_some_and(|other| *other != email) {
        let reason = "must be the address that was invited, or left out";
        return Err(Error::invalid("email", reason));
    }
    new.email = Some(email);
    new.roles = roles;
    let prepared = users::prepare_invited(app, actor, new)?;
    Ok(Invited { token, prepared })
}

/// The second half: takes the invitation and makes the account.
///
/// # Errors
/// [`Error::Invalid`] for an invitation that is no longer good; [`Error::UsernameTaken`],
/// [`Error::EmailTaken`], [`Error::PhoneTaken`], and then the invitation is as good as before.
pub fn register_invited(cx: &mut Cx<'_, '_>, order: &Invited) -> Result<User> {
    let kind = Kind::Invitation;
    let link = tokens::take_link(cx, order.token.expose(), kind)?.ok_or_else(bad)?;
    let (email, _) = invited(&link)?;
    let user = users::create_prepared(cx, &order.prepared)?;
    // Who holds the link reads the mail.
    users::email_proved(cx, &user.id, &email)?;
    let details = json!({ "user": user.id });
    let event = Event::new("user.invitation_accepted", format!("token:{}", link.id));
    audit::record(cx, event.with(details))?;
    users::resolve(cx, &user.id)
}

fn invited(link: &Link) -> Result<(Email, Vec<Role>)> {
    let email = link.label.as_deref().ok_or_else(bad)?.parse()?;
    let roles = link.meta.get("roles").cloned().unwrap_or(Json::Null);
    let roles = serde_json::from_value(roles).map_err(Error::internal)?;
    Ok((email, roles))
}
