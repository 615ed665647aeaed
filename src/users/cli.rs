//! `provost user …`: accounts at the shell.

mod end;
mod export;
mod import;
mod show;

pub use import::ImportFrom;

use std::borrow::Cow;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{
    Change, Changes, Email, Filter, FullName, Grant, Locale, Meta, NewUser, Phone, Role, State,
    User, Username,
};
use crate::access;
use crate::app::Cx;
use crate::cli::complete;
use crate::cli::flags::{ListArgs, value, word};
use crate::cli::output::{Output, Record};
use crate::cli::password::{self, PasswordArgs};
use crate::cli::{Operator, Outcome};
use crate::error::Result;
use crate::{factors, recovery};
use end::{DeleteArgs, DisableArgs};

/// Accounts: who may sign in, under which names, with which roles
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make an account; asks for its password unless told how to get one
    Create(CreateArgs),
    /// List accounts, the newest first
    #[command(after_help = "\
Examples:
  provost user list --role admin --state active --json
  provost user list --q example.org --fields username,email --all")]
    List {
        /// Only with this role
        #[arg(long, value_name = "ROLE", value_parser = word(Role::ALL, Role::as_str))]
        role: Option<Role>,
        /// Only in this state
        #[arg(long, value_name = "STATE", value_parser = word(State::ALL, State::as_str))]
        state: Option<State>,
        /// Only with this in the user name, the e-mail address or the name, in any case
        #[arg(long, value_name = "TEXT")]
        q: Option<String>,
        /// Form and length
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one account, its second factor, when its person last logged in, and how often it is open
    Show(UserArg),
    /// Change what an account says of its person: addresses, name, language, more
    Update {
        /// Whose
        #[command(flatten)]
        user: UserArg,
        /// What to change
        #[command(flatten)]
        changes: ChangeArgs,
    },
    /// Give an account another user name
    Rename {
        /// Whose
        #[command(flatten)]
        user: UserArg,
        /// The new user name
        #[arg(value_name = "NEW", value_parser = value::<Username>)]
        to: Username,
    },
    /// End whatever accounts opened, and let them open nothing until they are enabled again
    Disable(DisableArgs),
    /// Let an account be used again; what it had opened stays ended
    Enable(UserArg),
    /// Delete accounts and end whatever they opened; for a while they can be restored
    Delete(DeleteArgs),
    /// Bring a deleted account back as it was
    Restore(UserArg),
    /// Set an account's password; asks for it unless told how to get one
    #[command(after_help = "\
Examples:
  provost user passwd ivan
  provost user passwd ivan --generate --out /root/ivan.password
  provost user passwd maria --password-file /run/secrets/maria")]
    Passwd {
        /// Whose
        #[command(flatten)]
        user: UserArg,
        /// Where the password comes from
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Invite somebody to make an account
    Invite(recovery::cli::Invite),
    /// Make a link that logs somebody in, once
    LoginLink(recovery::cli::LetIn),
    /// Let somebody log in again after too many failures
    Unlock(UserArg),
    /// Look at second factors and remove them
    #[command(subcommand)]
    Mfa(factors::cli::Command),
    /// Look at an account's roles and change them
    #[command(subcommand)]
    Role(RoleCommand),
    /// Make the accounts that a file lists, all of them or none
    Import(import::Import),
    /// Write all accounts into a file that can be imported again
    Export(export::Export),
}

/// The account that is meant.
#[derive(Debug, clap::Args)]
pub struct UserArg {
    /// User name, e-mail address, phone number or id
    #[arg(add = ArgValueCompleter::new(complete))]
    user: String,
}

/// A new account.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost user create maria --email maria@example.org --admin
  provost user create ivan --phone +375291234567 --generate
  provost user create ci-bot --no-password
  pass show anna | provost user create anna --password-stdin")]
pub struct CreateArgs {
    /// What the user signs in with: letters and digits of any script, '.', '_' and '-'
    #[arg(value_parser = value::<Username>)]
    username: Username,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS", value_parser = value::<Email>)]
    email: Option<Email>,
    /// Phone number: + and 7 to 15 digits
    #[arg(long, value_name = "NUMBER", value_parser = value::<Phone>)]
    phone: Option<Phone>,
    /// The name shown to other people
    #[arg(long, value_name = "TEXT", value_parser = value::<FullName>)]
    name: Option<FullName>,
    /// Make it an administrator: the same as --role admin
    #[arg(long, conflicts_with = "role")]
    admin: bool,
    /// What it may do; may be given several times [default: user]
    #[arg(long, value_name = "ROLE", value_parser = word(Role::ALL, Role::as_str))]
    role: Vec<Role>,
    /// Where the password comes from
    #[command(flatten)]
    password: PasswordArgs,
}

/// What to change about an account.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag for each member that can be cleared"
)]
#[group(required = true, multiple = true)]
pub struct ChangeArgs {
    /// The new e-mail address
    #[arg(long, value_name = "ADDRESS", value_parser = value::<Email>)]
    email: Option<Email>,
    /// Have no e-mail address
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    /// The new phone number: + and 7 to 15 digits
    #[arg(long, value_name = "NUMBER", value_parser = value::<Phone>)]
    phone: Option<Phone>,
    /// Have no phone number
    #[arg(long, conflicts_with = "phone")]
    no_phone: bool,
    /// The new name shown to other people
    #[arg(long, value_name = "TEXT", value_parser = value::<FullName>)]
    name: Option<FullName>,
    /// Have no name
    #[arg(long, conflicts_with = "name")]
    no_name: bool,
    /// The language that its person reads, such as be or en-GB
    #[arg(long, value_name = "TAG", value_parser = value::<Locale>)]
    locale: Option<Locale>,
    /// Have no language
    #[arg(long, conflicts_with = "locale")]
    no_locale: bool,
    /// A JSON object to be remembered with it, in place of the old one
    #[arg(long, value_name = "JSON", value_parser = value::<Meta>)]
    meta: Option<Meta>,
    /// Have nothing remembered with it
    #[arg(long, conflicts_with = "meta")]
    no_meta: bool,
}

