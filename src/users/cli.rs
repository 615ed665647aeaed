//! `provost user …`: accounts at the shell.

mod export;
mod import;

pub use import::ImportFrom;

use std::borrow::Cow;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{
    Change, Changes, Email, Filter, FullName, Grant, NewUser, Phone, Role, State, User, Username,
};
use crate::app::Cx;
use crate::cli::complete;
use crate::cli::flags::{ListArgs, value, word};
use crate::cli::output::{Output, Record};
use crate::cli::password::{self, PasswordArgs};
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, Outcome, printable};
use crate::error::Result;
use crate::tokens;

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
    /// Show one account
    Show(UserArg),
    /// Change an account's e-mail address, phone number or name
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
    /// Refuse accounts whatever they opened, until they are enabled again
    Disable(DisableArgs),
    /// Let an account be used again
    Enable(UserArg),
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
}

/// Accounts to be disabled: all of them or, if one of them cannot be, none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost user disable ivan --reason \"left the company\"
  provost user disable ivan anna --yes=2")]
pub struct DisableArgs {
    /// User names, e-mail addresses, phone numbers or ids
    #[arg(required = true, value_name = "USER", add = ArgValueCompleter::new(complete))]
    users: Vec<String>,
    /// Why; the account and the audit log keep it
    #[arg(long, value_name = "TEXT", value_parser = printable)]
    reason: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// The answer, when several accounts are named
    #[command(flatten)]
    confirm: Confirm,
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
            Self::Show(UserArg { user }) => out.one(&operator.read(|cx| super::get(cx, &user))?)?,
            Self::Update { user, changes } => {
                let changes = changes.read();
                out.one(&operator.write(move |cx| super::update(cx, &user.user, &changes))?)?;
            }
            Self::Rename { user, to } => {
                out.one(&operator.write(move |cx| super::rename(cx, &user.user, &to))?)?;
            }
            Self::Disable(args) => disable(args, operator, out)?,
            Self::Enable(UserArg { user }) => {
                out.one(&operator.write(move |cx| super::enable(cx, &user))?)?;
            }
            Self::Passwd { user, password } => passwd(&user.user, &password, operator, out)?,
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
                out.one(&operator.write(move |cx| super::grant(cx, &user.user, role))?)
            }
            Self::Remove { user, role } => {
                out.one(&operator.write(move |cx| super::revoke(cx, &user.user, role))?)
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
        username: args.username,
        email: args.email,
        phone: args.phone,
        name: args.name,
        roles,
        password,
    };
    let user = super::create(operator.app(), operator.actor(), new)?;
    password::print(&user, generated, out)
}

fn passwd(user: &str, args: &PasswordArgs, operator: &Operator, out: &mut Output) -> Result<()> {
    // Before anybody types a password twice for somebody who does not exist.
    let user = operator.read(|cx| super::get(cx, user))?;
    let (password, generated) = args.read(out)?;
    let user = super::set_password(operator.app(), operator.actor(), &user.id, password)?;
    password::print(&user, generated, out)
}

fn disable(args: DisableArgs, operator: &Operator, out: &mut Output) -> Result<()> {
    let DisableArgs {
        users,
        reason,
        dry_run,
        confirm,
    } = args;
    let mut found: Vec<User> = Vec::new();
    for user in &users {
        let user = operator.read(|cx| super::get(cx, user))?;
        if !found.iter().any(|other| other.id == user.id) {
            found.push(user);
        }
    }
    if dry_run {
        for user in &found {
            out.message(match user.state {
                State::Active => format!("would disable {}", user.username),
                State::Disabled => format!("{} is disabled already", user.username),
            })?;
        }
        return print(users.len(), found, out);
    }
    if found.len() > 1 || confirm.yes.is_some() {
        let names: Vec<&str> = found.iter().map(|user| user.username.as_str()).collect();
        let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
        confirm.ask(out, &format!("disable {}", names.join(", ")), count)?;
    }
    let already = |user: &&User| user.state == State::Disabled;
    let before: Vec<String> = found
        .iter()
        .filter(already)
        .map(|user| user.id.clone())
        .collect();
    let ids: Vec<String> = found.into_iter().map(|user| user.id).collect();
    let done = operator.write(move |cx| {
        let disable = |id: &String| {
            let user = super::disable(cx, id, reason.as_deref())?;
            let refused = refused(cx, id)?;
            Ok((user, refused))
        };
        ids.iter().map(disable).collect::<Result<Vec<_>>>()
    })?;
    for (user, refused) in &done {
        if before.contains(&user.id) {
            out.message(format_args!("{} is disabled already", user.username))?;
        } else {
            out.message(format_args!("disabled {}{refused}", user.username))?;
        }
    }
    let done = done.into_iter().map(|(user, _)| user).collect();
    print(users.len(), done, out)
}

/// One object if one was named, else a list: the form must not depend on what is in the database.
fn print(named: usize, mut users: Vec<User>, out: &mut Output) -> Result<()> {
    match users.pop() {
        Some(user) if named == 1 => out.one(&user),
        last => {
            users.extend(last);
            out.table(users)
        }
    }
}

/// What else is refused while the account is disabled, as the end of a sentence.
fn refused(cx: &mut Cx<'_, '_>, id: &str) -> Result<String> {
    let (mut parts, mut total) = (Vec::new(), 0);
    for (kind, noun) in [
        (tokens::Kind::Api, "API token"),
        (tokens::Kind::Temporary, "temporary token"),
    ] {
        let filter = tokens::Filter {
            kind: Some(kind),
            owner: Some(id.to_owned()),
            state: Some(tokens::State::OwnerDisabled),
            ..tokens::Filter::default()
        };
        let count = tokens::count_matching(cx, &filter)?;
        if count > 0 {
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!("{count} {noun}{plural}"));
        }
        total += count;
    }
    let (parts, verb) = (parts.join(" and "), if total == 1 { "is" } else { "are" });
    Ok(if total == 0 {
        String::new()
    } else {
        format!(": {parts} {verb} refused while the account is disabled")
    })
}

#[cfg(test)]
mod tests;
