//! `[auth]`: who may have an account.

use super::sources::Layers;
use crate::error::Result;
use crate::time::Period;

/// Accounts.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Who may make one.
    pub registration: Registration,
    /// How long a deleted one can be restored.
    pub restore_period: Period,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    Open,
    /// Nobody but administrators.
    Closed,
    /// Who has an invitation.
    Invitation,
}

impl Registration {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "closed" => Some(Self::Closed),
            "invitation" => Some(Self::Invitation),
            _ => None,
        }
    }
}

impl Auth {
    pub(super) fn load(layers: &Layers) -> Result<Self> {
        Ok(Self {
            registration: layers.one("auth.registration", Registration::parse)?,
            restore_period: layers.period("auth.restore_period")?,
        })
    }
}
