//! Rules of looking at databases and of copying them, in memory.

use super::*;
use crate::app::{Actor, App};
use crate::tokens::{self, NewToken};
use crate::users::{self, NewUser};

/// A program with a user, and tokens of theirs.
fn source() -> App {
    filled(App::memory())
}

/// The same on the one engine that these tests always have.
fn sqlite() -> App {
    App::on(Db::memory().unwrap())
}

fn filled(app: App) -> App {
    let actor = Actor::operator();
    let user = NewUser::named("maria".parse().unwrap());
    users::create(&app, &actor, user).unwrap();
    for label in ["deploy", "Büro ☂"] {
        let new = NewToken {
            owner: Some("maria".into()),
            label: Some(label.into()),
            ..NewToken::of(tokens::Kind::Api)
        };
        app.write(&actor, move |cx| tokens::create(cx, &new))
            .unwrap();
    }
    app
}

fn quietly() -> impl FnMut(Phase, u64) -> Result<()> {
    |_, _| Ok(())
}

fn copied(from: &App, to: &App) -> Result<Report> {
    copy(
        (from.db(), "A"),
        (to, "B"),
        &Actor::operator(),
        &mut quietly(),
    )
}

fn rows(db: &Db, table: &str) -> u64 {
    let info = info(db).unwrap();
    let count = info.tables.iter().find(|count| count.table == table);
    count.unwrap().rows
}

fn script(app: &App, sql: &'static str) {
    app.db().write(move |tx| tx.script(sql)).unwrap();
}

#[test]
fn everything_is_copied_and_only_the_target_knows_of_it() {
    // Between the engines, and within the one that all tests run on.
    for (from, to) in [
        (App::memory(), App::memory()),
        (App::memory(), sqlite()),
        (sqlite(), App::memory()),
    ] {
        copied_and_known(&filled(from), &to);
    }
}

fn copied_and_known(from: &App, to: &App) {
    let report = copied(from, to).unwrap();
    assert!(report.equal);
    let by_name = |name: &str| report.tables.iter().find(|it| it.table == name).unwrap();
    assert_eq!(
        (by_name("tokens").from_rows, by_name("tokens").to_rows),
        (2, 2)
    );
    let order: Vec<&str> = report.tables.iter().map(|it| it.table.as_str()).collect();
    let place = |name: &str| order.iter().position(|it| *it == name).unwrap();
    assert!(place("users") < place("tokens"), "{order:?}");
    assert!(!order.contains(&"migrations"));
    let events = |app: &App| rows(app.db(), "audit_events");
    assert_eq!(events(to), events(from) + 1);
    let event = to.db().read(|tx| {
        tx.first(
            "SELECT details FROM audit_events WHERE action = 'db.copied' LIMIT 1",
            &[],
        )
    });
    assert_eq!(
        event.unwrap().unwrap().str("details").unwrap(),
        format!("{{\"from\":\"A\",\"rows\":{}}}", report.rows)
    );
    // What the copy wrote down about itself is no difference.
    assert!(verify(from.db(), to.db(), &mut quietly()).unwrap().equal);
    assert!(verify(to.db(), from.db(), &mut quietly()).unwrap().equal);
}

#[test]
fn a_target_that_holds_anything_is_refused_and_says_where() {
    let from = source();
    let refused = |to: &App| match copied(&from, to) {
        Err(Error::NotEmpty { place, table }) => (place, table),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&source()), ("B".into(), "users".into()));
    let to = App::memory();
    copied(&from, &to).unwrap();
    refused(&to);
    // Rows that have gone have left their events behind.
    let to = source();
    script(&to, "DELETE FROM tokens; DELETE FROM users;");
    assert_eq!(refused(&to).1, "audit_events");
    assert!(matches!(target(to.db(), "B"), Err(Error::NotEmpty { .. })));
    assert_eq!(target(App::memory().db(), "B").unwrap(), Target::Empty);
    assert_eq!(target(&Db::fresh(), "B").unwrap(), Target::Blank);
}

