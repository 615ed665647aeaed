//! `provost user disable` and `delete`: taking accounts away, and telling what that ended.

use clap_complete::engine::ArgValueCompleter;

use super::complete;
use crate::access::{self, Changed, Ended};
use crate::app::Cx;
use crate::cli::output::Output;
use crate::cli::prompt::Confirm;
use crate::cli::{Operator, printable};
use crate::error::Result;
use crate::users::{State, User, resolve};

/// Accounts to be disabled: all of them or, if one of them cannot be, none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost user disable ivan --reason \"left the company\"
  provost user disable ivan anna --yes=2")]
pub struct DisableArgs {
    #[command(flatten)]
    end: EndArgs,
}

/// Accounts to be deleted: all of them or, if one of them cannot be, none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provost user delete ivan --reason \"asked to be forgotten\"
  provost user delete ivan anna --yes=2
  provost user list --state deleted")]
pub struct DeleteArgs {
    #[command(flatten)]
    end: EndArgs,
}

/// Accounts that are to lose something.
#[derive(Debug, clap::Args)]
struct EndArgs {
    /// User names, e-mail addresses, phone numbers or ids
    #[arg(required = true, value_name = "USER", add = ArgValueCompleter::new(complete))]
    users: Vec<String>,
    /// Why; the audit log keeps it
    #[arg(long, value_name = "TEXT", value_parser = printable)]
    reason: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// The answer
    #[command(flatten)]
    confirm: Confirm,
}

/// What happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Disable,
    Delete,
}

impl Verb {
    const fn order(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Delete => "delete",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Disable => "disabled",
            Self::Delete => "deleted",
        }
    }

    /// Whether there is nothing left to do.
    fn is_done(self, user: &User) -> bool {
        self == Self::Disable && user.state == State::Disabled
    }

    fn run(self, cx: &mut Cx<'_, '_>, id: &str, reason: Option<&str>) -> Result<Changed> {
        match self {
            Self::Disable => access::disable(cx, id, reason),
            Self::Delete => access::delete_if(cx, id, reason, |_| Ok(())),
        }
    }
}

impl DisableArgs {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        self.end.run(Verb::Disable, operator, out)
    }
}

impl DeleteArgs {
    pub(super) fn run(self, operator: &Operator, out: &mut Output) -> Result<()> {
        self.end.run(Verb::Delete, operator, out)
    }
}

impl EndArgs {
    fn run(self, verb: Verb, operator: &Operator, out: &mut Output) -> Result<()> {
        let Self {
            users,
            reason,
            dry_run,
            confirm,
        } = self;
        let mut found: Vec<User> = Vec::new();
        for user in &users {
            let user = operator.read(|cx| resolve(cx, user))?;
            if !found.iter().any(|other| other.id == user.id) {
                found.push(user);
            }
        }
        let (order, done) = (verb.order(), verb.done());
        if dry_run {
            for user in &found {
                let name = &user.username;
                out.message(if verb.is_done(user) {
                    format!("{name} is {done} already")
                } else {
                    format!("would {order} {name}")
                })?;
            }
            return print(users.len(), found, out);
        }
        // Enabling undoes the one at once; what restoring undoes is more.
        if found.len() > 1 || confirm.yes.is_some() || verb == Verb::Delete {
            let names: Vec<&str> = found.iter().map(|user| user.username.as_str()).collect();
            let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
            confirm.ask(out, &format!("{order} {}", names.join(", ")), count)?;
        }
        let before: Vec<bool> = found.iter().map(|user| verb.is_done(user)).collect();
        let ids: Vec<String> = found.into_iter().map(|user| user.id).collect();
        let changed = operator.write(move |cx| {
            let ids = ids.iter();
            ids.map(|id| verb.run(cx, id, reason.as_deref()))
                .collect::<Result<Vec<_>>>()
        })?;
        let period = operator.app().config().auth.restore_period;
        for (Changed { user, ended }, before) in changed.iter().zip(before) {
            let name = &user.username;
            let ended = list(ended);
            match user.deleted_at {
                _ if before => out.message(format_args!("{name} is {done} already"))?,
                Some(at) => {
                    let until = at.plus(period.0);
                    out.message(format_args!(
                        "{done} {name}{ended}; can be restored until {until}"
                    ))?;
                }
                None => out.message(format_args!("{done} {name}{ended}"))?,
            }
        }
        let done = changed.into_iter().map(|changed| changed.user).collect();
        print(users.len(), done, out)
    }
}

/// What ended, as the end of a sentence.
fn list(ended: &Ended) -> String {
    if ended.is_nothing() {
        String::new()
    } else {
        format!(": ended {ended}")
    }
}

/// Tells what a change ended that is no ending by itself.
///
/// # Errors
/// Those of printing.
pub(super) fn tell(changed: &Changed, out: &mut Output) -> Result<()> {
    let Changed { user, ended } = changed;
    if ended.is_nothing() {
        return Ok(());
    }
    out.message(format_args!("ended {ended} of {}", user.username))
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
