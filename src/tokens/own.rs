//! API tokens that people make for themselves.
//!
//! Invariant: nobody gives a token more than they have: an ordinary user's has no scopes, it only
//! says whose it is to the services that ask.

use super::{Filter, Issued, Kind, NewToken, Token, TokenId, end, find_one, issue, page};
use crate::app::Cx;
use crate::error::{Error, Result};
use crate::page::Page;

/// Issues an API token to the person who asks.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person, and for scopes beyond one's own;
/// [`Error::ReauthenticationNeeded`]; [`Error::Invalid`] for a value against the rules.
pub fn create_own(cx: &mut Cx<'_, '_>, new: &NewToken) -> Result<Issued> {
    let user = cx.actor.person()?.to_owned();
    cx.actor.require_fresh(cx.now)?;
    if new.kind != Kind::Api || new.owner.is_some() {
        let reason = "must be api, and the owner is who asks";
        return Err(Error::invalid("kind", reason));
    }
    let new = NewToken {
        owner: Some(user),
        ..new.clone()
    };
    issue(cx, &new)
}

/// The API tokens of the person who asks, the newest first.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person; [`Error::Invalid`] for a cursor that is none.
pub fn list_own(cx: &mut Cx<'_, '_>, cursor: Option<&str>, limit: u32) -> Result<Page<Token>> {
    let filter = Filter {
        kind: Some(Kind::Api),
        owner: Some(cx.actor.person()?.to_owned()),
        ..Filter::default()
    };
    page(cx, &filter, cursor, limit)
}

/// Ends one of the API tokens of the person who asks.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person; [`Error::NotFound`], also for somebody else's.
pub fn revoke_own(cx: &mut Cx<'_, '_>, id: &str) -> Result<()> {
    let user = cx.actor.person()?.to_owned();
    let none = || Error::no_such("token", id);
    // The whole id: how many of others' begin alike is nobody's business.
    let own: TokenId = id.parse().map_err(|_| none())?;
    let token = find_one(cx, id).map_err(|_| none())?;
    let owner = super::store::owner_of(cx.tx, own)?;
    if token.kind != Kind::Api || owner.as_deref() != Some(user.as_str()) {
        return Err(none());
    }
    end(cx, token.id, None).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Actor, App};
    use crate::time::Timestamp;
    use crate::users::{self, NewUser};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    /// Somebody who logged in at [`NOW`].
    fn person(app: &App, name: &str, admin: bool) -> Actor {
        let new = NewUser::named(name.parse().unwrap());
        let id = users::create(app, &Actor::operator(), new).unwrap().id;
        let mut actor = Actor::in_session(&id, admin);
        if let crate::app::Who::Session {
            authenticated_at, ..
        } = &mut actor.who
        {
            *authenticated_at = NOW;
        }
        actor
    }

    fn create(app: &App, actor: &Actor, new: NewToken) -> Result<Issued> {
        app.at(NOW, actor, move |cx| create_own(cx, &new))
    }

    #[test]
    fn people_make_list_and_end_their_own_tokens_only() {
        let app = App::memory();
        let (maria, ivan) = (person(&app, "maria", false), person(&app, "ivan", false));
        let made = create(&app, &maria, NewToken::of(Kind::Api)).unwrap();
        assert_eq!(made.token.owner.as_deref(), Some("maria"));
        let seen = |actor: &Actor| {
            let page = app.at(NOW, actor, |cx| list_own(cx, None, 50)).unwrap();
            page.items.len()
        };
        assert_eq!((seen(&maria), seen(&ivan)), (1, 0));
        let end = |actor: &Actor| {
            let id = made.token.id.to_string();
            app.at(NOW, actor, move |cx| revoke_own(cx, &id))
        };
        assert!(matches!(end(&ivan), Err(Error::NotFound { .. })));
        end(&maria).unwrap();
        let state = app.at(NOW, &maria, |cx| Ok(list_own(cx, None, 50)?.items[0].state));
        assert_eq!(state.unwrap(), super::super::State::Revoked);
    }

    #[test]
    fn only_an_administrator_gives_a_token_scopes() {
        let app = App::memory();
        let new = NewToken {
            scopes: vec!["course:read".parse().unwrap()],
            ..NewToken::of(Kind::Api)
        };
        let maria = person(&app, "maria", false);
        let refused = create(&app, &maria, new.clone());
        assert!(matches!(refused, Err(Error::Forbidden { .. })));
        let root = person(&app, "root", true);
        create(&app, &root, new).unwrap();
    }

    #[test]
    fn nobody_makes_a_token_for_somebody_else_or_long_after_the_login() {
        let app = App::memory();
        let maria = person(&app, "maria", true);
        let theirs = NewToken {
            owner: Some("root".into()),
            ..NewToken::of(Kind::Api)
        };
        assert!(matches!(
            create(&app, &maria, theirs),
            Err(Error::Invalid { .. })
        ));
        let late = NOW.plus(std::time::Duration::from_mins(11));
        let refused = app.at(late, &maria, |cx| create_own(cx, &NewToken::of(Kind::Api)));
        assert!(matches!(refused, Err(Error::ReauthenticationNeeded)));
        let token = Actor::token("token:*");
        let refused = create(&app, &token, NewToken::of(Kind::Api));
        assert!(matches!(refused, Err(Error::Forbidden { .. })));
    }
}
