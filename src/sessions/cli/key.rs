//! `provost key …`: the keys that sign access tokens.

use std::borrow::Cow;

use crate::cli::output::{Output, Record};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::sessions::{self, SigningKey};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the keys, the newest first
    List,
    /// Put a new key in the place of the one that signs
    #[command(after_help = "\
A new key is published for 10 minutes before it signs; what the old one signed is accepted until it
has expired. A compromised key is dropped at once, and everything that anybody has opened is ended:
sessions, API tokens with an owner, links. Against somebody who has the key file this does not help:
every key is derived from it.

Examples:
  provost key rotate
  provost key rotate --compromised --yes")]
    Rotate(Rotate),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// As the service function behind it.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::List => {
                let keys = operator.read(sessions::list_keys)?;
                out.table(keys)?;
                Ok(Outcome::Done)
            }
            Self::Rotate(command) => command.run(operator, out),
        }
    }
}

impl Record for SigningKey {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "algorithm",
        "state",
        "created_at",
        "signs_from",
        "accepted_until",
    ];

    fn id(&self) -> Cow<'_, str> {
        self.id.as_str().into()
    }
}

/// The flags of `rotate`.
#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// Somebody else may have the key: refuse what it signed at once, and end everything that is open
    #[arg(long)]
    compromised: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Rotate {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        if self.compromised {
            self.confirm
                .ask(out, "replace the key and end everything that is open", 1)?;
        }
        let compromised = self.compromised;
        let rotation = operator.write(move |cx| sessions::rotate(cx, compromised))?;
        out.value(&rotation)?;
        Ok(Outcome::Done)
    }
}
