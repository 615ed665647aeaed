//! Stored passwords: the forms of hash that are understood, and computing them.
//!
//! New ones are Argon2id (RFC 9106) with the parameters of security.md, rule 1. Others come from
//! imports (argon2i, bcrypt, passlib's PBKDF2); they keep working and are replaced at the next
//! successful login. Invariant: a stored hash cannot make us spend more than the ceilings here.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, Result};
use crate::secret::{self, Secret};

use super::Password;

/// OWASP's first choice for Argon2id, and the floor of rule 1: KiB, passes, lanes.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT: usize = 16;
const OUTPUT: usize = 32;

/// The most that a stored hash may ask for (rule 1; as Supabase Auth does).
const MAX_MEMORY: u32 = 262_144;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 4;
const MAX_BCRYPT_COST: u32 = 16;
const MAX_PBKDF2_ROUNDS: u32 = 2_000_000;
/// No form that we know is longer.
const MAX_TEXT: usize = 512;

/// A password's hash in the text form in which it is stored. Not as harmless as it looks: it can
/// be guessed against, so it is kept out of logs and answers like a secret.
#[derive(Clone)]
pub struct PasswordHash(Secret<String>);

impl PasswordHash {
    /// A hash that comes from elsewhere, which must be one that we can verify at a bearable cost.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn parse(text: &str) -> Result<Self> {
        Form::read(text).map_err(|reason| Error::invalid("password_hash", reason))?;
        Ok(Self::stored(text.to_owned()))
    }

    /// A hash as the database has it. One that cannot be used makes every password wrong.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(Secret::new(text))
    }

    /// The text to store. Each call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Hashes `password` with a fresh salt.
    pub(super) fn make(password: &Password, memory: &mut Memory) -> Result<Self> {
        let salt = secret::random_bytes::<SALT>()?;
        let mut output = Zeroizing::new([0; OUTPUT]);
        memory.argon2(
            &ours()?,
            password.expose().as_bytes(),
            &salt,
            output.as_mut(),
        )?;
        let (salt, output) = (BASE64.encode(salt), BASE64.encode(output.as_ref()));
        Ok(Self::stored(format!(
            "$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${salt}${output}"
        )))
    }

    /// Whether it is one that we can compare with, but would not make ourselves.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        Form::read(self.expose()).is_ok_and(|form| !form.is_up_to_date())
    }

    /// All of it that decides how long comparing takes: `$2b$12$`, `$pbkdf2-sha256$29000`.
    pub(super) fn sort(&self) -> &str {
        let text = self.expose();
        let bcrypt = text.get(..7).filter(|_| text.starts_with("$2"));
        // Salt and hash come last.
        bcrypt.unwrap_or_else(|| text.rsplitn(3, '$').last().unwrap_or_default())
    }

    /// Whether `password` is the one behind this hash, and whether the hash should be replaced.
    pub(super) fn matches(&self, password: &Password, memory: &mut Memory) -> Result<Match> {
        let form = match Form::read(self.expose()) {
            Ok(form) => form,
            Err(reason) => {
                tracing::warn!(reason, "a stored password hash cannot be used");
                waste_time(password, memory)?;
                return Ok(Match::No);
            }
        };
        Ok(match form.matches(password.expose().as_bytes(), memory)? {
            false => Match::No,
            true if form.is_up_to_date() => Match::Yes,
            true => Match::Outdated,
        })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash([redacted])")
    }
}

/// How a password and a stored hash go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    No,
    Yes,
    /// Yes, but the hash is weaker than those that we make.
    Outdated,
}

/// Takes as long as a comparison with one of our hashes, for users that do not exist or have no
/// password (rule 9: the time must not tell).
pub(super) fn waste_time(password: &Password, memory: &mut Memory) -> Result<()> {
    let mut output = Zeroizing::new([0; OUTPUT]);
    let password = password.expose().as_bytes();
    memory.argon2(&ours()?, password, &[0; SALT], output.as_mut())?;
    std::hint::black_box(&output);
    Ok(())
}

