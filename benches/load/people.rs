//! Accounts and sessions, made by the library itself: what logs in, and what is logged in.
//!
//! They share one password and one hash, since a hash of its own for each would take a minute for
//! five thousand; nothing that is measured can tell.

use std::path::Path;

use provost::app::{Actor, Cx};
use provost::db::Role;
use provost::password::{Password, PasswordHash};
use provost::sessions::{self, Entry, Opened, Turn};
use provost::users::{self, NewPassword, NewUser, User, Username};

use crate::Outcome;
use crate::library;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// How many there are, unless a path needs another number.
pub(crate) const SEVERAL: usize = 5_000;

/// Who can log in.
pub(crate) struct People {
    /// Their user names.
    pub(crate) names: Vec<String>,
    /// A session of each.
    pub(crate) sessions: Vec<Opened>,
}

/// Puts `count` accounts, each with a session, into the folder's database, in one transaction.
pub(crate) fn make(folder: &Path, count: usize) -> Outcome<People> {
    let app = library::open(folder, Role::Shell)?;
    let actor = Actor::job("load");
    let hash = app.kit().hasher.hash(&PASSWORD.parse::<Password>()?)?;
    let names: Vec<String> = (0..count).map(|n| format!("user{n}")).collect();
    let mut new = Vec::new();
    for name in &names {
        new.push(users::prepare(&app, &actor, account(name, &hash)?)?);
    }
    let turns: Vec<Turn> = app.import(&actor, |cx| {
        let made = new.iter().map(|new| {
            let user = users::create_prepared(cx, new)?;
            session(cx, user)
        });
        made.collect()
    })?;
    let sessions = turns.iter().map(|turn| sessions::mint(app.kit(), turn));
    Ok(People {
        names,
        sessions: sessions.collect::<Result<_, _>>()?,
    })
}

fn account(name: &str, hash: &PasswordHash) -> Outcome<NewUser> {
    Ok(NewUser {
        email: Some(format!("{name}@example.org").parse()?),
        name: Some(format!("The person of {name}").parse()?),
        password: NewPassword::Hash(hash.clone()),
        ..NewUser::named(name.parse::<Username>()?)
    })
}

fn session(cx: &mut Cx<'_, '_>, user: User) -> provost::error::Result<Turn> {
    let entry = Entry {
        user_id: user.id,
        username: user.username,
        epoch: user.epoch,
        admin: false,
        methods: vec!["password"],
        ip: Some([127, 0, 0, 1].into()),
        client: Some("Firefox, Linux".into()),
    };
    sessions::open(cx, &entry)
}
