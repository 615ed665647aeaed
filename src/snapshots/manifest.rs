//! What a snapshot's manifest says: the file `NAME.db.json` beside `NAME.db`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::audit::Head;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::secret::{hex, same};
use crate::time::Timestamp;

/// The form of manifests that this binary writes and reads.
pub const FORMAT: u32 = 1;

/// A manifest of a hundred tables is a few kilobytes; whatever is larger is something else.
const LARGEST: u64 = 256 * 1024;

/// What is in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of this manifest.
    pub format: u32,
    /// The version of `provost` that took the snapshot.
    pub provost: String,
    /// The engine and its version.
    pub engine: String,
    /// The schema of the database.
    pub schema: u32,
    /// When it was begun: what was committed before is in it.
    pub created_at: Timestamp,
    /// The size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, as hexadecimal digits.
    pub sha256: String,
    /// The rows in each table.
    pub tables: BTreeMap<String, u64>,
    /// The fingerprint of the key file to which it belongs; none, if the database was never used.
    pub keys: Option<String>,
    /// The newest block of the audit log; none before the first.
    #[serde(default)]
    pub audit_head: Option<Head>,
    /// Why nothing can be restored from it as it is; nothing, if all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// HMAC of all of this with the key file, as hexadecimal digits: nobody else can write one.
    #[serde(default)]
    pub mac: String,
}

/// Where the manifest of the snapshot at `path` is.
#[must_use]
pub fn manifest_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

impl Manifest {
    /// Reads the manifest of the snapshot at `path`; none, if there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a file that is no manifest, or one of a form that this binary does
    /// not know; [`Error::Io`].
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let beside = manifest_of(path);
        let file = match File::open(&beside) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format!("read {}", beside.display()))(error)),
        };
        let mut text = Vec::new();
        file.take(LARGEST)
            .read_to_end(&mut text)
            .map_err(Error::io(format!("read {}", beside.display())))?;
        Self::parse(&text)
            .map(Some)
            .map_err(|reason| Error::Corrupt(format!("{}: {reason}", beside.display())))
    }

    /// Reads a manifest, or says why it is none.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let form: Form =
            serde_json::from_slice(text).map_err(|error| format!("is no manifest: {error}"))?;
        if form.format != FORMAT {
            return Err(format!(
                "is of form {}, and this program knows form {FORMAT}",
                form.format
            ));
        }
        serde_json::from_slice(text).map_err(|error| format!("is no manifest: {error}"))
    }

    /// Puts its seal on it.
    pub(super) fn signed(mut self, keys: &Keys) -> Result<Self> {
        self.mac = hex(&self.digest(keys)?);
        Ok(self)
    }

    /// Whether it is as it was written with this key file.
    ///
    /// # Errors
    /// None that can happen: it can always be written.
    pub fn is_genuine(&self, keys: &Keys) -> Result<bool> {
        Ok(same(
            hex(&self.digest(keys)?).as_bytes(),
            self.mac.as_bytes(),
        ))
    }

    fn digest(&self, keys: &Keys) -> Result<[u8; 32]> {
        let bare = Self {
            mac: String::new(),
            ..self.clone()
        };
        let text = serde_json::to_vec(&bare).map_err(Error::internal)?;
        Ok(keys.manifest.sign(&[&text]))
    }

    /// The text of the file.
    pub(super) fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(Error::internal)?;
        Ok(text + "\n")
    }
}