fn ours() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY, PASSES, LANES, Some(OUTPUT)).map_err(internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// These libraries' errors implement no `std::error::Error` without further features.
fn internal(error: impl fmt::Display) -> Error {
    Error::internal(error.to_string())
}

/// The working memory of one hashing thread, kept from one hash to the next (5 % faster).
#[derive(Default)]
pub(super) struct Memory {
    blocks: Vec<Block>,
    used: bool,
}

impl Memory {
    fn argon2(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<()> {
        let count = argon2.params().block_count();
        self.used = true;
        if self.blocks.len() < count {
            self.blocks
                .try_reserve_exact(count - self.blocks.len())
                .map_err(Error::unavailable)?;
            self.blocks.resize(count, Block::new());
        }
        let done = argon2.hash_password_into_with_memory(password, salt, output, &mut self.blocks);
        // An imported hash may need 256 MiB; that much is not kept.
        let ours = ours()?.params().block_count();
        if count > ours {
            self.wipe();
            self.blocks.truncate(ours);
            self.blocks.shrink_to_fit();
        }
        done.map_err(internal)
    }

    /// Overwrites what the last hash left behind. The next hash would do so too, so that this is
    /// needed only before a pause.
    pub(super) fn wipe(&mut self) {
        if std::mem::take(&mut self.used) {
            self.blocks.iter_mut().zeroize();
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// A stored hash, taken apart.
#[derive(Debug)]
enum Form<'a> {
    /// `$argon2id$…` and `$argon2i$…`, as the reference implementation writes them.
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// `$2a$…`, `$2b$…`, `$2y$…`: three names for one algorithm.
    Bcrypt(&'a str),
    /// `$pbkdf2-sha256$rounds$salt$hash`, as passlib writes it.
    Pbkdf2 {
        rounds: u32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
}

impl<'a> Form<'a> {
    fn read(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > MAX_TEXT {
            return Err("is longer than any known form of hash");
        }
        let name = text
            .strip_prefix('$')
            .and_then(|rest| rest.split('$').next());
        match name.unwrap_or_default() {
            "argon2id" => Self::argon2(Algorithm::Argon2id, text),
            "argon2i" => Self::argon2(Algorithm::Argon2i, text),
            "2a" | "2b" | "2y" => Self::bcrypt(text),
            "pbkdf2-sha256" => Self::pbkdf2(text),
            _ => Err("must be a hash by argon2id, argon2i, bcrypt or pbkdf2-sha256"),
        }
    }

    fn argon2(algorithm: Algorithm, text: &str) -> Result<Self, &'static str> {
        const BROKEN: &str = "is not a well-formed argon2 hash";
        let hash = phc::PasswordHash::new(text).map_err(|_| BROKEN)?;
        let params = Params::try_from(&hash).map_err(|_| BROKEN)?;
        // The reference implementation writes no version for the older one.
        let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from);
        let (Some(salt), Some(output), Ok(version)) = (hash.salt, hash.hash, version) else {
            return Err(BROKEN);
        };
        if !params.keyid().is_empty() {
            return Err("needs a key that is not known here");
        }
        if params.m_cost() > MAX_MEMORY
            || params.t_cost() > MAX_PASSES
            || params.p_cost() > MAX_LANES
        {
            return Err("asks for more than 262144 KiB, 10 passes or 4 lanes");
        }
        Ok(Self::Argon2 {
            algorithm,
            version,
            params,
            salt: salt.to_vec(),
            output: output.as_bytes().to_vec(),
        })
    }

    fn bcrypt(text: &'a str) -> Result<Self, &'static str> {
        let parts: bcrypt::HashParts = text
            .parse()
            .map_err(|_| "is not a well-formed bcrypt hash")?;
        match parts.get_cost() {
            4..=MAX_BCRYPT_COST => Ok(Self::Bcrypt(text)),
            _ => Err("has a bcrypt cost that is not between 4 and 16"),
        }
    }

    fn pbkdf2(text: &str) -> Result<Self, &'static str> {
        const BROKEN: &str = "is not a well-formed pbkdf2-sha256 hash";
        let parts: Vec<&str> = text.split('$').collect();
        let ["", _, rounds, salt, output] = parts.as_slice() else {
            return Err(BROKEN);
        };
        // passlib's base64 has a dot for the plus sign.
        let decode = |text: &str| BASE64.decode(text.replace('.', "+")).map_err(|_| BROKEN);
        let (salt, output) = (decode(salt)?, decode(output)?);
        let canonical = !rounds.starts_with(['0', '+']);
        let rounds: u32 = rounds.parse().map_err(|_| BROKEN)?;
        if !canonical || output.len() != 32 {
            return Err(BROKEN);
        }
        if rounds > MAX_PBKDF2_ROUNDS {
            return Err("asks for more than 2000000 rounds");
        }
        Ok(Self::Pbkdf2 {
            rounds,
            salt,
            output,
        })
    }

    fn matches(&self, password: &[u8], memory: &mut Memory) -> Result<bool> {
        match self {
            Self::Argon2 {
                algorithm,
                version,
                params,
                salt,
                output,
            } => {
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                let mut found = Zeroizing::new(vec![0; output.len()]);
                memory.argon2(&argon2, password, salt, &mut found)?;
                Ok(secret::same(&found, output))
            }
            Self::Bcrypt(text) => bcrypt::verify(password, text).map_err(Error::internal),
            Self::Pbkdf2 {
                rounds,
                salt,
                output,
            } => {
                let mut found = Zeroizing::new([0; 32]);
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, *rounds, found.as_mut());
                Ok(secret::same(found.as_ref(), output))
            }
        }
    }

    /// Whether this is at least as strong as what we make (rule 3).
    fn is_up_to_date(&self) -> bool {
        match self {
            Self::Argon2 {
                algorithm,
                version,
                params,
                salt,
                output,
            } => {
                *algorithm == Algorithm::Argon2id
                    && *version == Version::V0x13
                    && params.m_cost() >= MEMORY
                    && params.t_cost() >= PASSES
                    && salt.len() >= SALT
                    && output.len() >= OUTPUT
            }
            Self::Bcrypt(_) | Self::Pbkdf2 { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery staple";

    // Made with argon2-cffi 25.1, bcrypt 4.0 and passlib 1.7.4.
    const OURS: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$QKHrg5tayLGcN+Y0HVPNaBqykOVLUxlMkZycXE1uWRM";
    const FOREIGN: [&str; 8] = [
        "$argon2id$v=19$m=65536,t=2,p=4$c2FsdHNhbHRzYWx0c2FsdA$WBdIj8SD192QuNdWTjH7zxi9WMB49vvoDJ9HUzg0S2Q",
        "$argon2i$v=19$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$VBRqg4+btGy7IwGibYuU9f0M9kmWU0rIiVedJHJJyHI",
        "$argon2i$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$zDkZtnzlf/YU9y85JL6YcRDAsE+/tPBt9gTZfsaGiD0",
        "$2a$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
        "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
        "$2y$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
        "$pbkdf2-sha256$29000$./..MDEyMzQ1Njc4OWFiYw$o3UhwYUtbPIB3mjjcA9In8tVtrI/IYstYEgAl5b1g98",
        "$pbkdf2-sha256$1000$./..MDEyMzQ1Njc4OWFiYw$A3yjbvJT.yCA6Zd9kbXP9Vo6xHdA7viscK.yrs97v6g",
    ];

    fn matches(hash: &PasswordHash, password: &str) -> Match {
        hash.matches(&password.parse().unwrap(), &mut Memory::default())
            .unwrap()
    }

    #[test]
    fn verifies_the_hashes_of_other_programs() {
        for text in FOREIGN.into_iter().chain([OURS]) {
            let hash = PasswordHash::parse(text).unwrap();
            assert_ne!(matches(&hash, PASSWORD), Match::No, "{text}");
            assert_eq!(
                matches(&hash, "Correct horse battery staple"),
                Match::No,
                "{text}"
            );
            assert_eq!(matches(&hash, ""), Match::No, "{text}");
        }
    }

    #[test]
    fn only_hashes_weaker_than_ours_are_outdated() {
        let all: Vec<Match> = FOREIGN
            .iter()
            .map(|text| matches(&PasswordHash::parse(text).unwrap(), PASSWORD))
            .collect();
        assert_eq!(all[0], Match::Yes);
        assert!(all[1..].iter().all(|found| *found == Match::Outdated));
        assert_eq!(
            matches(&PasswordHash::parse(OURS).unwrap(), PASSWORD),
            Match::Yes
        );
    }

    #[test]
    fn what_we_make_is_salted_and_verifies() {
        let (password, mut memory) = (PASSWORD.parse().unwrap(), Memory::default());
        let hash = PasswordHash::make(&password, &mut memory).unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(hash.matches(&password, &mut memory).unwrap(), Match::Yes);
        let again = PasswordHash::make(&password, &mut memory).unwrap();
        assert_ne!(hash.expose(), again.expose());
        PasswordHash::parse(hash.expose()).unwrap();
    }

    #[test]
    fn a_hash_above_the_ceiling_is_refused_and_once_stored_matches_nothing() {
        let salt = "c2FsdHNhbHRzYWx0c2FsdA$QKHrg5tayLGcN+Y0HVPNaBqykOVLUxlMkZycXE1uWRM";
        for text in [
            format!("$argon2id$v=19$m=262145,t=2,p=1${salt}"),
            format!("$argon2id$v=19$m=19456,t=11,p=1${salt}"),
            format!("$argon2id$v=19$m=19456,t=2,p=5${salt}"),
            FOREIGN[4].replace("$04$", "$17$"),
            FOREIGN[6].replace("$29000$", "$2000001$"),
        ] {
            let error = PasswordHash::parse(&text).unwrap_err();
            assert!(error.to_string().starts_with("password_hash: "), "{error}");
            assert_eq!(matches(&PasswordHash::stored(text), PASSWORD), Match::No);
        }
    }

    #[test]
    fn refuses_hashes_that_are_broken_or_of_another_kind() {
        for text in [
            "",
            "hunter2",
            "$",
            "$1$salt$hash",
            "$6$rounds=5000$a$b",
            "$2x$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
            "$argon2d$v=19$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$VBRqg4+btGy7IwGibYuU9f0M9kmWU0rIiVedJHJJyHI",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA",
            "$argon2id$v=18$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$QKHrg5tayLGcN+Y0HVPNaBqykOVLUxlMkZycXE1uWRM",
            "$2b$04$abcdefghijklmnopqrstuu",
            "$2b$03$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
            "$pbkdf2-sha256$0$./..$AAAA",
            "$pbkdf2-sha256$+1000$./..MDEyMzQ1Njc4OWFiYw$A3yjbvJT.yCA6Zd9kbXP9Vo6xHdA7viscK.yrs97v6g",
            "$pbkdf2-sha256$0$./..MDEyMzQ1Njc4OWFiYw$A3yjbvJT.yCA6Zd9kbXP9Vo6xHdA7viscK.yrs97v6g",
            "$pbkdf2-sha256$1000$./..MDEyMzQ1Njc4OWFiYw$A3yjbvJT.yCA6Zd9kbXP9Vo6xHdA7viscK.yrs97v6g$",
            "$pbkdf2-sha512$1000$./..$AAAA",
            &"$".repeat(513),
        ] {
            assert!(PasswordHash::parse(text).is_err(), "{text}");
            assert_eq!(
                matches(&PasswordHash::stored(text.to_owned()), PASSWORD),
                Match::No
            );
        }
    }

    #[test]
    fn a_hash_does_not_show_itself() {
        assert_eq!(
            format!("{:?}", PasswordHash::parse(OURS).unwrap()),
            "PasswordHash([redacted])"
        );
    }

    #[test]
    fn the_memory_is_wiped_and_a_large_one_is_not_kept() {
        let mut memory = Memory::default();
        waste_time(&PASSWORD.parse().unwrap(), &mut memory).unwrap();
        let zero = |memory: &Memory| {
            memory
                .blocks
                .iter()
                .all(|b| b.as_ref().iter().all(|word| *word == 0))
        };
        assert!(!zero(&memory));
        memory.wipe();
        assert!(zero(&memory));
        let large = PasswordHash::parse(FOREIGN[0]).unwrap();
        assert_eq!(
            large
                .matches(&PASSWORD.parse().unwrap(), &mut memory)
                .unwrap(),
            Match::Yes
        );
        assert_eq!(memory.blocks.capacity(), 19_456);
        assert!(zero(&memory));
    }
}
