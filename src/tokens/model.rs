//! What a token is, and the one place where it is decided whether it is good.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Kind, TokenId};
use crate::scope::{Scope, Scopes};
use crate::secret::Secret;
use crate::time::{Lifetime, Period, Timestamp};

/// A token as its owner and the operator may see it: everything but the secret.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Token {
    /// The public id; logs and commands name tokens by it.
    #[schema(value_type = String, example = "0LqP3xYz8Ab")]
    pub id: TokenId,
    /// What it is for.
    pub kind: Kind,
    /// Whether it is good, and if not, why.
    pub state: State,
    /// The user name of its owner.
    pub owner: Option<String>,
    /// What the operator calls it.
    pub label: Option<String>,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub scopes: Scopes,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it stops being good; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it starts being good, if not at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// How often it may be used; null for any number.
    pub max_uses: Option<u32>,
    /// How often it was used up.
    pub used: u32,
    /// About when it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, or ended with everything else of its owner.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// Since when it is refused because a backup brought it back.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub suspended_at: Option<Timestamp>,
    /// The network from which it may be used.
    #[schema(value_type = Option<String>, example = "10.0.0.0/8")]
    pub cidr: Option<IpNet>,
    /// What the issuer wants to remember with it.
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Map<String, Json>>,
    /// The secret's last four characters.
    pub hint: String,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TokenState)]
pub enum State {
    /// It is good.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody ended it, or all that its owner had opened.
    Revoked,
    /// It was used as often as it may be.
    UsedUp,
    /// A backup brought it back, and nobody has enabled it since.
    Suspended,
    /// Its owner may not do anything.
    OwnerDisabled,
    /// Its time has not come.
    NotYet,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Active,
        Self::Expired,
        Self::Revoked,
        Self::UsedUp,
        Self::Suspended,
        Self::OwnerDisabled,
        Self::NotYet,
    ];

    /// As written in JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::UsedUp => "used_up",
            Self::Suspended => "suspended",
            Self::OwnerDisabled => "owner_disabled",
            Self::NotYet => "not_yet",
        }
    }
}

/// What came out of looking at a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TokenReason)]
pub enum Reason {
    /// It is good.
    Ok,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Revoked,
    /// It was used as often as it may be.
    UsedUp,
    /// A backup brought it back, and nobody has enabled it since.
    Suspended,
    /// Its owner may not do anything.
    OwnerDisabled,
    /// Its time has not come.
    NotYet,
    /// It was mistyped: no such token was ever issued.
    BadChecksum,
    /// It is not one of ours, or no longer stored.
    Unknown,
}

impl Reason {
    /// As written in JSON, in metrics and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::UsedUp => "used_up",
            Self::Suspended => "suspended",
            Self::OwnerDisabled => "owner_disabled",
            Self::NotYet => "not_yet",
            Self::BadChecksum => "bad_checksum",
            Self::Unknown => "unknown",
        }
    }
}

impl From<State> for Reason {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Ok,
            State::Expired => Self::Expired,
            State::Revoked => Self::Revoked,
            State::UsedUp => Self::UsedUp,
            State::Suspended => Self::Suspended,
            State::OwnerDisabled => Self::OwnerDisabled,
            State::NotYet => Self::NotYet,
        }
    }
}

/// What decides whether a token is good, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) expires_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) max_uses: Option<u32>,
    pub(super) used: u32,
    pub(super) revoked_at: Option<Timestamp>,
    pub(super) suspended_at: Option<Timestamp>,
    /// Everything that the owner had opened was ended since it was issued.
    pub(super) ended: bool,
    pub(super) owner_disabled: bool,
}

impl Facts {
    /// The one place where it is decided. The first that applies is told.
    pub(super) fn state(&self, now: Timestamp) -> State {
        if self.revoked_at.is_some() || self.ended {
            State::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            State::Expired
        } else if self.max_uses.is_some_and(|max| self.used >= max) {
            State::UsedUp
        } else if self.suspended_at.is_some() {
            State::Suspended
        } else if self.owner_disabled {
            State::OwnerDisabled
        } else if self.not_before.is_some_and(|at| at > now) {
            State::NotYet
        } else {
            State::Active
        }
    }
}

/// A token to be issued.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for; an API token unless said.
    #[serde(default)]
    pub kind: Kind,
    /// Its owner: id, user name, e-mail or phone of a user. What a token makes belongs to its own
    /// owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// A name for people, at most 200 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    pub label: Option<String>,
    /// What it may do.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub scopes: Vec<Scope>,
    /// How long it is good: `30d`; `never` only at the shell.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "30d")]
    pub ttl: Option<Lifetime>,
    /// How often it may be used.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_uses: Option<u32>,
    /// When it starts being good.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// The network from which it may be used.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "10.0.0.0/8")]
    pub cidr: Option<IpNet>,
    /// A JSON object of at most 4096 bytes.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Map<String, Json>>,
}

impl NewToken {
    /// A token of `kind` with nothing but the defaults.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            owner: None,
            label: None,
            scopes: Vec::new(),
            ttl: None,
            max_uses: None,
            not_before: None,
            cidr: None,
            meta: None,
        }
    }
}

/// A token that was just issued, with the secret that is never shown again.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: Token,
    /// Its secret part; [`super::prefixed`] and [`super::decimal`] write the whole text.
    pub secret: Secret<String>,
}

/// Which tokens to list; what is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of this user: id, user name, e-mail or phone.
    pub owner: Option<String>,
    /// With exactly this label, or, ending in `*`, labels that begin so.
    pub label: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// With this scope.
    pub scope: Option<Scope>,
    /// Good now, but expired so long from now.
    pub expiring: Option<Period>,
    /// Issued before.
    pub created_before: Option<Timestamp>,
    /// Issued at or after.
    pub created_after: Option<Timestamp>,
}
