//! Logging in with a password, and changing it: reads before and writes after the slow hash, which
//! is computed outside of any transaction.
//!
//! Invariant: whoever fails learns nothing from the answer, its time or the number of writes: not
//! whether the name exists, not whether the account is disabled (security.md, rule 9).

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::model::{Entry, Turn};
use super::open;
use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::factors;
use crate::password::{Password, PasswordHash, Policy, Verdict};
use crate::secret::Secret;
use crate::throttle::{self, Account, Standing};
use crate::time::Timestamp;
use crate::users::{self, Credentials, Role};

/// Somebody who wants to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// A user name, an e-mail address or a phone number.
    pub name: String,
    /// A code of the second factor, or a recovery code.
    pub otp: Option<Secret<String>>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The client's program.
    pub client: Option<String>,
}

/// A login between its two transactions.
#[derive(Clone, Debug)]
pub struct Attempt {
    login: Login,
    account: Option<Credentials>,
    /// Whose failures are counted.
    counted: Account,
    standing: Standing,
}

/// How long somebody has to wait whose logins are off: until somebody clears it, so this is only a
/// polite word.
const OFF: Duration = throttle::CAP;

impl Attempt {
    /// The hash to compare the password with; with none the comparison takes as long and fails.
    #[must_use]
    pub fn hash(&self) -> Option<&PasswordHash> {
        let account = self.account.as_ref().filter(|_| self.standing.may_try());
        account.and_then(Credentials::usable_hash)
    }

    /// Whether the password counts now that it was compared: others may have tried meanwhile. One
    /// that was not looked at before stays so.
    fn judge(&self, cx: &mut Cx<'_, '_>) -> Result<Standing> {
        let now = throttle::judge(cx, &self.counted, self.login.ip)?;
        Ok(if self.standing.may_try() {
            now
        } else {
            self.standing
        })
    }

    /// Asks for the second factor where `account` has one. Only who knows the password learns that
    /// there is one, and may guess at it as often as at the password.
    fn second_factor(&self, cx: &mut Cx<'_, '_>, account: &Credentials) -> Result<Proof> {
        if !factors::required(cx, &account.id)? {
            return Ok(Proof::By(vec!["password"]));
        }
        let Some(otp) = &self.login.otp else {
            // Somebody who knows the password does not have the second factor: the owner, or a
            // thief half-way.
            let event = Event::new("session.otp_asked", format!("user:{}", account.id));
            audit::record(cx, event)?;
            return Ok(Proof::Missing);
        };
        if factors::take(cx, &account.id, otp.expose())? {
            Ok(Proof::By(vec!["password", "otp"]))
        } else {
            throttle::failed(cx, &self.counted)?;
            Ok(Proof::Wrong)
        }
    }
}

