//! `[compat]`: what is there for clients of older programs.

use super::sources::Layers;
use super::values;
use crate::error::Result;

/// Routes of the programs that came before.
#[derive(Clone, Debug)]
pub struct Compat {
    /// Serve the temporary-token manager's routes.
    pub token_manager: bool,
}

impl Compat {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config).
    pub(super) fn load(layers: &Layers) -> Result<Self> {
        Ok(Self {
            token_manager: layers.one("compat.token_manager", values::flag)?,
        })
    }
}
