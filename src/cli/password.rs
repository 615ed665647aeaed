//! Where a new password comes from: flags of the commands that set one.
//!
//! Invariant: never from the command line itself, which every process of the machine can read.

use std::path::PathBuf;

use super::output::{Output, Record, SecretFile};
use super::prompt;
use crate::error::Result;
use crate::password::{Password, PasswordHash};
use crate::secret::Secret;
use crate::users::NewPassword;

/// What to say where nobody can be asked for a password.
const PASSWORD_FLAGS: &str =
    "--password-stdin, --password-file, --password-hash-stdin, --generate or --no-password";

/// Where a password comes from: never from the command line itself.
#[derive(Debug, Default, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag at the shell; clap lets at most one through"
)]
pub struct PasswordArgs {
    /// Read the password from standard input
    #[arg(long, group = "source")]
    password_stdin: bool,
    /// Read the password from a file; - is standard input
    #[arg(long, group = "source", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the hash of a password from standard input: argon2id, argon2i, bcrypt, pbkdf2-sha256
    #[arg(long, group = "source")]
    password_hash_stdin: bool,
    /// Make a random password and print it once
    #[arg(long, group = "source")]
    generate: bool,
    /// Write the generated password to this new file, readable by its owner alone, instead of
    /// showing it
    // Not only `requires`: clap forgives that where the required flag excludes one that is there.
    #[arg(long, requires = "generate", value_name = "FILE",
          conflicts_with_all = ["password_stdin", "password_file", "password_hash_stdin", "no_password"])]
    out: Option<PathBuf>,
    /// Have no password: nobody can sign in with one
    #[arg(long, group = "source")]
    no_password: bool,
}

/// A password that was made here, and the file that is to hold it, if there is one.
#[derive(Debug)]
pub struct Generated {
    password: Secret<String>,
    file: Option<SecretFile>,
}

impl PasswordArgs {
    /// Whether any of the flags was given.
    #[must_use]
    pub fn any(&self) -> bool {
        let Self {
            password_stdin,
            password_file,
            password_hash_stdin,
            generate,
            out,
            no_password,
        } = self;
        let flags = [password_stdin, password_hash_stdin, generate, no_password];
        flags.into_iter().any(|flag| *flag) || password_file.is_some() || out.is_some()
    }

    /// The password, and its text if it was made here.
    ///
    /// # Errors
    /// As [`prompt::new_password`]; [`Error::Invalid`](crate::error::Error::Invalid) for what cannot
    /// be a password or a hash; [`Error::Io`](crate::error::Error::Io) for a file that is there
    /// already.
    pub fn read(&self, out: &mut Output) -> Result<(NewPassword, Option<Generated>)> {
        let text = |secret: Secret<String>| {
            let password: Password = secret.expose().parse()?;
            Ok((NewPassword::Text(password), None))
        };
        if self.generate {
            let file = self.out.as_deref().map(SecretFile::reserve).transpose()?;
            let password = Password::generate()?;
            let generated = Generated {
                password: Secret::new(password.expose().to_owned()),
                file,
            };
            Ok((NewPassword::Text(password), Some(generated)))
        } else if self.no_password {
            Ok((NewPassword::None, None))
        } else if self.password_hash_stdin {
            let hash = PasswordHash::parse(prompt::secret_from_stdin()?.expose())?;
            Ok((NewPassword::Hash(hash), None))
        } else if self.password_stdin {
            text(prompt::secret_from_stdin()?)
        } else if let Some(path) = &self.password_file {
            text(prompt::secret_from_file(path)?)
        } else {
            text(prompt::new_password(out, PASSWORD_FLAGS)?)
        }
    }
}

/// Prints the account, with the password if it was made here.
///
/// # Errors
/// As [`Output::created`].
pub fn print<T: Record>(user: &T, generated: Option<Generated>, out: &mut Output) -> Result<()> {
    match generated {
        Some(Generated { password, file }) => out.created(user, "password", &password, file),
        None => out.one(user),
    }
}

/// Prints the password alone, if it was made here, as the last line of what `init` did.
///
/// # Errors
/// As [`Output::secret`].
pub fn reveal(generated: Option<Generated>, out: &mut Output) -> Result<()> {
    match generated {
        Some(Generated { password, file }) => {
            // One column with the lines above it.
            let shown = file.is_none();
            out.secret(
                &password,
                if shown { "password     " } else { "password" },
                file,
            )
        }
        None => Ok(()),
    }
}
