//! Rules that read before they write, tried by two at the same moment: what the lock on an account, on
//! its row while it logs in, and on the keys is for.

use provost::app::{App, Cx};
use provost::error::{Error, Result};
use provost::sessions::{self, Entry};
use provost::users::{self, Change, Changes, NewUser};

use super::server;
use super::together::{app, both};
use crate::support::{Shell, operator};

fn account(app: &App) -> users::User {
    let new = NewUser::named("ivan".parse().unwrap());
    users::create(app, &operator(), new).unwrap()
}

fn log_in(app: &App, user: &users::User) -> Result<sessions::Turn> {
    let entry = Entry {
        user_id: user.id.clone(),
        username: user.username.clone(),
        epoch: user.epoch,
        admin: false,
        methods: vec!["password"],
        ip: None,
        client: None,
    };
    app.write(&operator(), move |cx| sessions::open(cx, &entry))
}

#[test]
fn of_two_who_have_seen_the_same_version_of_an_account_one_may_change_it() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let (one, two) = (app(&shell), app(&shell));
    let user = account(&one);
    let mut seen: Option<String> = None;
    for round in 0..60 {
        let change = |app: &App, name: String| {
            let (id, seen) = (user.id.clone(), seen.clone());
            let changes = Changes {
                name: Change::Set(name.parse().unwrap()),
                ..Changes::default()
            };
            let work = move |cx: &mut Cx<'_, '_>| {
                users::update_if(cx, &id, &changes, |user| {
                    if user.name == seen {
                        Ok(())
                    } else {
                        Err(Error::PreconditionFailed)
                    }
                })
            };
            app.write(&operator(), work)
        };
        let (first, second) = both(
            || change(&one, format!("one {round}")),
            || change(&two, format!("two {round}")),
        );
        let results = [first, second];
        let stale = |result: &&Result<_>| matches!(result, Err(Error::PreconditionFailed));
        assert_eq!(
            results.iter().filter(stale).count(),
            1,
            "round {round}: {results:?}"
        );
        let done = results.into_iter().find_map(Result::ok).unwrap();
        let id = user.id.clone();
        let left = one.read(&operator(), |cx| users::get(cx, &id)).unwrap();
        assert_eq!(left.name, done.name, "round {round}");
        seen = left.name;
    }
}

#[test]
fn no_account_has_more_sessions_than_it_may_whoever_logs_in_at_the_same_moment() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let (one, two) = (app(&shell), app(&shell));
    let user = account(&one);
    let most = u64::from(one.config().auth.max_sessions);
    for _ in 0..most {
        log_in(&one, &user).unwrap();
    }
    for round in 0..40 {
        let (first, second) = both(|| log_in(&one, &user), || log_in(&two, &user));
        let opened = [first.unwrap(), second.unwrap()];
        let live = one.read(&operator(), |cx| sessions::live(cx, &user.id));
        assert_eq!(live.unwrap(), most, "round {round}");
        for turn in opened {
            let shown = one.read(&operator(), |cx| sessions::get(cx, &turn.session_id));
            assert_eq!(
                shown.unwrap().state,
                sessions::State::Active,
                "round {round}"
            );
        }
    }
}

#[test]
fn the_first_key_is_made_once_and_of_two_rotations_one_is_told_of_the_other() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let (one, two) = (app(&shell), app(&shell));
    let user = account(&one);
    let mut database = shell.sql();
    for round in 0..40 {
        database.run("DELETE FROM signing_keys");
        let (first, second) = both(|| log_in(&one, &user), || log_in(&two, &user));
        first.unwrap();
        second.unwrap();
        let keys = database.count("SELECT COUNT(*) FROM signing_keys");
        assert_eq!(keys, 1, "round {round}");
        let rotate = |app: &App| app.write(&operator(), |cx| sessions::rotate(cx, false));
        let (first, second) = both(|| rotate(&one), || rotate(&two));
        let results = [first, second];
        let told = |result: &&Result<_>| matches!(result, Err(Error::Invalid { field: "key", .. }));
        assert_eq!(
            results.iter().filter(told).count(),
            1,
            "round {round}: {results:?}"
        );
    }
}
