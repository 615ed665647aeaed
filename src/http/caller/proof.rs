//! From a text in a header to who sent it.

use std::sync::Arc;

use super::Visitor;
use crate::app::Who;
use crate::error::{Error, Result};
use crate::jwt::{Claims, Parsed};
use crate::sessions::Authenticated;
use crate::{sessions, tokens};

impl Visitor {
    /// Becomes the API token of this text.
    pub(super) async fn by_token(&mut self, text: &str) -> Result<()> {
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
        self.app.kit().rates.api.take(&checked.id.0)?;
        if checked.counted {
            // The use is taken before the action that it pays for (security.md, rule 16).
            let id = checked.id;
            self.clone()
                .write(move |cx| tokens::take_use(cx, id))
                .await?;
        }
        Ok(())
    }

    /// Becomes the session of this access token.
    pub(super) async fn by_session(&mut self, text: &str) -> Result<()> {
        let (found, _) = self.prove(text).await?;
        self.actor.who = Who::Session {
            id: found.session_id,
            user: found.user_id,
            username: found.username,
            roles: found.roles,
            admin: found.admin,
            authenticated_at: found.authenticated_at,
        };
        Ok(())
    }

    /// What an access token proves, and what it says: length, signature and claims first, then the
    /// session's own row (security.md, rules 22 and 23).
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] unless it is good now; those of the database.
    pub async fn prove(&self, text: &str) -> Result<(Authenticated, Arc<Claims>)> {
        let parsed = Parsed::of(text).ok_or(Error::Unauthenticated)?;
        let kit = self.app.kit();
        let key = match kit.signers.known(parsed.kid()) {
            Some(key) => key,
            None => {
                self.look(|cx| sessions::learn_key(cx, parsed.kid()))
                    .await?
            }
        };
        let (expected, now) = (sessions::expected(kit), self.app.clock().now());
        let claims = kit.signers.verify(text, &parsed, &key, &expected, now);
        let claims = claims.ok_or(Error::Unauthenticated)?;
        let found = self.look(|cx| sessions::authenticate(cx, &claims, parsed.kid()));
        Ok((found.await?, claims))
    }
}