/// Roles of an account.
#[derive(Debug, clap::Subcommand)]
pub enum RoleCommand {
    /// List an account's roles
    List(UserArg),
    /// Give an account a role
    Add {
        /// Whose
        #[command(flatten)]
        user: UserArg,
        /// The role
        #[arg(value_name = "ROLE", value_parser = word(Role::ALL, Role::as_str))]
        role: Role,
    },
    /// Take a role away
    Remove {
        /// Whose
        #[command(flatten)]
        user: UserArg,
        /// The role
        #[arg(value_name = "ROLE", value_parser = word(Role::ALL, Role::as_str))]
        role: Role,
    },
}

/// The user names that begin as what is typed, for completions.
#[must_use]
pub fn complete(typed: &OsStr) -> Vec<CompletionCandidate> {
    complete::with(typed, |cx, typed| {
        let filter = Filter {
            q: Some(typed.to_owned()),
            ..Filter::default()
        };
        let page = super::list(cx, &filter, None, complete::MOST)?;
        let names = page.items.into_iter().map(|user| user.username);
        Ok(names.map(CompletionCandidate::new).collect())
    })
}

impl Record for User {
    const COLUMNS: &'static [&'static str] =
        &["username", "email", "name", "roles", "state", "created_at"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }
}

impl Record for Grant {
    const COLUMNS: &'static [&'static str] = &["role", "granted_at"];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.role.as_str())
    }
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Those of the verbs, and of printing.
    pub fn run(self, operator: &Operator, out: &mut Output) -> Result<Outcome> {
        match self {
            Self::Create(args) => create(args, operator, out)?,
            Self::List {
                role,
                state,
                q,
                list,
            } => {
                let filter = Filter { role, state, q };
                out.list(&list, |cursor, limit| {
                    operator.read(|cx| super::list(cx, &filter, cursor, limit))
                })?;
            }
            Self::Show(user) => show::run(&user, operator, out)?,
            Self::Update { user, changes } => {
                let changes = changes.read();
                let update = move |cx: &mut Cx<'_, '_>| {
                    recovery::update(cx, &user.user, &changes, |_| Ok(()))
                };
                out.one(&operator.write(update)?)?;
            }
            Self::Rename { user, to } => {
                out.one(&operator.write(move |cx| super::rename(cx, &user.user, &to))?)?;
            }
            Self::Disable(args) => args.run(operator, out)?,
            Self::Delete(args) => args.run(operator, out)?,
            Self::Restore(UserArg { user }) => {
                out.one(&operator.write(move |cx| super::restore(cx, &user))?)?;
            }
            Self::Enable(UserArg { user }) => {
                out.one(&operator.write(move |cx| super::enable(cx, &user))?)?;
            }
            Self::Passwd { user, password } => passwd(&user.user, &password, operator, out)?,
            Self::Invite(command) => return command.run(operator, out),
            Self::LoginLink(command) => return command.run(operator, out),
            Self::Unlock(UserArg { user }) => {
                let (user, cleared) = operator.write(move |cx| recovery::unlock(cx, &user))?;
                let done = if cleared {
                    "unlocked"
                } else {
                    "nothing kept out"
                };
                out.message(format_args!("{done} {}", user.username))?;
                out.one(&user)?;
            }
            Self::Mfa(command) => return command.run(operator, out),
            Self::Role(command) => command.run(operator, out)?,
            Self::Import(import) => return import.run(operator, out),
            Self::Export(export) => return export.run(operator, out),
        }
        Ok(Outcome::Done)
    }
}

