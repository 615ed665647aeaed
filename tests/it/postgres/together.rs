//! Several daemons and shells on one database: nothing is lost, overspent or done twice because
//! two of them were at it at the same moment, and none waits for another without a reason.

use std::collections::HashSet;
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use provost::app::App;
use provost::config::{Config, Environment, Sources};
use provost::db::{Db, Role};
use provost::error::Error;
use provost::keys::Keys;
use provost::tokens::{self, Kind, NewToken};
use provost::users::{self, Change, Changes, NewUser};
use serde_json::json;

use super::server;
use super::writers::{bearer, order};
use crate::support::client::{Client, Load};
use crate::support::cluster::wait_until;
use crate::support::{Daemon, Ran, Shell, operator};

/// Stops a daemon, which must have met nothing that it did not expect.
fn end(daemon: Daemon) {
    let (status, log) = daemon.stop();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("panicked at"), "{log}");
    for word in ["deadlock", "could not serialize", "ERROR"] {
        assert!(!log.contains(word), "{log}");
    }
}

/// The program as a daemon has it, without a process of its own: many more rounds in the same time.
pub(super) fn app(shell: &Shell) -> App {
    let variables = Environment::bare(&shell.path(""));
    let variables = variables.with("PROVOST_DB", &shell.schema_url().unwrap());
    let config = Config::load(&Sources::default(), &variables).unwrap();
    let keys = Keys::load(&shell.path("data/provost.key")).unwrap();
    let db = Db::open(&config.db, Role::Daemon).unwrap();
    App::new(config, keys, db)
}

/// Both at the same moment.
pub(super) fn both<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    two: impl FnOnce() -> B + Send,
) -> (A, B) {
    let together = Barrier::new(2);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            together.wait();
            one()
        });
        together.wait();
        let two = two();
        (one.join().unwrap(), two)
    })
}

#[test]
fn the_last_administrator_stays_whoever_tries_at_the_same_moment() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    for name in ["root", "maria"] {
        shell.ok(&["user", "create", name, "--admin", "--no-password"]);
    }
    let (one, two) = (app(&shell), app(&shell));
    let admins = "SELECT COUNT(*) FROM users u JOIN user_roles r ON r.user_id = u.id
                  WHERE r.role = 'admin' AND u.state = 'active'";
    let mut database = shell.sql();
    for round in 0..150 {
        let disable = |app: &App, name: &'static str| {
            app.write(&operator(), move |cx| users::disable(cx, name, None))
        };
        let demote = |app: &App, name: &'static str| {
            app.write(&operator(), move |cx| {
                users::revoke(cx, name, users::Role::Admin)
            })
        };
        let (first, second) = match round % 3 {
            0 => both(|| disable(&one, "root"), || disable(&two, "maria")),
            1 => both(|| demote(&one, "root"), || demote(&two, "maria")),
            _ => both(|| disable(&one, "root"), || demote(&two, "maria")),
        };
        let results = [first, second];
        let done = results.iter().filter(|result| result.is_ok()).count();
        let refused = |result: &&Result<_, Error>| matches!(result, Err(Error::LastAdmin));
        let refused = results.iter().filter(refused).count();
        assert_eq!((done, refused), (1, 1), "round {round}: {results:?}");
        assert_eq!(database.count(admins), 1, "round {round}");
        let restore = |cx: &mut provost::app::Cx<'_, '_>| {
            for name in ["root", "maria"] {
                users::enable(cx, name)?;
                users::grant(cx, name, users::Role::Admin)?;
            }
            Ok(())
        };
        one.write(&operator(), restore).unwrap();
    }
}

#[test]
fn changes_of_the_same_account_at_the_same_moment_are_all_kept() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    shell.ok(&["user", "create", "ivan", "--no-password"]);
    let (one, two) = (app(&shell), app(&shell));
    for round in 0..100 {
        let (name, email) = (format!("Ivan {round}"), format!("ivan{round}@example.org"));
        let named = Changes {
            name: Change::Set(name.parse().unwrap()),
            ..Changes::default()
        };
        let addressed = Changes {
            email: Change::Set(email.parse().unwrap()),
            ..Changes::default()
        };
        let change = |app: &App, changes: Changes| {
            app.write(&operator(), move |cx| users::update(cx, "ivan", &changes))
        };
        let (first, second) = both(|| change(&one, named), || change(&two, addressed));
        first.unwrap();
        second.unwrap();
        let user = one.read(&operator(), |cx| users::get(cx, "ivan")).unwrap();
        let now = (user.name.as_deref(), user.email.as_deref());
        assert_eq!(now, (Some(&*name), Some(&*email)), "round {round}");
    }
    let events = "SELECT COUNT(*) FROM audit_events WHERE action = 'user.updated'";
    assert_eq!(shell.sql().count(events), 200);
}

