//! Where links lead: a page of the team's own front end with the token in it, as the settings say;
//! never what a request says (security.md, rule 47).

use crate::config::Config;
use crate::outbox::Way;
use crate::secret::Secret;
use crate::tokens::Kind;

/// The page for a token of `kind`, or the token alone where there is none.
pub(super) fn to(config: &Config, kind: Kind, token: &Secret<String>) -> Way {
    page(config, kind, token).map_or_else(|| Way::Token(token.clone()), Way::Page)
}

/// The page for a token of `kind`.
pub(super) fn page(config: &Config, kind: Kind, token: &Secret<String>) -> Option<Secret<String>> {
    let links = &config.links;
    let page = match kind {
        Kind::PasswordReset => &links.reset,
        Kind::Email => &links.verify,
        Kind::Invitation => &links.invitation,
        Kind::LoginLink => &links.login,
        Kind::Temporary | Kind::Api => &None,
    };
    let page = page.as_ref()?;
    Some(Secret::new(page.replace("{token}", token.expose())))
}
