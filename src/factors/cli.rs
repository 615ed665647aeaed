//! `provost user mfa …`: second factors at the shell.

use std::borrow::Cow;

use clap_complete::engine::ArgValueCompleter;

use super::Factor;
use crate::cli::flags::ListArgs;
use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::users;

/// Second factors
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List who has a second factor, since when, and how many recovery codes are left
    List {
        /// Only of this user: user name, e-mail address, phone number or id
        #[arg(add = ArgValueCompleter::new(users::cli::complete))]
        user: Option<String>,
        /// Form and length
        #[command(flatten)]
        list: ListArgs,
    },
    /// Remove a user's second factor and recovery codes; ends everything that the user has open
    #[command(after_help = "\
Examples:
  provost user mfa reset ivan
  provost user mfa reset ivan --yes")]
    Reset {
        /// User name, e-mail address, phone number or id
        #[arg(add = ArgValueCompleter::new(users::cli::complete))]
        user: String,
        /// The answer
        #[command(flatten)]
        confirm: Confirm,
    },
}

impl Record for Factor {
    const COLUMNS: &'static [&'static str] =
        &["username", "created_at", "confirmed_at", "recovery_codes"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.user_id)
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List { user, list } => out.list(&list, |cursor, limit| {
                operator.read(|cx| super::list(cx, user.as_deref(), cursor, limit))
            })?,
            Self::Reset { user, confirm } => {
                let user = operator.read(|cx| users::get(cx, &user))?;
                let has = operator.read(|cx| super::list(cx, Some(&user.id), None, 1))?;
                let what = format!("remove the second factor of {}", user.username);
                let count = u64::try_from(has.items.len()).unwrap_or(u64::MAX);
                confirm.ask(out, &what, count)?;
                let id = user.id.clone();
                if operator.write(move |cx| super::reset(cx, &id))? {
                    out.message(format_args!(
                        "removed the second factor of {}; whatever was open is ended",
                        user.username
                    ))?;
                } else {
                    out.message(format_args!("{} has no second factor", user.username))?;
                }
                out.one(&operator.read(|cx| users::get(cx, &user.id))?)?;
            }
        }
        Ok(Outcome::Done)
    }
}
