//! `[courses]`: what there is to learn.

use super::sources::Layers;
use crate::error::Result;

/// What there is to learn.
#[derive(Clone, Debug)]
pub struct Courses {
    /// The largest file of a course, in bytes.
    pub attachment_max: usize,
}

impl Courses {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config).
    pub(super) fn load(layers: &Layers) -> Result<Self> {
        Ok(Self {
            attachment_max: layers.number("courses.attachment_max")?,
        })
    }
}
