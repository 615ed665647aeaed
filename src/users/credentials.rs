//! What logging in needs to know of an account, and what it may write there.

mod store;

use super::find::Key;
use super::{Role, State};
use crate::app::{Actor, App, Cx};
use crate::error::Result;
use crate::password::{Password, PasswordHash};
use crate::scope::known;
use crate::time::Timestamp;

/// An account as the login sees it.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account's id.
    pub id: String,
    /// Its user name.
    pub username: String,
    /// Other names of it, which no password may be made of.
    pub names: Vec<String>,
    /// Whether it can be used.
    pub state: State,
    /// The hash of its password, if it has one.
    pub hash: Option<PasswordHash>,
    /// Grows when everything that it opened must end.
    pub epoch: i64,
    /// What it may do.
    pub roles: Vec<Role>,
}

impl Credentials {
    /// The hash to compare with: none if nobody may log in to the account (security.md, rule 9).
    #[must_use]
    pub fn usable_hash(&self) -> Option<&PasswordHash> {
        self.hash.as_ref().filter(|_| self.state == State::Active)
    }
}

/// The account that `login` names: its user name, e-mail address or phone number. Nothing for a
/// name that nobody has; ids are no names to log in with.
///
/// # Errors
/// Those of the database.
pub fn credentials(cx: &mut Cx<'_, '_>, login: &str) -> Result<Option<Credentials>> {
    match Key::read(login) {
        None | Some(Key::Ids(..)) => Ok(None),
        Some(key) => store::credentials(cx.tx, &key),
    }
}

/// The same for an account whose id is known.
///
/// # Errors
/// Those of the database.
pub fn credentials_of(cx: &mut Cx<'_, '_>, id: &str) -> Result<Option<Credentials>> {
    store::credentials(cx.tx, &Key::Ids(id.to_owned(), id.to_owned()))
}

/// Notes that somebody logs in to the account. Returns false, changing nothing, unless it is active and
/// still in `epoch`.
///
/// # Errors
/// Those of the database.
pub fn logged_in(cx: &mut Cx<'_, '_>, id: &str, epoch: i64) -> Result<bool> {
    store::logged_in(cx.tx, id, epoch, cx.now)
}

/// When somebody last logged in to the account with this id, if that is known.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden) without `user:read`.
pub fn last_login(cx: &mut Cx<'_, '_>, id: &str) -> Result<Option<Timestamp>> {
    cx.actor.require(known::USER_READ)?;
    store::last_login(cx.tx, id)
}

/// Stores a stronger hash of the same password, unless it was changed since `old` was read. Ends
/// nothing.
///
/// # Errors
/// Those of the database.
pub fn set_hash(
    cx: &mut Cx<'_, '_>,
    id: &str,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool> {
    store::replace_hash(cx.tx, id, old, new)
}

/// Stores the hash of a password that its owner changed, and ends everything that the account
/// opened before (security.md, rule 6). Returns the new epoch; nothing, changing nothing, unless the
/// account is active and still in `epoch`.
///
/// # Errors
/// Those of the database.
pub fn change_password(
    cx: &mut Cx<'_, '_>,
    id: &str,
    epoch: i64,
    hash: &PasswordHash,
) -> Result<Option<i64>> {
    store::change_password(cx.tx, id, epoch, hash, cx.now)
}

/// Ends everything that anybody opened; returns for how many accounts.
///
/// # Errors
/// Those of the database.
pub fn end_everyone(cx: &mut Cx<'_, '_>) -> Result<u64> {
    store::end_everyone(cx.tx, cx.now)
}

/// Learns how long comparing takes with each sort of imported hash that accounts have, so that a
/// wrong password is answered alike from the first one on (security.md, rule 9). Returns how many
/// sorts there are.
///
/// # Errors
/// Those of the database; [`Error::Unavailable`](crate::error::Error::Unavailable) when too many
/// passwords wait to be compared.
pub fn learn_pace(app: &App, actor: &Actor) -> Result<usize> {
    let samples = app.read(actor, |cx| store::samples(cx.tx))?;
    let imported: Vec<_> = samples
        .into_iter()
        .filter(PasswordHash::is_imported)
        .collect();
    let password = Password::try_from("nobody's".to_owned())?;
    for hash in &imported {
        app.kit().hasher.verify(&password, Some(hash))?;
    }
    Ok(imported.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{self, NewPassword, NewUser};

    #[test]
    fn the_pace_is_learnt_from_each_sort_of_imported_hash() {
        let app = App::memory();
        let pace = || learn_pace(&app, &Actor::job("test")).unwrap();
        assert_eq!(pace(), 0, "nobody");
        let bcrypt = |cost: u32| {
            format!("$2b${cost:02}$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG")
        };
        let ours = app.kit().hasher.hash(&"x".to_owned().try_into().unwrap());
        let ours = ours.unwrap().expose().to_owned();
        let hashes = [ours, bcrypt(4), bcrypt(5), bcrypt(5)];
        for (n, hash) in hashes.into_iter().enumerate() {
            let mut new = NewUser::named(format!("user{n}").parse().unwrap());
            new.password = NewPassword::Hash(PasswordHash::parse(&hash).unwrap());
            users::create(&app, &Actor::operator(), new).unwrap();
        }
        assert_eq!(pace(), 2);
    }

    #[test]
    fn everyone_is_ended_once_however_many_statements_that_takes() {
        let app = App::memory();
        for n in 0..7 {
            let new = NewUser::named(format!("user{n}").parse().unwrap());
            users::create(&app, &Actor::operator(), new).unwrap();
        }
        let epochs = |app: &App| {
            let filter = users::Filter::default();
            let page = app.read(&Actor::operator(), |cx| users::list(cx, &filter, None, 99));
            let users = page.unwrap().items.into_iter();
            users.map(|user| user.epoch).collect::<Vec<_>>()
        };
        for epoch in 1..=2 {
            let ended = app.write(&Actor::operator(), end_everyone).unwrap();
            assert_eq!((ended, epochs(&app)), (7, vec![epoch; 7]));
        }
    }
}