#[test]
fn a_copy_that_differs_from_its_source_is_told_and_not_kept() {
    let (from, to) = (source(), sqlite());
    script(
        &to,
        "CREATE TRIGGER liar AFTER INSERT ON tokens
         BEGIN UPDATE tokens SET used = 1 WHERE id = new.id; END;",
    );
    let report = copied(&from, &to).unwrap();
    assert!(!report.equal);
    let odd: Vec<&Compared> = report.tables.iter().filter(|it| !it.equal).collect();
    assert_eq!((odd.len(), odd[0].table.as_str()), (1, "tokens"));
    assert_eq!(odd[0].from_rows, odd[0].to_rows);
    assert_eq!(rows(to.db(), "tokens"), 0);
    assert_eq!(target(to.db(), "B").unwrap(), Target::Empty);
}

#[test]
fn a_copy_that_is_stopped_leaves_the_target_ready_for_another() {
    let from = source();
    for stopped in [Phase::Copying, Phase::Comparing] {
        let to = App::memory();
        let mut tell = |phase, _| {
            if phase == stopped {
                Err(Error::Cancelled)
            } else {
                Ok(())
            }
        };
        let ended = copy((from.db(), "A"), (&to, "B"), &Actor::operator(), &mut tell);
        assert!(matches!(ended, Err(Error::Cancelled)));
        assert_eq!(target(to.db(), "B").unwrap(), Target::Empty);
        assert!(copied(&from, &to).unwrap().equal);
    }
}

#[test]
fn comparing_finds_what_was_changed_added_or_lost_and_names_the_table() {
    let changes = [
        "UPDATE tokens SET label = 'Deploy' WHERE label = 'deploy'",
        "DELETE FROM tokens WHERE label = 'deploy'",
        "UPDATE tokens SET label = NULL WHERE label = 'deploy'",
        "INSERT INTO audit_events (id, at, actor, action, object, result)
         VALUES (1, 1, 'x', 'token.created', 'x', 'ok')",
    ];
    for change in changes {
        let (from, to) = (source(), App::memory());
        copied(&from, &to).unwrap();
        script(&to, change);
        let report = verify(from.db(), to.db(), &mut quietly()).unwrap();
        let odd: Vec<&Compared> = report.tables.iter().filter(|it| !it.equal).collect();
        assert!(!report.equal && odd.len() == 1, "{change}: {report:?}");
        assert!(change.contains(&odd[0].table), "{change}: {odd:?}");
    }
}

#[test]
fn databases_that_are_not_built_alike_are_not_copied() {
    let (from, to) = (source(), App::memory());
    script(&to, "CREATE TABLE theirs (id INTEGER PRIMARY KEY) STRICT");
    let Err(Error::Corrupt(reason)) = copied(&from, &to) else {
        panic!("copied")
    };
    assert!(reason.contains("table theirs"), "{reason}");
    let to = App::memory();
    to.db().write(|tx| tx.stamp(3)).unwrap();
    let behind = target(to.db(), "B").unwrap_err();
    assert!(behind.hint().unwrap().contains("--db B migrate up"));
    assert!(matches!(behind, Error::SchemaDiffers { schema: 3, .. }));
    assert!(matches!(
        plan(to.db(), "B"),
        Err(Error::SchemaDiffers { .. })
    ));
}

#[test]
fn rows_that_their_key_does_not_find_stop_the_copy() {
    let (from, to) = (filled(sqlite()), App::memory());
    // The index of the users' key is now that of a table without rows.
    script(
        &from,
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage =
           (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_jobs_1')
         WHERE name = 'sqlite_autoindex_users_1';
         PRAGMA writable_schema = RESET;",
    );
    let Err(Error::Corrupt(reason)) = copied(&from, &to) else {
        panic!("copied")
    };
    assert_eq!(
        reason,
        "table users has 1 rows, and 0 can be found by their key"
    );
    assert_eq!(target(to.db(), "B").unwrap(), Target::Empty);
    let checks = check(from.db()).unwrap();
    assert!(!checks.iter().all(|check| check.findings.is_empty()));
}

#[test]
fn a_sound_database_has_no_findings_and_an_edited_history_is_one() {
    let app = source();
    let checks = check(app.db()).unwrap();
    assert!(
        checks.iter().all(|check| check.findings.is_empty()),
        "{checks:?}"
    );
    assert!(checks.iter().any(|check| check.name == "history"));
    script(&app, "UPDATE migrations SET sha256 = 'x' WHERE number = 2");
    let found: Vec<Finding> = check(app.db())
        .unwrap()
        .into_iter()
        .flat_map(|check| check.findings)
        .collect();
    assert_eq!((found.len(), found[0].object.as_str()), (1, "0002_clock"));
}
