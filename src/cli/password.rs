//! Where a new password comes from: flags of the commands that set one.
//!
//! Invariant: never from the command line itself, which every process of the machine can read.

use std::path::PathBuf;

use super::output::{Output, Record};
use super::prompt;
use crate::error::{Error, Result};
use crate::password::{Password, PasswordHash};
use crate::secret::Secret;
use crate::users::NewPassword;

/// What to say where nobody can be asked for a password.
const PASSWORD_FLAGS: &str =
    "--password-stdin, --password-file, --password-hash-stdin, --generate or --no-password";

/// Where a password comes from: never from the command line itself.
#[derive(Debug, clap::Args)]
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

impl PasswordArgs {
    /// The password, and its text if it was made here.
    ///
    /// # Errors
    /// As [`prompt::new_password`]; [`Error::Invalid`] for what cannot be a password or a hash, or
    /// a file that is there already.
    pub fn read(&self, out: &mut Output) -> Result<(NewPassword, Option<Secret<String>>)> {
        let text = |secret: Secret<String>| {
            let password: Password = secret.expose().parse()?;
            Ok((NewPassword::Text(password), None))
        };
        if self.generate {
            self.check_out()?;
            let password = Password::generate()?;
            let shown = Secret::new(password.expose().to_owned());
            Ok((NewPassword::Text(password), Some(shown)))
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

    /// Refuses a file that could not be made later, when the password is set already and would be
    /// lost.
    fn check_out(&self) -> Result<()> {
        let Some(path) = &self.out else {
            return Ok(());
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let reason = if path.symlink_metadata().is_ok() {
            "exists already"
        } else if folder.is_some_and(|folder| !folder.is_dir()) {
            "is in a folder that does not exist"
        } else {
            return Ok(());
        };
        Err(Error::invalid(
            "out",
            format!("{} {reason}", path.display()),
        ))
    }

    /// Prints the account, with the password if it was made here.
    ///
    /// # Errors
    /// As [`Output::created`].
    pub fn print<T: Record>(
        &self,
        user: &T,
        generated: Option<&Secret<String>>,
        out: &mut Output,
    ) -> Result<()> {
        match generated {
            Some(secret) => out.created(user, "password", secret, self.out.as_deref()),
            None => out.one(user),
        }
    }
}
