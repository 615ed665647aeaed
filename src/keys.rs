//! The key file: the master secret, and the keys derived from it for one purpose each.
//!
//! A stolen database without this file yields no usable credential and lets nobody forge one
//! (security.md, boundary B6). The file has mode 0600, belongs to whoever runs `provost`, and is
//! never part of a backup of the database.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroize as _;

use crate::error::{Error, Result};
use crate::file;
use crate::secret::{MacKey, SealKey, Secret, SignKey, random_bytes, sha256_hex};

/// A key file is a few lines; whatever is larger is something else.
const LARGEST: u64 = 4096;

/// What a lost key file means.
pub const MISSING: &str =
    "is missing, and without it no token of the database can be checked; put its copy back";

/// What a key file means with which the database was not made.
pub const FOREIGN: &str = "belongs to another database; put a copy of the right one in its place";

/// The keys of this installation.
pub struct Keys {
    /// Keys the digests of opaque tokens (rule 12).
    pub token: MacKey,
    /// Seals stored answers for replay under an `Idempotency-Key`.
    pub replay: SealKey,
    /// Keys the digests of the requests to which those were the answers: a body may hold what can
    /// be guessed.
    pub request: MacKey,
    /// Keys refresh tokens: nothing of them is stored (rule 29).
    pub refresh: MacKey,
    /// Keys CSRF tokens (rule 36).
    pub csrf: MacKey,
    /// Keys what the throttle remembers of names and networks.
    pub throttle: MacKey,
    /// Seals the secrets of second factors.
    pub factor: SealKey,
    /// Keys the digests of recovery codes.
    pub recovery: MacKey,
    /// Seals mail on its way.
    pub outbox: SealKey,
    /// From which the key is made that seals the audit log.
    audit: Secret<[u8; 32]>,
    /// Keys the manifests of snapshots.
    pub manifest: MacKey,
    /// From which the keys are derived that sign access tokens.
    signing: Hkdf<Sha256>,
    /// Tells this key file from others, and nothing about it.
    pub fingerprint: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    master: String,
}

impl Keys {
    /// Reads the key file.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if it is missing, open to others, somebody else's or not a key file.
    pub fn load(path: &Path) -> Result<Self> {
        let refuse = |reason: &str| Error::KeyFile {
            path: path.into(),
            reason: reason.into(),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(file::flags())
            .open(path)
            .map_err(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    refuse(MISSING)
                } else {
                    refuse(&format!("cannot be opened: {error}"))
                }
            })?;
        file::check_secret(path, &file)?;
        let mut text = String::new();
        let read = std::io::Read::by_ref(&mut file)
            .take(LARGEST)
            .read_to_string(&mut text);
        read.map_err(|error| refuse(&format!("cannot be read: {error}")))?;
        // The parser's message would quote the secret.
        let parsed = toml::from_str::<KeyFile>(&text).map_err(|_| refuse("is not a key file"));
        text.zeroize();
        let mut parsed = parsed?;
        if parsed.version != 1 {
            return Err(refuse("is of a version that this provost does not know"));
        }
        let decoded = URL_SAFE_NO_PAD
            .decode(&parsed.master)
            .map_err(|_| refuse("is damaged"));
        parsed.master.zeroize();
        let mut decoded = decoded?;
        let master: Result<[u8; 32], _> = decoded.as_slice().try_into();
        decoded.zeroize();
        Self::derive(&Secret::new(master.map_err(|_| refuse("is damaged"))?))
    }

    /// Makes a new key file with a fresh master secret; an existing file is an error.
    ///
    /// # Errors
    /// [`Error::Io`] if it exists or cannot be written, [`Error::Internal`] without random bytes.
    pub fn create(path: &Path) -> Result<Self> {
        let master = Secret::new(random_bytes::<32>()?);
        let mut encoded = URL_SAFE_NO_PAD.encode(master.expose());
        let mut text = format!(
            "# provost key file. Keep it secret and keep a copy apart from the database's backups:\n\
             # without it no token can be checked, with it and the database tokens can be forged.\n\
             version = 1\nmaster = \"{encoded}\"\n"
        );
        let doing = format!("write the key file {}", path.display());
        let written = publish(path, text.as_bytes());
        encoded.zeroize();
        text.zeroize();
        written.map_err(Error::io(doing))?;
        Self::derive(&master)
    }

    /// The seed of the Ed25519 key that is called `id` (RFC 8032 §5.1.5): rotating needs a new id,
    /// not a new file.
    ///
    /// # Errors
    /// None that can happen: 32 bytes are always derived.
    pub fn signing(&self, id: &str) -> Result<Secret<[u8; 32]>> {
        let mut seed = [0_u8; 32];
        self.signing
            .expand(id.as_bytes(), &mut seed)
            .map_err(|_| Error::internal("a derived key is too long"))?;
        let secret = Secret::new(seed);
        seed.zeroize();
        Ok(secret)
    }

    /// The key that seals the audit log (rule 66).
    ///
    /// # Errors
    /// [`Error::Internal`] if the library refuses it.
    pub fn audit(&self) -> Result<SignKey> {
        SignKey::new(self.audit.expose())
    }

    /// Keys that live as long as the process, for tests.
    ///
    /// # Errors
    /// [`Error::Internal`] without random bytes.
    pub fn ephemeral() -> Result<Self> {
        Self::derive(&Secret::new(random_bytes::<32>()?))
    }

    /// One key for each purpose (RFC 5869).
    fn derive(master: &Secret<[u8; 32]>) -> Result<Self> {
        let hkdf = Hkdf::<Sha256>::new(Some(b"provost/v1"), master.expose());
        let key = |purpose: &str| {
            let mut key = [0_u8; 32];
            hkdf.expand(purpose.as_bytes(), &mut key)
                .map_err(|_| Error::internal("a derived key is too long"))?;
            Ok::<_, Error>(Secret::new(key))
        };
        let mac = |purpose: &str| Ok::<_, Error>(MacKey::new(key(purpose)?.expose()));
        let seal = |purpose: &str| Ok::<_, Error>(SealKey::new(key(purpose)?.expose()));
        Ok(Self {
            token: mac("token")?,
            replay: seal("replay")?,
            request: mac("request")?,
            refresh: mac("refresh")?,
            csrf: mac("csrf")?,
            throttle: mac("throttle")?,
            factor: seal("factor")?,
            recovery: mac("recovery")?,
            outbox: seal("outbox")?,
            audit: key("audit")?,
            manifest: mac("manifest")?,
            signing: Hkdf::new(Some(b"provost/v1/signing"), key("signing")?.expose()),
            fingerprint: sha256_hex(key("fingerprint")?.expose())
                .chars()
                .take(16)
                .collect(),
        })
    }
}