#[test]
fn of_two_accounts_that_take_the_same_name_at_the_same_moment_one_is_told_so() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    for name in ["ivan", "anna"] {
        shell.ok(&["user", "create", name, "--no-password"]);
    }
    let (one, two) = (app(&shell), app(&shell));
    for round in 0..60 {
        let address = format!("same{round}@example.org");
        let changes = Changes {
            email: Change::Set(address.parse().unwrap()),
            ..Changes::default()
        };
        let take = |app: &App, name: &'static str| {
            let changes = changes.clone();
            app.write(&operator(), move |cx| users::update(cx, name, &changes))
        };
        let (first, second) = both(|| take(&one, "ivan"), || take(&two, "anna"));
        let results = [first, second];
        let done = results.iter().filter(|result| result.is_ok()).count();
        let taken = |result: &&Result<_, Error>| matches!(result, Err(Error::EmailTaken));
        let refused = results.iter().filter(taken).count();
        assert_eq!((done, refused), (1, 1), "round {round}: {results:?}");

        let create = |app: &App| {
            let new = NewUser::named(format!("new{round}").parse().unwrap());
            users::create(app, &operator(), new)
        };
        let (first, second) = both(|| create(&one), || create(&two));
        let results = [first, second];
        let done = results.iter().filter(|result| result.is_ok()).count();
        let taken = |result: &&Result<_, Error>| matches!(result, Err(Error::UsernameTaken));
        let refused = results.iter().filter(taken).count();
        assert_eq!((done, refused), (1, 1), "round {round}: {results:?}");
    }
}

#[test]
fn the_same_key_on_two_daemons_at_the_same_moment_comes_to_one_token() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let bearer = bearer(&shell);
    let daemons = [shell.serve(), shell.serve()];
    let mut clients = [0, 1].map(|n: usize| Client::connect(&daemons[n].address).unwrap());
    let mut late = 0;
    for round in 0..60 {
        let key = format!("key-{round}");
        let [one, two] = &mut clients;
        let (first, second) = both(
            || order(one, &bearer, &key).unwrap(),
            || order(two, &bearer, &key).unwrap(),
        );
        let again = order(&mut clients[round % 2], &bearer, &key).unwrap();
        assert_eq!(again.status, 201, "{again:?}");
        for answer in [first, second] {
            // Whoever came while the other was at it may be told to come back.
            if answer.status == 503 {
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                late += 1;
                continue;
            }
            assert_eq!(answer.status, 201, "{answer:?}");
            assert_eq!(answer.text("token"), again.text("token"), "{key}");
        }
    }
    let labelled = "SELECT COUNT(*) FROM tokens WHERE label IS NOT NULL";
    assert_eq!(shell.sql().count(labelled), 60);
    eprintln!("{late} of 120 were told to come back");
    daemons.into_iter().for_each(end);
}

#[test]
fn a_token_that_is_renewed_while_it_is_revoked_stays_revoked() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let (one, two) = (app(&shell), app(&shell));
    for round in 0..100 {
        let new = NewToken::of(Kind::Api);
        let create = move |cx: &mut provost::app::Cx<'_, '_>| tokens::create(cx, &new);
        let id = one.write(&operator(), create).unwrap().token.id.to_string();
        let revoke = |id: String| {
            one.write(&operator(), move |cx| {
                tokens::revoke(cx, &id, None).map(drop)
            })
        };
        let renew = |id: String| {
            two.write(&operator(), move |cx| {
                tokens::renew(cx, &id, None).map(drop)
            })
        };
        let (revoked, _either) = both(|| revoke(id.clone()), || renew(id.clone()));
        revoked.unwrap();
        let token = two.read(&operator(), |cx| tokens::get(cx, &id)).unwrap();
        assert_eq!(token.state, tokens::State::Revoked, "round {round}");
    }
}

