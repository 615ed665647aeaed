//! What may be given away: how long a token lives, and no more than who gives it has.
//!
//! Invariant: a token that a token made or renewed has no scope, no network and no time that its
//! giver lacks, and belongs to nobody else (security.md, rule 18).

use std::time::Duration;

use ipnet::IpNet;

use super::{Kind, Token};
use crate::app::{Cx, Who};
use crate::error::{Error, Result};
use crate::scope::{Scope, Scopes};
use crate::time::{Lifetime, Timestamp};
use crate::users;

/// Lets scopes be given by who has them.
pub(super) fn scopes(cx: &Cx<'_, '_>, scopes: &Scopes) -> Result<()> {
    let may = |scope: &Scope| match &cx.actor.who {
        Who::Operator { .. } | Who::Job(_) | Who::Session { admin: true, .. } => true,
        Who::Token { scopes: own, .. } => own.permit(scope.as_str()),
        // What a scope means elsewhere is not for an ordinary user to say.
        Who::Session { .. } | Who::Anonymous => false,
    };
    match scopes.as_slice().iter().find(|scope| !may(scope)) {
        Some(beyond) => Err(Error::Forbidden {
            needs: beyond.to_string(),
        }),
        None => Ok(()),
    }
}

/// Whose a new token becomes: what a token makes belongs to whom it belongs itself, or it would act
/// in the name of anybody.
pub(super) fn owner(cx: &mut Cx<'_, '_>, asked: Option<&str>) -> Result<Option<String>> {
    let own = match &cx.actor.who {
        Who::Operator { .. } | Who::Job(_) | Who::Session { admin: true, .. } => {
            return Ok(asked.map(str::to_owned));
        }
        Who::Token { .. } | Who::Session { .. } | Who::Anonymous => cx.actor.user(),
    };
    let own = own.map(str::to_owned);
    let same = match (asked, &own) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(asked), Some(own)) => users::id_of(cx, asked)?.as_ref() == Some(own),
    };
    if same {
        Ok(own)
    } else {
        // The same for who does not exist: that is not for everybody to know.
        Err(Error::Forbidden {
            needs: "role:admin".into(),
        })
    }
}

/// The network of a new token: what is asked for, within the giver's, which is inherited.
pub(super) fn cidr(cx: &Cx<'_, '_>, asked: Option<IpNet>) -> Result<Option<IpNet>> {
    let Who::Token {
        cidr: Some(own), ..
    } = &cx.actor.who
    else {
        return Ok(asked);
    };
    match asked {
        Some(asked) if !own.contains(&asked) => Err(Error::invalid(
            "cidr",
            format!("must lie within {own}, the network of the token that asks"),
        )),
        asked => Ok(asked.or(Some(*own))),
    }
}

/// When a new token ends: after `ttl`, or after what is usual for its kind but not after its giver.
pub(super) fn expiry(
    cx: &Cx<'_, '_>,
    kind: Kind,
    ttl: Option<Lifetime>,
) -> Result<Option<Timestamp>> {
    let wanted = own_expiry(cx, kind, ttl)?;
    let Who::Token {
        expires_at: Some(end),
        ..
    } = &cx.actor.who
    else {
        return Ok(wanted);
    };
    if wanted.is_some_and(|wanted| wanted <= *end) {
        Ok(wanted)
    } else if ttl.is_none() {
        Ok(Some(*end))
    } else {
        Err(beyond(*end))
    }
}

/// When a token ends that is renewed by who could have given it.
pub(super) fn renewal(
    cx: &Cx<'_, '_>,
    token: &Token,
    ttl: Option<Lifetime>,
) -> Result<Option<Timestamp>> {
    scopes(cx, &token.scopes)?;
    let expires_at = expiry(cx, token.kind, ttl)?;
    if let (
        None,
        Some(now),
        Who::Token {
            expires_at: Some(end),
            ..
        },
    ) = (ttl, expires_at, &cx.actor.who)
        && now == *end
        && token.expires_at.is_none_or(|before| before > now)
    {
        // Nobody asked for less time than there is.
        return Err(beyond(*end));
    }
    Ok(expires_at)
}

fn beyond(end: Timestamp) -> Error {
    let reason = format!("ends after {end}, when the token that asks ends");
    Error::invalid("ttl", reason)
}

fn own_expiry(cx: &Cx<'_, '_>, kind: Kind, ttl: Option<Lifetime>) -> Result<Option<Timestamp>> {
    let settings = &cx.kit.config.tokens;
    let (usual, longest) = match kind {
        Kind::Temporary => (settings.temporary_ttl, settings.temporary_max),
        Kind::Api => (settings.api_ttl, settings.api_max),
        Kind::Invitation | Kind::PasswordReset | Kind::LoginLink | Kind::Email => {
            let words = Kind::OPEN.map(Kind::as_str).join(" or ");
            let rule = format!("must be {words}; the others are made by commands of their own");
            return Err(Error::invalid("kind", rule));
        }
    };
    let at_shell = matches!(cx.actor.who, Who::Operator { .. });
    match ttl.unwrap_or(Lifetime::For(usual)) {
        Lifetime::Never if kind == Kind::Api && at_shell => Ok(None),
        Lifetime::Never if kind == Kind::Api => Err(Error::invalid(
            "ttl",
            "can be never only at the shell: provost token create --ttl never",
        )),
        Lifetime::Never => Err(Error::invalid(
            "ttl",
            "cannot be never for a temporary token",
        )),
        Lifetime::For(period) if period.0 < Duration::from_secs(1) || period > longest => Err(
            Error::invalid("ttl", format!("must be from 1s to {longest} for this kind")),
        ),
        Lifetime::For(period) => Ok(Some(cx.now.plus(period.0))),
    }
}
