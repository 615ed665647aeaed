//! Second factors: a code from an authenticator app, asked for after a right password, and ten
//! recovery codes for whoever has lost the app.
//!
//! Invariants: a factor is asked for only once its owner has shown a code of it; no code is taken
//! twice, neither that of a step (RFC 6238 §5.2) nor a recovery code, because taking one is a single
//! guarded statement; the secret is sealed to its owner, and codes are stored as keyed digests;
//! without its factor an account has nothing open that was opened with it.

pub mod cli;
mod codes;
pub mod http;
mod store;
mod totp;

use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;

use crate::app::Cx;
use crate::audit::{self, Event};
use crate::error::{Error, Result};
use crate::page::Page;
use crate::scope::known;
use crate::secret::{Secret, random_bytes};
use crate::throttle::{self, Account};
use crate::time::Timestamp;
use crate::users;

/// A factor as its owner and the operator may see it: everything but its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Factor {
    /// Whose it is.
    pub user_id: String,
    /// The same, as people call it.
    pub username: String,
    /// When it was set up.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Since when it is asked for; null while no code of it was shown.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirmed_at: Option<Timestamp>,
    /// How many recovery codes are left.
    pub recovery_codes: u32,
}

/// A factor that was just set up, with the secret that is never shown again.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// What an authenticator app reads, from a QR code.
    pub url: Secret<String>,
    /// The secret alone, in base32, to be typed.
    pub secret: Secret<String>,
}

/// A recovery code, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    user: String,
    digest: Vec<u8>,
}

/// Every recovery code that is still good, for [`still_taken`].
///
/// # Errors
/// Those of the database.
pub fn unused(cx: &mut Cx<'_, '_>) -> Result<Vec<Code>> {
    store::unused(cx.tx)
}

/// For a database that was put back to where it was earlier: what was taken, replaced or removed
/// since is not taken again, neither the code of a step up to now nor a recovery code that is not
/// in `good`; none of them if nobody knows which are. Returns how many recovery codes that spends.
///
/// # Errors
/// Those of the database.
pub fn still_taken(cx: &mut Cx<'_, '_>, good: Option<&[Code]>) -> Result<u64> {
    // The step after this one is taken, too, by an app whose clock is ahead.
    store::skip_steps(cx.tx, totp::current(cx.now).saturating_add(1))?;
    let good: HashSet<&Code> = good.unwrap_or_default().iter().collect();
    let mut spent = 0;
    for code in store::unused(cx.tx)? {
        if !good.contains(&code) {
            spent += store::spend_code(cx.tx, &code, cx.now)?;
        }
    }
    Ok(spent)
}

/// The factor of whoever asks, if there is one.
///
/// # Errors
/// [`Error::Unauthenticated`], [`Error::Forbidden`] unless it is a person.
pub fn own(cx: &mut Cx<'_, '_>) -> Result<Option<Factor>> {
    let user = cx.actor.person()?;
    store::of(cx.tx, user)
}

/// Sets up a factor for whoever asks. It is not asked for before a code of it was shown; until then
/// it may be set up again.
///
/// # Errors
/// As [`own`]; [`Error::ReauthenticationNeeded`]; [`Error::Invalid`] if there is one.
pub fn enrol(cx: &mut Cx<'_, '_>) -> Result<Enrolment> {
    let user = cx.actor.person()?.to_owned();
    cx.actor.require_fresh(cx.now)?;
    let username = users::resolve(cx, &user)?.username;
    let secret = Secret::new(random_bytes::<{ totp::SECRET }>()?);
    let sealed = cx.kit.keys.factor.seal(user.as_bytes(), secret.expose())?;
    if !store::enrol(cx.tx, &user, &sealed, cx.now)? {
        let reason = "is there already; remove it before you set up another";
        return Err(Error::invalid("totp", reason));
    }
    note(cx, "factor.enrolled", &user)?;
    let (url, secret) = totp::written(secret.expose(), &cx.kit.config.app.title, &username)?;
    Ok(Enrolment { url, secret })
}

/// Lets a factor be asked for from now on, by a code of it; returns ten recovery codes, which are
/// never shown again.
///
/// # Errors
/// As [`own`]; [`Error::Invalid`] for a wrong code, or if there is nothing to be confirmed.
pub fn confirm(cx: &mut Cx<'_, '_>, code: &str) -> Result<Vec<Secret<String>>> {
    let user = cx.actor.person()?.to_owned();
    let sealed = store::sealed(cx.tx, &user)?.filter(|sealed| !sealed.confirmed);
    let sealed = sealed.ok_or_else(|| Error::invalid("totp", "is not waiting to be confirmed"))?;
    let step = step(cx, &user, &sealed.secret, code)?.ok_or_else(wrong)?;
    if !store::confirm(cx.tx, &user, &sealed.secret, step, cx.now)? {
        return Err(wrong());
    }
    users::touch(cx, &user)?;
    note(cx, "factor.confirmed", &user)?;
    replace_codes(cx, &user)
}

/// The step for which `code` is right, by a secret as it is stored.
fn step(cx: &Cx<'_, '_>, user: &str, sealed: &[u8], code: &str) -> Result<Option<i64>> {
    let secret = cx.kit.keys.factor.open(user.as_bytes(), sealed)?;
    totp::step(secret.expose(), code, cx.now)
}

fn wrong() -> Error {
    Error::invalid("code", "is wrong, or was used before")
}

fn replace_codes(cx: &mut Cx<'_, '_>, user: &str) -> Result<Vec<Secret<String>>> {
    store::delete_codes(cx.tx, user)?;
    let fresh = codes::fresh()?;
    for code in &fresh {
        let plain = codes::read(code.expose());
        let plain = plain.ok_or_else(|| Error::internal("a code that does not read back"))?;
        store::insert_code(cx.tx, user, &codes::digest(&cx.kit.keys, user, &plain))?;
    }
    Ok(fresh)
}

