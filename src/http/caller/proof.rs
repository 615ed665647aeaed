//! From a text in a header to who sent it.

use std::sync::Arc;

use super::Visitor;
use crate::app::Who;
use crate::error::{Error, Result};
use crate::jwt::{Expected, Parsed, Token};
use crate::sessions::Authenticated;
use crate::time::Timestamp;
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

    /// Becomes the session of this access token.
    pub(super) async fn by_session(&mut self, text: &str) -> Result<()> {
        let (found, _) = self.prove(text).await?;
        self.app.kit().rates.take_session(&found.session_id)?;
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
    pub async fn prove(&self, text: &str) -> Result<(Authenticated, Arc<Token>)> {
        let kit = self.app.kit();
        let (expected, now) = (sessions::expected(kit), self.app.clock().now());
        let token = match kit.signers.remembered(text, &expected, now) {
            Some(token) => token,
            None => self.verify(text, &expected, now).await?,
        };
        let found = self.look(|cx| sessions::authenticate(cx, &token.claims, &token.kid));
        Ok((found.await?, token))
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
