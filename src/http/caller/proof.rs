//! From a text in a header to who sent it.

use std::sync::Arc;

use http::request::Parts;

use super::Visitor;
use crate::app::{Cx, Who};
use crate::error::{Error, Result};
use crate::http::credential::{Credential, check_same_site, is_presented};
use crate::jwt::{Claims, Expected, Parsed, Token};
use crate::sessions::Authenticated;
use crate::time::Timestamp;
use crate::{sessions, tokens};

/// How the session of an access token is read, by what the token says and the id of its key.
pub(super) type Look<T> = fn(&mut Cx<'_, '_>, &Claims, &str) -> Result<(Authenticated, T)>;

impl Visitor {
    /// Becomes whoever presents the one credential of the request; returns what `look` reads besides
    /// the session, if it is one's.
    pub(super) async fn authenticate<T>(
        &mut self,
        parts: &Parts,
        look: Look<T>,
    ) -> Result<Option<T>> {
        let done = match Credential::of(parts, &self.app) {
            Ok(Credential::Bearer(token)) if tokens::is_opaque(token) => {
                self.by_token(token).await.map(|()| None)
            }
            Ok(Credential::Bearer(token)) => self.by_session(token, look).await.map(Some),
            Ok(Credential::Cookie(token)) => {
                let found = self.by_session(token, look).await;
                found.and_then(|found| self.check_site(parts).map(|()| Some(found)))
            }
            Err(error) => Err(error),
        };
        done.inspect_err(|error| {
            // Who presents nothing is told how to, and is no news.
            if is_presented(&parts.headers, &self.app) {
                self.note_denial(error);
            }
        })
    }

    fn check_site(&self, parts: &Parts) -> Result<()> {
        let session = self.actor.session().ok_or(Error::Unauthenticated)?;
        check_same_site(&parts.method, &parts.headers, &self.app, session)
    }

    /// Becomes the API token of this text.
    async fn by_token(&mut self, text: &str) -> Result<()> {
        let checked = self.look(|cx| {
            let checked = tokens::authenticate(cx, text)?;
            tokens::note_use(cx, checked.id);
            Ok(checked)
        });
        let checked = checked.await?;
        self.actor.who = Who::Token {
            id: checked.id.to_string(),
            owner: checked.owner_id,
            scopes: checked.scopes,
            expires_at: checked.expires_at,
            cidr: checked.cidr,
        };
        self.app.kit().rates.take_token(checked.id.0)?;
        if checked.counted {
            // The use is taken before the action that it pays for (security.md, rule 16).
            let id = checked.id;
            self.clone()
                .write(move |cx| tokens::take_use(cx, id))
                .await?;
        }
        Ok(())
    }

    /// Becomes the session of this access token, which `look` reads; returns what that reads besides.
    async fn by_session<T>(&mut self, text: &str, look: Look<T>) -> Result<T> {
        let token = self.verified(text).await?;
        let found = self.look(|cx| look(cx, &token.claims, &token.kid));
        let (found, more) = found.await?;
        self.app.kit().rates.take_session(&found.session_id)?;
        self.actor.who = Who::Session {
            id: found.session_id,
            user: found.user_id,
            username: found.username,
            roles: found.roles,
            admin: found.admin,
            authenticated_at: found.authenticated_at,
        };
        Ok(more)
    }

    /// What an access token proves, and what it says: length, signature and claims first, then the
    /// session's own row (security.md, rules 22 and 23).
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] unless it is good now; those of the database.
    pub async fn prove(&self, text: &str) -> Result<(Authenticated, Arc<Token>)> {
        let token = self.verified(text).await?;
        let found = self.look(|cx| sessions::authenticate(cx, &token.claims, &token.kid));
        Ok((found.await?, token))
    }

    /// What an access token says, if a key of ours has signed it and it holds now.
    async fn verified(&self, text: &str) -> Result<Arc<Token>> {
        let kit = self.app.kit();
        let (expected, now) = (sessions::expected(kit), self.app.clock().now());
        match kit.signers.remembered(text, &expected, now) {
            Some(token) => Ok(token),
            None => self.verify(text, &expected, now).await,
        }
    }

    /// Verifies the signature of an access token that was not seen before.
    async fn verify(
        &self,
        text: &str,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<Arc<Token>> {
        let parsed = Parsed::of(text).ok_or(Error::Unauthenticated)?;
        let signers = &self.app.kit().signers;
        let key = match signers.known(parsed.kid()) {
            Some(key) => key,
            None => {
                self.look(|cx| sessions::learn_key(cx, parsed.kid()))
                    .await?
            }
        };
        let token = signers.verify(text, &parsed, &key, expected, now);
        token.ok_or(Error::Unauthenticated)
    }
}
