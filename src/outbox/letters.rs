//! What the mail says: short, in plain text, the same for everybody.

use crate::secret::Secret;
use crate::time::Period;

/// What somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// Here a new password is chosen.
    PasswordReset,
    /// Here an address is confirmed.
    EmailVerification,
    /// Here an account is made.
    Invitation,
    /// A login link was made.
    LoginLink,
    /// The password was changed.
    PasswordChanged,
    /// The account has another address now.
    AddressChanged,
}

/// The link of a letter: a page with the token in it or, where there is no page, the token alone.
#[derive(Clone, Debug)]
pub enum Way {
    /// A page.
    Page(Secret<String>),
    /// A token.
    Token(Secret<String>),
}

impl Letter {
    /// As stored, in the audit log and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
            Self::Invitation => "invitation",
            Self::LoginLink => "login_link",
            Self::PasswordChanged => "password_changed",
            Self::AddressChanged => "address_changed",
        }
    }

    /// The subject, for a service that is called `title`.
    pub(super) fn subject(self, title: &str) -> String {
        match self {
            Self::PasswordReset => format!("{title}: choose a new password"),
            Self::EmailVerification => format!("{title}: confirm your address"),
            Self::Invitation => format!("{title}: you are invited"),
            Self::LoginLink => format!("{title}: your login link"),
            Self::PasswordChanged => format!("{title}: your password was changed"),
            Self::AddressChanged => format!("{title}: your address was changed"),
        }
    }

    /// The text. `way` is where it leads, and for how long.
    pub(super) fn text(self, title: &str, way: Option<(&Way, Period)>) -> Secret<String> {
        let what = match self {
            Self::PasswordReset => {
                format!("somebody, hopefully you, asked for a new password at {title}.")
            }
            Self::EmailVerification => {
                format!("this address was given as yours at {title}. Please confirm it.")
            }
            Self::Invitation => format!("you are invited to make an account at {title}."),
            Self::LoginLink => format!("an administrator of {title} made a login link for you."),
            Self::PasswordChanged => format!(
                "the password of your account at {title} was changed, and whoever was logged in \
                 with it is no longer."
            ),
            Self::AddressChanged => format!(
                "the e-mail address of your account at {title} was changed: this one is its address \
                 no longer."
            ),
        };
        let action = match self {
            Self::PasswordReset => "choose a new password",
            Self::EmailVerification => "confirm it",
            Self::Invitation => "make it",
            Self::LoginLink => "log in",
            Self::PasswordChanged | Self::AddressChanged => "",
        };
        let how = way.map_or(String::new(), |(way, ttl)| match way {
            Way::Page(page) => format!(
                "To {action}, open this page within {ttl}; it works once:\n\n{}\n\n",
                page.expose()
            ),
            Way::Token(token) => format!(
                "To {action}, use this token within {ttl}; it works once:\n\n{}\n\n",
                token.expose()
            ),
        });
        let end = match self {
            Self::PasswordChanged => {
                "If that was not you, tell your administrator at once, and choose another password."
            }
            Self::AddressChanged => "If that was not you, tell your administrator at once.",
            Self::LoginLink => "If you do not know why, tell your administrator.",
            Self::PasswordReset | Self::EmailVerification | Self::Invitation => {
                "If you do not know why, ignore this message: nothing happens then."
            }
        };
        Secret::new(format!("Hello,\n\n{what}\n\n{how}{end}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_what_it_is_about_where_it_leads_and_for_how_long() {
        let hour = Period(std::time::Duration::from_hours(1));
        let page = Way::Page(Secret::new("https://example.org/#pvp_x".into()));
        let text = Letter::PasswordReset.text("Desk", Some((&page, hour)));
        for part in [
            "at Desk",
            "\nhttps://example.org/#pvp_x\n",
            "within 1h",
            "once",
        ] {
            assert!(text.expose().contains(part), "{}", text.expose());
        }
        let text = Letter::PasswordChanged.text("Desk", None);
        assert!(!text.expose().contains("To "), "{}", text.expose());
        assert_eq!(Letter::Invitation.subject("Desk"), "Desk: you are invited");
    }
}
