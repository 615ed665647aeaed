//! Accounts that several change at the same moment: who is left in charge, and whether anything
//! outlives the end of its account.

use provost::app::{Actor, App, Cx, Who};
use provost::error::{Error, Result};
use provost::tokens::{self, Kind, NewToken, Reason};
use provost::users::{self, NewUser, Role, State, User};

use super::server;
use super::together::{app, both};
use crate::support::Shell;
use crate::support::operator;

/// The user as a request with a session that was just opened.
fn session(user: &User, app: &App) -> Actor {
    Actor {
        who: Who::Session {
            id: "0".into(),
            user: user.id.clone(),
            username: user.username.clone(),
            roles: "admin".into(),
            admin: true,
            authenticated_at: app.clock().now(),
        },
        ip: None,
        request: None,
    }
}

fn write<T: Send + 'static>(
    app: &App,
    f: impl FnMut(&mut Cx<'_, '_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    app.write(&operator(), f)
}

fn make(app: &App, name: &str, roles: Vec<Role>) -> User {
    let new = NewUser {
        roles,
        ..NewUser::named(name.parse().unwrap())
    };
    users::create(app, &operator(), new).unwrap()
}

#[test]
fn of_two_administrators_who_delete_each_other_at_the_same_moment_one_stays() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let (one, two) = (app(&shell), app(&shell));
    let root = make(&one, "root", vec![Role::Admin]);
    let maria = make(&one, "maria", vec![Role::Admin]);
    let admins = "SELECT COUNT(*) FROM users u JOIN user_roles r ON r.user_id = u.id
                  WHERE r.role = 'admin' AND u.state = 'active'";
    let mut database = shell.sql();
    for round in 0..100 {
        let end = |app: &App, by: &User, whom: &User| {
            let (by, whom) = (session(by, app), whom.id.clone());
            app.write(&by, move |cx| match round % 3 {
                0 => users::delete(cx, &whom, None),
                1 => users::disable(cx, &whom, None),
                _ => users::delete_own(cx, |_| Ok(())),
            })
        };
        let (first, second) = both(|| end(&one, &root, &maria), || end(&two, &maria, &root));
        let results = [first, second];
        let done = results.iter().filter(|result| result.is_ok()).count();
        let refused = |result: &&Result<_>| matches!(result, Err(Error::LastAdmin));
        let refused = results.iter().filter(refused).count();
        assert_eq!((done, refused), (1, 1), "round {round}: {results:?}");
        assert_eq!(database.count(admins), 1, "round {round}");
        for id in [&root.id, &maria.id] {
            let id = id.clone();
            let back = write(&one, move |cx| {
                users::restore(cx, &id)?;
                users::enable(cx, &id)
            });
            assert_eq!(back.unwrap().state, State::Active);
        }
    }
}

#[test]
fn no_token_that_is_issued_at_the_moment_of_its_owners_end_is_ever_good() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let (one, two) = (app(&shell), app(&shell));
    make(&one, "root", vec![Role::Admin]);
    make(&one, "ivan", Vec::new());
    let (mut born_dead, mut refused) = (0, 0);
    for round in 0..200 {
        let issue = |cx: &mut Cx<'_, '_>| {
            let owner = Some("ivan".to_owned());
            let new = NewToken {
                owner,
                ..NewToken::of(Kind::Api)
            };
            tokens::create(cx, &new)
        };
        let end = move |cx: &mut Cx<'_, '_>| match round % 4 {
            0 => users::disable(cx, "ivan", None),
            1 => users::delete(cx, "ivan", None),
            2 => users::grant(cx, "ivan", Role::Admin),
            _ => users::revoke(cx, "ivan", Role::Admin),
        };
        let (issued, ended) = both(|| write(&one, issue), || write(&two, end));
        ended.unwrap();
        match issued {
            Ok(issued) => {
                let token = issued.token;
                let text = tokens::prefixed(token.kind, token.id, &issued.secret);
                let found = write(&two, move |cx| tokens::lookup(cx, text.expose())).unwrap();
                let after = found.reason == Reason::Ok;
                // After a change of roles somebody may have a new one: then it came later.
                assert!(!after || round % 4 > 1, "round {round}");
                born_dead += usize::from(!after);
            }
            Err(Error::Invalid { field: "owner", .. } | Error::NotFound { .. }) => refused += 1,
            Err(other) => panic!("round {round}: {other:?}"),
        }
        write(&one, |cx| {
            users::restore(cx, "ivan")?;
            users::enable(cx, "ivan")
        })
        .unwrap();
    }
    eprintln!("{born_dead} were issued and ended, {refused} were refused");
    assert!(born_dead > 0, "they never met");
}

#[test]
fn an_account_that_is_restored_while_it_is_erased_is_whole_or_gone() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let (one, two) = (app(&shell), app(&shell));
    let (mut restored, mut erased) = (0, 0);
    for round in 0..100 {
        let name = format!("user{round}");
        let user = make(&one, &name, Vec::new());
        let id = user.id.clone();
        write(&one, {
            let id = id.clone();
            move |cx| users::delete(cx, &id, None)
        })
        .unwrap();
        // So late that it can be erased, for a purge that runs a little ahead.
        let late = one
            .clock()
            .now()
            .plus(std::time::Duration::from_hours(24 * 8));
        let back = {
            let id = id.clone();
            move |cx: &mut Cx<'_, '_>| users::restore(cx, &id)
        };
        let erase = move |cx: &mut Cx<'_, '_>| users::erase_some(cx, late, 10);
        let (back, done) = both(|| write(&one, back), || write(&two, erase));
        done.unwrap();
        let left = {
            let id = id.clone();
            write(&one, move |cx| users::get(cx, &id)).unwrap()
        };
        match back {
            Ok(_) => {
                restored += 1;
                assert_eq!((left.state, left.username), (State::Active, name));
                assert_eq!(left.roles, [Role::User]);
            }
            Err(Error::Invalid { field: "user", .. }) => {
                erased += 1;
                assert_eq!(left.state, State::Deleted);
                assert!(left.username.starts_with("deleted-") && left.roles.is_empty());
            }
            Err(other) => panic!("round {round}: {other:?}"),
        }
    }
    eprintln!("{restored} restored, {erased} erased");
}
