//! `provost user show`: an account, with what other slices know of it.

use std::borrow::Cow;

use serde::Serialize;

use super::UserArg;
use crate::app::Cx;
use crate::cli::Operator;
use crate::cli::output::{Output, Record};
use crate::error::{Error, Result};
use crate::factors;
use crate::sessions;
use crate::time::Timestamp;
use crate::users::{self, User};

/// An account as `show` prints it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    user: User,
    second_factor: SecondFactor,
    /// How many are left; nothing without a factor that is asked for.
    recovery_codes: Option<u32>,
    last_login_at: Option<Timestamp>,
    open_sessions: u64,
}

/// Whether a login asks for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SecondFactor {
    None,
    /// It was set up, and no code of it was shown yet.
    Unconfirmed,
    Totp,
}

impl Record for Shown {
    const COLUMNS: &'static [&'static str] = User::COLUMNS;

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.user.id)
    }
}

pub(super) fn run(UserArg { user }: &UserArg, operator: &Operator, out: &mut Output) -> Result<()> {
    out.one(&operator.read(|cx| look(cx, user))?)
}

fn look(cx: &mut Cx<'_, '_>, user: &str) -> Result<Shown> {
    let user = users::get(cx, user)?;
    let factor = match factors::list(cx, Some(&user.id), None, 1) {
        Ok(page) => page.items.into_iter().next(),
        // A deleted account has none that anybody is asked for.
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let confirmed = factor
        .as_ref()
        .filter(|factor| factor.confirmed_at.is_some());
    let second_factor = match (&factor, confirmed) {
        (None, _) => SecondFactor::None,
        (Some(_), None) => SecondFactor::Unconfirmed,
        (Some(_), Some(_)) => SecondFactor::Totp,
    };
    Ok(Shown {
        second_factor,
        recovery_codes: confirmed.map(|factor| factor.recovery_codes),
        last_login_at: users::last_login(cx, &user.id)?,
        open_sessions: sessions::live(cx, &user.id)?,
        user,
    })
}