#[test]
fn of_a_hundred_uses_at_once_on_two_daemons_as_many_succeed_as_the_token_has() {
    const USES: usize = 37;
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let uses = USES.to_string();
    let token = shell.ok(&["token", "create", "--max-uses", &uses, "--quiet"]);
    let bearer = bearer(&shell);
    let daemons = [shell.serve(), shell.serve()];
    let (together, succeeded) = (Barrier::new(100), AtomicUsize::new(0));
    let daemon = |n: usize| &daemons[n % 2];
    std::thread::scope(|scope| {
        for n in 0..100 {
            let (token, bearer, together, succeeded, daemon) =
                (&token, &bearer, &together, &succeeded, &daemon);
            scope.spawn(move || {
                let mut client = Client::connect(&daemon(n).address).unwrap();
                let body = json!({ "token": token }).to_string();
                together.wait();
                let answer = client.must("POST", "/api/v1/tokens/consume", bearer, &body);
                assert_eq!(answer.status, 200, "{answer:?}");
                if answer.json()["consumed"] == true {
                    succeeded.fetch_add(1, Ordering::SeqCst);
                } else {
                    assert_eq!(answer.text("reason"), "used_up");
                }
            });
        }
    });
    assert_eq!(succeeded.into_inner(), USES);
    assert_eq!(shell.json(&["token", "show", &token[4..15]])["used"], USES);
    let events = "SELECT COUNT(*) FROM audit_events WHERE action = 'token.consumed'";
    assert_eq!(shell.sql().count(events), USES);
    daemons.into_iter().for_each(end);
}

#[test]
fn two_daemons_and_a_shell_that_issue_at_once_never_give_out_the_same_number() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let daemons = [shell.serve(), shell.serve()];
    let loads = [0, 1].map(|n: usize| Load::start(&daemons[n].address, 8, 2));
    for _ in 0..10 {
        shell.ok(&["token", "create"]);
    }
    for load in &loads {
        load.wait_for(200);
    }
    let issued: Vec<String> = loads.into_iter().flat_map(Load::stop).collect();
    let numbers: HashSet<&str> = issued
        .iter()
        .filter_map(|token| token.split(':').next())
        .collect();
    assert_eq!(numbers.len(), issued.len());
    assert_eq!(
        shell.sql().count("SELECT COUNT(*) FROM tokens"),
        issued.len() + 10
    );
    for (n, daemon) in daemons.iter().enumerate() {
        let mut client = Client::connect(&daemon.address).unwrap();
        let mut half = issued.iter().skip(n).step_by(2);
        assert!(half.all(|token| client.is_valid(token)));
    }
    eprintln!("{} tokens", issued.len());
    daemons.into_iter().for_each(end);
}

#[test]
fn a_daemon_that_is_frozen_in_the_middle_of_its_writes_holds_up_no_other() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let shell = shell.with("PROVOST_JOBS_ENABLED", "false");
    let [frozen, other] = [shell.serve(), shell.serve()];
    let mut database = shell.sql();
    // Its own transactions, and locks of them that it keeps while it is frozen.
    let open = "SELECT COUNT(*) FROM pg_stat_activity
                WHERE state LIKE 'idle in transaction%' AND application_name LIKE 'provost%'";
    let load = Load::start(&frozen.address, 16, 0);
    let mut client = Client::connect(&other.address).unwrap();
    let mut caught = 0;
    for _ in 0..200 {
        load.wait_for(20);
        frozen.signal("STOP");
        if database.count(open) > 0 {
            caught += 1;
            // If it held what every issue needs, this would have to wait until it is refused.
            for _ in 0..5 {
                let answer = client.must("POST", "/app/token", "", "");
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            shell.ok(&["token", "create"]);
        }
        frozen.signal("CONT");
        if caught == 20 {
            break;
        }
    }
    assert!(caught > 0, "it was never caught inside of a transaction");
    load.stop();
    eprintln!("frozen {caught} times with open transactions");
    [frozen, other].into_iter().for_each(end);
}

#[test]
fn what_one_of_them_revokes_is_refused_by_all_at_the_very_next_request() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let bearer = bearer(&shell);
    let daemons = [shell.serve(), shell.serve()];
    let loads = [0, 1].map(|n: usize| Load::start(&daemons[n].address, 1, 1));
    let mut clients = [0, 1].map(|n: usize| Client::connect(&daemons[n].address).unwrap());
    for n in 0..40 {
        let body = json!({ "kind": "temporary" }).to_string();
        let made = clients[n % 2].must("POST", "/api/v1/tokens", &bearer, &body);
        let (token, id) = (made.text("token"), made.text("id"));
        assert!(clients.iter_mut().all(|client| client.is_valid(&token)));
        match n % 4 {
            0 => drop(shell.ok(&["token", "revoke", &id])),
            n => {
                let path = format!("/api/v1/tokens/{id}");
                let answer = clients[n % 2].must("DELETE", &path, &bearer, "");
                assert_eq!(answer.status, 204, "{answer:?}");
            }
        }
        for client in &mut clients {
            assert!(!client.is_valid(&token), "{id} outlived its revocation");
        }
    }
    for load in loads {
        load.stop();
    }
    daemons.into_iter().for_each(end);
}

