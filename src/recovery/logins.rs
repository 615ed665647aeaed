//! Login links: an administrator lets somebody in who cannot log in.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{bad, bound, holder, object, ways};
use crate::app::Cx;
use crate::audit::Event;
use crate::error::{Error, Result};
use crate::outbox::{self, Letter, Mail};
use crate::scope::known;
use crate::secret::Secret;
use crate::sessions::{self, Entry, Turn};
use crate::throttle::{self, Account};
use crate::time::{Period, Timestamp};
use crate::tokens::{self, Kind, NewLink};
use crate::users::{self, Role, State};
use crate::{audit, factors};

/// The longest life of a login link (security.md, rule 7).
const LONGEST: Period = Period(Duration::from_hours(1));

/// What sort of login link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// How long it is good.
    pub ttl: Option<Period>,
    /// Send it to the user's address, too.
    pub mail: bool,
}

/// A login link as it may be shown, again and again.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LoginLink {
    /// The token's public id.
    pub id: String,
    /// Whom it lets in.
    pub username: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whether it is sent by mail.
    pub mailed: bool,
}

/// Makes a login link for a user. Returns the token and, where the settings have one, the page with
/// it: both are shown once.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::ReauthenticationNeeded`];
/// [`Error::NotFound`]; [`Error::Invalid`] for an account that cannot be used, a life that is too long, or mail that cannot be sent.
pub fn login_link(
    cx: &mut Cx<'_, '_>,
    user: &str,
    order: Order,
) -> Result<(LoginLink, Secret<String>, Option<Secret<String>>)> {
    cx.actor.require(known::USER_WRITE)?;
    cx.actor.require_fresh(cx.now)?;
    let user = users::resolve(cx, user)?;
    users::may_touch(cx, &user)?;
    if user.state != State::Active {
        let reason = format!("is {}: nobody can log in as it", user.state);
        return Err(Error::invalid("user", reason));
    }
    let ttl = order.ttl.unwrap_or(cx.kit.config.links.login_ttl);
    if ttl > LONGEST || ttl.0 < Duration::from_secs(1) {
        return Err(Error::invalid(
            "ttl",
            format!("must be from 1s to {LONGEST}"),
        ));
    }
    let kind = Kind::LoginLink;
    let address = user.email.as_deref().filter(|_| order.mail);
    if order.mail && address.is_none() {
        return Err(Error::invalid(
            "mail",
            "needs an address, and there is none",
        ));
    }
    let (id, token) = tokens::issue_link(
        cx,
        &NewLink {
            kind,
            owner: Some(&user),
            ttl: ttl.0,
            label: None,
            meta: address.map(|email| bound(cx, email)),
            good: true,
        },
    )?;
    if let Some(email) = address {
        let way = ways::to(&cx.kit.config, kind, &token);
        let mail = Mail {
            to: Some(email),
            letter: Letter::LoginLink,
            way: Some(&way),
            ttl: ttl.0,
        };
        if !outbox::queue(cx, &mail)? {
            return Err(Error::invalid(
                "mail",
                "cannot be sent: smtp.host is not set",
            ));
        }
    }
    let event = Event::new("user.login_link_made", object(&user.id));
    audit::record(cx, event.with(json!({ "token": id, "mailed": order.mail })))?;
    let link = LoginLink {
        id: id.to_string(),
        username: user.username,
        expires_at: cx.now.plus(ttl.0),
        mailed: order.mail,
    };
    let page = ways::page(&cx.kit.config, kind, &token);
    Ok((link, token, page))
}

/// Somebody who comes with a login link.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The token.
    pub token: Secret<String>,
    /// A code of the second factor, or a recovery code.
    pub otp: Option<Secret<String>>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The client's program.
    pub client: Option<String>,
}

/// Opens a session for whoever holds a login link and, where the account has one, the second factor.
/// The inner result is the answer; the outer one decides over the transaction: a wrong code uses the
/// link up, or it could be guessed with one link.
///
/// # Errors
/// [`Error::Invalid`] for a link that is not good; [`Error::OtpRequired`] without the code that is
/// asked for, and then the link is as good as before; inside, for a wrong code.
pub fn enter(cx: &mut Cx<'_, '_>, arrival: &Arrival) -> Result<Result<Turn>> {
    let (text, kind) = (arrival.token.expose(), Kind::LoginLink);
    let link = tokens::look_at_link(cx, text, kind)?.ok_or_else(bad)?;
    // Before the link is taken: whatever ends what it could open moves the epoch, and if that is
    // done after this the session does not open.
    let owner = link.owner.as_deref().ok_or_else(bad)?;
    let account = users::credentials_of(cx, owner)?.ok_or_else(bad)?;
    let link = tokens::take_link(cx, text, kind)?.ok_or_else(bad)?;
    let user = holder(cx, &link)?;
    let mut methods = vec!["login_link"];
    if factors::required(cx, &user.id)? {
        let otp = arrival.otp.as_ref();
        let otp = otp.ok_or(Error::OtpRequired)?;
        if !factors::take(cx, &user.id, otp.expose())? {
            let event = Event::refused("session.login_failed", object(&user.id));
            audit::record(cx, event.with(json!({ "method": "login_link" })))?;
            return Ok(Err(Error::InvalidCredentials { retry_after: None }));
        }
        methods.push("otp");
    }
    let entry = Entry {
        user_id: account.id,
        username: account.username,
        epoch: account.epoch,
        admin: account.roles.contains(&Role::Admin),
        methods,
        ip: arrival.ip,
        client: arrival.client.clone(),
    };
    throttle::succeeded(cx, &Account::user(&entry.user_id), arrival.ip)?;
    match sessions::open(cx, &entry) {
        // Disabled or changed a moment ago.
        Err(Error::Unauthenticated) => Err(bad()),
        opened => opened.map(Ok),
    }
}
