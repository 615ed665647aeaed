//! `[tls]`: both files or neither.

use std::path::PathBuf;

use super::sources::Layers;
use crate::error::{Error, Result};

/// A certificate of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, the server's own certificate first; absolute.
    pub cert_file: PathBuf,
    /// The private key of that certificate; absolute.
    pub key_file: PathBuf,
}

impl Tls {
    pub(super) fn load(layers: &Layers) -> Result<Option<Self>> {
        let names = ["tls.cert_file", "tls.key_file"];
        match names.map(|name| layers.path(name)) {
            [Ok(Some(cert_file)), Ok(Some(key_file))] => Ok(Some(Self {
                cert_file,
                key_file,
            })),
            [Ok(None), Ok(None)] => Ok(None),
            [Ok(_), Ok(_)] => Err(Error::Config(format!(
                "{}: tls.cert_file and tls.key_file belong together; name both or none",
                layers.blame(&names)?
            ))),
            [Err(error), _] | [_, Err(error)] => Err(error),
        }
    }
}
