//! What a session is, and the one place where it is decided whether it is good.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::app::Kit;
use crate::jwt::Algorithm;
use crate::secret::Secret;
use crate::time::Timestamp;

/// A session as its owner and administrators may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Session {
    /// The id.
    pub id: String,
    /// The user name of who logged in.
    pub user: String,
    /// Whether it is good.
    pub state: State,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// About when it was last used, to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When the person last proved who it is.
    #[schema(value_type = String, format = DateTime)]
    pub authenticated_at: Timestamp,
    /// By what: `password`, `otp`, `recovery_code`, `login_link`.
    pub methods: Vec<String>,
    /// The address from which it was opened.
    pub ip: Option<String>,
    /// The program with which it was opened: `Firefox, Linux`.
    pub client: Option<String>,
    /// When it was ended before its time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revoked_reason: Option<String>,
}

/// Whether a session is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SessionState)]
pub enum State {
    /// It is good.
    Active,
    /// Its time is over, or it was not used for too long.
    Expired,
    /// Somebody ended it, or everything that its account had opened.
    Revoked,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Active, Self::Expired, Self::Revoked];

    /// As written in JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// For how long a session may rest. Stored is only when it was last seen, so that a change of the
/// setting holds for what is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle: Duration,
}

impl Limits {
    pub(super) fn of(kit: &Kit, admin: bool) -> Self {
        let auth = &kit.config.auth;
        let idle = if admin { auth.admin_idle } else { auth.idle };
        Self { idle: idle.0 }
    }
}

/// What decides whether a session is good, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) authenticated_at: Timestamp,
    pub(super) last_seen_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) revoked_at: Option<Timestamp>,
    /// The account is active and in the epoch in which the session was opened.
    pub(super) same_epoch: bool,
    pub(super) admin: bool,
}

impl Facts {
    /// The one place where it is decided; the statements that look for sessions in a state say the
    /// same (a test compares them).
    pub(super) fn state(&self, now: Timestamp, limits: &Limits) -> State {
        if self.revoked_at.is_some() || !self.same_epoch {
            State::Revoked
        } else if self.expires_at <= now || self.last_seen_at.plus(limits.idle) <= now {
            State::Expired
        } else {
            State::Active
        }
    }
}

/// Who opens a session, with what proof and from where.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The user's id.
    pub user_id: String,
    /// The user's name.
    pub username: String,
    /// The epoch of the account when the proof was given.
    pub epoch: i64,
    /// Whether the user is an administrator.
    pub admin: bool,
    /// How it was proved: `password`, `otp`, `recovery_code`, `login_link`.
    pub methods: Vec<&'static str>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The client's program, as [`super::client()`] tells it.
    pub client: Option<String>,
}

/// A session whose next tokens may be handed out, once this is committed.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The session's id.
    pub session_id: String,
    /// The user's id.
    pub user_id: String,
    /// Of the refresh token.
    pub(super) generation: i64,
    /// When it began, from which every time that its tokens tell is counted.
    pub(super) at: Timestamp,
    /// When the session ends at the latest.
    pub(super) expires_at: Timestamp,
    /// The key that signs: its id and how.
    pub(super) key: (String, Algorithm),
}

/// What a client gets when it has logged in or refreshed.
#[derive(Debug)]
pub struct Opened {
    /// The session's id.
    pub session_id: String,
    /// The user's id.
    pub user_id: String,
    /// To be presented with each request.
    pub access_token: Secret<String>,
    /// To be exchanged for the next tokens.
    pub refresh_token: Secret<String>,
    /// To be sent back in a header, by scripts of pages that use cookies.
    pub csrf_token: Secret<String>,
    /// Seconds until the access token ends.
    pub expires_in: i64,
    /// Seconds until the session ends.
    pub refresh_expires_in: i64,
}

/// What a good session proves.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The session's id.
    pub session_id: String,
    /// The user's id.
    pub user_id: String,
    /// The user's name.
    pub username: String,
    /// The user's roles, separated by spaces.
    pub roles: String,
    /// Whether the user is an administrator.
    pub admin: bool,
    /// When the person last proved who it is.
    pub authenticated_at: Timestamp,
}

/// Which sessions to list; what is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this user: id, user name, e-mail or phone.
    pub user: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Opened from this network.
    pub ip: Option<IpNet>,
    /// Opened with a program whose name fits this pattern; `*` stands for any characters.
    pub client: Option<String>,
    /// Not used since.
    pub idle_since: Option<Timestamp>,
    /// Opened before.
    pub created_before: Option<Timestamp>,
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(place) => text = text.get(place + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fitting) in [
            ("firefox*", "firefox, linux", true),
            ("*linux", "firefox, linux", true),
            ("*fox*lin*", "firefox, linux", true),
            ("firefox", "firefox, linux", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(fits(pattern, text), fitting, "{pattern} {text}");
        }
    }
}