impl RoleCommand {
    fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        match self {
            Self::List(UserArg { user }) => {
                out.table(operator.read(|cx| super::grants(cx, &user))?)
            }
            Self::Add { user, role } => {
                let changed = operator.write(move |cx| access::promote(cx, &user.user, role))?;
                end::tell(&changed, out)?;
                out.one(&changed.user)
            }
            Self::Remove { user, role } => {
                let changed = operator.write(move |cx| access::demote(cx, &user.user, role))?;
                end::tell(&changed, out)?;
                out.one(&changed.user)
            }
        }
    }
}

impl ChangeArgs {
    fn read(self) -> Changes {
        fn change<T>(to: Option<T>, clear: bool) -> Change<T> {
            match to {
                Some(to) => Change::Set(to),
                None if clear => Change::Clear,
                None => Change::Keep,
            }
        }
        Changes {
            email: change(self.email, self.no_email),
            phone: change(self.phone, self.no_phone),
            name: change(self.name, self.no_name),
            locale: change(self.locale, self.no_locale),
            meta: change(self.meta, self.no_meta),
        }
    }
}

fn create(args: CreateArgs, operator: &Operator, out: &mut Output) -> Result<()> {
    let (password, generated) = args.password.read(out)?;
    let roles = if args.admin {
        vec![Role::Admin]
    } else {
        args.role
    };
    let new = NewUser {
        email: args.email,
        phone: args.phone,
        name: args.name,
        roles,
        password,
        ..NewUser::named(args.username)
    };
    let user = recovery::create(operator.app(), operator.actor(), new)?;
    password::print(&user, generated, out)
}

fn passwd(user: &str, args: &PasswordArgs, operator: &Operator, out: &mut Output) -> Result<()> {
    // Before anybody types a password twice for somebody who does not exist.
    let user = operator.read(|cx| super::resolve(cx, user))?;
    let (password, generated) = args.read(out)?;
    let (app, actor) = (operator.app(), operator.actor());
    let changed = access::set_password(app, actor, &user.id, password)?;
    end::tell(&changed, out)?;
    password::print(&changed.user, generated, out)
}

#[cfg(test)]
mod tests;
