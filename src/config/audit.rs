//! Settings about the audit log.

use std::time::Duration;

use super::sources::Layers;
use crate::error::Result;

/// The audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    /// How long its rows are kept after they were sealed; for ever, if there is no such time.
    pub retention: Option<Duration>,
}

impl Audit {
    pub(super) fn load(layers: &Layers) -> Result<Self> {
        let retention = layers.period("audit.retention")?.0;
        Ok(Self {
            retention: Some(retention).filter(|period| !period.is_zero()),
        })
    }
}