/// Makes the file whole or not at all: whoever looks meanwhile sees no half of a key, and a loss of
/// power takes none back.
fn publish(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = file::folder_of(path);
    // Mode 0600 from its first instant on.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_file_reads_back_the_keys_that_it_was_made_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provost.key");
        let made = Keys::create(&path).unwrap();
        let read = Keys::load(&path).unwrap();
        assert_eq!(made.token.sign(&[b"x"]), read.token.sign(&[b"x"]));
        let sealed = made.replay.seal(b"", b"x").unwrap();
        assert_eq!(read.replay.open(b"", &sealed).unwrap().expose(), b"x");
        assert_eq!(
            made.signing("k1").unwrap().expose(),
            read.signing("k1").unwrap().expose()
        );
    }

    #[test]
    fn each_purpose_and_each_name_has_a_key_of_its_own() {
        let keys = Keys::ephemeral().unwrap();
        let macs = [
            &keys.token,
            &keys.request,
            &keys.refresh,
            &keys.csrf,
            &keys.throttle,
            &keys.recovery,
            &keys.manifest,
        ];
        let signed: std::collections::BTreeSet<_> =
            macs.iter().map(|key| key.sign(&[b"x"])).collect();
        assert_eq!(signed.len(), macs.len());
        assert_ne!(
            keys.signing("k1").unwrap().expose(),
            keys.signing("k2").unwrap().expose()
        );
        assert_ne!(keys.audit.expose(), keys.signing("audit").unwrap().expose());
        assert_ne!(
            keys.token.sign(&[b"x"]),
            Keys::ephemeral().unwrap().token.sign(&[b"x"])
        );
    }

    #[test]
    fn an_existing_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provost.key");
        Keys::create(&path).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(Keys::create(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn refuses_a_key_file_that_others_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provost.key");
        Keys::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Keys::load(&path).unwrap_err();
            assert!(error.hint().unwrap().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn refuses_a_link_a_missing_file_and_another_file_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provost.key");
        assert!(matches!(Keys::load(&path), Err(Error::KeyFile { .. })));
        std::fs::write(&path, "version = 1\nmaster = \"hunter2\"\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = Keys::load(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let link = folder.path().join("link.key");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Keys::load(&link).is_err());
    }
}