#[test]
fn a_job_that_is_due_on_two_daemons_runs_once() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    // Every second, and on all of them at the same moment.
    let shell = shell.with("PROVOST_PURGE_SCHEDULE", "* * * * * *");
    let daemons = [shell.serve(), shell.serve(), shell.serve()];
    let mut database = shell.sql();
    let runs = "FROM job_runs WHERE job = 'purge' AND result = 'ok'";
    wait_until("the job runs", || {
        database.count(&format!("SELECT COUNT(*) {runs}")) >= 4
    });
    daemons.into_iter().for_each(end);
    let starts = database.texts(&format!(
        "SELECT CAST(started_at AS TEXT) {runs} ORDER BY started_at"
    ));
    let seconds = starts.iter().map(|at| at.parse::<i64>().unwrap() / 1000);
    let distinct: HashSet<i64> = seconds.collect();
    assert_eq!(distinct.len(), starts.len(), "{starts:?}");
    let failed = "SELECT COUNT(*) FROM job_runs WHERE job = 'purge' AND result <> 'ok'";
    assert_eq!(database.count(failed), 0);
}

#[test]
fn of_many_who_ask_for_a_job_at_once_no_two_run_it_at_the_same_time() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init().without_throttle();
    let shell = shell.with("PROVOST_JOBS_ENABLED", "false");
    let bearer = bearer(&shell);
    let daemons = [shell.serve(), shell.serve()];
    // Work that takes long enough for the others to come meanwhile.
    shell.sql().run(
        "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
         CREATE TRIGGER take_time BEFORE DELETE ON tokens
         FOR EACH STATEMENT EXECUTE FUNCTION take_time();",
    );
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|n| {
                let (daemon, bearer) = (&daemons[n % 2], &bearer);
                scope.spawn(move || {
                    let mut client = Client::connect(&daemon.address).unwrap();
                    let path = "/api/v1/jobs/purge/run";
                    client.must("POST", path, bearer, "{}").status
                })
            })
            .collect();
        let statuses = asking.into_iter().map(|asking| asking.join().unwrap());
        statuses.collect()
    });
    let ran = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(ran >= 1 && refused >= 1, "{statuses:?}");
    assert_eq!(ran + refused, statuses.len(), "{statuses:?}");
    let mut database = shell.sql();
    assert_eq!(database.count("SELECT COUNT(*) FROM job_runs"), ran);
    let overlapping = "SELECT COUNT(*) FROM job_runs a JOIN job_runs b ON b.id > a.id
                       AND a.started_at < b.finished_at AND b.started_at < a.finished_at";
    assert_eq!(database.count(overlapping), 0);
    daemons.into_iter().for_each(end);
}

/// Starts all of these commands at once.
fn spawn(shell: &Shell, line: &[&str], count: usize) -> Vec<Child> {
    let start = |_| {
        let mut command = shell.command(line);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    (0..count).map(start).collect()
}

#[test]
fn of_five_that_migrate_at_once_one_does_and_the_others_find_it_done() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    for _ in 0..3 {
        shell.sql().go_down();
        let started = spawn(&shell, &["migrate", "up", "--json"], 5);
        let ended = started
            .into_iter()
            .map(|child| child.wait_with_output().unwrap());
        let ended: Vec<Ran> = ended.map(Into::into).collect();
        assert!(ended.iter().all(|ran| ran.status == 0), "{ended:?}");
        let applied = ended
            .iter()
            .map(|ran| ran.json()["done"].as_array().unwrap().len());
        assert_eq!(applied.sum::<usize>(), 1, "{ended:?}");
        shell.ok(&["migrate", "verify"]);
    }
}

#[test]
fn five_daemons_that_are_upgraded_at_once_all_serve() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    shell.sql().go_down();
    let serve =
        || Daemon::started(&mut shell.command(&["serve", "--migrate", "--listen", "127.0.0.1:0"]));
    let daemons: Vec<Daemon> = (0..5).map(|_| serve()).collect();
    for daemon in &daemons {
        daemon.wait_for_log("listening on ");
    }
    let applied = "SELECT COUNT(*) FROM migrations";
    assert_eq!(shell.sql().count(applied), provost::migrations::ALL.len());
    shell.ok(&["migrate", "verify"]);
    daemons.into_iter().for_each(end);
}

#[test]
fn a_schema_is_not_changed_under_daemons_that_serve_it() {
    let Some((_server, url)) = server() else {
        return;
    };
    let shell = Shell::on(&url).after_init();
    let daemons = [shell.serve(), shell.serve()];
    shell.sql().go_down();
    let told = shell.fails(10, &["migrate", "up"]);
    assert!(
        told.contains(&format!("pid {}", daemons[0].pid())),
        "{told}"
    );
    assert!(
        told.contains(&format!("pid {}", daemons[1].pid())),
        "{told}"
    );
    drop(daemons);
    shell.ok(&["migrate", "up"]);
}