/// What came of asking for all that an account asks for, after a right password.
enum Proof {
    /// By these methods.
    By(Vec<&'static str>),
    /// The second factor is not there.
    Missing,
    /// It is wrong.
    Wrong,
}

fn refusal(standing: &Standing, now: Timestamp) -> Error {
    let wait = standing.delayed_until.map(|until| until.since(now));
    let wait = wait.or(standing.off.then_some(OFF));
    Error::InvalidCredentials {
        retry_after: wait.filter(|_| !standing.may_try()),
    }
}

/// Looks how the `account` stands that has the name: the first half of a login, one statement.
///
/// # Errors
/// Those of the database.
pub fn begin(cx: &mut Cx<'_, '_>, login: &Login, account: Option<&Credentials>) -> Result<Attempt> {
    let counted = match account {
        Some(account) => Account::user(&account.id),
        None => Account::name(&cx.kit.keys, &users::spelling(&login.name)),
    };
    let standing = throttle::standing(cx, &counted, login.ip)?;
    Ok(Attempt {
        login: login.clone(),
        account: account.cloned(),
        counted,
        standing,
    })
}

/// Opens a session if the password was the right one: the second half of a login. The inner result
/// is the answer; the outer one decides over the transaction, which a refused login commits, too.
///
/// # Errors
/// Those of the database.
pub fn finish(cx: &mut Cx<'_, '_>, attempt: &Attempt, verdict: &Verdict) -> Result<Result<Turn>> {
    let standing = attempt.judge(cx)?;
    let may_try = standing.may_try();
    let account = attempt.account.as_ref();
    let Some(account) = account.filter(|_| may_try && verdict.matches) else {
        // While somebody has to wait nobody looks at the password, and counting would let a
        // stranger keep the owner out for ever. The row is written all the same: a commit takes
        // time, by which those who wait could be told from the others.
        if may_try {
            throttle::failed(cx, &attempt.counted)?;
        }
        let object = account.map_or("user:?".into(), |account| format!("user:{}", account.id));
        audit::record(cx, Event::refused("session.login_failed", object))?;
        return Ok(Err(refusal(&standing, cx.now)));
    };
    let methods = match attempt.second_factor(cx, account)? {
        Proof::By(methods) => methods,
        Proof::Missing => return Ok(Err(Error::OtpRequired)),
        Proof::Wrong => {
            let event = Event::refused("session.login_failed", format!("user:{}", account.id));
            audit::record(cx, event.with(json!({ "method": "otp" })))?;
            return Ok(Err(refusal(&standing, cx.now)));
        }
    };
    if let (Some(old), Some(new)) = (&account.hash, &verdict.rehashed) {
        users::set_hash(cx, &account.id, old, new)?;
    }
    let entry = entry(account, account.epoch, methods, &attempt.login);
    let turn = match open(cx, &entry) {
        // Disabled or changed while the password was being hashed.
        Err(Error::Unauthenticated) => return Ok(Err(refusal(&standing, cx.now))),
        opened => opened?,
    };
    // After the account's row, as whoever sets a password anew does it.
    throttle::succeeded(cx, &attempt.counted, attempt.login.ip)?;
    Ok(Ok(turn))
}

fn entry(account: &Credentials, epoch: i64, methods: Vec<&'static str>, login: &Login) -> Entry {
    Entry {
        user_id: account.id.clone(),
        username: account.username.clone(),
        epoch,
        admin: account.roles.contains(&Role::Admin),
        methods,
        ip: login.ip,
        client: login.client.clone(),
    }
}

/// The account of the person who wants to change the password, for comparing the current one.
///
/// # Errors
/// [`Error::Forbidden`] for who is no person; those of the database.
pub fn begin_change(cx: &mut Cx<'_, '_>, login: &Login) -> Result<Attempt> {
    let user = cx.actor.person()?.to_owned();
    let account = users::credentials_of(cx, &user)?.ok_or(Error::Unauthenticated)?;
    begin(cx, login, Some(&account))
}

impl Attempt {
    /// Whether the account's owner may choose `password`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn may_choose(&self, password: &Password, policy: &Policy) -> Result<()> {
        let account = self.account.as_ref().ok_or(Error::Unauthenticated)?;
        let names = std::iter::once(&account.username).chain(&account.names);
        let names: Vec<&str> = names.map(String::as_str).collect();
        policy.check(password, &names)
    }
}

/// Stores the new password of the person who asks, who also has the second factor where the account
/// has one, ends everything that the account had opened, and
/// opens a new session in place of the one that asks. The inner result is the answer; the outer one
/// decides over the transaction, which a refusal commits, too.
///
/// # Errors
/// [`Error::Unauthenticated`] if the account was changed meanwhile; those of the database.
pub fn change_password(
    cx: &mut Cx<'_, '_>,
    attempt: &Attempt,
    new: &PasswordHash,
) -> Result<Result<Turn>> {
    let account = attempt.account.as_ref().ok_or(Error::Unauthenticated)?;
    let standing = attempt.judge(cx)?;
    if !standing.may_try() {
        return refuse(cx, account, &standing, "password").map(Err);
    }
    let methods = match attempt.second_factor(cx, account)? {
        Proof::By(methods) => methods,
        Proof::Missing => return Ok(Err(Error::OtpRequired)),
        // A stolen session and a guessed password are not enough.
        Proof::Wrong => return refuse(cx, account, &standing, "otp").map(Err),
    };
    let epoch = users::change_password(cx, &account.id, account.epoch, new)?;
    let epoch = epoch.ok_or(Error::Unauthenticated)?;
    let event = Event::new("user.password_changed", format!("user:{}", account.id));
    audit::record(cx, event)?;
    // The one who guessed at the old password starts anew, and so does the owner.
    throttle::clear(cx, &attempt.counted)?;
    open(cx, &entry(account, epoch, methods, &attempt.login)).map(Ok)
}

/// Counts that the current password was wrong, if it was looked at; returns the refusal.
///
/// # Errors
/// Those of the database.
pub fn refuse_change(cx: &mut Cx<'_, '_>, attempt: &Attempt) -> Result<Error> {
    let account = attempt.account.as_ref().ok_or(Error::Unauthenticated)?;
    let standing = attempt.judge(cx)?;
    if standing.may_try() {
        throttle::failed(cx, &attempt.counted)?;
    }
    refuse(cx, account, &standing, "password")
}

/// Writes down that a password was not changed because of a wrong `method`; returns the refusal.
fn refuse(
    cx: &mut Cx<'_, '_>,
    account: &Credentials,
    standing: &Standing,
    method: &str,
) -> Result<Error> {
    let object = format!("user:{}", account.id);
    let event = Event::refused("user.password_change_failed", object);
    let details = json!({ "code": "invalid_credentials", "method": method });
    audit::record(cx, event.with(details))?;
    Ok(refusal(standing, cx.now))
}