/// Ten new recovery codes for whoever asks, in place of those there were.
///
/// # Errors
/// As [`own`]; [`Error::ReauthenticationNeeded`]; [`Error::Invalid`] without a factor.
pub fn renew_codes(cx: &mut Cx<'_, '_>) -> Result<Vec<Secret<String>>> {
    let user = cx.actor.person()?.to_owned();
    cx.actor.require_fresh(cx.now)?;
    if !store::is_required(cx.tx, &user)? {
        return Err(Error::invalid("totp", "is not set up"));
    }
    users::touch(cx, &user)?;
    note(cx, "factor.codes_renewed", &user)?;
    replace_codes(cx, &user)
}

/// Removes the factor of whoever asks, by a code of it or a recovery code; ends everything that the
/// user has open. A wrong code is written down: the inner result is the answer, the outer one decides
/// over the transaction.
///
/// # Errors
/// As [`own`]; [`Error::Invalid`] if there is no factor; inside, the same for a wrong code, or
/// [`Error::RateLimited`] after too many wrong ones.
pub fn disable(cx: &mut Cx<'_, '_>, code: &str) -> Result<Result<()>> {
    let user = cx.actor.person()?.to_owned();
    if !store::is_required(cx.tx, &user)? {
        return Err(Error::invalid("totp", "is not set up"));
    }
    let account = Account::user(&user);
    let standing = throttle::judge(cx, &account, cx.actor.ip)?;
    if !standing.may_try() {
        let wait = standing.delayed_until.map(|until| until.since(cx.now));
        let retry_after = wait.unwrap_or(throttle::CAP);
        return Ok(Err(Error::RateLimited { retry_after }));
    }
    if take(cx, &user, code)? {
        remove(cx, &user)?;
        return Ok(Ok(()));
    }
    // A stolen session must not guess on.
    throttle::failed(cx, &account)?;
    let event = Event::refused("factor.removal_failed", object(&user));
    audit::record(cx, event)?;
    Ok(Err(wrong()))
}

/// Whether a second factor is asked for when this user logs in.
///
/// # Errors
/// Those of the database.
pub fn required(cx: &mut Cx<'_, '_>, user: &str) -> Result<bool> {
    store::is_required(cx.tx, user)
}

/// Takes a code of the user's app, or a recovery code, in the transaction of what it opens: each is
/// good once, under any concurrency. False, changing nothing, if it is not good.
///
/// # Errors
/// Those of the database; [`Error::Internal`] for a stored secret that was changed or moved.
pub fn take(cx: &mut Cx<'_, '_>, user: &str, code: &str) -> Result<bool> {
    let plain: String = code.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let plain = Secret::new(plain);
    if let Some(recovery) = codes::read(plain.expose()) {
        let digest = codes::digest(&cx.kit.keys, user, &recovery);
        let taken = store::take_code(cx.tx, user, &digest, cx.now)?;
        if taken {
            note(cx, "factor.code_used", user)?;
        }
        return Ok(taken);
    }
    let Some(sealed) = store::sealed(cx.tx, user)?.filter(|sealed| sealed.confirmed) else {
        return Ok(false);
    };
    match step(cx, user, &sealed.secret, plain.expose())? {
        Some(step) => store::take_step(cx.tx, user, &sealed.secret, step),
        None => Ok(false),
    }
}

/// Removes a user's factor and recovery codes, by an administrator, and ends everything that the
/// user has open. False if there was none, and then nothing is ended.
///
/// # Errors
/// [`Error::Forbidden`] without `user:write`; [`Error::ReauthenticationNeeded`];
/// [`Error::NotFound`].
pub fn reset(cx: &mut Cx<'_, '_>, user: &str) -> Result<bool> {
    cx.actor.require(known::USER_WRITE)?;
    cx.actor.require_fresh(cx.now)?;
    let user = users::resolve(cx, user)?;
    users::may_touch(cx, &user)?;
    remove(cx, &user.id)
}

fn remove(cx: &mut Cx<'_, '_>, user: &str) -> Result<bool> {
    store::delete_codes(cx.tx, user)?;
    let there = store::delete(cx.tx, user)?;
    if there {
        users::end_everything(cx, user)?;
        note(cx, "factor.removed", user)?;
    }
    Ok(there)
}

/// Deletes the factor and the codes of somebody who is being erased: nothing of theirs is open.
///
/// # Errors
/// Those of the database.
pub fn forget(cx: &mut Cx<'_, '_>, user: &str) -> Result<()> {
    store::delete_codes(cx.tx, user)?;
    store::delete(cx.tx, user).map(drop)
}

fn object(user: &str) -> String {
    format!("user:{user}")
}

fn note(cx: &mut Cx<'_, '_>, action: &'static str, user: &str) -> Result<()> {
    let details = json!({ "factor": "totp" });
    audit::record(cx, Event::new(action, object(user)).with(details))
}

/// Factors, of one user or of all, by the age of their users.
///
/// # Errors
/// [`Error::Forbidden`] without `user:read`; [`Error::NotFound`] for a user who does not exist.
pub fn list(
    cx: &mut Cx<'_, '_>,
    user: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Factor>> {
    cx.actor.require(known::USER_READ)?;
    if let Some(user) = user {
        let user = users::resolve(cx, user)?.id;
        let items = store::of(cx.tx, &user)?.into_iter().collect();
        return Ok(Page { items, next: None });
    }
    let above = cursor.unwrap_or_default();
    let factors = store::page(cx.tx, above, limit.saturating_add(1))?;
    Ok(Page::cut(factors, limit, |factor| factor.user_id.clone()))
}

#[cfg(test)]
mod tests;
