//! `provost user invite`, `provost user login-link`, `provost admin rescue`: letting people in, from
//! the shell, with the daemon up or down.

use std::borrow::Cow;
use std::path::PathBuf;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::{Invitation, LoginLink, Order, With};
use crate::cli::flags::{value, word};
use crate::cli::output::{Output, Record, SecretFile};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::secret::Secret;
use crate::time::Period;
use crate::users::{self, Email, Role};

const INVITATION_TTL: &str =
    "How long it is good, at most 30d [default: 7d: the setting auth.invitation_ttl]";
const LINK_TTL: &str =
    "How long it is good, at most 1h [default: 15m: the setting auth.login_link_ttl]";

/// Somebody to be invited.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It is sent by mail where smtp.host is set, and printed once in any case.
Take it back with: provost token revoke ID

Examples:
  provost user invite anna@example.org
  provost user invite maria@example.org --role admin --ttl 24h
  provost user invite anna@example.org --out invitation.txt")]
pub struct Invite {
    /// The address
    #[arg(value_parser = value::<Email>)]
    email: Email,
    /// What the account may do; may be given several times [default: user]
    #[arg(long, value_name = "ROLE", value_parser = word(Role::ALL, Role::as_str))]
    role: Vec<Role>,
    #[arg(long, value_name = "TIME", help = INVITATION_TTL, value_parser = value::<Period>)]
    ttl: Option<Period>,
    /// Write the token to this new file, readable by its owner alone, instead of showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Somebody to be let in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The link works once. On a terminal it is also shown as a QR code, for a phone.

Examples:
  provost user login-link ivan
  provost user login-link ivan --ttl 5m --quiet
  provost user login-link ivan --mail")]
pub struct LetIn {
    /// User name, e-mail address, phone number or id
    #[arg(add = ArgValueCompleter::new(users::cli::complete))]
    user: String,
    #[arg(long, value_name = "TIME", help = LINK_TTL, value_parser = value::<Period>)]
    ttl: Option<Period>,
    /// Send it to the user's address, too
    #[arg(long)]
    mail: bool,
    /// Write the token to this new file, readable by its owner alone, instead of showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The service as a whole
#[derive(Debug, clap::Subcommand)]
pub enum Admin {
    /// Make or mend an administrator who can get in: a new password, no second factor
    Rescue(Rescue),
}

/// Whom to rescue.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Makes the account if there is none of that name, enables it, makes it an administrator, removes its
second factor and ends everything that it has open. The audit log says so.

Examples:
  provost admin rescue                          the only administrator there is
  provost admin rescue maria --login-link
  provost admin rescue maria --yes --quiet --out /root/maria.password")]
pub struct Rescue {
    /// User name, e-mail address, phone number or id [default: the only administrator there is]
    #[arg(add = ArgValueCompleter::new(users::cli::complete))]
    user: Option<String>,
    /// Make a login link instead of a random password
    #[arg(long)]
    login_link: bool,
    /// Write the password or the token to this new file, readable by its owner alone, instead of
    /// showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The answer
    #[command(flatten)]
    confirm: Confirm,
}

/// An object, and the page that belongs to it: as much a secret as the token in it.
#[derive(Serialize)]
struct WithPage<T> {
    #[serde(flatten)]
    object: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl<T: Record> Record for WithPage<T> {
    const COLUMNS: &'static [&'static str] = T::COLUMNS;

    fn id(&self) -> Cow<'_, str> {
        self.object.id()
    }
}

impl Record for Invitation {
    const COLUMNS: &'static [&'static str] = &["id", "email", "roles", "expires_at", "mailed"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }
}

impl Record for LoginLink {
    const COLUMNS: &'static [&'static str] = &["id", "username", "expires_at", "mailed"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }
}

/// Prints an object with its token and its page, once.
fn hand_over<T: Record>(
    object: T,
    token: &Secret<String>,
    page: Option<&Secret<String>>,
    file: Option<SecretFile>,
    out: &mut Output,
) -> Result<()> {
    let shown = file.is_none();
    // What is to be in a file must not be on the terminal in another form.
    let url = page.filter(|_| shown).map(|page| page.expose().clone());
    out.created(&WithPage { object, url }, "token", token, file)?;
    if shown {
        out.qr(page.unwrap_or(token))?;
    }
    Ok(())
}

impl Invite {
    /// Does it.
    ///
    /// # Errors
    /// As [`super::invite`], and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let file = self.out.as_deref().map(SecretFile::reserve).transpose()?;
        let Self {
            email, role, ttl, ..
        } = self;
        let (invitation, token, page) =
            operator.write(move |cx| super::invite(cx, &email, &role, ttl))?;
        hand_over(invitation, &token, page.as_ref(), file, out)?;
        Ok(Outcome::Done)
    }
}

impl LetIn {
    /// Does it.
    ///
    /// # Errors
    /// As [`super::login_link`], and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        let file = self.out.as_deref().map(SecretFile::reserve).transpose()?;
        let Self {
            user, ttl, mail, ..
        } = self;
        let order = Order { ttl, mail };
        let (link, token, page) = operator.write(move |cx| super::login_link(cx, &user, order))?;
        hand_over(link, &token, page.as_ref(), file, out)?;
        Ok(Outcome::Done)
    }
}

impl Admin {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Rescue(rescue) => rescue.run(operator, out)?,
        }
        Ok(Outcome::Done)
    }
}

impl Rescue {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        let with = if self.login_link {
            With::LoginLink
        } else {
            With::Password
        };
        let user = self.user.as_deref();
        let plan = operator.read(|cx| super::plan_rescue(cx, user, with))?;
        out.warn(format_args!(
            "rescue of {}: {}",
            plan.username,
            plan.steps.join(", ")
        ))?;
        let what = format!("rescue the administrator {}", plan.username);
        self.confirm.ask(out, &what, 1)?;
        let file = self.out.as_deref().map(SecretFile::reserve).transpose()?;
        let rescued = super::rescue(operator.app(), operator.actor(), user, with)?;
        match with {
            With::Password => out.created(&rescued.user, "password", &rescued.secret, file),
            With::LoginLink => {
                let page = rescued.page.as_ref();
                hand_over(rescued.user, &rescued.secret, page, file, out)
            }
        }
    }
}
