//! Secrets: values that are never printed, random ones, and comparing them without a clue.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Result};

/// Digits and letters in the order that gives them their value: base62.
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A value that must not be seen: `Debug` hides it, nothing serialises it, dropping wipes it.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Hides `value`.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Each call is a place to look at in a review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Fills an array with bytes from the operating system's generator.
///
/// # Errors
/// [`Error::Internal`] if it gives none; the request must fail then (security.md, rule 11).
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

/// `N` random base62 characters, each equally likely: 5.95 bits a character.
///
/// # Errors
/// [`Error::Internal`] if the operating system gives no random bytes.
pub fn random_base62<const N: usize>() -> Result<Secret<String>> {
    // 248 is the largest multiple of 62 in a byte: bytes above it would favour the first letters.
    const FAIR: u8 = 248;
    let mut text = String::with_capacity(N);
    while text.len() < N {
        let mut bytes = [0_u8; 48];
        getrandom::fill(&mut bytes).map_err(Error::internal)?;
        let fair = bytes.iter().filter(|byte| **byte < FAIR);
        let letters = fair.filter_map(|byte| BASE62.get(usize::from(byte % 62)));
        text.extend(
            letters
                .take(N - text.len())
                .map(|letter| char::from(*letter)),
        );
        bytes.zeroize();
    }
    Ok(Secret::new(text))
}

/// A key for HMAC-SHA-256 (RFC 2104), set up once and used often.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// A key from 32 bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // A 32-byte key always fits: it is shorter than SHA-256's block.
        let mut block = [0_u8; 64];
        for (place, byte) in block.iter_mut().zip(key) {
            *place = *byte;
        }
        let mac = Self(Hmac::new(&block.into()));
        block.zeroize();
        mac
    }

    /// HMAC-SHA-256 over the concatenation of `parts`.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A key that seals what the database must keep but not show: XChaCha20-Poly1305, whose nonces are
/// long enough to be drawn at random.
#[derive(Clone)]
pub struct SealKey(XChaCha20Poly1305);

/// Bytes of the nonce that stands before what is sealed.
const NONCE: usize = 24;

impl SealKey {
    /// A key from 32 bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals `plain`. What it belongs to, `about`, must be told again when it is opened: sealed
    /// text that was moved to another row does not open.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no random bytes.
    pub fn seal(&self, about: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let nonce = random_bytes::<NONCE>()?;
        let payload = Payload {
            msg: plain,
            aad: about,
        };
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::internal("cannot be sealed"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what [`SealKey::seal`] sealed.
    ///
    /// # Errors
    /// [`Error::Internal`] if it was changed, moved or sealed with another key file.
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>> {
        let damaged = || Error::internal("what is sealed does not open: was the key file changed?");
        let (nonce, msg) = sealed.split_at_checked(NONCE).ok_or_else(damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| damaged())?;
        let payload = Payload { msg, aad: about };
        let plain = self.0.decrypt(&nonce, payload).map_err(|_| damaged())?;
        Ok(Secret::new(plain))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A key that signs by Ed25519 (RFC 8032): who has the public key can tell what it has signed.
pub struct SignKey(Ed25519KeyPair);

impl SignKey {
    /// The key of this seed.
    ///
    /// # Errors
    /// [`Error::Internal`] if the library refuses it.
    pub fn new(seed: &[u8; 32]) -> Result<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(Self)
            .map_err(Error::internal)
    }

    /// Its public key, 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The signature of `message`, 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Whether the key with this public key has signed `message`.
#[must_use]
pub fn has_signed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, public);
    key.verify(message, signature).is_ok()
}

/// SHA-256 of `bytes` as 64 hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `bytes` as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    // Not by the formatter, which takes longer than the digests that are written here.
    let digit = |value: u8| {
        char::from(if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        })
    };
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let mut hex = String::with_capacity(2 * bytes.len());
    hex.extend(digits.map(digit));
    hex
}

/// Whether two byte strings are equal, in a time that does not tell where they differ.
#[must_use]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(
            format!("{:?}", Secret::new("hunter2".to_owned())),
            "[redacted]"
        );
    }

    #[test]
    fn random_text_has_the_asked_length_and_only_base62() {
        let text = random_base62::<30>().unwrap();
        assert_eq!(text.expose().len(), 30);
        assert!(text.expose().bytes().all(|b| BASE62.contains(&b)));
        assert_ne!(text.expose(), random_base62::<30>().unwrap().expose());
    }

    #[test]
    fn what_is_sealed_opens_only_as_a_whole_and_in_its_own_place() {
        let key = SealKey::new(&[7; 32]);
        let sealed = key.seal(b"row 1", b"open sesame").unwrap();
        assert_eq!(
            key.open(b"row 1", &sealed).unwrap().expose(),
            b"open sesame"
        );
        assert!(key.open(b"row 2", &sealed).is_err());
        assert!(
            SealKey::new(&[8; 32]).open(b"row 1", &sealed).is_err(),
            "another key file"
        );
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open(b"row 1", &changed).is_err(), "byte {place}");
        }
        assert!(key.open(b"row 1", &sealed[..23]).is_err());
    }

    #[test]
    fn hmac_sha_256_agrees_with_rfc_4231_test_case_3() {
        // RFC 4231 §4.4 has a 20-byte key; zero-padding it to 32 changes nothing (RFC 2104 §2).
        let mut key = [0_u8; 32];
        key[..20].fill(0xaa);
        let digest = MacKey::new(&key).sign(&[&[0xdd; 20], &[0xdd; 30]]);
        let hex = hex(&digest);
        assert_eq!(
            hex,
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        );
    }
}
