//! Where a thing is that was made, and how an answer that is kept remembers it.

use axum::response::Response;
use http::HeaderValue;
use http::header::{ETAG, LOCATION};

use crate::error::{Error, Result};

/// Where a thing that was made is, and its version: `Location` and `ETag`. Empty for no thing.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The path.
    pub location: String,
    /// As [`crate::http::version::etag`] makes it.
    pub etag: String,
}

impl Place {
    /// The line that stands before the body of an answer that is kept: neither holds a blank.
    pub(super) fn line(&self) -> String {
        format!("{} {}\n", self.location, self.etag)
    }

    /// Reads the line at the beginning of `answer`, and tells how long it is.
    pub(super) fn read(answer: &[u8]) -> Result<(Self, usize)> {
        let line = answer.split(|byte| *byte == b'\n').next();
        let line = line.and_then(|line| std::str::from_utf8(line).ok());
        let parts = line.and_then(|line| Some((line.len(), line.split_once(' ')?)));
        let (length, (location, etag)) =
            parts.ok_or_else(|| Error::internal("an answer without its first line"))?;
        let place = Self {
            location: location.to_owned(),
            etag: etag.to_owned(),
        };
        Ok((place, length.saturating_add(1)))
    }

    pub(super) fn mark(&self, response: &mut Response) -> Result<()> {
        for (name, value) in [(LOCATION, &self.location), (ETAG, &self.etag)] {
            if !value.is_empty() {
                let value = HeaderValue::try_from(value).map_err(Error::internal)?;
                response.headers_mut().insert(name, value);
            }
        }
        Ok(())
    }
}
